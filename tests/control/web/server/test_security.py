"""Who is let in: each wall of the server, by HTTP and by WebSocket."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rawdaq.control.rest import server as rest_server
from rawdaq.control.rest import sockets
from rawdaq.control.rest.routes import Refused
from rawdaq.control.rest.wrong_tokens import WrongTokens
from rawdaq.control.web.service import WebServer
from rawdaq.process.runtime_files import RuntimeFiles
from tests.control.web.server.served import LOG, TOKEN, web_server
from tests.helpers import until

RIGHT = {"Authorization": f"Bearer {TOKEN}"}
POST = {**RIGHT, "X-Rawdaq": "1", "Origin": "http://127.0.0.1:8710", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> WebServer:
    """A server that knows no component, and that does not listen."""
    folder = tmp_path_factory.mktemp("server")
    return WebServer(_settings(folder), RuntimeFiles(folder / "run", folder / "log"), LOG)


def _settings(folder: Path, **changes: Any) -> Any:
    from rawdaq.control.web.service import Settings

    given: dict[str, Any] = {
        **{"config": folder, "hosts": ("127.0.0.1",), "optional": (), "port": 0, "tls": None, "history_s": 60.0},
        **{"names": ("127.0.0.1", "localhost", "[::1]"), "token": TOKEN, "is_health_open": True},
    }
    return Settings(**given | changes)


def asking(made: WebServer, host: str = "127.0.0.1:8710") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(made.app), base_url=f"http://{host}")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": b"Bearer \xff"}, 401),
        (RIGHT, 200),
        ({**RIGHT, "Origin": "http://127.0.0.1:8710"}, 200),
        ({**RIGHT, "Origin": "https://127.0.0.1:8710"}, 403),
        ({**RIGHT, "Origin": "http://evil.example"}, 403),
        ({**RIGHT, "Origin": "null"}, 403),
        ({**RIGHT, "Origin": ""}, 403),
        ({**RIGHT, "Host": "evil.example"}, 421),
        ({**RIGHT, "Host": "127.0.0.1.evil.example:8710"}, 421),
        ({**RIGHT, "Host": ""}, 421),
        ({**RIGHT, "Host": "LOCALHOST:1"}, 200),
        ({**RIGHT, "Host": "[::1]:8710"}, 200),
    ],
)
async def test_a_question_needs_the_token_the_right_host_and_no_foreign_page(
    server: WebServer, headers: Any, status: int
) -> None:
    async with asking(server) as http:
        answer = await http.get("/api/v1/events", headers=headers)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["error"]
        assert TOKEN not in answer.text
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 404),  # of the component, behind all walls
        ({"Origin": None, "Sec-Fetch-Site": None}, 404),  # a program
        ({"X-Rawdaq": None}, 403),
        ({"X-Rawdaq": "0"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Authorization": None}, 401),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Host": "evil.example"}, 421),
    ],
)
async def test_a_command_needs_more(server: WebServer, changes: dict[str, str | None], status: int) -> None:
    given = {"Content-Type": "application/json", **POST} | changes
    headers = {name: value for name, value in given.items() if value is not None}
    async with asking(server) as http:
        answer = await http.post("/api/v1/components/XX.DEMO.No/stop", content=b"{}", headers=headers)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[]", 400), (b"{", 400), (b'{"a": 1}', 400), (b"{}" + b" " * (1 << 20), 413), (b"[" * 100_000, 400)],
)
async def test_a_body_is_bounded_and_checked(server: WebServer, body: bytes, status: int) -> None:
    async with asking(server) as http:
        answer = await http.post("/api/v1/components/XX.DEMO.No/stop", content=body, headers={**POST, **JSON})
    assert answer.status_code == status, answer.text


JSON = {"Content-Type": "application/json"}


async def test_health_is_open_on_loopback_only(tmp_path: Path, runtime: RuntimeFiles, server: WebServer) -> None:
    async with asking(server) as http:
        assert (await http.get("/api/v1/health")).status_code == 200
        assert (await http.get("/api/v1/health", headers={"Host": "evil.example"})).status_code == 421
    far = WebServer(_settings(tmp_path, is_health_open=False), runtime, LOG)
    async with asking(far) as http:
        assert (await http.get("/api/v1/health")).status_code == 401
    await far.aclose()


async def test_files_of_the_page_have_headers_that_keep_others_out(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rawdaq.control.web import service

    folder = tmp_path / "page"
    (folder / "app").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>")
    (folder / "app" / "main.js").write_text("1;")
    (tmp_path / "secret.js").write_text("2;")
    monkeypatch.setattr(service, "PAGE", folder)
    made = WebServer(_settings(tmp_path), RuntimeFiles(tmp_path / "run", tmp_path / "log"), LOG)
    async with asking(made) as http:
        for path in ("/", "/s/XX.DEMO/00.HHZ", "/logs/XX.DEMO.Demo", "/traces", "/map", "/clients"):
            page = await http.get(path)
            assert (page.status_code, page.text) == (200, "<!doctype html>"), path
        assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert page.headers["cross-origin-resource-policy"] == "same-origin"
        script = await http.get("/page/app/main.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        again = await http.get("/page/app/main.js", headers={"If-None-Match": script.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        (folder / "app" / "main.js").write_text("1 + 1;")
        again = await http.get("/page/app/main.js", headers={"If-None-Match": script.headers["etag"]})
        assert (again.status_code, again.text) == (200, "1 + 1;")
        for path in ("/page/../secret.js", "/page/%2e%2e/secret.js", "/page//etc/passwd", "/page/", "/page/app", "/x"):
            assert (await http.get(path)).status_code == 404, path
        assert (await http.get("/", headers={"Host": "evil.example"})).status_code == 421
        assert (await http.post("/")).status_code == 405
    await made.aclose()


# ---------------------------------------------------------------------- tokens that are tried


async def test_wrong_tokens_are_counted_and_after_a_few_answered_late(caplog: pytest.LogCaptureFixture) -> None:
    now_s, slept = [0.0], list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    wrong = WrongTokens(logging.getLogger("rawdaq.web"), lambda: now_s[0], sleep)
    for _ in range(5):
        await wrong.note("127.0.0.1")
    assert slept == []
    await wrong.note("127.0.0.1")
    assert slept == [2.0]
    now_s[0] = 61.0
    await wrong.note("127.0.0.1")
    assert slept == [2.0]
    assert wrong.count == 7
    assert [record.message for record in caplog.records] == [
        "refused a wrong token from 127.0.0.1: it is not that of this server",
        "refused 6 wrong tokens, the last one from 127.0.0.1: it is not that of this server",
    ]


async def test_late_answers_do_not_take_all_connections() -> None:
    go_on = asyncio.Event()

    async def sleep(_: float) -> None:
        await go_on.wait()

    wrong = WrongTokens(LOG, lambda: 0.0, sleep)
    notes = [asyncio.create_task(wrong.note("a")) for _ in range(22)]
    await until(lambda: sum(task.done() for task in notes) == 6)
    go_on.set()
    results = await asyncio.gather(*notes, return_exceptions=True)
    refused = [each for each in results if isinstance(each, Refused)]
    assert [each.status for each in refused] == [429]


async def test_requests_with_a_wrong_token_are_counted_and_those_without_are_not(server: WebServer) -> None:
    before = server.wrong_tokens.count
    async with asking(server) as http:
        for headers in ({}, {"Authorization": "Bearer no"}, RIGHT):
            await http.get("/api/v1/events", headers=headers)
        metrics = await http.get("/api/v1/metrics", headers=RIGHT)
    assert server.wrong_tokens.count == before + 1
    assert f"rawdaq_wrong_tokens_total {before + 1}.0" in metrics.text.splitlines()


# ---------------------------------------------------------------------- WebSockets


Opening = Callable[..., Any]


@pytest.fixture
async def opening(tmp_path: Path, runtime: RuntimeFiles) -> AsyncIterator[Opening]:
    """What opens a WebSocket of a server that listens."""
    async with web_server(tmp_path, runtime) as made:
        port = int(made.url.rpartition(":")[2])

        def opened(path: str = "/live", host: str = "127.0.0.1", **headers: str) -> connect:
            url = f"ws://{host}:{port}/api/v1{path}"
            return connect(url, additional_headers=headers, proxy=None, host="127.0.0.1", port=port)

        yield opened


async def code_of(socket: ClientConnection) -> tuple[int, str]:
    """Return why the server closes."""
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(30):
            await socket.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_a_foreign_page_or_host_gets_no_websocket(opening: Opening) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", ""):
        with pytest.raises(InvalidStatus) as refused:
            await opening(Origin=origin)
        assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        await opening(host="evil.example")
    assert refused.value.response.status_code == 421


async def test_the_first_message_must_have_the_token(opening: Opening) -> None:
    for first in ('{"token": "wrong"}', '{"token": 3}', "[]", "no", '{"token": "\\ud800"}'):
        async with opening() as socket:
            await socket.send(first)
            assert (await code_of(socket))[0] == sockets.WRONG_TOKEN


async def test_nothing_is_sent_before_the_token_and_it_must_come_soon(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_TOKEN_S", 0.05)
    async with opening("/changes") as socket:
        assert (await code_of(socket))[0] == sockets.WRONG_TOKEN


async def test_messages_are_bounded_texts_and_a_log_of_nothing_is_refused(opening: Opening) -> None:
    for message, code in ((b"\x00", 1003), ("x" * 70_000, 1009)):
        async with opening() as socket:
            await socket.send(json.dumps({"token": TOKEN}))
            await socket.recv()
            await socket.send(message)
            assert (await code_of(socket))[0] == code
    async with opening("/log/XX.DEMO.No") as socket:
        await socket.send(json.dumps({"token": TOKEN}))
        await socket.recv()
        assert await code_of(socket) == (4404, "there is no component 'XX.DEMO.No'")


async def test_the_number_of_websockets_is_bounded(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MAX_SOCKETS", 2)
    async with opening() as one, opening() as two:
        for socket in (one, two):
            await socket.send(json.dumps({"token": TOKEN}))
            await socket.recv()
        async with opening() as three:
            assert await code_of(three) == (sockets.TOO_MANY, "2 WebSockets are open; close one")


# ---------------------------------------------------------------------- connections


async def test_a_connection_that_sends_no_whole_request_is_closed(
    tmp_path: Path, runtime: RuntimeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_server, "_HEADERS_S", 0.05)
    async with web_server(tmp_path, runtime) as made:
        port = int(made.url.rpartition(":")[2])
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: a\r\nX: "):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            async with asyncio.timeout(30):
                assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()


async def test_a_connection_that_waits_between_two_requests_is_not(
    tmp_path: Path, runtime: RuntimeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_server, "_HEADERS_S", 0.5)  # which a request has to come in, too
    async with web_server(tmp_path, runtime) as made, httpx.AsyncClient(base_url=made.url, headers=RIGHT) as http:
        async with connect(f"{made.url.replace('http', 'ws')}/api/v1/changes", proxy=None) as socket:
            await socket.send(json.dumps({"token": TOKEN}))
            await socket.recv()
            end_s = time.monotonic() + 1.5  # some looks at the connections fall between two requests
            while time.monotonic() < end_s:
                assert (await http.get("/api/v1/events")).status_code == 200
            await socket.send("{}")
            assert json.loads(await socket.recv())["is_all"]
