"""Live samples reach a viewer: what is in memory first, then what comes, each sample once and none missing."""

import asyncio
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from rawdaq.control.rest import client as rest_client
from rawdaq.control.web.live import hub as hub_module
from rawdaq.control.web.live import viewer as viewer_module
from rawdaq.control.web.live.hub import Hub
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.stream_id import StreamId
from tests.control.web.server.served import BEGIN_NS, HHZ, KEY, Client, Talk, served
from tests.helpers import until
from tests.live import subscribed

SAMPLES = {"streams": ["XX.DEMO.*"], "window_s": 3600, "column_ms": 10}
HHN = StreamId.parse("XX.DEMO.00.HHN")


@pytest.fixture(autouse=True)
def _a_busy_machine_skips_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer_module, "_MAX_WAITING_S", 60.0)


def live_publisher(client: Client) -> ZMQTCPPublisher:
    found = client.station.publishers[0]
    assert isinstance(found, ZMQTCPPublisher)
    return found


async def is_known(client: Client, *streams: StreamId) -> None:
    """Return when the server knows the rates of *streams*."""
    sources = client.server.watch.sources
    await until(lambda: all((source := sources().get(each)) and source.rate_hz for each in streams))


async def test_past_and_live_meet_for_a_second_viewer(tmp_path: Path, runtime: RuntimeFiles) -> None:
    async with served(tmp_path, runtime) as client, client.socket("/live") as first:
        await client.station.feed(1, BEGIN_NS)
        await is_known(client, HHZ)
        await first.say(**SAMPLES)
        await subscribed(live_publisher(client))
        await client.station.feed(20, BEGIN_NS)
        await first.read_until(lambda: len(first.values()) == 2000)
        async with client.socket("/live") as second:
            feeding = asyncio.create_task(client.station.feed(30, BEGIN_NS))
            await second.say(**SAMPLES)
            await second.read_until(lambda: len(second.values()) == 5000)
            await feeding
            await first.read_until(lambda: len(first.values()) == 5000)
        assert first.values() == second.values() == list(range(100, 5100))
        assert first.table[0].kind == "samples"
        streams = first.told[0]["streams"]  # it is told again when the publisher answers after a second only
        assert all(each["streams"] == streams and each["left_out"] == 0 for each in first.told + second.told)
        await until(lambda: client.server.watch.known[KEY].shown.value["readers"] == 1)
        shown = await client.get(f"/components/{KEY}")
        assert shown["publisher_list"][0]["address"] == live_publisher(client).address


async def test_columns_are_asked_for_by_their_width(tmp_path: Path, runtime: RuntimeFiles) -> None:
    async with served(tmp_path, runtime) as client, client.socket("/live") as talk:
        await client.station.feed(1, BEGIN_NS)
        await is_known(client, HHZ)
        await talk.say(**SAMPLES | {"column_ms": 300})
        await subscribed(live_publisher(client))
        await client.station.feed(8, BEGIN_NS)

        def columns(i: int) -> dict[float, list[float]]:
            return {
                first_ms + 160 * index: pair.tolist()
                for first_ms, _, values in talk.blocks.get(i, [])
                for index, pair in enumerate(values)
            }

        await talk.read_until(lambda: columns(0) and max(high for _, high in columns(0).values()) == 899)
        assert (talk.table[0].kind, talk.table[0].column_ms) == ("columns", 160)
        begin_ms = BEGIN_NS / 1e6
        assert columns(0)[begin_ms + 1120] == [112, 127]
        await talk.say(**SAMPLES | {"column_ms": 640})  # another zoom: all of the past again, in its columns
        await talk.read_until(lambda: talk.blocks.get(1))
        first_ms, per_s, values = talk.blocks[1][0]
        assert (first_ms, per_s) == (begin_ms + 640, 1000 / 640)
        assert values[1].tolist() == [128, 191]


async def test_a_stream_that_comes_later_is_added_and_another_rate_gets_another_number(
    tmp_path: Path, runtime: RuntimeFiles
) -> None:
    async with served(tmp_path, runtime) as client, client.socket("/live") as talk:
        await client.station.feed(1, BEGIN_NS)
        await is_known(client, HHZ)
        await talk.say(**SAMPLES)
        await talk.read_until(lambda: talk.told)
        await subscribed(live_publisher(client))
        await client.station.feed(1, BEGIN_NS, HHN, 50.0)
        await talk.read_until(lambda: len(talk.table) == 2)
        assert {each.id: each.rate_hz for each in talk.table.values()} == {str(HHZ): 100.0, str(HHN): 50.0}
        assert talk.table[0].id == str(HHZ)
        await subscribed(live_publisher(client), 2)  # the old one, until the new one has brought something
        await client.station.feed(1, BEGIN_NS, HHN, 50.0)
        await talk.read_until(lambda: talk.values(1)[-1:] == [99])
        await subscribed(live_publisher(client))
        client.station._indices.clear()
        await client.station.feed(1, BEGIN_NS, HHZ, 200.0)
        await talk.read_until(lambda: 2 in talk.table and talk.values(2))
        assert talk.table[2].rate_hz == 200.0
        assert [each["id"] for each in talk.told[-1]["streams"]] == [str(HHN), str(HHZ)]


async def test_a_viewer_learns_why_there_is_nothing_to_see(tmp_path: Path, runtime: RuntimeFiles) -> None:
    async with served(tmp_path, runtime, publishers=[]) as client, client.socket("/live") as talk:
        await client.station.feed(1, BEGIN_NS)
        await until(lambda: client.server.watch.sources())
        await talk.say(streams=["XX.*"])
        await talk.read_until(lambda: talk.told)
        assert talk.told[0]["streams"] == []
        assert "has no live publisher; add one" in talk.told[0]["missing"][KEY]
        await talk.say(streams=["HHZ"])
        await talk.read_until(lambda: len(talk.told) == 2)
        assert "can name no stream" in talk.told[1]["problem"]["error"]
        await talk.say(streams=[], window=3)
        await talk.read_until(lambda: len(talk.told) == 3)
        assert "window: Extra inputs are not permitted" in talk.told[2]["problem"]["error"]


async def test_publishers_are_left_some_time_after_the_last_viewer(
    tmp_path: Path, runtime: RuntimeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, runtime) as client:
        await client.station.feed(1, BEGIN_NS)
        await is_known(client, HHZ)
        async with client.socket("/live") as talk:
            await talk.say(**SAMPLES)
            await subscribed(live_publisher(client))
        await until(lambda: not client.server.hub._viewers)
        client.server.hub.look()
        assert any(feed.wanted for feed in client.server.hub._feeds)
        monkeypatch.setattr(hub_module, "_LINGER_S", 0.0)
        await subscribed(live_publisher(client), 0)
        await until(lambda: client.server.hub._looking is None)
        assert not any(feed.wanted for feed in client.server.hub._feeds)
        assert client.server.hub.memory_of(HHZ) is None


async def test_a_viewer_that_is_too_slow_learns_what_it_missed_and_one_that_takes_nothing_is_cut(
    tmp_path: Path, runtime: RuntimeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client stops reading; what is dropped for it is said, and what follows is right."""
    monkeypatch.setattr(viewer_module, "_MAX_WAITING_BYTES", 1 << 18)
    async with served(tmp_path, runtime) as client, client.socket("/live") as talk:
        await client.station.feed(0.5, BEGIN_NS, rate_hz=400.0)
        await is_known(client, HHZ)
        await talk.say(**SAMPLES)
        await talk.read_until(lambda: talk.told)
        await subscribed(live_publisher(client))
        viewer = next(iter(client.server.hub._viewers))
        talk.socket.transport.pause_reading()
        memory = client.server.hub.memory_of(HHZ)
        assert memory is not None
        while not viewer._skipped_s:  # 50 s a packet: the system takes some megabytes
            await client.station.feed(50, BEGIN_NS, rate_hz=400.0, packet_s=50)
            await until(lambda: memory._samples.count == client.station._indices[HHZ] - 200)
        talk.socket.transport.resume_reading()
        await talk.read_until(lambda: any(each.get("skipped_s", 0) > 0 for each in talk.told[1:]))
        last = client.station._indices[HHZ] - 1
        await talk.read_until(lambda: talk.blocks[0][-1][2][-1] == last)
        monkeypatch.setattr(rest_client, "_STUCK_S", 0.05)
        talk.socket.transport.pause_reading()
        while client.server.hub._viewers:
            await client.station.feed(50, BEGIN_NS, rate_hz=400.0, packet_s=50)
            await until(lambda: memory._samples.count == client.station._indices[HHZ] - 200)
        talk.socket.transport.resume_reading()
        with pytest.raises(ConnectionClosed):
            await talk.read_until(lambda: False)


async def test_a_hub_without_a_client_leaves_nothing_behind(tmp_path: Path, runtime: RuntimeFiles) -> None:
    async with served(tmp_path, runtime) as client:
        await client.station.feed(1, BEGIN_NS)
        await is_known(client, HHZ)
        hub: Hub = client.server.hub
        talk: Talk
        async with client.socket("/live") as talk:
            await talk.say(**SAMPLES)
            await subscribed(live_publisher(client))
            client.server.stop()
            with pytest.raises(ConnectionClosed) as closed:
                await talk.read_until(lambda: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        await until(lambda: not hub._viewers)
