"""RawReceiver: connects to a device that speaks the RAW protocol over TCP and publishes its samples."""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field

from rawdaq.capture.file import End
from rawdaq.capture.recorder import Capture
from rawdaq.config.channels import ChannelCodes, station_streams
from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue, RemoteProtocolError
from rawdaq.packet import Packet, PacketRun, rate_text
from rawdaq.protocols.raw import (
    ChannelDescribed,
    ChannelFormat,
    ConnectionCut,
    PacketEvent,
    PacketProblem,
    PluginEvent,
    RawPlugin,
    RawVersion,
    SampleBlock,
    SampleRun,
    Started,
    VersionAgreed,
    VersionRefused,
)
from rawdaq.protocols.raw.format import Word
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.sockets.dial_endpoint import DialEndpoint, DialledProtocol
from rawdaq.sockets.dialling import Backoff
from rawdaq.sockets.endpoint import check_host
from rawdaq.stream_id import StreamId
from rawdaq.streams.problems import PacketProblems
from rawdaq.streams.stats import StreamStats

_HANDSHAKE_TIMEOUT_S = 30.0
_NEWEST_FIRST = (RawVersion.V2_0, RawVersion.V1_1, RawVersion.V1_0)


@dataclass(eq=False, repr=False)
class NoCommonVersion(RemoteProtocolError):
    """The device refused every version of the protocol that we offered."""

    refusals: tuple[VersionRefused, ...]

    def __str__(self) -> str:
        return "no RAW device of a version that we speak: " + "; ".join(
            f"to RAW {refusal.version} it "
            + ("closed the connection" if refusal.answer is None else f"answered {refusal.answer!r}")
            for refusal in self.refusals
        )


class _Source(NamedTuple):
    """What all packets of a channel have in common, found once for all of them."""

    stream: StreamId
    rate_hz: float
    stats: StreamStats


class RawReceiver(ReceiverServer):
    """Reads a device that speaks RAW 2.0, 1.1 or 1.0 over TCP, and connects again for ever.

    Args:
        publishers: where the packets go.
        station: network, station and default location of the streams.
        name: the component's name.
        host: where the device listens.
        port: its port.
        channels: the device's channel ids and what they are called here: ``[location.]channel``.
        version: the protocol's version; ``auto`` tries 2.0, 1.1, 1.0 and remembers what worked.
        timeout_s: silence after which the connection is given up (0: never). A peer that is gone, not just quiet, is
            found within half a minute by TCP keep-alive.
        reconnect_first_s: the pause before the first new attempt; it doubles from one failure to the next.
        reconnect_max_s: the longest pause between attempts.
        clock_tolerance_s: packets whose time departs more from this machine's clock are refused and counted; by default
            they are kept, and a time that looks wrong (GPS week rollover, clock not set) is logged.
        capture: a file that keeps what the device sends, byte for byte; ``rawdaq-device --replay`` plays it again.
        capture_mb: a new file begins at so many megabytes; the older ones are called FILE.1, FILE.2 ...
        capture_files: how many files are kept.
    """

    numbers_packets = False  # they are numbered as they are made: one object less for each

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        channels: ChannelCodes,
        host: Annotated[str, AfterValidator(check_host)] = "127.0.0.1",
        port: Annotated[int, Field(ge=1, le=65535)] = 65535,
        version: Literal["auto", "2.0", "1.1", "1.0"] = "auto",
        timeout_s: Annotated[float, Field(ge=0)] = 600.0,
        reconnect_first_s: Annotated[float, Field(ge=0.01, le=3600)] = 0.5,
        reconnect_max_s: Annotated[float, Field(ge=0.01, le=86400)] = 30.0,
        clock_tolerance_s: Annotated[float, Field(gt=0)] | None = None,
        capture: Path | None = None,
        capture_mb: Annotated[float, Field(ge=0.1, le=1_000_000)] = 100.0,
        capture_files: Annotated[int, Field(ge=1, le=1000)] = 10,
        name: str = "RawReceiver",
    ) -> None:
        super().__init__(host, port, publishers, name)
        self.capture = Capture(capture, capture_mb, capture_files, self.log) if capture else None
        self.timeout_s = timeout_s
        self.names = station_streams(station, channels)
        self.formats: dict[int, ChannelFormat] = {}
        self._sources: dict[int, _Source] = {}
        self.problems = PacketProblems(self.log, clock_tolerance_s)
        self.refusals: list[VersionRefused] = []
        self.version: RawVersion | None = None
        self._best: RawVersion | None = None
        self._versions = [RawVersion(version)] if version != "auto" else list(_NEWEST_FIRST)
        self._versions = [each for each in self._versions if max(channels) <= each.max_channel]
        self.endpoint: DialEndpoint = self.connect_stream(
            lambda: _Connection(self, self.next_version()),
            backoff=Backoff(reconnect_first_s, max(reconnect_first_s, reconnect_max_s)),
        )

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return the streams that a receiver with these options publishes.

        Raises:
            InvalidValue: an id that the chosen version cannot ask for, or one stream twice.
        """
        version, highest = options["version"], max(options["channels"])
        if version != "auto" and highest > RawVersion(version).max_channel:
            raise InvalidValue(
                f"channel id {highest} is above {RawVersion(version).max_channel}, RAW {version} has no such"
            )
        return list(station_streams(station, options["channels"]).values())

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the file of the capture, which only one component can write."""
        return [f"file {options['capture']}"] if options["capture"] else []

    def take(self, events: Sequence[PacketEvent], received_ns: int) -> None:
        """Publish what a connection brought; values that cannot be are counted and logged."""
        packets: list[Packet | PacketRun] = []
        suspicious_ns, check_time = self.problems.suspicious_ns, self.problems.check_time
        for event in events:
            stream, rate_hz, stats = self._sources.get(event[0]) or self._source(event[0])
            number = stats.next_sequence
            if type(event) is SampleBlock:
                channel, start_ns, quality, dtype, data = event
                if abs(start_ns - received_ns) > suspicious_ns and not check_time(channel, start_ns, received_ns):
                    continue
                stats.next_sequence = number + 1
                packets.append(Packet.trusted(stream, start_ns, rate_hz, dtype, data, quality, number, received_ns))
            elif isinstance(event, SampleRun):
                channel, starts_ns, quality, samples = event
                count, is_far = len(starts_ns), abs(starts_ns[-1] - received_ns) > suspicious_ns
                if is_far and not check_time(channel, starts_ns[-1], received_ns, count):
                    continue
                stats.next_sequence = number + count
                packets.append(PacketRun(stream, starts_ns, rate_hz, samples, quality, number, received_ns))
            elif isinstance(event, PacketProblem):
                self.problems.add(event)
        if packets:
            self.publish_now(packets, self.endpoint)

    def _source(self, channel: int) -> _Source:
        """Return what all packets of *channel* have in common, and keep it."""
        stream, described = self.names[channel], self.formats[channel]
        source = self._sources[channel] = _Source(stream, described.rate_hz, self.stats.of(stream))
        return source

    def next_version(self) -> RawVersion:
        """Return the version to offer now: the newest that ever worked, or the newest; then those refused in turn."""
        if not self.endpoint.is_redial:
            self.refusals.clear()
        return self._versions[len(self.refusals)]

    def refuse(self, refusal: VersionRefused) -> Exception | None:
        """Note that the device refused a version; return None when the next one can be tried at once."""
        self.refusals.append(refusal)
        return None if len(self.refusals) < len(self._versions) else NoCommonVersion(tuple(self.refusals))

    def agree(self, version: RawVersion) -> None:
        """Note that the device speaks *version*."""
        self.version = version
        if self._best is None or version > self._best:
            self._best = version
            self._versions.sort(key=lambda each: (each == version, each), reverse=True)
        elif version < self._best:
            self.log.warning(
                "RAW %s worked before, now it is RAW %s; next time %s is first", self._best, version, self._best
            )

    def describe(self, channel: int, described: ChannelFormat) -> None:
        """Note the format of *channel*, which is logged when it is new."""
        if self.formats.get(channel) == described:
            return
        self.formats[channel] = described
        self._sources.pop(channel, None)
        self.log.info(
            "channel %d is %s: %s Hz %s %s-endian",
            channel,
            self.names[channel],
            rate_text(described.rate_hz),
            described.sample_type,
            described.endianness,
        )

    def receiver_status(self) -> dict[str, object]:
        """Return the connection, what the device says of its channels, and the capture if there is one."""
        shown = super().receiver_status() | {
            "version": self.version and str(self.version),
            "channels": {
                str(channel): {
                    "stream": str(self.names[channel]),
                    "rate_hz": described.rate_hz,
                    "sample_type": str(described.sample_type),
                    "endianness": str(described.endianness),
                }
                for channel, described in sorted(self.formats.items())
            },
            "packet_problems": self.problems.status(),
        }
        return shown | {"capture": self.capture.status()} if self.capture else shown


class _Connection(DialledProtocol):
    """One connection to the device: feed the codec, take its events, flush, dispatch."""

    def __init__(self, receiver: RawReceiver, version: RawVersion) -> None:
        super().__init__(min(receiver.timeout_s or _HANDSHAKE_TIMEOUT_S, _HANDSHAKE_TIMEOUT_S))
        self._receiver = receiver
        self._plugin = RawPlugin(receiver.names, version, joins_packets=True)
        self._tap = receiver.capture.connection(receiver.endpoint.address) if receiver.capture else None
        self._end = End.OURS

    def connected(self) -> None:
        """Offer our version."""
        self._send(self._plugin.data_to_send())

    def _send(self, data: bytes) -> None:
        if data:
            if self._tap:
                self._tap.sent(data)
            self.transport.write(data)

    def received(self, chunk: bytes | memoryview) -> None:
        """Publish what is whole, also when something wrong follows it."""
        if self._tap:
            self._tap.received(chunk)
        received_ns = time.time_ns()
        plugin = self._plugin
        events = plugin.receive_packets(chunk) if plugin.is_started else self._negotiate(chunk)
        if events:
            self.is_useful = True
            self._receiver.take(events, received_ns)
        if plugin.failure is not None:
            self._give_up(plugin.failure)
        elif self._tap:
            self._tap.held(plugin.buffered_bytes)

    def _negotiate(self, chunk: bytes | memoryview) -> list[PacketEvent]:
        """Go on with the handshake; return the packets that follow it in *chunk*."""
        packets: list[PacketEvent] = []
        with contextlib.suppress(RemoteProtocolError):  # it is in `RawPlugin.failure`
            for event in self._plugin.receive_data(chunk):
                if isinstance(event, SampleBlock | SampleRun | PacketProblem):
                    packets.append(event)
                else:
                    self._agree(event)
        if self._plugin.failure is None:
            self._send(self._plugin.data_to_send())
        return packets

    def ended(self) -> None:
        """Report what is missing when the device closed in the middle of something."""
        self._end = End.CLOSED
        try:
            self._plugin.receive_eof()
        except RemoteProtocolError as error:
            self._give_up(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        super().connection_lost(exc)
        self._receiver.problems.report()
        if self._tap:
            self._tap.ended(End.RESET if exc else self._end)

    def _agree(self, event: PluginEvent) -> None:
        receiver = self._receiver
        match event:
            case VersionAgreed(version):
                receiver.agree(version)
            case ChannelDescribed(channel, described):
                receiver.describe(channel, described)
            case Started():
                if self._tap:
                    self._tap.started(Word.STARTING.line)
                self.timeout_s = receiver.timeout_s
                receiver.expect(receiver.names.values())
                level = logging.DEBUG if receiver.endpoint.is_repeating else logging.INFO
                receiver.log.log(level, "the device sends (RAW %s)", self._plugin.version)
            case _:
                raise AssertionError(event)

    def _give_up(self, error: RemoteProtocolError) -> None:
        failure: Exception | None = error
        if not isinstance(error, ConnectionCut):
            self.is_useful = False  # a device that breaks the protocol is dialled more and more rarely
        if isinstance(error, VersionRefused):
            failure = self._receiver.refuse(error)
            self.redial_at_once = failure is None
        self.fail(failure or error)
