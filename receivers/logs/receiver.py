"""LogReceiver: log records of any programs, by TCP and by ZMQ, published as messages ``~log``."""

import functools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import zmq
from pydantic import AfterValidator, Field

from rawdaq.messages.log import LogRecord
from rawdaq.messages.log_lines import Refused
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.logs.connection import LogConnection, LogEndpoint
from rawdaq.receivers.logs.messages import record_in
from rawdaq.sockets.endpoint import Endpoint, check_listening, host_port
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.zeromq.endpoint import ZmqEndpoint, ZmqOptions
from rawdaq.sockets.zeromq.socket import check_zmq_address, exclusive_addresses

_MAX_MESSAGE_BYTES = 1 << 18


def _check_addresses(addresses: list[str]) -> list[str]:
    for address in addresses:
        check_zmq_address(address)
    return addresses


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
        self.refusals = Refusals(self.log, what="log line")
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

    async def ct_log_refusals(self) -> None:
        """Log what was refused, at a bounded rate."""
        await self.refusals.log_regularly()

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
