"""Readouts of many senders, as a user runs them: an assembler with default settings and a live stream.

32 senders of 200 Hz send from addresses of their own. A subscriber looks at every readout: one is lost that is not
there, and one is wrong that is not complete or has another value than its senders sent. "wait" is from the first part
of a readout until it leaves, "answer" the time that commands take meanwhile.
"""

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import zmq

from benchmarks.jobs import Job, Options, Section
from benchmarks.launched import Control
from benchmarks.processes import Child, cpu_s_of, peak_mb
from benchmarks.programs.readout_senders import CHANNEL, SAMPLES, values
from benchmarks.station_files import COMPONENT
from benchmarks.table import spread
from rawdaq.control.client import call
from rawdaq.times import NS_PER_S

COLUMNS = ("CPU %", "us/part", "lost", "wrong", "wait p99 ms", "answer max ms", "peak MB")

_SENDERS, _RATE_HZ = 32, 200
_SECONDS, _FULL_SECONDS = 10, 500
_COMMANDS = ("reset_count", "slots", "resume")
_ASKED_EVERY = 100  # readouts
_QUIET_MS = 3000  # when nothing more has come for so long, the rest is lost
_NAME = f"{_SENDERS} senders of {_RATE_HZ} Hz"


def sections(options: Options) -> list[Section]:
    """Return the table."""
    return [Section("Readouts", COLUMNS, [Job({"": "readouts"}, [_NAME], partial(measure, options))])]


def _station_file(folder: Path) -> Path:
    slots = {"by": "octet", "first": 0, "count": _SENDERS}
    described = {"raw": {"type": "int16", "channels": [CHANNEL], "samples": SAMPLES}}
    receiver = {"class": "ReadoutAssembler", "ip": "127.0.0.1", "port": 0, "format": described, "slots": slots}
    live = {"class": "ZMQTCPPublisher", "ip": "127.0.0.1", "port": 0}
    file = folder / "station.yaml"
    station = {"network": "XX", "code": "BENCH"}
    file.write_text(json.dumps({"station": station, COMPONENT: {"Receiver": receiver, "Publishers": {"live": live}}}))
    return file


class _Checker:
    """Looks at every readout that a subscriber gets."""

    def __init__(self) -> None:
        self.wrong = 0
        self._first_ns: int | None = None
        self._numbers: set[int] = set()

    def take(self, head: bytes, data: bytes) -> None:
        """Take a readout."""
        header = json.loads(head)
        self._first_ns = header["time_ns"] if self._first_ns is None else self._first_ns
        instant = round((header["time_ns"] - self._first_ns) * _RATE_HZ / NS_PER_S)
        self._numbers.add(instant)
        found = np.frombuffer(data, "<f4").reshape(header["shape"])
        wanted = np.array([values(sender, instant) for sender in range(_SENDERS)], "f4")
        is_right = header["reason"] == "complete" and np.array_equal(found[:, 0], wanted)
        self.wrong += not is_right

    @property
    def count(self) -> int:
        """How many came."""
        return len(self._numbers)


def _answer_s(address: str, command: str) -> float:
    """Return how long a command takes."""
    with call(address, command) as wait:
        began_s = time.monotonic()
        wait(10.0)
        return time.monotonic() - began_s


def run(seconds: int) -> dict[str, float]:
    """Return the figures of one run."""
    count = seconds * _RATE_HZ
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        control = Control(Path(sys.executable).parent, _station_file(folder), folder)
        stack.callback(control.end)
        control.run("start", "all")
        context = stack.enter_context(zmq.Context())
        subscriber = stack.enter_context(context.socket(zmq.SUB))
        subscriber.set(zmq.RCVHWM, 0)
        subscriber.subscribe(b"~readout")
        subscriber.connect(control.live_address())
        while not (status := control.status()[0])["publishers"]["live"]["subscribers"]:
            time.sleep(0.05)
        port = status["receiver"]["endpoints"][0]["address"].rsplit(":", 1)[1]
        words = ("-m", "benchmarks.programs.readout_senders", port, _SENDERS, _RATE_HZ, count)
        senders = stack.enter_context(Child(*words, deadline_s=seconds + 120))
        senders.read()
        pid, checker = status["pid"], _Checker()
        before_s, answers_s = cpu_s_of(pid), [0.0]
        asked = f"ipc://{folder}/run/XX.BENCH.{COMPONENT}.sock"
        senders.go()
        while checker.count < count and subscriber.poll(_QUIET_MS):
            _, head, data = subscriber.recv_multipart()
            checker.take(head, data)
            if checker.count % _ASKED_EVERY == 0:
                answers_s.append(_answer_s(asked, _COMMANDS[checker.count // _ASKED_EVERY % len(_COMMANDS)]))
        cpu_s = cpu_s_of(pid) - before_s
        senders.read()
        waits = control.status()[0]["receiver"]["waiting_s"]
        peak = peak_mb(pid)
        senders.go()
    return {
        "CPU %": 100 * cpu_s / seconds,
        "us/part": cpu_s / (count * _SENDERS) * 1e6,
        "lost": count - checker.count,
        "wrong": checker.wrong,
        "wait p99 ms": 1000 * waits["p99"],
        "answer max ms": 1000 * max(answers_s),
        "peak MB": peak,
    }


def measure(options: Options) -> None:
    """Add the row."""
    tags = {"": "readouts", "senders": _SENDERS, "rate": _RATE_HZ}
    if sys.platform != "linux":
        options.table.row(_NAME, tags, {})
        options.table.note("not run: only on Linux each sender can have an address of its own")
        return
    seconds = options.seconds or (_FULL_SECONDS if options.is_full else _SECONDS)
    runs = [run(seconds) for _ in range(options.runs or 1)]
    options.table.row(_NAME, tags, {column: spread(runs, column) for column in COLUMNS})
