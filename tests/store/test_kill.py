"""kill -9: what was acknowledged is there, whole groups or nothing, and no position is given out twice."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from rawdaq.store.store import Store
from tests.helpers import ROOT, environment
from tests.store import appender, logs

RUNS = 50


@pytest.fixture
def appending() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.store.appender"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def run(process: "subprocess.Popen[str]", folder: Path, groups: int) -> list[range]:
    """Let a process append, kill it after so many groups, and return all positions that it gave out."""
    commands, lines = process.stdin, process.stdout
    assert commands is not None
    assert lines is not None
    print(folder, file=commands, flush=True)
    words = lines.readline().split()
    given: list[range] = []
    while words[0] != "process":  # the child may be the first to say something
        given.append(range(int(words[0]), int(words[1])))
        words = lines.readline().split()
    number = int(words[1])
    given += [positions(lines) for _ in range(groups)]
    os.kill(number, signal.SIGKILL)
    while (line := lines.readline()) != "end\n":
        given.append(range(*map(int, line.split())))
    return given


def positions(lines: IO[str]) -> range:
    first, behind = map(int, lines.readline().split())
    return range(first, behind)


def test_what_was_acknowledged_survives_a_kill_and_no_position_comes_twice(
    quick_path: Path, appending: "subprocess.Popen[str]"
) -> None:
    chance, folder = random.Random(1), quick_path / "log"
    given: list[int] = []
    for _ in range(RUNS):
        for each in run(appending, folder, chance.randrange(1, 120)):
            given += each
        reports = logs.Reports()
        with Store(folder, segment_bytes=appender.SEGMENT_BYTES, report=reports.append) as store:
            assert store.next_position > given[-1]
            found, lost = logs.read_all(store.reader(), 1 << 16)
            kept = logs.positions(found)
            assert not lost
            assert all(appender.entry_at(each.position) == logs.content(each) for each in found)
            assert kept == sorted(set(kept))
            assert {position for position in given if position >= store.oldest_position} <= set(kept)
    assert given == sorted(set(given))
