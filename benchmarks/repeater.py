"""What a repeater costs: one stream of frames in, three out, beside a bare loop of blocking pyzmq sockets.

Source, repeater and consumers are processes of their own on this machine. The repeaters run by turns; the table shows
frames a second, processor time a frame, and the largest memory, as the system counts them. The last line is how late
lone frames are that come one every 20 ms. Run it alone on the machine::

    python -m benchmarks.repeater
"""

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import zmq

OUTPUTS = 3
SIZES = {10_000: 200_000, 1_000_000: 3_000}  # bytes of a frame: how many frames
LONE_FRAMES = 500
#: The limits, by size: frames a second; of processor time as a multiple of the bare loop; and of memory.
LIMITS = {10_000: 19_000, 1_000_000: 700}
MAX_CPU, MAX_MB = 1.5, 100

_HEADER = {
    "htype": ["array-1.0"],
    "type": "uint16",
    "shape": [100, 50],
    "endianess": "little",
    "source": "bench",
    "tags": ["0"],
    "image_attributes": {"scan_index": 0, "image_number": 0, "image_exposure_time": 1000, "image_is_complete": True},
}


_CALLS = itertools.count()


class Result(NamedTuple):
    """What a run took."""

    frames_per_s: float
    cpu_us: float
    peak_mb: float


# --- the processes -------------------------------------------------------------------------------------------------


def source(address: str, size: int, count: int, pause_s: float) -> None:
    """Send *count* frames, each with the time of its departure."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as pusher:
        pusher.sndhwm = 16 if size > 100_000 else 1000
        pusher.bind(address)
        data, rest = bytes(size), json.dumps(_HEADER).encode()[1:]
        for number in range(count):
            pusher.send(b'{"frame":%d,"time_ns":%d,' % (number, time.monotonic_ns()) + rest, zmq.SNDMORE)
            pusher.send(data, copy=False)
            if pause_s:
                time.sleep(pause_s)


def consumer(address: str, kind: str, count: int) -> None:
    """Take *count* frames; print how long that took, and how late they were."""
    with zmq.Context() as context, context.socket(zmq.PULL if kind == "PUSH" else zmq.SUB) as taker:
        taker.rcvhwm = 100
        if kind == "PUB":
            taker.subscribe(b"")
        taker.connect(address)
        print("ready", flush=True)
        latencies_ns: list[int] = []
        began_ns = 0
        for _ in range(count):
            header = taker.recv_multipart(copy=False)[0].bytes
            now_ns = time.monotonic_ns()
            began_ns = began_ns or now_ns
            if count <= LONE_FRAMES:
                latencies_ns.append(now_ns - json.loads(header)["time_ns"])
        print(json.dumps([(time.monotonic_ns() - began_ns) / 1e9, latencies_ns]), flush=True)


def bare(address: str, outputs: list[str]) -> None:
    """Repeat with blocking sockets: as little as Python can do."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    puller = context.socket(zmq.PULL)
    puller.rcvhwm = 100
    puller.connect(address)
    pushers = [context.socket(zmq.PUSH) for _ in outputs]
    for pusher, output in zip(pushers, outputs, strict=True):
        pusher.sndhwm = 100
        pusher.bind(output)
    while True:
        parts = puller.recv_multipart(copy=False)
        for pusher in pushers:
            pusher.send_multipart(parts, copy=False)


def _role(name: str, *args: object) -> list[str]:
    return [sys.executable, "-m", "benchmarks.repeater", name, *map(str, args)]


@contextmanager
def process(command: list[str]) -> Generator["subprocess.Popen[str]"]:
    """Run a process for a while."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGINT)


@contextmanager
def our_repeater(address: str, outputs: list[str], kind: str) -> Generator["subprocess.Popen[str]"]:
    """Run ours: outputs that block, so that every frame arrives, with 5 MB for each."""
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
    content = {"in-stream": {"zmq_mode": "PULL", "address": address}, "out-streams": streams, "buffer_mb": 15}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "repeater.json"
        file.write_text(json.dumps(content))
        command = [sys.executable, "-m", "rawdaq.control.cli", "repeater", "--no-rest", "--config-file", str(file)]
        with process(command) as running:
            yield running


@contextmanager
def bare_loop(address: str, outputs: list[str], kind: str) -> Generator["subprocess.Popen[str]"]:
    """Run the bare loop."""
    with process(_role("bare", address, *outputs)) as running:
        yield running


# --- the measurement -----------------------------------------------------------------------------------------------


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) / 1000


def run(
    repeater: Callable[..., Any], size: int, count: int, kind: str = "PUSH", pause_s: float = 0.0
) -> tuple[Result, list[int]]:
    """Repeat *count* frames of *size* bytes; return what it took, and how late the frames were."""
    port = 20_000 + os.getpid() % 20_000 + 8 * next(_CALLS)
    address, *outputs = [f"tcp://127.0.0.1:{port + index}" for index in range(1 + OUTPUTS)]
    with ExitStack() as stack:
        consumers = [stack.enter_context(process(_role("consumer", each, kind, count))) for each in outputs]
        for each in consumers:
            if each.stdout is None or each.stdout.readline() != "ready\n":
                raise SystemExit("a consumer did not start")
        running = stack.enter_context(repeater(address, outputs, kind))
        time.sleep(3)  # until consumers are connected
        before_s = _cpu_s(running.pid)
        stack.enter_context(process(_role("source", address, size, count, pause_s)))
        results: list[Any] = [json.loads(each.stdout.readline()) for each in consumers if each.stdout is not None]
        cpu_s, peak_mb = _cpu_s(running.pid) - before_s, _peak_mb(running.pid)
    slowest_s = max(seconds for seconds, _ in results)
    return Result(count / slowest_s, 1e6 * cpu_s / count, peak_mb), sorted(late for _, each in results for late in each)


def _median(results: list[Result]) -> Result:
    return Result(*(median(column) for column in zip(*results, strict=True)))


def _line(name: str, result: Result, beside: Result | None = None) -> str:
    ratio = f"{result.cpu_us / beside.cpu_us:8.2f}" if beside else "       -"
    return f"{name:28}{result.frames_per_s:10.0f}{result.cpu_us:10.1f}{ratio}{result.peak_mb:10.0f}"


def measure(rounds: int) -> bool:
    """Print the table; return whether all limits hold."""
    is_good = True
    print(f"{'1 in, 3 out, ' + str(rounds) + ' rounds':28}{'frames/s':>10}{'us/frame':>10}{'x bare':>8}{'peak MB':>10}")
    for size, count in SIZES.items():
        names = {"bare loop, PUSH": (bare_loop, "PUSH"), "rawdaq, PUSH": (our_repeater, "PUSH")}
        names["rawdaq, PUB"] = (our_repeater, "PUB")
        results: dict[str, list[Result]] = {name: [] for name in names}
        for _ in range(rounds):
            for name, (repeater, kind) in names.items():
                results[name].append(run(repeater, size, count, kind)[0])
        beside = _median(results["bare loop, PUSH"])
        print(f"{size} bytes")
        for name, each in results.items():
            print(_line(f"  {name}", _median(each), None if name.startswith("bare") else beside))
        ours = _median(results["rawdaq, PUSH"])
        is_good &= (
            ours.frames_per_s >= LIMITS[size] and ours.cpu_us <= MAX_CPU * beside.cpu_us and ours.peak_mb < MAX_MB
        )
    late_ns = run(our_repeater, 10_000, LONE_FRAMES, pause_s=0.02)[1]
    p99_ms = late_ns[int(0.99 * len(late_ns))] / 1e6
    print(f"lone frames: median {median(late_ns) / 1e6:.2f} ms, p99 {p99_ms:.2f} ms")
    return is_good and p99_ms < 5


def main() -> None:
    """Run a role, or the measurement."""
    if len(sys.argv) > 1 and sys.argv[1] in ("source", "consumer", "bare"):
        role, *args = sys.argv[1:]
        try:
            if role == "source":
                source(args[0], int(args[1]), int(args[2]), float(args[3]))
            elif role == "consumer":
                consumer(args[0], args[1], int(args[2]))
            else:
                bare(args[0], args[1:])
        except KeyboardInterrupt:
            return
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; the median counts")
    sys.exit(0 if measure(parser.parse_args().rounds) else 1)


if __name__ == "__main__":
    main()
