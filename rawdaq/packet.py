"""`Packet`: a run of samples of one stream; `PacketRun`: many of them that came together."""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

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
_TYPES = _LITTLE | {dtype.newbyteorder(">"): kind for dtype, kind in _LITTLE.items()}


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


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """A run of samples of one stream, equally spaced in time.

    Attributes:
        stream: whose samples these are.
        start_ns: time of the first sample, nanoseconds since 1970 UTC.
        rate_hz: nominal sampling rate, above zero.
        samples: one dimension of int8, int16, int32, float32 or float64 in either byte order; made read-only.
        timing_quality: 0 to 100 percent as the device says, None when it does not.
        sequence: number of the packet in its stream, from 0 when the component starts; set when it is published.
        received_ns: the receiver's clock when the last byte arrived (for latency, never for timing).

    Raises:
        InvalidValue: a field out of its range; the text says which.
    """

    stream: StreamId
    start_ns: int
    rate_hz: float
    samples: Samples = field(repr=False)
    timing_quality: int | None = None
    sequence: int = 0
    received_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse what could not be stored, and make the samples read-only."""
        if type(self.start_ns) is not int:
            object.__setattr__(self, "start_ns", _whole_ns(self.start_ns))
        if not isinstance(self.stream, StreamId):  # pyright: ignore[reportUnnecessaryIsInstance] - users have text
            raise InvalidValue(f"stream {self.stream!r} is not a StreamId; StreamId.parse makes one of text")
        if not isinstance(self.samples, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance] - users have lists
            raise InvalidValue(f"samples of {self.stream} are a {type(self.samples).__name__}, not a numpy array")
        if not 0 < self.rate_hz < float("inf"):
            raise InvalidValue(f"sampling rate {self.rate_hz} Hz of {self.stream} is not above zero")
        if self.samples.ndim != 1 or self.samples.dtype not in _TYPES:
            raise InvalidValue(
                f"samples of {self.stream} are {self.samples.ndim}-dimensional {self.samples.dtype}, "
                f"not one dimension of {', '.join(SampleType)}"
            )
        if self.timing_quality is not None and not 0 <= self.timing_quality <= 100:
            raise InvalidValue(f"timing quality {self.timing_quality} of {self.stream} is not 0-100 or None")
        if self.samples.flags.writeable:
            view = self.samples.view()
            view.flags.writeable = False
            object.__setattr__(self, "samples", view)

    @property
    def count(self) -> int:
        """How many packets this is: one; see `PacketRun.count`."""
        return 1

    @property
    def sample_type(self) -> SampleType:
        """The type of the samples, without their byte order."""
        return _TYPES[self.samples.dtype]

    @property
    def end_ns(self) -> int:
        """Time of the last sample (of a packet without samples: one interval before its start)."""
        return self.start_ns + span_ns(self.samples.size - 1, self.rate_hz)

    @property
    def next_ns(self) -> int:
        """Time at which a packet that follows without a gap starts."""
        return self.start_ns + span_ns(self.samples.size, self.rate_hz)

    def __eq__(self, other: object) -> bool:
        """Whether all fields, the sample type and every sample (NaN equal to NaN) are the same."""
        if not isinstance(other, Packet):
            return NotImplemented
        return self._key() == other._key() and np.array_equal(
            self.samples, other.samples, equal_nan=self.sample_type.startswith("float")
        )

    def __hash__(self) -> int:
        """Hash of all that is not a sample."""
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (
            self.stream,
            self.start_ns,
            self.rate_hz,
            self.timing_quality,
            self.sequence,
            self.received_ns,
            self.sample_type,
            self.samples.size,
        )

    @classmethod
    def trusted(
        cls,
        stream: StreamId,
        start_ns: int,
        rate_hz: float,
        samples: Samples,
        timing_quality: int | None,
        sequence: int,
        received_ns: int,
    ) -> "Packet":
        """Return a packet of values that have been checked before, by a codec or another packet.

        It costs a quarter of what the checks of a new packet cost; the samples must be read-only already.
        """
        packet = _new(Packet)
        _set(packet, "stream", stream)
        _set(packet, "start_ns", start_ns)
        _set(packet, "rate_hz", rate_hz)
        _set(packet, "samples", samples)
        _set(packet, "timing_quality", timing_quality)
        _set(packet, "sequence", sequence)
        _set(packet, "received_ns", received_ns)
        return packet

    def numbered(self, sequence: int) -> "Packet":
        """Return this packet with another *sequence*."""
        return Packet.trusted(
            self.stream,
            self.start_ns,
            self.rate_hz,
            self.samples,
            self.timing_quality,
            sequence,
            self.received_ns,
        )

    def owned(self) -> "Packet":
        """Return this packet with samples of its own, not a view that keeps in memory what came together with them."""
        return Packet.trusted(
            self.stream,
            self.start_ns,
            self.rate_hz,
            _copy(self.samples),
            self.timing_quality,
            self.sequence,
            self.received_ns,
        )


def _copy(samples: Samples) -> Samples:
    copied = samples.copy()
    copied.flags.writeable = False
    return copied


_new, _set = object.__new__, object.__setattr__


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

    def __len__(self) -> int:
        """Return how many packets these are."""
        return len(self.starts_ns)

    @property
    def count(self) -> int:
        """How many packets these are."""
        return len(self.starts_ns)

    def __getitem__(self, part: slice) -> "PacketRun":
        """Return the packets of *part* (without a step)."""
        first = self.sequence + part.indices(len(self))[0]
        return replace(self, starts_ns=self.starts_ns[part], samples=self.samples[part], sequence=first)

    def __iter__(self) -> Iterator[Packet]:
        """Yield the packets."""
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

    def owned(self) -> "PacketRun":
        """Return this run with samples of its own, not a view that keeps in memory what came together with them."""
        return replace(self, samples=_copy(self.samples))

    @property
    def start_ns(self) -> int:
        """Time of the first sample of the first packet."""
        return self.starts_ns[0]

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
        return _TYPES[self.samples.dtype]
