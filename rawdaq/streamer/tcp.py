"""What a digitizer's program imports to serve its samples; needs the standard library and numpy only.

::

    with Streamer([Channel(1, 100, samptype="int32")]) as streamer:
        while True:
            when, samples = my_digitizer.read()
            streamer.feed_data(1, when, 100, samples)
"""

import logging
import operator
import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from numbers import Integral, Real
from types import TracebackType
from typing import Any, Self, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.packet import Samples, SampleType
from rawdaq.protocols.raw import EARLIEST_NS, LATEST_NS, MAX_SAMPLES, ChannelFormat, Endianness
from rawdaq.protocols.raw.errors import listed
from rawdaq.streamer.server import Counters, Limits, RawServer
from rawdaq.times import MAX_YEAR, MIN_YEAR, from_datetime, sample_time

__all__ = ["Channel", "Counters", "Streamer"]

_MAX_CHANNEL = 0xFFFF_FFFF  # of RAW 1.0 and 1.1
_BYTES_PER_MB = 1_000_000
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
        InvalidValue: one of them cannot be; the text says what can.
    """

    id: int
    samprate: float
    endianness: str = sys.byteorder
    samptype: str | None = None
    sampsize: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be served, and fill in the sample type and size."""
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


class Streamer:
    """Serves the samples of a device to any number of clients, in whatever version of RAW each speaks.

    The network is a background thread's business: `feed_data` only queues and returns. The protocol has no memory:
    what is fed while nobody has started a channel is gone (and counted). Times go out in microseconds.

    `start` and `stop` may be called twice; after `stop`, `start` listens again. A process that forks must start it
    afterwards, in the process that feeds: threads do not follow a fork.

    Args:
        channels: what the device has.
        host: the address to listen on, "0.0.0.0" for all of this machine.
        port: the port to listen on, 0 for any free one (then see `port`).
        max_client_mb: a client for which more than this waits is dropped. Clients share the waiting bytes, so this is
            about what all of them together cost in memory, too.
        max_clients: further ones are turned away.
        handshake_s: a client that has not sent START within this time is dropped.
        flush_s: how long `stop` lets clients read what still waits for them.
        logger: where clients coming, leaving and being dropped are told; "rawdaq.streamer" when not given.

    Raises:
        InvalidValue: no channel, two with one id, or a limit that cannot be.
    """

    def __init__(
        self,
        channels: Collection[Channel],
        host: str = "127.0.0.1",
        port: int = 65535,
        *,
        max_client_mb: float = 64,
        max_clients: int = 256,
        handshake_s: float = 60,
        flush_s: float = 2,
        logger: logging.Logger | None = None,
    ) -> None:
        """Store; `start` acquires."""
        given: Any = channels  # what a program that nobody type-checks passes
        if isinstance(given, Channel) or not all(isinstance(channel, Channel) for channel in given):
            raise InvalidValue("a streamer needs a list of Channel, such as [Channel(1, samprate=100, sampsize=4)]")
        self._formats = {channel.id: channel.format for channel in channels}
        if len(self._formats) < max(1, len(channels)):
            raise InvalidValue("a streamer needs channels, each with an id of its own")
        if type(port) is not int or not 0 <= port <= 65535:
            raise InvalidValue(f"port {port!r} is not a number in 0-65535")
        if max_client_mb <= 0 or max_clients < 1 or handshake_s <= 0 or flush_s < 0:
            raise InvalidValue("max_client_mb, max_clients and handshake_s must be above zero, flush_s not below")
        self._dtypes = {number: described.dtype for number, described in self._formats.items()}
        self._asked_address = (host, port)
        self._limits = Limits(int(max_client_mb * _BYTES_PER_MB), max_clients, handshake_s)
        self._flush_s = flush_s
        self._counters = Counters()
        self._log = logger or logging.getLogger("rawdaq.streamer")
        self._server: RawServer | None = None

    def start(self) -> None:
        """Listen and serve; return at once. Does nothing when it is started.

        Raises:
            ComponentError: the address cannot be had; the text says why and what to do.
        """
        if self._server is None:
            server = RawServer(self._formats, self._limits, self._counters, self._log)
            server.open(*self._asked_address)
            self._server = server

    def stop(self) -> None:
        """Let clients read what waits for them, for a short time, and close. Does nothing when it is stopped."""
        server, self._server = self._server, None
        if server is not None:
            server.close(self._flush_s)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: the real address when started, else the one asked for."""
        return self._asked_address if self._server is None else self._server.address

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self.address[1]

    @property
    def clients(self) -> int:
        """How many clients have started, and get samples."""
        return 0 if self._server is None else self._server.clients

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait for the slowest client: who plays faster than real time waits while this is high."""
        return 0 if self._server is None else self._server.backlog_bytes

    @property
    def counters(self) -> Counters:
        """A copy of what has been counted since this was built."""
        return replace(self._counters)

    def wait_for_client(self, timeout_s: float | None = None) -> bool:
        """Wait until a client has started; return whether one has.

        Raises:
            ComponentError: it is not started.
        """
        return self._running().has_client.wait(timeout_s)

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
        """Queue samples for all clients that started the channel; return at once, whatever the network does.

        The samples are copied: the array may be filled again. A run of more than a million goes out as several
        packets. Threads may feed at the same time.

        Args:
            channel_id: one of the channels.
            samptime: time of the first sample: a datetime (a naive one means UTC) or integer nanoseconds since 1970.
            timing_quality: 0 to 100; may be left out, then it is 100.
            samples: one dimension, an array or a list. Another integer or floating type than the channel's is
                converted when every value exists in the channel's type, and refused otherwise.

        Raises:
            InvalidValue: the call is wrong; the text says what is right. Nothing is queued.
            ComponentError: it is not started.
        """
        if samples is None:
            timing_quality, samples = 100, timing_quality
        server = self._running()
        dtype = self._dtypes.get(channel_id)
        if dtype is None:
            raise InvalidValue(f"there is no channel {channel_id!r}, only {listed(self._dtypes)}")
        start_ns = as_time_ns(samptime)
        quality = as_quality(timing_quality)
        wire = to_wire(samples, dtype)
        if not wire.data.c_contiguous:
            wire = np.ascontiguousarray(wire)
        if wire.size <= MAX_SAMPLES:
            if wire.size:
                server.feed(channel_id, start_ns, quality, wire.data, wire.size)
            return
        rate_hz = self._formats[channel_id].rate_hz
        as_time_ns(sample_time(start_ns, wire.size, rate_hz))
        for first in range(0, wire.size, MAX_SAMPLES):
            part = wire[first : first + MAX_SAMPLES]
            server.feed(channel_id, sample_time(start_ns, first, rate_hz), quality, part.data, part.size)

    def _running(self) -> RawServer:
        if self._server is None:
            raise ComponentError("the streamer is not started: call start(), or use it in a with statement")
        return self._server


def as_time_ns(samptime: datetime | SupportsIndex) -> int:
    try:
        time_ns = from_datetime(samptime) if isinstance(samptime, datetime) else operator.index(samptime)
    except TypeError:
        raise InvalidValue(
            f"samptime {samptime!r} is neither a datetime nor integer nanoseconds since 1970 UTC"
        ) from None
    if not EARLIEST_NS <= time_ns <= LATEST_NS:
        raise InvalidValue(f"samptime {samptime!r} is not in the years {MIN_YEAR}-{MAX_YEAR}")
    return time_ns


def as_quality(timing_quality: SupportsIndex) -> int:
    try:
        quality = operator.index(timing_quality)
    except TypeError:
        quality = -1
    if not 0 <= quality <= 100:
        raise InvalidValue(f"timing quality {timing_quality!r} is not a whole number in 0-100")
    return quality


def to_wire(samples: npt.ArrayLike, dtype: np.dtype[Any]) -> Samples:
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
