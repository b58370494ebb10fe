"""Packets in, miniSEED records out: streaming, aware of gaps, without a clock. The only importer of pymseed.

Each record has the start time and the sequence number that it deserves; see ``docs/decisions/records.md``. Of pymseed
1.0 this uses its interface to libmseed (``pymseed.clib``: ``MS3Record``, ``msr3_pack_init``, ``msr3_pack_next``,
``msr3_pack_free``) and its capture of libmseed's messages.
"""

import logging
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from pymseed import clib, get_error_messages
from pymseed.logging import ensure_thread_logging

from rawdaq.packet import Packet, PacketRun, Samples, SampleType, StreamId
from rawdaq.record_format import MAX_EXTRA_BYTES, Encoding, Record, RecordFormat, RecordRun, why_not
from rawdaq.record_patch import MAX_SEQUENCE, patched
from rawdaq.sample_run import SampleRun
from rawdaq.times import MAX_YEAR, MIN_YEAR, NS_PER_S, from_calendar

__all__ = ["Encoding", "Record", "RecordCounts", "RecordFormat", "RecordMaker", "RecordRun", "why_not"]

_log = logging.getLogger("rawdaq.records")

# The compiled half of pymseed carries no types.
_untyped: Any = clib
_ffi = _untyped.ffi
_lib = _untyped.clibmseed

#: What a record can carry, within what libmseed converts without losing it.
_MIN_RATE_HZ, _MAX_RATE_HZ = 1e-9, 1e9
_MIN_NS, _MAX_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0), from_calendar(MAX_YEAR, 365, 0, 0, 0)
_MAX_SERIAL_BYTES = 1 << 15  # STEIM2 puts at most 7 samples in 4 bytes: 57 344 here
_STEP_NS = 1000  # miniSEED 2 has microseconds
_ENOUGH = 1 << 8  # records of a stream that may be full before they are made: more would only take memory
_MAX_SERIES = 1 << 10  # records made in one go: what is made and not right is made again


@dataclass(slots=True)
class RecordCounts:
    """What was made of one stream.

    Attributes:
        records: records made.
        samples: samples in them.
        fallbacks: records that hold a step or a value for which the encoding has no room.
        refused: samples that no record can carry, for their rate or time; logged.
    """

    records: int = 0
    samples: int = 0
    fallbacks: int = 0
    refused: int = 0


class _Plan(NamedTuple):
    """How one sample type is stored: libmseed's letter for it, and encodings, the wanted one first."""

    letter: bytes
    dtype: str
    codes: tuple[int, ...]


_INT16, _INT32, _STEIM1, _STEIM2 = _lib.DE_INT16, _lib.DE_INT32, _lib.DE_STEIM1, _lib.DE_STEIM2
_INTEGER_CODES: Mapping[str, tuple[int, ...]] = {
    Encoding.AUTO: (_STEIM2, _STEIM1, _INT32),
    Encoding.STEIM2: (_STEIM2, _STEIM1, _INT32),
    Encoding.STEIM1: (_STEIM1, _INT32),
    Encoding.INT16: (_INT16, _INT32),
    Encoding.INT32: (_INT32,),
}
_FLOAT32 = _Plan(b"f", "float32", (_lib.DE_FLOAT32,))
_FLOAT64 = _Plan(b"d", "float64", (_lib.DE_FLOAT64,))
_NO_PLAN = _Plan(b"", "int32", ())  # of a stream before its first packet
_FITS_FLOAT32 = (SampleType.INT8, SampleType.INT16, SampleType.FLOAT32)


def _plans(encoding: str) -> dict[np.dtype[Any], _Plan]:
    """Return how samples of each type, in either byte order, are stored; types that share a plan share records."""
    integers = _Plan(b"i", "int32", _INTEGER_CODES.get(encoding, _INTEGER_CODES[Encoding.AUTO]))
    plans = dict.fromkeys(SampleType, integers)
    plans |= {SampleType.FLOAT32: _FLOAT32, SampleType.FLOAT64: _FLOAT64}
    if encoding == Encoding.FLOAT32:
        plans |= dict.fromkeys(_FITS_FLOAT32, _FLOAT32)
    if encoding == Encoding.FLOAT64:
        plans |= dict.fromkeys(SampleType, _FLOAT64)
    native = {np.dtype(kind.value): plan for kind, plan in plans.items()}
    return native | {dtype.newbyteorder(): plan for dtype, plan in native.items()}


def _can_exceed(code: int, samples: Samples) -> bool:
    """Whether *samples* may hold what libmseed would store wrongly with *code* and not complain."""
    if code not in (_INT16, _STEIM1, _STEIM2):
        return False
    low, high = int(samples.min()), int(samples.max())
    return (low < -(1 << 15) or high >= 1 << 15) if code == _INT16 else high - low >= 1 << 31


def _holds(code: int, samples: Samples) -> bool:
    """Whether *code* stores exactly these samples: values within 16 bits, or differences within 32."""
    if code == _INT16:
        return not _can_exceed(code, samples)
    return code == _INT32 or bool(np.all(np.abs(np.diff(samples.astype(np.int64))) < 1 << 31))


def _right(code: int, samples: Samples, counts: list[int]) -> int:
    """Return how many of the first records, of so many *samples* each, *code* stores exactly."""
    begin = 0
    for index, count in enumerate(counts):
        if not _holds(code, samples[begin : begin + count]):
            return index
        begin += count
    return len(counts)


def _extra_headers(sequence: int, timing_quality: int | None) -> bytes:
    time = b"" if timing_quality is None else b',"Time":{"Quality":%d}' % timing_quality
    return b'{"FDSN":{"Sequence":%d%b}}' % (sequence, time)


class _Packer:
    """libmseed's packer: a series of records of one run of samples, or one record of it."""

    def __init__(self, record_format: RecordFormat, stream: StreamId) -> None:
        self._is_v2 = record_format.version == 2
        # In miniSEED 3 the sequence number is under the checksum, so every record needs a call of its own. So do those
        # of miniSEED 2 that could hold more samples than their header counts, because libmseed does not look.
        self.is_serial = self._is_v2 and record_format.length_bytes <= _MAX_SERIAL_BYTES
        self._max_samples = 65_535 if self._is_v2 else 1 << 30
        self._sample_count = struct.Struct(">30xH") if self._is_v2 else struct.Struct("<24xI")
        self._packers = _ffi.new("MS3RecordPacker **")
        self._data = _ffi.new("char **")
        self._length = _ffi.new("int32_t *")
        self._extra = _ffi.new("char[]", MAX_EXTRA_BYTES)
        self._record = record = _ffi.new("MS3Record *")
        record.sid = stream.fdsn.encode()
        record.reclen = record_format.length_bytes
        record.formatversion = record_format.version
        # In miniSEED 2 publication version 2 is the data quality "D"; in miniSEED 3 the first version is 1.
        record.pubversion = 2 if self._is_v2 else 1

    def set_run(self, letter: bytes, rate_hz: float) -> None:
        """Set what stays the same over a run."""
        self._record.sampletype = letter
        # Above 32767 Hz miniSEED 2 can say whole numbers only; every record has its exact start all the same.
        self._record.samprate = float(round(rate_hz)) if self._is_v2 and rate_hz > 32_767 else rate_hz

    def pin(self, samples: Samples) -> None:
        """Take the next records from *samples*, which must stay where they are until then."""
        self._pinned = _ffi.from_buffer(samples)
        self._item_bytes = samples.itemsize
        self._count = samples.size
        ensure_thread_logging()  # a thread that libmseed does not know yet would see its messages on stderr

    def begin(self, first: int, code: int, start_ns: int, sequence: int, timing_quality: int | None) -> None:
        """Begin to pack the samples from *first* on; `end` must follow."""
        # Compressed samples begin at a multiple of 64 bytes, which leaves room for what `patched` writes.
        has_room = self._is_v2 and (timing_quality is None or code in (_STEIM1, _STEIM2))
        extra = b"" if has_room else _extra_headers(sequence, timing_quality)
        _ffi.memmove(self._extra, extra, len(extra))
        record, count = self._record, self._count - first
        record.extra = self._extra if extra else _ffi.NULL
        record.extralength = len(extra)
        record.starttime = start_ns
        record.encoding = code
        record.datasamples = self._pinned + first * self._item_bytes
        record.numsamples = count if self.is_serial or count < self._max_samples else self._max_samples
        self._packers[0] = _lib.msr3_pack_init(record, _lib.MSF_FLUSHDATA, 0)

    def records(self, limit: int) -> list[bytes]:
        """Return the next records, at most *limit*; fewer when the samples end or the encoding cannot hold one."""
        pack, packer, data, length = _lib.msr3_pack_next, self._packers[0], self._data, self._length
        if not packer or pack(packer, data, length) != 1:
            return []
        # All records of one packer have one length and come in one place; to ask where for each one would cost more
        # than to copy it.
        place = _ffi.buffer(data[0], length[0])
        made = [place[:]]
        add = made.append
        for _ in range(limit - 1):
            if pack(packer, data, length) != 1:
                break
            add(place[:])
        return made

    def sample_counts(self, records: list[bytes]) -> list[int]:
        """Return how many samples each of *records* holds."""
        unpack = self._sample_count.unpack_from
        return [unpack(record)[0] for record in records]

    def end(self) -> None:
        """Give back what `begin` took."""
        if self._packers[0]:
            _lib.msr3_pack_free(self._packers, _ffi.NULL)

    def finished(self, records: list[bytes], sequence: int, timing_quality: int | None) -> bytes:
        """Return *records* one after the other, with what `begin` did not tell libmseed."""
        return patched(records, sequence, timing_quality) if self._is_v2 else b"".join(records)


class _StreamRecords:
    """Makes the records of one stream."""

    def __init__(self, record_format: RecordFormat, stream: StreamId) -> None:
        self.counts = RecordCounts()
        self._stream = stream
        self._length_bytes = record_format.length_bytes
        self._packer = _Packer(record_format, stream)
        self._plan = _NO_PLAN
        self._run = SampleRun(self._plan.dtype, 1.0)
        self._try_at = 1
        self._limit = _MAX_SERIES

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest sample that waits had arrived."""
        return self._run.arrived_ns if len(self._run) else None

    @property
    def waiting(self) -> int:
        """How many samples wait."""
        return len(self._run)

    def add(self, packet: Packet | PacketRun, plan: _Plan, now_ns: int, out: list[RecordRun]) -> None:
        """Append *packet*; when it does not continue what waits, that becomes records first."""
        samples = packet.samples
        if not samples.size:
            return
        run = self._run
        if plan is not self._plan or packet.rate_hz != run.rate_hz or not run.continues(packet.start_ns, self._try_at):
            self.close(out)
            if not (_MIN_RATE_HZ <= packet.rate_hz <= _MAX_RATE_HZ and _MIN_NS <= packet.start_ns <= _MAX_NS):
                return self._refuse(samples.size, f"{packet.rate_hz} Hz from {packet.start_ns} ns on")
            run = self._begin(plan, packet.rate_hz)
        run.append(samples, packet.start_ns, packet.timing_quality, now_ns)

    def _begin(self, plan: _Plan, rate_hz: float) -> SampleRun:
        self._plan = plan
        self._run = SampleRun(plan.dtype, rate_hz)
        self._packer.set_run(plan.letter, rate_hz)
        # No encoding fills a record with less than one sample in every word that is not header.
        self._try_at = max(1, (self._length_bytes - 128) // self._run.samples.itemsize)
        return self._run

    def has_full(self, count: int) -> bool:
        """Whether about *count* records are full."""
        return len(self._run) >= count * self._try_at

    def take(self, out: list[RecordRun]) -> None:
        """Make the records that are full by now."""
        self._make(out, is_closing=False)

    def close(self, out: list[RecordRun]) -> None:
        """Make records of all that waits, the last one perhaps not full."""
        self._make(out, is_closing=True)

    def _make(self, out: list[RecordRun], is_closing: bool) -> None:
        run = self._run
        if len(run) < (1 if is_closing else self._try_at):
            return
        samples, done = run.samples, 0
        self._packer.pin(samples)
        needs_check = _can_exceed(self._plan.codes[0], samples)
        while samples.size - done >= (1 if is_closing else self._try_at):
            made = 0
            for code in self._plan.codes:
                # The record at hand alone falls back; what follows is tried in the wanted encoding again.
                made = made or self._series(samples[done:], done, code, needs_check, is_closing, out)
            if not made:
                return self._drop_run()
            done += made

    def _series(
        self, samples: Samples, first: int, code: int, needs_check: bool, is_closing: bool, out: list[RecordRun]
    ) -> int:
        """Make the records of *samples*, from *first* of what is pinned on, that one call of libmseed makes right.

        Returns:
            How many samples are dealt with: in records, or, at the end, waiting for more. 0: *code* cannot hold them.
        """
        run, packer = self._run, self._packer
        sequence = self.counts.records % MAX_SEQUENCE + 1
        is_fallback = code != self._plan.codes[0]
        quality = run.timing_quality
        packer.begin(first, code, run.start_ns, sequence, quality)
        try:
            records = packer.records(self._limit if packer.is_serial and not is_fallback else 1)
        finally:
            packer.end()
        counts = packer.sample_counts(records)
        starts_ns = run.starts_ns(counts, _STEP_NS)
        self._limit = 1 if len(starts_ns) < len(counts) else min(2 * self._limit, _MAX_SERIES)
        if needs_check:
            del starts_ns[_right(code, samples, counts) :]
        if len(starts_ns) == len(counts) and sum(counts) == samples.size and not is_closing:
            # The last took all there was, so it may have room for more. Trying costs as much as making one.
            self._try_at = counts[-1] * 9 // 8 + 1
            starts_ns.pop()
            waiting = counts[-1]
        else:
            waiting = 0
        made = len(starts_ns)
        if made:
            self._try_at = self._try_at if waiting else counts[made - 1]
            out.append(
                RecordRun(
                    self._stream,
                    starts_ns,
                    counts[:made],
                    run.rate_hz,
                    packer.finished(records[:made], sequence, quality),
                )
            )
            self._count(counts[:made], is_fallback)
        return sum(counts[:made]) + waiting

    def _count(self, counts: list[int], is_fallback: bool) -> None:
        samples = sum(counts)
        self.counts.records += len(counts)
        self.counts.samples += samples
        self.counts.fallbacks += is_fallback
        self._run.drop(samples)

    def _drop_run(self) -> None:
        messages = get_error_messages()
        self._refuse(len(self._run), messages[0] if messages else "libmseed does not say why")
        self._run.drop(len(self._run))

    def _refuse(self, count: int, reason: str) -> None:
        if not self.counts.refused:
            _log.error("%s: no record can carry these samples, counted as refused: %s", self._stream, reason)
        self.counts.refused += count


class RecordMaker:
    """Turns packets of any number of streams into records of one format.

    Packets that follow each other to half a sample interval fill records. A gap, an overlap, another rate or another
    type of samples closes the record at hand. A record begins at the time, and has the timing quality, of the packet
    in which its first sample lies.

    Args:
        record_format: what the records look like.

    Attributes:
        due_ns: when `flush_due` must be called at the latest, None when nothing waits; may be early, never late.
    """

    def __init__(self, record_format: RecordFormat) -> None:
        self.due_ns: int | None = None
        self._format = record_format
        self._flush_after_ns = round(record_format.flush_after_s * NS_PER_S)
        self._plans = _plans(record_format.encoding)
        self._streams: dict[StreamId, _StreamRecords] = {}
        self._held: dict[_StreamRecords, None] = {}

    @property
    def counts(self) -> dict[StreamId, RecordCounts]:
        """What was made of each stream so far."""
        return {stream: records.counts for stream, records in self._streams.items()}

    @property
    def waiting_samples(self) -> int:
        """How many samples wait for their record to fill."""
        return sum(records.waiting for records in self._streams.values())

    def add(self, packets: Iterable[Packet | PacketRun], now_ns: int, at_once: int = 1) -> list[RecordRun]:
        """Return the records that *packets* fill; per stream they are in the order of the samples.

        When ``flush_after_s`` of the format is 0, nothing waits: the last record of each stream may not be full.

        Args:
            packets: of streams for which `why_not` knows no reason.
            now_ns: the time at which they are added, for `due_ns`.
            at_once: when about so many records of a stream are full they are made; until then they are held, for
                `take`. Many made at once cost less than one by one.
        """
        made: list[RecordRun] = []
        touched = self._held
        for packet in packets:
            records = self._streams.get(packet.stream) or self._begin(packet.stream)
            touched[records] = None
            records.add(packet, self._plans[packet.samples.dtype], now_ns, made)
            if records.has_full(_ENOUGH):
                records.take(made)
        self._held = {}
        for records in touched:
            if not self._flush_after_ns:
                records.close(made)
            elif at_once == 1 or records.has_full(at_once):
                records.take(made)
            else:
                self._held[records] = None
        if touched and self._flush_after_ns and (self.due_ns is None or now_ns + self._flush_after_ns < self.due_ns):
            self.due_ns = now_ns + self._flush_after_ns
        return made

    @property
    def is_holding(self) -> bool:
        """Whether records may be full that `take` would make."""
        return bool(self._held)

    def take(self) -> list[RecordRun]:
        """Return the records that are full, those that `add` held included."""
        made: list[RecordRun] = []
        for records in self._held:
            records.take(made)
        self._held = {}
        return made

    def _begin(self, stream: StreamId) -> _StreamRecords:
        records = self._streams[stream] = _StreamRecords(self._format, stream)
        return records

    def flush_due(self, now_ns: int) -> list[RecordRun]:
        """Return what waited for `RecordFormat.flush_after_s` by *now_ns*, as records that may not be full."""
        made: list[RecordRun] = []
        if self.due_ns is None or self.due_ns > now_ns:
            return made
        waiting: list[int] = []
        for records in self._streams.values():
            oldest_ns = records.oldest_ns
            if oldest_ns is not None and oldest_ns + self._flush_after_ns <= now_ns:
                records.close(made)
            elif oldest_ns is not None:
                waiting.append(oldest_ns)
        self.due_ns = min(waiting) + self._flush_after_ns if waiting else None
        return made

    def flush(self) -> list[RecordRun]:
        """Return all that waits, as records that may not be full."""
        made: list[RecordRun] = []
        for records in self._streams.values():
            records.close(made)
        self.due_ns = None
        return made
