"""What was written is made safe later, as often as the disk needs to be asked."""

import asyncio
import logging

import pytest

from rawdaq.disk.late_sync import LateSync
from tests.helpers import until

LOG = logging.getLogger("rawdaq.publishers.test")


class Disk:
    """A disk that refuses while `refuses` is set."""

    def __init__(self, *, refuses: bool) -> None:
        self.asked, self.refuses = 0, refuses
        self.late_sync = LateSync(0.0, self._sync, LOG)

    def _sync(self) -> "asyncio.Future[None]":
        self.asked += 1
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.refuses:
            ended.set_exception(OSError(f"refused {self.asked}"))
        else:
            ended.set_result(None)
        return ended


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.disk.late_sync._RETRY_S", 0.0)


async def test_what_is_written_before_the_disk_is_asked_is_asked_for_once() -> None:
    disk = Disk(refuses=False)
    for _ in range(3):
        disk.late_sync.schedule()
    await until(lambda: disk.asked)
    disk.late_sync.schedule()
    await until(lambda: disk.asked > 1)
    assert (disk.asked, disk.late_sync.error) == (2, None)


async def test_a_disk_that_refuses_is_asked_until_it_does_not_and_that_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = Disk(refuses=True)
    disk.late_sync.schedule()
    await until(lambda: disk.late_sync.error and disk.asked > 3)
    disk.refuses = False
    await until(lambda: disk.late_sync.error is None)
    assert caplog.messages == [
        "what was written last may not be on the disk: refused 1; trying again",
        "the disk takes what is written again; some of what was written meanwhile may be missing",
    ]


async def test_a_disk_that_refuses_is_asked_no_more_after_the_end() -> None:
    disk = Disk(refuses=True)
    disk.late_sync.schedule()
    await until(lambda: disk.late_sync.error)
    disk.late_sync.close()
    asked = disk.asked
    disk.late_sync.schedule()
    turns = iter(range(100))
    await until(lambda: next(turns) == 10)
    assert disk.asked == asked


async def test_what_is_written_after_the_end_is_not_asked_for() -> None:
    disk = Disk(refuses=False)
    disk.late_sync.close()
    disk.late_sync.schedule()
    turns = iter(range(100))
    await until(lambda: next(turns) == 10)
    assert disk.asked == 0


async def test_a_disk_to_which_nothing_is_written_is_not_asked() -> None:
    disk = Disk(refuses=False)
    disk.late_sync.schedule()
    await until(lambda: disk.asked)
    turns = iter(range(100))
    await until(lambda: next(turns) == 10)
    assert disk.asked == 1


async def test_who_waits_for_a_sync_waits_until_the_disk_does_it() -> None:
    disk = Disk(refuses=True)
    waiting = asyncio.ensure_future(disk.late_sync.covered())
    await until(lambda: disk.asked > 2)
    assert not waiting.done()
    disk.refuses = False
    await waiting
    asked = disk.asked
    await disk.late_sync.covered()
    assert disk.asked == asked + 1
    disk.late_sync.close()
