"""What a plugin can do wrong on its pipe; each error carries its numbers and survives pickling."""

from rawdaq.errors import RemoteProtocolError


class UnknownFrameType(RemoteProtocolError):
    """A frame has an unknown type: the plugin writes something else, or lost its place."""

    def __init__(self, kind: int) -> None:
        """Store the type."""
        super().__init__(kind)
        self.kind = kind

    def __str__(self) -> str:
        """Return it."""
        return f"frame of type {self.kind}, known are 8-13"


class BadFrameSize(RemoteProtocolError):
    """A frame announces a size that its type cannot have; the server ends such a plugin."""

    def __init__(self, kind: int, size: int, least: int, most: int) -> None:
        """Store the size and its limits."""
        super().__init__(kind, size, least, most)
        self.kind, self.size, self.least, self.most = kind, size, least, most

    def __str__(self) -> str:
        """Return them."""
        return f"size {self.size} of a frame of type {self.kind} is not in {self.least}-{self.most}"


class BadFrameQuality(RemoteProtocolError):
    """A timing quality is no percentage."""

    def __init__(self, station: str, channel: str, quality: int) -> None:
        """Store whose it is."""
        super().__init__(station, channel, quality)
        self.station, self.channel, self.quality = station, channel, quality

    def __str__(self) -> str:
        """Return it."""
        return f"timing quality {self.quality} of {self.station} {self.channel} is not -1 to 100"


class ImpossibleFrameTime(RemoteProtocolError):
    """A frame bears a time that does not exist."""

    def __init__(self, year: int, day_of_year: int, hour: int, minute: int, second: int, microsecond: int) -> None:
        """Store every field of the time."""
        super().__init__(year, day_of_year, hour, minute, second, microsecond)
        self.year, self.day_of_year, self.hour = year, day_of_year, hour
        self.minute, self.second, self.microsecond = minute, second, microsecond

    def __str__(self) -> str:
        """Return the time as the plugin wrote it."""
        return (
            f"impossible time of a frame: year {self.year} day {self.day_of_year} "
            f"{self.hour:02d}:{self.minute:02d}:{self.second:02d}.{self.microsecond:06d}"
        )


class PipeCut(RemoteProtocolError):
    """The plugin closed the pipe in the middle of a frame."""

    def __init__(self, held_bytes: int) -> None:
        """Store how much of the frame there is."""
        super().__init__(held_bytes)
        self.held_bytes = held_bytes

    def __str__(self) -> str:
        """Return it."""
        return f"the plugin closed the pipe {self.held_bytes} bytes into a frame"
