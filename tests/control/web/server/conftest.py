"""Runtime files of a test alone, and waits of the server that are short."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq.control.machine import feed, log
from rawdaq.control.web import sockets
from rawdaq.control.web.components import watch
from rawdaq.control.web.live import hub
from rawdaq.process.runtime_files import RuntimeFiles


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[RuntimeFiles]:
    with RuntimeFiles(tmp_path / "run", tmp_path / "log") as files:
        yield files


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server look often: a test must not wait for seconds."""
    for name, seconds in (("_TICK_S", 0.02), ("_LIST_S", 0.05), ("_LOOKED_AT_S", 0.05), ("_OTHERS_S", 0.1)):
        monkeypatch.setattr(watch, name, seconds)
    monkeypatch.setattr(watch, "_LIST_PART", 1.0)
    monkeypatch.setattr(hub, "_LOOK_S", 0.05)
    monkeypatch.setattr(hub, "_TICK_S", 0.02)
    monkeypatch.setattr(feed, "_OVERLAP_S", 0.05)
    monkeypatch.setattr(sockets, "_LEAST_INTERVAL_S", 0.05)
    monkeypatch.setattr(log, "_POLL_S", 0.02)
