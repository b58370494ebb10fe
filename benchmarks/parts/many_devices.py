"""Many devices, as a user runs them: each has a station file with an archive; a few processes share them.

A device sends 3 x 100 Hz in packets of 1 s, at a moment of its own. Latencies are those that ``control-rawdaq status``
shows, less the sampling interval: from the end of a packet, when it is sent, to its arrival.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.jobs import Job, Options, Section
from benchmarks.launched import Control
from benchmarks.loads import Load
from benchmarks.processes import cpu_s_of, peak_mb
from benchmarks.programs.paced_devices import start_devices
from benchmarks.programs.reader import archived_samples
from benchmarks.station_files import TARGETS, write_station_file
from benchmarks.table import spread

COLUMNS = ("CPU %", "us/packet", "peak MB", "p50 ms", "p99 ms", "max ms")

_CHANNELS, _RATE_HZ = 3, 100
_INTERVAL_MS = 1000 / _RATE_HZ
_STAGGER_S = 4  # devices begin in different seconds, because a record of 4 s is not full everywhere at once
_WARM_S = 9 + _STAGGER_S  # until every file is open
_SECONDS, _FULL_SECONDS = 10, 60


@dataclass(frozen=True)
class Case:
    """One row."""

    devices: int
    processes: int
    seconds: int

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.devices} devices, {self.processes} process{'es' if self.processes > 1 else ''}"


def sections(options: Options) -> list[Section]:
    """Return the table."""
    jobs = [
        Job({"": "many", "devices": str(case.devices)}, [case.name], partial(measure, options, case))
        for case in _cases(options)
    ]
    return [Section(f"Archives of devices of {_CHANNELS} x {_RATE_HZ} Hz", COLUMNS, jobs)]


def _cases(options: Options) -> Iterator[Case]:
    seconds = options.seconds or (_FULL_SECONDS if options.is_full else _SECONDS)
    yield Case(100, 1, seconds)
    yield Case(1000, 2, seconds)
    if options.is_full:
        yield Case(3000, 2, seconds)


def run(case: Case) -> dict[str, float]:
    """Return the figures of one run; the benchmark ends when a sample is missing."""
    load = Load(_RATE_HZ, _CHANNELS, rate_hz=_RATE_HZ, rounds=_WARM_S + case.seconds + 1)
    phases_s = np.random.default_rng(1).random(case.devices)
    described = [(load, index % _STAGGER_S + float(phase_s), "burst") for index, phase_s in enumerate(phases_s)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stations = folder / "stations"
        stations.mkdir()
        devices = stack.enter_context(start_devices(described, folder))
        for index, port in enumerate(devices.read()["ports"]):
            write_station_file(stations, load, port, TARGETS["archive"], f"S{index:04d}")
        control = Control(Path(sys.executable).parent, stations, folder)
        stack.callback(control.end)
        control.run("start", "all", "--processes", case.processes)
        for _ in described:
            devices.read()  # it is connected
        pids = {status["pid"] for status in control.status()}
        devices.go()
        begin_s = devices.read()["began_s"] + _WARM_S
        used_s = []
        for at_s in (begin_s, begin_s + case.seconds):
            time.sleep(max(0.0, at_s - time.monotonic()))
            used_s.append(sum(map(cpu_s_of, pids)))
        devices.read()  # all is sent
        streams = [stream for status in control.status() for stream in status["streams"].values()]
        peaks_mb = sum(map(peak_mb, pids))
        control.end()
        samples = archived_samples(stations / "archive")
    if samples != load.total_samples * case.devices:
        raise SystemExit(f"bench: {case.name}: {samples} of {load.total_samples * case.devices} samples were archived")
    cpu_s = (used_s[1] - used_s[0]) / case.seconds
    latencies_ms = np.array([stream["latency_s"] for stream in streams]) * 1000 - _INTERVAL_MS
    return {
        "CPU %": 100 * cpu_s,
        "us/packet": cpu_s / (case.devices * _CHANNELS) * 1e6,
        "peak MB": peaks_mb,
        "p50 ms": float(np.percentile(latencies_ms, 50)),
        "p99 ms": float(np.percentile(latencies_ms, 99)),
        "max ms": max(stream["latency_max_s"] for stream in streams) * 1000 - _INTERVAL_MS,
    }


def measure(options: Options, case: Case) -> None:
    """Add the row."""
    tags, needed = {"": "many", "devices": case.devices}, 2 * case.devices + 1000
    problem = ""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < needed:
        problem = f"it needs {needed} open files, the system allows fewer"
    if sys.platform != "linux":
        problem = "only Linux says what other processes use"
    if problem:
        options.table.row(case.name, tags, {})
        options.table.note(f"not run: {problem}")
        return
    runs = [run(case) for _ in range(options.runs or (5 if options.is_full else 1))]
    options.table.row(case.name, tags, {column: spread(runs, column) for column in COLUMNS})
