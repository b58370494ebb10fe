"""SeedLinkReceiver and many stations: patterns, and stations that a server refuses."""

import json

import pytest

from tests.helpers import until
from tests.receivers.seedlink.running import BOTH, receiving, seconds, stored
from tests.seedlink_peer import SeedLinkPeer

NAMES = ["XX.AAA.00.HHZ", "XX.BBB.00.HHZ", "YY.CCC.00.HHZ"]


async def test_version_4_takes_patterns_and_names_stations_when_it_resumes() -> None:
    peer = SeedLinkPeer()
    await peer.add(*(stored(second, name=name) for second in range(3) for name in NAMES))
    stations = {"XX_AAA": ["!HHN"], "XX_*": ["HHZ"]}
    async with peer.listening() as port, receiving(port, stations=stations) as (receiver, keeper):
        await until(lambda: len(keeper.packets) == 6)
        receiver.endpoint.transports()[0].abort()
        await until(lambda: len(peer.requests) == 2)
        # A station that is new since then is not missed.
        await peer.add(stored(3), stored(3, name="XX.DDD.00.HHZ"), stored(3, name="XX.DDD.00.HHN"))
        await until(lambda: len(keeper.packets) == 8)
        assert receiver.feed.duplicates == 0
    assert [(each.station, each.start, each.selectors) for each in peer.requests[0]] == [
        ("XX_AAA", "ALL", ["!*_H_H_N"]),
        ("XX_*", "ALL", ["*_H_H_Z"]),
    ]
    assert [(each.station, each.start) for each in peer.requests[1]] == [
        ("XX_AAA", "3"),
        ("XX_BBB", "3"),
        ("XX_*", "ALL"),
    ]
    assert seconds(keeper.packets, "XX.DDD.00.HHZ") == [3]
    assert peer.violations == []


async def test_what_a_server_repeats_that_does_not_exclude_named_stations_is_dropped() -> None:
    peer = SeedLinkPeer()
    peer.excludes = False
    await peer.add(*(stored(second, name=name) for second in range(3) for name in NAMES))
    async with peer.listening() as port, receiving(port, stations={"*": []}) as (receiver, keeper):
        await until(lambda: len(keeper.packets) == 9)
        receiver.endpoint.transports()[0].abort()
        await peer.add(*(stored(3, name=name) for name in NAMES))
        await until(lambda: len(keeper.packets) == 12)
        await until(lambda: receiver.feed.duplicates == 9)
    for name in NAMES:
        assert seconds(keeper.packets, name) == [0, 1, 2, 3]


async def test_in_version_3_patterns_stand_for_the_stations_that_the_server_lists() -> None:
    peer = SeedLinkPeer(3)
    await peer.add(*(stored(second, name=name) for second in range(3) for name in NAMES))
    async with peer.listening() as port, receiving(port, stations={"XX_*": [], "ZZ_ZZZ": []}) as (_, keeper):
        await until(lambda: len(keeper.packets) == 6)
    assert [each.station for each in peer.requests[0]] == ["ZZ_ZZZ", "XX_AAA", "XX_BBB"]
    assert peer.infos[:2] == ["ID", "STATIONS"]
    assert peer.violations == []


async def test_a_server_of_version_3_without_such_stations_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer(3)
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, stations={"ZZ_*": []}):
        await until(lambda: "the server has no station like ZZ_*" in caplog.text)


@BOTH
async def test_a_refused_station_stops_no_other_and_is_asked_for_again(
    version: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.receivers.seedlink.connection._ASK_AGAIN_S", 0.1)
    peer = SeedLinkPeer(version)
    peer.refused = {"XX_BBB"}
    await peer.add(*(stored(second, name=name) for second in range(2) for name in NAMES))
    stations: dict[str, list[str]] = {"XX_BBB": [], "XX_AAA": []}
    async with peer.listening() as port, receiving(port, stations=stations) as (receiver, keeper):
        await until(lambda: len(keeper.packets) == 2)
        assert list(receiver.receiver_status()["refused_stations"]) == ["XX_BBB"]  # type: ignore[call-overload]
        await until(lambda: len(peer.requests) >= 3)
        peer.refused.clear()
        await until(lambda: len(keeper.packets) == 4)
        assert receiver.receiver_status()["refused_stations"] == {}
    refusals = [line for line in caplog.messages if line.startswith("the server refuses XX_BBB")]
    assert len(refusals) == 1
    assert "asking again for what the server refused: XX_BBB" in caplog.text


async def test_a_server_that_refuses_all_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer(3)
    peer.refused = {"XX_AAA"}
    async with peer.listening() as port, receiving(port) as (_, keeper):
        await until(lambda: "the server refused all stations (XX_AAA)" in caplog.text)
        peer.refused.clear()
        await peer.add(stored(0))
        await until(lambda: keeper.packets)


async def test_more_stations_than_any_server_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.receivers.seedlink.feed._MAX_STATIONS", 2)
    monkeypatch.setattr("rawdaq.receivers.seedlink.feed._REMEMBERED", 2)
    peer = SeedLinkPeer()
    await peer.add(*(stored(second, name=name) for second in range(2) for name in NAMES))
    async with peer.listening() as port, receiving(port, stations={"*": []}) as (receiver, keeper):
        await until(lambda: receiver.feed.records == 6)
        assert "too many stations" in json.dumps(receiver.receiver_status())
    assert len(keeper.packets) == 4
