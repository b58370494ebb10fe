"""MonitorReceiver: what all components say of themselves, published on, and the newest of each in a table."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

import zmq
from pydantic import AfterValidator, Field

from rawdaq.messages.frames import topic_in
from rawdaq.messages.message import LAYOUT_VERSION, Message
from rawdaq.messages.monitor import OFFLINE, TOPIC, ComponentReport
from rawdaq.protocols.json_header import read_header, wrong_value
from rawdaq.protocols.message_errors import MessageMalformed, UnsupportedLayout
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.monitor.table import Heard, MonitorTable
from rawdaq.sockets.endpoint import check_listening, host_port
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.zeromq.endpoint import ZmqEndpoint, ZmqOptions
from rawdaq.times import NS_PER_S, to_iso

_MAX_MESSAGE_BYTES = 1 << 18
_CHECK_S = 0.1
_SHOWN = "packets_per_s messages_per_s streams silent gaps dropped waiting latency_s cpu_percent memory_bytes".split()
_ROUTED = frozenset({"rawdaq", "kind", "frame", "received_ns"})  # of a message, not of a report


class MonitorReceiver(ReceiverServer):
    """Takes what components say of themselves once a second, and publishes each report on as a message ``~monitor``.

    Components send with ``Daemon: {monitor: tcp://HOST:10002}``, other programs push the topic ``~monitor`` and a JSON
    object in which only ``name`` must be there. One that is silent for `offline_s` is offline: that is a message with
    the state ``offline`` and ``since_ns``. ``control-rawdaq send NAME table`` shows the newest of each component.

    Args:
        publishers: where the messages go.
        ip: the address to listen on.
        port: its port; 0 lets the system choose one.
        offline_s: a component that says nothing for so long is offline.
        max_names: how many components are remembered; one that has been offline for longest makes room.
        name: the component's name.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        *,
        ip: Annotated[str, AfterValidator(check_listening)] = "127.0.0.1",
        port: Annotated[int, Field(ge=0, le=65535)] = 10002,
        offline_s: Annotated[float, Field(ge=0.1, le=86_400)] = 1.5,
        max_names: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000,
        name: str = "MonitorReceiver",
    ) -> None:
        super().__init__(ip, port, publishers, name)
        self.refusals = self.add_refusals(Refusals(self.log, what="report"))
        self._table = MonitorTable(offline_s, max_names)
        self._check_s = min(_CHECK_S, offline_s / 4)
        options = ZmqOptions(zmq.PULL, is_bound=True, max_message_bytes=_MAX_MESSAGE_BYTES, needs_peer=False)
        address = f"tcp://{host_port(ip, port) if port else f'{ip}:*'}"
        self.endpoint = ZmqEndpoint(address, options, self._plain_context, self._take, self.log)
        self.add_endpoint(self.endpoint)

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the address that only one component can bind."""
        ip: str = "0.0.0.0" if options["ip"] == "*" else options["ip"]
        return [f"tcp://{host_port(ip, options['port'])}"] if options["port"] else []

    def _take(self, endpoint: ZmqEndpoint, burst: list[list[bytes]]) -> None:
        now_s, now_ns = time.monotonic(), time.time_ns()
        messages: list[Message] = []
        for parts in burst:
            try:
                header = _header(parts)
                report = ComponentReport.from_header(header, now_ns)
            except MessageMalformed as error:
                self.refusals.count(error.reason, endpoint.address, error)
                continue
            if self._table.add(report, now_s, now_ns):
                said = {key: value for key, value in header.items() if key not in _ROUTED}
                messages.append(Message(TOPIC, {"component": report.name, **said, "received_ns": now_ns}))
            else:
                self.refusals.count("too many components", endpoint.address, "see max_names")
        if messages:
            self.publish_now(messages, endpoint)

    async def ct_offline(self) -> None:
        """Publish who has become offline."""
        while True:
            await asyncio.sleep(self._check_s)
            now_s = time.monotonic()
            if gone := [_gone(heard, now_s) for heard in self._table.gone(now_s)]:
                await self.publish(gone)

    def cmd_table(self, args: list[str]) -> list[dict[str, object]]:
        """Show the newest report of each component, or of those with a name like a pattern: table [PATTERN]."""
        pattern = args[0] if args else "*"
        now_s = time.monotonic()
        return [_row(heard, now_s) for heard in self._table.all() if fnmatchcase(heard.report.name, pattern)]

    def receiver_status(self) -> dict[str, object]:
        """Return how many components are there, and what was refused."""
        return {
            **super().receiver_status(),
            "components": len(self._table),
            "online": self._table.online,
            "forgotten": self._table.forgotten,
            **self.refusals.report(),
        }


def _header(parts: Sequence[bytes]) -> dict[str, Any]:
    """Return the keys of a report, of a component or of any program.

    Raises:
        MessageMalformed: it is no report; the text says why.
    """
    topic = topic_in(parts)
    if topic != TOPIC:
        raise wrong_value({"topic": topic}, "topic", TOPIC)
    header = read_header(parts[1])
    version = header.get("rawdaq", LAYOUT_VERSION)
    if type(version) is int and version > LAYOUT_VERSION:
        raise UnsupportedLayout(version, LAYOUT_VERSION)
    return header


def _gone(heard: Heard, now_s: float) -> Message:
    """Return the message that says that a component is offline."""
    report = heard.report
    silent_s = now_s - heard.at_s
    header = {
        "component": report.name,
        "name": report.name,
        "host": report.host,
        "pid": report.pid,
        "time_ns": heard.at_ns + round(silent_s * NS_PER_S),
        "state": OFFLINE,
        "since_ns": heard.at_ns,
        "silent_s": round(silent_s, 3),
        "data": False,
    }
    return Message(TOPIC, header)


def _row(heard: Heard, now_s: float) -> dict[str, object]:
    report = heard.report
    return {
        "name": report.name,
        "host": report.host,
        "pid": report.pid,
        "state": report.state,
        "heard": to_iso(heard.at_ns, 3),
        "age_s": round(now_s - heard.at_s, 3),
        "data": report.has_data,
        **{name: getattr(report, name) for name in _SHOWN},
        "problems": list(report.problems),
    }
