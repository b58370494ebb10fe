"""The base of every receiver: bytes come in, packets go out, commands are answered. The calls are those of ssdaq.

A subclass names its sockets in ``__init__`` (`setup_udp`, `setup_stream`, `connect_stream`), works in coroutines named
``ct_*``, calls `publish`, and is controlled through methods named ``cmd_*``.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, cast

from rawdaq.capture.recorder import Capture
from rawdaq.config.decimation import DecimationSettings
from rawdaq.config.hooks import ReceiverHooks
from rawdaq.config.settings import JournalSettings
from rawdaq.delivery.backpressure import Held
from rawdaq.delivery.exchange import Exchange
from rawdaq.delivery.fanout import Fanout
from rawdaq.delivery.items import Published
from rawdaq.delivery.journal.journal import Journal
from rawdaq.errors import ComponentError
from rawdaq.messages.message import Message
from rawdaq.miniseed.format import RecordRun
from rawdaq.multipart import Multipart
from rawdaq.packet import Packet, PacketRun
from rawdaq.process import commands
from rawdaq.process.signals import serve_until_signal
from rawdaq.process.tasks import Tasks
from rawdaq.process.usage import usage
from rawdaq.publisher import LastEnd, OverflowPolicy, Publisher
from rawdaq.reporting.report import ReportMaker
from rawdaq.reporting.sender import push_reports
from rawdaq.sockets.endpoint import Endpoint
from rawdaq.sockets.listening import SocketSetup
from rawdaq.stream_id import StreamId
from rawdaq.streams.decimation import Decimation
from rawdaq.streams.silence import Silence
from rawdaq.streams.state_of_health import StateOfHealth
from rawdaq.streams.stats import Anomaly, Reporter, Stats
from rawdaq.streams.topics import Topics
from rawdaq.streams.trigger.messages import EventTrigger

_TURN_ITEMS = 100  # published, after which the loop gets a turn
_PAUSED = "paused"
_EXCHANGE_S = 8.0  # a command must be answered
_LAST_READS_S = 1.0  # for what a relay had received but not yet published when it was stopped


class ReceiverServer(SocketSetup, ReceiverHooks, commands.Commanded):
    """Serves one or more sockets, publishes what they bring, and answers commands.

    Building one is free: sockets are bound, publishers opened and coroutines started by `serve` or `run`.

    Args:
        ip: the address to listen on or to dial.
        port: the port.
        publishers: where the packets go, each through a queue of its own.
        name: the component's name, for log lines and commands.
        loop: the event loop of `run`; by default the running one, or a new one.

    Attributes:
        topics: numbers and counts messages.
        command_address: where commands are answered, such as ``ipc:///run/rawdaq/XX.DEMO.RawReceiver.sock``.
        command_socket: answers them.
        key: ``NET.STA.NAME``, its name in reports, where it is known.
        monitor_address: where reports are pushed once a second.
        stop_timeout_s: how long a stop may take to deliver what waits; after twice as long all is closed.
        start_timeout_s: how long a start may take; None: there is no limit.
        needs_all_publishers: whether a publisher that cannot open now keeps it from starting; else it is tried again.
        last_end: how its last run ended, for publishers that see a gap since then; None: it does not go on there.
        silent_after_s: seconds without a packet after which a stream is silent; None: five packet intervals as
            observed, at least 10 s.
        numbers_packets: False when packets come with sequence numbers that must be kept.
        decimation: streams of a lower rate that are published too, by names for `status`; set it before it is run.
        journal: what publishers that must deliver get is written to disk first; set it before it is run.
        state_of_health: makes streams of its own state; None: there are none.
        trigger: finds events in its streams; None: nothing does.
        capture: keeps what comes, byte for byte, while it serves; None: nothing does.
        started: set once it runs.
    """

    command_address: str | None = None
    key: str = ""
    monitor_address: str | None = None
    stop_timeout_s: float = 10.0
    start_timeout_s: float | None = None
    needs_all_publishers: bool = False
    last_end: LastEnd | None = LastEnd.STOPPED
    silent_after_s: float | None = None
    numbers_packets: bool = True
    decimation: Mapping[str, DecimationSettings] = MappingProxyType({})
    journal: JournalSettings | None = None
    state_of_health: StateOfHealth | None = None
    trigger: EventTrigger | None = None
    capture: Capture | None = None

    def __init__(
        self,
        ip: str,
        port: int,
        publishers: Sequence[Publisher],
        name: str,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(ip, port, logging.getLogger("rawdaq.receivers").getChild(name))
        self.name = name
        self.stats = Stats()
        self.topics = Topics(name)
        self._silence = Silence(self.stats, self.log)
        self._reports = ReportMaker(self.stats, self.topics, lambda: self._fanout)
        self.publishers = list(publishers)
        self._loop = loop
        self._fanout = Fanout(self.publishers, self.log)
        self._turn_at = _TURN_ITEMS
        self._decimation: Decimation | None = None
        self.started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._unpaused = asyncio.Event()
        self._unpaused.set()
        self._tasks = Tasks(self.log, self.stop)
        self.command_socket = commands.CommandSocket(self, self.log)
        self._started_s = self._close_by_s = 0.0
        self._state = "new"

    # ------------------------------------------------------------------ what subclasses call

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the server runs on."""
        if self._loop is None:
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                self._loop = asyncio.new_event_loop()
        return self._loop

    async def publish(self, data: Packet | Message | bytes | memoryview | Iterable[Published]) -> None:
        """Hand packets (one, or better many at once), plain bytes or messages to the publishers.

        Messages, one or a list of nothing else, are completed and numbered by topic, see `Message.published`.

        Returns when all is in the queues and those that must not overflow have room again. Until then the endpoints
        are held, so that a receiver that awaits it reads no faster than its publishers deliver.

        Raises:
            InvalidValue: the header of a message cannot be JSON; nothing is published then.
        """
        await self._unpaused.wait()
        if isinstance(data, Packet | Message):
            data = [data]
        elif isinstance(data, bytes | bytearray | memoryview):
            data = [bytes(data)]
        if not self._put(data):
            # Or queues between a protocol and a coroutine would grow.
            await self._held(self.endpoints).release()
        elif self._fanout.put_count >= self._turn_at:  # a receiver that never waits lets others run
            self._turn_at = self._fanout.put_count + _TURN_ITEMS
            await asyncio.sleep(0)

    async def publish_records(self, records: list[RecordRun]) -> None:
        """Hand records that no packet can carry, such as texts, to the archives; return when these have room."""
        await self._unpaused.wait()
        self.stats.records += len(records)
        await self._fanout.put_records(records)

    def set_overflow(self, policy: OverflowPolicy | None) -> None:
        """Let every queue follow *policy* when it is full; None: each the one that its publisher has."""
        self._fanout.set_overflow(policy)

    async def exchange(self, leaving: Collection[str], coming: Sequence[Publisher]) -> list[str]:
        """Replace publishers while all else runs on, and return what went wrong; see `Exchange.run`."""
        within_s = min(self.stop_timeout_s, _EXCHANGE_S)
        failures = await Exchange(self._fanout, self._tasks, self.log, within_s).run(leaving, coming)
        self.publishers = self._fanout.publishers
        return failures

    async def delivered(self) -> None:
        """Return when all that was published so far is delivered; records that are not full may still wait."""
        await self._fanout.empty()

    def publish_now(self, data: Iterable[Published], endpoint: Endpoint) -> None:
        """Hand packets or messages to the publishers from a callback; *endpoint* is held while a publisher is full."""
        if not self._put(data):
            self.spawn(self._held([endpoint]).release(), "back-pressure")

    def publish_multiparts(self, messages: list[Multipart], endpoint: Endpoint) -> None:
        """Hand frames of a detector to all publishers from a callback; *endpoint* is held while a publisher is full."""
        self.stats.add_multiparts(messages)
        if not self._fanout.put_multiparts(messages):
            self.spawn(self._held([endpoint]).release(), "back-pressure")

    def _held(self, endpoints: Sequence[Endpoint]) -> Held:
        return Held(self._fanout, endpoints, self.log, self._note_hold)

    def _note_hold(self, is_held: bool) -> None:
        """Expect no packets while reading is held: then it is not the device that is silent."""
        if is_held:
            self.stats.expect_none()
        else:
            self.expect(self.stats.streams)

    def _put(self, data: Iterable[Published]) -> bool:
        items = data if isinstance(data, list) else list(data)
        if items and isinstance(items[0], Message):
            return self._fanout.put_messages(self.topics.numbered(cast("list[Message]", items)))
        packets: list[Packet | PacketRun | bytes] = items  # type: ignore[assignment]  # there is no message among them
        packets = self.stats.numbered(packets) if self.numbers_packets else packets
        has_room = self._hand_on(packets)
        if self._decimation is not None and (made := self._decimation.add(packets)):
            has_room = self._hand_on(self.stats.numbered(made))
        return has_room

    def _hand_on(self, packets: list[Packet | PacketRun | bytes]) -> bool:
        anomalies = self.stats.add(packets)
        has_room = self._fanout.put(packets)
        if self.trigger is not None and (found := self.trigger.messages(packets)):
            has_room = self._fanout.put_messages(self.topics.numbered(found)) and has_room
        for anomaly in anomalies:
            self.on_anomaly(anomaly)
        if not self._silence.is_watching:
            self._silence.watch()
        if self.stats.came_back:
            self._silence.end()
        return has_room

    def expect(self, streams: Iterable[StreamId]) -> None:
        """Expect packets of *streams* from now on: a stream whose packets do not come is reported as silent."""
        self._silence.expect(streams)

    def expect_none(self) -> None:
        """Expect no packets before the next ones: a source is at its end, or was paused."""
        self.stats.expect_none()

    def on_anomaly(self, anomaly: Anomaly) -> None:
        """Log a gap, an overlap, time that runs backwards, or a wrong rate; by default one log line."""
        self.log.warning("%s", anomaly)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run *coroutine* beside the others; the component stops if it fails."""
        return self._tasks.spawn(coroutine, name)

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or the command ``stop`` (blocking).

        Raises:
            ComponentError: it could not start, or one of its coroutines failed.
        """
        try:
            self.loop.run_until_complete(serve_until_signal([self]))
        finally:
            self.loop.close()

    async def serve(self) -> None:
        """Serve inside the running loop until `stop`; several servers may share one loop.

        Raises:
            ComponentError: it could not start, or one of its coroutines failed.
        """
        async with self.capture or contextlib.nullcontext():
            await self._serve()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started_s = time.monotonic()
        try:
            await self._open_in_time()
            self._silence.after_s = self.silent_after_s
            self._state = "running"
            self.started.set()
            self.log.info("%s is running", self.name)
            await self._stopped.wait()
            self._state = "stopping"
            self._close_by_s = self.loop.time() + 2 * self.stop_timeout_s
            read_out_s = await self._read_out()
            await self._stop_reading()
            if lost := await self._fanout.drain(self.stop_timeout_s, read_out_s):
                self.log.error("%s", lost)
                self._tasks.add_failure(lost)
        finally:
            await self._close()
        if self._tasks.failure is not None:
            raise ComponentError(f"{self.name} stopped: {self._tasks.failure}")
        self.log.info("%s has stopped", self.name)

    def stop(self) -> None:
        """Stop reading, deliver what waits, close; `serve` returns when that is done."""
        self._stopped.set()

    async def _open_in_time(self) -> None:
        timeout = asyncio.timeout(self.start_timeout_s)
        try:
            async with timeout:
                await self._open()
        except TimeoutError as error:
            if not timeout.expired():
                raise
            reason = f"did not open within {self.start_timeout_s:g} s: do its disks and networks answer?"
            raise ComponentError(f"{self.name} {reason}") from error

    async def _open(self) -> None:
        if not self._setup:
            remedy = "call setup_udp, setup_stream or connect_stream in __init__, or set self._setup = True"
            raise ComponentError(f"{self.name} listens to nothing: {remedy} when it has sockets of its own")
        if self.decimation:
            self._decimation = Decimation(self.decimation, self.log)
            await asyncio.to_thread(self._decimation.open)
        if self.journal is not None:
            self._fanout = Fanout(self.publishers, self.log, journal=Journal(self.journal, self.log))
        for publisher in self.publishers:
            publisher.set_loop(self.loop)
            publisher.last_end = self.last_end
        await self._fanout.open(is_strict=self.needs_all_publishers)
        for endpoint in self.endpoints:
            await endpoint.open()
        for name, run in self._fanout.tasks().items():
            self.spawn(run(), name)
        for endpoint in self.endpoints:
            self.spawn(endpoint.run(), f"endpoint {endpoint.address}")
        for name in dir(type(self)):
            if name.startswith("ct_"):
                self.spawn(getattr(self, name)(), name)
        if self.state_of_health is not None:
            own = self.state_of_health.run(self.stats, lambda: self.publishers, self._hand_on, self._fanout.room)
            self.spawn(own, "ct_state_of_health")

    async def _read_out(self) -> float:
        """Let endpoints read what has arrived by now, in half of the stop's time at most; return how much that took."""
        began_s, timeout_s = self.loop.time(), self.stop_timeout_s / 2
        if not self._unpaused.is_set():  # no command will resume it
            for endpoint in self.endpoints:
                endpoint.release(_PAUSED)
        for lost in await asyncio.gather(*(endpoint.read_out(timeout_s) for endpoint in self.endpoints)):
            if lost:
                self.log.error("%s", lost)
                self._tasks.add_failure(lost)
        return min(self.loop.time() - began_s, timeout_s)

    async def _stop_reading(self) -> None:
        """Close the endpoints; what relays have in their own queues they may still publish."""
        for endpoint in self.endpoints:
            await endpoint.aclose()
        seen, end_s = -1, self.loop.time() + _LAST_READS_S
        while seen != (seen := self._fanout.put_count) and self.loop.time() < end_s:
            for _ in range(5):  # a relay needs a few turns of the loop for one item
                await asyncio.sleep(0)
        reading, reason = ("ct_", "endpoint "), f"{self.name} stops"
        await self._tasks.cancel(lambda name: name.startswith(reading) and name != "ct_commands", reason)
        if self.trigger is not None:
            self._fanout.put_messages(self.topics.numbered(self.trigger.end()))

    async def _close(self) -> None:
        self._silence.close()
        await self._fanout.stop_opening()
        await self._tasks.cancel(lambda name: True, f"{self.name} stops")
        for endpoint in self.endpoints:
            await endpoint.aclose()
        within_s = max(self.stop_timeout_s, self._close_by_s - self.loop.time())
        failures = [self._tasks.failure, *await self._fanout.aclose(within_s)]
        self._tasks.failure = "; ".join(filter(None, failures)) or None
        if "_context" in self.__dict__:
            self._context.destroy(linger=0)
        self._state = "stopped"

    # ------------------------------------------------------------------ coroutines and commands of every receiver

    async def ct_commands(self) -> None:
        """Answer the commands that arrive at `command_address`."""
        if self.command_address is not None:
            await self.command_socket.answer_all(self._context, self.command_address)

    async def ct_monitor(self) -> None:
        """Push a report of this component, and those of `Reporter`s of other names, to `monitor_address`."""
        if self.monitor_address is not None:
            made = partial(self._reports.report, self.key or self.name)
            await push_reports(
                self.name, lambda: made(self.state), self.monitor_address, self._reporters(), self._context, self.log
            )

    @property
    def state(self) -> str:
        """What it does: new, running, paused, stopping or stopped."""
        return "paused" if self._state == "running" and not self._unpaused.is_set() else self._state

    def _reporters(self) -> list[Reporter]:
        return [value for value in vars(self).values() if isinstance(value, Reporter)]

    def cmd_status(self) -> dict[str, object]:
        """Show state, endpoints, publishers, decimated streams, streams and messages."""
        return {
            "name": self.name,
            "class": type(self).__name__,
            "state": self.state,
            "pid": os.getpid(),
            **self.ages(self._started_s),
            "process": usage(),
            "receiver": self.receiver_status(),
            "publishers": self._fanout.status(),
            "journal": None if self._fanout.journal is None else self._fanout.journal.status(),
            "decimation": {} if self._decimation is None else self._decimation.status(),
            **({} if self.trigger is None else {"trigger": self.trigger.status()}),
            "streams": self.stats.report(),
            "topics": self.topics.report(),
        }

    def receiver_status(self) -> dict[str, object]:
        """Return what `status` shows of the receiving side; extend it in a subclass."""
        shown: dict[str, object] = {"endpoints": [endpoint.status() for endpoint in self.endpoints]}
        if self.stats.plain_messages:
            shown |= {"messages": self.stats.plain_messages, "bytes": self.stats.plain_bytes}
        for reporter in self._reporters():
            shown |= reporter.report()
        return shown

    def cmd_stats(self) -> dict[str, object]:
        """Show the counters of every stream."""
        return self.stats.report()

    def cmd_pause(self) -> str:
        """Stop reading; a TCP peer keeps its data meanwhile, datagrams wait in the system's buffer."""
        self._unpaused.clear()
        self._note_hold(True)
        for endpoint in self.endpoints:
            endpoint.hold(_PAUSED)
        self.log.warning("paused by command")
        return "paused"

    def cmd_resume(self) -> str:
        """Read again after `pause`."""
        self._unpaused.set()
        self._note_hold(False)
        for endpoint in self.endpoints:
            endpoint.release(_PAUSED)
        self.log.warning("resumed by command")
        return "running"

    def cmd_retry(self) -> str:
        """Try paused publishers now instead of after their pause; SIGUSR1 does the same."""
        return f"trying {', '.join(paused)}" if (paused := self._fanout.retry()) else "no publisher is paused"

    def cmd_stop(self) -> str:
        """Stop the component in order: deliver what waits, then end."""
        self.stop()
        return "stopping"
