"""Log records of the camera's older programs, which send one after the other by TCP, without lengths between them.

They can be told apart all the same: fields come in ascending order and field 1 is always there, so a field number that
falls begins the next record.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from rawdaq.errors import RemoteProtocolError
from rawdaq.messages.log import LogRecord
from rawdaq.protocols.events import MalformedMessage
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.sockets.endpoint import check_host
from rawdaq.sockets.refusals import Refusals
from rawdaq_chec.protobuf import FieldAt, Incomplete, bytes_field, field_at, number, number_field, text

#: A record with more is none: bounds what one sender can make us hold.
MAX_RECORD_BYTES = 65_536
MAX_CONNECTIONS = 1000

_REQUIRED = frozenset(range(1, 9))
_QUIET_S = 0.1  # after which a record is taken as whole
_MAX_TIME_NS = 1 << 62


class LogRecords:
    """Cuts a stream of bytes into records. The newest one is whole when the next begins, or when no more comes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fields: dict[int, int | bytes] = {}
        self._last = 0  # number of the newest field

    def receive_data(self, chunk: bytes) -> Iterator[LogRecord]:
        """Yield each record that another one follows.

        Raises:
            RemoteProtocolError: these bytes are no records; where the next one begins is unknown.
        """
        self._buffer += chunk
        at = 0
        try:
            while (found := self._next(at)) is not None:
                if found.number <= self._last:
                    yield self._record()
                self._last = found.number
                self._fields[found.number] = found.value
                at = found.end
        finally:
            del self._buffer[:at]
        if len(self._buffer) > MAX_RECORD_BYTES:
            raise MalformedMessage(f"a field of more than {MAX_RECORD_BYTES} bytes")

    def _next(self, at: int) -> FieldAt | None:
        try:
            return field_at(self._buffer, at) if at < len(self._buffer) else None
        except Incomplete:
            return None

    def take_quiet(self) -> LogRecord | None:
        """Return the newest record, because no more of it has come for a while; None when it is not whole."""
        if self._buffer or not self._fields.keys() >= _REQUIRED:
            return None
        return self._record()

    def receive_eof(self) -> LogRecord | None:
        """Return the newest record, because the peer closed; None when there is none.

        Raises:
            RemoteProtocolError: that was in the middle of it.
        """
        if self._buffer:
            raise Incomplete()
        return self._record() if self._fields else None

    def _record(self) -> LogRecord:
        found, self._fields, self._last = self._fields, {}, 0
        if missing := sorted(_REQUIRED - found.keys()):
            raise MalformedMessage(f"a record without field {missing[0]}")
        time_ns = number(found[5], "time")
        if time_ns > _MAX_TIME_NS:
            raise MalformedMessage(f"time of {time_ns} ns cannot be")
        return LogRecord(
            time_ns=time_ns,
            level=min(number(found[2], "severity"), 1_000_000),
            name=text(found[3], "sender"),
            message=text(found[4], "message"),
            pid=number(found[6], "pid"),
            file=text(found[7], "sourceFile"),
            line=number(found[8], "line"),
        )


def encode(record: LogRecord, system_type: int = 0) -> bytes:
    """Return the bytes of *record* as the older programs write them."""
    return b"".join(
        [
            number_field(1, system_type),
            number_field(2, record.level),
            bytes_field(3, record.name.encode()),
            bytes_field(4, record.message.encode()),
            number_field(5, record.time_ns),
            number_field(6, record.pid),
            bytes_field(7, record.file.encode()),
            number_field(8, record.line),
        ]
    )


class _Connection(asyncio.Protocol):
    """One sender."""

    def __init__(self, receiver: "ChecLogReceiver") -> None:
        self._receiver = receiver
        self._records = LogRecords()
        self._peer = ""
        self._transport: asyncio.Transport | None = None
        self._quiet: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._peer = str(transport.get_extra_info("peername")[0])
        if self._receiver.connections >= MAX_CONNECTIONS:
            self._receiver.refusals.count("too many connections", self._peer)
            transport.abort()  # type: ignore[attr-defined]  # asyncio's own signature is wider than what it gives
            return
        self._receiver.connections += 1
        self._transport = transport  # type: ignore[assignment]  # as above

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._transport is None:
            return
        self._hush()
        found: list[LogRecord] = []
        try:
            found.extend(self._records.receive_data(data))
        except RemoteProtocolError as error:
            self._receiver.refusals.count("malformed", self._peer, error)
            self._records = LogRecords()
            self._transport.abort()
        self._receiver.take(found)
        self._quiet = asyncio.get_running_loop().call_later(_QUIET_S, self._take_quiet)

    def _take_quiet(self) -> None:
        try:
            record = self._records.take_quiet()
        except RemoteProtocolError as error:
            self._receiver.refusals.count("malformed", self._peer, error)
        else:
            self._receiver.take([] if record is None else [record])

    def _hush(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self._transport is None:
            return
        self._hush()
        self._receiver.connections -= 1
        try:
            record = self._records.receive_eof()
        except RemoteProtocolError as error:
            self._receiver.refusals.count("malformed", self._peer, error)
        else:
            self._receiver.take([] if record is None else [record])


class ChecLogReceiver(ReceiverServer):
    """Takes the log records of the camera's older programs by TCP, and publishes each as a message ``~log``.

    Args:
        publishers: where the messages go.
        ip: the address to listen on.
        port: its TCP port; 0 lets the system choose one.
        name: the component's name.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        *,
        ip: Annotated[str, AfterValidator(check_host)] = "127.0.0.1",
        port: Annotated[int, Field(ge=0, le=65535)] = 10001,
        name: str = "ChecLogReceiver",
    ) -> None:
        super().__init__(ip, port, publishers, name)
        self.refusals = Refusals(self.log, what="record")
        self.connections = 0
        self.setup_stream(lambda: _Connection(self))

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the port, which only one component can have."""
        return [f"TCP port {options['port']} of {options['ip']}"] if options["port"] else []

    def take(self, records: Sequence[LogRecord]) -> None:
        """Publish *records*."""
        if records:
            self.publish_now([record.message_of() for record in records], self.endpoints[0])

    async def ct_log_refusals(self) -> None:
        """Log what was refused, at a bounded rate."""
        await self.refusals.log_regularly()

    def receiver_status(self) -> dict[str, object]:
        """Return the socket, and what was refused."""
        return super().receiver_status() | self.refusals.report() | {"connections": self.connections}
