"""What a repeater costs: one stream of frames in, three out, beside a bare loop of blocking pyzmq sockets.

Source, repeater and consumers are processes of their own, and each repeater runs in turn. Lone frames come one every
20 ms, and are timed.
"""

import json
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import latencies
from benchmarks.jobs import Job, Options, Section
from benchmarks.launched import launch
from benchmarks.processes import Child, cpu_s_of, peak_mb
from benchmarks.programs.frames import LONE_FRAMES
from benchmarks.table import Spread, spread

COLUMNS = ("us/frame", "x bare loop", "us until next", "peak MB")
SIZES = {10_000: 200_000, 1_000_000: 3_000}  # bytes of a frame: how many frames

_RUNS, _OUTPUTS = 3, 3
_LONE_SIZE, _LONE_PAUSE_S = 10_000, 0.02
_CONNECT_S = 3.0
_FRAMES = ("-m", "benchmarks.programs.frames")
_BARE, _OURS, _OURS_PUB = "bare loop, PUSH", "rawdaq, PUSH", "rawdaq, PUB"
_LONE = f"lone frames, {_LONE_SIZE} bytes"


def sections(options: Options) -> list[Section]:
    """Return two tables."""
    tags = {"": "repeater"}
    jobs = [
        Job(tags, [_row_name(size, name) for name in (_BARE, _OURS, _OURS_PUB)], partial(measure, options, size))
        for size in SIZES
    ]
    lone = Job(tags, [_LONE], partial(measure_lone, options))
    return [
        Section(f"Repeater, 1 in, {_OUTPUTS} out", COLUMNS, jobs),
        Section("Repeater, latency", latencies.COLUMNS[:4], [lone]),
    ]


def _row_name(size: int, name: str) -> str:
    return f"frames of {size} bytes, {name}"


def run(name: str, size: int, count: int, pause_s: float = 0) -> dict[str, Any]:
    """Return what it takes the repeater *name* to repeat *count* frames of *size* bytes."""
    kind = name.rpartition(" ")[2]
    address, *outputs = (f"tcp://127.0.0.1:{port}" for port in _free_ports(1 + _OUTPUTS))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        consumers = [stack.enter_context(Child(*_FRAMES, "consumer", each, kind, count)) for each in outputs]
        for each in consumers:
            each.read()  # it is there
        bare = [sys.executable, *_FRAMES, "bare", address, *outputs]
        repeater = launch(bare if name == _BARE else _command(folder, address, outputs, kind), folder)
        stack.callback(repeater.end)
        time.sleep(_CONNECT_S)
        began_s = cpu_s_of(repeater.pid)
        stack.enter_context(Child(*_FRAMES, "source", address, size, count, pause_s))
        results = [each.read() for each in consumers]
        cpu_s, most_mb = cpu_s_of(repeater.pid) - began_s, peak_mb(repeater.pid)
    return {
        "us/frame": cpu_s / count * 1e6,
        "us until next": max(each["seconds"] for each in results) / count * 1e6,
        "peak MB": most_mb,
        "latencies_ms": np.concatenate([each["latencies_ns"] for each in results]) / 1e6,
    }


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


def _command(folder: Path, address: str, outputs: Sequence[str], kind: str) -> list[object]:
    """Return the command of ours: outputs that block, so that every frame arrives, with 5 MB for each."""
    streams = {
        f"out{index}": {
            "zmq_mode": kind,
            "port": int(output.rpartition(":")[2]),
            "send_output_mode": "send_every_nth",
            "send_output_param": 1,
            "overflow": "block",
        }
        for index, output in enumerate(outputs)
    }
    file = folder / "repeater.json"
    source = {"zmq_mode": "PULL", "address": address}
    file.write_text(json.dumps({"in-stream": source, "out-streams": streams, "buffer_mb": 5 * _OUTPUTS}))
    return [Path(sys.executable).parent / "control-rawdaq", "repeater", "--no-rest", "--config-file", file]


def measure(options: Options, size: int) -> None:
    """Add the rows of a size."""
    names = (_BARE, _OURS, _OURS_PUB)
    runs = [{name: run(name, size, SIZES[size]) for name in names} for _ in range(options.runs or _RUNS)]
    for name in names:
        own = [each[name] for each in runs]
        figures: dict[str, Spread | float | None] = {
            column: spread(own, column) for column in COLUMNS if column != "x bare loop"
        }
        if name != _BARE:
            ratios = tuple(each[name]["us/frame"] / each[_BARE]["us/frame"] for each in runs)
            figures["x bare loop"] = Spread(ratios)
        options.table.row(_row_name(size, name), {"": "repeater", "size": size}, figures)


def measure_lone(options: Options) -> None:
    """Add the row of lone frames."""
    runs = [run(_OURS, _LONE_SIZE, LONE_FRAMES, _LONE_PAUSE_S)["latencies_ms"] for _ in range(options.runs or 1)]
    options.table.row(_LONE, {"": "repeater"}, latencies.percentiles(runs))
