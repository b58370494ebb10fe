"""What rawdaq costs: prints one table and writes benchmarks/results.json. ``make bench``; alone on the machine, please.

Everything is measured in processes of its own, of which only the receiver's processor time counts, without start-up.
Figures are medians of the runs, followed by half of the distance between the lowest and the highest. "x pymseed" is
the cost in units of what pymseed alone needs to encode the same samples in one call; "plain costs x" says how many
times more the same work costs when written plainly: with ObsPy's writer, or with zmq.asyncio and a task for each
packet. "C++ costs x" says the same of SeisComP's C++ raw plugin, where --cpp names one. "x pipe" is what an archive
costs in units of the pipe, both measured in turn. All of that is measured in the same run.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import device_side, high_rate, latency, many, startup, throughput
from benchmarks.cpp_plugin import COLUMN, CppPlugin
from benchmarks.processes import ROOT
from benchmarks.results import Report, machine, versions

_RESULTS = ROOT / "benchmarks" / "results.json"
_RELAYS = ROOT / "benchmarks" / "relays.py"
_RUNS = 5
_RELAYS_SHORT = ("--seconds", "2", "--messages", "50000")

Tags = Mapping[str, str]


@dataclass(frozen=True)
class Job:
    """A row to be, by what ``--only`` finds it."""

    tags: Tags
    measure: Callable[[], object]


@dataclass(frozen=True)
class Section:
    """Rows with the same columns."""

    title: str
    columns: Sequence[str]
    jobs: Sequence[Job]


def sections(
    report: Report, count: int, many_count: int, is_full: bool, cpp: CppPlugin | None = None
) -> Iterator[Section]:
    """Yield all that can be measured, the C++ plugin *cpp* beside it."""
    costs = throughput.Throughput(report, count, cpp and cpp.cost_us)
    jobs = [Job(case.tags, partial(costs.measure, case)) for case in throughput.cases(is_full)]
    yield Section("RAW over TCP into", (*throughput.COLUMNS, *([COLUMN] if cpp else ())), jobs)
    jobs = [Job(case.tags, partial(latency.measure, report, case, count)) for case in latency.cases(is_full)]
    if cpp:
        cases = [case for case in latency.cases(is_full) if case.target == "pipe"]
        jobs += [Job(case.tags, partial(cpp.measure_latency, report, case)) for case in cases]
    yield Section("Latency", latency.COLUMNS, jobs)
    device = {"": "device"}
    yield Section(
        "Device side", device_side.RATE_COLUMNS, [Job(device, partial(device_side.measure_rate, report, count))]
    )
    yield Section(
        "Device side, latency",
        device_side.LATENCY_COLUMNS,
        [Job(device, partial(device_side.measure_latency, report, count))],
    )
    yield Section("Start-up", startup.COLUMNS, [Job({"": "startup"}, partial(startup.measure, report, count))])
    jobs = [Job(case.tags, partial(many.measure, report, case, many_count)) for case in many.cases(is_full)]
    yield Section("Many devices, 3 x 100 Hz each", many.COLUMNS, jobs)
    jobs = [Job(case.tags, partial(high_rate.measure, report, case, many_count)) for case in high_rate.cases(is_full)]
    yield Section("High rate", high_rate.COLUMNS, jobs)
    if _RELAYS.exists():
        yield Section("Relays", (), [Job({"": "relays"}, partial(relays, report, is_full))])


def relays(report: Report, is_full: bool) -> None:
    """Print what the benchmark of the relays prints, and keep its lines."""
    arguments = () if is_full else _RELAYS_SHORT
    with subprocess.Popen(
        [sys.executable, str(_RELAYS), *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = []
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if process.returncode:
        raise SystemExit(f"bench: {_RELAYS.name} ended with status {process.returncode}")
    report.rows.append({"name": "relays", "lines": lines})


def wanted(tags: Tags, filters: Sequence[str]) -> bool:
    """Whether *tags* have, for each key that *filters* name, one of the values that they name.

    >>> wanted({"": "pipe", "k": "10"}, ["pipe", "live", "k=10"]), wanted({"": "many"}, ["k=10"])
    (True, False)
    """
    asked: dict[str, set[str]] = {}
    for each in filters:
        key, is_keyed, value = each.partition("=")
        asked.setdefault(key if is_keyed else "", set()).add(value if is_keyed else key)
    return all(tags.get(key) in values for key, values in asked.items())


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser("make bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the whole matrix: about two hours")
    parser.add_argument("--only", default="", metavar="FILTERS", help="such as pipe,k=100 or many,devices=1000")
    parser.add_argument("--runs", type=int, help="runs of each row: 5, of many devices and of high rates 1")
    parser.add_argument("--cpp", type=Path, metavar="PROGRAM", help="SeisComP's C++ raw_plugin, measured beside ours")
    parser.add_argument("--json", type=Path, default=_RESULTS, help="where the results go")
    args = parser.parse_args()
    filters = [each for each in args.only.split(",") if each]
    count, many_count = args.runs or _RUNS, args.runs or (_RUNS if args.full else 1)
    report = Report()
    # What a shell starts in the background ignores interrupts, and so would all that is started here and ended by one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(", ".join(f"{name} {value}" for name, value in {**machine(), **versions()}.items()))
    cpp = CppPlugin(args.cpp, count) if args.cpp else None
    for section in sections(report, count, many_count, args.full, cpp):
        jobs = [job for job in section.jobs if wanted(job.tags, filters)]
        if jobs:
            report.section(section.title, section.columns)
        for job in jobs:
            job.measure()
    if not report.rows:
        raise SystemExit(f"bench: nothing is called {args.only!r}; with --full there is more")
    report.write(args.json)
    print(f"\nwritten to {args.json}")


if __name__ == "__main__":
    main()
