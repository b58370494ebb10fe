"""One run of a repeater: a receiver and its outputs, from their start to their end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from rawdaq.config.settings import StationSettings
from rawdaq.control.repeater.config import Config, Output
from rawdaq.errors import ComponentError
from rawdaq.protocols.array import HeaderForm
from rawdaq.protocols.writer_header import WriterRun
from rawdaq.publisher import OverflowPolicy
from rawdaq.publishers.repeater import RepeaterPublisher
from rawdaq.receivers.zmq_in import ZMQReceiver

_START_S = 2.0  # how long a start may take
_NO_STATION = StationSettings(network="XX", code="REPEATER")  # frames of a detector have no stream
_INPUT = ("received", "received_bytes", "lost", "restarts", "first_frame", "last_frame", "rate_hz")


class Run:
    """Receives and sends what a configuration says.

    Args:
        config: a complete configuration.
        writer: what the detector writer must know, where an output has its header.
        ended: called with the reason when the run ends by itself.
        log: where it is logged.
    """

    def __init__(
        self, config: Config, writer: WriterRun | None, ended: Callable[[str], None], log: logging.Logger
    ) -> None:
        self._outputs = [_publisher(config, output, writer) for output in config.outputs()]
        self._receiver = _receiver(config, self._outputs)
        self._ended = ended
        self._log = log
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open all sockets.

        Raises:
            ComponentError: that is impossible; nothing is left open.
        """
        self._task = asyncio.create_task(self._receiver.serve(), name="repeater")
        opened = asyncio.create_task(self._receiver.started.wait())
        await asyncio.wait([self._task, opened], return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if self._task.done():
            await self._task
            raise ComponentError("the repeater ended while it was started")
        self._task.add_done_callback(self._on_end)

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        if not self._is_stopping:
            error = None if task.cancelled() else task.exception()
            self._ended(str(error) if error is not None else "the repeater ended")

    async def stop(self) -> None:
        """Read no more, send what waits while there is time, and close everything."""
        self._is_stopping = True
        if self._task is not None:
            self._receiver.stop()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.exception()  # it is logged; what is lost is counted

    def counters(self) -> dict[str, Any]:
        """Return the counters of the input and of each output."""
        shown: dict[str, Any] = self._receiver.receiver_status()
        refused = shown["refused"]
        source = {name: shown[name] for name in _INPUT}
        source |= {
            "accepted": shown["received"] - refused,
            "refused": refused,
            "refused_by_reason": shown["refused_by_reason"],
            "connected": any(endpoint["connected"] for endpoint in shown["endpoints"]),
            "held": sorted({reason for endpoint in shown["endpoints"] for reason in endpoint["held"]}),
        }
        return {"input": source, "outputs": {output.name: output.status() for output in self._outputs}}


def _publisher(config: Config, output: Output, writer: WriterRun | None) -> RepeaterPublisher:
    port = output.port if output.options["address"] is None else None
    made = RepeaterPublisher(**output.options, port=port, ip=config.values["out_ip"], name=output.name)
    made.overflow = OverflowPolicy(output.overflow)
    if made.writer is not None and writer is not None:
        made.writer.begin(writer)
    return made


def _receiver(config: Config, outputs: list[RepeaterPublisher]) -> ZMQReceiver:
    values = config.values
    receiver = ZMQReceiver(
        outputs,
        _NO_STATION,
        endpoints=config.in_addresses,
        pattern=cast("Any", str(values["in_zmq_mode"]).lower()),
        bind=values["in_bind"],
        topics=values["topics"],
        frames=True,
        header_part=values["header_part"],
        mode_metadata=HeaderForm(values["mode_metadata"]),
        high_water_mark=values["high_water_mark"],
        max_message_mb=values["max_message_mb"],
        io_threads=values["io_threads"],
        name="repeater",
    )
    receiver.stop_timeout_s = values["stop_timeout_s"] / 2  # it takes as long for its queues, and for closing
    receiver.start_timeout_s = _START_S
    receiver.needs_all_publishers = True  # the request to start is answered with the reason
    return receiver
