"""The base of receivers of events: reads messages, counts by sender, and publishes each event."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import zmq

from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue, RemoteProtocolError
from rawdaq.events.connections import MAX_CONNECTIONS, Accepted, Dialled
from rawdaq.events.inputs import Inputs
from rawdaq.events.sources import Source, Sources
from rawdaq.messages import Kind, Message, topic_of
from rawdaq.outage import Outage
from rawdaq.protocols.events import Event, EventFormat, ForeignMessage, Frames
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.sockets.datagrams import Burst, DatagramEndpoint, DatagramOptions, plain_address
from rawdaq.sockets.endpoint import Endpoint
from rawdaq.sockets.networks import Networks
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.zeromq.endpoint import ZmqEndpoint, ZmqOptions

FOREIGN_SENDER = "foreign sender"
_FULL = f"more than {MAX_CONNECTIONS} connections"
_LOG_S = 10.0
_CHECK_S = 1.0
_MAX_MESSAGE_BYTES = 1 << 20  # of ZMQ: more than any event has


class EventServer(ReceiverServer):
    """Reads messages that are events, and publishes each as ``~event.NET.STA.NAME``.

    Args:
        publishers: where the events go.
        station: completes their topic.
        name: the component's name.
        inputs: where messages come from.
        make_format: makes the format of one more sender.

    Attributes:
        sources: what came from each sender.
        refusals: what was refused.
        connections: how many devices are connected to us.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        name: str,
        inputs: Inputs,
        make_format: Callable[[], EventFormat],
    ) -> None:
        super().__init__(inputs.host or inputs.ip, next(iter(inputs.ports), 0), publishers, name)
        self.sources = Sources(make_format)
        self.refusals = self.add_refusals(Refusals(self.log, what="message"))
        self.connections = 0
        self._topic = topic_of(Kind.EVENT, station, name)
        self._is_ours = Networks(inputs.senders).has
        self._missed = Outage(self.log, _LOG_S)
        self._backwards: Counter[str] = Counter()
        self._has_missed = asyncio.Event()
        self._add_inputs(inputs)

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the ports and addresses that others connect to, and the serial line."""
        return Inputs.of(options).exclusive()

    def _add_inputs(self, inputs: Inputs) -> None:
        if inputs.endpoints:
            kind = zmq.PULL if inputs.pattern == "pull" else zmq.SUB
            topics = [topic.encode() for topic in inputs.topics] or [b""]
            options = ZmqOptions(kind, inputs.bind, topics, max_message_bytes=_MAX_MESSAGE_BYTES)
            for address in inputs.endpoints:
                self.add_endpoint(ZmqEndpoint(address, options, self._plain_context, self._take_parts, self.log))
        elif inputs.device is not None:
            self._add_serial(inputs)
        elif inputs.host is not None:
            self.connect_stream(partial(Dialled, self, inputs.host))
        else:
            datagrams = DatagramOptions(int(inputs.receive_buffer_mb * 1e6))
            for place, port in enumerate(inputs.ports):
                if inputs.transport == "tcp":
                    self.setup_stream(partial(Accepted, self, place), port=port)
                else:
                    self.add_endpoint(DatagramEndpoint(inputs.ip, port, datagrams, self._take_burst, self.log))

    def _add_serial(self, inputs: Inputs) -> None:
        """Read a serial line, where a receiver has an option for one."""
        from rawdaq.sockets.serial_line import SerialEndpoint

        sender = str(inputs.device)
        frames = self.sources.of(sender).format.frames()

        def take(endpoint: Endpoint, chunk: bytes) -> None:
            self.take_chunk(endpoint, sender, frames, chunk)

        self.add_endpoint(SerialEndpoint(sender, inputs.baud, take, self.log))

    # ----------------------------------------------------------------------------------- what the endpoints call

    def refusal(self, sender: str) -> str | None:
        """Return why a connection of *sender* is not taken, None when it is."""
        if not self._is_ours(sender):
            return FOREIGN_SENDER
        return _FULL if self.connections >= MAX_CONNECTIONS else None

    def take_chunk(
        self, endpoint: Endpoint, sender: str, frames: Frames, chunk: bytes | memoryview
    ) -> RemoteProtocolError | None:
        """Publish the events that *chunk* completes; return why the stream cannot be read on, None when it can."""
        found: list[Message] = []
        received_ns = time.time_ns()
        source = self.sources.of(sender)
        error = None
        try:
            for message in frames.receive_data(chunk):
                found += self._messages(source, sender, message, received_ns)
        except RemoteProtocolError as problem:
            error = problem
            self._refuse(source, sender, error)
        self._publish(found, endpoint)
        return error

    def take_end(self, sender: str, frames: Frames) -> RemoteProtocolError | None:
        """Count what a peer that closed left incomplete; return that error, None when there is none."""
        try:
            frames.receive_eof()
        except RemoteProtocolError as error:
            self._refuse(self.sources.of(sender), sender, error)
            return error
        return None

    def _take_burst(self, endpoint: DatagramEndpoint, burst: Burst) -> None:
        """Publish the events of a burst of datagrams."""
        received_ns = time.time_ns()
        found: list[Message] = []
        at, host, sender, is_ours = 0, None, "", True
        for size, origin in zip(burst.sizes, burst.origins, strict=True):
            message = bytes(burst.data[at : at + size])
            at += size
            if origin[0] != host:
                host, sender = origin[0], plain_address(origin[0])
                is_ours = self._is_ours(sender)
            if is_ours:
                found += self._messages(self.sources.of(sender), sender, message, received_ns)
            else:
                self.refusals.count(FOREIGN_SENDER, sender)
        self._publish(found, endpoint)

    def _take_parts(self, endpoint: ZmqEndpoint, burst: list[list[bytes]]) -> None:
        """Publish the events of a burst of ZMQ messages; of several parts the last one is the message."""
        received_ns = time.time_ns()
        found: list[Message] = []
        sender = endpoint.address
        source = self.sources.of(sender)
        for parts in burst:
            found += self._messages(source, sender, parts[-1], received_ns)
        self._publish(found, endpoint)

    # ------------------------------------------------------------------------------------------------- one message

    def _messages(self, source: Source, sender: str, message: bytes, received_ns: int) -> Iterable[Message]:
        """Return what is published of a message of *source*; one that is no event is counted."""
        try:
            events = source.format.events(message)
        except RemoteProtocolError as error:
            self._refuse(source, sender, error)
            return ()
        # A plug-in is foreign code: what it does wrong must not keep the other messages from being read.
        except Exception as error:
            source.malformed += 1
            self.refusals.count("the format failed", sender, repr(error))
            return ()
        source.events += len(events)
        return [
            Message(self._topic, self._header(source, sender, event, received_ns), event.payload or message)
            for event in events
        ]

    def _header(self, source: Source, sender: str, event: Event, received_ns: int) -> Mapping[str, Any]:
        header: dict[str, Any] = {"received_ns": received_ns, "type": event.type}
        header["source"] = f"{sender}/{event.source}" if event.source else sender
        header["time_ns"], header["ps"] = event.time_ns, event.ps
        if event.device_ns is not None:
            header["device_ns"] = event.device_ns
        if event.counter is not None:
            missed, backwards = source.step(event.source, event.counter)
            header |= {"counter": event.counter, "missed": missed, "backwards": backwards}
            if missed or backwards:
                self._note_jump(header["source"], missed)
        if event.quality is not None:
            header["quality"] = event.quality
        self.complete(header, event)
        header["fields"] = event.fields
        return header

    def complete(self, header: dict[str, Any], event: Event) -> None:
        """Add to the *header* of an event what a kind of receiver knows of it; by default nothing."""

    def _refuse(self, source: Source, sender: str, error: RemoteProtocolError) -> None:
        if isinstance(error, ForeignMessage):
            source.foreign += 1
            self.refusals.count("foreign", sender, error)
        else:
            source.malformed += 1
            self.refusals.count("malformed", sender, error)

    def _publish(self, found: list[Message], endpoint: Endpoint) -> None:
        if not found:
            return
        try:
            self.publish_now(found, endpoint)
        except InvalidValue:  # a header that is too long, or that a plug-in made of what JSON does not have
            for each in found:
                try:
                    self.publish_now([each], endpoint)
                except InvalidValue as error:
                    self.refusals.count("cannot be published", str(each.header["source"]), error)

    # ----------------------------------------------------------------------------------- coroutines and commands

    def _note_jump(self, source: str, missed: int) -> None:
        (self._missed.counts if missed else self._backwards)[source] += missed or 1
        self._has_missed.set()

    async def ct_log_missed(self) -> None:
        """Log what is missing by the devices' counters, at a bounded rate."""
        try:
            while True:
                await self._has_missed.wait()
                if self._missed.is_due:
                    self._has_missed.clear()
                    self._log_missed()
                else:
                    await asyncio.sleep(_CHECK_S)
        finally:
            if self._has_missed.is_set():
                self._log_missed()

    def _log_missed(self) -> None:
        missing, back = _named(self._missed.counts), _named(self._backwards)
        self._missed.log("counters of devices jump: missing events: %s; went back: %s", missing, back)
        self._backwards.clear()

    def cmd_sources(self) -> dict[str, dict[str, object]]:
        """Show by sender how many events came, what is missing, and what was refused."""
        return self.sources.status()

    def receiver_status(self) -> dict[str, object]:
        """Return the sockets, what was refused, and what came from each sender."""
        shown = super().receiver_status() | self.refusals.report() | {"sources": self.sources.status()}
        return shown | {"missed": self.sources.missed()}


def _named(counts: Counter[str]) -> str:
    return ", ".join(f"{count} of {name}" for name, count in counts.most_common(10)) or "none"
