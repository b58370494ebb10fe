"""`Packet`: a run of samples of one stream; `PacketRun`: many of them that came together."""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue
from rawdaq.stream_id import StreamId
from rawdaq.times import span_ns

#: One dimension, one of the five `SampleType`s, either byte order, read-only.
Samples = npt.NDArray[Any]


class SampleType(StrEnum):
    """The sample types that a stream can have; each value is numpy's and the wire's word for it."""

    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def size_bytes(self) -> int:
        """Bytes of one sample."""
        return _SIZES[self]


_SIZES = {
    SampleType.INT8: 1,
    SampleType.INT16: 2,
    SampleType.INT32: 4,
    SampleType.FLOAT32: 4,
    SampleType.FLOAT64: 8,
}
_LITTLE = {np.dtype(kind.value).newbyteorder("<"): kind for kind in SampleType}
#: The sample type of each numpy type that samples can have, in either byte order.
SAMPLE_TYPES = _LITTLE | {dtype.newbyteorder(">"): kind for dtype, kind in _LITTLE.items()}


def rate_text(rate_hz: float) -> str:
    """Return a rate without a needless fraction, and with all of a needed one.

    >>> rate_text(100.0), rate_text(62.5), rate_text(1e6)
    ('100', '62.5', '1000000')
    """
    return str(float(rate_hz)).removesuffix(".0")


def _whole_ns(value: object) -> int:
    """Return an integer of any library as Python's; floats never carry a time."""
    try:
        return operator.index(value)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        raise InvalidValue(f"time {value!r} is not an integer of nanoseconds") from None


class Marks(NamedTuple):
    """Data quality and flags of samples, which a file or a server has, and a device has not.

    They survive into an archive. Samples with other marks are in records of their own.

    Attributes:
        publication: 1 to 4 are the data qualities R, D, Q and M of miniSEED 2, more are publication versions of
            miniSEED 3; 0 is what records usually have, D and version 1.
        flags: those of miniSEED 3, added up: 1 calibration signals, 2 time tag questionable, 4 clock locked.
        headers: events, leap seconds and data quality flags, as JSON of FDSN's extra headers; empty: none.
    """

    publication: int = 0
    flags: int = 0
    headers: str = ""


class Packet:
    """A run of samples of one stream, equally spaced in time.

    A packet is a value: its attributes are set once, and `replace` makes another packet. The samples are kept as bytes;
    the array is made when it is asked for first.

    Args:
        stream: whose samples these are.
        start_ns: time of the first sample, nanoseconds since 1970 UTC.
        rate_hz: nominal sampling rate, above zero.
        samples: one dimension of int8, int16, int32, float32 or float64 in either byte order.
        timing_quality: 0 to 100 percent as the device says, None when it does not.
        sequence: number of the packet in its stream, from 0 when the component starts; set when it is published.
        received_ns: the receiver's clock when the last byte arrived (for latency, never for timing).
        marks: data quality and flags, of samples that were in a record before; None: as usual.

    Attributes:
        size: number of samples.
        dtype: their numpy type, with the byte order.
        data: their bytes, read-only.

    Raises:
        InvalidValue: a field out of its range; the text says which.
    """

    __slots__ = (
        "_samples",
        "data",
        "dtype",
        "marks",
        "rate_hz",
        "received_ns",
        "sequence",
        "size",
        "start_ns",
        "stream",
        "timing_quality",
    )

    #: How many packets this is, see `PacketRun.count`.
    count = 1

    def __init__(
        self,
        stream: StreamId,
        start_ns: int,
        rate_hz: float,
        samples: Samples,
        timing_quality: int | None = None,
        sequence: int = 0,
        received_ns: int = 0,
        marks: Marks | None = None,
    ) -> None:
        if not isinstance(stream, StreamId):  # pyright: ignore[reportUnnecessaryIsInstance] - users have text
            raise InvalidValue(f"stream {stream!r} is not a StreamId; StreamId.parse makes one of text")
        if not 0 < rate_hz < float("inf"):
            raise InvalidValue(f"sampling rate {rate_hz} Hz of {stream} is not above zero")
        if timing_quality is not None and not 0 <= timing_quality <= 100:
            raise InvalidValue(f"timing quality {timing_quality} of {stream} is not 0-100 or None")
        self.stream = stream
        self.start_ns = start_ns if type(start_ns) is int else _whole_ns(start_ns)
        self.rate_hz = rate_hz
        self.timing_quality = timing_quality
        self.sequence = sequence
        self.received_ns = received_ns
        self.marks = marks
        self._samples: Samples | None = _checked(samples, stream)
        self.data = _bytes_of(self._samples)
        self.dtype = self._samples.dtype
        self.size = self._samples.size

    @classmethod
    def trusted(
        cls,
        stream: StreamId,
        start_ns: int,
        rate_hz: float,
        dtype: np.dtype[Any],
        data: memoryview,
        timing_quality: int | None,
        sequence: int,
        received_ns: int,
        marks: Marks | None = None,
    ) -> "Packet":
        """Return a packet of values that a codec, or another packet, has checked; *data* is read-only."""
        packet = _new(Packet)
        packet.stream = stream
        packet.start_ns = start_ns
        packet.rate_hz = rate_hz
        packet.dtype = dtype
        packet.data = data
        packet.size = len(data) // dtype.itemsize
        packet.timing_quality = timing_quality
        packet.sequence = sequence
        packet.received_ns = received_ns
        packet.marks = marks
        packet._samples = None  # noqa: SLF001 - its own
        return packet

    @property
    def samples(self) -> Samples:
        """The samples: one dimension, read-only."""
        samples = self._samples
        if samples is None:
            samples = self._samples = np.frombuffer(self.data, self.dtype) if self.size else np.empty(0, self.dtype)
        return samples

    @property
    def sample_type(self) -> SampleType:
        """The type of the samples, without their byte order."""
        return SAMPLE_TYPES[self.dtype]

    @property
    def end_ns(self) -> int:
        """Time of the last sample (of a packet without samples: one interval before its start)."""
        return self.start_ns + span_ns(self.size - 1, self.rate_hz)

    @property
    def next_ns(self) -> int:
        """Time at which a packet that follows without a gap starts."""
        return self.start_ns + span_ns(self.size, self.rate_hz)

    def __repr__(self) -> str:
        return (
            f"Packet(stream={self.stream!r}, start_ns={self.start_ns}, rate_hz={self.rate_hz}, size={self.size}, "
            f"timing_quality={self.timing_quality}, sequence={self.sequence}, received_ns={self.received_ns})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Packet):
            return NotImplemented
        return self._key() == other._key() and np.array_equal(
            self.samples, other.samples, equal_nan=self.sample_type.startswith("float")
        )

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        fields = self.stream, self.start_ns, self.rate_hz, self.timing_quality, self.sequence, self.received_ns
        return *fields, self.marks, self.sample_type, self.size

    def __reduce__(self) -> tuple[object, ...]:
        fields = self.stream, self.start_ns, self.rate_hz, self.samples.copy()
        return Packet, (*fields, self.timing_quality, self.sequence, self.received_ns, self.marks)

    def replace(self, **changes: Any) -> "Packet":
        """Return this packet with other values of some fields.

        Raises:
            InvalidValue: one of them is out of its range.
        """
        return Packet(**{name: getattr(self, name) for name in _FIELDS} | changes)

    __replace__ = replace  # for copy.replace of Python 3.13

    def numbered(self, sequence: int) -> "Packet":
        """Return this packet with another *sequence*."""
        return Packet.trusted(
            self.stream,
            self.start_ns,
            self.rate_hz,
            self.dtype,
            self.data,
            self.timing_quality,
            sequence,
            self.received_ns,
            self.marks,
        )

    def shifted(self, by_ns: int) -> "Packet":
        """Return this packet *by_ns* later."""
        return Packet.trusted(
            self.stream,
            self.start_ns + by_ns,
            self.rate_hz,
            self.dtype,
            self.data,
            self.timing_quality,
            self.sequence,
            self.received_ns,
            self.marks,
        )

    def owned(self) -> "Packet":
        """Return this packet with samples of its own, not a view that keeps in memory what came together with them."""
        return Packet.trusted(
            self.stream,
            self.start_ns,
            self.rate_hz,
            self.dtype,
            memoryview(bytes(self.data)),
            self.timing_quality,
            self.sequence,
            self.received_ns,
            self.marks,
        )


_new = object.__new__
_FIELDS = ("stream", "start_ns", "rate_hz", "samples", "timing_quality", "sequence", "received_ns", "marks")


def _checked(samples: Samples, stream: StreamId) -> Samples:
    """Return *samples* read-only and one after the other in memory."""
    if not isinstance(samples, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance] - users have lists
        raise InvalidValue(f"samples of {stream} are a {type(samples).__name__}, not a numpy array")
    if samples.ndim != 1 or samples.dtype not in SAMPLE_TYPES:
        raise InvalidValue(
            f"samples of {stream} are {samples.ndim}-dimensional {samples.dtype}, "
            f"not one dimension of {', '.join(SampleType)}"
        )
    if not samples.flags.c_contiguous:
        samples = np.ascontiguousarray(samples)
    if samples.flags.writeable:
        samples = samples.view()
        samples.flags.writeable = False
    return samples


def _bytes_of(samples: Samples) -> memoryview:
    # A view as bytes first: memoryview.cast knows no byte order but this machine's.
    return samples.view(np.uint8).data if samples.size else memoryview(b"")


def _copy(samples: Samples) -> Samples:
    copied = samples.copy()
    copied.flags.writeable = False
    return copied


@dataclass(frozen=True, slots=True, eq=False)
class PacketRun:
    """Packets of one stream that came together, of equal size, each beginning where the one before it ended.

    It stands for these packets where many of them pass at once: what is the same for all is said once, and their
    samples are one array. Iterating yields the packets; a slice is a run again.

    Attributes:
        stream: whose samples these are.
        starts_ns: time of the first sample of each packet, contiguous to a microsecond.
        rate_hz: nominal sampling rate.
        samples: one row for each packet, read-only.
        timing_quality: of all packets, 0 to 100 percent or None.
        sequence: number of the first packet in its stream.
        received_ns: the receiver's clock when the last byte arrived.
    """

    stream: StreamId
    starts_ns: Sequence[int]
    rate_hz: float
    samples: Samples = field(repr=False)
    timing_quality: int | None = None
    sequence: int = 0
    received_ns: int = 0
    #: Runs come from devices, which have none.
    marks: ClassVar[Marks | None] = None

    def __len__(self) -> int:
        return len(self.starts_ns)

    @property
    def count(self) -> int:
        """How many packets these are."""
        return len(self.starts_ns)

    def __getitem__(self, part: slice) -> "PacketRun":
        first = self.sequence + part.indices(len(self))[0]
        return replace(self, starts_ns=self.starts_ns[part], samples=self.samples[part], sequence=first)

    def __iter__(self) -> Iterator[Packet]:
        for index, start_ns in enumerate(self.starts_ns):
            yield Packet(
                self.stream,
                start_ns,
                self.rate_hz,
                self.samples[index],
                self.timing_quality,
                self.sequence + index,
                self.received_ns,
            )

    def numbered(self, sequence: int) -> "PacketRun":
        """Return this run with its first packet numbered *sequence*."""
        return PacketRun(
            self.stream,
            self.starts_ns,
            self.rate_hz,
            self.samples,
            self.timing_quality,
            sequence,
            self.received_ns,
        )

    def shifted(self, by_ns: int) -> "PacketRun":
        """Return this run *by_ns* later."""
        return replace(self, starts_ns=[start_ns + by_ns for start_ns in self.starts_ns])

    def owned(self) -> "PacketRun":
        """Return this run with samples of its own, not a view that keeps in memory what came together with them."""
        return replace(self, samples=_copy(self.samples))

    @property
    def start_ns(self) -> int:
        """Time of the first sample of the first packet."""
        return self.starts_ns[0]

    @property
    def size(self) -> int:
        """Number of samples in all."""
        return self.samples.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Their numpy type, with the byte order."""
        return self.samples.dtype

    @property
    def end_ns(self) -> int:
        """Time of the last sample of the last packet."""
        return self.starts_ns[-1] + span_ns(self.samples.shape[1] - 1, self.rate_hz)

    @property
    def next_ns(self) -> int:
        """Time at which a packet that follows without a gap starts."""
        return self.starts_ns[-1] + span_ns(self.samples.shape[1], self.rate_hz)

    @property
    def sample_type(self) -> SampleType:
        """The type of the samples, without their byte order."""
        return SAMPLE_TYPES[self.samples.dtype]
