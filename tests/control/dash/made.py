"""Components, streams and traces for tests, made in one line, and a source that shows what a test gives it."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from rawdaq.control.dash.source import Log, LogLine
from rawdaq.control.dash.values.board import Board, Component, Stream
from rawdaq.control.dash.values.trace import Traces
from rawdaq.control.health.problem import Row
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, from_iso

NOW_NS = from_iso("2026-11-21T12:00:00Z")


def row(name: str = "Raw", state: str = "running", *, streams: Any = None, **more: Any) -> Any:
    """Return the status of a component."""
    said: Row = {"uptime_s": 60.0, "streams": streams or {}} if state in ("running", "paused") else {}
    return {"component": f"XX.DEMO.{name}", "title": f"DEMO/{name}", "state": state, "pid": 7, **said, **more}


def stream_row(**more: Any) -> Any:
    """Return what a component says of a stream."""
    return {"packets": 10, "samples": 1000, "rate_hz": 100.0, "latency_s": 0.5, "age_s": 1.0, "gaps": 0, **more}


def component(name: str = "A", state: str = "running", **more: Any) -> Component:
    """Return a component as it is shown."""
    return Component(key=f"XX.DEMO.{name}", name=f"DEMO/{name}", state=state, **more)


def many(count: int) -> tuple[Component, ...]:
    """Return so many components that run, each with one stream, the last of them with a problem."""
    return tuple(
        component(
            f"C{index:03}",
            items_per_s=float(index),
            streams=(Stream(f"XX.C{index:03}.00.HHZ", f"DEMO/C{index:03}", rate_hz=100.0),),
            number=800 * (index == count - 1),
            reasons=("a cable is broken",) if index == count - 1 else (),
        )
        for index in range(count)
    )


def packet(stream: str, second: int, *values: int, rate_hz: float = 4.0) -> Packet:
    """Return a packet that begins so many seconds after `NOW_NS`."""
    begin_ns = NOW_NS + second * NS_PER_S
    return Packet(
        StreamId.parse(stream), begin_ns, rate_hz, np.array(values, "<i4"), received_ns=begin_ns + 2 * NS_PER_S
    )


class Given:
    """A source that shows what a test gives it."""

    no_traces = ""

    def __init__(self) -> None:
        self.traces: Traces | None = Traces()
        self.logs: dict[str, list[LogLine]] = {}
        self.show: Callable[[Board], object] | None = None
        self.failure: Exception | None = None
        self.is_closed = False
        self._boards: asyncio.Queue[Board | Exception] = asyncio.Queue()

    def give(self, *components: Component, **more: Any) -> None:
        """Let this be shown."""
        self._boards.put_nowait(Board(NOW_NS, components, **more))

    def fail(self, error: Exception) -> None:
        """Let this go wrong."""
        self._boards.put_nowait(error)

    async def run(self, show: Callable[[Board], object]) -> None:
        """Show what is given."""
        while True:
            board = await self._boards.get()
            if isinstance(board, Exception):
                raise board
            show(board)

    async def look(self) -> Board:
        """Return what is given."""
        board = await self._boards.get()
        assert isinstance(board, Board)
        return board

    async def log(self, component: Component | None, count: int) -> Log:
        """Return the log that was given."""
        name = component.name if component is not None else ""
        return Log(name, self.logs.get(name, [])[-count:])

    async def aclose(self) -> None:
        """Take note of it."""
        self.is_closed = True
