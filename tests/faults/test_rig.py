"""A short run of faults on real processes: every journalled sample is in the archive once. ``make faults`` has more."""

import random

import pytest

from faults.__main__ import problem_of, run


@pytest.mark.parametrize("fault", ["stop, go on", "archive away", "power cut"])
def test_each_sample_is_archived_once(fault: str) -> None:
    for _ in range(5):
        outcome = run(fault, random.randrange(1 << 30), pace=0.2)
        assert problem_of(outcome) == "", f"{fault}, seed {outcome.seed}"
        assert outcome.verdict is not None
        if outcome.verdict.journalled > 0:  # on a busy machine the fault may come before the first packet
            return
    pytest.fail("nothing was journalled in five runs")
