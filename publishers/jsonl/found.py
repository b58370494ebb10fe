"""Lines that are in files already, of before a crash: recognised when the journal brings them once more.

A batch is in the files whole or not at all, so what a kill leaves is the beginning of what comes again. A power cut may
leave the lines of one file and take those of another. So at the first line that is not there, all files are cut back
to what was recognised: the rest comes again, too.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from rawdaq.publisher import CursorMarks, KnownItem
from rawdaq.publishers.jsonl.lines import LineMaker
from rawdaq.publishers.jsonl.progress import Place

_FILE: Final = b"f"
_LAST: Final = b"last"
_VALUE_BYTES: Final = 8


@dataclass
class Delivered:
    """How far the files are.

    Attributes:
        sizes: of files, in bytes.
        last: the packet that was written last.
    """

    sizes: dict[Path, int] = field(default_factory=dict[Path, int])
    last: Place | None = None

    def pack(self) -> dict[bytes, bytes]:
        """Return it as a journal keeps it."""
        marks = {_FILE + os.fsencode(path): size.to_bytes(_VALUE_BYTES) for path, size in self.sizes.items()}
        if self.last is not None:
            marks[_LAST] = b"%d %d" % self.last
        return marks

    @classmethod
    def unpack(cls, marks: CursorMarks) -> Self:
        """Return what `pack` has made *marks* of."""
        found = cls()
        for key, value in marks.items():
            if key.startswith(_FILE):
                found.sizes[Path(os.fsdecode(key[len(_FILE) :]))] = int.from_bytes(value)
            elif key == _LAST:
                found.last = Place(*map(int, value.split()))
        return found


class FoundLines:
    """What was written before a crash and beyond the cursor in the journal.

    Args:
        delivered: as of the cursor; it is kept up to date with what is recognised.
        maker: makes lines of items.

    Attributes:
        is_over: whether all that comes is new.
        first_new: the packet with which that began; None when none came before the crash.
        to_cut: files that are to be cut before the next line is written, and to which sizes.
    """

    def __init__(self, delivered: Delivered, maker: LineMaker) -> None:
        self.is_over = False
        self.first_new: Place | None = None
        self.to_cut: dict[Path, int] = {}
        self._delivered = delivered
        self._maker = maker
        self._left: dict[Path, bytes] = {}
        self._last = delivered.last  # of all that came before the crash, whether it was written or not

    def read(self) -> set[Path]:
        """Read the files, and take torn lines away: they come again. This blocks.

        Returns:
            The files with lines beyond the cursor, which nobody may have synced.

        Raises:
            OSError: one cannot be read.
        """
        for path, size in self._delivered.sizes.items():
            try:
                with path.open("r+b") as file:
                    file.seek(size)
                    data = file.read()
                    whole = data[: data.rfind(b"\n") + 1]
                    if len(whole) < len(data):
                        file.truncate(size + len(whole))
            except FileNotFoundError:
                continue
            if whole:
                self._left[path] = whole
        return set(self._left)

    def rest(self, item: KnownItem, is_new: bool) -> list[tuple[int, KnownItem]]:
        """Return *item* unless it is there; what a server has sent once more is for the publisher to leave out."""
        line = self._maker.line(item)
        place = line.place
        if is_new:
            self._keep()
            if (place is None and self._last is None) or (place is not None and not place.came_before(self._last)):
                self.is_over, self.first_new = True, place
            return [(0, item)]
        if place is not None and not place.came_before(self._last):
            self._last = place
        if line.path is None or (place is not None and place.came_before(self._delivered.last)):
            return [(0, item)]
        if self._is_there(line.path, line.data):
            self._delivered.last = place or self._delivered.last
            return []
        self._cut()
        return [(0, item)]

    def has_left(self, path: Path) -> bool:
        """Return whether lines of a file are still to be recognised."""
        return bool(self._left.get(path))

    def _is_there(self, path: Path, data: bytes) -> bool:
        left = self._left.get(path, b"")
        if not left.startswith(data):
            return False
        self._left[path] = left[len(data) :]
        self._delivered.sizes[path] += len(data)
        return True

    def _cut(self) -> None:
        """Let all go that was not recognised: it comes again."""
        self.to_cut |= {path: self._delivered.sizes[path] for path, left in self._left.items() if left}
        self._left.clear()

    def _keep(self) -> None:
        """Keep what was not recognised: a power cut has taken it from the journal, so that it comes no more."""
        for path, left in self._left.items():
            self._delivered.sizes[path] += len(left)
        self._left.clear()
