"""The format ``raw``: RAW packets in datagrams, whose first samples have the time of the readout."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from rawdaq.config.channels import ChannelId
from rawdaq.errors import InvalidValue, LocalProtocolError, RemoteProtocolError
from rawdaq.packet import SampleType
from rawdaq.protocols.raw import ChannelFormat, Endianness, PacketProblem, RawVersion, SampleBlock
from rawdaq.protocols.raw.datagram import REASONS, DatagramReader
from rawdaq.protocols.raw.format import encode_packet
from rawdaq.protocols.raw.packets import PacketReader
from rawdaq.streams.assembly.readout_format import DatagramRefused, ReadoutFormat, Row, Section

_RATE_HZ = 1.0  # packets do not say it, and readouts do not need it
_BEST_QUALITY = 100
_WRONG_DATE = "wrong date"


class RawFormat(ReadoutFormat):
    """RAW packets: of each sender one row for each of its channels, which has the samples of a packet.

    Args:
        channels: the channel ids of a sender; a sender that is slot N has from N times their number on one slot for
            each of them.
        samples: how many samples a packet has; by default as many as the first one.
        type: the type of the samples.
        endianness: their byte order.
        version: whose packet header the devices write.
    """

    says_sender = True

    def __init__(
        self,
        *,
        channels: Annotated[list[ChannelId], Field(min_length=1, max_length=4096)] = [1],  # noqa: B006 - never changed
        samples: Annotated[int, Field(ge=1, le=16_000)] | None = None,
        type: Literal["int8", "int16", "int32", "float32", "float64"] = "int32",
        endianness: Literal["little", "big"] = "little",
        version: Literal["2.0", "1.1", "1.0"] = "2.0",
    ) -> None:
        if len(set(channels)) < len(channels):
            raise InvalidValue("a channel is there twice")
        described = ChannelFormat(_RATE_HZ, Endianness(endianness), SampleType(type))
        formats = dict.fromkeys(channels, described)
        try:
            self._reader = DatagramReader(formats, RawVersion(version))
        except LocalProtocolError as error:
            raise InvalidValue(str(error)) from error
        self._packets = PacketReader(RawVersion(version), joins_packets=False)
        for channel in channels:
            self._packets.describe(channel, described)
        self.numbers = len(channels)
        self._version = RawVersion(version)
        self._numbers = {channel: number for number, channel in enumerate(channels)}
        self._samples = samples
        self._row_bytes = 0
        self.row = Row(described.dtype, (1, samples or 0))
        if samples:
            self._set_samples(samples)

    def _set_samples(self, samples: int) -> None:
        self.row = Row(self.row.dtype, (1, samples))
        self._row_bytes = self.row.size_bytes

    def sections(self, datagram: bytes) -> Sequence[Section]:
        """Return the packets of a datagram.

        Raises:
            DatagramRefused: it is not whole packets, or one has another number of samples.
        """
        try:
            events = self._reader.decode(datagram)
        except RemoteProtocolError as error:
            raise DatagramRefused(REASONS[type(error)], str(error)) from error
        return [self._section(event) for event in events if not _is_of_quality(event)]

    def _section(self, event: object) -> Section:
        if not isinstance(event, SampleBlock):
            raise DatagramRefused(_WRONG_DATE, f"a packet has an impossible date: {getattr(event, 'value', event)}")
        size_bytes = len(event.data)
        if not self._row_bytes:
            self._set_samples(size_bytes // event.dtype.itemsize)
        if size_bytes != self._row_bytes:
            count, known = size_bytes // event.dtype.itemsize, self.row.shape[1]
            raise DatagramRefused(
                "other length",
                f"packet of {count} samples, those before had {known}: if all have {count} now, restart, or write it "
                f"as `format: {{raw: {{samples: {count}}}}}`",
            )
        return Section(event.start_ns, bytes(event.data), self._numbers[event.channel])

    def length(self, data: memoryview) -> int | None:
        """Return the length of the packet that *data* begin with.

        Raises:
            DatagramRefused: this is no packet of these channels.
        """
        if len(data) < self._packets.header_bytes:
            return None
        try:
            return self._packets.length(data)[1]
        except RemoteProtocolError as error:
            raise DatagramRefused("unknown channel or size", str(error)) from error

    def datagram(self, sections: Sequence[Section]) -> bytes:
        """Return *sections* as packets one behind the other.

        Raises:
            InvalidValue: a channel is not there, or the version cannot say a value.
        """
        try:
            return b"".join(map(self._packet, sections))
        except (LocalProtocolError, IndexError) as error:
            raise InvalidValue(f"no packet can be written: {error}") from error

    def _packet(self, section: Section) -> bytes:
        count = len(section.data) // self.row.dtype.itemsize
        channel = list(self._numbers)[section.number]
        return encode_packet(self._version, channel, section.time_ns, _BEST_QUALITY, section.data, count)


def _is_of_quality(event: object) -> bool:
    """Whether *event* says only that a timing quality cannot be."""
    return isinstance(event, PacketProblem) and event.kind.name == "QUALITY"
