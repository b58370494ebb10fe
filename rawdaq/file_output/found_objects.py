"""What files that follow each other hold beyond the cursor in a journal: recognised when it is delivered once more.

Behind a journal the objects of a publisher are numbered, over all its files. Each file says in its own information
which series of numbers that is and which number its first object has, so a file is found under any name, finished or
repaired. The publisher keeps one number with its cursor: that of the first object that is not delivered and safe.
"""

import logging
import os
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from rawdaq.errors import RawdaqError
from rawdaq.journal.pieces import rest
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.publisher import CursorMarks, KnownItem

SERIES: Final = "series"
FIRST: Final = "first"

_KEY: Final = b"objects"
_MARK: Final = struct.Struct(">8sQ")
_DIGEST_BYTES: Final = 16
#: Files, newest first, without anything beyond the cursor after which no older one is looked at: a clock that was set
#: back may have exchanged neighbours, and a folder may hold thousands.
_LOOK_BACK: Final = 16

#: Returns what a file holds of an item; None when it holds nothing of it.
Identity = Callable[[Packet | Message | bytes], bytes | None]


class ObjectMark(NamedTuple):
    """Up to where the objects of a series are delivered and safe.

    Attributes:
        series: its name.
        number: of the first object that is not.
    """

    series: str
    number: int

    @classmethod
    def new(cls) -> "ObjectMark":
        """Return the begin of a new series."""
        return cls(secrets.token_hex(8), 0)

    @classmethod
    def unpack(cls, marks: CursorMarks) -> "ObjectMark | None":
        """Return what `pack` has made *marks* of; None when there is none."""
        value = marks.get(_KEY, b"")
        if len(value) != _MARK.size:
            return None
        series, number = _MARK.unpack(value)
        return cls(series.hex(), number)

    def pack(self) -> CursorMarks:
        """Return it as a journal keeps it."""
        return {_KEY: _MARK.pack(bytes.fromhex(self.series), self.number)}

    @property
    def stamp(self) -> dict[str, str | int]:
        """What a file says whose first object has this number."""
        return {SERIES: self.series, FIRST: self.number}


class FileObjects(NamedTuple):
    """What a file holds.

    Attributes:
        about: what it says of itself.
        end: how many objects were written into it.
        objects: yields what `Identity` returns of its objects, with their places in the file, from a place on; some of
            them may be damaged and missing.
    """

    about: Mapping[str, Any]
    end: int
    objects: Callable[[int], Iterator[tuple[int, bytes]]]


class FoundObjects:
    """The objects beyond the cursor. The first item that is none of them, in order, is new, and so is all behind it.

    Args:
        begin: number of the first.
        digests: of these objects, one behind the other.
        end: number of the first object that is new: no file has one from it on.
        identity: see there.
        log: where it is logged how many were recognised, or that some were not.

    Attributes:
        end: see above.
        is_over: whether nothing of it is left to be recognised.
    """

    def __init__(self, begin: int, digests: bytes, end: int, identity: Identity, log: logging.Logger) -> None:
        self.end = end
        self.is_over = not digests
        self._begin = begin
        self._digests = digests
        self._at = 0
        self._identity = identity
        self._log = log

    @classmethod
    def read(
        cls,
        paths: Iterable[Path],
        mark: ObjectMark,
        contents: Callable[[Path], AbstractContextManager[FileObjects]],
        identity: Identity,
        log: logging.Logger,
    ) -> "FoundObjects":
        """Return what *paths*, the newest first, hold from *mark* on. This blocks.

        Args:
            paths: files; those of other series are passed over, and those that cannot be read, which is logged.
            mark: the first object that may have to be recognised.
            contents: opens a file and returns what it holds.
            identity: see there.
            log: see above.
        """
        digests: dict[int, bytes] = {}
        end, older = mark.number, 0
        for path in paths:
            try:
                with contents(path) as found:
                    first = _first(found.about, mark.series)
                    if first is None:
                        continue
                    end = max(end, first + found.end)
                    older += first + found.end <= mark.number
                    for place, data in found.objects(max(0, mark.number - first)):
                        digests[first + place] = blake2b(data, digest_size=_DIGEST_BYTES).digest()
            except FileNotFoundError:
                continue
            except (OSError, RawdaqError) as error:
                log.warning("%s cannot be read, so what is in it may be written again: %s", path, error)
            if older == _LOOK_BACK:
                break
        return cls(mark.number, b"".join(_consecutive(digests, mark.number)), end, identity, log)

    @property
    def number(self) -> int:
        """The number of the first object that was not recognised yet; `end` when this is over."""
        return self.end if self.is_over else self._begin + self._at // _DIGEST_BYTES

    def rest(self, item: KnownItem, is_new: bool) -> list[tuple[int, KnownItem]]:
        """Return what of *item* is in no file, with the index of its first sample."""
        return rest(item, self._has)

    def _has(self, item: Packet | Message | bytes) -> bool:
        """Return whether *item* comes next, or nothing is to be written of it; the search ends where it does not."""
        if self.is_over:
            return False
        data = self._identity(item)
        if data is None:
            return True
        if self._digests[self._at : self._at + _DIGEST_BYTES] != blake2b(data, digest_size=_DIGEST_BYTES).digest():
            left = (len(self._digests) - self._at) // _DIGEST_BYTES
            self._log.warning("the last %d objects in the files are not what the journal has; they stay", left)
            self.is_over = True
            return False
        self._at += _DIGEST_BYTES
        self.is_over = self._at == len(self._digests)
        if self.is_over:
            count = self._at // _DIGEST_BYTES
            self._log.info("%d objects were written before the last end, and not once more", count)
        return True


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Return those of *paths* that are there, the one that was written last first."""
    written: list[tuple[int, Path]] = []
    for path in paths:
        try:
            written.append((os.stat(path).st_mtime_ns, path))
        except OSError:
            continue
    return [path for _, path in sorted(written, reverse=True)]


def _first(about: Mapping[str, Any], series: str) -> int | None:
    """Return the number of the first object of a file; None when it is of another series."""
    try:
        return int(about[FIRST]) if about[SERIES] == series else None
    except (KeyError, TypeError, ValueError):
        return None


def _consecutive(digests: Mapping[int, bytes], number: int) -> Iterator[bytes]:
    """Yield those from *number* on up to the first that is missing."""
    while number in digests:
        yield digests[number]
        number += 1
