"""Pushes a report once a second to the PULL socket of a monitor, which may be away."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import zmq

from rawdaq.messages.frames import encode
from rawdaq.messages.message import Message
from rawdaq.messages.monitor import TOPIC
from rawdaq.sockets.zeromq.socket import ZmqSocket
from rawdaq.streams.stats import Reporter

if TYPE_CHECKING:
    import zmq.asyncio

INTERVAL_S = 1.0
MAX_WAITING = 60  # messages for a monitor that does not read: a minute
_LAST_S = 0.2  # for the last report, when the component ends


class MonitorSender:
    """Sends reports of one component.

    Args:
        address: of the monitor's PULL socket.
        log: where it is logged that it came and went.

    Attributes:
        dropped: reports that the monitor did not get, because it was away or did not read.
    """

    def __init__(self, address: str, log: logging.Logger) -> None:
        self.dropped = 0
        self._monitor = ZmqSocket(address, is_bound=False, log=log, needs_peer=False)
        self._socket: zmq.Socket[bytes] | None = None
        self._frame = 0

    async def push(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        report: Callable[[], Mapping[str, object]],
        component: str,
    ) -> None:
        """Send what *report* returns once a second until cancelled, and then once more.

        Args:
            context: where the socket is made; it never waits.
            report: makes the keys of a message.
            component: who sends it.
        """
        try:
            await self._open(context)
            while True:
                await asyncio.sleep(INTERVAL_S)
                self._monitor.check()
                self._send(report(), component)
        finally:
            with contextlib.suppress(zmq.ZMQError):
                self._send(report(), component)
            await self._monitor.aclose(_LAST_S if self._has_peer else 0.0)

    async def _open(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self._socket = await self._monitor.open(context, zmq.PUSH, {zmq.SNDHWM: MAX_WAITING})

    @property
    def _has_peer(self) -> bool:
        return bool(self._monitor.state.peers)

    def _send(self, report: Mapping[str, object], component: str) -> None:
        if self._socket is None:
            return
        now_ns = report.get("time_ns")
        message = Message(TOPIC, report).published(self._frame, component, now_ns if isinstance(now_ns, int) else 0)
        self._frame += 1
        self._send_frames(encode(message))

    def _send_frames(self, frames: Sequence[bytes | memoryview]) -> None:
        """Send a message unless it would have to wait: what a minute old one says is of no use."""
        assert self._socket is not None  # noqa: S101 - it is sent only while it is open
        try:
            if not self._has_peer:
                raise zmq.Again
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            self.dropped += 1


async def push_reports(
    name: str,
    made: Callable[[], dict[str, object]],
    address: str,
    reporters: Sequence[Reporter],
    context: "zmq.asyncio.Context",
    log: logging.Logger,
) -> None:
    """Send what *made* returns, the report of the component *name*, to the monitor at *address* until cancelled.

    What *reporters* of its name say is a part of it; those of other names push theirs.
    """
    own = [each for each in reporters if getattr(each, "name", None) == name]

    def report() -> dict[str, object]:
        whole = made()
        for each in own:
            whole |= each.report()
        return whole

    pushing = MonitorSender(address, log).push(zmq.Context(context), report, name)
    await asyncio.gather(pushing, *(each.push(address) for each in reporters if each not in own))
