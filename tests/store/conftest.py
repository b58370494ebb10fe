"""What the tests of the store share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.faults import FaultyDisk


def _done(descriptor: int) -> None:
    """Sync nothing."""


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the system has one, for tests in which a sync may be quick."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no sync wait for the disk, in tests that are not about that."""
    monkeypatch.setattr(os, "fdatasync", _done)
    monkeypatch.setattr(os, "fsync", _done)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultyDisk:
    """The disk on which the test writes."""
    return FaultyDisk(tmp_path, monkeypatch)
