"""What a ZMQ message can have wrong; each error carries its numbers and survives pickling."""

from rawdaq.errors import RemoteProtocolError


class MessageMalformed(RemoteProtocolError):
    """A message is not a waveform message of ours; the subclasses say why."""


class FrameCountWrong(MessageMalformed):
    """A message has another number of frames than three."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count

    def __str__(self) -> str:
        """Say both numbers."""
        return f"message of {self.count} frames, not 3 (topic, header, samples)"


class NotWaveform(MessageMalformed):
    """A topic that begins with ``~``: a log or monitoring message, not samples."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic

    def __str__(self) -> str:
        """Say the topic."""
        return f"topic {self.topic!r} is not a waveform"


class HeaderUnreadable(MessageMalformed):
    """The header frame is not one JSON object."""

    def __init__(self, size_bytes: int, reason: str) -> None:
        super().__init__(size_bytes, reason)
        self.size_bytes, self.reason = size_bytes, reason

    def __str__(self) -> str:
        """Say the size and the reason."""
        return f"header of {self.size_bytes} bytes: {self.reason}"


class HeaderValueWrong(MessageMalformed):
    """A header key is missing, or its value cannot be."""

    def __init__(self, key: str, value: str, rule: str) -> None:
        super().__init__(key, value, rule)
        self.key, self.value, self.rule = key, value, rule

    def __str__(self) -> str:
        """Say key, value and rule."""
        return f"header key {self.key!r} is {self.value}, not {self.rule}"


class UnsupportedLayout(MessageMalformed):
    """The message is of a later layout than this program reads."""

    def __init__(self, version: int, supported: int) -> None:
        super().__init__(version, supported)
        self.version, self.supported = version, supported

    def __str__(self) -> str:
        """Say both versions, and what helps."""
        return f"message of layout rawdaq={self.version}, this program reads up to {self.supported}: update rawdaq"


class SampleBytesWrong(MessageMalformed):
    """The samples frame has another size than the header announces."""

    def __init__(self, size_bytes: int, expected_bytes: int) -> None:
        super().__init__(size_bytes, expected_bytes)
        self.size_bytes, self.expected_bytes = size_bytes, expected_bytes

    def __str__(self) -> str:
        """Say both sizes."""
        return f"samples of {self.size_bytes} bytes, the header announces {self.expected_bytes}"
