"""ISIReceiver and streams that a server gets while it is read, or while it is away."""

import pytest

from rawdaq.receivers.isi import receiver as module
from rawdaq.times import NS_PER_S
from tests.helpers import until
from tests.isi.server_peer import IsiServerPeer
from tests.isi.wire import KEEPUP, NEWEST, OLDEST
from tests.makers import START_NS
from tests.receivers.isi.running import START_S, add, data_requests, receiving, seconds

NEW = "II.PFO.00.BHZ"


@pytest.fixture
def quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.02)


@pytest.mark.usefixtures("quick_look")
@pytest.mark.parametrize("policy", ["min_gap", "min_delay"])
async def test_a_new_stream_is_found_and_costs_the_others_nothing(
    policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port, policy=policy) as (receiver, keeper):
        await until(lambda: keeper.packets)
        await until(lambda: len(peer.requests) >= 4)  # it looks, and nothing is new
        assert receiver.endpoint.connections == 1
        add(peer, 1, 2, name="pfo.bhz.00")
        await until(lambda: len(keeper.packets) == 3)
        add(peer, 1)
        await until(lambda: len(keeper.packets) == 4)
        assert (receiver.endpoint.connections, receiver.feed.duplicates) == (2, 0)
        assert (seconds(keeper.packets), seconds(keeper.packets, NEW)) == ([0, 1], [1, 2])
        assert "trying again" not in caplog.text
        assert data_requests(peer)[-1] == [("aak.bhz.00", START_S + 1, KEEPUP), ("pfo.bhz.00", OLDEST, KEEPUP)]
        await peer.drop_clients()  # by which nothing goes on that was not ended by us
        await until(lambda: receiver.endpoint.connections == 3)
        await until(lambda: len(data_requests(peer)) == 3)
        assert data_requests(peer)[-1][0][1] == (START_S + 2 if policy == "min_gap" else NEWEST)
    assert f"the server has new streams: {NEW}; asking for them too" in caplog.messages
    assert peer.violations == []


@pytest.mark.usefixtures("quick_look")
async def test_a_named_stream_that_was_absent_is_found_too() -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    names = ["aak.bhz.00", "pfo.bhz.00"]
    async with peer.listening() as port, receiving(port, streams=names) as (receiver, keeper):
        await until(lambda: keeper.packets)
        add(peer, 0, name="pfo.bhz.00")
        await until(lambda: len(keeper.packets) == 2)
        assert receiver.feed.absent == []
        requests = len(peer.requests)
        add(peer, 1)
        await until(lambda: len(keeper.packets) == 3)
        assert len(peer.requests) == requests  # all are there: there is nothing to look for
    assert peer.violations == []


@pytest.mark.usefixtures("quick_look")
async def test_a_look_that_fails_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        await until(lambda: keeper.packets)
        peer.matches_nothing = True
        await until(lambda: len(peer.requests) >= 4)
        peer.cut_next(0, 1)
        await until(lambda: "cannot look for new streams: the server ended the connection" in caplog.text)
        add(peer, 1)
        await until(lambda: len(keeper.packets) == 2)
        assert receiver.endpoint.connections == 1


async def test_a_stream_that_began_while_it_was_away_is_not_missed() -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port, start="latest") as (receiver, keeper):
        await until(lambda: keeper.packets)
        await peer.stop()
        listed_ns = receiver.feed.positions.listed_ns
        assert listed_ns is not None
        now = (listed_ns - START_NS) // NS_PER_S + 1
        add(peer, now, now + 1, now + 2, name="pfo.bhz.00")
        await peer.start()
        await until(lambda: len(keeper.packets) == 4)
    assert seconds(keeper.packets, NEW) == [now, now + 1, now + 2]


async def test_a_server_without_streams_is_asked_until_it_has_some() -> None:
    peer = IsiServerPeer()
    async with peer.listening() as port, receiving(port) as (_, keeper):
        await until(lambda: len(peer.requests) >= 2)
        peer.declare("aak", "bhz", "00", 20)
        await until(lambda: data_requests(peer))
        add(peer, 0)
        await until(lambda: keeper.packets)
    assert peer.violations == []
