"""Reports of the camera's older programs, which each push one a second."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import zmq
from pydantic import AfterValidator, Field

from rawdaq.errors import RemoteProtocolError
from rawdaq.messages import Message
from rawdaq.messages.monitor import TOPIC, ComponentReport
from rawdaq.protocols.events import MalformedMessage
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.sockets.endpoint import check_host, host_port
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.zeromq.endpoint import ZmqEndpoint, ZmqOptions
from rawdaq.times import MAX_YEAR, NS_PER_S, from_calendar
from rawdaq_chec.protobuf import bytes_field, data, fields, float32, float32_field, number, number_field, text

_MAX_MESSAGE_BYTES = 65_536
_LAST_NS = from_calendar(MAX_YEAR, 1, 0, 0, 0)
_RECEIVER = 16  # the field of the report itself


def decode(message: bytes) -> dict[str, Any]:
    """Return what a report says, in the keys of a message ``~monitor``.

    Raises:
        RemoteProtocolError: it is none.
    """
    header: dict[str, Any] = {}
    for field, value in fields(message):
        if field == 1:
            header["time_ns"] = _time(data(value, "time"))
        elif field == _RECEIVER:
            header |= _about(data(value, "reciver"))
    if not header.get("name"):
        raise MalformedMessage("a report without a name")
    return header


def _time(message: bytes) -> int:
    found = dict(fields(message))
    time_ns = number(found.get(1, 0), "sec") * NS_PER_S + number(found.get(2, 0), "nsec")
    if time_ns > _LAST_NS:
        raise MalformedMessage(f"time of {time_ns} ns cannot be")
    return time_ns


def _about(message: bytes) -> dict[str, Any]:
    header: dict[str, Any] = {}
    for field, value in fields(message):
        match field:
            case 1:
                header["name"] = text(value, "name")[:200]
            case 2:
                header["pid"] = number(value, "pid")
            case 3:
                header["data"] = bool(number(value, "recv_data"))
            case 4:
                rate = float32(value, "data_rate")
                header["data_packets_per_s"] = rate if math.isfinite(rate) else None
            case _:
                pass
    return header


def encode(name: str, pid: int, time_ns: int, rate_hz: float, *, has_data: bool) -> bytes:
    """Return a report as the older programs send it."""
    seconds, nanoseconds = divmod(time_ns, NS_PER_S)
    when = number_field(1, seconds) + number_field(2, nanoseconds)
    about = bytes_field(1, name.encode()) + number_field(2, pid) + number_field(3, has_data) + float32_field(4, rate_hz)
    return bytes_field(1, when) + bytes_field(_RECEIVER, about)


class ChecMonitorReceiver(ReceiverServer):
    """Takes the reports of the camera's older programs, and publishes each as a message ``~monitor``.

    A `MonitorReceiver` that reads this one's stream keeps the table of who is there.

    Args:
        publishers: where the messages go.
        ip: the address to listen on.
        port: its port; 0 lets the system choose one.
        name: the component's name.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        *,
        ip: Annotated[str, AfterValidator(check_host)] = "127.0.0.1",
        port: Annotated[int, Field(ge=0, le=65535)] = 10002,
        name: str = "ChecMonitorReceiver",
    ) -> None:
        super().__init__(ip, port, publishers, name)
        self.refusals = Refusals(self.log, what="report")
        options = ZmqOptions(zmq.PULL, is_bound=True, max_message_bytes=_MAX_MESSAGE_BYTES)
        address = f"tcp://{host_port(ip, port) if port else f'{ip}:*'}"
        self.add_endpoint(ZmqEndpoint(address, options, self._plain_context, self._take, self.log))

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the address that only one component can bind."""
        return [f"tcp://{host_port(options['ip'], options['port'])}"] if options["port"] else []

    def _plain_context(self) -> "zmq.Context[zmq.Socket[bytes]]":
        return zmq.Context(self._context)

    def _take(self, endpoint: ZmqEndpoint, burst: list[list[bytes]]) -> None:
        now_ns = time.time_ns()
        found: list[Message] = []
        for parts in burst:
            try:
                header = decode(parts[-1])
                ComponentReport.from_header(header, now_ns)  # what reads the messages takes nothing else
            except RemoteProtocolError as error:
                self.refusals.count("malformed", endpoint.address, error)
                continue
            found.append(Message(TOPIC, {"component": header["name"], **header, "received_ns": now_ns}))
        if found:
            self.publish_now(found, endpoint)

    async def ct_log_refusals(self) -> None:
        """Log what was refused, at a bounded rate."""
        await self.refusals.log_regularly()

    def receiver_status(self) -> dict[str, object]:
        """Return the socket, and what was refused."""
        return super().receiver_status() | self.refusals.report()
