"""``make bench-check``: whether a packet costs more than it may; exit status 1 and a table when it does.

Costs are in units of what pymseed alone needs to encode the same samples, measured beside every run, so that the
limits in benchmarks/limits.json hold on any machine. The best of several runs counts, because other programs only ever
make a run dearer; a case above its limit gets further runs before it counts as failed.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import throughput
from benchmarks.loads import Load
from benchmarks.processes import ROOT
from benchmarks.throughput import Case, encode_ns

_LIMITS = ROOT / "benchmarks" / "limits.json"
_MARGIN = 1.4  # of a limit above what was measured when it was set: less than that is noise
_RUNS = 4
_ROUNDS = 3


@dataclass
class Cost:
    """The best runs so far of one case."""

    case: Case
    limit: float | None
    cpu_ns: float = float("inf")
    encode_ns: float = float("inf")

    @property
    def ratio(self) -> float:
        """Cost of a sample in units of the yardstick."""
        return self.cpu_ns / self.encode_ns

    @property
    def is_within(self) -> bool:
        """Whether it costs no more than it may."""
        return self.limit is not None and self.ratio <= self.limit

    def measure(self, count: int) -> None:
        """Add *count* runs."""
        load = self.case.load
        runs = [run for (run,) in throughput.runs([self.case], count)]
        self.cpu_ns = min(self.cpu_ns, *(run["cpu_s"] / load.total_samples * 1e9 for run in runs))
        self.encode_ns = min(self.encode_ns, *(encode_ns(load.kind, load.signal) for _ in range(max(2, count))))


def cases() -> Iterator[Case]:
    """Yield what is checked."""
    for target, sizes in {"pipe": (10, 100, 1000, 10_000), "archive": (10, 1000), "live": (10, 100)}.items():
        yield from (throughput.sized(target, Load(samples)) for samples in sizes)
    yield from (throughput.sized("pipe", Load(samples, 100)) for samples in (10, 100, 1000))
    yield throughput.sized("pipe", Load(1000, kind="float32"))
    yield throughput.sized("all", Load(100))


def main() -> None:
    """Check, or set the limits."""
    parser = argparse.ArgumentParser("make bench-check", description=__doc__)
    parser.add_argument("--set", action="store_true", help=f"write limits that are {_MARGIN} times what is measured")
    is_setting = parser.parse_args().set
    limits: dict[str, float] = json.loads(_LIMITS.read_text()) if _LIMITS.exists() else {}
    print(f"{'CPU of a packet, pymseed encoding it = 1':44}{'cost':>10}{'limit':>10}{'us/packet':>12}")
    costs = [_checked(Cost(case, limits.get(case.name)), 1 if is_setting else _ROUNDS) for case in cases()]
    if is_setting:
        new = {cost.case.name: float(f"{cost.ratio * _MARGIN:.3g}") for cost in costs}
        _LIMITS.write_text(json.dumps(new, indent=1) + "\n")
        print(f"written to {_LIMITS}")
        return
    failed = [cost for cost in costs if not cost.is_within]
    if failed:
        print(
            f"bench-check: {len(failed)} of {len(costs)} cost more than they may: find out why, or, when it is worth "
            "it, set new limits with: make bench-check BENCH=--set",
            file=sys.stderr,
        )
        raise SystemExit(1)
    print(f"all {len(costs)} within their limits")


def _checked(cost: Cost, rounds: int) -> Cost:
    """Measure until *cost* is within its limit, but no more than *rounds* times; print its line."""
    for _ in range(rounds):
        cost.measure(_RUNS)
        if cost.is_within:
            break
    limit = "none" if cost.limit is None else f"{cost.limit:.2f}"
    verdict = "" if cost.is_within or cost.limit is None else "   <-- too much"
    used_us = cost.cpu_ns * cost.case.load.samples / 1000
    print(f"{cost.case.name:44}{cost.ratio:10.2f}{limit:>10}{used_us:12.2f}{verdict}", flush=True)
    return cost


if __name__ == "__main__":
    main()
