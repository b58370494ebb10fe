"""SeedLinkReceiver against a strict server of the tests' own: every record once, whatever is cut, in both versions."""

import json
import random
import time
from pathlib import Path

import pytest

from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, to_iso
from tests.helpers import until
from tests.makers import START_NS
from tests.receivers.seedlink.running import BOTH, ByteKeeper, receiving, seconds, stored
from tests.seedlink_peer import SeedLinkPeer
from tests.seedlink_store import Stored
from tests.waveform_makers import noise, text_record


@BOTH
async def test_records_become_packets_with_names_times_and_qualities(version: int) -> None:
    peer = SeedLinkPeer(version)
    await peer.add(*(stored(second) for second in range(3)))
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        await until(lambda: len(keeper.packets) == 3)
        await peer.add(stored(3))
        await until(lambda: len(keeper.packets) == 4)
        status = receiver.receiver_status()
    assert seconds(keeper.packets) == [0, 1, 2, 3]
    first = keeper.packets[0]
    assert (first.rate_hz, first.timing_quality, first.sequence, first.samples.size) == (100.0, 90, 0, 100)
    assert status["version"] == ("3.1" if version == 3 else "4.0")
    assert status["records"] == 4
    assert status["stations"] == {"XX_AAA": {"sequence": 3, "start": "2026-11-21T00:00:03.000000Z"}}
    assert peer.violations == []


@BOTH
@pytest.mark.parametrize("seed", [4])
async def test_fifty_cuts_lose_and_repeat_nothing(version: int, seed: int) -> None:
    chance, peer = random.Random(seed), SeedLinkPeer(version)
    names = ["XX.AAA.00.HHZ", "XX.AAA.00.HHN", "YY.BBB..BHZ"]
    numbers = {"XX_AAA": chance.randrange(1 << 24), "YY_BBB": (1 << 24) - 20}  # one wraps in version 3
    records: list[Stored] = []
    for second in range(100):
        for name in names:
            station = name[:6].replace(".", "_")
            numbers[station] += 1
            records.append(stored(second, numbers[station], name=name))
    cuts = 0

    def cut() -> int | None:
        nonlocal cuts
        cuts += 1
        return None if cuts > 50 else chance.randrange(300, 12_000)

    peer.cut_at = cut
    await peer.add(*records[:150])
    stations = {"XX_AAA": [], "YY_BBB": ["BH?"]}
    async with peer.listening() as port, receiving(port, stations=stations) as (receiver, keeper):
        for at in range(150, 300, 10):
            await peer.add(*records[at : at + 10])
            await until(lambda: seconds(keeper.packets) or cuts > 50)
        await until(lambda: len(keeper.packets) >= 300)
        assert receiver.feed.duplicates == 0 or version == 3
    for name in names:
        assert seconds(keeper.packets, name) == list(range(100))
        sent = [noise(StreamId.parse(name), START_NS + second * NS_PER_S, 100) for second in range(100)]
        came = [each for each in keeper.packets if str(each.stream) == name]
        assert [each.samples.tolist() for each in came] == [each.samples.tolist() for each in sent]
    assert peer.violations == []


@BOTH
async def test_a_restart_goes_on_where_the_last_run_ended(version: int, tmp_path: Path) -> None:
    peer, state = SeedLinkPeer(version), tmp_path / "positions"
    await peer.add(*(stored(second) for second in range(5)))
    async with peer.listening() as port:
        async with receiving(port, state=state) as (_, keeper):
            await until(lambda: len(keeper.packets) == 5)
        assert json.loads(state.read_text())["stations"]["XX_AAA"]["sequence"] == 4
        await peer.add(stored(5), stored(6))
        async with receiving(port, state=state) as (receiver, keeper):
            await until(lambda: len(keeper.packets) == 2)
            assert receiver.feed.duplicates == 0
    assert seconds(keeper.packets) == [5, 6]
    (request,) = peer.requests[-1]
    assert request.start == ("000005" if version == 3 else "5")
    assert list(tmp_path.iterdir()) == [state]


@BOTH
async def test_positions_are_written_while_it_runs(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.resuming.receiver._SAVE_S", 0.01)
    peer, state = SeedLinkPeer(version), tmp_path / "positions"
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, state=state):
        await until(state.exists)
        await peer.add(stored(1))
        await until(lambda: '"sequence": 1' in state.read_text())


STARTS: list[tuple[str, list[int]]] = [
    ("latest", [3]),
    ("earliest", [0, 1, 2, 3]),
    (to_iso(START_NS + 2 * NS_PER_S), [2, 3]),
]


@BOTH
@pytest.mark.parametrize(("start", "expected"), STARTS)
async def test_a_station_begins_as_wished(version: int, start: str, expected: list[int]) -> None:
    peer = SeedLinkPeer(version)
    await peer.add(*(stored(second) for second in range(3)))
    async with peer.listening() as port, receiving(port, start=start) as (_, keeper):
        await until(lambda: peer.requests)
        await peer.add(stored(3))
        await until(lambda: 3 in seconds(keeper.packets))
    assert seconds(keeper.packets) == expected
    assert peer.violations == []


@BOTH
async def test_what_came_while_it_was_away_is_no_matter_to_min_delay(version: int) -> None:
    peer = SeedLinkPeer(version)
    async with peer.listening() as port, receiving(port, start="latest", policy="min_delay") as (receiver, keeper):
        await until(lambda: peer.requests)
        await peer.add(stored(0))
        await until(lambda: keeper.packets)
        peer.store.append(stored(1))
        receiver.endpoint.transports()[0].abort()
        await until(lambda: len(peer.requests) == 2)
        await peer.add(stored(2))
        await until(lambda: len(keeper.packets) == 2)
    assert seconds(keeper.packets) == [0, 2]


@BOTH
async def test_a_station_that_began_while_it_was_away_is_not_missed(version: int) -> None:
    peer = SeedLinkPeer(version)
    now_s = (time.time_ns() - START_NS) // NS_PER_S
    stations: dict[str, list[str]] = {"XX_AAA": [], "XX_BBB": []}
    async with peer.listening() as port, receiving(port, start="latest", stations=stations) as (receiver, keeper):
        await until(lambda: peer.requests)
        await peer.add(stored(now_s, 1))
        await until(lambda: keeper.packets)
        receiver.endpoint.transports()[0].abort()
        peer.store.append(stored(now_s, 1, name="XX.BBB.00.HHZ"))
        await until(lambda: len(keeper.packets) == 2)
    assert peer.violations == []


@BOTH
async def test_whole_records_are_passed_on_as_they_came(version: int) -> None:
    peer = SeedLinkPeer(version)
    text = Stored("XX_AAA", "", "LOG", 1, START_NS, START_NS, text_record())
    await peer.add(stored(0), text, stored(2))
    kept = ByteKeeper()
    async with peer.listening() as port, receiving(port, kept, raw=True):
        await until(lambda: len(kept.messages) == 3)
    assert kept.messages == [each.record for each in peer.store]


async def test_records_that_cannot_be_used_are_counted() -> None:
    peer = SeedLinkPeer()
    good = stored(0, 9)
    damaged = Stored("XX_AAA", "00", "HHZ", 2, START_NS, START_NS, bytes(512))
    wrong_name = Stored("XX_AAA", "00", "HHZ", 3, START_NS, START_NS, good.record.replace(b"HHZ", b"H-Z", 1))
    text = Stored("XX_AAA", "", "LOG", 1, START_NS, START_NS, text_record())
    await peer.add(damaged, wrong_name, text, good)
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        await until(lambda: keeper.packets)
        shown = json.dumps(receiver.receiver_status())
    for reason in ("unreadable record", "wrong record", "no waveform"):
        assert reason in shown


async def test_records_of_miniseed_3_are_packets_too() -> None:
    peer = SeedLinkPeer()
    await peer.add(*(stored(second, version=3) for second in range(3)))
    async with peer.listening() as port, receiving(port) as (_, keeper):
        await until(lambda: len(keeper.packets) == 3)
    assert seconds(keeper.packets) == [0, 1, 2]
