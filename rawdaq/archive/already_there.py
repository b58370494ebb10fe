"""Samples that an archive has already are not appended again: a file that is played twice, a batch given again.

They are the same when stream, rate, type, quality, flags, values and, to half a sample, times are. What differs is
appended: nothing that an archive does not have is ever left out.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, isclose
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.archive.coverage import Coverage
from rawdaq.miniseed.file import RawRecord
from rawdaq.miniseed.format import Record, RecordFormat, RecordRun
from rawdaq.miniseed.maker import RecordMaker
from rawdaq.miniseed.reader import RecordContent, RecordInfo, RecordUnreadable, read_record
from rawdaq.packet import Packet, Samples
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, sample_time, to_iso

_OLD_NS = 3600 * NS_PER_S  # data from so long ago are not of the present
_SURE_HZ = 250_000  # at more a truncated microsecond may be half a sample
_DISTINCT_SAMPLES = 16
_SEQUENCE_BYTES = 6  # at the start of a miniSEED 2 record: records that say the same may differ in these


@dataclass(slots=True)
class _LeftOut:
    """Samples of a stream that were there already."""

    samples: int
    start_ns: int
    end_ns: int


class _Decoded(NamedTuple):
    data: bytes
    info: RecordInfo
    content: RecordContent


class AlreadyThere:
    """Returns what an archive does not have yet; counts and logs what it has.

    Args:
        record_format: of records that are made anew because an archive has a part of them.
        log: where that is logged, once when it begins for a stream and once, with its extent, by `close`.

    Attributes:
        samples: how many samples were there already.
    """

    def __init__(self, record_format: RecordFormat, log: logging.Logger) -> None:
        self.samples = 0
        self._format = record_format
        self._log = log
        self._left_out: dict[StreamId, _LeftOut] = {}

    def missing(self, run: RecordRun, coverage: Coverage, now_ns: int) -> list[RecordRun]:
        """Return the records of *run* that are not in a file, cut to the samples that are not.

        Args:
            run: what is to be appended.
            coverage: what the file has.
            now_ns: the present time.

        Raises:
            OSError: the file cannot be read.
        """
        archived = coverage.overlapping(run, is_old=now_ns - run.starts_ns[-1] > _OLD_NS)
        return list(self._missing(run, archived)) if archived else [run]

    def _missing(self, run: RecordRun, archived: Sequence[RawRecord]) -> Iterator[RecordRun]:
        decoded = [each for each in map(_decoded, archived) if each is not None]
        kept_from = 0
        for index, record in enumerate(run):
            parts = self._missing_parts(record, run.rate_hz, decoded)
            if parts is None:
                continue
            if kept_from < index:
                yield run[kept_from:index]
            yield from parts
            kept_from = index + 1
        if kept_from < len(run):
            yield run[kept_from:] if kept_from else run

    def _missing_parts(
        self, record: Record, rate_hz: float, archived: Sequence[_Decoded]
    ) -> Sequence[RecordRun] | None:
        """Return the parts of *record* that are not there; None when nothing of it is there."""
        info, content = read_record(record.data)
        if content.samples is None:
            same = (each.data[_SEQUENCE_BYTES:] == record.data[_SEQUENCE_BYTES:] for each in archived)
            is_there = any(same)  # a text, or a state of health
            if is_there:
                self._count(record.stream, 0, record.start_ns, record.end_ns)
            return [] if is_there else None
        alike = [each for each in archived if each.content.marks == content.marks]
        there = _samples_there(info, content.samples, alike)
        if not there.any():
            return None
        places = np.flatnonzero(there)
        first_ns, last_ns = (sample_time(record.start_ns, int(places[at]), rate_hz) for at in (0, -1))
        self._count(record.stream, len(places), first_ns, last_ns)
        return self._made_of(record, rate_hz, content, there)

    def _made_of(
        self, record: Record, rate_hz: float, content: RecordContent, there: npt.NDArray[np.bool_]
    ) -> Sequence[RecordRun]:
        """Return records of the samples that are not there."""
        samples = content.samples
        assert samples is not None  # noqa: S101 - the caller has looked
        maker, made = RecordMaker(self._format), list[RecordRun]()
        edges = np.flatnonzero(np.diff(there, prepend=True, append=True))
        for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            start_ns = sample_time(record.start_ns, first, rate_hz)
            packet = Packet(
                record.stream, start_ns, rate_hz, samples[first:end], content.timing_quality, marks=content.marks
            )
            made += maker.add([packet], 0)
            made += maker.flush()
        return made

    def _count(self, stream: StreamId, samples: int, start_ns: int, end_ns: int) -> None:
        self.samples += samples
        left_out = self._left_out.get(stream)
        if left_out is None:
            self._left_out[stream] = _LeftOut(samples, start_ns, end_ns)
            self._log.warning(
                "%s: samples from %s on are in the archive already: not appended again, counted as already_there",
                stream,
                to_iso(start_ns),
            )
            return
        left_out.samples += samples
        left_out.start_ns, left_out.end_ns = min(left_out.start_ns, start_ns), max(left_out.end_ns, end_ns)

    def close(self) -> None:
        """Log how much was there already."""
        for stream, each in self._left_out.items():
            self._log.info(
                "%s: %d samples were in the archive already, from %s to %s",
                stream,
                each.samples,
                to_iso(each.start_ns),
                to_iso(each.end_ns),
            )
        self._left_out.clear()


def _decoded(record: RawRecord) -> _Decoded | None:
    try:
        return _Decoded(record.data, *read_record(record.data))
    except RecordUnreadable:
        return None  # its samples are lost, so they are not there


def _samples_there(new: RecordInfo, samples: Samples, archived: Sequence[_Decoded]) -> npt.NDArray[np.bool_]:
    """Return for each of *samples* whether it is in one of the *archived* records."""
    there = np.zeros(samples.size, np.bool_)
    for _, info, content in archived:
        old = content.samples
        if old is None or old.dtype != samples.dtype or not isclose(info.rate_hz, new.rate_hz, rel_tol=1e-6):
            continue
        nearest = round((info.start_ns - new.start_ns) * new.rate_hz / NS_PER_S)
        for shift in _shifts(nearest, new.rate_hz):
            first, end = max(0, shift), min(samples.size, shift + old.size)
            if first < end and _is_equal(samples[first:end], old[first - shift : end - shift]):
                if shift == nearest or _is_distinct(samples[first:end]):
                    there[first:end] = True
                    break
    return there


def _shifts(nearest: int, rate_hz: float) -> Iterator[int]:
    """Yield *nearest*, then its neighbours where the microseconds of miniSEED 2 leave open which sample is meant."""
    yield nearest
    for distance in range(1, ceil(rate_hz / 1e6) + 1 if rate_hz > _SURE_HZ else 1):
        yield nearest - distance
        yield nearest + distance


def _is_distinct(samples: Samples) -> bool:
    """Whether values alone show which samples these are: there are some, and they differ."""
    return samples.size >= _DISTINCT_SAMPLES and bool((samples != samples[0]).any())


def _is_equal(some: Samples, others: Samples) -> bool:
    return bool(np.array_equal(some, others, equal_nan=some.dtype.kind == "f"))
