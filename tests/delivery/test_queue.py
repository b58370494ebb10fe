import asyncio
import logging
from typing import Any

import numpy as np
import pytest

from rawdaq.delivery.items import count_of, size_bytes
from rawdaq.delivery.queue import DeliveryQueue
from rawdaq.packet import Packet, PacketRun
from rawdaq.publisher import OverflowPolicy
from tests.makers import STREAM, packet

LOG = logging.getLogger("rawdaq.test")


def make_queue(policy: OverflowPolicy, max_items: int = 3, max_bytes: int = 10**9) -> DeliveryQueue[Any]:
    return DeliveryQueue("live", policy, max_items, max_bytes, LOG, lambda: 0.0)


def run_of(count: int) -> PacketRun:
    return PacketRun(STREAM, range(count), 100.0, np.zeros((count, 100), "<i4"))


async def test_everything_that_waits_is_one_batch_and_stays_until_acknowledged() -> None:
    queue = make_queue(OverflowPolicy.BLOCK)
    queue.put([b"1", b"2"])
    assert await queue.take() == [b"1", b"2"]
    assert len(queue) == 2
    queue.put([b"3"])
    assert await queue.take() == [b"3"]
    queue.acknowledge(2)
    assert (len(queue), queue.delivered_count) == (1, 2)
    queue.acknowledge(1)
    assert queue.waiting_bytes == 0
    await queue.empty()


async def test_who_takes_can_be_woken_for_nothing() -> None:
    queue = make_queue(OverflowPolicy.BLOCK)
    queue.wake()
    assert await queue.take() == []
    queue.put([b"1"])
    assert await queue.take() == [b"1"]


async def gathering(queue: DeliveryQueue[Any], *items: bytes, gather_s: float = 1e6) -> "asyncio.Task[list[Any]]":
    """Return the task that gathers *items*, and what follows them, from *queue*."""
    queue.put(items)
    taking = asyncio.ensure_future(queue.take(4000, gather_s))
    await asyncio.sleep(0)
    return taking


async def test_what_is_gathered_waits_until_there_is_enough_of_it() -> None:
    queue = make_queue(OverflowPolicy.BLOCK, max_items=1000)
    taking = await gathering(queue, b"1", b"2")
    queue.put([b"3"])
    await asyncio.sleep(0)
    assert not taking.done()
    queue.put([bytes(4000)])
    assert await taking == [b"1", b"2", b"3", bytes(4000)]


async def test_what_is_gathered_waits_until_the_next_multiple_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, loop = make_queue(OverflowPolicy.BLOCK, max_items=1000), asyncio.get_running_loop()
    timers_s: list[float] = []

    def at_once(when_s: float, callback: Any) -> asyncio.Handle:
        timers_s.append(when_s)
        return loop.call_soon(callback)

    monkeypatch.setattr(loop, "call_at", at_once)
    now_s = loop.time()
    assert await (await gathering(queue, b"1", gather_s=0.5)) == [b"1"]
    assert now_s < timers_s[0] <= loop.time() + 0.5
    assert timers_s[0] % 0.5 == 0.0


async def test_nothing_is_gathered_once_the_end_begins() -> None:
    queue = make_queue(OverflowPolicy.BLOCK, max_items=1000)
    taking = await gathering(queue, b"1")
    queue.begin_end()
    assert await taking == [b"1"]
    assert await (await gathering(queue, b"2")) == [b"2"]


@pytest.mark.parametrize(("max_items", "max_bytes"), [(8, 10**9), (1000, 8 * size_bytes(b"1"))])
async def test_what_is_gathered_stays_well_below_the_limits(max_items: int, max_bytes: int) -> None:
    queue = make_queue(OverflowPolicy.BLOCK, max_items, max_bytes)
    taking = await gathering(queue, b"1")
    assert not taking.done()
    assert queue.put([b"2"])
    assert await taking == [b"1", b"2"]


async def test_a_blocking_queue_keeps_everything_and_has_no_room_until_it_is_below_its_limit() -> None:
    queue = make_queue(OverflowPolicy.BLOCK)
    queue.put([b"1", b"2", b"3", b"4"])
    waiting = asyncio.ensure_future(queue.room())
    assert len(await queue.take()) == 4
    queue.acknowledge(1)
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.acknowledge(1)
    await waiting
    assert queue.dropped.total() == 0


async def test_the_memory_of_what_waits_is_a_limit_too() -> None:
    queue = make_queue(OverflowPolicy.BLOCK, max_items=10**6, max_bytes=2 * size_bytes(packet()))
    queue.put([packet(0)])
    assert not queue.is_full
    queue.put([packet(1)])
    assert queue.is_full


async def test_drop_newest_keeps_what_came_first() -> None:
    queue = make_queue(OverflowPolicy.DROP_NEWEST)
    queue.put([b"1", b"2", b"3", b"4", packet()])
    assert await queue.take() == [b"1", b"2", b"3"]
    assert queue.status()["dropped_by_stream"] == {"bytes": 1, "XX.DEMO.00.HHZ": 1}


async def test_drop_oldest_keeps_what_came_last_but_not_at_the_cost_of_what_is_being_delivered() -> None:
    queue = make_queue(OverflowPolicy.DROP_OLDEST)
    queue.put([b"1", b"2"])
    assert await queue.take() == [b"1", b"2"]
    queue.put([b"3", b"4", b"5"])
    assert await queue.take() == [b"5"]
    queue.put([b"6"])  # all three are being delivered: nothing older can make room
    queue.acknowledge(3)
    assert (len(queue), queue.dropped["bytes"]) == (0, 3)


@pytest.mark.parametrize("large", [packet(size=10_000), run_of(100)], ids=["packet", "run"])
async def test_drop_oldest_makes_the_room_that_larger_items_need(large: Packet | PacketRun) -> None:
    queue = make_queue(OverflowPolicy.DROP_OLDEST, max_items=500, max_bytes=100_000)
    queue.put(packet(index, 10) for index in range(400))
    for _ in range(50):
        queue.put([large])
        assert queue.waiting_bytes < 100_000 + size_bytes(large)
        assert len(queue) < 500 + count_of(large)
    assert queue.dropped.total() + len(queue) == 400 + 50 * count_of(large)


async def test_an_item_larger_than_a_limit_waits_until_something_follows_it() -> None:
    queue = make_queue(OverflowPolicy.DROP_OLDEST, max_bytes=1000)
    queue.put([bytes(5000)])
    assert (len(queue), queue.dropped.total()) == (1, 0)
    queue.put([b"1", b"2"])
    assert await queue.take() == [b"1", b"2"]
    assert queue.dropped.total() == 1


async def test_drop_oldest_cannot_take_back_what_is_being_delivered() -> None:
    queue = make_queue(OverflowPolicy.BLOCK)
    queue.put([b"1", b"2", b"3"])
    assert await queue.take() == [b"1", b"2", b"3"]
    queue.put([b"4", b"5"])
    queue.set_policy(OverflowPolicy.DROP_OLDEST)
    queue.put([b"6"])
    assert (len(queue), queue.dropped.total()) == (3, 3)
    assert await queue.take() == []
    queue.acknowledge(3)
    queue.put([b"7"])
    assert await queue.take() == [b"7"]


async def test_an_outage_is_logged_at_its_start_and_with_its_extent_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue = make_queue(OverflowPolicy.DROP_NEWEST, max_items=1)
    for index in range(10):
        queue.put([packet(index)])
    assert len(caplog.records) == 1
    assert "does not keep up" in caplog.text
    await queue.take()
    queue.acknowledge(1)
    assert len(caplog.records) == 2
    assert (
        "dropped XX.DEMO.00.HHZ: 900 samples from 2026-11-21T00:00:01.000Z to 2026-11-21T00:00:09.990Z" in caplog.text
    )
    assert "XX.DEMO.00.HHZ: 9" in caplog.text
