"""Removals are noticed without looking."""

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rawdaq.process import removals
from rawdaq.process.removals import Removals
from tests.helpers import DEADLINE_S

Remove = Callable[[Path], object]


def _file(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "file"
    file.touch()
    return file


def _move_away(file: Path) -> None:
    file.rename(file.parent.parent / "file")


@pytest.mark.parametrize("remove", [Path.unlink, _move_away])
async def test_what_is_removed_or_moved_away_ends_the_wait_each_time(remove: Remove, tmp_path: Path) -> None:
    with Removals([tmp_path / "missing", tmp_path / "folder"]) as watched:
        for _ in range(3):
            file = _file(tmp_path / "folder")
            watched.watch()
            waiting = asyncio.create_task(watched.wait(2 * DEADLINE_S))
            await asyncio.sleep(0)
            assert not waiting.done()
            remove(file)
            async with asyncio.timeout(DEADLINE_S):
                await waiting


async def test_a_folder_that_is_made_again_is_watched_again(tmp_path: Path) -> None:
    with Removals([tmp_path / "folder"]) as watched:
        _file(tmp_path / "folder")
        watched.watch()
        shutil.rmtree(tmp_path / "folder")
        await watched.wait(2 * DEADLINE_S)
        file = _file(tmp_path / "folder")
        watched.watch()
        file.unlink()
        async with asyncio.timeout(DEADLINE_S):
            await watched.wait(2 * DEADLINE_S)


async def test_the_wait_has_an_end_and_nothing_is_left(tmp_path: Path) -> None:
    with Removals([tmp_path]) as watched:
        watched.watch()
        await watched.wait(0.0)
    assert signal.getsignal(signal.SIGIO) == signal.SIG_DFL


async def test_where_the_system_reports_nothing_only_time_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "IS_REPORTED", False)
    file = _file(tmp_path)
    with Removals([tmp_path]) as watched:
        watched.watch()
        file.unlink()
        await watched.wait(0.0)
