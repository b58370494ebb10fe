"""Rates of a receiver for `status` and for a monitor, as ssdaq's receivers use it."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from rawdaq.streams.stats import RateMeter, Reporter

if TYPE_CHECKING:
    import zmq.asyncio

    from rawdaq.reporting.sender import MonitorSender


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
        self._sender: MonitorSender | None = None
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

        from rawdaq.reporting.sender import MonitorSender

        self._sender = MonitorSender(address, self._log)
        await self._sender.push(zmq.Context(self._context), self._message, self.name)

    @property
    def dropped(self) -> int:
        """Reports that the monitor did not get."""
        return 0 if self._sender is None else self._sender.dropped

    def _message(self) -> dict[str, object]:
        return {"name": self.name, "time_ns": time.time_ns(), **self.report()}
