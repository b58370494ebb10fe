"""RAW packets out of bytes, as both a connection and a datagram carry them: samples, and values that cannot be."""

from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rawdaq.errors import InvalidValue, RemoteProtocolError
from rawdaq.packet import Samples
from rawdaq.protocols.raw.errors import ChannelNotRequested, PacketTooLarge
from rawdaq.protocols.raw.format import MAX_SAMPLES, ChannelFormat, RawVersion, day_start_ns
from rawdaq.protocols.raw.runs import MIN_PACKETS, MIN_PACKETS_PER_CHANNEL, SampleRun, read_runs
from rawdaq.times import NS_PER_S


class SampleBlock(NamedTuple):
    """The samples of one packet.

    Attributes:
        channel: one of the requested channels.
        start_ns: time of the first sample.
        timing_quality: 0 to 100, None when the device sent another value; versions before 2.0 do not have it and
            mean 100.
        dtype: numpy type of the samples, with the byte order.
        data: the samples, read-only.
    """

    channel: int
    start_ns: int
    timing_quality: int | None
    dtype: np.dtype[Any]
    data: memoryview

    @property
    def samples(self) -> Samples:
        """The samples as an array."""
        return np.frombuffer(self.data, self.dtype) if self.data else np.empty(0, self.dtype)


class ProblemKind(StrEnum):
    """What can be wrong with a packet whose framing is intact, and what is made of it."""

    DATE = "impossible date, packet skipped"
    QUALITY = "timing quality not in 0-100, kept as unknown"


class PacketProblem(NamedTuple):
    """A packet whose framing is intact has a value that cannot be.

    Attributes:
        channel: one of the requested channels.
        kind: what is wrong with it, and what was made of it.
        value: the value, as text.
        packets: how many packets have it.
    """

    channel: int
    kind: ProblemKind
    value: str
    packets: int = 1


PacketEvent: TypeAlias = SampleBlock | SampleRun | PacketProblem

_make_block = partial(tuple.__new__, SampleBlock)  # what a NamedTuple does itself, without a call of Python


class PacketReader:
    """Reads packets one after the other; many that are alike are read at once.

    Args:
        version: whose packet header the sender writes.
        joins_packets: give the packets of a channel that lie in one chunk and follow each other as one `SampleRun`.

    Attributes:
        header_bytes: length of a packet's header.
        formats: how the samples of each channel come.
    """

    def __init__(self, version: RawVersion, joins_packets: bool) -> None:
        self.header_bytes = version.header.size
        self.formats: dict[int, ChannelFormat] = {}
        self._version = version
        self._joins_packets = joins_packets
        self._unpack, self._has_quality = version.header.unpack_from, version.has_quality
        self._kinds: dict[int, tuple[np.dtype[Any], int]] = {}  # of samples: type, and bytes of one
        self._worth_joining = MIN_PACKETS
        self._year, self._day = 0, 0  # of the newest packet
        self._day_ns = 0  # when it began

    def describe(self, channel: int, described: ChannelFormat) -> None:
        """Read packets of *channel* from now on."""
        self.formats[channel] = described
        self._kinds[channel] = described.dtype, described.dtype.itemsize
        self._worth_joining = max(MIN_PACKETS, MIN_PACKETS_PER_CHANNEL * len(self.formats))

    def length(self, header: bytes | bytearray | memoryview) -> tuple[int, int]:
        """Return channel and length in bytes of the packet that begins with *header*.

        Raises:
            RemoteProtocolError: the framing is broken.
        """
        *_, channel, count = self._unpack(header)
        kind = self._kinds.get(channel)
        if kind is None or count > MAX_SAMPLES:
            raise self._broken(channel, count)
        return channel, self.header_bytes + count * kind[1]

    def _broken(self, channel: int, count: int) -> RemoteProtocolError:
        """Return what is wrong with a header of *channel* that announces *count* samples."""
        if channel not in self._kinds:
            return ChannelNotRequested(channel, tuple(self._kinds))
        return PacketTooLarge(channel, count, MAX_SAMPLES)

    def read(self, data: memoryview, position: int, found: list[PacketEvent]) -> int:
        """Append the packets that lie whole in *data* from *position* on to *found*; return where the rest begins.

        Raises:
            RemoteProtocolError: the framing is broken: nothing that follows can be read.
        """
        size, kinds, has_quality, unpack = len(data), self._kinds, self._has_quality, self._unpack
        header_bytes, quality = self.header_bytes, 100
        worth_joining = self._worth_joining if self._joins_packets else size
        while size - position >= header_bytes:
            if has_quality:
                year, day, hour, minute, second, us, quality, channel, count = unpack(data, position)
            else:
                year, day, hour, minute, second, us, channel, count = unpack(data, position)
            kind = kinds.get(channel)
            if kind is None or count > MAX_SAMPLES:
                raise self._broken(channel, count)
            dtype, sample_bytes = kind
            begin = position + header_bytes
            end = begin + count * sample_bytes
            if end > size:
                break
            if count and size - position >= worth_joining * (end - position):
                runs, after = read_runs(data, position, self._version, self.formats, count, dtype)
                if runs:
                    found += self.checked(runs)
                    position = after
                    continue
                worth_joining = size  # packets that are not alike now are not later in this chunk
            is_time = hour <= 23 and minute <= 59 and second <= 60 and us <= 999_999
            if not is_time or ((day != self._day or year != self._year) and not self._begin_day(year, day)):
                value = f"{year}, day {day}, {hour:02d}:{minute:02d}:{second:02d}.{us:06d}"
                found.append(PacketProblem(channel, ProblemKind.DATE, value))
            elif count:
                start_ns = self._day_ns + ((hour * 60 + minute) * 60 + second) * NS_PER_S + us * 1000
                if quality > 100:
                    found.append(PacketProblem(channel, ProblemKind.QUALITY, str(quality)))
                found.append(
                    _make_block((channel, start_ns, quality if quality <= 100 else None, dtype, data[begin:end]))
                )
            position = end
        return position

    def checked(self, runs: Iterable[SampleRun]) -> list[PacketEvent]:
        """Return *runs* of `read_runs`, with a `PacketProblem` before each whose timing quality cannot be."""
        found: list[PacketEvent] = []
        for run in runs:
            quality = run.timing_quality
            if quality is None or quality <= 100:
                found.append(run)
            else:
                found.append(PacketProblem(run.channel, ProblemKind.QUALITY, str(quality), len(run.starts_ns)))
                found.append(run._replace(timing_quality=None))
        return found

    def _begin_day(self, year: int, day: int) -> bool:
        """Return whether there is such a day, whose beginning is then known; packets of one day follow each other."""
        try:
            self._day_ns = day_start_ns(year, day)
        except InvalidValue:
            return False
        self._year, self._day = year, day
        return True
