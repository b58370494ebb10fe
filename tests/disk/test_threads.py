"""Threads that are shared by what is on one disk."""

import asyncio
import contextvars
import threading

import pytest

from rawdaq.disk.threads import DiskThread, _shared, disk_thread, in_new_thread
from tests.helpers import until

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="unknown")


def running() -> int:
    return sum(thread.name.startswith("disk 7") for thread in threading.enumerate())


async def test_users_of_a_disk_share_few_threads_that_end_with_the_last() -> None:
    users = [disk_thread(7) for _ in range(100)]
    assert len(set(users)) == running() == 4
    assert {thread.users for thread in users} == {25}
    for thread in users[4:]:
        thread.give_back()
    assert disk_thread(7) in users
    assert running() == 4
    users[0].give_back()
    for thread in users[:4]:
        thread.give_back()
    await until(lambda: running() == 0)
    again = disk_thread(7)
    assert again not in users
    assert await again.submit(int, "5") == 5
    again.give_back()
    assert not _shared


async def test_calls_are_made_in_order_and_each_gets_its_own_result() -> None:
    thread, done = disk_thread(7), list[int]()

    def work(number: int) -> int:
        done.append(number)
        if number % 3 == 0:
            raise ValueError(number)
        return -number

    calls = [thread.submit(work, number) for number in range(200)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert done == list(range(200))
    assert [result for result in results if isinstance(result, int)] == [-n for n in range(200) if n % 3]
    assert all(isinstance(result, ValueError) for result in results[::3])
    assert thread.calls_done == 200
    thread.give_back()


async def test_what_is_submitted_in_one_turn_of_the_loop_is_handed_over_and_reported_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread, loop = disk_thread(7), asyncio.get_running_loop()
    reports: list[int] = []
    call_soon_threadsafe = loop.call_soon_threadsafe

    def counted(callback: object, outcomes: list[object]) -> None:
        reports.append(len(outcomes))
        call_soon_threadsafe(callback, outcomes)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    for _ in range(2):
        await asyncio.gather(*(thread.submit(int, "5") for _ in range(100)))
    assert reports == [100, 100]
    thread.give_back()


async def test_a_thread_that_was_given_back_makes_all_calls_and_a_cancelled_one_harms_nothing() -> None:
    thread, gate = disk_thread(7), threading.Event()
    cancelled = thread.submit(gate.wait)
    last = thread.submit(threading.current_thread)
    thread.give_back()
    cancelled.cancel()
    gate.set()
    assert (await last).name == "disk 7 0"


async def test_a_disk_that_hangs_does_not_hold_up_another() -> None:
    hung, fine, answers = disk_thread(7), disk_thread(8), threading.Event()
    waiting = hung.submit(answers.wait)
    assert await fine.submit(int, "5") == 5
    assert not waiting.done()
    answers.set()
    assert await waiting
    hung.give_back()
    fine.give_back()


async def test_a_call_sees_the_context_of_its_caller() -> None:
    thread = disk_thread(7)
    NAME.set("me")
    assert await thread.submit(NAME.get) == "me"
    thread.give_back()


def test_a_closed_loop_ends_the_thread_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    loop, answers = asyncio.new_event_loop(), threading.Event()
    thread = DiskThread("disk 7 alone", loop)
    thread.submit(answers.wait)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    answers.set()
    for each in [each for each in threading.enumerate() if each.name == "disk 7 alone"]:
        each.join(10.0)
    assert running() == 0
    assert capfd.readouterr().err == ""


async def test_a_new_thread_ends_with_its_call() -> None:
    assert (await in_new_thread("disk 7 unknown", threading.current_thread)).name == "disk 7 unknown"
    await until(lambda: running() == 0)
