"""What requests and the sockets of changes and logs say of a component that runs."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from rawdaq.control.web import models
from rawdaq.control.web.messages import Changes, LogMessage
from rawdaq.miniseed.reader import read_record
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.times import NS_PER_S, to_iso
from tests.control.web.server.served import BEGIN_NS, HHZ, KEY, Client, served
from tests.helpers import until


@pytest.fixture(name="client")
async def _client(tmp_path: Path, runtime: RuntimeFiles) -> AsyncIterator[Client]:
    async with served(tmp_path, runtime) as client:
        yield client


def at(seconds: float) -> str:
    return to_iso(BEGIN_NS + round(seconds * NS_PER_S), 9)


async def archived(client: Client, seconds: float) -> None:
    """Return when the archive has so much, and the server knows the stream."""
    await client.station.feed(seconds, BEGIN_NS)
    await client.station.delivered()
    await until(lambda: str(HHZ) in client.server.watch.by_stream())


async def columns(client: Client, **parameters: Any) -> tuple[float, float, Any, str]:
    answer = await client.http.get(f"/api/v1/streams/{HHZ}/columns", params=parameters)
    assert answer.status_code == 200, answer.text
    i, n, first_ms, per_s = struct.unpack_from("<IIdd", answer.content)
    assert i == 0
    values = np.frombuffer(answer.content, "<f4", offset=24).reshape(-1, 2)
    assert len(values) == n
    return first_ms, per_s, values, answer.headers["etag"]


async def test_columns_of_the_past_grow_with_the_archive(client: Client) -> None:
    await archived(client, 10)
    span: dict[str, Any] = {"start": at(0), "end": at(20), "columns": 20}
    first_ms, per_s, values, etag = await columns(client, **span)
    assert (first_ms, per_s) == (BEGIN_NS / 1e6, 1.0)
    assert values[:10].tolist() == [[100 * index, 100 * index + 99] for index in range(10)]
    assert np.isnan(values[10:]).all()
    url = f"/api/v1/streams/{HHZ}/columns"
    again = await client.http.get(url, params=span, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    await archived(client, 5)
    again = await client.http.get(url, params=span, headers={"If-None-Match": etag})
    assert again.status_code == 200
    _, _, values, _ = await columns(client, **span)
    assert values[14].tolist() == [1400, 1499]
    assert np.isnan(values[15:]).all()
    _, per_s, values, _ = await columns(client, start=at(-1.5), end=at(1.5), columns=2)
    assert values[1].tolist() == [0, 149]
    assert np.isnan(values[0]).all()
    assert per_s == pytest.approx(1 / 1.5)


async def test_columns_are_right_when_a_file_is_written_anew(client: Client, tmp_path: Path) -> None:
    await archived(client, 4)
    span = {"start": at(0), "end": at(4), "columns": 4}
    assert (await columns(client, **span))[2][3].tolist() == [300, 399]
    (file,) = (tmp_path / "archive").glob("*/*/*/*/*HHZ*")
    kept = file.read_bytes()
    file.unlink()
    file.write_bytes(kept[:512])
    assert np.isnan((await columns(client, **span))[2][3]).all()


async def test_columns_have_what_is_in_memory_and_not_archived_yet(tmp_path: Path, runtime: RuntimeFiles) -> None:
    live = ZMQTCPPublisher("127.0.0.1", 0, "live")
    async with served(tmp_path, runtime, publishers=[live]) as client, client.socket("/live") as talk:
        await client.station.feed(1, BEGIN_NS)
        await until(lambda: any(each.rate_hz for each in client.server.watch.sources().values()))
        await talk.say(streams=["XX.*"], column_ms=10)
        await until(lambda: any(each["topics"] for each in live.status()["subscribers"]))  # type: ignore[attr-defined]
        await client.station.feed(3, BEGIN_NS)
        await talk.read_until(lambda: talk.values()[-1:] == [399])
        _, _, values, _ = await columns(client, start=at(0), end=at(4), columns=4)
        assert values[1:].tolist() == [[100, 199], [200, 299], [300, 399]]


async def test_records_are_given_as_they_are_archived(client: Client, tmp_path: Path) -> None:
    await archived(client, 20)
    url = f"/api/v1/streams/{HHZ}/samples.mseed"
    answer = await client.http.get(url, params={"start": at(3), "end": at(4)})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.fdsn.mseed"
    assert f'filename="{HHZ}.' in answer.headers["content-disposition"]
    (file,) = (tmp_path / "archive").glob("*/*/*/*/*HHZ*")
    assert answer.content in file.read_bytes()
    info, content = read_record(answer.content[:512])
    assert info.name == str(HHZ)
    assert content.samples is not None
    assert 300 in content.samples
    none = await client.http.get(url, params={"start": at(-100), "end": at(-90)})
    assert none.status_code == 404
    assert "are archived here" in none.json()["error"]


async def test_a_download_that_is_too_large_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from rawdaq.control.web.archive import records

    await archived(client, 20)
    monkeypatch.setattr(records, "MAX_BYTES", 600)
    answer = await client.http.get(f"/api/v1/streams/{HHZ}/samples.mseed", params={"start": at(0), "end": at(20)})
    assert answer.status_code == 413
    assert "ask for a shorter time" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/components/XX.DEMO.No", 404),
        ("/components/XX.DEMO.No/log", 404),
        ("/streams/XX.DEMO.00.BHZ", 404),
        ("/streams/..%2f..%2fetc/columns?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z&columns=1", 404),
        ("/streams/a/columns?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z&columns=1", 404),
        ("/streams/a/columns?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z&columns=0", 400),
        ("/streams/a/columns?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z&columns=100001", 400),
        ("/streams/a/columns?start=2026-01-01T00:00:00Z&end=2026-03-01T00:00:00Z&columns=1", 400),
        ("/streams/a/columns?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z&columns=1", 400),
        ("/streams/a/columns?start=yesterday&end=2026-01-01T00:00:00Z&columns=1", 400),
        ("/streams/a/samples.mseed?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:01Z", 400),
        ("/streams?match=HHZ", 400),
        (f"/streams?match={'*' * 65}", 400),
        ("/streams?match=*&match=*", 400),
        ("/streams?mtach=*", 400),
        ("/components?problems=perhaps", 400),
        ("/events?after=-1", 400),
    ],
)
async def test_wrong_parameters_are_refused(shared: Client, path: str, status: int) -> None:
    answer = await shared.http.get(f"/api/v1{path}")
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


@pytest.fixture(name="shared")
async def _shared(tmp_path: Path, runtime: RuntimeFiles) -> AsyncIterator[Client]:
    """A server without a component and without a socket."""
    import httpx

    from rawdaq.control.web.service import Settings, WebServer
    from tests.control.web.server.served import LOG, TOKEN

    settings = Settings(tmp_path, ("127.0.0.1",), (), 0, ("localhost",), TOKEN, None, 60.0, True)
    server = WebServer(settings, runtime, LOG)
    await server.watch.list_now()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http:
        yield Client(http, server, None, runtime)  # type: ignore[arg-type]  # there is none
    await server.aclose()


async def test_lists_and_details_are_what_the_models_say(client: Client) -> None:
    await archived(client, 2)
    await until(lambda: client.server.watch.known[KEY].streams[str(HHZ)].value["samples"] == 200)
    listed = TypeAdapter(models.Components).validate_python(await client.get("/components"))
    (component,) = listed.components
    assert (component.key, component.state, component.has_live, component.has_archive) == (KEY, "running", True, True)
    assert component.coordinates == models.Coordinates(latitude_deg=46.5, longitude_deg=7.0)
    assert (component.station, component.streams, component.pid) == ("XX.DEMO", [str(HHZ)], os.getpid())
    assert (await client.get("/components", match="YY.*"))["components"] == []
    streams = TypeAdapter(models.Streams).validate_python(await client.get("/streams", match="*.HHZ")).streams
    assert [(each.id, each.component, each.rate_hz, each.samples) for each in streams] == [(str(HHZ), KEY, 100.0, 200)]
    assert (await client.get("/streams", match="*.HHN"))["streams"] == []
    detail = models.ComponentDetail.model_validate(await client.get(f"/components/{KEY}"))
    assert {each.name: each.class_name for each in detail.publisher_list} == {
        "live": "ZMQTCPPublisher",
        "archive": "MiniSeedPublisher",
    }
    assert [each.id for each in detail.stream_list] == [str(HHZ)]
    alone = models.StreamDetail.model_validate(await client.get(f"/streams/{HHZ}"))
    assert len(alone.latency.minutes_s) == 1
    health = models.Health.model_validate((await client.http.get("/api/v1/health")).json())
    assert health.well + health.late + health.no_data + health.stopped == 1
    metrics = await client.http.get("/api/v1/metrics")
    assert f'rawdaq_component_up{{component="{KEY}"}} 1.0' in metrics.text


async def test_a_pause_is_done_seen_and_remembered(client: Client) -> None:
    await until(lambda: client.server.watch.known[KEY].shown.value["condition"] == "well")
    async with client.socket("/changes") as talk:
        await talk.say(components=["XX.*"], details=[KEY], streams=["XX.*"])
        first = Changes.model_validate(await talk.next())
        assert first.is_all
        assert [each["key"] for each in first.components] == [KEY]
        assert [each.key for each in first.details] == [KEY]
        answer = await client.post(f"/components/{KEY}/pause")
        assert (answer.status_code, answer.json()) == (202, {"component": KEY, "command": "pause", "result": "paused"})
        events: list[models.Event] = []
        state = ""
        while not events or state != "paused":
            changes = Changes.model_validate(await talk.next())
            assert not changes.is_all
            events += changes.events
            for each in changes.components:
                assert each["key"] == KEY
                assert len(each) < 20  # only what has changed
                state = each.get("state", state)
        assert (events[0].condition, events[0].before, events[0].component) == ("late", "well", KEY)
        assert "paused by command" in events[0].sentence
    kept = models.Events.model_validate(await client.get("/events"))
    assert kept.is_complete
    assert kept.events[0] == events[0]
    assert (await client.get("/events", after=kept.events[-1].serial))["events"] == []
    assert (await client.get("/events", since=kept.events[0].time))["events"][0]["serial"] == kept.events[0].serial
    assert (await client.post(f"/components/{KEY}/resume")).json()["result"] == "running"
    level = await client.post(f"/components/{KEY}/log-level", {"level": "DEBUG"})
    assert level.json()["result"] == "DEBUG"
    await client.post(f"/components/{KEY}/log-level", {"level": "INFO"})
    assert (await client.post(f"/components/{KEY}/log-level", {"level": "LOUD"})).status_code == 400
    assert (await client.post(f"/components/{KEY}/log-level", {})).status_code == 400
    assert (await client.post(f"/components/{KEY}/start")).status_code == 409


async def test_streams_that_come_are_told(client: Client) -> None:
    async with client.socket("/changes") as talk:
        await talk.say(streams=["*.HHZ"])
        assert Changes.model_validate(await talk.next()).streams == []
        await client.station.feed(1, BEGIN_NS)
        seen: dict[str, Any] = {}
        while seen.get("samples") != 100:
            for each in Changes.model_validate(await talk.next()).streams:
                assert each["id"] == str(HHZ)
                seen |= each
        models.Stream.model_validate(seen)
        await client.station.feed(1, BEGIN_NS)
        while seen["samples"] != 200:
            for each in Changes.model_validate(await talk.next()).streams:
                seen |= each


LINES = [
    "2026-11-29T12:00:00.001Z INFO rawdaq.receivers.Demo one",
    "2026-11-29T12:00:00.002Z ERROR rawdaq.receivers.Demo two",
    "Traceback (most recent call last):",
    "  <script>alert(1)</script>",
    "2026-11-29T12:00:00.003Z DEBUG rawdaq.receivers.Demo three",
]


async def test_a_log_is_read_back_and_followed(client: Client) -> None:
    file = client.runtime.log_file(KEY)
    assert (await client.get(f"/components/{KEY}/log"))["lines"] == []
    file.write_text("".join(f"{line}\n" for line in LINES))
    log = models.Log.model_validate(await client.get(f"/components/{KEY}/log", lines=2))
    assert [(each.level, each.text) for each in log.lines] == [(None, LINES[3]), ("DEBUG", "three")]
    assert log.lines[1].time == "2026-11-29T12:00:00.003000000Z"
    before = models.Log.model_validate(await client.get(f"/components/{KEY}/log", before=log.before))
    assert [each.text for each in before.lines] == ["one", "two", LINES[2]]
    assert before.before is None
    errors = models.Log.model_validate(await client.get(f"/components/{KEY}/log", level="ERROR"))
    assert [each.text for each in errors.lines] == ["two", LINES[2], LINES[3]]
    async with client.socket(f"/log/{KEY}") as talk:
        await talk.say(lines=1, level="INFO")
        first = LogMessage.model_validate(await talk.next())
        assert [each.text for each in first.lines] == [LINES[3]]
        with file.open("a") as opened:
            opened.write("2026-11-29T12:00:00.004Z DEBUG rawdaq.x no\n2026-11-29T12:00:00.005Z INFO rawdaq.x fo")
            opened.flush()
            await asyncio.sleep(0)
            opened.write("ur\n")
        assert [each.text for each in LogMessage.model_validate(await talk.next()).lines] == ["four"]
        file.rename(file.with_suffix(".log.1"))
        file.write_text("2026-11-29T12:00:00.006Z WARNING rawdaq.x five\n")
        assert [each.text for each in LogMessage.model_validate(await talk.next()).lines] == ["five"]
        await talk.say(lines=0)
        assert LogMessage.model_validate(await talk.next()).lines == []


async def test_a_long_log_is_read_back_in_pieces(client: Client) -> None:
    lines = [f"2026-11-29T12:00:00.{index % 1000:03d}Z INFO rawdaq.x {index} {'x' * 60}" for index in range(4000)]
    client.runtime.log_file(KEY).write_text("".join(f"{line}\n" for line in lines))
    got: list[str] = []
    before: dict[str, int] = {}
    while True:
        log = models.Log.model_validate(await client.get(f"/components/{KEY}/log", lines=1000, **before))
        got = [each.text.split()[0] for each in log.lines] + got
        if log.before is None:
            break
        before = {"before": log.before}
    assert got == [str(index) for index in range(4000)]
