"""Reads log files: the last lines, and new lines as they come."""

import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

_BLOCK_BYTES = 65_536
_POLL_S = 0.2


def last_lines(file: Path, count: int, begin: int = 0) -> list[str]:
    """Return the last *count* lines of *file* after its byte *begin*; none when there is no file."""
    try:
        with file.open("rb") as opened:
            return _last_lines(opened, count, begin)
    except FileNotFoundError:
        return []


def _last_lines(opened: BinaryIO, count: int, begin: int) -> list[str]:
    position = opened.seek(0, os.SEEK_END)
    begin = begin if begin <= position else 0  # shorter than it was: a rotation began a new file
    tail = b""
    while position > begin and tail.count(b"\n") <= count:
        step = min(_BLOCK_BYTES, position - begin)
        position -= step
        opened.seek(position)
        tail = opened.read(step) + tail
    return tail.decode("utf-8", "backslashreplace").splitlines()[-count:] if count else []


def size_bytes(file: Path) -> int:
    """Return the size of *file*, 0 when there is none."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def follow(file: Path, begin: int) -> Generator[str]:
    """Yield each line of *file* after its byte *begin*, then new lines as they come, for ever and across rotations."""
    while True:
        if file.exists():
            with file.open("rb") as opened:
                opened.seek(begin)
                yield from _until_rotated(file, opened)
            begin = 0
        time.sleep(_POLL_S)


def _until_rotated(file: Path, opened: BinaryIO) -> Generator[str]:
    line = b""
    while True:
        if opened.tell() > os.fstat(opened.fileno()).st_size:  # by logrotate, with copytruncate
            opened.seek(0)
        is_current = file.exists() and file.stat().st_ino == os.fstat(opened.fileno()).st_ino
        while more := opened.readline():  # after that check, so that an old file is read to its end
            line += more
            if line.endswith(b"\n"):
                yield line[:-1].decode("utf-8", "backslashreplace")
                line = b""
        if not is_current:
            return
        time.sleep(_POLL_S)
