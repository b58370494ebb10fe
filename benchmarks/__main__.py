"""What rawdaq costs, as tables, and in benchmarks/results.json: ``make bench``, alone on the machine.

Only the processor time of what is measured counts, without its start. Figures are medians of the runs, followed by half
the distance between the lowest and the highest. "x something" is the cost in units of that, measured in the same run:

  x bare loop  a bare asyncio loop that parses, encodes and writes the same packets, and nothing else
  x pymseed    pymseed encoding the same samples in one call
  x plain      the same work written plainly: ObsPy's writer for each packet, or zmq.asyncio and a task for each packet
  x pipe       a flood into the plugin pipe, in turn with this one
  x without    the same without a journal, in turn with this one
  x C++        SeisComP's C++ raw plugin, which --cpp names

The last table has the limits of benchmarks/limits.json. Times, percent and losses are for a machine like the one that
docs/decisions/benchmarks.md names; ratios and idle wake-ups are for any machine, and --check measures those alone.
"""

import argparse
import signal
from pathlib import Path

from benchmarks.jobs import Job, Options, is_chosen
from benchmarks.parts import (
    catch_up,
    events,
    flood,
    high_rate,
    latency,
    many_devices,
    pace,
    readouts,
    relays,
    repeater,
    startup,
    streamer,
)
from benchmarks.processes import ROOT
from benchmarks.table import LIMIT_COLUMNS, Table, holds_anywhere, limits_of_rows, machine, versions

_PARTS = (
    pace,
    flood,
    latency,
    catch_up,
    streamer,
    startup,
    many_devices,
    high_rate,
    relays,
    repeater,
    readouts,
    events,
)
_ROUNDS = 3  # other programs only ever make a run dearer: in a check a row above its limit is measured again


def main() -> None:
    """Measure what is chosen."""
    args = _parser().parse_args()
    table = Table()
    options = Options(table, args.full, args.runs, args.seconds, args.cpp, args.beside)
    # A shell makes what it starts in the background ignore interrupts; some processes here are ended by one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(", ".join(f"{name} {value}" for name, value in {**machine(), **versions()}.items()))
    filters = [each for each in args.only.split(",") if each]
    sections = [section for part in _PARTS for section in part.sections(options)]
    names = {name for section in sections for job in section.jobs for name in job.names}
    if unknown := limits_of_rows().keys() - names:
        raise SystemExit(f"bench: limits.json: no row is called {min(unknown)!r}")
    for section in sections:
        jobs = [job for job in section.jobs if is_chosen(job, filters) and (not args.check or _is_checked(job))]
        if jobs:
            table.head(section.title, section.columns)
        for job in jobs:
            _measure(job, table, _ROUNDS if args.check else 1)
    if not table.rows:
        raise SystemExit(f"bench: nothing is called {args.only!r}; with --full there is more")
    _finish(table, args.json, is_check=args.check)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("make bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--only", default="", metavar="FILTERS", help="such as pace,rate=30 or pipe,k=100 or latency")
    add("--runs", type=int, help="runs of each row")
    add("--seconds", type=int, help="length of a run in real time")
    add("--full", action="store_true", help="the whole matrix: about two hours")
    add("--check", action="store_true", help="exit status 1 when a limit is exceeded")
    add("--cpp", type=Path, metavar="PROGRAM", help="SeisComP's C++ raw_plugin, measured beside ours")
    add("--beside", type=Path, metavar="FOLDER", help="bin of another environment, whose rawdaq is measured in pace")
    add("--json", type=Path, default=ROOT / "benchmarks" / "results.json", help="where the results go")
    return parser


def _is_checked(job: Job) -> bool:
    """Whether a row of *job* has a limit that holds on any machine."""
    limits = limits_of_rows()
    return any(holds_anywhere(column) for name in job.names for column in limits.get(name, ()))


def _measure(job: Job, table: Table, rounds: int) -> None:
    """Measure *job* until its checked limits are met, but no more than *rounds* times."""
    for _ in range(rounds):
        job.measure()
        if all(limit.is_met for limit in table.limits() if limit.is_checked and limit.row in job.names):
            return


def _finish(table: Table, file: Path, *, is_check: bool) -> None:
    limits = table.limits()
    if limits:
        table.head("Limits", LIMIT_COLUMNS)
    for limit in limits:
        print(limit)
    table.write(file)
    print(f"\nwritten to {file}")
    failed = [limit for limit in limits if limit.is_checked and not limit.is_met]
    if is_check and failed:
        raise SystemExit(f"bench-check: {len(failed)} of {len(limits)} figures are above their limits")


if __name__ == "__main__":
    main()
