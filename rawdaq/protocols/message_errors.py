"""What a ZMQ message can have wrong; each error carries its numbers in ``args`` and survives pickling."""

from typing import ClassVar

from rawdaq.errors import RemoteProtocolError


class MessageMalformed(RemoteProtocolError):
    """A message is not a waveform message of ours; each subclass is one way in which it is not.

    Attributes:
        reason: the words by which such messages are counted.
        text: the message of the error, with places for its numbers.
    """

    reason: ClassVar[str] = "malformed"
    text: ClassVar[str] = "malformed message"

    def __str__(self) -> str:
        return self.text.format(*self.args)


class FrameCountWrong(MessageMalformed):
    """A message has another number of frames (its argument) than three."""

    reason = "wrong number of frames"
    text = "message of {} frames, not 3 (topic, header, samples)"


class NotWaveform(MessageMalformed):
    """A topic (its argument) begins with ``~``: a log or monitoring message, not samples."""

    reason = "not a waveform"
    text = "topic {!r} is not a waveform"


class HeaderUnreadable(MessageMalformed):
    """The header frame, of so many bytes, is not one JSON object, for a cause."""

    reason = "unreadable header"
    text = "header of {} bytes: {}"


class HeaderValueWrong(MessageMalformed):
    """A header key is missing, or its value breaks a rule."""

    reason = "wrong header"
    text = "header key {!r} is {}, not {}"


class UnsupportedLayout(MessageMalformed):
    """The message is of a later layout than this program reads: its version, and the highest that is supported."""

    reason = "later layout"
    text = "message of layout rawdaq={}, this program reads up to {}: update rawdaq"


class SampleBytesWrong(MessageMalformed):
    """The samples frame has another size in bytes than the header announces."""

    reason = "wrong size"
    text = "samples of {} bytes, the header announces {}"
