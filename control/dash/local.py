"""The components of this machine: asked over their command sockets each second, their traces by live publishers."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rawdaq.control.dash.source import INTERVAL_S, Log, LogLine
from rawdaq.control.dash.values.board import Board, Component
from rawdaq.control.dash.values.from_status import component
from rawdaq.control.dash.values.past import Past
from rawdaq.control.dash.values.trace import MAX_TRACES, Traces
from rawdaq.control.health.disks import with_disks
from rawdaq.control.health.problem import Row
from rawdaq.control.machine.asking import Asker
from rawdaq.control.machine.catalog import Catalog
from rawdaq.control.machine.feed import MAX_PUBLISHERS, Feed
from rawdaq.control.machine.log import LogLine as LogText
from rawdaq.control.machine.log import place_of, read_back
from rawdaq.control.machine.sources import said_of_streams, source
from rawdaq.control.names import Target
from rawdaq.control.status.rows import row as row_of
from rawdaq.errors import CommandError, ComponentError, NoAnswer
from rawdaq.packet import Packet
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.protocols.command import Result
from rawdaq.times import to_iso

_PATIENCE_S = 0.8  # one that has not answered by then is shown as it was; its answer is taken when it comes
_LIST_S = 2.0
_DISKS_S = 30.0
_MOST_OF_A_CORE = 0.06  # of asking: where that costs more, it is done more rarely
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


class LocalSource:
    """The components of this machine.

    Args:
        given: the station file, or the folder of them, that the command names; None: as for any command.
        runtime: the files of those that run.
        log: where trouble with live publishers is logged.
    """

    no_traces = ""

    def __init__(self, given: Path | None, runtime: RuntimeFiles, log: logging.Logger) -> None:
        self.traces = Traces()
        self._runtime, self._log = runtime, log
        self._catalog, self._asker = Catalog(given, runtime), Asker(runtime)
        self._past = Past()
        self._targets: dict[str, Target] = {}
        self._mistakes: Sequence[str] = ()
        self._rows: dict[str, Row] = {}
        self._disks: dict[str, Row] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._feeds: list[Feed] = []
        self._listed_s = self._disks_s = float("-inf")
        self._disk_look: asyncio.Task[None] | None = None
        self._notes: dict[str, str] = {}

    async def run(self, show: Callable[[Board], object]) -> None:
        """Ask each second, and call *show*, until cancelled."""
        while True:
            began_s, used_s = time.monotonic(), time.process_time()
            board = await self._ask_all()
            self._follow_traces()
            show(board)
            used_s = time.process_time() - used_s
            rest_s = INTERVAL_S - (time.monotonic() - began_s)
            await asyncio.sleep(max(rest_s, used_s / _MOST_OF_A_CORE - used_s, 0.05))

    async def look(self) -> Board:
        """Ask twice, so that there are rates."""
        await self._ask_all()
        await asyncio.sleep(INTERVAL_S)
        return await self._ask_all()

    async def _ask_all(self) -> Board:
        await self._list()
        for key, target in self._targets.items():
            if target.state == "running" and key not in self._asking:
                task = asyncio.get_running_loop().create_task(self._ask(target), name=f"asking {key}")
                self._asking[key] = task
        if self._asking:
            done, _ = await asyncio.wait(list(self._asking.values()), timeout=_PATIENCE_S)
            self._asking = {key: task for key, task in self._asking.items() if task not in done}
            for task in done:
                task.result()
        await self._look_at_disks()
        now_ns = time.time_ns()
        found = [component(row, now_ns, self._notes) for row in map(self._row, self._targets.values())]
        return Board(now_ns, self._past.complete(found, now_ns), notes=tuple(self._mistakes))

    async def _list(self) -> None:
        """Find the components."""
        if time.monotonic() - self._listed_s < _LIST_S:
            return
        began_s = time.monotonic()
        try:
            listed = await asyncio.to_thread(self._catalog.look)
        except ComponentError as error:
            self._mistakes = [str(error)]
            return
        took_s = time.monotonic() - began_s
        self._listed_s = time.monotonic() + max(0.0, took_s / _MOST_OF_A_CORE - _LIST_S)
        self._mistakes = listed.mistakes
        before, self._targets = self._targets, {target.key: target for target in listed.targets}
        for key, target in before.items():
            now = self._targets.get(key)
            if now is None or now.running != target.running:  # what it said is of another time
                self._rows.pop(key, None)
                self._asker.forget(key)

    async def _ask(self, target: Target) -> None:
        answer, _ = await self._asker.timed(target.key, "status")
        now = self._targets.get(target.key)
        if now is not None and now.running == target.running:
            self._rows[target.key] = _answered(target, answer, self._rows.get(target.key, {}))

    def _row(self, target: Target) -> Row:
        if target.state == "running" and (known := self._rows.get(target.key)) is not None:
            disks: Row = {"disks": self._disks.get(target.key, {})}
            return known | disks
        row = row_of(target)
        if target.state == "running":
            return row | {"state": "unknown"}  # it has not answered yet
        ended_ns = self._runtime.ended_ns(target.key) if target.ended else None
        return row if ended_ns is None else row | {"ended": to_iso(ended_ns)}

    async def _look_at_disks(self) -> None:
        """Look at the disks now and then; one that hangs delays nothing else for long."""
        is_due = time.monotonic() - self._disks_s >= _DISKS_S and self._rows
        if self._disk_look is None and is_due:
            self._disks_s = time.monotonic()
            self._disk_look = asyncio.get_running_loop().create_task(self._disks_now(), name="a look at disks")
        if self._disk_look is not None:
            await asyncio.wait([self._disk_look], timeout=INTERVAL_S - _PATIENCE_S)
            if self._disk_look.done():
                self._disk_look.result()
                self._disk_look = None

    async def _disks_now(self) -> None:
        rows = dict(self._rows)
        found = await asyncio.to_thread(with_disks, list(rows.values()))
        known = {key: row.get("disks") for key, row in zip(rows, found, strict=True)}
        self._disks = {key: disks for key, disks in known.items() if isinstance(disks, dict)}

    def _follow_traces(self) -> None:
        """Read the live streams that there are."""
        wanted: dict[str, set[str]] = {}
        count = 0
        self._notes = {}
        for key, row in self._rows.items():
            target = self._targets.get(key)
            if target is None:
                continue
            for stream, said in said_of_streams(row).items():
                found = source(stream, said, row, target.settings)
                count += found.address is not None
                if found.address is None:
                    self._notes[str(stream)] = found.reason
                elif count > MAX_TRACES:
                    self._notes[str(stream)] = f"only {MAX_TRACES} streams have a trace"
                else:
                    wanted.setdefault(found.address, set()).add(str(stream))
        addresses = sorted(wanted)
        parts = [addresses[begin : begin + MAX_PUBLISHERS] for begin in range(0, len(addresses), MAX_PUBLISHERS)]
        while len(self._feeds) < len(parts):
            self._feeds.append(Feed(self._take, self._log))
        for index, feed in enumerate(self._feeds):
            feed.set_wanted({each: wanted[each] for each in (parts[index] if index < len(parts) else ())})

    def _take(self, packet: Packet) -> None:
        self.traces.add(packet, time.monotonic())

    async def log(self, component: Component | None, count: int) -> Log:
        """Return the last lines of the log of *component*."""
        target = self._targets.get(component.key) if component is not None else None
        if target is None:
            return Log("log", [])
        place = place_of(target, self._runtime)
        try:
            piece = await asyncio.to_thread(read_back, place.file, count, "DEBUG")
        except OSError as error:
            return Log(target.title, [LogLine(30, f"{place.file} cannot be read: {error.strerror}")])
        lines = [LogLine(_LEVELS.get(each.level or ""), _line(each)) for each in piece.lines]
        note = [LogLine(30, place.note)] if place.note else []
        return Log(target.title, [*note, *lines][-count:] if count else [])

    async def aclose(self) -> None:
        """Ask and read nothing more."""
        tasks = [*self._asking.values(), *([self._disk_look] if self._disk_look is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for feed in self._feeds:
            await feed.aclose()
        self._asker.close()


def _answered(target: Target, answer: "Result | CommandError", before: Row) -> Row:
    """Return the row of a component that has answered, or that has not."""
    row = row_of(target)
    if isinstance(answer, dict):
        return row | answer
    if not isinstance(answer, CommandError):
        return row | {"error": f"its status is {answer!r}"}
    kept: Row = {"streams": before.get("streams", {}), "error": str(answer)}
    return row | kept | ({"state": "hung"} if isinstance(answer, NoAnswer) else {})


def _line(line: LogText) -> str:
    if line.time is None:
        return line.text
    return f"{line.time[11:19]} {line.level} {line.text}"
