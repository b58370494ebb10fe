"""kill -9 of a whole process, at any time: each sample that was journalled is in the archive and in the file, once."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import numpy as np

from tests.delivery.journal import component
from tests.helpers import ROOT, environment
from tests.journals import archived

RUNS = 12


def line_of(lines: IO[str], numbers: list[int]) -> str:
    """Return the next line that is no number; numbers are added."""
    while (line := lines.readline().strip()).isdigit():
        numbers.append(int(line))
    return line


def test_each_sample_is_delivered_once_whenever_the_process_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.delivery.journal.component"]
    pipe = subprocess.PIPE
    numbers: list[int] = [0]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(RUNS):
            print(tmp_path, file=process.stdin, flush=True)
            word, child = line_of(process.stdout, numbers).split()
            assert word == "process"
            for _ in range(random.randint(1, 40)):
                numbers.append(int(process.stdout.readline()))
            os.kill(int(child), signal.SIGKILL)
            assert line_of(process.stdout, numbers) == "over"
        print("end", tmp_path, file=process.stdin, flush=True)
        assert line_of(process.stdout, numbers).startswith("process")
        assert line_of(process.stdout, numbers) == "over"
        process.stdin.close()
    total = numbers[-1]
    assert total >= max(numbers) > 0
    found = archived(tmp_path / "archive")
    for index, stream in enumerate(component.STREAMS):
        samples = [value for (name, _), values in sorted(found.items()) if name == str(stream) for _, value in values]
        count = len(range(index, total, len(component.STREAMS))) * component.SIZE
        assert samples == list(range(count))
    written = np.fromfile(tmp_path / "samples", "<i4")
    assert written.tolist() == list(range(len(range(0, total, 2)) * component.SIZE))
