"""RawUDPReceiver: takes RAW packets that devices push to a port of ours as datagrams, and publishes their samples."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field

from rawdaq.capture.recorder import Capture
from rawdaq.config.channels import station_streams
from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue, LocalProtocolError, RemoteProtocolError
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols.raw import ChannelFormat, PacketEvent, PacketProblem, RawVersion, SampleBlock, SampleRun
from rawdaq.protocols.raw.datagram import REASONS, DatagramReader
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.raw_udp.channels import (
    EndiannessName,
    Rate,
    SampleTypeName,
    UdpChannel,
    UdpChannels,
    UdpDefaults,
    as_channel,
    formats,
)
from rawdaq.sockets.datagrams import Burst, DatagramEndpoint, DatagramOptions
from rawdaq.sockets.endpoint import Endpoint, check_host
from rawdaq.sockets.networks import Networks, check_group, check_network, group_mistakes, sender_mistakes
from rawdaq.sockets.refusals import Refusals
from rawdaq.stream_id import StreamId
from rawdaq.streams.problems import PacketProblems
from rawdaq.streams.reorder import Item, Reorder
from rawdaq.times import NS_PER_S

_DEFAULT_PORT = 65535
_FOREIGN = "foreign sender"


def _ports(options: Mapping[str, Any]) -> list[int]:
    return list(options["ports"]) or [_DEFAULT_PORT if options["port"] is None else options["port"]]


class RawUDPReceiver(ReceiverServer):
    """Takes RAW packets that devices push to us: one or several whole ones in each datagram, without a handshake.

    Copies are dropped, late packets are put in order, what is lost is a gap. A datagram that is not right to its last
    byte is refused as a whole, and counted by sender and reason.

    Args:
        publishers: where the packets go.
        station: network, station and default location of the streams.
        name: the component's name.
        channels: the device's channel ids, each a code (``[location.]channel``) or a block of ``code``, ``rate_hz``,
            ``type`` and ``endianness``.
        rate_hz: sampling rate of the channels that do not have their own.
        type: sample type of the channels that do not have their own.
        endianness: byte order of the channels that do not have their own.
        ip: the address to listen on; by default only this machine is heard. ``0.0.0.0`` is every one of IPv4, ``::``
            every one of both families.
        port: the port; 65535 when neither this nor ``ports`` is given, 0 lets the system choose.
        ports: several ports instead.
        version: whose packet header the devices write.
        senders: addresses and networks whose datagrams are taken; without any all are.
        multicast: groups to join, of the address' family.
        interface: the name of the network interface on which to join them; the system chooses when there is none.
        receive_buffer_mb: what the system shall keep for us while we do not read; logged when it grants less.
        reorder_s: how long a missing packet is waited for; 0 publishes packets as they come.
        clock_tolerance_s: packets whose time departs more from this machine's clock are refused and counted; by default
            they are kept, and a time that looks wrong (GPS week rollover, clock not set) is logged.
        raw: pass the datagrams on as plain bytes, whatever they are, without channels.
        capture: a file that keeps the datagrams, byte for byte; ``rawdaq-device --replay`` plays it again.
        capture_mb: a new file begins at so many megabytes; the older ones are called FILE.1, FILE.2 ...
        capture_files: how many files are kept.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        channels: UdpChannels | None = None,
        rate_hz: Rate | None = None,
        type: SampleTypeName = "int32",
        endianness: EndiannessName = "little",
        ip: Annotated[str, AfterValidator(check_host)] = "127.0.0.1",
        port: Annotated[int, Field(ge=0, le=65535)] | None = None,
        ports: Sequence[Annotated[int, Field(ge=0, le=65535)]] = (),
        version: Literal["2.0", "1.1", "1.0"] = "2.0",
        senders: Sequence[Annotated[str, AfterValidator(check_network)]] = (),
        multicast: Sequence[Annotated[str, AfterValidator(check_group)]] = (),
        interface: str | None = None,
        receive_buffer_mb: Annotated[float, Field(gt=0, le=1000)] = 32.0,
        reorder_s: Annotated[float, Field(ge=0, le=60)] = 0.5,
        raw: bool = False,
        clock_tolerance_s: Annotated[float, Field(gt=0)] | None = None,
        capture: Path | None = None,
        capture_mb: Annotated[float, Field(ge=0.1, le=1_000_000)] = 100.0,
        capture_files: Annotated[int, Field(ge=1, le=1000)] = 10,
        name: str = "RawUDPReceiver",
    ) -> None:
        options: dict[str, Any] = {"channels": channels, "raw": raw, "version": version}
        options |= {"rate_hz": rate_hz, "type": type, "endianness": endianness}
        options |= {"ip": ip, "port": port, "ports": ports, "multicast": multicast, "interface": interface}
        options["senders"] = senders
        plan = _Plan.of(station, options)
        chosen = _ports(options)
        super().__init__(ip, chosen[0], publishers, name)
        self.capture = Capture(capture, capture_mb, capture_files, self.log) if capture else None
        self.refusals = self.add_refusals(Refusals(self.log))
        self.problems = PacketProblems(self.log, clock_tolerance_s)
        self.reorder = Reorder(reorder_s)
        self.names, self.formats, self._reader = plan
        self._networks = Networks(senders)
        self._waits = asyncio.Event()
        listening = DatagramOptions(int(receive_buffer_mb * 1e6), tuple(multicast), interface)
        for each in chosen:
            self.add_endpoint(DatagramEndpoint(ip, each, listening, self._take, self.log))

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return the streams that a receiver with these options publishes.

        Raises:
            InvalidValue: options that do not go together; the text names all of them.
        """
        return list(_Plan.of(station, options).names.values())

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the ports, unless they are those of a group, which all may join, and the file of the capture."""
        ports = [port for port in _ports(options) if port and not options["multicast"]]
        things = [f"UDP port {port} of {options['ip']}" for port in ports]
        return things + ([f"file {options['capture']}"] if options["capture"] else [])

    async def ct_order(self) -> None:
        """Publish what has waited long enough for missing packets."""
        try:
            while True:
                await self._waits.wait()
                due_ns = self.reorder.due_ns
                if due_ns is None:
                    self._waits.clear()
                    continue
                await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / NS_PER_S)
                self._publish(self.reorder.release(time.monotonic_ns()))
        finally:
            self._publish(self.reorder.flush())

    def cmd_refused(self) -> dict[str, dict[str, int]]:
        """Show how many datagrams were refused, by sender and reason."""
        return self.refusals.table()

    def receiver_status(self) -> dict[str, object]:
        """Return the sockets, what was refused, the order of the streams, and the capture if there is one."""
        shown = super().receiver_status() | self.refusals.report() | {"order": self.reorder.report()}
        shown["packet_problems"] = self.problems.status()
        return shown | {"capture": self.capture.status()} if self.capture else shown

    def _publish(self, items: Sequence[Item | bytes], endpoint: Endpoint | None = None) -> None:
        if items:
            self.publish_now(items, endpoint or self.endpoints[0])

    def _take(self, endpoint: DatagramEndpoint, burst: Burst) -> None:
        """Publish a burst."""
        received_ns = time.time_ns()
        events: list[PacketEvent] = []
        plain: list[bytes] = []
        for indices, joined in burst.groups(self._refuse_foreign(burst) if self._networks else ()):
            datagrams = _split(joined, len(indices)) if self.capture or self._reader is None else []
            if self.capture is not None:
                arrived = zip(map(burst.peer, indices), datagrams, strict=True)
                self.capture.datagrams(endpoint.port, arrived, received_ns)
            if self._reader is None:
                plain += datagrams
            else:
                events += self._read(self._reader, burst, indices, joined)
        self._publish(plain or self._ordered(self._named(events, received_ns)), endpoint)

    def _refuse_foreign(self, burst: Burst) -> list[int]:
        """Return which datagrams of *burst* are not from our senders; they are counted."""
        foreign = [index for index in range(len(burst.sizes)) if not self._networks.has(burst.sender(index))]
        for index in foreign:
            self.refusals.count(_FOREIGN, burst.sender(index))
        return foreign

    def _read(self, reader: DatagramReader, burst: Burst, indices: range, joined: bytes) -> list[PacketEvent]:
        """Return what a group of datagrams of one size holds; invalid ones are counted."""
        events, done = reader.decode_many(joined, len(joined) // len(indices))
        if done < len(indices):
            for index, datagram in zip(indices[done:], _split(joined, len(indices))[done:], strict=True):
                try:
                    events += reader.decode(datagram)
                except RemoteProtocolError as error:
                    self.refusals.count(REASONS[type(error)], burst.sender(index), error)
        return events

    def _named(self, events: Sequence[PacketEvent], received_ns: int) -> list[Item]:
        """Return *events* as packets; values that cannot be are counted and logged."""
        named: list[Item] = []
        check_time = self.problems.check_time
        for event in events:
            stream, rate_hz = self.names[event.channel], self.formats[event.channel].rate_hz
            match event:
                case SampleBlock(channel, start_ns, quality, dtype, data):
                    if self._is_far(start_ns, received_ns) and not check_time(channel, start_ns, received_ns):
                        continue
                    named.append(Packet.trusted(stream, start_ns, rate_hz, dtype, data, quality, 0, received_ns))
                case SampleRun(channel, starts_ns, quality, samples):
                    last_ns = starts_ns[-1]
                    is_far = self._is_far(last_ns, received_ns)
                    if is_far and not check_time(channel, last_ns, received_ns, len(starts_ns)):
                        continue
                    named.append(PacketRun(stream, starts_ns, rate_hz, samples, quality, received_ns=received_ns))
                case PacketProblem():
                    self.problems.add(event)
        return named

    def _is_far(self, time_ns: int, received_ns: int) -> bool:
        return abs(time_ns - received_ns) > self.problems.suspicious_ns

    def _ordered(self, items: Sequence[Item]) -> list[Item]:
        ordered = self.reorder.add(items, time.monotonic_ns())
        if self.reorder.waiting_bytes:
            self._waits.set()
        return ordered


def _split(joined: bytes, count: int) -> list[bytes]:
    size_bytes = len(joined) // count
    return [joined[index * size_bytes : (index + 1) * size_bytes] for index in range(count)]


class _Plan(NamedTuple):
    """What the options mean together: names and formats of the channels, and what reads them (None with `raw`)."""

    names: dict[int, StreamId]
    formats: dict[int, ChannelFormat]
    reader: DatagramReader | None

    @classmethod
    def of(cls, station: StationSettings, options: Mapping[str, Any]) -> Self:
        """Return the plan of *options*.

        Raises:
            InvalidValue: they do not go together; the text names every mistake.
        """
        given: Mapping[int, Any] = options["channels"] or {}
        channels = {number: _channel(each) for number, each in given.items()}
        mistakes = [*_address_mistakes(options), *_channel_mistakes(options["raw"], channels)]
        names: dict[int, StreamId] = {}
        described: dict[int, ChannelFormat] = {}
        reader: DatagramReader | None = None
        try:
            names = station_streams(station, {number: channel.code for number, channel in channels.items()})
        except InvalidValue as error:
            mistakes.append(str(error))
        try:
            defaults = UdpDefaults(**{key: options[key] for key in UdpDefaults.model_fields})
            described = formats(channels, defaults)
            reader = DatagramReader(described, RawVersion(options["version"])) if described else None
        except (InvalidValue, LocalProtocolError) as error:
            mistakes.append(str(error))
        if mistakes:
            raise InvalidValue("; ".join(mistakes))
        return cls(names, described, reader)


def _channel(value: Any) -> UdpChannel:
    return value if isinstance(value, UdpChannel) else UdpChannel.model_validate(as_channel(value))


def _channel_mistakes(raw: bool, channels: Mapping[int, UdpChannel]) -> Iterator[str]:
    if raw and channels:
        yield "raw passes datagrams on as they are: leave out either raw or channels"
    elif not raw and not channels:
        yield "at least one channel is needed, such as channels: {1: {code: HHZ, rate_hz: 100}}; or raw: true"


def _address_mistakes(options: Mapping[str, Any]) -> Iterator[str]:
    if options["ports"] and options["port"] is not None:
        yield "give either port or ports"
    yield from group_mistakes(options)
    yield from sender_mistakes(options["ip"], options["senders"])
