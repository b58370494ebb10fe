"""What a ZMQ message can have wrong; each error carries its numbers and survives pickling."""

from dataclasses import dataclass
from typing import ClassVar

from rawdaq.errors import RemoteProtocolError


class MessageMalformed(RemoteProtocolError):
    """A message is not a waveform message of ours; each subclass is one way in which it is not.

    Attributes:
        reason: the words by which such messages are counted.
    """

    reason: ClassVar[str] = "malformed"


@dataclass(eq=False, repr=False)
class FrameCountWrong(MessageMalformed):
    """A message has another number of frames than three."""

    reason = "wrong number of frames"

    count: int

    def __str__(self) -> str:
        return f"message of {self.count} frames, not 3 (topic, header, samples)"


@dataclass(eq=False, repr=False)
class NotWaveform(MessageMalformed):
    """A topic that begins with ``~``: a log or monitoring message, not samples."""

    reason = "not a waveform"

    topic: str

    def __str__(self) -> str:
        return f"topic {self.topic!r} is not a waveform"


@dataclass(eq=False, repr=False)
class HeaderUnreadable(MessageMalformed):
    """The header frame is not one JSON object."""

    reason = "unreadable header"

    size_bytes: int
    cause: str

    def __str__(self) -> str:
        return f"header of {self.size_bytes} bytes: {self.cause}"


@dataclass(eq=False, repr=False)
class HeaderValueWrong(MessageMalformed):
    """A header key is missing, or its value is invalid."""

    reason = "wrong header"

    key: str
    value: str
    rule: str

    def __str__(self) -> str:
        return f"header key {self.key!r} is {self.value}, not {self.rule}"


@dataclass(eq=False, repr=False)
class UnsupportedLayout(MessageMalformed):
    """The message is of a later layout than this program reads."""

    reason = "later layout"

    version: int
    supported: int

    def __str__(self) -> str:
        return f"message of layout rawdaq={self.version}, this program reads up to {self.supported}: update rawdaq"


@dataclass(eq=False, repr=False)
class SampleBytesWrong(MessageMalformed):
    """The samples frame has another size than the header announces."""

    reason = "wrong size"

    size_bytes: int
    expected_bytes: int

    def __str__(self) -> str:
        return f"samples of {self.size_bytes} bytes, the header announces {self.expected_bytes}"
