"""What `Streamer` and `UDPStreamer` have in common: channels, and samples that are checked and cut into packets."""

import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from numbers import Integral, Real
from types import MappingProxyType, TracebackType
from typing import Any, Self, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.packet import Samples, SampleType
from rawdaq.protocols.raw import EARLIEST_NS, LATEST_NS, MAX_SAMPLES, ChannelFormat, Endianness
from rawdaq.protocols.raw.errors import listed
from rawdaq.times import MAX_YEAR, MIN_YEAR, from_datetime, sample_time

_MAX_CHANNEL = 0xFFFF_FFFF  # of RAW 1.0 and 1.1
_INTEGER_TYPES = {1: SampleType.INT8, 2: SampleType.INT16, 4: SampleType.INT32}

# Between these, every integer exists in the type.
_EXACT_INTEGERS = {
    np.dtype(np.int8): (-(2**7), 2**7 - 1),
    np.dtype(np.int16): (-(2**15), 2**15 - 1),
    np.dtype(np.int32): (-(2**31), 2**31 - 1),
    np.dtype(np.float32): (-(2**24), 2**24),
    np.dtype(np.float64): (-(2**53), 2**53),
}


@dataclass(frozen=True)
class Channel:
    """A channel of the device.

    Args:
        id: 0 to 65535 (to 2**32 - 1 for clients that speak RAW 1.0 or 1.1).
        samprate: sampling rate in Hz, whole or not.
        endianness: byte order in which the samples are sent, "big" or "little"; this machine's when not given.
        samptype: "int8", "int16", "int32", "float32" or "float64".
        sampsize: what older programs give instead, for integers: 1, 2 or 4 bytes.

    Raises:
        InvalidValue: one of them is invalid; the text names what is valid.
    """

    id: int
    samprate: float
    endianness: str = sys.byteorder
    samptype: str | None = None
    sampsize: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.id, bool) or not isinstance(self.id, Integral):
            raise InvalidValue(f"channel id {self.id!r} is not a whole number, such as 1")
        if isinstance(self.samprate, bool) or not isinstance(self.samprate, Real):
            raise InvalidValue(f"samprate {self.samprate!r} of channel {self.id} is not a number in Hz, such as 100")
        if not 0 <= self.id <= _MAX_CHANNEL:
            raise InvalidValue(f"channel id {self.id} is not in 0-{_MAX_CHANNEL}")
        if self.endianness not in tuple(Endianness):
            raise InvalidValue(f"endianness {self.endianness!r} of channel {self.id} is not 'big' or 'little'")
        sample_type = self._sample_type()
        ChannelFormat(self.samprate, Endianness(self.endianness), sample_type)  # refuses an impossible rate
        object.__setattr__(self, "samptype", sample_type.value)
        object.__setattr__(self, "sampsize", sample_type.size_bytes)

    def _sample_type(self) -> SampleType:
        if self.samptype is None and self.sampsize in _INTEGER_TYPES:
            return _INTEGER_TYPES[self.sampsize]
        if self.samptype is None or self.samptype not in tuple(SampleType):
            raise InvalidValue(
                f"channel {self.id} has samptype={self.samptype!r} and sampsize={self.sampsize!r}: "
                f"give samptype, one of {', '.join(SampleType)}, or sampsize, 1, 2 or 4"
            )
        sample_type = SampleType(self.samptype)
        if self.sampsize not in (None, sample_type.size_bytes):
            raise InvalidValue(f"sampsize {self.sampsize} of channel {self.id} is not that of {sample_type}")
        return sample_type

    @property
    def format(self) -> ChannelFormat:
        """How its samples go over the wire."""
        return ChannelFormat(self.samprate, Endianness(self.endianness), self._sample_type())


class SampleFeed(ABC):
    """Takes the samples of a device, and sends them as packets; a context manager that starts and stops.

    Args:
        channels: what the device has.

    Attributes:
        channels: the channels by their ids.
        _fitting: how many samples of each channel a packet has at most.

    Raises:
        InvalidValue: no channel, or two with one id.
    """

    def __init__(self, channels: Collection[Channel]) -> None:
        given: Any = channels  # programs that are not type-checked may pass anything
        if isinstance(given, Channel) or not all(isinstance(channel, Channel) for channel in given):
            raise InvalidValue("a streamer needs a list of Channel, such as [Channel(1, samprate=100, sampsize=4)]")
        self.channels: Mapping[int, Channel] = MappingProxyType({channel.id: channel for channel in channels})
        self._formats = {channel.id: channel.format for channel in channels}
        if len(self._formats) < max(1, len(channels)):
            raise InvalidValue("a streamer needs channels, each with an id of its own")
        self._dtypes = {number: described.dtype for number, described in self._formats.items()}
        self._fitting = dict.fromkeys(self._formats, MAX_SAMPLES)

    @property
    @abstractmethod
    def is_started(self) -> bool:
        """Whether samples can be fed."""

    @abstractmethod
    def start(self) -> None:
        """Get ready; a second time does nothing."""

    @abstractmethod
    def stop(self) -> None:
        """Close; a second time does nothing."""

    @abstractmethod
    def _feed(self, channel_id: int, quality: int, parts: Sequence[tuple[int, Samples]]) -> None:
        """Send packets, each with its time and the samples as they go over the wire."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @overload
    def feed_data(
        self, channel_id: int, samptime: datetime | SupportsIndex, timing_quality: int, samples: npt.ArrayLike
    ) -> None: ...
    @overload
    def feed_data(self, channel_id: int, samptime: datetime | SupportsIndex, samples: npt.ArrayLike, /) -> None: ...
    @overload
    def feed_data(self, channel_id: int, samptime: datetime | SupportsIndex, *, samples: npt.ArrayLike) -> None: ...
    def feed_data(
        self, channel_id: int, samptime: datetime | SupportsIndex, timing_quality: Any = 100, samples: Any = None
    ) -> None:
        """Send samples to all that read the channel; return at once, whatever the network does.

        The samples are copied: the array may be filled again. A long run goes out as several packets. Threads may
        feed at the same time.

        Args:
            channel_id: one of the channels.
            samptime: time of the first sample: a datetime (a naive one means UTC) or integer nanoseconds since 1970.
            timing_quality: 0 to 100; may be left out, then it is 100.
            samples: one dimension, an array or a list. Another integer or floating type than the channel's is
                converted when every value exists in the channel's type, and refused otherwise.

        Raises:
            InvalidValue: the call is wrong; the text names what is right. Nothing is sent.
            ComponentError: it is not started.
        """
        if samples is None:
            timing_quality, samples = 100, timing_quality
        if not self.is_started:
            raise ComponentError("the streamer is not started: call start(), or use it in a with statement")
        dtype = self._dtypes.get(channel_id)
        if dtype is None:
            raise InvalidValue(f"there is no channel {channel_id!r}, only {listed(self._dtypes)}")
        start_ns, quality = _time_ns(samptime), _quality(timing_quality)
        wire = _to_wire(samples, dtype)
        if not wire.data.c_contiguous:
            wire = np.ascontiguousarray(wire)
        if wire.size:
            self._feed(channel_id, quality, self._parts(channel_id, start_ns, wire))

    def _parts(self, channel_id: int, start_ns: int, wire: Samples) -> list[tuple[int, Samples]]:
        """Return *wire* as packets that fit, with the time of each."""
        fitting, rate_hz = self._fitting[channel_id], self._formats[channel_id].rate_hz
        if wire.size <= fitting:
            return [(start_ns, wire)]
        _check_time(sample_time(start_ns, wire.size, rate_hz))
        firsts = range(0, wire.size, fitting)
        return [(sample_time(start_ns, first, rate_hz), wire[first : first + fitting]) for first in firsts]


def _time_ns(samptime: datetime | SupportsIndex) -> int:
    try:
        time_ns = from_datetime(samptime) if isinstance(samptime, datetime) else operator.index(samptime)
    except TypeError:
        raise InvalidValue(
            f"samptime {samptime!r} is neither a datetime nor integer nanoseconds since 1970 UTC"
        ) from None
    return _check_time(time_ns)


def _check_time(time_ns: int) -> int:
    if not EARLIEST_NS <= time_ns <= LATEST_NS:
        raise InvalidValue(f"samptime {time_ns} ns is not in the years {MIN_YEAR}-{MAX_YEAR}")
    return time_ns


def _quality(timing_quality: SupportsIndex) -> int:
    try:
        quality = operator.index(timing_quality)
    except TypeError:
        quality = -1
    if not 0 <= quality <= 100:
        raise InvalidValue(f"timing quality {timing_quality!r} is not a whole number in 0-100")
    return quality


def _to_wire(samples: npt.ArrayLike, dtype: np.dtype[Any]) -> Samples:
    """Return *samples* as *dtype*, each value unchanged.

    Raises:
        InvalidValue: they are not one dimension of numbers, or a value does not exist in *dtype*.
    """
    try:
        array: Samples = np.asarray(samples)
    except ValueError:  # lists of different lengths
        raise InvalidValue(f"samples are not one dimension of {dtype.name}") from None
    if array.ndim != 1:
        raise InvalidValue(f"samples have {array.ndim} dimensions ({array.dtype.name}), not one of {dtype.name}")
    if array.dtype == dtype:
        return array
    if not array.size:
        return array.astype(dtype)
    if array.dtype.kind == dtype.kind and array.dtype.itemsize <= dtype.itemsize:
        return array.astype(dtype)  # wider, or the other byte order
    if array.dtype.kind in "iu":
        return _from_integers(array, dtype)
    if array.dtype.kind == "f" and dtype.kind == "f":
        return _from_wider_floats(array, dtype)
    raise InvalidValue(
        f"samples are {array.dtype.name}, the channel's are {dtype.name}: "
        f"convert them as it suits the data, for example numpy.rint(samples).astype('{dtype.name}')"
    )


def _from_integers(array: Samples, dtype: np.dtype[Any]) -> Samples:
    lowest, highest = _EXACT_INTEGERS[dtype.newbyteorder("=")]
    least, most = int(array.min()), int(array.max())
    if least < lowest or most > highest:
        raise InvalidValue(f"samples from {least} to {most} do not fit into {dtype.name} ({lowest} to {highest})")
    return array.astype(dtype)


def _from_wider_floats(array: Samples, dtype: np.dtype[Any]) -> Samples:
    with np.errstate(over="ignore", under="ignore"):
        converted = array.astype(dtype)
    if not np.array_equal(converted, array, equal_nan=True):
        raise InvalidValue(
            f"samples are {array.dtype.name} and would change as {dtype.name}: "
            f"round them yourself, with numpy.asarray(samples, '{dtype.name}'), or serve {array.dtype.name}"
        )
    return converted
