"""What miniSEED records look like, and one of them; nothing here makes any."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rawdaq.errors import InvalidValue
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, sample_time

#: What libmseed can write; the shortest holds the largest header that is written here and a few samples.
V2_LENGTHS = tuple(1 << exponent for exponent in range(7, 18))
V3_MIN_BYTES = 128
V3_MAX_BYTES = 10_485_760

#: Rates that a record can say, within what libmseed converts without losing it.
MIN_RATE_HZ, MAX_RATE_HZ = 1e-9, 1e9

#: Room for the extra headers that records get: sequence number and timing quality.
MAX_EXTRA_BYTES = 64

#: What records of each version have that were published once: data quality D, the first publication version.
USUAL_PUBLICATION = {2: 2, 3: 1}

_MAX_SID_CHARACTERS = 63
_FLUSH_S, _FLUSH_INTERVALS = 10.0, 200
_V3_FIXED_HEADER_BYTES = 40


class Encoding(StrEnum):
    """How samples are stored in records."""

    AUTO = "auto"
    STEIM1 = "steim1"
    STEIM2 = "steim2"
    INT16 = "int16"
    INT32 = "int32"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """What the records of a publisher look like; publishers with equal formats share one `RecordMaker`.

    An encoding is used wherever it holds every value: STEIM1, STEIM2, INT16 and INT32 for integers, FLOAT32 for
    float32, int8 and int16, FLOAT64 for everything. Any other stream gets what ``auto`` gives: STEIM2 for integers,
    FLOAT32 or FLOAT64 for floats. A record whose samples the encoding cannot hold (a step of more than 30 bits, a
    value beyond 16) falls back, alone, to STEIM1 or INT32.

    Attributes:
        version: 2 or 3.
        length_bytes: length of a miniSEED 2 record, a power of two from 128 to 131072; longest length of a
            miniSEED 3 record, 128 to 10485760.
        encoding: how samples are stored.
        flush_after_s: how long a sample may wait for its record to fill; 0: not at all, records leave with the packets
            that brought them; None: 10 s, of streams below 20 Hz 200 sampling intervals, so that slow channels fill
            their records.

    Raises:
        InvalidValue: a field out of its range; the text says what would be right.
    """

    version: int = 2
    length_bytes: int = 512
    encoding: Encoding | str = Encoding.AUTO
    flush_after_s: float | None = None

    def __post_init__(self) -> None:
        if self.version not in (2, 3):
            raise InvalidValue(f"miniSEED version {self.version} is not 2 or 3")
        if self.version == 2 and self.length_bytes not in V2_LENGTHS:
            raise InvalidValue(f"record length {self.length_bytes} is not a power of two from 128 to 131072")
        if not V3_MIN_BYTES <= self.length_bytes <= V3_MAX_BYTES:
            raise InvalidValue(f"record length {self.length_bytes} is not in {V3_MIN_BYTES}-{V3_MAX_BYTES}")
        if self.encoding not in list(Encoding):
            raise InvalidValue(f"encoding {self.encoding!r} is not one of {', '.join(Encoding)}")
        if self.flush_after_s is not None and not 0 <= self.flush_after_s < float("inf"):
            raise InvalidValue(f"flush_after_s {self.flush_after_s} is not a number of seconds")
        object.__setattr__(self, "encoding", Encoding(self.encoding))


def flush_after_ns(record_format: RecordFormat, rate_hz: float) -> int:
    """Return how long a sample of a stream of *rate_hz* may wait for its record to fill.

    >>> flush_after_ns(RecordFormat(), 100.0), flush_after_ns(RecordFormat(), 0.1)
    (10000000000, 2000000000000)
    """
    if record_format.flush_after_s is not None:
        return round(record_format.flush_after_s * NS_PER_S)
    return round(max(_FLUSH_S, _FLUSH_INTERVALS / rate_hz) * NS_PER_S)


def room_for_headers(record_format: RecordFormat, stream: StreamId) -> int:
    """Return how many bytes of extra headers leave half of a miniSEED 3 record to samples."""
    fixed = _V3_FIXED_HEADER_BYTES + len(stream.fdsn) + MAX_EXTRA_BYTES
    return max(0, record_format.length_bytes - fixed) // 2


def why_not(record_format: RecordFormat, stream: StreamId) -> str | None:
    """Return why records of *record_format* cannot carry *stream*, or None when they can.

    >>> why_not(RecordFormat(version=2), StreamId.parse("XX.STATION.00.HHZ"))
    'miniSEED 2 has no room for station STATION (5 characters); use version 3'
    """
    if record_format.version == 3:
        used = _V3_FIXED_HEADER_BYTES + len(stream.fdsn) + MAX_EXTRA_BYTES
        if len(stream.fdsn) > _MAX_SID_CHARACTERS:
            return f"source identifier {stream.fdsn} has more than {_MAX_SID_CHARACTERS} characters"
        if used + 8 > record_format.length_bytes:
            return f"records of {record_format.length_bytes} bytes leave no room for samples; use {used + 64} or more"
        return None
    for name, limit in (("network", 2), ("station", 5), ("location", 2), ("channel", 3)):
        code: str = getattr(stream, name)
        if len(code) > limit or "_" in code:
            return f"miniSEED 2 has no room for {name} {code} ({limit} characters); use version 3"
    return None


class Record(NamedTuple):
    """One miniSEED record.

    Attributes:
        stream: whose samples are in it.
        start_ns: time of its first sample.
        end_ns: time of its last sample.
        sample_count: how many samples are in it.
        data: the record itself.
    """

    stream: StreamId
    start_ns: int
    end_ns: int
    sample_count: int
    data: bytes


class RecordRun:
    """Records of one stream that follow each other without a gap, made together and of one length.

    It stands for these records where many of them pass at once. Iterating yields them; a slice is a run again.

    Args:
        stream: whose samples are in them.
        starts_ns: time of the first sample of each record.
        sample_counts: how many samples are in each.
        rate_hz: sampling rate; 0 of records without a waveform, such as texts, which end when they begin.
        data: the records, one after the other.
    """

    __slots__ = ("data", "rate_hz", "sample_counts", "starts_ns", "stream")

    def __init__(
        self, stream: StreamId, starts_ns: Sequence[int], sample_counts: Sequence[int], rate_hz: float, data: bytes
    ) -> None:
        self.stream, self.starts_ns, self.sample_counts = stream, starts_ns, sample_counts
        self.rate_hz, self.data = rate_hz, data

    def __len__(self) -> int:
        return len(self.starts_ns)

    @property
    def start_ns(self) -> int:
        """Time of the first sample of the first record."""
        return self.starts_ns[0]

    @property
    def end_ns(self) -> int:
        """Time of the last sample of the last record."""
        return self._end_ns(self.starts_ns[-1], self.sample_counts[-1])

    def _end_ns(self, start_ns: int, count: int) -> int:
        return sample_time(start_ns, count - 1, self.rate_hz) if self.rate_hz else start_ns

    @property
    def count(self) -> int:
        """How many records these are."""
        return len(self.starts_ns)

    @property
    def length_bytes(self) -> int:
        """Length of one record."""
        return len(self.data) // len(self.starts_ns)

    def __getitem__(self, part: slice) -> "RecordRun":
        first, end, _ = part.indices(len(self))
        data = self.data[first * self.length_bytes : end * self.length_bytes]
        return RecordRun(self.stream, self.starts_ns[part], self.sample_counts[part], self.rate_hz, data)

    def __iter__(self) -> Iterator[Record]:
        size = self.length_bytes
        for index, (start_ns, count) in enumerate(zip(self.starts_ns, self.sample_counts, strict=True)):
            end_ns = self._end_ns(start_ns, count)
            yield Record(self.stream, start_ns, end_ns, count, self.data[index * size : (index + 1) * size])
