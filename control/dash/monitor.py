"""Components of any machine, as a `MonitorReceiver` publishes them, with log records and live streams beside them."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from rawdaq.control.dash.source import INTERVAL_S, Log, LogLine
from rawdaq.control.dash.values.board import Board, Component, Stream
from rawdaq.control.dash.values.from_report import Reports
from rawdaq.control.dash.values.past import Past
from rawdaq.control.dash.values.trace import Traces
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Kind, Message
from rawdaq.messages.monitor import ComponentReport
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.subscriber import MessageSubscriber, Subscriber
from rawdaq.times import NS_PER_S, to_iso

_MOST_RECORDS = 1000
_FIRST_S = 10.0  # so long `look` waits for the first report
_MORE_S = 1.5  # then each component that is there has sent another one


class MonitorSource:
    """What a `MonitorReceiver` publishes.

    Args:
        addresses: of its live publisher, and of that of a `LogReceiver` if its records are shown too.
        live: of publishers of waveforms, for traces.
        log: where messages that cannot be read are logged.
    """

    def __init__(self, addresses: Sequence[str], live: Sequence[str], log: logging.Logger) -> None:
        self.traces = Traces() if live else None
        self.no_traces = "" if live else "traces need --live ADDRESS"
        self._messages = MessageSubscriber(addresses, [Kind.MONITOR, Kind.LOG], logger=log)
        self._packets = Subscriber(live, logger=log) if live else None
        self._reports, self._past = Reports(), Past()
        self._records: deque[LogRecord] = deque(maxlen=_MOST_RECORDS)
        self._came = asyncio.Event()

    def open(self) -> None:
        """Connect.

        Raises:
            InvalidValue: an address cannot be one.
        """
        self._messages.open()
        if self._packets is not None:
            self._packets.open()

    async def run(self, show: Callable[[Board], object]) -> None:
        """Read, and call *show* once a second, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_messages(), name="messages of the monitor")
            tasks.create_task(self._read_packets(), name="packets of live publishers")
            while True:
                show(self._board())
                await asyncio.sleep(INTERVAL_S)

    async def look(self, first_s: float = _FIRST_S, more_s: float = _MORE_S) -> Board:
        """Return what has come when each component has had the time to report.

        Args:
            first_s: how long to wait for the first report.
            more_s: how long for the others.
        """
        reading = asyncio.get_running_loop().create_task(self._read_messages(), name="messages of the monitor")
        try:
            async with asyncio.timeout(first_s):
                await self._came.wait()
            await asyncio.sleep(more_s)
        except TimeoutError:
            pass
        finally:
            reading.cancel()
            await asyncio.wait([reading])
        return self._board()

    async def _read_messages(self) -> None:
        while (message := await self._messages.areceive()) is not None:
            try:
                self._take(message)
            except MessageMalformed as error:
                self._messages.refusals.count(error.reason, self._messages.addresses[0], error)

    def _take(self, message: Message) -> None:
        if message.kind == Kind.LOG:
            self._records.append(LogRecord.from_message(message))
            return
        now_ns = time.time_ns()
        self._reports.add(ComponentReport.from_message(message), now_ns)
        self._came.set()

    async def _read_packets(self) -> None:
        if self._packets is None or self.traces is None:
            return
        while (packet := await self._packets.areceive()) is not None:
            self.traces.add(packet, time.monotonic())

    def _board(self) -> Board:
        now_ns = time.time_ns()
        components = self._past.complete(self._reports.components(now_ns), now_ns)
        return Board(now_ns, components, self._streams(now_ns), tuple(self._notes()))

    def _streams(self, now_ns: int) -> tuple[Stream, ...]:
        """Return the streams whose packets come: nothing else is known of them."""
        if self.traces is None:
            return ()
        traces = ((name, self.traces.get(name)) for name in self.traces.names())
        return tuple(
            Stream(name, "", each.rate_hz, each.latency_s, (now_ns - each.end_ns) / NS_PER_S)
            for name, each in traces
            if each is not None
        )

    def _notes(self) -> list[str]:
        waiting = {**self._messages.unanswered(), **(self._packets.unanswered() if self._packets is not None else {})}
        notes = [
            f"{address} {'takes connections but is no publisher' if takes else 'does not answer'}"
            for address, takes in waiting.items()
        ]
        if not notes and not len(self._reports):
            notes.append("no report yet: components send them with Daemon: {monitor: tcp://HOST:10002}")
        if self._messages.malformed:
            notes.append(f"{self._messages.malformed} messages could not be read")
        if self._reports.refused:
            notes.append("there are more components than can be shown")
        return notes

    async def log(self, component: Component | None, count: int) -> Log:
        """Return the last records of all components, or of *component* where it has some."""
        records = list(self._records)
        title = "log of all"
        if component is not None:
            name = component.name.partition("[")[0]
            own = [each for each in records if each.component == name]
            title, records = (component.name, own) if own else (title, records)
        return Log(title, [LogLine(each.level, _line(each)) for each in records[-count:]] if count else [])

    async def aclose(self) -> None:
        """Disconnect."""
        self._messages.close()
        if self._packets is not None:
            self._packets.close()


def _line(record: LogRecord) -> str:
    name = logging.getLevelName(record.level)
    return f"{to_iso(record.time_ns, 0)[11:19]} {name} {record.component or record.name} {record.message}"
