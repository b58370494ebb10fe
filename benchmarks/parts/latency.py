"""How long a packet takes from the device to a subscriber, or to the plugin pipe."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import latencies
from benchmarks.jobs import Job, Options, Section
from benchmarks.loads import Load
from benchmarks.parts import cpp_plugin
from benchmarks.processes import Child, plugin_pipe
from benchmarks.programs.paced_devices import start_devices
from benchmarks.station_files import TARGETS, write_station_file
from benchmarks.table import Spread

_RUNS, _SECONDS, _FULL_SECONDS = 5, 3, 15

#: A record for each packet, so that the time to fill one is not what is measured.
_TARGETS = {"pipe": TARGETS["flush"], "live": TARGETS["live"]}


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        target: pipe or live.
        load: one run.
        mode: "burst": the packets of all channels come together; "spread": evenly.
    """

    target: str
    load: Load
    mode: str

    @property
    def name(self) -> str:
        """What the table calls it."""
        load = self.load
        rate = load.channels * load.rate_hz / load.samples
        return f"device to {self.target}, {load.channels} x {load.rate_hz} Hz, {rate:.0f} packets/s"

    @property
    def tags(self) -> dict[str, str]:
        """Tags for ``--only``."""
        return {"": "latency", "target": self.target, "channels": str(self.load.channels)}


def sections(options: Options) -> list[Section]:
    """Return the table."""
    jobs = [Job(case.tags, [case.name], partial(measure, options, case)) for case in _cases(options)]
    if options.cpp:
        jobs += [
            Job(case.tags, [f"C++ plugin, {case.name}"], partial(measure_cpp, options, options.cpp, case))
            for case in _cases(options)
            if case.target == "pipe"
        ]
    return [Section("Latency", latencies.COLUMNS, jobs)]


def _cases(options: Options) -> Iterator[Case]:
    """Yield 3 x 100 Hz in packets of 0.1 s, and 1000 packets a second."""
    seconds = options.seconds or (_FULL_SECONDS if options.is_full else _SECONDS)
    for target in _TARGETS:
        yield Case(target, Load(10, 3, rate_hz=100, rounds=10 * seconds), "burst")
        yield Case(target, Load(10, 10, rate_hz=1000, rounds=100 * seconds), "spread")


def run(case: Case) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """Return the latencies in ms of one run, and what the receiver used."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sent, arrived = folder / "sent.npy", folder / "arrived.npy"
        device = stack.enter_context(start_devices([(case.load, 0, case.mode)], folder, sent))
        file = write_station_file(folder, case.load, device.read()["ports"][0], _TARGETS[case.target])
        reader = ["-m", "benchmarks.programs.reader", case.target]
        with plugin_pipe() as (reading, writing):
            if case.target == "pipe":
                reading_child = stack.enter_context(Child(*reader, arrived, stdin=reading))
            receiver = stack.enter_context(Child("-m", "benchmarks.programs.receiver", file, 0, pass_fds=[writing]))
        if case.target == "live":
            reading_child = stack.enter_context(Child(*reader, receiver.read()["address"], arrived))
        for process in (receiver, device):
            process.read()  # they are connected
        device.go()
        for _ in ("began", "sent"):
            device.read()
        receiver.go()
        result = receiver.read()
        receiver.wait()
        if case.target == "live":
            reading_child.interrupt()
        reading_child.read()
        return latencies.joined_ms(np.load(sent), latencies.by_packet(np.load(arrived), case.load)), result


def measure(options: Options, case: Case) -> None:
    """Add the row of *case*."""
    results = [run(case) for _ in range(options.runs or _RUNS)]
    cpu = Spread(tuple(100 * result["cpu_s"] / result["wall_s"] for _, result in results))
    figures = latencies.percentiles([each for each, _ in results]) | {"CPU %": cpu}
    options.table.row(case.name, case.tags, figures)


def measure_cpp(options: Options, program: Path, case: Case) -> None:
    """Add the row of the C++ plugin."""
    runs = [cpp_plugin.latencies_ms(program, case.load, case.mode) for _ in range(options.runs or _RUNS)]
    options.table.row(f"C++ plugin, {case.name}", case.tags, latencies.percentiles(runs))
