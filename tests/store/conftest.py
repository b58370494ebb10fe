"""What the tests of the store share."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rawdaq.store.inspect import StoreView
from rawdaq.store.values import Loss
from tests.helpers import MEMORY
from tests.store.faults import FaultyDisk


def _done(descriptor: int) -> None:
    """Sync nothing."""


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the system has one, for tests in which a sync may be quick."""
    if MEMORY is None:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
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


@pytest.fixture
def open_view() -> Iterator[Callable[..., StoreView]]:
    """Open views as `StoreView.of` does, which are closed at the end."""
    with contextlib.ExitStack() as stack:

        def view(folder: Path, report: Callable[[Loss], None] = print) -> StoreView:
            return stack.enter_context(StoreView.of(folder, report))

        yield view
