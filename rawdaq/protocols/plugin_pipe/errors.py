"""What a plugin can do wrong on its pipe; each error carries its numbers and survives pickling."""

from dataclasses import dataclass

from rawdaq.errors import RemoteProtocolError


@dataclass(eq=False, repr=False)
class UnknownFrameType(RemoteProtocolError):
    """A frame has an unknown type: the plugin writes something else, or lost its place."""

    kind: int

    def __str__(self) -> str:
        return f"frame of type {self.kind}, known are 8-13"


@dataclass(eq=False, repr=False)
class BadFrameSize(RemoteProtocolError):
    """A frame announces a size that its type cannot have; the server ends such a plugin."""

    kind: int
    size: int
    least: int
    most: int

    def __str__(self) -> str:
        return f"size {self.size} of a frame of type {self.kind} is not in {self.least}-{self.most}"


@dataclass(eq=False, repr=False)
class BadFrameQuality(RemoteProtocolError):
    """A timing quality is no percentage."""

    station: str
    channel: str
    quality: int

    def __str__(self) -> str:
        return f"timing quality {self.quality} of {self.station} {self.channel} is not -1 to 100"


@dataclass(eq=False, repr=False)
class ImpossibleFrameTime(RemoteProtocolError):
    """A frame bears a time that does not exist."""

    year: int
    day_of_year: int
    hour: int
    minute: int
    second: int
    microsecond: int

    def __str__(self) -> str:
        return (
            f"impossible time of a frame: year {self.year} day {self.day_of_year} "
            f"{self.hour:02d}:{self.minute:02d}:{self.second:02d}.{self.microsecond:06d}"
        )


@dataclass(eq=False, repr=False)
class PipeCut(RemoteProtocolError):
    """The plugin closed the pipe in the middle of a frame."""

    held_bytes: int

    def __str__(self) -> str:
        return f"the plugin closed the pipe {self.held_bytes} bytes into a frame"
