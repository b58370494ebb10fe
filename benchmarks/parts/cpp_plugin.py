"""The C++ RAW plugin of SeisComP's SeedLink, measured beside ours where there is one: ``--cpp PROGRAM``.

It writes a record, or several, for each packet, whatever its options say. Its processor time counts from the moment at
which it is connected to the last sample in the pipe. It does not end by itself; it is terminated.
"""

import json
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.latencies import by_packet, joined_ms
from benchmarks.loads import NETWORK, STATION, Load
from benchmarks.processes import Child, cpu_s_of, plugin_pipe
from benchmarks.programs.paced_devices import start_devices

_ENCODINGS = {"float32": "FLOAT32", "float64": "FLOAT64"}  # of other types: STEIM2


def command(program: Path, load: Load, port: int) -> list[str]:
    """Return the command that brings *load* from *port* into the plugin pipe."""
    channels = ",".join(f"{code}:{number}" for number, code in load.codes.items())
    options = ["-s", "127.0.0.1", "-p", str(port), "-c", f"{NETWORK}.{STATION}", "-m", channels]
    return [str(program), *options, "-e", _ENCODINGS.get(load.kind, "STEIM2"), "bench"]


def cpu_s(program: Path, load: Load) -> float:
    """Return the processor time that a flood of *load* costs."""
    with Child("-m", "benchmarks.programs.device", json.dumps(asdict(load))) as device:
        with _running(program, load, device.read()["port"]) as (pid, reader):
            device.read()
            began_s = cpu_s_of(pid)
            device.go()
            _check(program, reader, load)
            return cpu_s_of(pid) - began_s


def latencies_ms(program: Path, load: Load, mode: str) -> npt.NDArray[np.float64]:
    """Return how long each packet of *load*, sent in real time, takes to the pipe."""
    with tempfile.TemporaryDirectory() as name:
        sent, arrived = Path(name) / "sent.npy", Path(name) / "arrived.npy"
        with start_devices([(load, 0, mode)], Path(name), sent) as device:
            with _running(program, load, device.read()["ports"][0], arrived) as (_, reader):
                device.read()
                device.go()
                _check(program, reader, load)
            for _ in ("began", "sent"):
                device.read()
        return joined_ms(np.load(sent), by_packet(np.load(arrived), load))


@contextmanager
def _running(program: Path, load: Load, port: int, *files: Path) -> Generator[tuple[int, Child]]:
    with plugin_pipe() as (reading, writing):
        reader = Child("-m", "benchmarks.programs.reader", "pipe-of", load.total_samples, *files, stdin=reading)
        plugin = subprocess.Popen(command(program, load, port), pass_fds=[writing], stdout=subprocess.DEVNULL)
    with reader:
        try:
            yield plugin.pid, reader
        finally:
            plugin.terminate()
            plugin.wait()


def _check(program: Path, reader: Child, load: Load) -> None:
    samples = reader.read()["samples"]
    if samples != load.total_samples:
        raise SystemExit(f"bench: {program}: {samples} of {load.total_samples} samples came to the pipe")
