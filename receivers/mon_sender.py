"""Rates of a receiver for `status` and for a monitor, as ssdaq's receivers use it."""

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING

from rawdaq.streams.stats import RateMeter, Reporter

if TYPE_CHECKING:
    import zmq.asyncio

_INTERVAL_S = 1.0
_MAX_WAITING = 60  # messages for a monitor that does not read: a minute


class ReceiverMonSender(Reporter):
    """Counts what a receiver gets and reports its rate.

    Keep it as an attribute of the receiver: the server finds it there, shows its rate in ``status``, and, when the
    station file names a monitor, lets it push one JSON message a second to it. No monitor has to listen.

    Args:
        name: the receiver's name in the messages.
        loop: the receiver's event loop (kept for receivers written for ssdaq; the server runs the pushing).
        context: the receiver's zmq context.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, context: "zmq.asyncio.Context") -> None:
        self.name = name
        self.loop = loop
        self.dropped = 0
        self._context = context
        self._meter = RateMeter()
        self._log = logging.getLogger("rawdaq.receivers").getChild(name)

    def register_data_packet(self) -> None:
        """Count one packet; call it for each that arrives."""
        self._meter.count()

    def report(self) -> dict[str, object]:
        """Return packets so far and packets a second."""
        return {"data_packets": self._meter.total, "data_packets_per_s": round(self._meter.per_s, 3)}

    async def push(self, address: str) -> None:
        """Send one message a second to the monitor's PULL socket at *address* until cancelled."""
        import zmq

        from rawdaq.sockets.zeromq.socket import ZmqSocket

        monitor = ZmqSocket(address, is_bound=False, log=self._log, needs_peer=False)
        # A plain socket of the same context: it never waits.
        socket = await monitor.open(zmq.Context(self._context), zmq.PUSH, {zmq.SNDHWM: _MAX_WAITING})
        try:
            while True:
                await asyncio.sleep(_INTERVAL_S)
                monitor.check()
                self._send(socket, is_there=bool(monitor.state.peers))
        finally:
            await monitor.aclose()

    def _send(self, socket: "zmq.Socket[bytes]", is_there: bool) -> None:
        import zmq

        message = {"name": self.name, "time_ns": time.time_ns(), **self.report()}
        try:
            if not is_there:  # what a minute old message says is of no use
                raise zmq.Again
            socket.send_multipart([b"~monitor", json.dumps(message).encode()], zmq.NOBLOCK)
        except zmq.Again:
            self.dropped += 1
