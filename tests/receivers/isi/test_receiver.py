"""ISIReceiver against a strict server of the tests' own: every sample once, whatever is cut."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from rawdaq.packet import Marks
from rawdaq.times import NS_PER_S, to_iso
from tests.helpers import until
from tests.isi.server_peer import IsiServerPeer
from tests.isi.wire import KEEPUP, LITTLE, NEWEST, OLDEST, REAL32, REAL64
from tests.makers import START_NS
from tests.receivers.isi.running import START_S, add, data_requests, receiving, samples, seconds, values


async def test_packets_have_names_times_and_the_state_of_the_clock() -> None:
    peer = IsiServerPeer()
    add(peer, 0, status=0x5A21)
    add(peer, 1, status=0x0008)
    add(peer, 2, status=0x8000)
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        await until(lambda: len(keeper.packets) == 3)
        add(peer, 3)
        await until(lambda: len(keeper.packets) == 4)
        status = receiver.receiver_status()
    assert seconds(keeper.packets) == [0, 1, 2, 3]
    assert values(keeper.packets) == list(range(80))
    assert [(each.timing_quality, each.marks) for each in keeper.packets] == [
        (90, Marks(flags=4)),
        (None, Marks(flags=2)),
        (None, None),
        (None, Marks(flags=4)),
    ]
    first = keeper.packets[0]
    assert (str(first.stream), first.rate_hz, first.start_ns) == ("II.AAK.00.BHZ", 20.0, START_NS)
    assert (status["packets"], status["duplicates"], status["server_timeout_s"]) == (4, 0, 30.0)
    assert status["streams"] == {"II.AAK.00.BHZ": "2026-11-21T00:00:03.950000Z"}
    assert status["endpoints"][0]["connected"]  # type: ignore[index]
    assert [(request.format, request.compress, request.policy) for request in peer.requests] == [(1, 2, 2)] * 2
    assert peer.violations == []


async def test_each_stream_is_asked_for_once_whatever_patterns_mean_it() -> None:
    peer = IsiServerPeer()
    for name in ("aak.bhz.00", "aak.lhz.  ", "pfo.bhz.00"):
        add(peer, 0, name=name)
    names = ["aak.*.*", "*.bhz.*", "aak.bhz.00", "aak.lhz"]
    async with peer.listening() as port, receiving(port, streams=names, network="IU") as (receiver, keeper):
        await until(lambda: len(keeper.packets) == 3)
        assert receiver.feed.duplicates == 0
    assert data_requests(peer) == [
        [(name, OLDEST, KEEPUP) for name in ("aak.bhz.00", "aak.lhz.  ", "pfo.bhz.00")],
    ]
    assert sorted(str(each.stream) for each in keeper.packets) == ["IU.AAK..LHZ", "IU.AAK.00.BHZ", "IU.PFO.00.BHZ"]
    assert peer.violations == []


@pytest.mark.parametrize("seed", [1, 2])
async def test_fifty_cuts_lose_and_repeat_nothing(seed: int) -> None:
    chance, peer = random.Random(seed), IsiServerPeer()
    names = ["aak.bhz.00", "aak.bhn.00", "pfo.lhz.  "]
    cuts = 0

    def cut() -> None:
        nonlocal cuts
        cuts += 1
        if cuts <= 50:
            peer.cut_next(chance.randrange(150))

    for name in names:
        add(peer, *range(50), name=name)
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        for second in range(50, 100):
            cut()
            for name in names:
                add(peer, second, name=name)
            connections = receiver.endpoint.connections
            await until(lambda: receiver.endpoint.connections > connections or len(keeper.packets) >= second * 3)  # noqa: B023
        await until(lambda: len(keeper.packets) >= 300)
        assert receiver.feed.duplicates == 0
    assert cuts == 50
    for name in ("II.AAK.00.BHZ", "II.AAK.00.BHN", "II.PFO..LHZ"):
        assert values(keeper.packets, name) == list(range(2000))
    assert peer.violations == []


async def test_a_server_that_restarts_is_asked_for_what_follows() -> None:
    peer = IsiServerPeer()
    add(peer, 0, 1)
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        await until(lambda: len(keeper.packets) == 2)
        await peer.stop()
        add(peer, 2)
        await peer.start()
        await until(lambda: len(keeper.packets) == 3)
        assert receiver.feed.duplicates == 0
    assert seconds(keeper.packets) == [0, 1, 2]
    assert data_requests(peer)[-1] == [("aak.bhz.00", START_S + 2, KEEPUP)]
    assert peer.violations == []


async def test_a_restart_goes_on_where_the_last_run_ended(tmp_path: Path) -> None:
    peer, state = IsiServerPeer(), tmp_path / "positions"
    add(peer, *range(5))
    async with peer.listening() as port:
        async with receiving(port, state=state) as (_, keeper):
            await until(lambda: len(keeper.packets) == 5)
        assert json.loads(state.read_text())["streams"]["II.AAK.00.BHZ"]["next_ns"] == START_NS + 5 * NS_PER_S
        add(peer, 5, 6)
        async with receiving(port, state=state) as (receiver, keeper):
            await until(lambda: len(keeper.packets) == 2)
            assert receiver.feed.duplicates == 0
    assert seconds(keeper.packets) == [5, 6]
    assert list(tmp_path.iterdir()) == [state]
    assert peer.violations == []


async def test_positions_are_written_while_it_runs_for_a_next_run_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.resuming.receiver._SAVE_S", 0.01)
    peer, state, copy = IsiServerPeer(), tmp_path / "positions", tmp_path / "as-it-was"
    add(peer, 0, 1)
    async with peer.listening() as port:
        async with receiving(port, state=state):
            await until(state.exists)
            await until(lambda: str(START_NS + 2 * NS_PER_S) in state.read_text())
            copy.write_bytes(state.read_bytes())
        add(peer, 2)
        async with receiving(port, state=copy) as (_, keeper):
            await until(lambda: keeper.packets)
    assert seconds(keeper.packets) == [2]


STARTS: list[tuple[str, list[int]]] = [
    ("latest", [2, 3]),  # the newest packet comes at once
    ("earliest", [0, 1, 2, 3]),
    (to_iso(START_NS + NS_PER_S + NS_PER_S // 2), [1, 2, 3]),  # packets are never cut by a server
]


@pytest.mark.parametrize("names", [["aak.bhz.00"], ["*.*.*"]])
@pytest.mark.parametrize(("start", "expected"), STARTS)
async def test_a_stream_begins_as_wished(start: str, expected: list[int], names: list[str]) -> None:
    peer = IsiServerPeer()
    add(peer, 0, 1, 2)
    async with peer.listening() as port, receiving(port, start=start, streams=names) as (_, keeper):
        await until(lambda: keeper.packets)
        add(peer, 3)
        await until(lambda: 3 in seconds(keeper.packets))
    assert seconds(keeper.packets) == expected
    assert peer.violations == []


async def test_what_came_while_it_was_away_is_no_matter_to_min_delay(caplog: pytest.LogCaptureFixture) -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port, policy="min_delay") as (receiver, keeper):
        await until(lambda: keeper.packets)
        await peer.stop()
        add(peer, 1, 2, 3)
        await peer.start()
        await until(lambda: len(keeper.packets) == 2)
        await peer.drop_clients()
        await until(lambda: receiver.feed.duplicates)  # the newest packet is still the same
    assert seconds(keeper.packets) == [0, 3]
    assert data_requests(peer)[1] == [("aak.bhz.00", NEWEST, KEEPUP)]
    assert peer.requests[-1].policy == 3
    assert "are missing" not in caplog.text


async def test_what_the_server_does_not_have_any_more_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port) as (_, keeper):
        await until(lambda: keeper.packets)
        await peer.stop()
        add(peer, 3)
        await peer.start()
        await until(lambda: len(keeper.packets) == 2)
    line = "II.AAK.00.BHZ: 2.000 s are missing after 2026-11-21T00:00:01.000000Z: the server does not have them"
    assert line in caplog.messages


async def test_samples_that_a_server_cuts_elsewhere_are_published_once() -> None:
    peer, other = IsiServerPeer(), IsiServerPeer()
    add(peer, 0, 1)
    other.add("aak", "bhz", "00", START_S + 0.5, 20, list(range(10, 50)))
    async with receiving(1) as (receiver, keeper):
        async with peer.listening() as port:
            receiver.endpoint.port = port
            await until(lambda: len(keeper.packets) == 2)
        async with other.listening() as port:
            receiver.endpoint.port = port
            await until(lambda: len(keeper.packets) == 3)
    assert values(keeper.packets) == list(range(50))
    assert keeper.packets[-1].start_ns == START_NS + 2 * NS_PER_S


async def test_what_comes_late_or_twice_in_time_is_published_as_it_is() -> None:
    peer = IsiServerPeer()
    add(peer, 0, 2, 1, 3)
    peer.add("aak", "bhz", "00", START_S + 3.5, 20, [7] * 20)
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        await until(lambda: len(keeper.packets) == 5)
        await peer.drop_clients()
        add(peer, 5)
        await until(lambda: len(keeper.packets) == 6)
        assert receiver.stats.report()["II.AAK.00.BHZ"]["overlaps"]  # type: ignore[index]
    assert seconds(keeper.packets) == [0, 2, 1, 3, 3, 5]


FLOATS: list[tuple[int, str]] = [(REAL32, "float32"), (REAL64, "float64")]


@pytest.mark.parametrize(("kind", "name"), FLOATS)
async def test_floats_are_published_as_they_are(kind: int, name: str) -> None:
    peer = IsiServerPeer()
    peer.add("aak", "bhz", "00", START_S, 62.5, [0.5, -1.5, 3.25], kind=kind)
    async with peer.listening() as port, receiving(port) as (_, keeper):
        await until(lambda: keeper.packets)
    (packet,) = keeper.packets
    assert (packet.sample_type, packet.samples.tolist()) == (name, [0.5, -1.5, 3.25])


async def test_a_rate_that_is_no_whole_number_is_that_of_the_times() -> None:
    peer = IsiServerPeer()
    for second in range(0, 8, 2):
        peer.add("aak", "bhz", "00", START_S + second, 62.5, samples(second // 2, 125))
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        await until(lambda: len(keeper.packets) == 4)
        assert not receiver.stats.report()["II.AAK.00.BHZ"]["gaps"]  # type: ignore[index]
    assert {each.rate_hz for each in keeper.packets} == {62.5}
    assert values(keeper.packets) == list(range(500))


ORDERS: list[tuple[dict[str, Any], bool]] = [
    ({"byte_order": "little"}, True),
    ({"byte_order": "auto"}, False),
    ({"compression": "ida"}, True),
]


@pytest.mark.parametrize(("options", "lies"), ORDERS)
async def test_a_server_that_says_the_wrong_byte_order_is_read_right(options: dict[str, Any], lies: bool) -> None:
    peer = IsiServerPeer()
    peer.lies_about_order = lies
    add(peer, 0)
    chosen = {"compression": "none", **options}
    async with peer.listening() as port, receiving(port, **chosen) as (_, keeper):
        await until(lambda: keeper.packets)
    assert values(keeper.packets) == samples(0)
    assert {request.compress for request in peer.requests} == {2 if "compression" in options else 1}


async def test_little_endian_samples_that_are_said_to_be_so_are_right_too() -> None:
    peer = IsiServerPeer()
    peer.order = LITTLE
    add(peer, 0)
    async with peer.listening() as port, receiving(port, compression="none") as (_, keeper):
        await until(lambda: keeper.packets)
    assert values(keeper.packets) == samples(0)
