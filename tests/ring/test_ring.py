"""A ring: what is put into it is found by number, stream and time, also in the next run; numbers never come twice."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.ring import tail
from rawdaq.ring.packets import NewPacket, RingPacket
from rawdaq.ring.ring import WriteFailed
from rawdaq.store.errors import StoreClosed
from tests.helpers import DEADLINE_S, until
from tests.ring.records import NS_PER_S, STREAMS, name, packet, packets, record, start_ns
from tests.ring.rings import SMALL_BYTES, contents, numbers, ring


async def test_what_is_put_in_is_found_by_number_in_this_run_and_in_the_next(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        await one.append(packets(0, 10))
        first = one.reader.oldest
        assert [await one.reader.get(first + at) for at in range(10)] == one.reader.tail.since(first, 1 << 20)
        assert await one.reader.get(first - 1) is None
        assert await one.reader.get(first + 10) is None
    async with ring(tmp_path / "ring") as one:
        assert numbers(await contents(one)) == list(range(10))
        third = await one.reader.get(first + 3)
        assert third is not None
        assert (third.position, third.name, third.start_ns) == (first + 3, name(STREAMS[3]), start_ns(3))
        newest, oldest = await one.reader.newest(), await one.reader.first()
        assert newest is not None
        assert oldest is not None
        assert (oldest.position, newest.position) == (first, first + 9)
        await one.append(packets(10, 1))
        assert one.reader.end == first + 11


async def test_trailing_zeros_empty_data_and_times_that_run_backwards_are_kept(tmp_path: Path) -> None:
    odd = [
        NewPacket("a/JSON", 5, 3, b"{}\0\0"),
        NewPacket("a/JSON", -(10**15), 0, b"\0" * 10),
        NewPacket("b/X", 0, 0, b""),
    ]
    async with ring(tmp_path / "ring") as one:
        await one.append(odd)
    async with ring(tmp_path / "ring") as one:
        found = await contents(one)
    assert [(each.name, each.start_ns, each.end_ns, each.data) for each in found] == [each[:4] for each in odd]


async def test_packets_of_a_stream_are_found_by_time_although_clocks_ran_back(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        await one.append([packet(number, STREAMS[0]) for number in (5, 6, 2, 3, 7)])
        await one.append([packet(1, STREAMS[2])])
        first = one.reader.oldest
        found = [await one.reader.find([name(STREAMS[0])], start_ns(number)) for number in (0, 6, 7, 8)]
        assert found == [first, first + 1, first + 4, None]
        assert await one.reader.find([name(STREAMS[0]), name(STREAMS[2])], start_ns(1)) == first
        assert await one.reader.find(["nobody"], 0) is None
        many = [name(STREAMS[0]), *(f"other {number}" for number in range(200))]
        position = await one.reader.find(many, start_ns(3))
        assert position is not None
        assert position <= first


async def test_streams_say_what_is_held_of_each(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        await one.append(packets(0, 8))
        before = await one.reader.streams.states()
    async with ring(tmp_path / "ring") as one:
        await one.append(packets(8, 1))
        states = await one.reader.streams.states()
        first = one.reader.oldest
    assert set(states) == set(before) == {name(codes) for codes in STREAMS}
    state = states[name(STREAMS[0])]
    assert (state.first.position, state.last.position) == (first, first + 8)
    assert (state.first.start_ns, state.end_ns) == (start_ns(0), start_ns(8) + 990_000_000)
    assert {key: value.first for key, value in before.items()} == {key: value.first for key, value in states.items()}


async def test_the_oldest_make_room_and_streams_begin_later_or_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with ring(tmp_path / "ring", SMALL_BYTES, sync_s=0) as one:
        first = one.reader.end
        await one.append([packet(0, STREAMS[3])])
        for at in range(1, 40):
            await one.append([packet(at * 300 + index, STREAMS[0]) for index in range(300)])
        states = await one.reader.streams.states()
        assert set(states) == {name(STREAMS[0])}
        assert one.reader.oldest > first
        assert states[name(STREAMS[0])].first.position == one.reader.oldest
        found = await contents(one)
        assert [each.position for each in found] == list(range(one.reader.oldest, one.reader.end))
        assert len(found) >= one.count_of(512)
        assert await one.reader.get(first) is None
    size = sum(path.stat().st_size for path in (tmp_path / "ring").iterdir())
    assert size <= SMALL_BYTES * 1.1
    assert not caplog.records  # that the oldest are gone is what a ring is for


async def test_a_number_may_be_left_out_but_never_comes_twice(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        await one.append(packets(0, 3))
        wanted = one.reader.end + 1000
        await one.append([packet(3)._replace(number=wanted), packet(4)])
        assert [each.position for each in (await contents(one))[3:]] == [wanted, wanted + 1]
        for number in (wanted, wanted + 1, wanted + 2 + (1 << 41)):
            with pytest.raises(WriteFailed, match=f"packet ID {number}.*the next one is {wanted + 2}"):
                await one.append([packet(5)._replace(number=number)])
        results = await asyncio.gather(
            one.append([packet(5)._replace(number=wanted)]), one.append([packet(5)]), return_exceptions=True
        )
        assert isinstance(results[0], WriteFailed)  # and nobody else suffers
        assert results[1] is None
    async with ring(tmp_path / "ring") as one:
        assert one.reader.end == wanted + 3
        assert numbers(await contents(one)) == list(range(6))
        newest = await one.reader.newest()
        assert newest is not None
        assert newest.position == wanted + 2


async def test_numbers_that_were_left_out_at_the_end_do_not_hide_the_newest_packet(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        await one.append(packets(0, 2))
        store = one._store
        assert store is not None
        await store.skip_to(one.reader.end + 10_000)
    async with ring(tmp_path / "ring") as one:
        newest = await one.reader.newest()
        assert newest is not None
        assert numbers([newest]) == [1]


async def test_writers_of_many_packets_get_consecutive_numbers_in_their_order(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        told: list[list[int]] = [[] for _ in range(5)]
        for writer in range(5):
            one.put(packets(writer * 3000, 3000), partial(_note, told[writer]))
        await until(lambda: all(told))
        assert [number for each in told for number in each] == list(range(one.reader.oldest, one.reader.end))
        assert numbers(await contents(one)) == list(range(15_000))


def _note(told: list[int], numbers_: Sequence[int], error: object) -> None:
    assert error is None
    told.extend(numbers_)


async def test_with_sync_0_a_writer_is_told_only_when_it_is_synced_and_readers_get_it_before(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring", sync_s=0) as one:
        events: list[str] = []
        one.written.append(lambda made: events.append("written"))
        await one.append(packets(0, 1))
        events.append("told")
        extent = one.extent()
        assert extent is not None
        assert extent.synced == one.reader.end
        assert events == ["written", "told"]


async def test_readers_get_it_before_the_writer_is_told_in_any_case(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        events: list[str] = []
        one.written.append(lambda made: events.append("written"))
        one.put(packets(0, 1), lambda given, error: events.append("told"))
        await until(lambda: "told" in events)
        assert events == ["written", "told"]


@pytest.mark.parametrize("sync_s", [0, 0.05])
async def test_it_writes_and_confirms_as_long_as_it_is_open_although_nobody_watches(
    tmp_path: Path, sync_s: float
) -> None:
    async with ring(tmp_path / "ring", sync_s=sync_s) as one:
        watching = asyncio.create_task(one.watch())
        await asyncio.sleep(0)
        watching.cancel()
        await asyncio.wait([watching])
        async with asyncio.timeout(DEADLINE_S):
            await one.append(packets(0, 3))
    async with ring(tmp_path / "ring") as one:
        assert numbers(await contents(one)) == [0, 1, 2]


async def test_a_bug_in_what_writes_it_ends_those_who_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ring(tmp_path / "ring") as one:

        async def fail(entries: object) -> None:
            raise RuntimeError("a bug")

        assert one._store is not None
        monkeypatch.setattr(one._store, "write", fail)
        one.put(packets(0, 1), lambda given, error: None)
        with pytest.raises(RuntimeError, match="a bug"):
            await one.watch()
        assert one._writer is not None
        one._writer.close(StoreClosed("the test is over"))


async def test_with_sync_0_a_writer_is_told_only_of_what_is_synced_when_the_rest_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ring(tmp_path / "ring", sync_s=0) as one:
        assert one._store is not None
        synced, may, told = one._store.synced, asyncio.Event(), list[tuple[Sequence[int], object]]()

        async def late(position: int) -> None:
            await may.wait()
            await synced(position)

        monkeypatch.setattr(one._store, "synced", late)
        first = one.reader.end
        new = [packet(0)._replace(number=first), packet(1)._replace(number=first + 1), packet(2)._replace(number=first)]
        one.put(new, lambda given, error: told.append((given, error)))
        await until(lambda: one.reader.end == first + 2)
        refused = one.append([packet(3)._replace(number=first)])
        with pytest.raises(WriteFailed):  # of which nothing is written, so nothing has to be synced
            await refused
        assert told == []
        may.set()
        await until(lambda: told)
        ((given, error),) = told
        assert given == [first, first + 1]
        assert f"packet ID {first} was given before" in str(error)


async def test_large_packets_are_found_wherever_they_are(tmp_path: Path) -> None:
    large = [NewPacket("a/b", number, number, b"%d" % number + bytes(range(256)) * 60) for number in range(300)]
    async with ring(tmp_path / "ring") as one:
        for at in range(0, 300, 50):
            await one.append(large[at : at + 50])
        first = one.reader.oldest
    async with ring(tmp_path / "ring") as one:
        for number in (299, 0, 17, 255, 256, 257, 100):
            found = await one.reader.get(first + number)
            assert found is not None
            assert found.data == large[number].data
        assert [each.position for each in await contents(one)] == list(range(first, first + 300))


async def test_another_process_cannot_open_it_and_the_error_says_so(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring"):
        with pytest.raises(ComponentError, match=r"the ring in .*another"):
            async with ring(tmp_path / "ring"):
                pass


async def test_a_tail_forgets_what_is_old_and_the_disk_has_it(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        clock = [0.0]
        one.reader.tail._clock = lambda: clock[0]
        await one.append(packets(0, 2000))
        first = one.reader.tail.first
        clock[0] = 31.0
        await one.append(packets(2000, 10))
        assert one.reader.tail.first == first + 2000
        assert one.reader.tail.at(first + 1999) is None
        assert one.reader.tail.at(first + 2000) is not None
        old = await one.reader.get(first + 1999)
        assert old is not None
        assert numbers([old]) == [1999]


async def test_gaps_of_a_stream_are_between_its_ranges(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        await one.append([packet(number, STREAMS[0]) for number in (0, 1, 5, 6)])
        ranges = await one.reader.ranges(name(STREAMS[0]), NS_PER_S // 50)
    assert ranges == [(start_ns(0), start_ns(1) + 990_000_000), (start_ns(5), start_ns(6) + 990_000_000)]


def test_a_tail_holds_as_much_as_it_may_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_MAX_BYTES", 10 * (600 + 3 * 1000))
    one = tail.Tail(0, lambda: 0.0)
    for number in range(3000):
        one.add([RingPacket(number, "a/b", 0, 0, 0, bytes(1000))])
        held = one.since(0, 1 << 20)
        assert [each.position for each in held] == list(range(max(0, number - 9), number + 1))
        assert one.first == held[0].position


async def test_writers_of_more_than_waits_at_most_get_room_when_some_of_it_is_written(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        waiting = asyncio.create_task(one.room())
        await waiting
        one.put([NewPacket("a/b", 0, 0, bytes(1 << 20)) for _ in range(9)], lambda given, error: None)
        assert one.is_full
        waiting = asyncio.create_task(one.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await waiting
        assert not one.is_full


def _unexpected(packet: RingPacket, error: RawdaqError) -> None:
    raise error


@pytest.mark.parametrize("data", [record(0) + bytes(512), record(0)[:-1]])
def test_what_is_not_one_whole_record_is_sent_to_nobody_by_seedlink(data: bytes) -> None:
    odd = RingPacket(7, name(STREAMS[0]), 0, 0, 0, data)
    assert (odd.head, odd.seedlink_3(), odd.seedlink_4(), odd.seedlink_4_as_3(_unexpected)) == (None, b"", b"", b"")
