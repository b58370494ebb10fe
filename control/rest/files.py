"""Files of a page: those of a folder, by name, with an ETag; what is not in it cannot be had."""

import hashlib
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".html": "text/html"}


class PageFile(NamedTuple):
    """A file as it is sent.

    Attributes:
        data: its content.
        media_type: its type, with the charset of texts.
        etag: changes with its content.
    """

    data: bytes
    media_type: str
    etag: str


class PageFiles:
    """The files of a page.

    Args:
        folder: where they are; names of files that it has at the first question are all that there will be.
        prefix: what the paths of all of them begin with, such as ``/page/``.
        index: the name of the file for the addresses of the page itself.
        addresses: these: paths, or with ``*`` at their end all that begin so.
        others: names of files by further paths, such as that of an icon.
    """

    def __init__(
        self, folder: Path, prefix: str, index: str, addresses: Sequence[str], others: Mapping[str, str]
    ) -> None:
        self._folder, self._prefix, self._index = folder, prefix, index
        self._exact = {address for address in addresses if not address.endswith("*")}
        self._starts = tuple(address[:-1] for address in addresses if address.endswith("*"))
        self._others = others
        self._names: frozenset[str] | None = None
        self._cached: dict[str, tuple[tuple[int, int], PageFile]] = {}

    def find(self, path: str) -> PageFile | None:
        """Return the file for *path*, None when there is none."""
        if self._names is None:
            found = (each for each in self._folder.rglob("*") if each.is_file())
            self._names = frozenset(each.relative_to(self._folder).as_posix() for each in found)
        name = self._name(path)
        return self._read(name) if name in self._names else None

    def _name(self, path: str) -> str:
        if path in self._exact or path.startswith(self._starts):
            return self._index
        return self._others.get(path) or (path.removeprefix(self._prefix) if path.startswith(self._prefix) else "")

    def _read(self, name: str) -> PageFile | None:
        file = self._folder / name
        try:
            seen = file.stat()
            mark = seen.st_mtime_ns, seen.st_size
            if (known := self._cached.get(name)) and known[0] == mark:
                return known[1]
            data = file.read_bytes()
        except OSError:  # an update of rawdaq removes it just now
            return None
        media_type = _TYPES.get(file.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        charset = "; charset=utf-8" if media_type.startswith("text/") else ""
        made = PageFile(data, media_type + charset, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
        self._cached[name] = mark, made
        return made
