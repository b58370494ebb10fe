import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np
import pytest

from rawdaq.fanout import Fanout
from rawdaq.outlet import OverflowPolicy
from rawdaq.packet import Packet, PacketRun, StreamId
from rawdaq.publisher import Publisher, PublisherUnavailable
from rawdaq.records import Record, RecordFormat
from rawdaq.times import NS_PER_S
from tests.helpers import DEADLINE_S, until
from tests.makers import START_NS, STREAM, packet

LOG = logging.getLogger("rawdaq.test")


class Keeper(Publisher):
    """Keeps what it gets; `failures` are raised one by one before it does."""

    def __init__(self, name: str = "keeper", failures: Sequence[Exception] = ()) -> None:
        super().__init__(name)
        self.kept: list[Any] = []
        self.failures = list(failures)
        self.gate = asyncio.Event()
        self.gate.set()

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        await self.gate.wait()
        if self.failures:
            error = self.failures.pop(0)
            if isinstance(error, PublisherUnavailable):
                self.kept += batch[: error.delivered]
            raise error
        self.kept += batch


class RecordKeeper(Keeper):
    record_format = RecordFormat(flush_after_s=3600.0)

    async def deliver_records(self, records: Sequence[Record]) -> None:
        self.kept += records


class AtOnce(Keeper):
    """Keeps what it gets at once while its gate is open."""

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        await super().deliver(batch)
        self.kept.append("by the task")

    def deliver_now(self, batch: Sequence[Any]) -> bool:
        if not self.gate.is_set():
            return False
        if self.failures:
            raise self.failures[0]
        self.kept += batch
        return True


class RecordsAtOnce(RecordKeeper):
    """Keeps records at once."""

    def deliver_now(self, batch: Sequence[Any]) -> bool:
        self.kept += [record for run in batch for record in run]
        return True


@contextlib.asynccontextmanager
async def running(fanout: Fanout) -> AsyncGenerator[list[asyncio.Task[Any]]]:
    tasks = [asyncio.ensure_future(run()) for run in fanout.tasks().values()]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_every_publisher_gets_everything_in_order() -> None:
    keepers = [Keeper("a"), Keeper("b")]
    fanout = Fanout(keepers, LOG)
    async with running(fanout):
        for index in range(10):
            assert fanout.put([packet(index), b"plain"])
        await fanout.drain(10.0)
    for keeper in keepers:
        assert keeper.kept == [item for index in range(10) for item in (packet(index), b"plain")]


async def test_what_can_be_delivered_at_once_is_there_when_it_was_put_and_counted() -> None:
    keeper = AtOnce()
    fanout = Fanout([keeper], LOG)
    fanout.put([b"0"])
    assert keeper.kept == []  # nothing is delivered before it runs
    async with running(fanout):
        await fanout.drain(10.0)
        assert fanout.put([b"1", b"2"])
        assert keeper.kept == [b"0", "by the task", b"1", b"2"]
        status = fanout.status()["keeper"]
        assert (status["delivered"], status["waiting"]) == (3, 0)


async def test_a_publisher_with_another_way_to_deliver_does_not_inherit_that_at_once() -> None:
    class Doubling(AtOnce):
        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            await super().deliver([item for item in batch for _ in range(2)])

    keeper = Doubling()
    async with running(fanout := Fanout([keeper], LOG)):
        await asyncio.sleep(0)
        fanout.put([b"1"])
        assert keeper.kept == []
        await fanout.drain(10.0)
    assert keeper.kept == [b"1", b"1", "by the task"]


async def test_what_comes_while_something_waits_stays_behind_it() -> None:
    keeper = AtOnce()
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        await asyncio.sleep(0)
        keeper.gate.clear()
        fanout.put([b"1"])
        await asyncio.sleep(0)  # the task has taken it
        keeper.gate.set()
        fanout.put([b"2"])
        await fanout.drain(10.0)
        assert keeper.kept == [b"1", "by the task", b"2", "by the task"]
        fanout.put([b"3"])
        assert keeper.kept[-1] == b"3"


async def test_what_is_not_deliverable_at_once_is_tried_again_without_what_was() -> None:
    keeper = AtOnce(failures=[PublisherUnavailable("not now", delivered=1)])
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        await asyncio.sleep(0)
        fanout.put([b"1", b"2"])
        keeper.failures.clear()
        await fanout.drain(10.0)
        assert keeper.kept == [b"2", "by the task"]  # this one says that it has delivered the first
        assert fanout.status()["keeper"]["delivered"] == 2


async def test_a_failure_of_what_is_delivered_at_once_ends_the_task_and_not_the_caller() -> None:
    fanout = Fanout([AtOnce(failures=[RuntimeError("no such thing")])], LOG)
    async with running(fanout) as tasks:
        await asyncio.sleep(0)
        fanout.put([b"1"])
        with pytest.raises(RuntimeError, match="no such thing"):
            await tasks[0]
        assert fanout.put([b"2"])
        assert fanout.status()["keeper"]["waiting"] == 2


async def test_what_could_not_be_delivered_is_tried_again_without_what_was(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Keeper(failures=[PublisherUnavailable("disk full", delivered=1), PublisherUnavailable("disk full")])
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        fanout.put([b"1", b"2", b"3"])
        await until(lambda: fanout.status()["keeper"]["state"] == "paused")
        assert fanout.status()["keeper"]["paused_reason"] == "disk full"
        await fanout.drain(20.0)
        await until(lambda: fanout.status()["keeper"]["state"] == "running")
    assert keeper.kept == [b"1", b"2", b"3"]
    assert caplog.text.count("is paused: disk full") == 1
    assert caplog.text.count("delivers again after") == 1


async def test_a_slow_publisher_that_blocks_closes_the_door_and_opens_it_again() -> None:
    keeper = Keeper()
    keeper.queue_packets = 2
    keeper.gate.clear()
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        assert not fanout.put([b"1", b"2", b"3"])
        room = asyncio.ensure_future(fanout.room())
        await asyncio.sleep(0)
        assert not room.done()
        keeper.gate.set()
        await room
    assert keeper.kept == [b"1", b"2", b"3"]


async def test_a_slow_publisher_that_drops_holds_nobody_up() -> None:
    slow, quick = Keeper("slow"), Keeper("quick")
    slow.overflow, slow.queue_packets = OverflowPolicy.DROP_NEWEST, 2
    slow.gate.clear()
    fanout = Fanout([slow, quick], LOG)
    async with running(fanout):
        assert fanout.put([b"1", b"2", b"3"])
        await until(lambda: len(quick.kept) == 3)
        slow.gate.set()
        await fanout.drain(10.0)
    assert slow.kept == [b"1", b"2"]


async def test_records_are_made_once_for_publishers_of_one_format() -> None:
    first, second, other = RecordKeeper("a"), RecordKeeper("b"), RecordKeeper("c")
    other.record_format = RecordFormat(length_bytes=4096, flush_after_s=3600.0)
    fanout = Fanout([first, second, other], LOG)
    assert len(fanout.stages) == 2
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
    assert fanout.stages[0].outlet.delivered_count == 30


async def test_packets_wait_behind_a_publisher_of_records_that_is_full() -> None:
    keeper = RecordKeeper()
    keeper.queue_packets = 1
    keeper.record_format = RecordFormat(flush_after_s=0.0)
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        await asyncio.sleep(0)
        for index in range(3):
            fanout.put([packet(index)])
        assert len(fanout.deliveries[0].outlet) == 1
        assert len(fanout.stages[0].outlet) == 2
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
        monkeypatch.setattr("rawdaq.records.RecordMaker.add", fail)
        fanout.put([packet(0)])
        with pytest.raises(RuntimeError, match="no such thing"):
            await tasks[0]
        assert fanout.put([packet(1)])  # what nobody takes any more waits
        assert len(fanout.stages[0].outlet) == 2


async def test_packets_that_became_no_records_for_a_bug_do_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr("rawdaq.records.RecordMaker.add", fail)
    fanout = Fanout([RecordKeeper()], LOG)
    async with running(fanout) as tasks:
        fanout.put([packet(0)])
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        lost = await asyncio.wait_for(fanout.drain(3600.0), DEADLINE_S)
    assert lost is not None
    assert "1 packets and 0 further samples that were to become records of keeper" in lost


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
    monkeypatch.setattr("rawdaq.record_series.steim2", None)
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


async def test_what_cannot_be_delivered_before_the_end_is_counted_and_told() -> None:
    keeper = Keeper()
    keeper.gate.clear()
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        fanout.put([b"1", b"2"])
        lost = await fanout.drain(0.01)
    assert lost == "not delivered within 0.01 s of stopping and lost: 2 items of keeper (it was still busy)"


async def test_a_publisher_with_a_bug_ends_its_task_and_does_not_hold_up_the_end() -> None:
    broken, good = Keeper("broken", failures=[KeyError("bug")]), Keeper("good")
    fanout = Fanout([broken, good], LOG)
    async with running(fanout) as tasks:
        fanout.put([b"1"])
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        await fanout.drain(30.0)
    assert good.kept == [b"1"]


async def test_a_publisher_written_for_one_packet_at_a_time_works_and_one_that_does_nothing_is_refused() -> None:
    class OneByOne(Publisher):
        def __init__(self) -> None:
            super().__init__("one")
            self.kept: list[Packet | bytes] = []

        async def apublish(self, packet: Packet | bytes) -> None:
            self.kept.append(packet)

    one = OneByOne()
    await one.deliver([b"1", b"2"])
    one.publish(b"3")
    await one.aclose()
    assert one.kept == [b"1", b"2", b"3"]
    with pytest.raises(TypeError, match="delivers nothing"):
        Publisher("nothing")


async def test_a_publisher_of_batches_takes_single_packets_too() -> None:
    keeper = Keeper()
    await keeper.apublish(b"1")
    await keeper.aclose()
    assert keeper.kept == [b"1"]
    with pytest.raises(TypeError, match="deliver_records"):
        await Keeper().deliver_records([])


async def test_publishers_of_packets_get_the_packets_of_a_run_and_outlets_count_them() -> None:
    keeper, recorder = Keeper(), RecordKeeper("records")
    packets = [packet(index, sequence=index) for index in range(20)]
    run = PacketRun(STREAM, [each.start_ns for each in packets], 100.0, np.stack([each.samples for each in packets]))
    fanout = Fanout([keeper, recorder], LOG)
    fanout.put([b"before", run, b"after"])
    assert len(fanout.deliveries[0].outlet) == 22
    async with running(fanout):
        await fanout.drain(10.0)
    assert keeper.kept == [b"before", *packets, b"after"]
    assert fanout.status()["keeper"]["delivered"] == 22
    assert sum(record.sample_count for record in recorder.kept) == 2000
    assert fanout.status()["records"]["refused"] == 2


async def test_two_publishers_of_one_name_both_get_everything() -> None:
    twins = [Keeper("twin"), Keeper("twin")]
    fanout = Fanout(twins, LOG)
    async with running(fanout):
        fanout.put([b"1"])
        await fanout.drain(10.0)
    assert [twin.kept for twin in twins] == [[b"1"], [b"1"]]
    assert list(fanout.status()) == ["twin", "twin-2"]


HHN = StreamId("XX", "DEMO", "00", "HHN")


async def test_a_publisher_gets_the_streams_that_it_asks_for_and_the_rest_is_not_dropped() -> None:
    chosen, everything = Keeper("chosen"), Keeper("everything")
    chosen.streams = ["*.HHN"]
    fanout = Fanout([chosen, everything], LOG)
    items: list[Packet | PacketRun | bytes] = [packet(0), b"plain", packet(0, stream=HHN), packet(1)]
    async with running(fanout):
        fanout.put(items)
        await fanout.drain(10.0)
    assert chosen.kept == items[1:3]
    assert everything.kept == items
    assert fanout.put_count == 4
    assert (fanout.status()["chosen"]["delivered"], fanout.status()["chosen"]["dropped"]) == (2, 0)


async def test_records_are_made_once_of_what_any_publisher_of_the_format_asks_for() -> None:
    first, second = RecordKeeper("a"), RecordKeeper("b")
    first.streams, second.streams = ["*.HHZ"], ["*.HH[ZN]"]
    fanout = Fanout([first, second], LOG)
    (stage,) = fanout.stages
    unwanted = StreamId("XX", "DEMO", "00", "HHE")
    async with running(fanout):
        fanout.put([packet(index, stream=each) for index in range(20) for each in (STREAM, HHN, unwanted)])
        await fanout.drain(10.0)
    assert {record.stream for record in first.kept} == {STREAM}
    assert {record.stream for record in second.kept} == {STREAM, HHN}
    assert first.kept == [record for record in second.kept if record.stream == STREAM]
    assert stage.outlet.delivered_count == 40


async def test_a_paused_publisher_keeps_no_other_from_its_last_records_and_what_is_lost_is_told() -> None:
    class Paused(RecordKeeper):
        async def deliver_records(self, records: Sequence[Record]) -> None:
            await self.gate.wait()

    paused, fine = Paused("paused"), RecordKeeper("fine")
    paused.gate.clear()
    paused.queue_packets = 1
    fine.record_format = RecordFormat(length_bytes=4096, flush_after_s=3600.0)
    fanout = Fanout([paused, fine], LOG)
    async with running(fanout):
        for index in range(30):
            fanout.put([packet(index)])
            await asyncio.sleep(0)
        lost = await fanout.drain(0.5)
    assert sum(record.sample_count for record in fine.kept) == 3000
    assert lost is not None
    assert "items of paused" in lost
    assert "were to become records of paused" in lost


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
