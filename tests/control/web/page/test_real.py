"""The page on the real server, with a component that publishes: live, after a loss, of the past, and commands."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq.control.web.components import watch
from rawdaq.control.web.live import hub
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.times import NS_PER_S
from tests.control.web.page.browsers import Watched
from tests.control.web.page.conftest import OpenUrl
from tests.control.web.server.served import TOKEN, Client, served
from tests.helpers import until
from tests.live import subscribed

pytestmark = pytest.mark.asyncio(loop_scope="session")

STATION = "/s/XX.DEMO"
#: Lets a test close the WebSockets of the page, as a network that fails does.
SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) { super(...given); window.sockets.push(this); }
};
"""
FIRST = "[aria-label^='trace of XX.DEMO.00.HHZ']"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[RuntimeFiles]:
    with RuntimeFiles(tmp_path / "run", tmp_path / "log") as files:
        yield files


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server look often: a test must not wait for seconds."""
    for name, seconds in (("_TICK_S", 0.02), ("_LIST_S", 0.05), ("_LOOKED_AT_S", 0.05), ("_OTHERS_S", 0.1)):
        monkeypatch.setattr(watch, name, seconds)
    monkeypatch.setattr(hub, "_LOOK_S", 0.05)


def live_of(client: Client) -> ZMQTCPPublisher:
    """Return the live publisher of the component."""
    found = client.station.publishers[0]
    assert isinstance(found, ZMQTCPPublisher)
    return found


async def opened(open_url: OpenUrl, client: Client, path: str, token: str = TOKEN) -> Watched:
    """Open a view of the real server, whose subscriber is there when this returns."""
    return await open_url(client.server.url, f"{path}#token={token}", script=SOCKETS)


async def test_live_traces_and_a_loss_without_a_seam(open_url: OpenUrl, tmp_path: Path, runtime: RuntimeFiles) -> None:
    async with served(tmp_path, runtime) as client:
        begin_ns = time.time_ns() - 62 * NS_PER_S
        await client.station.feed(1, begin_ns)  # now the rate of the stream is known
        watched = await opened(open_url, client, STATION)
        await subscribed(live_of(client))
        fed_ns = begin_ns + NS_PER_S

        async def feed_to(end_ns: int) -> None:
            nonlocal fed_ns
            seconds = (end_ns - fed_ns) // NS_PER_S
            await client.station.feed(seconds, begin_ns)
            fed_ns += seconds * NS_PER_S

        await feed_to(time.time_ns() - 20 * NS_PER_S)  # the page shows the last minute, however long it took to open
        await watched.until_painted(FIRST, 0.3)
        assert await watched.page.locator("#host").text_content() != ""
        assert await watched.axe() == []
        # The network fails, and data come meanwhile.
        await watched.page.evaluate("() => { for (const socket of window.sockets) socket.close(); }")
        await feed_to(time.time_ns())
        await watched.until_painted(FIRST, 0.55)
        await watched.until_whole(FIRST)
        await watched.leave()


async def test_the_right_token_lets_a_command_reach_the_component(
    open_url: OpenUrl, tmp_path: Path, runtime: RuntimeFiles
) -> None:
    async with served(tmp_path, runtime) as client:
        await client.station.feed(1, time.time_ns() - NS_PER_S)
        watched = await opened(open_url, client, STATION, "wrong")
        page = watched.page
        await page.get_by_role("heading", name="A token is needed").wait_for()
        await page.get_by_label("token", exact=True).fill(TOKEN)
        await page.get_by_role("button", name="Use it").click()
        await page.get_by_role("heading", name="DEMO/Demo").wait_for()
        await page.get_by_text("commands", exact=True).click()
        await page.get_by_role("button", name="pause").click()
        await page.get_by_role("dialog").get_by_role("button", name="pause").click()
        await page.get_by_text("DEMO/Demo: paused").wait_for()
        await page.get_by_role("button", name="resume").click()
        await page.get_by_text("DEMO/Demo: ").wait_for()
        await page.get_by_role("button", name="pause").wait_for()
        await watched.leave()
        watched.forgive("401 (Unauthorized)")  # a request may have gone before the connection was refused


async def test_the_past_comes_from_the_archive(open_url: OpenUrl, tmp_path: Path, runtime: RuntimeFiles) -> None:
    async with served(tmp_path, runtime) as client:
        begin_ns = 1_795_737_600 * NS_PER_S  # 2026-11-27
        await client.station.feed(3000, begin_ns, packet_s=100)
        await until(lambda: client.server.watch.by_stream())
        watched = await opened(open_url, client, f"{STATION}/00.HHZ/2026-11-27")
        page = watched.page
        await page.get_by_text("±", exact=False).first.wait_for()
        await page.get_by_role("link", name="00", exact=True).click()
        await watched.until_painted(FIRST, 0.8)
        async with page.expect_download() as downloading:
            await page.get_by_role("button", name="miniSEED of this window").click()
        download = await downloading.value
        assert download.suggested_filename == "XX.DEMO.00.HHZ_2026-11-27T000000.mseed"
        assert (await download.path()).stat().st_size > 1000
        await watched.leave()
