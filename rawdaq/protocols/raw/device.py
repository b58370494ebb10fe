"""The device side of the RAW protocol: for programs that serve samples, and for tests of the other side."""

from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.packet import Samples
from rawdaq.protocols.elided import elided
from rawdaq.protocols.raw.errors import ChannelRefused, ConnectionCut, UnexpectedLine, listed
from rawdaq.protocols.raw.format import BLANKS, ChannelFormat, LineReader, RawVersion, Word, as_text, encode_packet

_MAX_ID_DIGITS = 10  # of 2**32 - 1


@dataclass(frozen=True, slots=True)
class VersionRequested:
    """The client speaks this version, and so do we from now on."""

    version: RawVersion


@dataclass(frozen=True, slots=True)
class ChannelRequested:
    """The client wants this channel; its description is queued."""

    channel: int


@dataclass(frozen=True, slots=True)
class StartRequested:
    """The client wants samples of these channels from now on, in the order in which it asked."""

    channels: tuple[int, ...]


DeviceEvent: TypeAlias = VersionRequested | ChannelRequested | StartRequested


class RawDevice:
    """Answers one client's handshake and encodes packets for it.

    Args:
        channels: what the device has, by channel id.
        versions: what it speaks; the client chooses.
    """

    def __init__(
        self, channels: Mapping[int, ChannelFormat], versions: Collection[RawVersion] = tuple(RawVersion)
    ) -> None:
        self._channels = dict(channels)
        self._versions = {version.line.rstrip(): version for version in versions}
        self._version: RawVersion | None = None
        self._requested: dict[int, None] = {}  # a set that keeps the client's order
        self._started = False
        self._out: list[bytes] = []
        self._lines = LineReader()
        self._error: RemoteProtocolError | None = None
        self._conversation = self._converse()
        next(self._conversation)

    @property
    def version(self) -> RawVersion | None:
        """The client's version, None as long as it has not said it."""
        return self._version

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of what is not whole yet: at most one line."""
        return len(self._lines.held)

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now, once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def receive_data(self, data: bytes | bytearray | memoryview) -> Iterator[DeviceEvent]:
        """Yield what *data* completes, to be taken to the end before the next call; the answers queue up.

        Raises:
            RemoteProtocolError: the client broke the protocol, now or in an earlier call.
        """
        if self._error is not None:
            raise self._error
        try:
            chunk, position = bytes(data), 0
            while position < len(chunk):
                if self._started:
                    raise UnexpectedLine(elided(chunk[position:]), "nothing after START")
                line, position = self._lines.take(chunk, position)
                event = None if line is None else self._conversation.send(line)
                if event is not None:
                    yield event
        except RemoteProtocolError as error:
            self._error = error
            raise

    def receive_eof(self) -> None:
        """Take note that the client closed; after START that is how it ends.

        Raises:
            ConnectionCut: it closed in the handshake.
        """
        if self._error is None and not self._started:
            where = f"in the middle of the line '{elided(self._lines.held)}'" if self._lines.held else "before START"
            self._error = ConnectionCut(where)
        if self._error is not None:
            raise self._error

    def send_samples(self, channel: int, start_ns: int, timing_quality: int, samples: Samples) -> None:
        """Queue a packet; the time is rounded to the microsecond, versions before 2.0 leave the quality out.

        Args:
            channel: one that the client asked for.
            start_ns: time of the first sample.
            timing_quality: 0 to 100.
            samples: at most a million, one dimension, in exactly the channel's type and byte order.

        Raises:
            LocalProtocolError: something else; nothing is queued.
        """
        if self._version is None or not self._started:
            raise LocalProtocolError("the client has not sent START")
        if channel not in self._requested:
            raise LocalProtocolError(f"channel {channel} was not requested, only {listed(self._requested)}")
        dtype = self._channels[channel].dtype
        if samples.ndim != 1 or samples.dtype != dtype:
            raise LocalProtocolError(
                f"samples of channel {channel} are {samples.ndim}-dimensional {samples.dtype.str}, "
                f"not one dimension of {dtype.str}"
            )
        self._out.append(
            encode_packet(self._version, channel, start_ns, timing_quality, samples.tobytes(), samples.size)
        )

    def _converse(self) -> Generator[DeviceEvent | None, bytes, None]:
        """Hold the handshake, as the protocol's table has it: each yield takes a line and gives what it completed."""
        self._version = version = self._choose((yield None))
        self._out.append(version.line)
        event: DeviceEvent = VersionRequested(version)
        while (line := (yield event)) != Word.START.encode() or not self._requested:
            if line != Word.CHANNEL.encode():
                raise UnexpectedLine(elided(line), "CHANNEL, then START" if not self._requested else "CHANNEL or START")
            channel = self._find(version, (yield None).strip(BLANKS))
            self._requested[channel] = None
            self._out.append(self._channels[channel].description)
            event = ChannelRequested(channel)
        self._started = True
        self._out.append(Word.STARTING.line)
        yield StartRequested(tuple(self._requested))

    def _choose(self, line: bytes) -> RawVersion:
        version = self._versions.get(line)
        if version is None:
            known = " or ".join(word.decode() for word in self._versions)
            raise UnexpectedLine(elided(line), f"the version line ({known})")
        return version

    def _find(self, version: RawVersion, line: bytes) -> int:
        text = as_text(line, "a channel id")
        if not text.isdigit() or len(text) > _MAX_ID_DIGITS:
            raise ChannelRefused(elided(line), "that is no decimal channel id")
        channel = int(text)
        described = self._channels.get(channel)
        if described is None:
            raise ChannelRefused(text, f"there are {listed(self._channels)}")
        if channel > version.max_channel or described.sample_type not in version.sample_types:
            raise ChannelRefused(text, f"RAW {version} cannot say its id or its {described.sample_type} samples")
        return channel
