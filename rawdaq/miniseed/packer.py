"""libmseed's packer: samples in, miniSEED 2 and 3 records of any encoding out.

Of pymseed 1.0 this uses its interface to libmseed (``pymseed.clib``: ``MS3Record``, ``msr3_pack_init``,
``msr3_pack_next``, ``msr3_pack_free``) and its capture of libmseed's messages; see ``docs/decisions/records.md``.
"""

import struct
from typing import Any

import numpy as np
from pymseed import clib, get_error_messages
from pymseed.logging import ensure_thread_logging

from rawdaq.miniseed.format import MAX_EXTRA_BYTES, USUAL_PUBLICATION, RecordFormat, room_for_headers
from rawdaq.miniseed.header import extra_headers
from rawdaq.miniseed.patch import patched
from rawdaq.packet import Marks, Samples
from rawdaq.stream_id import StreamId

# The compiled half of pymseed carries no types.
_untyped: Any = clib
_ffi = _untyped.ffi
_lib = _untyped.clibmseed

#: libmseed's numbers of the encodings.
INT16, INT32, STEIM1, STEIM2 = _lib.DE_INT16, _lib.DE_INT32, _lib.DE_STEIM1, _lib.DE_STEIM2
FLOAT32, FLOAT64 = _lib.DE_FLOAT32, _lib.DE_FLOAT64

_DATA_OFFSET = struct.Struct(">44xH")  # of a miniSEED 2 record
_ODD_NS = 37_000  # a time for which libmseed writes blockette 1001
_MAX_SERIAL_BYTES = 1 << 15  # STEIM2 puts at most 7 samples in 4 bytes: 57 344 here


class Packer:
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
        self._flags = ""  # FDSN's extra headers that are flags
        self._room_for_headers = room_for_headers(record_format, stream)
        self._record = record = _ffi.new("MS3Record *")
        record.sid = stream.fdsn.encode()
        record.reclen = record_format.length_bytes
        record.formatversion = record_format.version

    def set_run(self, letter: bytes, rate_hz: float, marks: Marks | None = None) -> bool:
        """Set what stays the same over a run; return whether records have room for all *marks*."""
        publication, flags, headers = marks or Marks()
        self._record.pubversion = publication or USUAL_PUBLICATION[self._record.formatversion]
        self._record.flags = flags
        has_room = self._is_v2 or len(headers) <= self._room_for_headers
        self._flags = headers if has_room else ""
        self._extra = _ffi.new("char[]", MAX_EXTRA_BYTES + len(self._flags))
        self._record.sampletype = letter
        # Above 32767 Hz miniSEED 2 can say whole numbers only; every record has its exact start all the same.
        self._record.samprate = float(round(rate_hz)) if self._is_v2 and rate_hz > 32_767 else rate_hz
        return has_room

    def pin(self, samples: Samples) -> None:
        """Take the next records from *samples*, which must stay as they are until `unpin`."""
        self._pinned = _ffi.from_buffer(samples)
        self._item_bytes = samples.itemsize
        self._count = samples.size
        ensure_thread_logging()  # a thread that libmseed does not know yet would see its messages on stderr

    def unpin(self) -> None:
        """Let go of the samples, so that their memory can be given back."""
        self._pinned = _ffi.NULL

    def pack(
        self, first: int, code: int, start_ns: int, sequence: int, timing_quality: int | None, limit: int
    ) -> tuple[list[bytes], list[int]]:
        """Return the next records from sample *first* on, at most *limit*, and how many samples each holds."""
        self.begin(first, code, start_ns, sequence, timing_quality)
        try:
            records = self.records(limit)
        finally:
            self.end()
        return records, self.sample_counts(records)

    def begin(self, first: int, code: int, start_ns: int, sequence: int, timing_quality: int | None) -> None:
        """Begin to pack the samples from *first* on; `end` must follow."""
        # Compressed samples begin at a multiple of 64 bytes, which leaves room for what `patched` writes.
        has_room = self._is_v2 and (timing_quality is None or code in (STEIM1, STEIM2))
        if has_room:
            extra = extra_headers(None, None, self._flags)
        else:
            extra = extra_headers(sequence, timing_quality, self._flags)
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
        """Return *records* one after the other, with what `begin` did not pass to libmseed."""
        return patched(records, sequence, timing_quality) if self._is_v2 else b"".join(records)

    def series_header(self, code: int) -> bytes | None:
        """Return a header for a `RecordSeries` of this encoding, good until `set_run`; None when there can be none."""
        if not self.is_serial:
            return None
        self.pin(np.zeros(1))  # room for a sample of any type
        self.begin(0, code, _ODD_NS, 1, None)
        try:
            records = self.records(1)
        finally:
            self.end()
        return records[0][: _DATA_OFFSET.unpack_from(records[0])[0]] if records else None

    def why_not(self) -> str:
        """Return why libmseed made no record, in its words."""
        messages = get_error_messages()
        return messages[0] if messages else "libmseed does not say why"
