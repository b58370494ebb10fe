"""RepeaterPublisher: one output of a stream repeater; see ``docs/repeater.md``."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from rawdaq.errors import CommandError, InvalidValue
from rawdaq.multipart import Multipart, Part
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols import message
from rawdaq.protocols.zmtp import SocketType, frame_message
from rawdaq.publisher import OverflowPolicy, Publisher
from rawdaq.publishers.repeater.backlog import Outgoing
from rawdaq.publishers.repeater.modes import MAX_BLOCK, Mode, Origin, Rule, Selector, parameter_mistake
from rawdaq.publishers.repeater.output import Limits, Output
from rawdaq.publishers.repeater.places import Place, bound_place, connected_place
from rawdaq.publishers.repeater.writer import WriterHeaders, writer_run
from rawdaq.sockets.endpoint import check_listening
from rawdaq.sockets.refusals import Refusals

WRITER = "std-det-writer"

_SMALL_BYTES = 1 << 16  # pieces of a smaller frame are joined, which costs less than to pass them on one by one
_REFUSED_S = 60.0
_CHECK_S = 5.0
_CLOSE_S = 0.2  # of the time that a stop has, for closing connections
_MODES = {"PUSH": SocketType.PUSH, "8": SocketType.PUSH, "PUB": SocketType.PUB, "1": SocketType.PUB}


def socket_type(word: str | int) -> SocketType:
    """Return PUSH or PUB by name in any case, or by ZMQ's number.

    Raises:
        InvalidValue: it is neither.
    """
    kind = _MODES.get(str(word).upper())
    if kind is None or isinstance(word, bool):
        raise InvalidValue(f"{word!r} is not PUSH (8) or PUB (1)")
    return kind


def _mode(word: str | int) -> str | int:
    socket_type(word)
    return word


class RepeaterPublisher(Publisher):
    """Sends the frames of a detector, thinned, to any number of ZMQ consumers.

    Frames come from a `ZMQReceiver` with ``frames: true``; the packets of other receivers go out as rawdaq's own
    messages, by their sequence numbers. Plain bytes have no number, and are refused. A consumer that is away or slow
    costs the others nothing; what it does not get is counted and logged.

    Args:
        send_output_mode: which frames go out: ``send_every_nth`` (n), ``strides`` (n, then not the next n),
            ``send_every_nth_frame`` (the first n of each block), ``send_every_sec`` (one in n seconds).
        send_output_param: n.
        port: the port that consumers connect to; 0 lets the system choose one, which `status` shows.
        ip: the interface of that port; 0.0.0.0 means all.
        address: where the consumer listens, for an output that connects; without ``port``.
        zmq_mode: ``PUSH`` (consumers share the frames in turn) or ``PUB`` (each gets all).
        frame_block: the size of a block.
        origin: frame numbers are counted from ``zero``, or from the ``first``, smallest number that came.
        header: ``plain``, or ``std-det-writer`` for the detector writer, which needs the command ``writer`` in each
            run; by default what the name of the output says.
        n_images_end: after the last image of the writer's file, ``forward`` the frames or ``close`` the file.
        buffer_size: how many frames may wait.
        buffer_mb: how many megabytes may wait.
        name: how log lines and `status` call it.
        logger: parent of its logger.
    """

    takes_runs = True
    takes_multiparts = True
    overflow = OverflowPolicy.DROP_OLDEST
    # Frames wait in the output. The queue before it is for what comes while an output with the policy block is full.
    overflows_only_when_paused = True
    queue_packets = 1

    def __init__(
        self,
        send_output_mode: Mode,
        send_output_param: float,
        port: Annotated[int, Field(ge=0, le=65535)] | None = None,
        ip: Annotated[str, AfterValidator(check_listening)] = "127.0.0.1",
        address: str | None = None,
        zmq_mode: Annotated[str | int, AfterValidator(_mode)] = "PUSH",
        frame_block: Annotated[int, Field(ge=1, le=MAX_BLOCK)] = 15,
        origin: Origin = Origin.ZERO,
        header: Literal["plain", "std-det-writer"] | None = None,
        n_images_end: Literal["forward", "close"] = "forward",
        buffer_size: Annotated[int, Field(ge=1, le=1_000_000)] = 5000,
        buffer_mb: Annotated[float, Field(gt=0, le=1_000_000)] = 256.0,
        name: str = "RepeaterPublisher",
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(name, logger)
        rule = Rule(Mode(send_output_mode), send_output_param, frame_block, Origin(origin))
        if mistake := _mistake(rule, port, address):
            raise InvalidValue(mistake)
        self._rule = rule
        self._place = _place(ip, port, address)
        self._socket_type = socket_type(zmq_mode)
        self._limits = (buffer_size, int(buffer_mb * 1e6))
        self.writer = WriterHeaders(self.log, n_images_end == "close") if (header or name) == WRITER else None
        self._refusals = Refusals(self.log, what="frame", interval_s=_REFUSED_S)
        self._begin()

    def _begin(self) -> None:
        limits = Limits(*self._limits, self.overflow)
        pieces_of = _made_early if self.writer is None else self.writer.pieces
        self._output = Output(self._place, self._socket_type, limits, self.log, pieces_of)
        self._selector = Selector(self._rule)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return why *options* cannot be together, None when they can."""
        mode, parameter = Mode(options["send_output_mode"]), options["send_output_param"]
        return _mistake(Rule(mode, parameter, options["frame_block"]), options["port"], options["address"])

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> str | None:
        """Return the address that only one publisher can bind, None without one."""
        if options["address"] is not None or not options["port"]:
            return None
        return bound_place(options["ip"], options["port"]).address

    @property
    def address(self) -> str:
        """Where consumers connect; of an output that connects, where its consumer listens."""
        return self._output.address

    async def open(self) -> None:
        """Bind, or begin to connect.

        Raises:
            ComponentError: the address cannot be used.
        """
        self._begin()
        await self._output.open()

    def try_deliver(self, batch: Sequence[Multipart | Packet | PacketRun | bytes]) -> bool:
        """Send what is selected of *batch*, unless the output blocks and is full."""
        if self.overflow is OverflowPolicy.BLOCK and self._output.is_full:
            return False
        self._take(batch)
        return True

    async def deliver(self, batch: Sequence[Multipart | Packet | PacketRun | bytes]) -> None:
        """Send what is selected of *batch*; an output that blocks has room first."""
        try:
            if self.overflow is OverflowPolicy.BLOCK:
                await self._output.room()
        finally:  # at a stop without room, so that it is counted
            self._take(batch)

    def _take(self, batch: Sequence[Multipart | Packet | PacketRun | bytes]) -> None:
        for item in batch:
            if isinstance(item, Multipart):
                self._take_message(item)
            elif isinstance(item, bytes):
                self._refuse("no frame number", f"{len(item)} plain bytes")
            else:
                for packet in (item,) if isinstance(item, Packet) else item:
                    self._take_packet(packet)
        self._output.pump()

    def _take_message(self, item: Multipart) -> None:
        counts = self._output.counts
        if not self._selector.wants(item.frame, item.arrived_ns):
            counts.skipped += 1
            return
        if self.writer is None:
            pieces = item.pieces
            if pieces is None:
                pieces = item.pieces = _pieces(item.parts, item.size_bytes)
            self._output.put(Outgoing(pieces, item.size_bytes, item.frame, item.parts[0]))
        else:
            self._put_for_writer(item.frame, item.keys, item.parts[item.header_part :])

    def _take_packet(self, packet: Packet) -> None:
        if not self._selector.wants(packet.sequence, time.monotonic_ns(), packet.stream):
            self._output.counts.skipped += 1
            return
        parts = message.encode(packet)
        if self.writer is None:
            size_bytes = sum(map(len, parts))
            self._output.put(Outgoing(_pieces(parts, size_bytes), size_bytes, packet.sequence, parts[0]))
        else:
            self._put_for_writer(packet.sequence, message.header(packet), parts[1:])

    def _put_for_writer(self, frame: int, keys: Mapping[str, Any] | None, parts: Sequence[Part]) -> None:
        assert self.writer is not None  # noqa: S101 - only outputs with one call this
        if reason := self.writer.refusal(keys, parts):
            return self._refuse(reason, f"frame {frame}")
        self._output.counts.extra_parts += len(parts) - 2
        size_bytes = len(parts[0]) + len(parts[1])
        self._output.put(Outgoing(None, size_bytes, frame, parts[0], keys, parts[1]))

    def _refuse(self, reason: str, detail: str) -> None:
        self._output.counts.refused += 1
        self._refusals.count(reason, self.name, detail)

    async def watch(self) -> None:
        """Log now and then what was refused."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._output.watch())
            while True:
                await asyncio.sleep(_CHECK_S)
                self._refusals.log()

    async def aclose(self) -> None:
        """Send what waits while consumers take it, for `close_timeout_s` at most, then close; the rest is counted."""
        await super().aclose()
        output = self._output
        await output.drain(max(0.0, self.close_timeout_s - _CLOSE_S))
        await output.aclose()
        if output.counts.discarded_at_stop:
            self.log.warning("%d frames were not sent before the stop: discarded", output.counts.discarded_at_stop)
        self._refusals.log(at_once=True)

    def cmd_writer(self, args: list[str]) -> dict[str, object]:
        """Say what the detector writer must know: writer output_file=F run_id=N n_images=N detector_name=D."""
        if self.writer is None:
            raise CommandError(f"{self.name} has no header for a writer; set header: {WRITER}")
        self.writer.begin(writer_run({key: value for key, _, value in (word.partition("=") for word in args)}))
        return {"run": str(self.writer.run)}

    def status(self) -> dict[str, object]:
        """Return mode, counters and consumers."""
        rule = self._rule
        shown: dict[str, object] = {
            "send_output_mode": str(rule.mode),
            "send_output_param": rule.parameter,
            **self._output.status(),
        }
        return shown | ({} if self.writer is None else self.writer.status())


def _mistake(rule: Rule, port: int | None, address: str | None) -> str | None:
    """Return what is wrong with options of which each can be; None when nothing is."""
    if reason := parameter_mistake(rule.mode, rule.parameter, rule.block):
        return f"send_output_param {rule.parameter:g} {reason}"
    if (port is None) == (address is None):
        return "either port (consumers connect to it) or address (it connects to a consumer) is needed"
    if address is not None:
        try:
            connected_place(address)
        except InvalidValue as error:
            return str(error)
    return None


def _place(ip: str, port: int | None, address: str | None) -> Place:
    return bound_place(ip, port or 0) if address is None else connected_place(address)


def _pieces(parts: Sequence[Part], size_bytes: int) -> list[Part]:
    """Return what goes to a socket for a message; large parts are not copied."""
    pieces = frame_message(parts)
    if size_bytes <= _SMALL_BYTES:
        return [b"".join(pieces)]
    joined: list[Part] = []
    small: list[Part] = []
    for piece in pieces:
        if len(piece) <= _SMALL_BYTES:
            small.append(piece)
            continue
        joined += (b"".join(small), piece)
        small = []
    return joined + ([b"".join(small)] if small else [])


def _made_early(item: Outgoing) -> None:
    """Of a plain output every frame has its pieces when it is put."""
