"""SeedLinkReceiver against a strict server of the tests' own: every record once, whatever is cut, in both versions."""

import json
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.options import read_options
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.receivers.seedlink import SeedLinkReceiver
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, to_iso
from tests.helpers import until
from tests.makers import START_NS
from tests.packet_keeper import PacketKeeper
from tests.receivers.seedlink.running import STATION, ByteKeeper, receiving, seconds, stored
from tests.seedlink_peer import SeedLinkPeer, Stored
from tests.waveform_makers import noise, text_record

BOTH = pytest.mark.parametrize("version", [3, 4])


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
    monkeypatch.setattr("rawdaq.receivers.seedlink.receiver._SAVE_S", 0.01)
    peer, state = SeedLinkPeer(version), tmp_path / "positions"
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, state=state):
        await until(state.exists)
        await peer.add(stored(1))
        await until(lambda: '"sequence": 1' in state.read_text())


# ---------------------------------------------------------------- servers that count anew


async def _received(
    peer: SeedLinkPeer, state: Path, count: int, **options: Any
) -> tuple[SeedLinkReceiver, PacketKeeper]:
    """Run a receiver until it has *count* packets."""
    async with peer.listening() as port, receiving(port, state=state, **options) as (receiver, keeper):
        await until(lambda: len(keeper.packets) >= count)
    return receiver, keeper


@BOTH
async def test_a_server_that_was_started_anew_is_asked_by_time(version: int, tmp_path: Path) -> None:
    state = tmp_path / "positions"
    before = SeedLinkPeer(version)
    await before.add(*(stored(second, 5000 + second) for second in range(5)))
    await _received(before, state, 5)
    after = SeedLinkPeer(version, "2026-11-29T10:00:00.000000Z")
    await after.add(*(stored(second, second) for second in range(8)))
    receiver, keeper = await _received(after, state, 3)
    assert seconds(keeper.packets) == [5, 6, 7]
    assert receiver.feed.duplicates == 1
    (request,) = after.requests[0]
    assert request.begin_ns == START_NS + 4 * NS_PER_S
    assert after.violations == []
    # From then on by number again.
    await after.add(stored(8, 8))
    _, keeper = await _received(after, state, 1)
    assert seconds(keeper.packets) == [8]
    assert after.requests[1][0].start == ("000008" if version == 3 else "8")


@BOTH
async def test_a_server_that_counts_anew_without_saying_so_is_noticed_by_its_numbers(
    version: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state, peer = tmp_path / "positions", SeedLinkPeer(version)
    await peer.add(*(stored(second, 5000 + second) for second in range(5)))
    await _received(peer, state, 5)
    peer.store = [stored(second, second) for second in range(3, 8)]
    async with peer.listening() as port, receiving(port, state=state) as (_, keeper):
        await until(lambda: len(peer.requests) == 2)
        await peer.add(stored(8, 8))  # only this one comes after number 5005
        await until(lambda: len(keeper.packets) == 4)
        assert "the server counts XX_AAA anew: asked for packet 5005 it sent 8" in caplog.text
    assert seconds(keeper.packets) == [5, 6, 7, 8]


async def test_numbers_of_another_version_are_not_used(tmp_path: Path) -> None:
    state, peer = tmp_path / "positions", SeedLinkPeer(3)
    await peer.add(*(stored(second, 100 + second) for second in range(3)))
    await _received(peer, state, 3)
    newer = SeedLinkPeer(4)
    await newer.add(*(stored(second, 2**40 + second) for second in range(5)))
    _, keeper = await _received(newer, state, 2)
    assert seconds(keeper.packets) == [3, 4]
    assert json.loads(state.read_text())["protocol"] == "4.0"


@BOTH
async def test_what_the_server_no_longer_has_is_logged(
    version: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state, peer = tmp_path / "positions", SeedLinkPeer(version)
    await peer.add(stored(0), stored(1))
    await _received(peer, state, 2)
    peer.store = [stored(5), stored(6)]
    await _received(peer, state, 2)
    assert "XX.AAA.00.HHZ: 3.000 s are missing between packets 1 and 5: the server did not have them" in caplog.text


# ---------------------------------------------------------------- several stations


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


# ---------------------------------------------------------------- where it begins


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


# ---------------------------------------------------------------- connections


async def test_a_silent_server_is_asked_whether_it_is_there() -> None:
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, keep_alive_s=0.05, timeout_s=30.0) as (receiver, _):
        await until(lambda: peer.infos.count("ID") >= 4)
        assert receiver.endpoint.connections == 1


async def test_a_server_that_does_not_answer_any_more_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, keep_alive_s=0.05, timeout_s=0.2) as (receiver, keeper):
        await until(lambda: keeper.packets)
        peer.is_mute = True
        await until(lambda: "sent nothing for 0.2 s" in caplog.text)
        peer.is_mute = False
        await until(lambda: receiver.endpoint.connections >= 2)


async def test_an_end_that_was_not_asked_for_is_a_lost_connection(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer()
    peer.ends = True
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, start="earliest") as (receiver, keeper):
        await until(lambda: receiver.endpoint.connections >= 3)
        assert "the server ended the connection" in caplog.text
    assert seconds(keeper.packets) == [0]


async def test_a_server_that_closes_is_called_again(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with receiving(1, start="earliest") as (receiver, keeper):
        async with peer.listening() as port:
            receiver.endpoint.port = port
            await until(lambda: keeper.packets)
        await until(lambda: "the server ended the connection" in caplog.text)


async def test_the_wanted_version_is_spoken_or_the_reason_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer(4)
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, protocol="3.1") as (receiver, keeper):
        await until(lambda: keeper.packets)
        assert receiver.receiver_status()["version"] == "3.1"
    old = SeedLinkPeer(3)
    async with old.listening() as port, receiving(port, protocol="4.0"):
        await until(lambda: "the server does not speak SeedLink 4.0" in caplog.text)


async def test_a_selector_that_the_server_s_version_cannot_say_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer(3)
    async with peer.listening() as port, receiving(port, stations={"XX_AAA": ["*.3"]}):
        await until(lambda: "SeedLink 3 cannot say the selector *.3" in caplog.text)


async def test_a_server_that_does_not_say_what_it_is_is_read_all_the_same() -> None:
    peer = SeedLinkPeer(3)
    peer.refused_infos = {"ID", "STATIONS"}
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, stations={"*": []}) as (receiver, keeper):
        await until(lambda: keeper.packets)
        assert receiver.feed.positions.started_ns is None
    assert peer.violations == ["version 3: STATION * *"]  # which not all servers know, but what else is there to ask


async def test_it_can_wait_for_ever_without_a_question() -> None:
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, keep_alive_s=0.0, timeout_s=0.0) as (_, keeper):
        await until(lambda: keeper.packets)
    assert peer.infos == ["ID"]


# ---------------------------------------------------------------- records


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


async def test_more_stations_than_any_server_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.receivers.seedlink.feed._MAX_STATIONS", 2)
    monkeypatch.setattr("rawdaq.receivers.seedlink.feed._REMEMBERED", 2)
    peer = SeedLinkPeer()
    await peer.add(*(stored(second, name=name) for second in range(2) for name in NAMES))
    async with peer.listening() as port, receiving(port, stations={"*": []}) as (receiver, keeper):
        await until(lambda: receiver.feed.records == 6)
        assert "too many stations" in json.dumps(receiver.receiver_status())
    assert len(keeper.packets) == 4


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize(("text", "words"), [("{", "holds no positions"), ('{"format": 1, "x": 2}', "x: Extra inputs")])
async def test_a_file_with_something_else_is_not_used(text: str, words: str, tmp_path: Path) -> None:
    state = tmp_path / "positions"
    state.write_text(text)
    receiver = SeedLinkReceiver([], STATION, host="127.0.0.1", stations={"*": []}, state=state)
    with pytest.raises(ComponentError, match=words):
        await receiver.serve()


async def test_a_file_that_cannot_be_read_is_reported_with_a_remedy(tmp_path: Path) -> None:
    receiver = SeedLinkReceiver([], STATION, host="127.0.0.1", stations={"*": []}, state=tmp_path)
    with pytest.raises(ComponentError, match=r"cannot read the positions in .*: Is a directory; make it readable"):
        await receiver.serve()


async def test_a_file_that_cannot_be_written_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.receivers.seedlink.receiver._SAVE_S", 0.01)
    peer, state = SeedLinkPeer(), tmp_path / "folder" / "positions"
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, state=state) as (receiver, _):
        for second in range(1, 4):
            await until(lambda: receiver.receiver_status()["state_failure"])
            await peer.add(stored(second))
        state.parent.mkdir()
        await peer.add(stored(5))
        await until(lambda: "is written again" in caplog.text)
    assert len([line for line in caplog.messages if "No such file" in line]) == 1


async def test_positions_wait_until_records_of_slow_streams_are_made(tmp_path: Path) -> None:
    archive = MiniSeedPublisher(tmp_path / "archive")
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, archive, state=tmp_path / "positions") as (receiver, keeper):
        await until(lambda: keeper.packets)
        assert receiver._fill_s() == 10.0
        receiver.feed.lowest_rate_hz = 1.0
        assert receiver._fill_s() == 200.0
    assert (tmp_path / "positions").exists()


async def test_a_disk_that_hangs_does_not_hold_a_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = threading.Event()

    def hang(path: Path, text: bytes) -> None:
        hung.wait()

    monkeypatch.setattr("rawdaq.receivers.seedlink.receiver.save", hang)
    monkeypatch.setattr("rawdaq.receivers.seedlink.receiver._WRITE_S", 0.05)
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, state=tmp_path / "positions") as (_, keeper):
        await until(lambda: keeper.packets)
    hung.set()
    assert "its disk does not answer; a restart would go on where it was written last" in caplog.text


# ---------------------------------------------------------------- options


def problems(**options: Any) -> str:
    _, mistakes = read_options(SeedLinkReceiver, {"host": "h", "stations": {"*": []}, **options}, Path())
    return "; ".join(mistake.text for mistake in mistakes)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("at least one station is needed", {"stations": {}}),
    ("'AAA' is not a station like XX_ABC", {"stations": {"AAA": []}}),
    ("'ABCDEFG' is not a selector", {"stations": {"*": ["ABCDEFG"]}}),
    ("names a filter", {"stations": {"*": ["HHZ:3"]}}),
    ("'yesterday' is not a UTC time", {"start": "yesterday"}),
    ("is no host name", {"host": ""}),
]


@pytest.mark.parametrize(("words", "options"), WRONG)
def test_a_station_file_that_makes_no_sense_is_refused(words: str, options: dict[str, Any]) -> None:
    assert words in problems(**options)


def test_options_say_what_only_one_component_can_have() -> None:
    options, mistakes = read_options(SeedLinkReceiver, {"host": "h", "stations": {"*": []}, "state": "a"}, Path("/x"))
    assert mistakes == []
    assert SeedLinkReceiver.exclusive(options) == ["file /x/a"]
    assert SeedLinkReceiver.exclusive({"state": None}) == []
    assert SeedLinkReceiver.streams(STATION, options) == []
    with pytest.raises(InvalidValue, match="SeedLink 3 cannot say"):
        SeedLinkReceiver.streams(STATION, {"protocol": "3.1", "stations": {"*": ["*.3"]}})
