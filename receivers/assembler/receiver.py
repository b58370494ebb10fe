"""ReadoutAssembler: puts together what many senders measured at one instant, and publishes it as readouts."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from rawdaq.capture.recorder import Capture
from rawdaq.config.settings import StationSettings
from rawdaq.messages.message import Kind, Message, topic_of
from rawdaq.publisher import Publisher
from rawdaq.receivers.assembler.base import AssemblyReceiver
from rawdaq.receivers.assembler.inputs import Connection
from rawdaq.receivers.assembler.intake import Intake, Origin
from rawdaq.receivers.assembler.options import SlotsOption, StreamSettings
from rawdaq.receivers.assembler.output import Output, Values
from rawdaq.receivers.assembler.plan import Plan
from rawdaq.receivers.assembler.tables import sender_table
from rawdaq.receivers.assembler.waveforms import Waveforms
from rawdaq.sockets.datagrams import BURST_DATAGRAMS, Burst, DatagramEndpoint, DatagramOptions
from rawdaq.sockets.endpoint import Endpoint, check_host
from rawdaq.sockets.networks import Networks, check_group, check_network
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.zeromq.endpoint import ZmqEndpoint, ZmqOptions
from rawdaq.sockets.zeromq.socket import check_zmq_address, exclusive_addresses
from rawdaq.stream_id import StreamId
from rawdaq.streams.assembly.formats import FormatOption
from rawdaq.streams.assembly.values import Readout

_DEFAULT_PORT = 17000
_ZMQ_MESSAGES = 10_000  # of one peer that may wait in a socket
_ZMQ_MESSAGE_BYTES = 1 << 20


class ReadoutAssembler(AssemblyReceiver):
    """Puts together what many senders measured at one instant, and publishes it as readouts.

    Each sender sends datagrams with the time of its own clock. Parts that belong to one instant become a readout, which
    leaves as soon as all senders that are there have sent theirs; others that are missing are waited for. Packets that
    get lost, doubled, swapped or late, senders that die and come back, and clocks that are wrong or are reset, are
    counted and logged, and never stop it.

    Args:
        publishers: where the readouts go.
        station: network and station of the readouts, and of waveforms.
        name: the component's name.
        format: what the datagrams are: ``raw``, or a format that another package brings, by its name or as
            ``{raw: {type: int16}}`` with its options.
        slots: which sender is which row of a readout: ``{192.0.2.101: 0, "192.0.2.102:9000": 1}``, or
            ``{by: octet, first: 100, count: 32}`` for the last byte of addresses, or ``{by: field, count: 32}`` when
            packets say who sends them. Other senders are refused and counted.
        ip: the address to listen on; by default only this machine is heard. ``0.0.0.0`` is every one of IPv4, ``::``
            every one of both families.
        port: the port; 17000 when it is not given, 0 lets the system choose.
        transport: ``udp``, or ``tcp`` when senders connect to us.
        endpoints: ZMQ addresses to read instead, each frame of which is a datagram; `slots` has them as senders.
        pattern: ``sub`` reads PUB sockets, ``pull`` reads PUSH sockets.
        bind: ZMQ peers connect to us.
        senders: addresses and networks whose datagrams are taken; without any all that have a slot.
        multicast: groups to join, of the address' family.
        interface: the name of the network interface on which to join them; the system chooses when there is none.
        receive_buffer_mb: what the system shall keep for us while we do not read; logged when it grants less.
        window_s: parts nearer than this to the first part of a readout belong to it; it must be less than half of the
            interval between readouts.
        max_wait_s: how long a readout is kept for its last parts, once more than half of the senders have passed it.
        span_s: how far, in devices' time, more than half of the senders may pass a readout before it leaves; none: any.
        absent_s: a sender that is silent for so long is not waited for until it sends again; at least three intervals
            of its packets.
        max_open: how many readouts may be unfinished; beyond it the oldest leaves early.
        max_open_mb: how large they may be.
        ordered: readouts leave in order of time; otherwise as they are finished.
        duplicates: which of two parts of one sender in one readout stays: the ``first`` or the ``last``.
        late: what happens to a part whose readout has left: ``drop``, or ``publish`` as a readout of its own.
        step_s: a clock that jumps by more is wrong, or was reset when most do.
        reset_parts: how many packets of most senders make a jump a reset.
        sparse: readouts have the rows that are there; otherwise all, absent ones full of NaN.
        values: ``scaled`` numbers in the format's unit, as float32, or as ``float64``; or ``raw`` ones of the device.
        streams: publish waveforms too: ``{rate_hz: 10, names: "{slot:02d}.S_H_{channel:02d}"}``.
        capture: a file that keeps the datagrams, byte for byte; ``rawdaq-device --replay`` plays it again.
        capture_mb: a new file begins at so many megabytes; the older ones are called FILE.1, FILE.2 ...
        capture_files: how many files are kept.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        format: FormatOption,
        slots: SlotsOption,
        ip: Annotated[str, AfterValidator(check_host)] = "127.0.0.1",
        port: Annotated[int, Field(ge=0, le=65535)] | None = None,
        transport: Literal["udp", "tcp"] = "udp",
        endpoints: Sequence[Annotated[str, AfterValidator(check_zmq_address)]] = (),
        pattern: Literal["sub", "pull"] = "sub",
        bind: bool = False,
        senders: Sequence[Annotated[str, AfterValidator(check_network)]] = (),
        multicast: Sequence[Annotated[str, AfterValidator(check_group)]] = (),
        interface: str | None = None,
        receive_buffer_mb: Annotated[float, Field(gt=0, le=1000)] = 32.0,
        window_s: Annotated[float, Field(ge=1e-9, le=3600)] = 0.0001,
        max_wait_s: Annotated[float, Field(ge=0.001, le=3600)] = 1.0,
        span_s: Annotated[float, Field(ge=0, le=86_400)] | None = 1.0,
        absent_s: Annotated[float, Field(ge=0.01, le=86_400)] = 10.0,
        max_open: Annotated[int, Field(ge=1, le=1_000_000)] = 4096,
        max_open_mb: Annotated[float, Field(ge=0.1, le=100_000)] = 256.0,
        ordered: bool = True,
        duplicates: Literal["first", "last"] = "first",
        late: Literal["drop", "publish"] = "drop",
        step_s: Annotated[float, Field(gt=0, le=86_400)] = 1.0,
        reset_parts: Annotated[int, Field(ge=1, le=1000)] = 3,
        sparse: bool = True,
        values: Values = "scaled",
        streams: StreamSettings | None = None,
        capture: Path | None = None,
        capture_mb: Annotated[float, Field(ge=0.1, le=1_000_000)] = 100.0,
        capture_files: Annotated[int, Field(ge=1, le=1000)] = 10,
        name: str = "ReadoutAssembler",
    ) -> None:
        options = dict(locals())
        plan = Plan.of(station, options)
        super().__init__(ip, _DEFAULT_PORT if port is None else port, publishers, name, plan.rules)
        self.capture = Capture(capture, capture_mb, capture_files, self.log) if capture else None
        self.refusals = self.add_refusals(Refusals(self.log))
        self.intake = Intake(plan.format, plan.slots, Networks(senders).has, self.refusals)
        self.output = Output(
            topic_of(Kind.READOUT, station, name),
            plan.format,
            values,
            sparse=sparse,
            slots=plan.rules.slots,
            expected=plan.rules.slots - len(plan.rules.unused),
        )
        self.waveforms = _waveforms(plan.described, plan.streams)
        self._add_endpoints(options)

    def slot_name(self, slot: int) -> str:
        """Return a slot in words."""
        return self.intake.name(slot)

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return the waveforms that a receiver with these options publishes.

        Raises:
            InvalidValue: options that do not go together; the text names all of them.
        """
        return [stream for row in Plan.of(station, options).streams for stream in row]

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the port, unless it is that of a group, which all may join, and the file of the capture."""
        found = [f"file {options['capture']}"] if options["capture"] else []
        if options["endpoints"]:
            return found + (exclusive_addresses(options["endpoints"]) if options["bind"] else [])
        port = _DEFAULT_PORT if options["port"] is None else options["port"]
        if port and not options["multicast"]:
            found.append(f"{options['transport'].upper()} port {port} of {options['ip']}")
        return found

    def _add_endpoints(self, options: Mapping[str, Any]) -> None:
        if options["endpoints"]:
            self._add_zmq(options)
        elif options["transport"] == "tcp":
            self.setup_stream(lambda: Connection(self.intake, self._take_messages))
        else:
            listening = DatagramOptions(
                int(options["receive_buffer_mb"] * 1e6), tuple(options["multicast"]), options["interface"]
            )
            self.add_endpoint(DatagramEndpoint(self.ip, self.port, listening, self._take_burst, self.log))

    def _add_zmq(self, options: Mapping[str, Any]) -> None:
        import zmq

        kind = zmq.PULL if options["pattern"] == "pull" else zmq.SUB
        how = ZmqOptions(
            kind,
            options["bind"],
            high_water_mark=_ZMQ_MESSAGES,
            max_message_bytes=_ZMQ_MESSAGE_BYTES,
            is_by_frame=True,
        )
        for address in options["endpoints"]:
            self.add_endpoint(ZmqEndpoint(address, how, self._plain_context, self._take_frames, self.log))

    # ------------------------------------------------------------------ what comes

    def _take_burst(self, endpoint: DatagramEndpoint, burst: Burst) -> None:
        """Take datagrams that were read together."""
        received_ns, now_ns = time.time_ns(), time.monotonic_ns()
        joined, at = bytes(burst.data), 0
        datagrams: list[bytes] = []
        for size in burst.sizes:
            datagrams.append(joined[at : at + size])
            at += size
        if self.capture is not None:
            peers = map(burst.peer, range(len(datagrams)))
            self.capture.datagrams(endpoint.port, zip(peers, datagrams, strict=True), received_ns)
        self.is_more_waiting = len(datagrams) == BURST_DATAGRAMS
        readouts: list[Readout] = []
        for (host, port, *_), datagram in zip(burst.origins, datagrams, strict=True):
            readouts += self._assemble(self.intake.origin(host, port), datagram, received_ns, now_ns)
        self.hand_out(readouts, endpoint)

    def _take_messages(self, origin: Origin, messages: Sequence[bytes]) -> None:
        """Take messages of one connection."""
        received_ns, now_ns = time.time_ns(), time.monotonic_ns()
        if self.capture is not None:
            self.capture.datagrams(self.endpoints[0].port, ((origin.name, each) for each in messages), received_ns)
        readouts: list[Readout] = []
        for message in messages:
            readouts += self._assemble(origin, message, received_ns, now_ns)
        self.hand_out(readouts, self.endpoints[0])

    def _take_frames(self, endpoint: ZmqEndpoint, frames: Sequence[bytes]) -> None:
        """Take frames of a ZMQ socket."""
        self._take_messages(self.intake.named(endpoint.address), frames)

    def _assemble(self, origin: Origin, datagram: bytes, received_ns: int, now_ns: int) -> Iterable[Readout]:
        add = self.assembly.add
        for part in self.intake.parts(origin, datagram, received_ns):
            yield from add(part, now_ns)

    # ------------------------------------------------------------------ what leaves

    def message(self, readout: Readout) -> Message:
        """Return a readout as a message."""
        return self.output.message(readout)

    def publish_more(self, readouts: Sequence[Readout], endpoint: Endpoint) -> None:
        """Publish the waveforms of *readouts*, if they are wanted."""
        if self.waveforms is None:
            return
        packets = [packet for each in readouts for packet in self.waveforms.add(each, self.output.scaled(each))]
        if packets:
            self.publish_now(packets, endpoint)

    def flush_more(self) -> None:
        """Publish the waveforms that wait for their block."""
        if self.waveforms is not None and (packets := self.waveforms.flush()):
            self.publish_now(packets, self.endpoints[0])

    async def ct_flush_waveforms(self) -> None:
        """Publish what waits for its block when no readouts come."""
        if self.waveforms is None:
            return
        while True:
            before = self.assembly.readouts
            await asyncio.sleep(max(1.0, 2 * self.waveforms.block_s))
            if self.waveforms.is_waiting and self.assembly.readouts == before:
                self.flush_more()

    def cmd_slots(self) -> dict[str, dict[str, object]]:
        """Show each slot: who sends it, and what became of its parts."""
        return sender_table(self.assembly, self.intake.by_slot)

    def cmd_refused(self) -> dict[str, dict[str, int]]:
        """Show how many datagrams were refused, by sender and reason."""
        return self.refusals.table()

    def receiver_status(self) -> dict[str, object]:
        """Return the sockets, the counters of the assembly, what was refused, and the capture if there is one."""
        shown = super().receiver_status() | self.refusals.report()
        return shown | {"capture": self.capture.status()} if self.capture else shown


def _waveforms(settings: StreamSettings | None, streams: list[list[StreamId]]) -> Waveforms | None:
    if not streams or settings is None:
        return None
    return Waveforms(streams, settings.rate_hz, settings.block_s, from_arrival=settings.time_from == "arrival")
