"""How long a packet takes from the device to a subscriber, to the plugin pipe, and through `Streamer.feed_data`."""

import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.loads import Load
from benchmarks.processes import Child, plugin_pipe
from benchmarks.results import Report, Spread
from benchmarks.throughput import Publishers, station_file
from rawdaq.times import NS_PER_S

COLUMNS = ("p50 ms", "p99 ms", "max ms", "packets", "CPU %")

#: A record for each packet, so that the time to fill one is not what is measured.
_PUBLISHERS: Mapping[str, Publishers] = {
    "pipe": {"pipe": {"class": "SeedLinkPluginPublisher", "flush_each_packet": True}},
    "live": {"live": {"class": "ZMQTCPPublisher", "ip": "127.0.0.1", "port": 0}},
}


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        target: pipe or live.
        load: one run.
        mode: "burst": the packets of all channels come together; "spread": evenly.
    """

    target: str
    load: Load
    mode: str

    @property
    def name(self) -> str:
        """What the table calls it."""
        load = self.load
        return f"device to {self.target}, {load.channels} x {load.rate_hz} Hz, {self.packets_per_s:.0f} packets/s"

    @property
    def packets_per_s(self) -> float:
        """Packets a second, of all channels."""
        return self.load.channels * self.load.rate_hz / self.load.samples

    @property
    def tags(self) -> dict[str, str]:
        """By what ``--only`` finds it."""
        return {"": "latency", "target": self.target, "channels": str(self.load.channels)}


def cases(is_full: bool) -> list[Case]:
    """Return 3 x 100 Hz in packets of 0.1 s, and 1000 packets a second, each of some seconds."""
    seconds = 10 if is_full else 2
    slow = Load(10, 3, rate_hz=100, rounds=15 * seconds)
    fast = Load(10, 10, rate_hz=1000, rounds=100 * seconds)
    return [Case(target, *each) for target in _PUBLISHERS for each in ((slow, "burst"), (fast, "spread"))]


def run(case: Case) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """Return the latencies in ms of one run, and what the receiver used."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sent, arrived = folder / "sent.npy", folder / "arrived.npy"
        load = json.dumps(asdict(case.load))
        feed = stack.enter_context(Child("-m", "benchmarks.feed", load, case.mode, sent))
        file = station_file(folder, case.load, feed.read()["port"], _PUBLISHERS[case.target])
        with plugin_pipe() as (reading, writing):
            if case.target == "pipe":
                drain = stack.enter_context(Child("-m", "benchmarks.drain", "pipe", arrived, stdin=reading))
            child = stack.enter_context(Child("-m", "benchmarks.receiver", file, 0, pass_fds=[writing]))
        if case.target == "live":
            drain = stack.enter_context(Child("-m", "benchmarks.drain", "live", child.read()["address"], arrived))
        for process in (child, feed):
            process.read()
        feed.order()
        feed.read()
        child.order()
        result = child.read()
        child.wait()
        if case.target == "live":
            drain.interrupt()
        drain.read()
        return joined_ms(np.load(sent), by_packet(np.load(arrived), case.load)), result


def by_packet(arrived: npt.NDArray[np.int64], load: Load) -> npt.NDArray[np.int64]:
    """Return (channel, time of the first sample, moment) of each packet in *arrived*: a record can hold several."""
    packet_ns = load.samples * NS_PER_S // load.rate_hz
    rows = [
        (channel, start_ns + index * packet_ns, at_ns)
        for channel, start_ns, samples, at_ns in arrived.tolist()
        for index in range(samples // load.samples)
    ]
    return np.array(rows, np.int64).reshape(-1, 3)


def joined_ms(
    sent: npt.NDArray[np.int64], arrived: npt.NDArray[np.int64], cold: float = 0.1
) -> npt.NDArray[np.float64]:
    """Return how long after it was sent each packet arrived, but for the first part, *cold*, which warms everything up.

    Rows are channel (or device), time of the first sample, moment.
    """
    moments = {(channel, start_ns): at_ns for channel, start_ns, at_ns in arrived.tolist()}
    missing = [row for row in sent.tolist() if (row[0], row[1]) not in moments]
    if missing:
        raise SystemExit(f"bench: {len(missing)} of {len(sent)} packets did not arrive, such as {missing[0]}")
    warm = sent[int(len(sent) * cold) :].tolist()
    return np.array([moments[channel, start_ns] - at_ns for channel, start_ns, at_ns in warm]) / 1e6


def percentiles(runs: list[npt.NDArray[np.float64]]) -> dict[str, Spread | float | None]:
    """Return the figures of all packets of all *runs*; the spread is that of the runs."""
    figures: dict[str, Spread | float | None] = {
        name: Spread(tuple(float(np.percentile(each, percent)) for each in runs))
        for name, percent in (("p50 ms", 50), ("p99 ms", 99))
    }
    return figures | {"max ms": float(max(each.max() for each in runs)), "packets": float(sum(map(len, runs)))}


def measure(report: Report, case: Case, count: int) -> None:
    """Add the row of *case*."""
    results = [run(case) for _ in range(count)]
    cpu = Spread(tuple(100 * result["cpu_s"] / result["wall_s"] for _, result in results))
    report.row(case.name, case.tags, percentiles([latencies for latencies, _ in results]) | {"CPU %": cpu})
