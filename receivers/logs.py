"""LogReceiver: log records of any programs, by TCP and by ZMQ, published as messages ``~log``."""

import asyncio
import fcntl
import functools
import struct
import termios
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import zmq
from pydantic import AfterValidator, Field

from rawdaq.messages.frames import topic_in
from rawdaq.messages.log import LogRecord
from rawdaq.messages.log_lines import NOT_PICKLE, LogLines, Refused
from rawdaq.messages.message import LAYOUT_VERSION, MAX_HEADER_BYTES, Kind, kind_of
from rawdaq.protocols.json_header import read_header, wrong_value
from rawdaq.protocols.message_errors import MessageMalformed, UnsupportedLayout
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.sockets.endpoint import Endpoint, check_listening, host_port
from rawdaq.sockets.listening import StreamEndpoint
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.zeromq.endpoint import ZmqEndpoint, ZmqOptions
from rawdaq.sockets.zeromq.socket import check_zmq_address, exclusive_addresses

_MAX_MESSAGE_BYTES = 1 << 18
_TURN_S = 0.01


def _check_addresses(addresses: list[str]) -> list[str]:
    for address in addresses:
        check_zmq_address(address)
    return addresses


class LogConnection(asyncio.Protocol):
    """One sender.

    Args:
        taker: the receiver, which gets what it sends.

    Attributes:
        peer: its address.
    """

    def __init__(self, taker: "LogReceiver") -> None:
        self.peer = "?"
        self._taker = taker
        self._lines = LogLines()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        peer: Any = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else "?"
        if not self._taker.admit(self):
            self._taker.refuse(self.peer, Refused("too many connections", "see max_connections"))
            self._transport.abort()
            self._transport = None

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._transport is None:
            return
        records: list[LogRecord] = []
        for event in self._lines.receive_data(data, time.time_ns()):
            if isinstance(event, LogRecord):
                records.append(event)
                continue
            self._taker.refuse(self.peer, event)
            if event.is_last:
                self._transport.write(f"{NOT_PICKLE}\n".encode())
                self._transport.close()
        if records:
            self._taker.take(records)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        for refused in self._lines.receive_eof():
            self._taker.refuse(self.peer, refused)
        self._transport = None
        self._taker.leave(self)


class LogEndpoint(StreamEndpoint):
    """Listens; at a stop it reads what has arrived by then."""

    async def read_out(self, timeout_s: float) -> str | None:
        """Read what senders have sent by now."""
        end_s = asyncio.get_running_loop().time() + timeout_s
        while waiting := sum(map(_waiting_bytes, self.transports())):
            if asyncio.get_running_loop().time() > end_s:
                return f"{waiting} bytes of log records had no room and are lost"
            await asyncio.sleep(_TURN_S)
        return None


def _waiting_bytes(transport: Any) -> int:
    """Return how many bytes have come that were not read."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return 0
    (count,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))
    return int(count)


class LogReceiver(ReceiverServer):
    """Takes log records of any programs and publishes each as a message ``~log``.

    By TCP a record is one JSON object on a line of at most 64 KiB, which any program can send, also ``netcat``:
    ``{"message": "door open", "level": 30}``. Only ``message`` must be there; ``time_ns``, ``level``, ``name``,
    ``component``, ``host``, ``pid``, ``file``, ``line`` and ``exception`` may be. Python programs have
    `rawdaq.log.SocketLogHandler`, components ``Daemon: {log_to: HOST:PORT}``. What is no record is counted by sender
    and reason, and the next line is read. `LogFilePublisher` stores records as lines of text.

    Args:
        publishers: where the messages go.
        ip: the address to listen on.
        port: its TCP port; 0 lets the system choose one.
        endpoints: ZMQ addresses to bind, where PUSH sockets send messages ``~log``, such as ``tcp://127.0.0.1:10011``.
        max_connections: how many programs may be connected by TCP at once.
        name: the component's name.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        *,
        ip: Annotated[str, AfterValidator(check_listening)] = "127.0.0.1",
        port: Annotated[int, Field(ge=0, le=65535)] = 10001,
        endpoints: Annotated[list[str], AfterValidator(_check_addresses)] = [],  # noqa: B006 - it is never changed
        max_connections: Annotated[int, Field(ge=1, le=100_000)] = 2000,
        name: str = "LogReceiver",
    ) -> None:
        super().__init__({"*": "0.0.0.0"}.get(ip, ip), port, publishers, name)
        self.max_connections = max_connections
        self.refusals = self.add_refusals(Refusals(self.log, what="log line"))
        self._connections: set[LogConnection] = set()
        self._by_level: Counter[str] = Counter()
        self.endpoint: Endpoint = LogEndpoint(lambda: LogConnection(self), self.ip, port)
        self.add_endpoint(self.endpoint)
        options = ZmqOptions(zmq.PULL, is_bound=True, max_message_bytes=_MAX_MESSAGE_BYTES, needs_peer=False)
        for address in endpoints:
            self.add_endpoint(ZmqEndpoint(address, options, self._plain_context, self._take_burst, self.log))

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the addresses that only one component can listen on."""
        listening = [f"tcp://{host_port(options['ip'], options['port'])}"] if options["port"] else []
        return [*listening, *exclusive_addresses(options["endpoints"])]

    # What connections call.

    def admit(self, connection: LogConnection) -> bool:
        """Return whether there may be one more connection; it counts from now on."""
        if len(self._connections) >= self.max_connections:
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: LogConnection) -> None:
        """Take note that a connection has ended."""
        self._connections.discard(connection)

    def take(self, records: Sequence[LogRecord], endpoint: Endpoint | None = None) -> None:
        """Publish *records*."""
        for record in records:
            self._by_level[_level_word(record.level)] += 1
        self.publish_now([record.message_of() for record in records], endpoint or self.endpoint)

    def refuse(self, sender: str, refused: Refused) -> None:
        """Count what is no record."""
        self.refusals.count(refused.reason, sender, refused.detail)

    def _take_burst(self, endpoint: ZmqEndpoint, burst: list[list[bytes]]) -> None:
        records: list[LogRecord] = []
        now_ns = time.time_ns()
        for parts in burst:
            try:
                records.append(record_in(parts, now_ns))
            except MessageMalformed as error:
                self.refusals.count(error.reason, endpoint.address, error)
        if records:
            self.take(records, endpoint)

    def receiver_status(self) -> dict[str, object]:
        """Return endpoints, connections, records by level, and what was refused."""
        shown = super().receiver_status()
        return {
            **shown,
            "connections": len(self._connections),
            "max_connections": self.max_connections,
            "records": self._by_level.total(),
            "records_by_level": dict(self._by_level),
            **self.refusals.report(),
        }


@functools.lru_cache(maxsize=256)
def _level_word(level: int) -> str:
    """Return the word under which a level is counted: the highest that has one, so that there are few."""
    word = LogRecord(0, max(0, min(level // 10 * 10, 50)), "", "").level_name
    return "NOTSET" if level < 10 else word


def record_in(parts: Sequence[bytes], now_ns: int) -> LogRecord:
    """Return the record that a message carries, of rawdaq or of any program.

    Args:
        parts: its frames.
        now_ns: the time of one that has none.

    Raises:
        MessageMalformed: it carries none; the text says why.
    """
    topic = topic_in(parts)
    header = read_header(parts[1], MAX_HEADER_BYTES)
    if kind_of(topic) is not Kind.LOG:
        raise wrong_value({"topic": topic}, "topic", "~log")
    version = header.get("rawdaq", LAYOUT_VERSION)
    if type(version) is int and version > LAYOUT_VERSION:
        raise UnsupportedLayout(version, LAYOUT_VERSION)
    return LogRecord.from_header(header, now_ns)
