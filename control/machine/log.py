"""Lines of logs: pieces of the past, and new lines as they come, across rotations."""

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rawdaq.control.log_place import LogPlace
from rawdaq.control.names import Target
from rawdaq.process.runs import log_hint
from rawdaq.process.runtime_files import RuntimeFiles

MAX_LINE_CHARACTERS = 4000

_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z (DEBUG|INFO|WARNING|ERROR|CRITICAL) (\S+) (.*)", re.ASCII)
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_BLOCK_BYTES = 1 << 16
_MOST_BYTES = 1 << 23  # that are looked through for one answer
_POLL_S = 0.5
_FOLLOW_BYTES = 1 << 18  # that are read at a time; what comes faster than that is skipped


class LogLine(NamedTuple):
    """A line of a log.

    Attributes:
        time: as in the line; None for lines without one, such as of a traceback.
        level: ``DEBUG``, ``INFO``, ``WARNING``, ``ERROR`` or ``CRITICAL``; None likewise.
        logger: which part logged it; None likewise.
        text: the rest.
    """

    time: str | None
    level: str | None
    logger: str | None
    text: str


def place_of(target: Target, runtime: RuntimeFiles) -> LogPlace:
    """Return where the log of *target* is."""
    running = target.running if target.state == "running" else None
    if running is not None:
        if running.log_file is not None:
            return LogPlace(running.log_file)
        text = f"it does not log to a file; see {log_hint(None)}"
        return LogPlace(runtime.log_file(target.key), f"{text}. What is shown is of an earlier run")
    known = (target.running and target.running.log_file) or (target.ended and target.ended.log_file)
    return LogPlace(known or runtime.log_file(target.key))


class Piece(NamedTuple):
    """Lines of a file.

    Attributes:
        lines: the oldest first.
        begin: where the first one begins; 0: nothing is before it.
    """

    lines: list[LogLine]
    begin: int


def parse(line: str) -> LogLine:
    """Return what a line of a log says."""
    match = _LINE.fullmatch(line)
    if match is None:
        return LogLine(time=None, level=None, logger=None, text=line[:MAX_LINE_CHARACTERS])
    time, level, logger, text = match.groups()
    return LogLine(time=f"{time}000000Z", level=level, logger=logger, text=text[:MAX_LINE_CHARACTERS])


def selected(lines: Sequence[str], level: str, before: bool = True) -> tuple[list[LogLine], bool]:
    """Return those of *lines* that are at least as severe as *level*, and whether the last one was.

    Lines without a level, as of tracebacks, belong to the one before them.

    Args:
        lines: of a log.
        level: the least severe.
        before: whether the line before them was selected.
    """
    found: list[LogLine] = []
    for each in map(parse, lines):
        if each.level is not None:
            before = _LEVELS[each.level] >= _LEVELS[level]
        if before:
            found.append(each)
    return found, before


def read_back(file: Path, count: int, level: str, end: int | None = None) -> Piece:
    """Return the last *count* lines that end before the byte *end* of *file*; this blocks.

    Raises:
        OSError: the file cannot be read; one that is missing has no lines.
    """
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            end = size if end is None else min(end, size)
            position, data = end, b""
            while True:
                cut = 0 if position == 0 else data.find(b"\n") + 1
                whole = data[cut:] if position == 0 or cut else b""
                lines = whole.decode("utf-8", "backslashreplace").split("\n")[:-1] if whole else []
                found, _ = selected(lines, level, before=False)
                if len(found) >= count or position == 0 or end - position >= _MOST_BYTES:
                    return _cut(whole, position + cut, found, count, level)
                step = min(max(_BLOCK_BYTES, len(data)), position)
                position -= step
                opened.seek(position)
                data = opened.read(step) + data
    except FileNotFoundError:
        return Piece([], 0)


def _cut(whole: bytes, begin: int, found: list[LogLine], count: int, level: str) -> Piece:
    """Return the last *count* of the lines *found* in *whole*, which begins at *begin*."""
    if len(found) <= count:
        return Piece(found, begin)
    raw = whole.split(b"\n")[:-1]
    at, left = len(raw), count
    states: list[bool] = []
    is_in = False
    for line in raw:
        kept, is_in = selected([line.decode("utf-8", "backslashreplace")], level, is_in)
        states.append(bool(kept))
    while at and left:
        at -= 1
        left -= states[at]
    return Piece(found[-count:], begin + sum(len(line) + 1 for line in raw[:at]))


class Follower:
    """New lines of a file, across rotations.

    Args:
        file: the file.
        begin: from which byte on.
    """

    def __init__(self, file: Path, begin: int) -> None:
        self._file, self._at = file, begin
        self._inode: int | None = None
        self._rest = b""

    async def next_lines(self) -> tuple[list[str], int]:
        """Return the next lines, at least one, and how many bytes before them were skipped: they came too fast."""
        while True:
            found = await asyncio.to_thread(self._read)
            if found[0]:
                return found
            await asyncio.sleep(_POLL_S)

    def _read(self) -> tuple[list[str], int]:
        try:
            with self._file.open("rb") as opened:
                seen = os.fstat(opened.fileno())
                if seen.st_ino != self._inode or seen.st_size < self._at:
                    if self._inode is not None:
                        self._at, self._rest = 0, b""
                    self._inode = seen.st_ino
                    self._at = min(self._at, seen.st_size)
                skipped = max(0, seen.st_size - self._at - _FOLLOW_BYTES)
                opened.seek(self._at + skipped)
                data = opened.read(_FOLLOW_BYTES)
        except OSError:  # it is being rotated, or its disk is away
            return [], 0
        self._at += skipped + len(data)
        if skipped:
            self._rest, data = b"", data.partition(b"\n")[2]
        *lines, self._rest = (self._rest + data)[-_FOLLOW_BYTES:].split(b"\n")
        return [line.decode("utf-8", "backslashreplace") for line in lines], skipped
