"""RAW packets in datagrams: one whole packet or several, without a handshake, so both sides know the channels before.

A datagram counts as a whole: when its framing is broken, nothing of it is used. Its length must be that of its
packets to the byte, which shows when a sender has other samples or another version.

>>> from rawdaq.protocols.raw import Endianness, encode_packet
>>> formats = {7: ChannelFormat(100, Endianness.LITTLE, SampleType.INT16)}
>>> (block,) = DatagramReader(formats).decode(encode_packet(RawVersion.V2_0, 7, 0, 100, bytes(4), 2))
>>> block.channel, block.start_ns, block.timing_quality, block.samples.tolist()
(7, 0, 100, [0, 0])
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from rawdaq.errors import LocalProtocolError, RemoteProtocolError, error_text
from rawdaq.packet import SampleType
from rawdaq.protocols.raw.errors import ChannelNotRequested, PacketTooLarge, listed
from rawdaq.protocols.raw.format import ChannelFormat, RawVersion
from rawdaq.protocols.raw.packets import PacketEvent, PacketProblem, PacketReader, ProblemKind
from rawdaq.protocols.raw.runs import MIN_PACKETS, MIN_PACKETS_PER_CHANNEL, read_runs

#: What UDP over IPv4 can carry; over IPv6 it is 20 bytes less.
MAX_DATAGRAM_BYTES = 65_507

_MAX_TRIED_PACKETS = 64  # of a wrong datagram: bounds what anybody can make us look at


@error_text("the datagram is empty")
class DatagramEmpty(RemoteProtocolError):
    """A datagram has no bytes."""


@dataclass(eq=False, repr=False)
class HeaderCut(RemoteProtocolError):
    """A datagram ends in the middle of a packet's header."""

    position: int
    size_bytes: int
    header_bytes: int

    def __str__(self) -> str:
        return (
            f"datagram of {self.size_bytes} bytes: the header at byte {self.position} has "
            f"{self.size_bytes - self.position} of {self.header_bytes} bytes"
        )


@error_text(
    "packet of {count} samples of channel {channel} lacks {missing_bytes} bytes: cut, or its sample type is another one"
)
class PacketCut(RemoteProtocolError):
    """A datagram ends before its packet does: it was cut, or the channel's samples have another type."""

    channel: int
    count: int
    missing_bytes: int


@dataclass(eq=False, repr=False)
class ChannelUnknown(RemoteProtocolError):
    """A datagram has a packet of a channel that is not described."""

    channel: int
    known: tuple[int, ...]

    def __str__(self) -> str:
        return f"packet of channel {self.channel}, known are {listed(self.known)}"


@error_text("channel {channel} is declared {declared}, the packet's length fits {fitting}")
class OtherSampleType(RemoteProtocolError):
    """A datagram is right to its last byte when the samples of a channel have another size than is declared."""

    channel: int
    declared: str
    fitting: str


#: What `DatagramReader` raises, and the words by which it is counted.
REASONS: dict[type[RemoteProtocolError], str] = {
    DatagramEmpty: "empty",
    HeaderCut: "header cut",
    PacketCut: "packet cut",
    ChannelUnknown: "unknown channel",
    OtherSampleType: "other sample type",
    PacketTooLarge: "packet too large",
}


class DatagramReader:
    """Turns datagrams into blocks of samples; keeps nothing from one to the next.

    Args:
        formats: how the samples of each channel come.
        version: whose packet header the sender writes.

    Raises:
        LocalProtocolError: no channel, or one that *version* cannot say.
    """

    def __init__(self, formats: Mapping[int, ChannelFormat], version: RawVersion = RawVersion.V2_0) -> None:
        if not formats:
            raise LocalProtocolError("no channel is described")
        for channel, described in formats.items():
            if not 0 <= channel <= version.max_channel:
                raise LocalProtocolError(f"channel {channel} is not in 0-{version.max_channel} of RAW {version}")
            if described.sample_type not in version.sample_types:
                raise LocalProtocolError(f"RAW {version} has no {described.sample_type} samples (channel {channel})")
        self._version = version
        self._formats = dict(formats)
        self._packets = PacketReader(version, joins_packets=False)
        for channel, described in formats.items():
            self._packets.describe(channel, described)
        self._worth_joining = max(MIN_PACKETS, MIN_PACKETS_PER_CHANNEL * len(formats))

    def decode(self, datagram: bytes) -> list[PacketEvent]:
        """Return what one datagram holds, in its order; a packet without samples gives nothing.

        Raises:
            RemoteProtocolError: its framing is broken, so nothing in it counts; one of `REASONS`.
        """
        if not datagram:
            raise DatagramEmpty
        try:
            found = self._decode(datagram)
        except RemoteProtocolError as error:
            raise self._other_type(datagram) or error from None
        has_wrong_date = any(isinstance(event, PacketProblem) and event.kind is ProblemKind.DATE for event in found)
        if has_wrong_date and (other := self._other_type(datagram)):
            raise other  # what looks like packets was read from the middle of samples
        return found

    def _decode(self, datagram: bytes) -> list[PacketEvent]:
        found: list[PacketEvent] = []
        try:
            position = self._packets.read(memoryview(datagram), 0, found)
        except ChannelNotRequested as error:
            raise ChannelUnknown(error.channel, tuple(self._formats)) from None
        if missing_bytes := len(datagram) - position:
            raise self._cut(datagram, position, missing_bytes)
        return found

    def _cut(self, datagram: bytes, position: int, left_bytes: int) -> RemoteProtocolError:
        """Return what is wrong with a packet at *position* of which only *left_bytes* are there."""
        header_bytes = self._packets.header_bytes
        if left_bytes < header_bytes:
            return HeaderCut(position, len(datagram), header_bytes)
        channel, size_bytes = self._packets.length(datagram[position:])
        count = (size_bytes - header_bytes) // self._formats[channel].dtype.itemsize
        return PacketCut(channel, count, size_bytes - left_bytes)

    def _other_type(self, datagram: bytes) -> OtherSampleType | None:
        """Return which channel's samples have another size, if with that the datagram is right to its last byte."""
        data = memoryview(datagram)
        for channel in self._channels(data):
            declared = self._formats[channel]
            others = {each.size_bytes for each in self._version.sample_types} - {declared.dtype.itemsize}
            for sample_bytes in sorted(others):
                if self._fits(data, channel, sample_bytes):
                    fitting = [each for each in self._version.sample_types if each.size_bytes == sample_bytes]
                    text = f"{declared.sample_type} {declared.endianness}"
                    return OtherSampleType(channel, text, " or ".join(fitting))
        return None

    def _channels(self, data: memoryview) -> list[int]:
        """Return the channels of the packets that seem to be in *data*, the latest first; only that can be wrong."""
        found: dict[int, None] = {}
        position = 0
        for _ in range(_MAX_TRIED_PACKETS):
            try:
                channel, size_bytes = self._packets.length(data[position:])
            except (RemoteProtocolError, struct.error):
                break
            found[channel] = None
            position += size_bytes
        return list(reversed(found))

    def _fits(self, data: memoryview, channel: int, sample_bytes: int) -> bool:
        """Whether *data* are whole packets when a sample of *channel* has so many bytes."""
        header_bytes, position, declared_bytes = self._packets.header_bytes, 0, self._formats[channel].dtype.itemsize
        for _ in range(_MAX_TRIED_PACKETS):
            try:
                number, size_bytes = self._packets.length(data[position:])
            except (RemoteProtocolError, struct.error):
                return False
            if number == channel:
                size_bytes = header_bytes + (size_bytes - header_bytes) // declared_bytes * sample_bytes
            position += size_bytes
            if position >= len(data):
                return position == len(data)
        return False

    def decode_many(self, datagrams: bytes, size_bytes: int) -> tuple[list[PacketEvent], int]:
        """Return what the first of many equal datagrams hold, and how many these are.

        Equal packets are read at once, each channel's contiguous ones as one `SampleRun`. That is done as long as all
        is right and alike; from the first datagram on that is not, `decode` has to read. It may be the very first.

        Args:
            datagrams: one after the other.
            size_bytes: of each of them.
        """
        header_bytes = self._packets.header_bytes
        try:
            channel, packet_bytes = self._packets.length(datagrams) if len(datagrams) >= header_bytes else (0, 0)
        except RemoteProtocolError:
            return [], 0
        if packet_bytes <= header_bytes or size_bytes % packet_bytes:
            return [], 0
        if len(datagrams) < self._worth_joining * packet_bytes:
            return [], 0
        dtype = self._formats[channel].dtype
        count = (packet_bytes - header_bytes) // dtype.itemsize
        runs, end = read_runs(datagrams, 0, self._version, self._formats, count, dtype)
        if cut := end % size_bytes:  # the last one is not right to its end, so nothing of it counts
            runs, end = read_runs(datagrams[: end - cut], 0, self._version, self._formats, count, dtype)
        return self._packets.checked(runs), end // size_bytes


def samples_that_fit(version: RawVersion, sample_type: SampleType, datagram_bytes: int) -> int:
    """Return how many samples a packet may have so that it fits into a datagram.

    Raises:
        LocalProtocolError: not one, or the datagram is larger than any network carries.
    """
    fitting = (datagram_bytes - version.header.size) // sample_type.size_bytes
    if fitting < 1 or datagram_bytes > MAX_DATAGRAM_BYTES:
        least_bytes = version.header.size + sample_type.size_bytes
        raise LocalProtocolError(f"datagram of {datagram_bytes} bytes is not in {least_bytes}-{MAX_DATAGRAM_BYTES}")
    return fitting
