"""Latencies of packets: the moments at which they were sent and arrived, joined."""

import numpy as np
import numpy.typing as npt

from benchmarks.loads import Load
from benchmarks.table import Spread
from rawdaq.times import NS_PER_S

COLUMNS = ("p50 ms", "p99 ms", "max ms", "packets", "CPU %")

_COLD = 0.1  # the first part of a run warms everything up and does not count


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
    sent: npt.NDArray[np.int64], arrived: npt.NDArray[np.int64], cold: float = _COLD
) -> npt.NDArray[np.float64]:
    """Return how long after it was sent each packet arrived, apart from the first part, *cold*.

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
