"""What a ZMQ message can have wrong; each error carries its numbers and survives pickling."""

from typing import ClassVar

from rawdaq.errors import RemoteProtocolError, error_text


class MessageMalformed(RemoteProtocolError):
    """A message is not a waveform message of ours; each subclass is one way in which it is not.

    Attributes:
        reason: the words by which such messages are counted.
    """

    reason: ClassVar[str] = "malformed"


@error_text("message of {count} frames, not 3 (topic, header, samples)")
class FrameCountWrong(MessageMalformed):
    """A message has another number of frames than three."""

    reason = "wrong number of frames"

    count: int


@error_text("topic {topic!r} is not a waveform")
class NotWaveform(MessageMalformed):
    """A topic that begins with ``~``: a log or monitoring message, not samples."""

    reason = "not a waveform"

    topic: str


@error_text("header of {size_bytes} bytes: {cause}")
class HeaderUnreadable(MessageMalformed):
    """The header frame is not one JSON object."""

    reason = "unreadable header"

    size_bytes: int
    cause: str


@error_text("header key {key!r} is {value}, not {rule}")
class HeaderValueWrong(MessageMalformed):
    """A header key is missing, or its value is invalid."""

    reason = "wrong header"

    key: str
    value: str
    rule: str


@error_text("message of layout rawdaq={version}, this program reads up to {supported}: update rawdaq")
class UnsupportedLayout(MessageMalformed):
    """The message is of a later layout than this program reads."""

    reason = "later layout"

    version: int
    supported: int


@error_text("samples of {size_bytes} bytes, the header announces {expected_bytes}")
class SampleBytesWrong(MessageMalformed):
    """The samples frame has another size than the header announces."""

    reason = "wrong size"

    size_bytes: int
    expected_bytes: int
