"""Threads that are shared by what is on one disk."""

import asyncio
import contextvars
import threading
import time

import pytest

from rawdaq.disk.threads import DiskThread, disk_thread, in_new_thread
from tests.helpers import until

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="nobody")


def running() -> int:
    return sum(thread.name.startswith("disk 7 ") for thread in threading.enumerate())


async def test_many_users_of_a_disk_share_few_threads_that_end_with_the_last() -> None:
    users = [disk_thread(7) for _ in range(100)]
    assert len(set(users)) == running() == 4
    assert {thread.users for thread in users} == {25}
    for thread in users:
        thread.give_back()
    await until(lambda: running() == 0)


async def test_jobs_are_done_in_order_and_each_gets_its_own_end() -> None:
    thread, done = disk_thread(7), list[int]()

    def work(number: int) -> int:
        done.append(number)
        if number % 3 == 0:
            raise ValueError(number)
        return -number

    jobs = [thread.submit(work, number) for number in range(200)]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert done == list(range(200))
    assert [result for result in results if isinstance(result, int)] == [-n for n in range(200) if n % 3]
    assert all(isinstance(result, ValueError) for result in results[::3])
    thread.give_back()


async def test_what_waited_is_done_after_it_was_given_back_and_a_job_that_nobody_awaits_harms_nothing() -> None:
    thread, gate = disk_thread(7), threading.Event()
    abandoned = thread.submit(gate.wait)
    last = thread.submit(threading.current_thread)
    thread.give_back()
    abandoned.cancel()
    gate.set()
    assert (await last).name.startswith("disk 7 ")


async def test_a_disk_that_hangs_does_not_hold_up_another() -> None:
    hung, fine, answers = disk_thread(7), disk_thread(8), threading.Event()
    waiting = hung.submit(answers.wait)
    assert await fine.submit(int, "5") == 5
    assert not waiting.done()
    answers.set()
    assert await waiting
    hung.give_back()
    fine.give_back()


async def test_a_job_sees_the_context_of_who_gave_it() -> None:
    thread = disk_thread(7)
    NAME.set("me")
    assert await thread.submit(NAME.get) == "me"
    thread.give_back()


def test_a_closed_loop_ends_the_thread_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    loop, answers = asyncio.new_event_loop(), threading.Event()
    thread = DiskThread("disk 7 alone", loop)
    thread.submit(answers.wait)
    loop.close()
    answers.set()
    for each in [each for each in threading.enumerate() if each.name == "disk 7 alone"]:
        each.join(10.0)
    assert running() == 0
    assert capfd.readouterr().err == ""


async def test_what_has_ended_is_told_while_the_next_job_takes_long() -> None:
    thread, answers = disk_thread(7), threading.Event()
    quick = [thread.submit(time.sleep, 0.006) for _ in range(3)]
    slow = thread.submit(answers.wait)
    async with asyncio.timeout(10):
        await asyncio.gather(*quick[:2])
    assert not slow.done()
    answers.set()
    await slow
    thread.give_back()


async def test_an_error_that_no_future_can_bear_is_told_as_another() -> None:
    thread = disk_thread(7)
    bad, good = thread.submit(next, iter(())), thread.submit(int, "5")
    with pytest.raises(RuntimeError, match="StopIteration"):
        await bad
    assert await good == 5
    thread.give_back()


async def test_a_thread_of_its_own_ends_with_its_job() -> None:
    name = (await in_new_thread("disk 7 unknown", threading.current_thread)).name
    assert name == "disk 7 unknown"
    await until(lambda: running() == 0)
