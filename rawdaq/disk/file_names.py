"""Names of files that follow each other: by time, by number, or a single one."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rawdaq.errors import InvalidValue
from rawdaq.times import to_datetime

#: What is appended to the name of a file while it is written.
PART: Final = ".part"

_DATE: Final = "%Y-%m-%d_%H%M%S"
_NO_SUFFIX: Final = ("", "none", "None")  # YAML's None is a text
_ORDER: Final = "order"


class FileNames:
    """Names in a folder: prefix, suffix, extension.

    >>> names = FileNames(Path("data"), "Events", "date", ".rdc")
    >>> candidates = names.candidates(1_795_950_000_000_000_000)
    >>> next(candidates).name, next(candidates).name
    ('Events_2026-11-29_110000.rdc', 'Events_2026-11-29_110000-2.rdc')

    Args:
        folder: where they are.
        prefix: what all names begin with; an underscore follows where it ends with a letter or digit.
        suffix: ``date`` (UTC), ``order`` (001, 002...), a pattern of ``strftime`` (UTC), or None for one file.
        extension: what they end with.

    Attributes:
        is_single: whether there is one name only.

    Raises:
        InvalidValue: a name would lead into another folder, or the pattern is invalid.
    """

    def __init__(self, folder: Path, prefix: str, suffix: str | None, extension: str) -> None:
        self.folder = folder
        self.is_single = suffix is None or suffix in _NO_SUFFIX
        self._suffix = "" if suffix is None or self.is_single else _DATE if suffix == "date" else suffix
        if self._suffix not in ("", _ORDER) and "%" not in self._suffix:
            raise InvalidValue(f"suffix {suffix!r} is not date, order, none, or a pattern of strftime such as %Y-%m-%d")
        self._begin = f"{prefix}_" if prefix[-1:].isalnum() and not self.is_single else prefix
        self._extension = extension
        for part in (prefix, self._suffix, extension):
            if "/" in part or "\0" in part:
                raise InvalidValue(f"{part!r} cannot be a part of a file name: it has a / in it")
        if not prefix and self.is_single:
            raise InvalidValue("a file without prefix and suffix has no name: give it a prefix, or suffix: date")

    def candidates(self, now_ns: int) -> Iterator[Path]:
        """Yield the names that a file may get that begins at *now_ns*, the first that is free is to be taken.

        Raises:
            OSError: the folder cannot be read.
        """
        if self.is_single:
            yield self.folder / f"{self._begin}{self._extension}"
            return
        if self._suffix == _ORDER:
            number = self._highest() + 1
            while True:
                yield self.folder / f"{self._begin}{number:03d}{self._extension}"
                number += 1
        stem = self._begin + to_datetime(now_ns).strftime(self._suffix)
        yield self.folder / f"{stem}{self._extension}"
        number = 2
        while True:
            yield self.folder / f"{stem}-{number}{self._extension}"
            number += 1

    def _highest(self) -> int:
        """Return the highest number that a file in the folder has, also one that is still written; 0: there is none."""
        name = re.compile(f"{re.escape(self._begin)}([0-9]+){re.escape(self._extension)}({re.escape(PART)})?")
        found = [match[1] for each in os.listdir(self.folder) if (match := name.fullmatch(each))]
        return max(map(int, found), default=0)

    def parts(self) -> list[Path]:
        """Return the files in the folder that were not finished, in order of their names.

        Raises:
            OSError: the folder cannot be read.
        """
        end = f"{self._extension}{PART}"
        names = [name for name in os.listdir(self.folder) if name.startswith(self._begin) and name.endswith(end)]
        if self.is_single:
            names = [name for name in names if name == f"{self._begin}{end}"]
        return [self.folder / name for name in sorted(names)]

    def finished(self) -> list[Path]:
        """Return the files in the folder that have such names, also renamed ones, and are not being written.

        Raises:
            OSError: the folder cannot be read.
        """
        names = os.listdir(self.folder)
        return [self.folder / each for each in names if each.startswith(self._begin) and each.endswith(self._extension)]
