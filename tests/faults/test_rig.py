"""A short run of faults on real processes: every journalled sample is in the archive once. ``make faults`` has more."""

import importlib
import random
import sys
from collections.abc import Sequence
from typing import IO

import pytest

from faults import rig
from faults.__main__ import problem_of, run
from tests import forks


def forked(module: str, args: Sequence[str], log: IO[bytes]) -> forks.Process:
    """Run a module as a program, without the start of an interpreter."""

    def main() -> int:
        sys.argv = [module, *args]
        importlib.import_module(module).main()
        return 0

    process = forks.Process(main, stdout=log.fileno(), more={2: log.fileno()})
    process.stdout.close()
    process.stderr.close()
    return process


@pytest.mark.parametrize("fault", ["stop, go on", "archive away", "power cut"])
def test_each_sample_is_archived_once(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "_spawn", forked)
    for _ in range(5):
        outcome = run(fault, random.randrange(1 << 30), pace=0.2)
        assert problem_of(outcome) == "", f"{fault}, seed {outcome.seed}"
        assert outcome.verdict is not None
        if outcome.verdict.journalled > 0:  # on a busy machine the fault may come before the first packet
            return
    pytest.fail("nothing was journalled in five runs")
