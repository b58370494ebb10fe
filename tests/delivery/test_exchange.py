"""Publishers are replaced while packets come: those that stay get all in order, and the others what is theirs."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rawdaq.delivery.exchange import Exchange
from rawdaq.delivery.fanout import Fanout
from rawdaq.delivery.journal.journal import Journal
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.packet import Packet
from rawdaq.process.tasks import Tasks
from rawdaq.publisher import NO_CURSOR_MARKS, CursorMarks, OverflowPolicy, Publisher, PublisherUnavailable
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.stream_id import StreamId
from tests.fanouts import LOG, Keeper, RecordKeeper
from tests.helpers import until
from tests.journals import MustKeep, MustKeepRecords, archived, settings
from tests.makers import packet


class Changing:
    """A fanout that runs, and exchanges of its publishers."""

    def __init__(self, publishers: Sequence[Publisher], within_s: float, journal: Journal | None) -> None:
        self.fanout = Fanout(publishers, LOG, journal=journal)
        self.tasks = Tasks(LOG, lambda: None)
        self.exchange = Exchange(self.fanout, self.tasks, LOG, within_s)
        self.count = 0

    def put(self, count: int = 1) -> None:
        for _ in range(count):
            self.fanout.put([packet(self.count)])
            self.count += 1

    async def change(self, leaving: Sequence[str], coming: Sequence[Publisher]) -> list[str]:
        """Exchange while packets come, one in each turn of the loop."""
        changing = asyncio.ensure_future(self.exchange.run(leaving, coming))
        while not changing.done():
            self.put()
            await asyncio.sleep(0)
        return await changing


@contextlib.asynccontextmanager
async def changing(
    *publishers: Publisher, within_s: float = 30.0, journal: Journal | None = None
) -> AsyncGenerator[Changing]:
    made = Changing(publishers, within_s, journal)
    await made.fanout.open(is_strict=True)
    for name, run in made.fanout.tasks().items():
        made.tasks.spawn(run(), name)
    try:
        yield made
        assert await made.fanout.drain(30.0) is None
        assert made.tasks.failure is None
    finally:
        await made.tasks.cancel(lambda name: True, "the end of the test")
        await made.fanout.aclose(30.0)


def numbers(items: Sequence[Any]) -> list[int]:
    """Return the first sample of each packet: packets are numbered by it."""
    return [int(each.start_ns) for each in items]


def all_of(first: int, last: int) -> list[int]:
    return [packet(index).start_ns for index in range(first, last)]


def samples(items: Sequence[Any]) -> int:
    """Return how many samples packets or records have: RecordKeepers get records one by one."""
    return sum(item.size if isinstance(item, Packet) else item.sample_count for item in items)


async def test_one_is_added_one_is_removed_and_the_one_that_stays_gets_all() -> None:
    stays, leaves, comes = Keeper("stays"), Keeper("leaves"), Keeper("comes")
    async with changing(stays, leaves) as change:
        change.put(10)
        assert await change.change(["leaves"], [comes]) == []
        change.put(10)
    assert numbers(stays.kept) == all_of(0, change.count)
    assert len(leaves.kept) < 20
    assert numbers([*leaves.kept, *comes.kept]) == all_of(0, change.count)
    assert [each.name for each in change.fanout.publishers] == ["stays", "comes"]
    assert set(change.fanout.status()) == {"stays", "comes"}


async def test_a_changed_publisher_goes_on_where_the_one_before_it_ended() -> None:
    order: list[str] = []

    class Exclusive(Keeper):
        async def open(self) -> None:
            order.append("open")

        async def aclose(self) -> None:
            order.append("closed")

    before, after = Exclusive("one"), Exclusive("one")
    async with changing(before) as change:
        before.gate.clear()
        change.put(5)
        asyncio.get_running_loop().call_soon(before.gate.set)
        assert await change.change(["one"], [after]) == []
        change.put(5)
    assert numbers([*before.kept, *after.kept]) == all_of(0, change.count)
    assert order[:3] == ["open", "closed", "open"]


async def test_records_of_a_format_are_whole_for_all_that_want_it() -> None:
    stays, leaves, comes = RecordKeeper("stays"), RecordKeeper("leaves"), RecordKeeper("comes")
    async with changing(stays, leaves) as change:
        change.put(10)
        await until(lambda: not len(change.fanout.writers[0].queue))
        change.put(5)
        assert await change.change(["leaves"], [comes]) == []
        change.put(5)
        refused = change.fanout.status()["stays"]["refused"]
    counts = [samples(each.kept) for each in (stays, leaves, comes)]
    size = packet(0).size
    assert counts[0] == counts[1] + counts[2] == change.count * size
    assert 15 * size <= counts[1] < 20 * size
    starts = [run.start_ns for run in stays.kept]
    assert starts == sorted(starts)
    assert refused == 0


async def test_what_records_have_refused_is_still_counted_after_an_exchange() -> None:
    stays = RecordKeeper("stays")
    async with changing(stays, RecordKeeper("leaves")) as change:
        unfit = packet(0, stream=StreamId("XX", "STATION", "00", "HHZ"))  # too long for miniSEED 2
        change.fanout.put([unfit])
        await until(lambda: change.fanout.status()["stays"]["refused"] == 1)
        assert await change.change(["leaves"], []) == []
        assert change.fanout.status()["stays"]["refused"] == 1


async def test_one_that_stays_and_is_full_holds_an_exchange_up_and_loses_nothing() -> None:
    stays, leaves = RecordKeeper("stays"), RecordKeeper("leaves")
    stays.queue_packets = 1
    stays.gate.clear()
    async with changing(stays, leaves) as change:
        change.put(300)
        running = asyncio.ensure_future(change.exchange.run(["leaves"], []))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not running.done()
        change.put(10)
        stays.gate.set()
        assert await running == []
    assert samples(stays.kept) == change.count * packet(0).size
    assert samples(leaves.kept) == 300 * packet(0).size


async def test_what_an_old_publisher_cannot_deliver_in_time_is_told(caplog: pytest.LogCaptureFixture) -> None:
    leaves = Keeper("leaves", [PublisherUnavailable("its disk is full")] * 1000)
    async with changing(Keeper("stays"), leaves, within_s=0.05) as change:
        change.put(3)
        (lost,) = await change.change(["leaves"], [])
    assert lost.startswith("not delivered and lost: leaves (its disk is full): ")
    assert lost in caplog.text


@pytest.mark.parametrize("kind", [Keeper, RecordKeeper])
async def test_one_that_can_never_be_opened_is_left_out_and_the_others_run_on(kind: type[Keeper]) -> None:
    class Impossible(kind):  # type: ignore[misc, valid-type]
        async def open(self) -> None:
            raise InvalidValue("there is no such layout")

    stays = kind("stays")
    async with changing(stays) as change:
        change.put(3)
        (failure,) = await change.change([], [Impossible("new")])
        assert failure == "publisher new: there is no such layout; it is left out"
        change.put(3)
        assert set(change.fanout.status()) == {"stays"}
    assert samples(stays.kept) == change.count * 100


async def test_one_that_cannot_be_opened_now_is_paused_and_gets_all_later() -> None:
    class Later(Keeper):
        is_there = False

        async def open(self) -> None:
            if not self.is_there:
                raise ComponentError("its folder is not there; mount its disk")

    comes = Later("comes")
    async with changing(Keeper("stays")) as change:
        assert await change.change([], [comes]) == []
        assert change.fanout.status()["comes"]["paused_reason"] == "its folder is not there; mount its disk"
        comes.is_there = True
        change.fanout.retry()
        await until(lambda: comes.kept)
    assert numbers(comes.kept) == all_of(1, change.count)  # the first came before the exchange began


@pytest.mark.parametrize("kind", [MustKeep, MustKeepRecords])
async def test_with_a_journal_a_changed_publisher_goes_on_at_its_cursor(kind: type[Keeper], tmp_path: Path) -> None:
    stays, before, after = kind("stays"), kind("one"), kind("one")
    async with changing(stays, before, journal=Journal(settings(tmp_path / "journal"), LOG)) as change:
        change.put(20)
        assert await change.change(["one"], [after]) == []
        change.put(20)
    content = [*before.kept, *after.kept]
    if kind is MustKeep:
        assert numbers(stays.kept) == numbers(content) == all_of(0, change.count)
    else:
        assert samples(stays.kept) == change.count * packet(0).size
        assert samples(content) == change.count * packet(0).size


class _SafeAtOnce(MustKeep):
    """Delivers what is safe only much later, unless that is asked for at once."""

    async def settled(self, *, at_once: bool = False) -> CursorMarks:
        if not at_once:
            await asyncio.Event().wait()
        return NO_CURSOR_MARKS


async def test_a_publisher_that_leaves_with_its_cursor_behind_leaves_nothing_to_be_delivered_twice(
    tmp_path: Path,
) -> None:
    before, after = _SafeAtOnce("one"), MustKeep("one")
    async with changing(before, journal=Journal(settings(tmp_path / "journal"), LOG)) as change:
        change.put(20)
        await until(lambda: len(before.kept) == 20)
        assert await change.change(["one"], []) == []
        assert await change.change([], [after]) == []
    content = numbers([*before.kept, *after.kept])
    assert content == sorted(set(content))
    assert content[-1] == packet(change.count - 1).start_ns


async def test_what_waits_for_a_changed_publisher_is_in_the_journal(tmp_path: Path) -> None:
    before, after = MustKeep("one", [PublisherUnavailable("the server is away")] * 1000), MustKeep("one")
    journal = Journal(settings(tmp_path / "journal"), LOG)
    async with changing(before, within_s=0.05, journal=journal) as change:
        change.put(5)
        assert await change.change(["one"], [after]) == []
    assert numbers(after.kept) == all_of(0, change.count)


async def test_what_a_full_journal_may_drop_cannot_change_while_it_is_open(tmp_path: Path) -> None:
    class MayDrop(MustKeep):
        overflow = OverflowPolicy.DROP_OLDEST

    async with changing(MustKeep("one"), journal=Journal(settings(tmp_path / "journal"), LOG)) as change:
        with pytest.raises(ComponentError, match="one: whether a full journal may drop"):
            await change.exchange.run(["one"], [MayDrop("one")])
        assert [each.name for each in change.fanout.publishers] == ["one"]


async def test_an_archive_moves_to_another_folder_and_has_every_sample_once(tmp_path: Path) -> None:
    before, after = MiniSeedPublisher(tmp_path / "a", name="archive"), MiniSeedPublisher(tmp_path / "b", name="archive")
    async with changing(before) as change:
        change.put(30)
        assert await change.change(["archive"], [after]) == []
        change.put(30)
    found = [time for folder in ("a", "b") for times in archived(tmp_path / folder).values() for time, _ in times]
    assert len(found) == len(set(found)) == change.count * packet(0).size


async def test_a_stop_waits_for_an_exchange() -> None:
    leaves = Keeper("leaves")
    async with changing(Keeper("stays"), leaves) as change:
        leaves.gate.clear()
        change.put(5)
        running = asyncio.ensure_future(change.exchange.run(["leaves"], []))
        await until(lambda: not change.fanout.is_settled.is_set())
        ending = asyncio.ensure_future(change.fanout.drain(30.0))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not ending.done()
        leaves.gate.set()
        assert await running == []
        assert await ending is None
    assert numbers(leaves.kept) == all_of(0, 5)
