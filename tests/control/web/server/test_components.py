"""Which components there are, what they answer or fail to, where they are, and what becomes of orders."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from rawdaq.control.machine import asking
from rawdaq.control.machine.asking import Asker
from rawdaq.control.machine.catalog import Catalog
from rawdaq.control.names import Target
from rawdaq.control.rest.routes import Refused
from rawdaq.control.web.archive import columns
from rawdaq.control.web.components.events import MAX_EVENTS, EventMemory
from rawdaq.control.web.components.history import MINUTES, StreamHistory
from rawdaq.control.web.components.known import Known, Versioned
from rawdaq.control.web.components.orders import Orders
from rawdaq.control.web.components.places import Places
from rawdaq.control.web.components.watch import Watch
from rawdaq.control.web.models import Command, Coordinates
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.protocols.command import encode_reply
from rawdaq.stream_id import StreamId
from tests import outside
from tests.control.conftest import runtime as outside_runtime
from tests.control.machine.answering import STATIONS, Answering
from tests.helpers import DEADLINE_S, until, wait_for

LOG = logging.getLogger("rawdaq.web")
MINUTE_NS = 60 * 10**9
XML = """<?xml version="1.0" encoding="UTF-8"?>
<FDSNStationXML xmlns="http://www.fdsn.org/xml/station/1" schemaVersion="1.2"><Source>us</Source>
<Network code="XX"><Station code="A"><Latitude>46.25</Latitude><Longitude>-7.5</Longitude><Elevation>420</Elevation>
<Channel code="HHZ" locationCode="00"><Latitude>1</Latitude><Longitude>1</Longitude></Channel></Station>
<Station code="B"><Latitude>91</Latitude><Longitude>0</Longitude></Station></Network></FDSNStationXML>
"""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    made = tmp_path / "stations"
    made.mkdir()
    (made / "a.yaml").write_text(STATIONS.format(code="A", more=""))
    (made / "b.yaml").write_text(STATIONS.format(code="B", more=", latitude_deg: 1.5, longitude_deg: 2"))
    return made


def test_stations_are_where_their_files_or_stationxml_say(
    folder: Path, runtime: RuntimeFiles, caplog: pytest.LogCaptureFixture
) -> None:
    catalog, places = Catalog(folder, runtime), Places()

    def look() -> dict[str, Coordinates]:
        return places.of([target.settings for target in catalog.look().targets if target.settings])

    assert look() == {"XX.B": Coordinates(latitude_deg=1.5, longitude_deg=2.0)}
    (folder / "inventory.xml").write_text(XML)
    (folder / "other.xml").write_text("<a>")
    found = look()
    assert found["XX.A"] == Coordinates(latitude_deg=46.25, longitude_deg=-7.5, elevation_m=420.0)
    assert found["XX.B"].latitude_deg == 1.5
    assert "other.xml is no StationXML" in caplog.text
    (folder / "b.yaml").write_text(STATIONS.format(code="B", more=", latitude_deg: 1.5"))
    assert "latitude_deg and longitude_deg belong together" in catalog.look().mistakes[0]


def target_of(folder: Path, runtime: RuntimeFiles) -> Target:
    return Catalog(folder, runtime).look().targets[0]


def test_a_component_that_does_not_run_shows_the_streams_of_its_station_file(
    folder: Path, runtime: RuntimeFiles
) -> None:
    target = target_of(folder, runtime)
    known = Known(target, None, 0)
    known.relist(target, None, 0)
    assert known.show(2)
    assert known.shown.value["condition"] == "stopped"
    assert known.shown.value["streams"] == ["XX.A.00.HHZ", "XX.A.00.LHZ"]
    assert known.streams["XX.A.00.HHZ"].value["has_archive"]
    (source, *_) = known.sources().values()
    assert (source.address, source.reason) == (None, "it is stopped")
    assert not known.show(3)


def test_only_what_has_changed_is_sent() -> None:
    made = Versioned({"key": "a", "x": 1, "y": 2}, 5)
    assert made.changes(4, "key") == {"key": "a", "x": 1, "y": 2}
    assert made.changes(5, "key") is None
    assert not made.update({"key": "a", "x": 1, "y": 2}, 6)
    assert made.update({"key": "a", "x": 1, "y": 3}, 7)
    assert made.changes(5, "key") == {"key": "a", "y": 3}
    assert made.update({"key": "a", "x": 2, "y": 3}, 8)
    assert made.changes(5, "key") == {"key": "a", "x": 2, "y": 3}
    assert made.changes(7, "key") == {"key": "a", "x": 2}


def test_a_day_of_a_stream_is_kept_minute_by_minute() -> None:
    day = StreamHistory()
    day.add(100 * MINUTE_NS, 1.0, 7)
    day.add(100 * MINUTE_NS + 1, 3.0, 9)
    day.add(100 * MINUTE_NS + 2, 2.0, 9)
    day.add(103 * MINUTE_NS, None, 1)  # the component has started again, and has seen a gap since
    assert day.latencies() == (100 * MINUTE_NS, [3.0, None, None, None])
    assert (day.gaps_of(60), day.gaps_of(1)) == (3, 1)
    day.add((100 + MINUTES) * MINUTE_NS, 4.0, 1)
    begin_ns, minutes_s = day.latencies()
    assert (begin_ns, len(minutes_s), minutes_s[-1]) == (101 * MINUTE_NS, MINUTES, 4.0)
    assert day.gaps_of(MINUTES) == 1
    day.add((100 + 3 * MINUTES) * MINUTE_NS, 5.0, 1)
    assert [each for each in day.latencies()[1] if each] == [5.0]


def test_events_that_are_forgotten_make_an_answer_incomplete() -> None:
    memory = EventMemory()
    about: dict[str, Any] = {"component": "a", "title": "a", "condition": "late", "before": "well", "number": 500}
    for index in range(MAX_EVENTS + 5):
        memory.add(time=f"2026-01-01T00:00:00.{index:09d}Z", sentence="", **about)
    assert memory.last == MAX_EVENTS + 5
    whole = memory.answer(None, None)
    assert (len(whole.events), whole.is_complete, whole.events[0].serial) == (MAX_EVENTS, False, 6)
    assert memory.answer(5, None).is_complete
    assert not memory.answer(4, None).is_complete
    assert memory.answer(None, "2026-01-01T00:00:00.000000005Z").is_complete
    assert not memory.answer(None, "2026-01-01T00:00:00.000000004Z").is_complete
    assert len(memory.answer(MAX_EVENTS, None).events) == 5
    assert memory.after(memory.last) == []


# ---------------------------------------------------------------------- asking


@pytest.fixture(name="answering")
def _answering(runtime: RuntimeFiles) -> Answering:
    runtime.prepare()
    return Answering(runtime)


async def test_one_that_hangs_is_seen_and_delays_no_other(
    folder: Path, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_TIMEOUT_S", 0.05)
    monkeypatch.setattr(Asker.ask, "__defaults__", ((), 0.05))
    runtime = answering.runtime
    asker = Asker(runtime)
    watch = Watch(Catalog(folder, runtime), asker, LOG)
    with runtime.hold("XX.A.Demo", folder / "a.yaml", 10.0):
        running = asyncio.create_task(watch.run())
        await until(lambda: "XX.A.Demo" in watch.known and watch.known["XX.A.Demo"].shown.value["state"] == "hung")
        shown = watch.known["XX.A.Demo"].shown.value
        assert shown["condition"] == "no data"
        assert "did not answer 'status'" in shown["sentence"]
        assert watch.events.after(0)[-1].condition == "no data"
        assert watch.known["XX.B.Demo"].shown.value["condition"] == "stopped"
        assert [known.key for known in watch.sorted_components()] == ["XX.A.Demo", "XX.B.Demo"]
        monkeypatch.setattr(asking, "_TIMEOUT_S", DEADLINE_S)  # from now on none is late
        monkeypatch.setattr(Asker.ask, "__defaults__", ((), DEADLINE_S))
        status: Any = {"state": "running", "streams": {"XX.A.00.HHZ": {"packets": 1, "rate_hz": 100.0, "gaps": 0}}}
        task = asyncio.create_task(answering.answer(*[encode_reply(status)] * 3))
        await until(lambda: watch.known["XX.A.Demo"].shown.value["condition"] == "well")
        await task
    await until(lambda: watch.known["XX.A.Demo"].shown.value["condition"] == "stopped")
    (folder / "b.yaml").unlink()
    await until(lambda: "XX.B.Demo" not in watch.known)
    running.cancel()
    await asyncio.wait([running])
    asker.close()


async def test_a_folder_that_cannot_be_read_is_logged_once(
    folder: Path, runtime: RuntimeFiles, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    watch = Watch(Catalog(folder, runtime), Asker(runtime), LOG)
    monkeypatch.setattr(RuntimeFiles, "keys", unreadable)
    await watch.list_now()
    await watch.list_now()
    assert not watch.is_listed.is_set()
    assert caplog.text.count("cannot be read: Permission denied") == 1


# ---------------------------------------------------------------------- orders


runtime_of_outside = pytest.fixture(outside_runtime.__wrapped__)  # type: ignore[attr-defined]  # the function of a fixture


async def test_a_component_is_started_restarted_and_stopped(runtime_of_outside: RuntimeFiles, tmp_path: Path) -> None:
    runtime = runtime_of_outside
    file = tmp_path / "station.yaml"
    file.write_text(outside.STATION)
    asker = Asker(runtime)
    watch = Watch(Catalog(file, runtime), asker, LOG)
    orders = Orders(watch, asker, runtime, LOG)
    await watch.list_now()
    (known,) = watch.known.values()

    async def state(command: Command) -> tuple[str, str]:
        done = await orders.do(known, command)
        return done.result, watch.known[known.key].shown.value["state"]

    with pytest.raises(Refused, match="does not run; start it first"):
        await state("pause")
    result, now = await state("start")
    assert result.startswith("started (pid ")
    assert now == "running"
    first = watch.known[known.key].target.running
    with pytest.raises(Refused, match="is already running") as refused:
        await state("start")
    assert refused.value.status == 409
    result, now = await state("restart")
    assert result.startswith("stopped (pid ")
    assert ", started (pid " in result
    assert now == "running"
    second = watch.known[known.key].target.running
    assert first is not None
    assert second is not None
    assert first.pid != second.pid
    orders._busy[known.key] = "restart"
    with pytest.raises(Refused, match="the command restart is still at work"):
        await state("stop")
    orders._busy.clear()
    result, now = await state("stop")
    assert (result, now) == (f"stopped (pid {second.pid})", "stopped")

    def reaped() -> bool:
        orders.reap()
        return not orders._children

    wait_for(reaped)
    with pytest.raises(Refused, match="is not running"):
        await state("stop")
    file.unlink()
    await watch.list_now()
    with pytest.raises(Refused, match="is in no valid station file"):
        await orders.do(known.__class__(Target(known.key, "x", None, None), None, 0), "start")
    asker.close()


@pytest.mark.parametrize(
    "status",
    [
        {"streams": {"no stream": {"packets": 1}, "XX.A.00.HHZ": {"packets": "many", "latency_s": None, "gaps": 2.5}}},
        {"streams": [], "publishers": {"x": 3, "y": {"subscribers": 7, "state": None}}, "receiver": 4},
        {"receiver": {"endpoints": [3, {"address": None}]}, "decimation": {"slow": {"streams": 3}}, "journal": []},
    ],
)
def test_what_another_version_says_is_shown_as_far_as_it_can_be(
    folder: Path, runtime: RuntimeFiles, status: Any
) -> None:
    known = Known(target_of(folder, runtime), None, 0)
    known.take({"state": "running", **status}, 0.1, MINUTE_NS, is_status=True)
    assert known.show(2)
    assert known.detail().state == "running"
    assert "no stream" not in known.streams
    known.take(b"bytes", 0.1, MINUTE_NS, is_status=True)
    known.show(3)
    assert "it answers b'bytes'" in known.shown.value["sentence"]


SERVERS: list[tuple[dict[str, Any], int | None]] = [
    ({"class": "ZMQTCPPublisher", "subscribers": [{}, {}]}, 2),
    ({"class": "RingPublisher", "client_count": 3, "clients": []}, 3),
    ({"class": "MiniSeedPublisher"}, None),
]


@pytest.mark.parametrize(("publisher", "readers"), SERVERS)
def test_readers_are_those_of_servers_too(
    folder: Path, runtime: RuntimeFiles, publisher: dict[str, Any], readers: int | None
) -> None:
    known = Known(target_of(folder, runtime), None, 0)
    known.take({"state": "running", "publishers": {"p": publisher}}, 0.1, MINUTE_NS, is_status=True)
    known.show(2)
    assert known.detail().publisher_list[0].readers == readers
    assert known.detail().readers == (readers or 0)


async def test_an_answer_that_finds_a_bug_is_logged_and_harms_no_other(
    folder: Path, answering: Answering, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug of the test")

    monkeypatch.setattr(Known, "take", broken)
    asker = Asker(answering.runtime)
    watch = Watch(Catalog(folder, answering.runtime), asker, LOG)
    with answering.runtime.hold("XX.A.Demo", folder / "a.yaml", 10.0):
        await watch.list_now()
        task = asyncio.create_task(answering.answer(encode_reply({})))
        with pytest.raises(RuntimeError, match="a bug of the test"):
            await watch.refresh(watch.known["XX.A.Demo"])
        await task
    assert "what XX.A.Demo says cannot be shown" in caplog.text
    assert "a bug of the test" in caplog.text
    asker.close()


async def test_columns_that_many_ask_for_at_once_are_refused_after_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_MOST_WAITING", 3)
    past = columns.PastColumns()
    grid = columns.Grid.over(0, 10**9, 10)
    asked = [past.answer(StreamId("XX", "A", "00", "HHZ"), grid, [], [], 0.0, "") for _ in range(5)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [each.status for each in answers if isinstance(each, Refused)] == [503, 503]
    assert [each.etag for each in answers if isinstance(each, columns.Answer)] == [answers[0].etag] * 3  # type: ignore[union-attr]
