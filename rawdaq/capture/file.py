"""The file of a capture: what a device sent, byte for byte, with arrival times; see ``docs/decisions/capture.md``.

A file is one line that names the format, then entries: a head of 18 bytes, the peer's name, the data. Files of a
capture are named like rotated logs: ``PATH`` is the newest, ``PATH.1`` the one before it.
"""

import logging
import re
import struct
from collections.abc import Generator, Iterator
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rawdaq.errors import InvalidValue

MAGIC = b"rawdaq capture 1\n"

#: Far above what one read from a socket brings: more is damage.
MAX_DATA_BYTES = 1 << 28

_HEAD = struct.Struct("<BBIqI")  # kind, bytes of the peer's name, connection, time_ns, bytes of data
HEAD_BYTES = _HEAD.size

_READ_BYTES = 1 << 20
_NUMBER = re.compile(r"\.([1-9]\d*)", re.ASCII)
_MAX_PEER_BYTES = 255


class Kind(IntEnum):
    """What happened."""

    OPENED = 1  #: a connection began
    RESUMED = (
        2  #: an open connection goes on; the number (in digits) of entries follow that lead a new one to its state
    )
    SENT = 3  #: we sent the data to the device
    RECEIVED = 4  #: the device sent the data
    ENDED = 5  #: a connection ended; the data are an `End`
    DATAGRAM = 6  #: the peer sent the data to the port that stands in place of a connection
    LOST = 7  #: entries could not be written here; the data are a text with their number


class End(StrEnum):
    """How a connection ended."""

    CLOSED = "closed"  #: the device closed its side
    RESET = "reset"  #: the device reset it, or it broke
    OURS = "ours"  #: we closed it


class Entry(NamedTuple):
    """One thing that happened.

    Attributes:
        kind: what.
        connection: number of the connection, from 1 when the receiver starts; of a datagram, the port that it came to.
        time_ns: when it arrived, by the receiver's clock.
        peer: the sender, as ``HOST:PORT``, where a connection begins and of each datagram; else empty.
        data: byte for byte.
    """

    kind: Kind
    connection: int
    time_ns: int
    peer: str
    data: bytes


class NotACapture(InvalidValue):
    """A file is not a capture, or of a later version; the text names it."""


def encode_head(kind: Kind, connection: int, time_ns: int, peer: bytes, size_bytes: int) -> bytes:
    """Return what stands before the data of an entry."""
    peer = peer[:_MAX_PEER_BYTES]
    return _HEAD.pack(kind, len(peer), connection, time_ns, size_bytes) + peer


def files_of(path: Path) -> list[Path]:
    """Return the existing files of the capture *path*, oldest first."""
    numbered: dict[int, Path] = {}
    for file in path.parent.glob("*"):
        match = _NUMBER.fullmatch(file.name.removeprefix(path.name)) if file.name.startswith(path.name) else None
        if match:
            numbered[int(match[1])] = file
    older = [numbered[number] for number in sorted(numbered, reverse=True)]
    return older + ([path] if path.exists() else [])


def read_capture(path: Path, log: logging.Logger) -> Generator[Entry]:
    """Yield the entries of all files of the capture *path*, oldest first.

    What follows damage in a file is left out, which is logged.

    Raises:
        NotACapture: there is no file, or one of them is not a capture or cannot be read.
    """
    files = files_of(path)
    if not files:
        raise NotACapture(f"there is no capture {path}; give the path of `capture` in the station file")
    for file in files:
        reader = FileReader(file)
        try:
            yield from reader
        except OSError as error:
            raise NotACapture(f"{file} cannot be read: {error.strerror}") from error
        if not reader.is_whole:
            log.warning("%s is cut or damaged after %d bytes; what follows is left out", file, reader.position)


class FileReader:
    """Yields the entries of one file up to its end or to an invalid entry.

    Attributes:
        position: where the last whole entry ends.
        is_whole: whether that is the end of the file; known after the last entry.

    Raises:
        NotACapture: the file is not a capture.
        OSError: it cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self.position = 0
        self.is_whole = False
        self._file = file

    def __iter__(self) -> Iterator[Entry]:
        with self._file.open("rb", _READ_BYTES) as stream:
            magic = stream.read(len(MAGIC))
            if magic != MAGIC and not (MAGIC.startswith(magic) and len(magic) < len(MAGIC)):
                raise NotACapture(
                    f"{self._file} is not a capture that this rawdaq reads: it does not begin with {MAGIC!r}"
                )
            self.position = len(magic)
            while (entry := self._entry(stream)) is not None:
                yield entry
            stream.seek(0, 2)
            self.is_whole = magic == MAGIC and stream.tell() == self.position

    def _entry(self, stream: BinaryIO) -> Entry | None:
        head = stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        kind, peer_bytes, connection, time_ns, data_bytes = _HEAD.unpack(head)
        if kind not in _KINDS or data_bytes > MAX_DATA_BYTES:
            return None
        rest = stream.read(peer_bytes + data_bytes)
        if len(rest) < peer_bytes + data_bytes:
            return None
        self.position += _HEAD.size + len(rest)
        return Entry(_KINDS[kind], connection, time_ns, rest[:peer_bytes].decode("utf-8", "replace"), rest[peer_bytes:])


_KINDS = {kind.value: kind for kind in Kind}
