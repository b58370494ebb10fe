"""What can be wrong with a container file."""

from rawdaq.errors import RawdaqError


class ContainerError(RawdaqError):
    """A container file cannot be read or written; the text says why, and what helps."""


class NotContainer(ContainerError):
    """The file is no container, or nothing of one is left."""


class ContainerTooNew(ContainerError):
    """A newer version of rawdaq has written the file."""

    def __init__(self, version: int, known: int) -> None:
        super().__init__(version, known)
        self.version, self.known = version, known

    def __str__(self) -> str:
        return f"its format has version {self.version}, this rawdaq reads up to {self.known}: install a newer rawdaq"


class BlockDamaged(ContainerError):
    """A block, or an object in it, is not what was written.

    Args:
        reason: what does not fit.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class CompressionMissing(ContainerError):
    """The library for a compression is not installed."""

    def __str__(self) -> str:
        return "zstd needs the library zstandard: pip install 'rawdaq[zstd]', or choose compression zlib"
