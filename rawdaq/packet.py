"""The two values that everything here speaks of: `StreamId` names a stream, `Packet` is a run of its samples."""

import operator
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue
from rawdaq.times import span_ns

#: One dimension, one of the five `SampleType`s, either byte order, read-only.
Samples = npt.NDArray[Any]

# FDSN source identifiers, definition 1.0: 1-8 for network and station, up to 8 for location; "-" in the latter two.
_NETWORK = re.compile(r"[A-Z0-9]{1,8}")
_STATION = re.compile(r"[A-Z0-9-]{1,8}")
_LOCATION = re.compile(r"[A-Z0-9-]{0,8}")
_CHANNEL = re.compile(r"[A-Z0-9]{3}|[A-Z0-9]*_[A-Z0-9]+_[A-Z0-9]*")


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


def _part(name: str, text: str, allowed: re.Pattern[str], rule: str) -> None:
    if not allowed.fullmatch(text):
        raise InvalidValue(f"{name} {text!r} is not {rule}")


@dataclass(frozen=True, slots=True, order=True)
class StreamId:
    """The name of a stream: network, station, location, channel.

    The channel is a SEED code of three characters, or, for what SEED cannot say, the FDSN form
    ``BAND_SOURCE_SUBSOURCE``. The same name prints both ways:

    >>> stream = StreamId.parse("XX.DEMO.00.HHZ")
    >>> stream.fdsn
    'FDSN:XX_DEMO_00_H_H_Z'
    >>> StreamId.parse("FDSN:XX_DEMO__H_H_Z")
    StreamId(network='XX', station='DEMO', location='', channel='HHZ')

    Raises:
        InvalidValue: a code that neither SEED nor FDSN source identifiers allow.
    """

    network: str
    station: str
    location: str
    channel: str

    def __post_init__(self) -> None:
        """Refuse what no archive could name."""
        _part("network", self.network, _NETWORK, "1-8 characters of A-Z 0-9")
        _part("station", self.station, _STATION, "1-8 characters of A-Z 0-9 -")
        _part("location", self.location, _LOCATION, "0-8 characters of A-Z 0-9 -")
        if self.location == "--":
            raise InvalidValue("location '--' is how some print an empty location: leave it empty")
        _part("channel", self.channel, _CHANNEL, "3 characters of A-Z 0-9, or BAND_SOURCE_SUBSOURCE")
        # One stream has one name: three codes of one character are the SEED channel.
        if re.fullmatch("[A-Z0-9]_[A-Z0-9]_[A-Z0-9]", self.channel):
            object.__setattr__(self, "channel", self.channel.replace("_", ""))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the stream that ``NET.STA.LOC.CHA`` or an ``FDSN:`` source identifier names.

        Raises:
            InvalidValue: it is neither.
        """
        parts = text[5:].split("_", 3) if text.startswith("FDSN:") else text.split(".")
        if len(parts) != 4:
            raise InvalidValue(f"stream {text!r} is not NET.STA.LOC.CHA or FDSN:NET_STA_LOC_BAND_SOURCE_SUBSOURCE")
        if text.startswith("FDSN:") and parts[3].count("_") != 2:
            raise InvalidValue(f"stream {text!r} does not end in BAND_SOURCE_SUBSOURCE")
        return cls(*parts)

    @property
    def fdsn(self) -> str:
        """The FDSN source identifier, ``FDSN:NET_STA_LOC_BAND_SOURCE_SUBSOURCE``."""
        channel = self.channel if "_" in self.channel else "_".join(self.channel)
        return f"FDSN:{self.network}_{self.station}_{self.location}_{channel}"

    def __str__(self) -> str:
        """Return ``NET.STA.LOC.CHA``, also the topic of the stream's ZMQ messages."""
        return f"{self.network}.{self.station}.{self.location}.{self.channel}"

    def matches(self, patterns: Iterable[str]) -> bool:
        """Whether any of the shell-style *patterns* of ``NET.STA.LOC.CHA`` names this stream (no pattern: all)."""
        wanted = tuple(patterns)
        return not wanted or any(fnmatchcase(str(self), pattern) for pattern in wanted)


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
