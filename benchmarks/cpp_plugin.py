"""The C++ RAW plugin of SeisComP's SeedLink beside ours, where somebody has it: ``make bench BENCH="--cpp PATH"``.

It writes a record, or several, for each packet, whatever it is told. Only its own processor time counts, from the
moment at which it is connected to the last sample in the pipe. It does not end by itself and is then ended.
"""

import json
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import latency
from benchmarks.loads import NETWORK, STATION, Load
from benchmarks.processes import Child, plugin_pipe
from benchmarks.results import Report, spread

#: The column of what it costs, in units of what ours does.
COLUMN = "C++ costs x"

_ENCODINGS = {"float32": "FLOAT32", "float64": "FLOAT64"}  # of other types: STEIM2


class CppPlugin:
    """What the plugin needs, measured once for each load.

    Args:
        program: its path.
        count: runs of each load.
    """

    def __init__(self, program: Path, count: int) -> None:
        self._program = program
        self._count = count
        self._costs_us: dict[Load, float] = {}

    def cost_us(self, load: Load) -> float:
        """Return its processor time for a packet of *load*."""
        if load not in self._costs_us:
            results = [run(self._program, load)[0] for _ in range(self._count)]
            self._costs_us[load] = spread(results, "cpu_s", 1e6 / load.packets).median
        return self._costs_us[load]

    def measure_latency(self, report: Report, case: latency.Case) -> None:
        """Add the row of *case*."""
        runs = [run(self._program, case.load, case.mode)[1] for _ in range(self._count)]
        figures = latency.percentiles([each for each in runs if each is not None])
        report.row(f"C++ plugin, {case.name}", case.tags, figures)


def run(program: Path, load: Load, mode: str = "flood") -> tuple[dict[str, Any], npt.NDArray[np.float64] | None]:
    """Return what one run cost and, unless *mode* is flood, the latencies in ms."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sent, arrived = folder / "sent.npy", folder / "arrived.npy"
        feed = stack.enter_context(Child("-m", "benchmarks.feed", json.dumps(asdict(load)), mode, sent))
        port = feed.read()["port"]
        with plugin_pipe() as (reading, writing):
            files = () if mode == "flood" else (arrived,)
            drain = stack.enter_context(
                Child("-m", "benchmarks.drain", "pipe-of", load.total_samples, *files, stdin=reading)
            )
            errors = stack.enter_context((folder / "errors").open("w+"))
            plugin = subprocess.Popen(
                _command(program, load, port), pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=errors
            )
        stack.callback(_end, plugin)
        feed.read()
        began_s = _cpu_s(plugin.pid)
        feed.order()
        if drain.read()["samples"] != load.total_samples:
            errors.seek(0)
            raise SystemExit(f"bench: {program} lost samples: {errors.read().strip()}")
        result = {"cpu_s": _cpu_s(plugin.pid) - began_s}
        if mode == "flood":
            return result, None
        feed.read()
        return result, latency.joined_ms(np.load(sent), latency.by_packet(np.load(arrived), load))


def _command(program: Path, load: Load, port: int) -> list[str]:
    channels = ",".join(f"{code}:{number}" for number, code in load.codes.items())
    where = ["-s", "127.0.0.1", "-p", str(port), "-c", f"{NETWORK}.{STATION}", "-m", channels]
    return [str(program), *where, "-e", _ENCODINGS.get(load.kind, "STEIM2"), "bench"]


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process so far; Linux tells it to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _end(plugin: "subprocess.Popen[bytes]") -> None:
    plugin.terminate()
    plugin.wait()
