"""What is in the files after a crash: a log that says before each batch what the files hold, and after it what came.

A batch whose end is not in the log may be in the files in part. It is removed from them, and comes again, because it
did not count as delivered.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from rawdaq.disk.files import append, sync_file
from rawdaq.disk.finishing import sync_folder

_REWRITE_BYTES: Final = 1 << 18


class Place(NamedTuple):
    """A packet's place in the ring of the server that it came from."""

    packet_id: int
    packet_time_ns: int

    def came_before(self, last: "Place | None") -> bool:
        """Return whether it is *last*, or came before that; a ring that began anew numbers later packets lower."""
        return last is not None and self.packet_id <= last.packet_id and self.packet_time_ns <= last.packet_time_ns


class Progress:
    """The log.

    Args:
        path: its file.

    Attributes:
        last: the last packet that is in the files; None when there is none.
    """

    def __init__(self, path: Path) -> None:
        self.last: Place | None = None
        self._path = path
        self._descriptor = -1
        self._bytes = 0

    def open(self) -> dict[str, int]:
        """Open it; return files and how many bytes of each are right, the rest being of a batch that has no end.

        Raises:
            OSError: it cannot be read or written.
            ValueError: it holds something else.
        """
        sizes = self._read() if self._path.exists() else {}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return sizes

    def _read(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        text = self._path.read_bytes()
        for line in text[: text.rfind(b"\n") + 1].splitlines():  # what follows the last line end is torn
            entry: Any = json.loads(line)
            try:
                if "done" in entry:
                    self.last, sizes = Place(*map(int, entry["done"])), {}
                else:
                    sizes = {str(name): int(size) for name, size in entry["before"].items()}
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"it has no place and no sizes: {error!r}") from None
        return sizes

    def begin(self, sizes: Mapping[str, int]) -> None:
        """Write that a batch is about to be appended to files that hold so many bytes.

        Raises:
            OSError: that is impossible.
        """
        if self._descriptor < 0 or self._bytes > _REWRITE_BYTES:
            self._rewrite()
        self._append({"before": dict(sizes)})

    def end(self, last: Place | None) -> None:
        """Write that the batch is in the files, up to the packet *last*; None: it is not, and never was.

        Raises:
            OSError: that is impossible.
        """
        last = last or self.last
        self._append({"done": last} if last else {"before": {}})
        self.last = last

    def sync(self) -> None:
        """Return when what it says is on the disk, also what a run before has written.

        Raises:
            OSError: the disk refuses it.
        """
        sync_file(self._path)
        sync_folder(self._path.parent)

    def _append(self, entry: Mapping[str, object]) -> None:
        data = json.dumps(entry).encode() + b"\n"
        append(self._descriptor, data)
        self._bytes += len(data)

    def _rewrite(self) -> None:
        """Begin a new file with what is known."""
        self.close()
        new = self._path.with_name(f".{self._path.name}.new")
        line = json.dumps({"done": self.last}).encode() + b"\n" if self.last else b""
        new.write_bytes(line)
        new.replace(self._path)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._bytes = len(line)

    def close(self) -> None:
        """Close it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
