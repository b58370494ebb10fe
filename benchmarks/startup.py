"""How long ``rawdaq-plugin`` takes to connect after it is started, and from there to the first record in the pipe."""

import json
from contextlib import ExitStack
from dataclasses import asdict

from benchmarks.loads import NETWORK, STATION, Load
from benchmarks.processes import Child, plugin_pipe
from benchmarks.results import Report, spread

COLUMNS = ("start ms", "1st record ms")

_PROGRAM = "import sys; sys.argv[0] = 'rawdaq-plugin'; from rawdaq.control.plugin.command import main; main()"


def run(channels: int) -> dict[str, float]:
    """Return what one start took; the device sends packets of 1000 samples as soon as it is asked."""
    load = Load(1000, channels, rounds=4)
    codes = ",".join(f"{code}:{number}" for number, code in load.codes.items())
    with ExitStack() as stack:
        feed = stack.enter_context(Child("-m", "benchmarks.feed", json.dumps(asdict(load)), "at-once"))
        options = ["-s", "127.0.0.1", "-p", feed.read()["port"], "-c", f"{NETWORK}.{STATION}", "-m", codes]
        with plugin_pipe() as (reading, writing):
            drain = stack.enter_context(Child("-m", "benchmarks.drain", "pipe", stdin=reading))
            command = ["-c", _PROGRAM, *options, "--log-level", "ERROR"]
            plugin = stack.enter_context(Child(*command, pass_fds=[writing]))
        accepted_ns = feed.read()["accepted_ns"]
        plugin.interrupt()
        first_ns = drain.read()["first_ns"]
        return {"start": (accepted_ns - plugin.began_ns) / 1e6, "first": (first_ns - accepted_ns) / 1e6}


def measure(report: Report, count: int) -> None:
    """Add the rows."""
    for channels in (3, 100):
        runs = [run(channels) for _ in range(count)]
        figures = {"start ms": spread(runs, "start"), "1st record ms": spread(runs, "first")}
        report.row(f"rawdaq-plugin, {channels} channels", {"": "startup", "channels": channels}, figures)
