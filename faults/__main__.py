"""Kills, cuts, tears and fills while a component journals and archives, and looks for every sample afterwards.

Samples that the journal had are expected in the archive, each once. One table: fault, runs, samples fed, samples in the
journal, missing in the archive, duplicated there.
"""

import argparse
import concurrent.futures
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from faults import catalogue
from faults.catalogue import FAULTS, Fault
from faults.check import Verdict, compare
from faults.rig import Rig

_DISK_MB = 48


class Outcome(NamedTuple):
    """How one run went."""

    fault: str
    seed: int
    fed: int
    verdict: Verdict | None
    error: str


def run(name: str, seed: int, keep: Path | None = None, pace: float = 1.0) -> Outcome:
    """Run one fault."""
    fault = FAULTS[name]
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    is_mounted = name == "full disk" and catalogue.mount(root, _DISK_MB)
    if name == "full disk" and not is_mounted:
        root.rmdir()
        return Outcome(name, seed, 0, None, "mounting is not allowed here")
    rig = catalogue.random_rig(root, seed, pace)
    try:
        outcome = _run(fault, rig, seed)
    except Exception as error:
        outcome = Outcome(name, seed, 0, None, f"{type(error).__name__}: {error}")
    finally:
        rig.close()
    is_good = not problem_of(outcome)
    if not is_good and keep is not None:
        shutil.copytree(root, keep / f"{name.replace(' ', '-')}-{seed}", dirs_exist_ok=True)
    if is_mounted:
        catalogue.unmount(root)
    shutil.rmtree(root, ignore_errors=True)
    return outcome


def _run(fault: Fault, rig: Rig, seed: int) -> Outcome:
    if fault.prepare is not None:
        fault.prepare(rig)
    rig.start_device()
    rig.start_component()
    rig.wait_for_data()
    fault.run(rig)
    fed = rig.finish()
    verdict = compare(rig.root)
    unwritten = 0 if rig.may_lose else fed - verdict.journalled
    return Outcome(fault.name, seed, fed, verdict._replace(missing=verdict.missing + unwritten), "")


def problem_of(outcome: Outcome) -> str:
    """Return what is wrong, empty when nothing is."""
    verdict = outcome.verdict
    if verdict is None:
        return outcome.error
    if verdict.missing or verdict.duplicated or verdict.wrong:
        return f"{verdict.missing} missing, {verdict.duplicated} duplicated, {verdict.wrong} with a wrong time"
    if verdict.lost > FAULTS[outcome.fault].most_lost:
        return f"{verdict.lost} entries of the journal are lost"
    return ""


def main() -> None:
    """Run what the command line says; the exit status is 1 when a sample is missing or duplicated."""
    parser = argparse.ArgumentParser("make faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="how many in all")
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time")
    parser.add_argument("--only", default="", metavar="FAULT", help=f"one of: {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=None, help="of the first run; by default another one each time")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where what went wrong is kept")
    parser.add_argument("--minutes", type=float, default=None, help="begin no run after so long")
    args = parser.parse_args()
    seed = random.randrange(1 << 30) if args.seed is None else args.seed
    names = [args.only] if args.only else list(FAULTS)
    outcomes: list[Outcome] = []
    end_s = time.monotonic() + (60 * args.minutes if args.minutes else 1e9)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:

        def one(index: int) -> None:
            if time.monotonic() < end_s:
                outcomes.append(run(names[index % len(names)], seed + index, args.keep))
                _tell(outcomes[-1])

        list(pool.map(one, range(args.runs)))
    sys.exit(_table(outcomes))


def _tell(outcome: Outcome) -> None:
    if problem := problem_of(outcome):
        print(f"{outcome.fault}, --only '{outcome.fault}' --runs 1 --seed {outcome.seed}: {problem}", flush=True)


def _table(outcomes: list[Outcome]) -> int:
    """Print the table; return the exit status."""
    columns = ("fault", "runs", "samples fed", "journalled", "missing", "duplicated", "lost entries", "failed runs")
    print("  ".join(f"{column:>14}" for column in columns))
    is_bad = False
    for name in FAULTS:
        own = [outcome for outcome in outcomes if outcome.fault == name]
        verdicts = [outcome.verdict for outcome in own if outcome.verdict is not None]
        if own:
            sums = [
                sum(getattr(each, field) for each in verdicts)
                for field in ("journalled", "missing", "duplicated", "lost")
            ]
            cells = (name, len(own), sum(outcome.fed for outcome in own), *sums, len(own) - len(verdicts))
            is_bad = is_bad or bool(sums[1] or sums[2]) or len(own) > len(verdicts)
            print("  ".join(f"{cell:>14}" for cell in cells))
    return int(is_bad)


if __name__ == "__main__":
    main()
