"""Records are made once of what comes, at once or later, and none is lost."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rawdaq.delivery.fanout import Fanout
from rawdaq.miniseed.maker import RecordFormat
from rawdaq.packet import PacketRun
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S
from tests.fanouts import HHN, LOG, RecordKeeper, RecordsAtOnce, running
from tests.helpers import DEADLINE_S, until
from tests.makers import START_NS, STREAM, packet


async def test_records_are_made_once_for_publishers_of_one_format() -> None:
    first, second, other = RecordKeeper("a"), RecordKeeper("b"), RecordKeeper("c")
    other.record_format = RecordFormat(length_bytes=4096, flush_after_s=3600.0)
    fanout = Fanout([first, second, other], LOG)
    assert len(fanout.writers) == 2
    async with running(fanout):
        fanout.put([packet(index) for index in range(50)])
        await fanout.drain(10.0)
    assert first.kept == second.kept
    for keeper, size in ((first, 512), (second, 512), (other, 4096)):
        assert sum(record.sample_count for record in keeper.kept) == 5000
        assert {len(record.data) for record in keeper.kept} == {size}


async def test_records_that_packets_fill_are_there_when_these_were_put() -> None:
    keeper = RecordsAtOnce()
    fanout = Fanout([keeper], LOG)
    fanout.put([packet(0)])
    async with running(fanout):
        await fanout.drain(10.0)
        assert [record.sample_count for record in keeper.kept] == [100]
        for index in range(1, 30):
            assert fanout.put([packet(index)])
        full = sum(record.sample_count for record in keeper.kept)
        assert 3000 > full > 2000  # without a turn of the loop
        await fanout.drain(10.0)
        status = fanout.status()["keeper"]
    assert sum(record.sample_count for record in keeper.kept) == 3000
    assert (status["delivered"], status["waiting"]) == (len(keeper.kept), 0)
    assert fanout.writers[0].queue.delivered_count == 30


async def test_packets_wait_behind_a_publisher_of_records_that_is_full() -> None:
    keeper = RecordKeeper()
    keeper.queue_packets = 1
    keeper.record_format = RecordFormat(flush_after_s=0.0)
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        await asyncio.sleep(0)
        for index in range(3):
            fanout.put([packet(index)])
        assert len(fanout.workers[0].queue) == 1
        assert len(fanout.writers[0].queue) == 2
        await fanout.drain(10.0)
    assert [(record.start_ns, record.sample_count) for record in keeper.kept] == [
        (packet(0).start_ns, 100),
        (packet(1).start_ns, 200),  # they waited together
    ]


async def test_a_failure_in_making_records_ends_the_task_and_not_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such thing")

    fanout = Fanout([RecordKeeper()], LOG)
    async with running(fanout) as tasks:
        await asyncio.sleep(0)
        monkeypatch.setattr("rawdaq.miniseed.maker.RecordMaker.add", fail)
        fanout.put([packet(0)])
        with pytest.raises(RuntimeError, match="no such thing"):
            await tasks[0]
        assert fanout.put([packet(1)])  # what nobody takes any more waits
        assert len(fanout.writers[0].queue) == 2


async def test_packets_that_became_no_records_for_a_bug_do_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr("rawdaq.miniseed.maker.RecordMaker.add", fail)
    fanout = Fanout([RecordKeeper()], LOG)
    async with running(fanout) as tasks:
        fanout.put([packet(0)])
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        lost = await asyncio.wait_for(fanout.drain(3600.0), DEADLINE_S)
    assert lost is not None
    assert "what was to become records of keeper: XX.DEMO.00.HHZ: 100 samples from 2026-11-21T00:00:00.000Z to " in lost


def test_packets_may_come_between_two_runs_of_the_loop() -> None:
    keeper = RecordsAtOnce()
    with asyncio.Runner() as runner:

        async def begin() -> tuple[Fanout, list[asyncio.Task[Any]]]:
            fanout = Fanout([keeper], LOG)
            tasks = [asyncio.create_task(run()) for run in fanout.tasks().values()]
            await asyncio.sleep(0)
            return fanout, tasks

        fanout, tasks = runner.run(begin())
        for index in range(30):
            assert fanout.put([packet(index)])
        assert runner.run(fanout.drain(10.0)) is None
        for task in tasks:
            task.cancel()
    assert sum(record.sample_count for record in keeper.kept) == 3000


async def test_full_records_of_a_run_leave_though_nothing_follows() -> None:
    keeper = RecordKeeper()
    fanout = Fanout([keeper], LOG)
    samples = np.zeros((20, 100), np.int32)
    samples.flags.writeable = False
    starts_ns = [START_NS + index * NS_PER_S for index in range(20)]
    async with running(fanout):
        fanout.put([PacketRun(STREAM, starts_ns, 100.0, samples)])
        await until(lambda: keeper.kept)
        await fanout.drain(10.0)
    assert sum(record.sample_count for record in keeper.kept) == 2000


async def test_a_partial_record_leaves_when_it_is_due_and_so_does_the_next() -> None:
    keeper = RecordKeeper()
    keeper.record_format = RecordFormat(flush_after_s=0.05)
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        fanout.put([packet()])
        await until(lambda: keeper.kept)
        fanout.put([packet(1)])
        await until(lambda: len(keeper.kept) > 1)
    assert [record.sample_count for record in keeper.kept] == [100, 100]


async def test_a_missing_compiled_part_is_told_with_its_remedy(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.miniseed.series.steim2", None)
    caplog.set_level("INFO")
    keeper = RecordKeeper()
    async with running(fanout := Fanout([keeper], LOG)):
        fanout.put([packet()])
        await fanout.drain(10.0)
    assert [record.sample_count for record in keeper.kept] == [100]
    assert "without a C compiler" in caplog.text
    assert "install it again" in caplog.text


async def test_what_is_no_record_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    keeper = RecordKeeper()
    fanout = Fanout([keeper], LOG)
    unnamable = StreamId("XX", "TOOLONG1", "00", "HHZ")
    async with running(fanout):
        fanout.put([b"plain", packet(0), packet(0, stream=unnamable), b"plain", packet(1, stream=unnamable)])
        await fanout.drain(10.0)
    assert fanout.status()["keeper"]["refused"] == 4
    assert [record.sample_count for record in keeper.kept] == [100]
    assert len([line for line in caplog.messages if "counted as refused" in line]) == 2


async def test_records_are_made_once_of_what_any_publisher_of_the_format_asks_for() -> None:
    first, second = RecordKeeper("a"), RecordKeeper("b")
    first.streams, second.streams = ["*.HHZ"], ["*.HH[ZN]"]
    fanout = Fanout([first, second], LOG)
    (writer,) = fanout.writers
    unwanted = StreamId("XX", "DEMO", "00", "HHE")
    async with running(fanout):
        fanout.put([packet(index, stream=each) for index in range(20) for each in (STREAM, HHN, unwanted)])
        await fanout.drain(10.0)
    assert {record.stream for record in first.kept} == {STREAM}
    assert {record.stream for record in second.kept} == {STREAM, HHN}
    assert first.kept == [record for record in second.kept if record.stream == STREAM]
    assert writer.queue.delivered_count == 40


async def test_a_paused_publisher_keeps_no_other_from_its_last_records_and_what_is_lost_is_told() -> None:
    class Paused(RecordKeeper):
        async def deliver(self, batch: Sequence[Any]) -> None:
            await self.gate.wait()

    paused, same, other = Paused("paused"), RecordKeeper("same"), RecordKeeper("other")
    paused.gate.clear()
    paused.queue_packets = 1
    other.record_format = RecordFormat(length_bytes=4096, flush_after_s=3600.0)
    fanout = Fanout([paused, same, other], LOG)
    async with running(fanout):
        for index in range(100):
            fanout.put([packet(index)])
            await asyncio.sleep(0)
        assert len(fanout.writers[0].queue) > 0  # it waits for room
        draining = asyncio.ensure_future(fanout.drain(DEADLINE_S))
        await until(lambda: all(sum(record.sample_count for record in each.kept) == 10_000 for each in (same, other)))
        draining.cancel()
        lost = await fanout.drain(0.01)
    assert lost is not None
    assert lost.endswith(
        " and lost: paused (it was still busy): XX.DEMO.00.HHZ: 10000 samples "
        "from 2026-11-21T00:00:00.000Z to 2026-11-21T00:01:39.990Z"
    )


async def test_full_records_do_not_wait_for_ever_for_a_loop_that_always_has_more() -> None:
    keeper, now_ns = RecordKeeper(), 0
    fanout = Fanout([keeper], LOG, lambda: now_ns)
    samples = np.zeros((2, 100), np.int32)
    samples.flags.writeable = False
    other = StreamId.parse("XX.OTHER.00.HHZ")
    slow = np.zeros((10, 100), np.int32)
    slow.flags.writeable = False
    async with running(fanout):
        fanout.put([PacketRun(STREAM, [START_NS + index * NS_PER_S for index in range(10)], 100.0, slow)])
        for turn in range(200):
            now_ns += NS_PER_S // 100
            starts_ns = [START_NS + (2 * turn + index) * NS_PER_S for index in range(2)]
            fanout.put([PacketRun(other, starts_ns, 100.0, samples)])
            await asyncio.sleep(0)
            if any(record.stream == STREAM for record in keeper.kept):
                break
        assert now_ns < NS_PER_S
        await fanout.drain(10.0)
