"""How long ``rawdaq-plugin`` takes to connect after it is started, and from there to the first record in the pipe."""

import json
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial

from benchmarks.jobs import Job, Options, Section
from benchmarks.loads import NETWORK, STATION, Load
from benchmarks.processes import Child, plugin_pipe
from benchmarks.table import spread

COLUMNS = ("start ms", "1st record ms")

_RUNS = 5
_PROGRAM = "import sys; sys.argv[0] = 'rawdaq-plugin'; from rawdaq.control.plugin.command import main; main()"


def sections(options: Options) -> list[Section]:
    """Return the table."""
    jobs = [Job({"": "startup"}, [_name(channels)], partial(measure, options, channels)) for channels in (3, 100)]
    return [Section("Start-up", COLUMNS, jobs)]


def _name(channels: int) -> str:
    return f"rawdaq-plugin, {channels} channels"


def run(channels: int) -> dict[str, float]:
    """Return what one start took; the device sends packets of 1000 samples as soon as it is asked."""
    load = Load(1000, channels, rounds=4)
    codes = ",".join(f"{code}:{number}" for number, code in load.codes.items())
    with ExitStack() as stack:
        device = stack.enter_context(Child("-m", "benchmarks.programs.device", json.dumps(asdict(load)), "at-once"))
        options = ["-s", "127.0.0.1", "-p", device.read()["port"], "-c", f"{NETWORK}.{STATION}", "-m", codes]
        with plugin_pipe() as (reading, writing):
            reader = stack.enter_context(Child("-m", "benchmarks.programs.reader", "pipe", stdin=reading))
            command = ["-c", _PROGRAM, *options, "--log-level", "ERROR"]
            plugin = stack.enter_context(Child(*command, pass_fds=[writing]))
        accepted_ns = device.read()["accepted_ns"]
        plugin.interrupt()
        first_ns = reader.read()["first_ns"]
        return {"start ms": (accepted_ns - plugin.began_ns) / 1e6, "1st record ms": (first_ns - accepted_ns) / 1e6}


def measure(options: Options, channels: int) -> None:
    """Add the row."""
    runs = [run(channels) for _ in range(options.runs or _RUNS)]
    options.table.row(_name(channels), {"": "startup"}, {column: spread(runs, column) for column in COLUMNS})
