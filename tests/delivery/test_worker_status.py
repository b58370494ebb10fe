"""What `status` shows of a publisher: whether it delivers, and what it holds when it does not."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from rawdaq.delivery.fanout import Fanout
from rawdaq.miniseed.format import RecordRun
from rawdaq.publisher import HeldItems, OverflowPolicy, PublisherUnavailable
from tests.fanouts import HHN, LOG, Keeper, running
from tests.helpers import until
from tests.makers import START_NS, packet


def _shown(fanout: Fanout) -> dict[str, Any]:
    return fanout.status()["keeper"]


async def test_a_paused_publisher_shows_what_it_holds_in_packets_seconds_and_bytes() -> None:
    keeper = Keeper(failures=[PublisherUnavailable("the disk is full", 1)] * 1)
    async with running(fanout := Fanout([keeper], LOG)):
        fanout.put([packet(index) for index in range(4)])
        fanout.put([packet(0, stream=HHN)])
        await until(lambda: _shown(fanout)["state"] == "paused")
        shown = _shown(fanout)
        assert (shown["paused_reason"], shown["waiting"], shown["delivered"]) == ("the disk is full", 5, 0)
        assert shown["waiting_s"] == 3.99
        assert 5 * 400 < shown["waiting_bytes"] < 5 * 1000
        fanout.retry()
        await until(lambda: _shown(fanout)["state"] == "running")
        shown = _shown(fanout)
        assert (shown["waiting"], shown["waiting_s"], shown["delivered"]) == (0, None, 5)


async def test_a_delivery_that_does_not_end_is_called_hung(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper()
    keeper.gate.clear()
    async with running(fanout := Fanout([keeper], LOG)):
        fanout.put([packet()])
        await until(lambda: fanout.workers[0]._busy_since)
        assert _shown(fanout)["state"] == "running"
        assert "hung" not in caplog.text
    monkeypatch.setattr("rawdaq.delivery.worker._HUNG_S", 1e-9)
    async with running(fanout := Fanout([keeper], LOG)):
        fanout.put([packet()])
        await until(lambda: "keeper is hung: a delivery takes " in caplog.text)
        shown = _shown(fanout)
        assert (shown["state"], shown["waiting"], shown["waiting_s"]) == ("hung", 1, 0.99)
        assert shown["paused_reason"].startswith("a delivery takes ")
        keeper.gate.set()
        await until(lambda: _shown(fanout)["state"] == "running")
        assert "keeper: the delivery has ended" in caplog.text


class _Holder(Keeper):
    """Holds what it gets."""

    retried = False

    async def deliver(self, batch: Sequence[Any]) -> None:
        await super().deliver(batch)

    @property
    def held(self) -> HeldItems | None:
        return HeldItems("another program writes it", self.kept) if self.kept else None

    def retry(self) -> None:
        self.retried = True


async def test_what_a_publisher_holds_itself_waits_and_is_not_delivered() -> None:
    holder = _Holder()
    async with running(fanout := Fanout([holder], LOG)):
        assert fanout.retry() == []
        records = RecordRun(HHN, [START_NS, START_NS + 10**9], [100, 100], 100.0, bytes(1024))
        fanout.put([packet()])
        await until(lambda: holder.kept)
        holder.kept.append(records)
        shown = _shown(fanout)
        assert (shown["state"], shown["paused_reason"]) == ("paused", "another program writes it")
        assert (shown["waiting"], shown["delivered"], shown["waiting_s"]) == (3, 0, 1.99)
        assert fanout.retry() == ["keeper"]
        assert holder.retried
        holder.kept.clear()
        assert (_shown(fanout)["state"], _shown(fanout)["delivered"]) == ("running", 1)


async def test_a_queue_that_drops_says_so_until_it_has_room() -> None:
    keeper = Keeper()
    keeper.overflow, keeper.queue_packets = OverflowPolicy.DROP_OLDEST, 2
    keeper.gate.clear()
    async with running(fanout := Fanout([keeper], LOG)):
        fanout.put([packet(index) for index in range(3)])
        assert _shown(fanout)["dropping"]
        keeper.gate.set()
        await until(lambda: not _shown(fanout)["waiting"])
        assert not _shown(fanout)["dropping"]


async def test_a_policy_that_a_receiver_forces_holds_while_the_publisher_delivers() -> None:
    keeper = Keeper(failures=[PublisherUnavailable("away")])
    keeper.overflow = OverflowPolicy.DROP_OLDEST
    async with running(fanout := Fanout([keeper], LOG)):
        fanout.set_overflow(OverflowPolicy.BLOCK)
        fanout.put([packet()])
        await until(lambda: _shown(fanout)["state"] == "paused")
        assert _shown(fanout)["policy"] == "drop_oldest", "or it would hold up all others"
        fanout.retry()
        await until(lambda: keeper.kept)
        await until(lambda: _shown(fanout)["policy"] == "block")
        fanout.set_overflow(None)
        assert _shown(fanout)["policy"] == "drop_oldest"


async def test_what_an_outage_dropped_is_told_also_when_it_ends_with_the_component(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keeper = Keeper()
    keeper.overflow, keeper.queue_packets = OverflowPolicy.DROP_NEWEST, 1
    keeper.gate.clear()
    async with running(fanout := Fanout([keeper], LOG)):
        fanout.put([packet(index) for index in range(3)])
        lost = await fanout.drain(0.01)
    assert "XX.DEMO.00.HHZ: 100 samples from 2026-11-21T00:00:00.000Z to 2026-11-21T00:00:00.990Z" in str(lost)
    assert re.search(
        r"keeper ends after \d\.\d s: dropped XX\.DEMO\.00\.HHZ: 200 samples from .*01\.000Z to .*02\.990Z", caplog.text
    )


async def test_of_a_batch_that_is_delivered_in_part_only_the_rest_is_lost() -> None:
    keeper = Keeper(failures=[PublisherUnavailable("the disk is full", 2)])
    async with running(fanout := Fanout([keeper], LOG)):
        fanout.put([packet(index) for index in range(4)])
        await until(lambda: _shown(fanout)["state"] == "paused")
        fanout.put([packet(4)])
        assert str(fanout.workers[0].undelivered) == (
            "XX.DEMO.00.HHZ: 300 samples from 2026-11-21T00:00:02.000Z to 2026-11-21T00:00:04.990Z"
        )
