"""How fast an archive that was away catches up from the journal, and what a live stream notices of it."""

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import latencies
from benchmarks.jobs import Job, Options, Section
from benchmarks.processes import Child
from benchmarks.programs.catch_up import LIVE
from benchmarks.table import Spread

COLUMNS = ("x real time", "p50 ms", "p99 ms", "max ms", "packets")

_RUNS = 5
_HOURS, _FULL_HOURS = 1, 24
_NAME = "archive that was away for {} h, 3 x 100 Hz"


def sections(options: Options) -> list[Section]:
    """Return the table."""
    hours = (_HOURS, _FULL_HOURS) if options.is_full else (_HOURS,)
    jobs = [Job({"": "catch-up"}, [_NAME.format(each)], partial(measure, options, each)) for each in hours]
    return [Section("Catching up from the journal", COLUMNS, jobs)]


def run(hours: int) -> tuple[float, npt.NDArray[np.float64]]:
    """Return how long it took in seconds, and the latencies of live packets meanwhile, and until a second later."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sent, arrived = folder / "sent.npy", folder / "arrived.npy"
        program = "benchmarks.programs.catch_up"
        component = stack.enter_context(Child("-m", program, folder, hours * 3600, sent))
        address = component.read()["address"]
        reader = stack.enter_context(Child("-m", "benchmarks.programs.reader", "live", address, arrived))
        component.read()  # the reader has subscribed
        component.go()
        caught_up: dict[str, Any] = component.read()
        component.wait()
        reader.interrupt()
        reader.read()
        packets = latencies.by_packet(np.load(arrived), LIVE)
        return caught_up["caught_up_s"], latencies.joined_ms(np.load(sent), packets, cold=0)


def measure(options: Options, hours: int) -> None:
    """Add the row."""
    runs = [run(hours) for _ in range(options.runs or _RUNS)]
    speed = Spread(tuple(hours * 3600 / took_s for took_s, _ in runs))
    figures = {"x real time": speed} | latencies.percentiles([each for _, each in runs])
    options.table.row(_NAME.format(hours), {"": "catch-up"}, figures)
