"""What a ZMQ message can have wrong; each error carries its numbers and survives pickling."""

from typing import ClassVar

from rawdaq.errors import RemoteProtocolError


class MessageMalformed(RemoteProtocolError):
    """A message is not a waveform message of ours; each subclass is one way in which it is not.

    Attributes:
        reason: the words by which such messages are counted.
    """

    reason: ClassVar[str] = "malformed"


class FrameCountWrong(MessageMalformed):
    """A message has another number of frames than three."""

    reason = "wrong number of frames"

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count

    def __str__(self) -> str:
        return f"message of {self.count} frames, not 3 (topic, header, samples)"


class NotWaveform(MessageMalformed):
    """A topic that begins with ``~``: a log or monitoring message, not samples."""

    reason = "not a waveform"

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic

    def __str__(self) -> str:
        return f"topic {self.topic!r} is not a waveform"


class HeaderUnreadable(MessageMalformed):
    """The header frame is not one JSON object."""

    reason = "unreadable header"

    def __init__(self, size_bytes: int, cause: str) -> None:
        super().__init__(size_bytes, cause)
        self.size_bytes, self.cause = size_bytes, cause

    def __str__(self) -> str:
        return f"header of {self.size_bytes} bytes: {self.cause}"


class HeaderValueWrong(MessageMalformed):
    """A header key is missing, or its value is invalid."""

    reason = "wrong header"

    def __init__(self, key: str, value: str, rule: str) -> None:
        super().__init__(key, value, rule)
        self.key, self.value, self.rule = key, value, rule

    def __str__(self) -> str:
        return f"header key {self.key!r} is {self.value}, not {self.rule}"


class UnsupportedLayout(MessageMalformed):
    """The message is of a later layout than this program reads."""

    reason = "later layout"

    def __init__(self, version: int, supported: int) -> None:
        super().__init__(version, supported)
        self.version, self.supported = version, supported

    def __str__(self) -> str:
        return f"message of layout rawdaq={self.version}, this program reads up to {self.supported}: update rawdaq"


class SampleBytesWrong(MessageMalformed):
    """The samples frame has another size than the header announces."""

    reason = "wrong size"

    def __init__(self, size_bytes: int, expected_bytes: int) -> None:
        super().__init__(size_bytes, expected_bytes)
        self.size_bytes, self.expected_bytes = size_bytes, expected_bytes

    def __str__(self) -> str:
        return f"samples of {self.size_bytes} bytes, the header announces {self.expected_bytes}"
