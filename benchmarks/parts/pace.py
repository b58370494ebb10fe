"""What a packet costs at the pace of real devices: one device, three channels of 100 Hz, bursts of three packets.

In a flood everything is warm. A real device sends a burst ten times a second, or once, and everything is cold then. So
programs run here as users start them, in real time, side by side: each has a device of its own, and their bursts are
spread evenly over the period, so that no two programs work at the same moment. What they use is read from outside, by
the scheduler's counters. Beside them runs the least that asyncio needs, `benchmarks.programs.bare_loop`.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.jobs import Job, Options, Section
from benchmarks.launched import LOG_NAME, Control, Launched, launch
from benchmarks.loads import STATION, Load
from benchmarks.parts.cpp_plugin import command as cpp_command
from benchmarks.processes import PLUGIN_FD, Child, cpu_s_of, plugin_pipe, wake_ups_of
from benchmarks.programs.bare_loop import ENCODER
from benchmarks.programs.paced_devices import start_devices
from benchmarks.programs.reader import archived_samples
from benchmarks.station_files import TARGETS, write_station_file
from benchmarks.table import Spread, spread

COLUMNS = ("us/packet", "x bare loop", "x C++", "wake-ups/s", "idle wake-ups")
RATES = (30, 3)  # packets a second, of all channels

_RUNS, _SECONDS = 3, 20
_CHANNELS, _RATE_HZ = 3, 100
_WARM_S = 5  # until each channel has filled a record
_MARGIN_S = 1  # devices send a little longer than is counted
_SUBSCRIBE_S = 0.5
_SETTLE_S = 17  # after the last packet: an archive flushes after 10 s and syncs 5 s later
_IDLE_S = 10
_START_S = 60  # more than all programs need to start and to end
_BARE, _CPP = "bare asyncio loop", "C++ plugin"
_COMMANDS = Path(sys.executable).parent


@dataclass(frozen=True)
class Program:
    """A program that is measured.

    Attributes:
        name: what the table calls it.
        target: where it delivers, one of `TARGETS`.
        commands: the folder of rawdaq's commands; None for what is not rawdaq.
        cpp: the C++ plugin, when it is that.
    """

    name: str
    target: str = "pipe"
    commands: Path | None = None
    cpp: Path | None = None

    @property
    def sinks(self) -> Sequence[str]:
        """Where it delivers: pipe, archive, live."""
        return tuple(TARGETS[self.target])

    def start(self, folder: Path, load: Load, port: int) -> Launched:
        """Start it; it works in *folder* and connects to *port*."""
        if self.cpp:
            return launch(cpp_command(self.cpp, load, port), folder, PLUGIN_FD)
        if not self.commands:
            module = [sys.executable, "-m", "benchmarks.programs.bare_loop"]
            return launch([*module, json.dumps(asdict(load)), port, PLUGIN_FD], folder, PLUGIN_FD)
        file = write_station_file(folder, load, port, TARGETS[self.target])
        if "pipe" in self.sinks:
            return launch(
                [self.commands / "rawdaq-plugin", "--config", file, "--log-level", "ERROR", "bench"], folder, PLUGIN_FD
            )
        control = Control(self.commands, file, folder)
        control.run("start", "all")
        return Launched(control.status()[0]["pid"], control.end)


class Running:
    """A program in one run, and the processes that read what it delivers.

    Args:
        program: what is started now.
        folder: is made for it.
        load: what its device sends.
        port: where its device listens.
        stack: ends all of it.
        lives_s: more than the run takes.
    """

    def __init__(self, program: Program, folder: Path, load: Load, port: int, stack: ExitStack, lives_s: float) -> None:
        folder.mkdir()
        self.program = program
        self._folder, self._load = folder, load
        self._stack, self._lives_s = stack, lives_s
        self._live: Child | None = None
        with plugin_pipe() as (reading, _):
            self._pipe = self._reader("pipe", stdin=reading)
            self._launched = program.start(folder, load, port)
        stack.callback(self._launched.end)  # once more does nothing

    def _reader(self, *arguments: str, stdin: int | None = None) -> Child:
        reader = Child("-m", "benchmarks.programs.reader", *arguments, stdin=stdin, deadline_s=self._lives_s)
        return self._stack.enter_context(reader)

    def subscribe(self) -> None:
        """Read the live stream, when there is one."""
        if self.program.commands and "live" in self.program.sinks:
            control = Control(self.program.commands, self._folder / f"{STATION}.yaml", self._folder)
            self._live = self._reader("live", control.live_address())

    def used(self) -> tuple[float, int]:
        """Return processor time and wake-ups so far."""
        return cpu_s_of(self._launched.pid), wake_ups_of(self._launched.pid)

    def end(self) -> None:
        """End it in order; the benchmark ends when a sample is missing."""
        self._launched.end()
        for sink in self.program.sinks:
            samples = self._samples(sink)
            if samples != self._load.total_samples:
                wanted = self._load.total_samples
                log = (self._folder / LOG_NAME).read_text() if (self._folder / LOG_NAME).exists() else ""
                raise SystemExit(f"bench: {self.program.name}: {samples} of {wanted} samples in the {sink}\n{log}")

    def _samples(self, sink: str) -> int:
        if sink == "pipe":
            return int(self._pipe.read()["samples"])
        if sink == "archive":
            return archived_samples(self._folder / "archive")
        if self._live is None:
            raise ValueError(f"nothing reads the live stream of {self.program.name}")
        self._live.interrupt()
        return int(self._live.read()["payload_bytes"]) // 4


def run(programs: Sequence[Program], rate: int, seconds: int, with_idle: bool) -> dict[str, dict[str, float]]:
    """Return the figures of each program by its name; *with_idle* also those of idle seconds."""
    samples = _CHANNELS * _RATE_HZ // rate
    period_s = samples / _RATE_HZ
    load = Load(samples, _CHANNELS, rate_hz=_RATE_HZ, rounds=round((_WARM_S + seconds + _MARGIN_S) / period_s))
    lives_s = _START_S + _WARM_S + seconds + _SETTLE_S + _IDLE_S
    # In an order of its own each time: a program finds warm what the one before it shares with it.
    slots = random.sample(range(len(programs)), len(programs))
    offsets_s = [period_s * (slot + 0.5) / len(programs) for slot in slots]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        described = [(load, offset_s, "burst") for offset_s in offsets_s]
        devices = stack.enter_context(start_devices(described, folder, lives_s=lives_s))
        running: list[Running] = []
        for program, port in zip(programs, devices.read()["ports"], strict=True):
            running.append(Running(program, folder / str(len(running)), load, port, stack, lives_s))
            devices.read()  # it is connected
        for each in running:
            each.subscribe()
        time.sleep(_SUBSCRIBE_S)
        devices.go()
        used = _used(running, devices.read()["began_s"] + _WARM_S, seconds)
        devices.read()  # all is sent
        idle = _used(running, time.monotonic() + _SETTLE_S, _IDLE_S) if with_idle else {}
        for each in running:
            each.end()
    return {
        name: {
            "us/packet": cpu_s / (rate * seconds) * 1e6,
            "wake-ups/s": wake_ups / seconds,
            "load": os.getloadavg()[0],
            **({"idle wake-ups": idle[name][1]} if idle else {}),
        }
        for name, (cpu_s, wake_ups) in used.items()
    }


def _used(running: Sequence[Running], begin_s: float, seconds: int) -> dict[str, tuple[float, int]]:
    """Return what each program uses in *seconds* from *begin_s* on."""
    counted = []
    for at_s in (begin_s, begin_s + seconds):
        time.sleep(max(0.0, at_s - time.monotonic()))
        counted.append([each.used() for each in running])
    return {
        each.program.name: (after[0] - before[0], after[1] - before[1])
        for each, before, after in zip(running, *counted, strict=True)
    }


def _programs(options: Options) -> list[Program]:
    ours = [Program(target, target, _COMMANDS) for target in TARGETS]
    others = [Program(f"beside, {target}", target, options.beside) for target in TARGETS] if options.beside else []
    return [Program(_BARE), *ours, *others, *([Program(_CPP, cpp=options.cpp)] if options.cpp else [])]


def _row_name(rate: int, program: Program) -> str:
    return f"pace {rate}/s, {program.name}"


def sections(options: Options) -> list[Section]:
    """Return the table."""
    names = {rate: [_row_name(rate, program) for program in _programs(options)] for rate in RATES}
    jobs = [Job({"": "pace", "rate": str(rate)}, names[rate], partial(measure, options, rate)) for rate in RATES]
    columns = [column for column in COLUMNS if options.cpp or column != "x C++"]
    return [Section(f"Real-time pace; bare loop with {ENCODER}", columns, jobs)]


def measure(options: Options, rate: int) -> None:
    """Add the rows of *rate*."""
    table, programs = options.table, _programs(options)
    if sys.platform != "linux":
        table.row(f"pace {rate}/s", {}, {})
        table.note("not run: only Linux says what other processes use in nanoseconds")
        return
    count, seconds = options.runs or _RUNS, options.seconds or _SECONDS
    idle_run = count - 1 if rate == RATES[0] else None
    runs = [run(programs, rate, seconds, with_idle=index == idle_run) for index in range(count)]
    for program in programs:
        own = [each[program.name] for each in runs]
        ratios = {
            column: Spread(tuple(each[program.name]["us/packet"] / each[other]["us/packet"] for each in runs))
            for column, other in (("x bare loop", _BARE), ("x C++", _CPP))
            if other in runs[0] and other != program.name
        }
        figures = {column: spread(own, column) for column in ("us/packet", "wake-ups/s", "load")}
        tags = {"": "pace", "rate": rate, "seconds": seconds}
        table.row(_row_name(rate, program), tags, figures | ratios | {"idle wake-ups": own[-1].get("idle wake-ups")})
