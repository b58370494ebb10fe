"""What must be delivered goes through the journal: from memory, from the disk when memory is full, after a kill."""

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq.miniseed.maker import RecordFormat
from rawdaq.packet import Packet, PacketRun
from rawdaq.publisher import CursorMarks, PublisherUnavailable
from rawdaq.stream_id import StreamId
from tests.fanouts import HHN, Keeper
from tests.helpers import until
from tests.journals import MustKeep, MustKeepRecords, at_the_end, journalled
from tests.makers import STREAM, packet


def unavailable(count: int) -> list[Exception]:
    return [PublisherUnavailable("the disk is away")] * count


def run_of(first: int, count: int, stream: StreamId = STREAM) -> PacketRun:
    """Return packets *first* up to *first* + *count* of the run that `packet` makes."""
    packets = [packet(index, stream=stream) for index in range(first, first + count)]
    samples = np.stack([each.samples for each in packets])
    return PacketRun(stream, [each.start_ns for each in packets], 100.0, samples)


def values(records: list[Any]) -> list[int]:
    """Return all samples of *records*, decoded."""
    from rawdaq.miniseed.reader import read_content

    found: list[int] = []
    for record in records:
        samples = read_content(record.data).samples
        assert samples is not None
        found += samples.tolist()
    return found


async def test_live_publishers_get_all_at_once_and_the_others_when_it_is_written(tmp_path: Path) -> None:
    live, archive = Keeper("live"), MustKeep("archive")
    async with journalled(tmp_path, [live, archive]) as fanout:
        await asyncio.sleep(0)
        assert fanout.put([packet(0), b"plain", run_of(1, 3)])
        assert not archive.kept
        await until(lambda: len(archive.kept) == 5)
        assert archive.kept == live.kept == [packet(0), b"plain", *run_of(1, 3)]


async def test_a_new_publisher_begins_with_what_comes_now(tmp_path: Path) -> None:
    async with journalled(tmp_path, [MustKeep("first")]) as fanout:
        fanout.put([packet(0)])
    first, second = MustKeep("first"), MustKeep("second")
    async with journalled(tmp_path, [first, second]) as fanout:
        fanout.put([packet(1)])
    assert first.kept == second.kept == [packet(1)]


async def test_what_was_not_delivered_before_a_kill_is_delivered_after_it(tmp_path: Path) -> None:
    away = MustKeep("archive", unavailable(1000))
    async with journalled(tmp_path, [away], is_killed=True) as fanout:
        assert fanout.journal is not None
        for index in range(5):
            fanout.put([packet(index)])
        await fanout.journal.drain()
    assert not away.kept
    back = MustKeep("archive")
    async with journalled(tmp_path, [back]) as fanout:
        fanout.put([packet(5)])
        await until(lambda: len(back.kept) == 6)
    assert back.kept == [packet(index) for index in range(6)]
    async with journalled(tmp_path, [again := MustKeep("archive")]):
        pass
    assert not again.kept


async def test_a_publisher_that_takes_nothing_reads_from_the_disk_and_memory_stays_bounded(tmp_path: Path) -> None:
    keeper = MustKeep("archive")
    keeper.queue_packets = 10
    keeper.gate.clear()
    async with journalled(tmp_path, [keeper]) as fanout:
        (outlet,) = fanout.journal.outlets  # type: ignore[union-attr]
        for index in range(100):
            assert fanout.put([packet(index)])
            await fanout.journal.drain()  # type: ignore[union-attr]
            assert len(outlet.queue) <= 11
        assert outlet.queue.is_behind
        assert fanout.full == []
        keeper.gate.set()
        await until(lambda: len(keeper.kept) == 100)
        assert not outlet.queue.is_behind
        fanout.put([packet(100)])
        await until(lambda: len(keeper.kept) == 101)
        status: Any = fanout.journal.status()  # type: ignore[union-attr]
    assert keeper.kept == [packet(index) for index in range(101)]
    assert 80 < status["cursors"]["archive"]["packets_from_journal"] <= 100


async def test_catching_up_meets_what_comes_without_a_hole(tmp_path: Path) -> None:
    keeper = MustKeep("archive")
    keeper.queue_packets = 5
    keeper.gate.clear()
    async with journalled(tmp_path, [keeper]) as fanout:
        numbers = itertools.count()
        for _ in range(50):
            fanout.put([packet(next(numbers))])
            await fanout.journal.drain()  # type: ignore[union-attr]
        keeper.gate.set()
        while len(keeper.kept) < 100:
            fanout.put([packet(next(numbers))])
            await asyncio.sleep(0)
        total = next(numbers)
        await until(lambda: len(keeper.kept) == total)
    assert keeper.kept == [packet(index) for index in range(total)]


async def test_patterns_select_what_a_publisher_gets_and_its_cursor_moves_all_the_same(tmp_path: Path) -> None:
    keeper = MustKeep("archive")
    keeper.streams = ["*.HHN"]
    async with journalled(tmp_path, [keeper]) as fanout:
        for index in range(4):
            fanout.put([packet(index, stream=(STREAM, HHN)[index % 2])])
        await until(lambda: len(keeper.kept) == 2)
        fanout.put([packet(9)])
        await fanout.journal.drain()  # type: ignore[union-attr]
        await at_the_end(fanout)
    assert {each.stream for each in keeper.kept} == {HHN}


@pytest.mark.parametrize("cut", [0, 1, 7, 11])
async def test_half_filled_records_begin_anew_after_a_kill_with_their_first_sample(tmp_path: Path, cut: int) -> None:
    first = MustKeepRecords("archive")
    async with journalled(tmp_path, [first], is_killed=True) as fanout:
        for index in range(cut):
            fanout.put([packet(index), packet(index, 70, stream=HHN, rate_hz=50.0)])
        await fanout.journal.drain()  # type: ignore[union-attr]
        (outlet,) = fanout.journal.outlets  # type: ignore[union-attr]
        await until(lambda: not len(outlet.queue))
        await until(lambda: not len(outlet.worker.queue))
        await outlet.cursor.settle()
        await asyncio.to_thread(fanout.journal.store.store.sync)  # type: ignore[union-attr] # before the kill
    second = MustKeepRecords("archive")
    async with journalled(tmp_path, [second]) as fanout:
        for index in range(cut, 12):
            fanout.put([packet(index), packet(index, 70, stream=HHN, rate_hz=50.0)])
    both = first.kept + second.kept
    assert values([record for record in both if record.stream == STREAM]) == list(range(1200))
    assert values([record for record in both if record.stream == HHN]) == list(range(840))


async def test_runs_are_cut_at_the_sample_where_a_record_had_ended(tmp_path: Path) -> None:
    first = MustKeepRecords("archive")
    async with journalled(tmp_path, [first], is_killed=True) as fanout:
        fanout.put([run_of(0, 20)])
        fanout.put([run_of(20, 13)])
        (outlet,) = fanout.journal.outlets  # type: ignore[union-attr]
        await until(lambda: first.kept)
        await until(lambda: not len(outlet.queue) and not len(outlet.worker.queue))
        await outlet.cursor.settle()
        await asyncio.to_thread(fanout.journal.store.store.sync)  # type: ignore[union-attr] # before the kill
    assert 0 < sum(record.sample_count for record in first.kept) % 100
    second = MustKeepRecords("archive")
    async with journalled(tmp_path, [second]) as fanout:
        fanout.put([run_of(33, 7)])
    assert values(first.kept + second.kept) == list(range(4000))


async def test_what_records_refuse_does_not_hold_the_cursor(tmp_path: Path) -> None:
    keeper = MustKeepRecords("archive")
    keeper.record_format = RecordFormat(flush_after_s=0.0)
    long_name = StreamId("XX", "STATION", "00", "HHZ")  # miniSEED 2 has no room for it
    async with journalled(tmp_path, [keeper]) as fanout:
        fanout.put([b"plain", packet(0, stream=long_name), packet(0), packet(0, rate_hz=1e-10), packet(1)])
        await until(lambda: len(keeper.kept) == 2)
        fanout.put([packet(2).replace(rate_hz=1e-10)])
        await fanout.journal.drain()  # type: ignore[union-attr]
        await at_the_end(fanout)
    assert values(keeper.kept) == list(range(200))


async def test_a_packet_that_no_store_can_hold_goes_to_live_publishers_only(tmp_path: Path) -> None:
    live, archive = Keeper("live"), MustKeep("archive")
    impossible = Packet(STREAM, 1 << 63, 100.0, np.zeros(1, "<i4"))
    async with journalled(tmp_path, [live, archive]) as fanout:
        fanout.put([impossible, packet(0)])
        await until(lambda: archive.kept and len(live.kept) == 2)
        status: Any = fanout.journal.status()  # type: ignore[union-attr]
    assert (archive.kept, status["refused"]) == ([packet(0)], 1)


class AtOnce(MustKeepRecords):
    """Takes records without waiting."""

    record_format = RecordFormat(flush_after_s=0.0)

    def try_deliver(self, batch: Sequence[Any]) -> bool:
        self.kept += batch
        return True


async def test_what_is_delivered_without_waiting_moves_the_cursor_too(tmp_path: Path) -> None:
    keeper = AtOnce("pipe")
    async with journalled(tmp_path, [keeper]) as fanout:
        assert fanout.journal is not None
        store = fanout.journal.store.store
        for index in range(3):
            fanout.put([packet(index)])
        await until(lambda: store.cursors()["pipe"].position == store.end_position > store.oldest_position)
    assert values(keeper.kept) == list(range(300))


class Slow(MustKeep):
    """Says late what is safe, unless it must be said at once."""

    def __init__(self) -> None:
        super().__init__("archive")
        self.safe = asyncio.Event()
        self.asked = 0

    async def settled(self, *, at_once: bool = False) -> CursorMarks:
        self.asked += 1
        if not at_once:
            await self.safe.wait()
        return {}


async def test_a_cursor_never_goes_back(tmp_path: Path) -> None:
    keeper = Slow()
    async with journalled(tmp_path, [keeper]) as fanout:
        assert fanout.journal is not None
        store = fanout.journal.store.store
        begin = store.end_position
        fanout.put([packet(0)])
        await until(lambda: keeper.asked)
        fanout.put([packet(1)])
        await until(lambda: len(keeper.kept) == 2)
        await fanout.journal.settle()
        assert store.cursors()["archive"].position == begin + 2
        keeper.safe.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert store.cursors()["archive"].position == begin + 2
