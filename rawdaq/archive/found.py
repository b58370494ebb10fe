"""Samples that are in the files of an archive already: recognised when they are to be written once more.

After a crash records are cut elsewhere than before, so samples are compared, not records: same stream, same rate, the
same place in time to half a sample interval, the same values.
"""

import contextlib
import logging
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from rawdaq.archive.whole_records import whole_records
from rawdaq.errors import InvalidValue
from rawdaq.journal.pieces import parts
from rawdaq.miniseed.file import RawRecord, RecordFile
from rawdaq.miniseed.reader import RecordUnreadable, read_content
from rawdaq.packet import Packet, PacketRun, Samples
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, sample_time

#: Rates that a record of miniSEED 2 says are not exact.
_RATE_TOLERANCE = 1e-4
_NEAR = 0.75  # sample intervals

Item = Packet | PacketRun | bytes


class _Record:
    """A record that was found; decoded when it is looked at."""

    def __init__(self, raw: RawRecord) -> None:
        self.start_ns, self.rate_hz, self.count = raw.info.start_ns, raw.info.rate_hz, raw.info.sample_count
        self._data = raw.data

    @cached_property
    def samples(self) -> Samples | None:
        """Its samples; None when it is damaged."""
        try:
            return read_content(self._data).samples
        except RecordUnreadable:
            return None

    def place(self, time_ns: int, rate_hz: float, expected: int) -> int | None:
        """Return which of its samples is that at *time_ns*; None: it holds none there, or only before *expected*.

        Args:
            time_ns: the time of the sample.
            rate_hz: the sampling rate of its stream.
            expected: the index that it probably has; packets may be half an interval off, so that rounding misleads.
        """
        if abs(self.rate_hz - rate_hz) > rate_hz * _RATE_TOLERANCE:
            return None
        place = (time_ns - self.start_ns) * rate_hz / NS_PER_S
        index = expected if abs(place - expected) < _NEAR else round(place)
        return index if expected <= index < self.count else None

    def has(self, samples: Samples, index: int) -> bool:
        """Return whether *samples* are its own from *index* on."""
        own = self.samples
        if own is None or own.size < index + samples.size:
            return False
        return np.array_equal(own[index : index + samples.size], samples, equal_nan=own.dtype.kind == "f")


class _Stretch:
    """The records of one stream that were found in one file, in their order; each is recognised once.

    Attributes:
        file: name of the file.
        samples: how many samples were recognised.
        foreign: how many records were passed over that were not.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.samples = self.foreign = 0
        self._records: list[_Record] = []
        self._at = 0  # the record that comes next
        self._offset = 0  # how many samples of it were recognised

    def add(self, record: _Record) -> None:
        """Add what stands behind the others."""
        self._records.append(record)

    @property
    def left(self) -> int:
        """How many records are left to be recognised."""
        return len(self._records) - self._at

    def match(self, packet: Packet, begin: int, *, can_skip: bool) -> int:
        """Return how many samples of *packet* from *begin* on are those that come next; or, with *can_skip*, behind."""
        time_ns, rate_hz = sample_time(packet.start_ns, begin, packet.rate_hz), packet.rate_hz
        for at in range(self._at, len(self._records) if can_skip else min(self._at + 1, len(self._records))):
            record, expected = self._records[at], self._offset if at == self._at else 0
            index = record.place(time_ns, rate_hz, expected)
            if index is None or (index != expected and not can_skip):
                continue
            count = min(record.count - index, packet.size - begin)
            if record.has(packet.samples[begin : begin + count], index):
                self._pass(at, index + count, record)
                self.samples += count
                return count
        return 0

    def _pass(self, at: int, offset: int, record: _Record) -> None:
        self.foreign += max(0, at - self._at - (self._offset > 0))
        self._at, self._offset = (at, offset) if offset < record.count else (at + 1, 0)

    def next_place(self, packet: Packet, begin: int) -> int:
        """Return where in *packet*, behind *begin*, a record begins; its end when none does."""
        places = (
            round((record.start_ns - packet.start_ns) * packet.rate_hz / NS_PER_S)
            for record in self._records[self._at :]
        )
        return min((place for place in places if begin < place < packet.size), default=packet.size)


class FoundSamples:
    """What was written before a crash and beyond the cursor in the journal.

    Args:
        log: where it is logged what was recognised, and what was not.

    Attributes:
        ends: the sizes of the files that were read.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._streams: dict[StreamId, list[_Stretch]] = {}
        self._begins: dict[str, int] = {}
        self._samples = 0
        self.ends: dict[str, int] = {}

    @classmethod
    def read(cls, root: Path, sizes: Mapping[str, int], log: logging.Logger) -> "FoundSamples":
        """Return what stands in files below *root* beyond *sizes*; it is on the disk then. This blocks.

        Raises:
            OSError: a file cannot be read.
        """
        found = cls(log)
        for name, size in sizes.items():
            found._read_file(root, name, size)
        return found

    def _read_file(self, root: Path, name: str, begin: int) -> None:
        path = root / name
        try:
            end = _end(path)
        except FileNotFoundError:
            return
        if end <= begin:
            return
        self.ends[name] = end
        file = RecordFile(path, lambda path, text: None)  # what is no record is told when the file is opened
        stretches: dict[StreamId, _Stretch] = {}
        for raw in file.records(begin, end):
            with contextlib.suppress(InvalidValue):
                stretches.setdefault(StreamId.parse(raw.info.name), _Stretch(name)).add(_Record(raw))
        if stretches:
            self._begins[name] = begin
        for stream, stretch in stretches.items():
            self._streams.setdefault(stream, []).append(stretch)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be recognised."""
        return not self._streams

    @property
    def unsettled(self) -> Mapping[str, int]:
        """Files with records that are not recognised yet, and where the first of all that were found begins."""
        return self._begins

    def rest(self, item: Item, is_new: bool) -> list[tuple[int, Item]]:
        """Return what of *item* is not there, each part with the index of its first sample.

        Args:
            item: what comes next in the journal.
            is_new: whether it came after the crash: one that is not there then ends the search in its stream.
        """
        if isinstance(item, bytes) or item.stream not in self._streams:
            return [(0, item)]
        stretches = self._streams[item.stream]
        missing: list[tuple[int, int]] = []
        begin = 0
        for packet in (item,) if isinstance(item, Packet) else item:
            missing += [(begin + first, begin + end) for first, end in _missing(packet, stretches)]
            begin += packet.size
        is_unknown = sum(end - first for first, end in missing) == item.size
        self._settle(item.stream, is_ended=is_new and is_unknown and item.size > 0)
        if is_unknown:
            return [(0, item)]
        return [piece for first, end in _joined(missing) for piece in parts(item, first, end)]

    def _settle(self, stream: StreamId, *, is_ended: bool) -> None:
        """Forget what is recognised; all of *stream* when the search in it has ended."""
        left = [each for each in self._streams[stream] if each.left and not is_ended]
        for stretch in self._streams[stream]:
            if stretch not in left:
                self._end(stretch)
        if left:
            self._streams[stream] = left
        else:
            del self._streams[stream]
        names = {each.file for stretches in self._streams.values() for each in stretches}
        self._begins = {name: begin for name, begin in self._begins.items() if name in names}
        if not self._streams:
            self._log.info("%d samples were written before the last end, and not once more", self._samples)

    def _end(self, stretch: _Stretch) -> None:
        self._samples += stretch.samples
        if foreign := stretch.foreign + stretch.left:
            self._log.warning(
                "%s: %d of its last records are not what the journal has; they stay there", stretch.file, foreign
            )


def _missing(packet: Packet, stretches: list[_Stretch]) -> list[tuple[int, int]]:
    """Return which samples of *packet*, as (first, end), are in none of *stretches*."""
    missing: list[tuple[int, int]] = []
    begin = 0
    while begin < packet.size:
        # Of a time that came twice the files may hold both: what comes next in one of them goes first.
        tries = ((each, can_skip) for can_skip in (False, True) for each in stretches)
        counts = (each.match(packet, begin, can_skip=can_skip) for each, can_skip in tries)
        count = next(filter(None, counts), 0)
        if not count:
            end = min(each.next_place(packet, begin) for each in stretches)
            missing.append((begin, end))
            count = end - begin
        begin += count
    return missing


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return *ranges* with those that follow each other as one."""
    joined: list[tuple[int, int]] = []
    for first, end in ranges:
        if joined and joined[-1][1] == first:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((first, end))
    return joined


def _end(path: Path) -> int:
    """Return where the last whole record of a file ends, when all of it is on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        return whole_records(fd, os.fstat(fd).st_size).end
    finally:
        os.close(fd)
