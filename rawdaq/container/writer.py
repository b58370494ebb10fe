"""`ContainerWriter`: a container file that a program writes object by object."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from rawdaq.container.file import ContainerFile
from rawdaq.container.format.compression import CompressionChoice
from rawdaq.container.format.objects import Encoded, Item, encode

BLOCK_KB: Final = 256


class ContainerWriter:
    """Writes objects to a container file, which can be read meanwhile.

    ::

        with ContainerWriter("day.rdc") as writer:
            writer.write(packet)

    Objects wait for their block: it is written when it is full, when the first of its objects is `flush_s` old and
    another comes, by `flush` and by `close`. One thread at a time may use a writer.

    Args:
        path: the file. One that exists is continued; a torn end is moved into a file beside it first, see `repaired`.
        info: what the file says of itself, such as a station; JSON.
        compression: ``auto`` (zstd where its library is installed, else zlib), ``zstd``, ``zlib`` or ``none``.
        block_kb: size of a block before it is compressed.
        flush_s: how long an object waits at most while others come; 0: each is a block of its own.
        is_new: raise `FileExistsError` when there is such a file.
        clock_ns: the time, for the file and for objects that have none of their own.

    Attributes:
        path: the file.
        repaired: what was found in a file that was there.

    Raises:
        ContainerError: the file is something else, or the library for its compression is not installed.
        OSError: it cannot be opened, or another program writes it.
    """

    def __init__(
        self,
        path: str | Path,
        info: Mapping[str, Any] | None = None,
        compression: CompressionChoice | str = CompressionChoice.AUTO,
        block_kb: float = BLOCK_KB,
        flush_s: float = 1.0,
        *,
        is_new: bool = False,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = Path(path)
        self._file = ContainerFile(self.path, info, CompressionChoice(compression), is_new=is_new, clock_ns=clock_ns)
        self.repaired = self._file.repaired
        self._block_bytes = int(block_kb * 1000)
        self._flush_ns = int(flush_s * 1e9)
        self._clock_ns = clock_ns
        self._waiting: list[Encoded] = []
        self._waiting_bytes = 0
        self._flush_at_ns = 0
        self._has_failed = False

    def __len__(self) -> int:
        """Return how many objects the file has, with those that wait for their block."""
        return self._file.objects + len(self._waiting)

    @property
    def size_bytes(self) -> int:
        """Size of the file, with what waits for its block as it is before it is compressed."""
        return self._file.size_bytes + self._waiting_bytes

    def write(self, item: Item) -> None:
        """Add an object.

        Raises:
            InvalidValue: it is too large, or nothing that a container can hold.
            OSError: the disk does not take a block. Its objects wait and are tried again by the next call; the first
                call that fails has taken its own object, the following ones have not.
        """
        if self._has_failed:
            self.flush()
        now_ns = self._clock_ns()
        encoded = encode(item, now_ns)
        if self._waiting and self._waiting_bytes + len(encoded.data) > self._block_bytes:
            self.flush()
        if not self._waiting:
            self._flush_at_ns = now_ns + self._flush_ns
        self._waiting.append(encoded)
        self._waiting_bytes += len(encoded.data)
        # A clock that was set back must not keep them waiting.
        if not self._flush_at_ns - self._flush_ns <= now_ns < self._flush_at_ns:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a block.

        Raises:
            OSError: the disk does not take it; it waits on.
        """
        self._has_failed = bool(self._waiting)
        self._file.append(self._waiting)
        self._waiting, self._waiting_bytes, self._has_failed = [], 0, False

    def sync(self) -> None:
        """Write what waits; return when all is safe from a power cut.

        Raises:
            OSError: the disk refuses that.
        """
        self.flush()
        self._file.sync()

    def close(self) -> None:
        """Write what waits and the footer, and close the file; all is safe from a power cut then.

        Raises:
            OSError: the disk refuses that; the file is still open, and `close` may be called again.
        """
        if not self._file.is_closed:
            self.flush()
            self._file.finish()

    def abandon(self) -> None:
        """Close the file as it is, without what waits and without a footer."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()
