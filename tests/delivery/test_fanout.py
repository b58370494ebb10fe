"""Every publisher gets everything that it wants, in order, at its own pace."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from rawdaq.delivery.fanout import Fanout
from rawdaq.packet import Packet, PacketRun
from rawdaq.publisher import OverflowPolicy, Publisher, PublisherUnavailable
from rawdaq.sockets.dialling import Backoff
from tests.fanouts import HHN, LOG, AtOnce, Keeper, RecordKeeper, running
from tests.helpers import DEADLINE_S, until
from tests.makers import STREAM, packet


async def test_every_publisher_gets_everything_in_order() -> None:
    keepers = [Keeper("a"), Keeper("b")]
    fanout = Fanout(keepers, LOG)
    async with running(fanout):
        for index in range(10):
            assert fanout.put([packet(index), b"plain"])
        await fanout.drain(10.0)
    for keeper in keepers:
        assert keeper.kept == [item for index in range(10) for item in (packet(index), b"plain")]


async def test_what_a_publisher_gathers_is_one_batch_and_a_stop_does_not_wait_for_more() -> None:
    class Gathering(Keeper):
        gather_bytes = 4000
        gather_s = 1e6

        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            await super().deliver(batch)
            self.kept.append("end of batch")

    keeper = Gathering()
    async with running(fanout := Fanout([keeper], LOG)):
        for item in (b"1", b"2", bytes(4000), b"3"):
            fanout.put([item])
            await asyncio.sleep(0)
        await until(lambda: keeper.kept)
        await fanout.drain(10.0)
        fanout.put([b"4"])
        await fanout.drain(10.0)
    assert keeper.kept == [b"1", b"2", bytes(4000), "end of batch", b"3", "end of batch", b"4", "end of batch"]


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


async def test_a_stop_ends_the_pause_of_a_publisher_and_tries_it_until_it_delivers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rawdaq.delivery.worker.Backoff", lambda: Backoff(3600.0, 3600.0))
    monkeypatch.setattr("rawdaq.delivery.worker._END_RETRY_S", 0.01)
    keeper = Keeper(failures=[PublisherUnavailable("disk full")] * 3)
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        fanout.put([b"1", b"2"])
        await until(lambda: fanout.status()["keeper"]["state"] == "paused")
        assert await fanout.drain(DEADLINE_S) is None
    assert keeper.kept == [b"1", b"2"]


async def door_opens_with(keeper: Keeper, fanout: Fanout) -> None:
    """See that there is no room until *keeper* delivers."""
    room = asyncio.ensure_future(fanout.room())
    await asyncio.sleep(0)
    assert not room.done()
    keeper.gate.set()
    await room


async def test_a_slow_publisher_that_blocks_closes_the_door_and_opens_it_again() -> None:
    keeper = Keeper()
    keeper.queue_packets = 2
    keeper.gate.clear()
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        assert not fanout.put([b"1", b"2", b"3"])
        await door_opens_with(keeper, fanout)
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


async def test_who_overflows_only_when_paused_blocks_while_it_delivers_and_drops_while_it_cannot() -> None:
    keeper = Keeper(failures=[PublisherUnavailable("nobody listens")])
    keeper.overflow, keeper.queue_packets, keeper.overflows_only_when_paused = OverflowPolicy.DROP_NEWEST, 2, True
    keeper.gate.clear()
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        assert not fanout.put([b"1", b"2", b"3"])
        await door_opens_with(keeper, fanout)
        assert fanout.status()["keeper"]["state"] == "paused"
        assert fanout.put([b"4"])
        await until(lambda: fanout.status()["keeper"]["state"] == "running")
        keeper.gate.clear()
        assert not fanout.put([b"5", b"6", b"7"])
        keeper.gate.set()
        await fanout.room()
    assert keeper.kept == [b"1", b"2", b"3", b"5", b"6", b"7"]


async def test_what_cannot_be_delivered_before_the_end_is_counted_and_told() -> None:
    keeper = Keeper()
    keeper.gate.clear()
    fanout = Fanout([keeper], LOG)
    async with running(fanout):
        fanout.put([b"1", b"2"])
        lost = await fanout.drain(0.01)
    assert lost == "not delivered within 0.01 s of stopping and lost: keeper (it was still busy): 2 messages (2 bytes)"


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


async def test_publishers_of_packets_get_the_packets_of_a_run_and_outlets_count_them() -> None:
    keeper, recorder = Keeper(), RecordKeeper("records")
    packets = [packet(index, sequence=index) for index in range(20)]
    run = PacketRun(STREAM, [each.start_ns for each in packets], 100.0, np.stack([each.samples for each in packets]))
    fanout = Fanout([keeper, recorder], LOG)
    fanout.put([b"before", run, b"after"])
    assert len(fanout.workers[0].queue) == 22
    async with running(fanout):
        await fanout.drain(10.0)
    assert keeper.kept == [b"before", *packets, b"after"]
    assert fanout.status()["keeper"]["delivered"] == 22
    assert sum(record.sample_count for record in recorder.kept) == 2000
    assert fanout.status()["records"]["refused"] == 2


async def test_what_a_publisher_dropped_and_refused_itself_is_added_to_what_was_before_it() -> None:
    class Lossy(RecordKeeper):
        overflow, queue_packets = OverflowPolicy.DROP_NEWEST, 1

        def status(self) -> dict[str, object]:
            return {"dropped": 3, "dropped_by_stream": {str(HHN): 2, "bytes": 1}, "refused": 4}

    fanout = Fanout([Lossy("lossy")], LOG)
    async with running(fanout):
        fanout.put([b"no record"])
        await fanout.drain(10.0)
    fanout.workers[0].queue.put([b"1", b"2", packet(stream=HHN)])
    status = fanout.status()["lossy"]
    assert (status["dropped"], status["refused"]) == (2 + 3, 1 + 4)
    assert status["dropped_by_stream"] == {str(HHN): 1 + 2, "bytes": 1 + 1}


async def test_two_publishers_of_one_name_both_get_everything() -> None:
    twins = [Keeper("twin"), Keeper("twin")]
    fanout = Fanout(twins, LOG)
    async with running(fanout):
        fanout.put([b"1"])
        await fanout.drain(10.0)
    assert [twin.kept for twin in twins] == [[b"1"], [b"1"]]
    assert list(fanout.status()) == ["twin", "twin-2"]


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
