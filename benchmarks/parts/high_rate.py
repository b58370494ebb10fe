"""Acoustic emission: 8 channels of int16 at 1 MHz, in real time, into an archive, and at 1 kHz into a live stream.

The component runs as users start it. ``python -m benchmarks.parts.high_rate SIGNAL SECONDS`` is its device: `Streamer`,
in packets of 10 ms, which bear the true time of their samples. The archive is compared with what was sent, sample by
sample.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pymseed import MS3TraceList

from benchmarks.jobs import Job, Options, Section
from benchmarks.launched import Control
from benchmarks.loads import LOCATION, NETWORK, STATION, signal
from benchmarks.processes import Child, cpu_s, cpu_s_of, peak_mb, report
from benchmarks.table import spread
from rawdaq.streamer import Channel, Streamer
from rawdaq.streams.decimator import Decimator
from rawdaq.times import NS_PER_S

COLUMNS = ("CPU %", "device CPU %", "peak MB", "max lag ms", "archive MB/s")
CHANNELS, RATE_HZ, SLOW_HZ = 8, 1_000_000, 1000

_SECONDS, _FULL_SECONDS = 10, 60
_PACKET = 10_000  # samples
_PACKET_NS = _PACKET * NS_PER_S // RATE_HZ
_CYCLE = 101  # packets, then the signal begins again: no divisor of a second
_FIRST_S = 1.0  # before the device begins
_SUBSCRIBE_S = 0.5
_LATE_S = 10.0  # what the component may be late at the end

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Case:
    """One row."""

    signal: str
    seconds: int

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{CHANNELS} x 1 MHz int16 {self.signal}, {self.seconds} s"


def sections(options: Options) -> list[Section]:
    """Return the table: a signal that compresses well, and one that does not."""
    seconds = options.seconds or (_FULL_SECONDS if options.is_full else _SECONDS)
    cases = [Case(name, seconds) for name in ("walk", "noise")]
    jobs = [
        Job({"": "high-rate", "signal": case.signal}, [case.name], partial(measure, options, case)) for case in cases
    ]
    return [Section("High rate", COLUMNS, jobs)]


def packets_of(name: str) -> list[list[Samples]]:
    """Return the packets of each channel, which come again and again; each channel begins with another."""
    made = signal(name, "int16", _CYCLE * _PACKET).reshape(_CYCLE, _PACKET)
    return [[made[(index + 7 * channel) % _CYCLE] for index in range(_CYCLE)] for channel in range(CHANNELS)]


def feed(name: str, seconds: int) -> None:
    """Run the device: send in real time from the first line on, end at the second."""
    channels = packets_of(name)
    with Streamer([Channel(number, RATE_HZ, samptype="int16") for number in range(CHANNELS)], port=0) as streamer:
        report(port=streamer.port)
        streamer.wait_for_client()
        report(connected=True)
        sys.stdin.readline()
        began_cpu_s, began_ns = cpu_s(), time.time_ns() // 1000 * 1000 + int(_FIRST_S * NS_PER_S)
        for index in range(seconds * NS_PER_S // _PACKET_NS):
            start_ns = began_ns + index * _PACKET_NS
            time.sleep(max(0, start_ns + _PACKET_NS - time.time_ns()) / NS_PER_S)
            for number, packets in enumerate(channels):
                streamer.feed_data(number, start_ns, 100, packets[index % _CYCLE])
        counters = streamer.counters
        report(cpu_s=cpu_s() - began_cpu_s, unheard=counters.unheard_packets, dropped=counters.clients_dropped)
        sys.stdin.readline()


def station_file(folder: Path, port: int) -> Path:
    """Write and return the station file of the component."""
    text = f"""\
station: {{network: {NETWORK}, code: {STATION}, location: "{LOCATION}"}}
Acoustic:
  Receiver:
    class: RawReceiver
    port: {port}
    channels: {{{", ".join(f'{number}: "{number:02d}.JHZ"' for number in range(CHANNELS))}}}
  Decimation:
    slow: {{rate_hz: {SLOW_HZ}}}
  Publishers:
    archive: {{class: MiniSeedPublisher, path: archive}}
    live: {{class: ZMQTCPPublisher, ip: 127.0.0.1, port: 0, streams: ["*.*.*.G??"]}}
"""
    file = folder / "station.yaml"
    file.write_text(text)
    return file


def run(case: Case) -> dict[str, float]:
    """Return the figures of one run; the benchmark ends when a sample is missing."""
    slow = CHANNELS * slow_count(case.seconds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        device = stack.enter_context(Child("-m", "benchmarks.parts.high_rate", case.signal, case.seconds))
        control = Control(Path(sys.executable).parent, station_file(folder, device.read()["port"]), folder)
        stack.callback(control.end)
        control.run("start", "all")
        device.read()  # it is connected
        address = control.live_address()
        reader = stack.enter_context(Child("-m", "benchmarks.programs.reader", "live", address))
        time.sleep(_SUBSCRIBE_S)
        pid = control.status()[0]["pid"]
        began_cpu_s = cpu_s_of(pid)
        device.go()
        fed = device.read()
        status = _finished(control, CHANNELS * case.seconds * RATE_HZ + slow)
        used_s, most_mb = cpu_s_of(pid) - began_cpu_s, peak_mb(pid)
        control.end()
        reader.interrupt()
        heard = reader.read()["payload_bytes"] // 4
        size_bytes = sum(path.stat().st_size for path in (folder / "archive").rglob("*") if path.is_file())
        compare(case, folder / "archive")
    streams, publishers = status["streams"].values(), status["publishers"].values()
    problems = {
        "dropped": sum(each["dropped"] + each["refused"] for each in publishers),
        "gaps": sum(each["gaps"] + each["overlaps"] for each in streams),
        "unheard": fed["unheard"],
        "cut off": fed["dropped"],
    }
    if any(problems.values()) or heard != slow:
        raise SystemExit(f"bench: {case.name}: {problems}, a subscriber got {heard} of {slow} samples")
    return {
        "CPU %": 100 * used_s / case.seconds,
        "device CPU %": 100 * fed["cpu_s"] / case.seconds,
        "peak MB": most_mb,
        "max lag ms": 1000 * max(each["latency_max_s"] for each in streams if each["rate_hz"] == RATE_HZ),
        "archive MB/s": size_bytes / 1e6 / case.seconds,
    }


def _finished(control: Control, wanted: int) -> dict[str, Any]:
    """Return the status of the component once it has all samples, or when they are too late."""
    end_s = time.monotonic() + _LATE_S
    while True:
        (status,) = control.status()
        if sum(each["samples"] for each in status["streams"].values()) >= wanted or time.monotonic() > end_s:
            return status


def slow_count(seconds: int) -> int:
    """Return how many samples the decimated stream of one channel has."""
    decimator = Decimator(RATE_HZ // SLOW_HZ)
    return (seconds * RATE_HZ - 2 * decimator.delay - 1) // decimator.factor + 1


def compare(case: Case, archive: Path) -> None:
    """End the benchmark unless *archive* has every sample that was sent, and the decimated ones, without a gap."""
    for number, packets in enumerate(packets_of(case.signal)):
        decimator = Decimator(RATE_HZ // SLOW_HZ)
        slow = np.concatenate([decimator.push(packet) for packet in cycled(packets, case.seconds)])
        expect(case, archive, f"{number:02d}.GHZ", slow.astype(np.float32))
        expect(case, archive, f"{number:02d}.JHZ", np.concatenate(list(cycled(packets, case.seconds))))


def cycled(packets: Sequence[Samples], seconds: int) -> Iterator[Samples]:
    """Yield what a channel sends in so many *seconds*."""
    return (packets[index % _CYCLE] for index in range(seconds * RATE_HZ // _PACKET))


def expect(case: Case, archive: Path, code: str, samples: npt.NDArray[Any]) -> None:
    """End the benchmark unless the archive has exactly these *samples* of a stream; libmseed reads it."""
    traces = MS3TraceList()
    for file in sorted(archive.rglob(f"*.{code}.*")):
        traces.add_file(str(file), unpack_data=True)
    found = [segment.np_datasamples for trace in traces for segment in trace]
    if len(found) != 1 or not np.array_equal(found[0], samples):
        sizes = ", ".join(str(each.size) for each in found)
        raise SystemExit(f"bench: {case.name}: {samples.size} samples of {code} were sent, archived are {sizes or 0}")


def measure(options: Options, case: Case) -> None:
    """Add the row."""
    runs = [run(case) for _ in range(options.runs or (5 if options.is_full else 1))]
    tags = {"": "high-rate", "signal": case.signal}
    options.table.row(case.name, tags, {column: spread(runs, column) for column in COLUMNS})


if __name__ == "__main__":
    feed(sys.argv[1], int(sys.argv[2]))
