"""miniSEED records in, samples out: ours and those of other programs, read by libmseed.

No I/O: a caller brings the bytes. Of pymseed 1.0 this uses its interface to libmseed (``pymseed.clib``: ``ms3_detect``,
``msr3_parse``, ``msr3_sampratehz``, ``msr3_free``), its capture of libmseed's messages, and its `MS3TraceList`.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from pymseed import MiniSEEDError, MS3TraceList, clib, get_error_messages
from pymseed.logging import begin_operation

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.miniseed.format import MAX_RATE_HZ, MIN_RATE_HZ, RecordFormat, why_not
from rawdaq.miniseed.header import (
    RECORD_START_BYTES,
    carry_fraction,
    find_record,
    later_v2,
    marks_of,
    read_header,
    read_headers,
    timing_quality,
    with_length_v2,
)
from rawdaq.packet import Marks, Packet, Samples
from rawdaq.stream_id import StreamId
from rawdaq.times import MAX_YEAR, MIN_YEAR, from_calendar, span_ns, to_iso

#: No record is longer than this (libmseed's limit): bounds what a wrong length can make us read.
MAX_RECORD_BYTES = 10_485_760

# The compiled half of pymseed carries no types.
_untyped: Any = clib
_ffi = _untyped.ffi
_lib = _untyped.clibmseed

_MIN_NS, _MAX_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0), from_calendar(MAX_YEAR, 365, 0, 0, 0)
_MAX_NAMES = 1 << 12  # remembered
_DTYPES: dict[bytes, np.dtype[Any]] = {b"i": np.dtype("int32"), b"f": np.dtype("float32"), b"d": np.dtype("float64")}

# A control header of a full SEED volume, in front of the records of old files.
_CONTROL = re.compile(rb"[0-9 \0]{6}[VAST][ *\0]")


class RecordUnreadable(RawdaqError):
    """These bytes are no miniSEED record, or one that is damaged; carries libmseed's reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class RecordInfo(NamedTuple):
    """What the header of a record says.

    Attributes:
        name: ``NET.STA.LOC.CHA`` as the record has it, which no `StreamId` may accept.
        start_ns: time of the first sample.
        end_ns: time of the last sample; the start when there is no sample.
        rate_hz: sampling rate; 0 when the record holds no waveform.
        sample_count: how many samples it says it holds.
        length_bytes: length of the record.
    """

    name: str
    start_ns: int
    end_ns: int
    rate_hz: float
    sample_count: int
    length_bytes: int


class RecordContent(NamedTuple):
    """What a record holds.

    Attributes:
        samples: int32, float32 or float64; None when these are no samples of a waveform, such as a text.
        timing_quality: percent, None when the record does not say.
        marks: data quality and flags; None when they are as usual.
        warning: what is odd in it, such as a last sample that is not the one which the record announces.
    """

    samples: Samples | None
    timing_quality: int | None
    marks: Marks | None
    warning: str | None


def is_miniseed(head: bytes) -> bool:
    """Whether a file that begins with *head* is miniSEED, or a SEED volume around it."""
    return find_record(head[:RECORD_START_BYTES], 0) == 0 or is_control_header(head)


def is_control_header(head: bytes) -> bool:
    """Whether *head* begins one of the control headers that a SEED volume has in front of its records."""
    return _CONTROL.match(head) is not None


def record_length(data: bytes, begin: int) -> int | None:
    """Return the length of the record at *begin* of *data*, 0 when more bytes are needed, None when it is no record."""
    length: int = _lib.ms3_detect(_ffi.from_buffer(data) + begin, len(data) - begin, _ffi.new("uint8_t *"))
    return None if length < 0 or length > MAX_RECORD_BYTES else length


def read_info(data: bytes) -> RecordInfo:
    """Return what the header of the record *data* says.

    Raises:
        RecordUnreadable: it is no record.
    """
    record, _ = _parse(data, 0)
    try:
        return _info(record[0])
    finally:
        _lib.msr3_free(record)


def read_content(data: bytes) -> RecordContent:
    """Return what the record *data* holds.

    Raises:
        RecordUnreadable: it is no record, its checksum is wrong, or its encoding is unknown.
    """
    record, mended = _parse(data, _lib.MSF_UNPACKDATA | _lib.MSF_VALIDATECRC)
    try:
        return _content(record[0], mended)
    finally:
        _lib.msr3_free(record)


def read_record(data: bytes) -> tuple[RecordInfo, RecordContent]:
    """Return both, what the header of the record *data* says and what it holds.

    Raises:
        RecordUnreadable: it is no record, its time cannot be, its checksum is wrong, or its encoding is unknown.
    """
    record, mended = _parse(data, _lib.MSF_UNPACKDATA | _lib.MSF_VALIDATECRC)
    try:
        info = _info(record[0])
        return info, _content(record[0], mended)
    finally:
        _lib.msr3_free(record)


class Segment(NamedTuple):
    """Samples that follow each other.

    Attributes:
        start_ns: time of the first one.
        rate_hz: sampling rate.
        samples: int32, float32 or float64.
    """

    start_ns: int
    rate_hz: float
    samples: Samples


def read_segments(data: bytes, stream: StreamId, start_ns: int, end_ns: int) -> list[Segment]:
    """Return the samples of *stream* in whole records that lie one after the other; many times as fast as one by one.

    Args:
        data: the records, of any streams.
        stream: whose samples are wanted.
        start_ns: records that end before it are left out.
        end_ns: likewise those that begin after it.

    Raises:
        RecordUnreadable: there is something else among the records, or one is damaged.
    """
    begin_operation()
    begin, end = to_iso(start_ns, 9), to_iso(end_ns, 9)
    try:
        with MS3TraceList(
            buffer=data, unpack_data=True, skip_not_data=True, sourceid=stream.fdsn, starttime=begin, endtime=end
        ) as traces:
            found = [each for trace in traces for each in trace if each.sampletype in ("i", "f", "d")]
            return [Segment(each.starttime, each.samprate, each.np_datasamples.copy()) for each in found]
    except MiniSEEDError as error:
        raise RecordUnreadable(_message() or str(error)) from error


def to_packet(info: RecordInfo, content: RecordContent, received_ns: int = 0) -> Packet | None:
    """Return a record as a packet, None when it holds no waveform.

    Args:
        info: what its header says.
        content: what it holds.
        received_ns: when it arrived.

    Raises:
        InvalidValue: no stream can have its name, or its rate.
    """
    if content.samples is None:
        return None
    return Packet(
        _stream(info.name),
        info.start_ns,
        info.rate_hz,
        content.samples,
        content.timing_quality,
        received_ns=received_ns,
        marks=content.marks,
    )


def moved(data: bytes, stream: StreamId, by_ns: int) -> bytes:
    """Return the record *data* under the name of *stream* and *by_ns* later; what it holds stays as it is.

    A text that does not say how long it is does so then.

    Raises:
        RecordUnreadable: it is no record, or its version has no room for the name or the time.
    """
    try:
        return _moved_v3(data, stream, by_ns) if data.startswith(b"MS") else _moved_v2(data, stream, by_ns)
    except InvalidValue as error:
        raise RecordUnreadable(str(error)) from error


def _moved_v2(data: bytes, stream: StreamId, by_ns: int) -> bytes:
    if reason := why_not(RecordFormat(2), stream):
        raise InvalidValue(reason)
    codes = ((stream.station, 5), (stream.location, 2), (stream.channel, 3), (stream.network, 2))
    named = data[:8] + b"".join(code.encode().ljust(size) for code, size in codes) + data[20:]
    return later_v2(named if read_header(named) else with_length_v2(named), by_ns)


def _moved_v3(data: bytes, stream: StreamId, by_ns: int) -> bytes:
    record, _ = _parse(data, 0)
    try:
        record[0].sid = stream.fdsn.encode()
        record[0].starttime += by_ns
        room = _ffi.new("char[]", len(data) + len(stream.fdsn))
        size = _lib.msr3_repack_mseed3(record[0], room, len(room), 0)
        if size < 0:
            raise RecordUnreadable(_message() or "libmseed does not say why")
        packed: bytes = _ffi.buffer(room, size)[:]
        return packed
    finally:
        _lib.msr3_free(record)


@lru_cache(_MAX_NAMES)
def _stream(name: str) -> StreamId:
    return StreamId.parse(name)


def _parse(data: bytes, flags: Any) -> tuple[Any, str | None]:
    """Return the record *data*, and what had to be mended in it to read it.

    Raises:
        RecordUnreadable: libmseed refuses it.
    """
    record, status = _try_parse(data, flags)
    if status == _lib.MS_NOERROR:
        return record, None
    reason = _reason(status)
    if carried := carry_fraction(data):
        record, status = _try_parse(carried, flags)
        if status == _lib.MS_NOERROR:
            return record, "the fraction of its start time is a second or more, which is added to the seconds"
    raise RecordUnreadable(reason)


def _try_parse(data: bytes, flags: Any) -> tuple[Any, int]:
    begin_operation()  # a thread that libmseed does not know yet would see its messages on stderr
    record = _ffi.new("MS3Record **")
    # At the end of a file means: a record without a length in its headers is as long as the data.
    status: int = _lib.msr3_parse(_ffi.from_buffer(data), len(data), record, flags | _lib.MSF_ATENDOFFILE, 0)
    if status != _lib.MS_NOERROR:
        _lib.msr3_free(record)
    return record, status


def _reason(status: int) -> str:
    if status == _lib.MS_INVALIDCRC:
        return "its checksum is wrong"
    missing = f"{status} bytes are missing at its end" if status > 0 else "libmseed does not say why"
    return _message() or missing


def _message() -> str | None:
    """Return what libmseed had to say, in its own words."""
    messages = get_error_messages()
    return messages[0].removeprefix("Error: ").removeprefix("Warning: ") if messages else None


def _info(record: Any) -> RecordInfo:
    start_ns, count = record.starttime, record.samplecnt
    if not _MIN_NS <= start_ns <= _MAX_NS:
        raise RecordUnreadable(f"its time is not in the years {MIN_YEAR}-{MAX_YEAR}")
    name = _name(_ffi.string(record.sid))
    rate_hz: float = _lib.msr3_sampratehz(record)
    if rate_hz == 0 or count <= 0:
        return RecordInfo(name, start_ns, start_ns, 0.0, max(0, count), record.reclen)
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise RecordUnreadable(f"its rate of {rate_hz:g} Hz cannot be")
    end_ns = start_ns + span_ns(count - 1, rate_hz)
    if end_ns > _MAX_NS:
        raise RecordUnreadable(f"its {count} samples at {rate_hz:g} Hz end after the year {MAX_YEAR}")
    return RecordInfo(name, start_ns, end_ns, rate_hz, count, record.reclen)


@lru_cache(_MAX_NAMES)
def _name(source_id: bytes) -> str:
    """Return ``NET.STA.LOC.CHA`` of a source identifier, whatever it may be."""
    network, station, location, *channel = (
        source_id.decode("utf-8", "replace").removeprefix("FDSN:").split("_", 3) + [""] * 3
    )
    letters = channel[0].split("_")
    is_seed = len(letters) == 3 and all(len(letter) <= 1 for letter in letters)
    return f"{network}.{station}.{location}.{''.join(letters) if is_seed else channel[0]}"


def _samples(record: Any) -> Samples | None:
    dtype = _DTYPES.get(record.sampletype)
    if dtype is None or record.numsamples <= 0:
        return None
    samples: Samples = np.frombuffer(_ffi.buffer(record.datasamples, record.numsamples * dtype.itemsize), dtype).copy()
    samples.flags.writeable = False
    return samples


def _content(record: Any, mended: str | None) -> RecordContent:
    headers = read_headers(_ffi.buffer(record.extra, record.extralength)[:]) if record.extralength else {}
    marks = marks_of(record.formatversion, record.pubversion, record.flags, headers)
    return RecordContent(_samples(record), timing_quality(headers), marks, _message() or mended)
