"""The plugin side of the RAW protocol: ours when we connect to a device and read its samples."""

from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.packet import SampleType
from rawdaq.protocols.elided import elided
from rawdaq.protocols.raw.errors import (
    BadSamplingRate,
    ConnectionCut,
    UnknownEndianness,
    UnknownSampleType,
    VersionRefused,
)
from rawdaq.protocols.raw.format import (
    BLANKS,
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    ChannelFormat,
    Endianness,
    LineReader,
    RawVersion,
    Word,
    as_text,
    expect,
    parse_rate,
)
from rawdaq.protocols.raw.packets import PacketEvent, PacketReader

# What a plugin of each version takes as an answer; the answer's rules then hold.
_ANSWERS = {
    RawVersion.V1_0: (RawVersion.V1_0,),
    RawVersion.V1_1: (RawVersion.V1_0, RawVersion.V1_1),
    RawVersion.V2_0: (RawVersion.V2_0,),
}


@dataclass(frozen=True, slots=True)
class VersionAgreed:
    """The device speaks this version from now on."""

    version: RawVersion


@dataclass(frozen=True, slots=True)
class ChannelDescribed:
    """The device described the samples of a channel."""

    channel: int
    format: ChannelFormat


@dataclass(frozen=True, slots=True)
class Started:
    """The device sends samples from now on."""


PluginEvent: TypeAlias = VersionAgreed | ChannelDescribed | Started | PacketEvent


class RawPlugin:
    """Asks a device for channels and turns what it sends into events.

    The version line is to be sent first and alone, because a device that speaks another version closes at it. After
    the answer, the requests of all channels and ``START`` are to be sent at once: one by one they would cost a delayed
    acknowledgement each.

    Args:
        channels: the ids to ask for; an id that comes twice is asked for once.
        version: what to offer. A device that refuses it raises `VersionRefused`: connect again with an older one.
        joins_packets: give the packets of a channel that lie in one chunk and follow each other as one `SampleRun`.

    Attributes:
        is_started: whether the device sends packets.
        failure: how the device broke the protocol, None as long as it has not.

    Raises:
        LocalProtocolError: no channel, or one that *version* cannot say.
    """

    def __init__(
        self, channels: Collection[int], version: RawVersion = RawVersion.V2_0, *, joins_packets: bool = False
    ) -> None:
        self._channels = tuple(dict.fromkeys(channels))
        if not self._channels:
            raise LocalProtocolError("no channel to ask for")
        for channel in self._channels:
            if not 0 <= channel <= version.max_channel:
                raise LocalProtocolError(f"channel {channel} is not in 0-{version.max_channel} of RAW {version}")
        self._joins_packets = joins_packets
        self._agree_on(version)
        self._out = bytearray(version.line)
        self._lines = LineReader()
        self._held = bytearray()  # the packet that is not whole yet; grows with what arrives, never beforehand
        self._stage = "after our version line"
        self.is_started = False
        self.failure: RemoteProtocolError | None = None
        self._conversation = self._converse()
        next(self._conversation)

    @property
    def version(self) -> RawVersion:
        """What we offered, and from `VersionAgreed` on what holds."""
        return self._version

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of what is not whole yet: at most one packet of a million samples."""
        return len(self._held) + len(self._lines.held)

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now, once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive_data(self, data: bytes | bytearray | memoryview) -> Iterator[PluginEvent]:
        """Yield what *data* completes, to be taken to the end before the next call.

        The samples of a packet that lies whole in *data* are a view of it: they keep it alive, a `bytearray` cannot be
        resized meanwhile, and a change of its bytes changes the samples. Give `bytes`, or a buffer of which
        nothing is reused before the samples are.

        Raises:
            RemoteProtocolError: the device broke the protocol, now or in an earlier call.
        """
        if self.failure is not None:
            raise self.failure
        position = 0
        if not self.is_started:
            try:
                position = yield from self._receive_lines(bytes(data))
            except RemoteProtocolError as error:
                self.failure = error
                raise
        if self.is_started:
            yield from self.receive_packets(data if isinstance(data, bytes) else _view(data), position)
            if self.failure is not None:
                raise self.failure

    def _receive_lines(self, data: bytes) -> Generator[PluginEvent, None, int]:
        """Yield what the lines of *data* say; return where the first packet begins."""
        position = 0
        while not self.is_started:
            line, position = self._lines.take(data, position)
            if line is None:
                break
            event = self._conversation.send(line)
            if event is not None:
                yield event
        return position

    def receive_packets(self, data: bytes | memoryview, position: int = 0) -> list[PacketEvent]:
        """Return the packets that *data* completes: what `receive_data` yields once the device has started.

        It raises nothing: what broke the protocol is in `failure` afterwards, and nothing is received any more.

        Args:
            data: what arrived, read-only; the packets are views of it.
            position: where to begin.
        """
        found: list[PacketEvent] = []
        if self.failure is not None:
            return found
        try:
            if self._held:
                position = self._complete(data, position)
                if self._missing():
                    return found
                whole, self._held = self._held, bytearray()
                self._packets.read(_view(whole), 0, found)
            chunk = data if isinstance(data, memoryview) else memoryview(data)
            rest = self._packets.read(chunk, position, found)
            if rest < len(chunk):
                self._held += chunk[rest:]
        except RemoteProtocolError as error:
            self.failure = error
        return found

    def receive_eof(self) -> None:
        """Take note that the device closed; between two packets that is no error.

        Raises:
            VersionRefused: it closed at our version line.
            ConnectionCut: it closed anywhere else in the handshake, or in the middle of a packet.
        """
        if self.failure is None:
            self.failure = self._cut()
        if self.failure is not None:
            raise self.failure

    def _cut(self) -> RemoteProtocolError | None:
        if self._lines.held:
            return ConnectionCut(f"in the middle of the line '{elided(self._lines.held)}'")
        if not self.is_started:
            # A device that refuses our version closes without a word.
            agreed = self._stage != "after our version line"
            return ConnectionCut(self._stage) if agreed else VersionRefused(self._version, None)
        if not self._held:
            return None
        whole = len(self._held) >= self._packets.header_bytes
        where = f"in a packet of channel {self._packets.length(self._held)[0]}" if whole else "in a packet's header"
        return ConnectionCut(where, self._missing())

    def _converse(self) -> Generator[PluginEvent | None, bytes, None]:
        """Hold the handshake, as the protocol's table has it: each yield takes a line and gives what it completed."""
        self._agree_on(self._answered((yield None)))
        self._out += b"".join(Word.CHANNEL.line + b"%d\n" % channel for channel in self._channels) + Word.START.line
        event: PluginEvent = VersionAgreed(self._version)
        for channel in self._channels:
            self._stage = f"after CHANNEL {channel} was requested: the device does not know it"
            expect((yield event), Word.SAMPLING_RATE)
            self._stage = f"in the description of channel {channel}"
            rate_hz = _rate(channel, (yield None).strip(BLANKS))
            expect((yield None), Word.SAMPLE_ENDIANNESS)
            endianness = _endianness(channel, (yield None).strip(BLANKS))
            expect((yield None), Word.SAMPLE_TYPE)
            described = ChannelFormat(rate_hz, endianness, self._sample_type(channel, (yield None).strip(BLANKS)))
            self._packets.describe(channel, described)
            event = ChannelDescribed(channel, described)
        self._stage = "after START"
        expect((yield event), Word.STARTING)
        self.is_started = True
        yield Started()

    def _agree_on(self, version: RawVersion) -> None:
        self._version = version
        self._packets = PacketReader(version, self._joins_packets)

    def _answered(self, line: bytes) -> RawVersion:
        for answer in _ANSWERS[self._version]:
            if line + b"\n" == answer.line:
                return answer
        raise VersionRefused(self._version, elided(line))

    def _sample_type(self, channel: int, line: bytes) -> SampleType:
        for sample_type in self._version.sample_types:
            if line == sample_type.encode():
                return sample_type
        raise UnknownSampleType(channel, elided(line), f"one of {', '.join(self._version.sample_types)}")

    def _complete(self, data: bytes | memoryview, position: int) -> int:
        """Move bytes from *data* to the held packet, up to its end; return where the rest begins."""
        while position < len(data) and (missing := self._missing()):
            self._held += data[position : position + missing]
            position = min(position + missing, len(data))
        return position

    def _missing(self) -> int:
        """Return how many bytes the held packet's header lacks, or when that is whole, the packet."""
        header_bytes = self._packets.header_bytes
        if len(self._held) < header_bytes:
            return header_bytes - len(self._held)
        return self._packets.length(self._held)[1] - len(self._held)


def _view(data: bytearray | memoryview) -> memoryview:
    if isinstance(data, memoryview) and data.readonly and data.format == "B":
        return data
    return memoryview(data).cast("B").toreadonly()


def _rate(channel: int, line: bytes) -> float:
    expected = f"a number in {MIN_RATE_HZ:g} to {MAX_RATE_HZ:g}"
    rate_hz = parse_rate(as_text(line, expected))
    if rate_hz is None:
        raise BadSamplingRate(channel, elided(line), expected)
    return rate_hz


def _endianness(channel: int, line: bytes) -> Endianness:
    for endianness in Endianness:
        if line == endianness.encode():
            return endianness
    raise UnknownEndianness(channel, elided(line), "big or little")
