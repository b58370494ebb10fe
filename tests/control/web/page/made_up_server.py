"""A server of the page with made-up contents: what the real one says, of a thousand stations or of none."""

import asyncio
import fnmatch
import json
import math
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.control.web.page.made_up import RATE_HZ, Contents, Json, detail, signal, text_of

PAGE = Path(__file__).resolve().parents[4] / "control" / "web" / "page"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TOKEN = "made-up"
MEMORY_MS = 120_000
TICK_S = 0.1
MOST_SAMPLES_PER_COLUMN = 4


def now_ms() -> float:
    """Return this machine's time."""
    return time.time_ns() / 1e6


class MadeUpServer:
    """Answers as docs/web.md says.

    Attributes:
        contents: what it says; tests change it, then call `tell`.
        commands: what was posted: path and body.
        is_refusing: whether connections are closed as soon as they come.
    """

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.commands: list[tuple[str, Json]] = []
        self.is_refusing = False
        self.live_from_ms = 0.0  # nothing before it is in the memory
        self.archive_to_ms = math.inf  # nothing after it is in the archive
        self._open: set[WebSocket] = set()
        self._changed: dict[WebSocket, asyncio.Event] = {}

    @property
    def app(self) -> Starlette:
        """The application."""
        views = ["/", "/s/{rest:path}", "/logs/{rest:path}", "/traces", "/map", "/clients"]
        return Starlette(
            routes=[
                *(Route(path, self._index) for path in views),
                Route("/page/{name:path}", self._file),
                Route("/api/v1/components", self._components),
                Route("/api/v1/components/{key}", self._component),
                Route("/api/v1/components/{key}/log", self._log),
                Route("/api/v1/components/{key}/{command}", self._command, methods=["POST"]),
                Route("/api/v1/streams", self._streams),
                Route("/api/v1/streams/{id}", self._stream),
                Route("/api/v1/streams/{id}/columns", self._columns),
                Route("/api/v1/events", self._events),
                WebSocketRoute("/api/v1/changes", self._ws(self._serve_changes)),
                WebSocketRoute("/api/v1/live", self._ws(self._serve_live)),
                WebSocketRoute("/api/v1/log/{key}", self._ws(self._serve_log)),
            ]
        )

    # ------------------------------------------------------------------ what tests do

    async def drop(self) -> None:
        """Close all WebSockets, as a network that fails."""
        for socket in list(self._open):
            await socket.close(1012)

    @property
    def viewers(self) -> int:
        """How many WebSockets of traces are open."""
        return sum(socket.url.path.endswith("/live") for socket in self._open)

    def tell(self) -> None:
        """Send what the contents are now."""
        for changed in self._changed.values():
            changed.set()

    # ------------------------------------------------------------------ files and REST

    async def _index(self, _: Request) -> Response:
        headers = {"Content-Security-Policy": CSP, "Cache-Control": "no-store"}
        return FileResponse(PAGE / "index.html", headers=headers)

    async def _file(self, request: Request) -> Response:
        path = PAGE / request.path_params["name"]
        kind = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}.get(path.suffix)
        # Files do not change while tests run, and what a tab keeps need not be sent again.
        headers = {"Cache-Control": "max-age=3600"}
        return FileResponse(path, headers=headers, media_type=kind) if path.is_file() else Response(status_code=404)

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {TOKEN}":
            return None
        return JSONResponse({"error": "the token is wrong", "remedy": "give the right one"}, 401)

    async def _components(self, request: Request) -> Response:
        found = [
            one for one in self.contents.components.values() if one["number"] or "problems" not in request.query_params
        ]
        body = {
            "time": text_of(now_ms()),
            "host": "host1",
            "version": "0",
            "components": found,
            "mistakes": self.contents.mistakes,
        }
        return self._refusal(request) or JSONResponse(body)

    async def _component(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse(self._detail(request.path_params["key"]))

    async def _log(self, request: Request) -> Response:
        body = {"lines": self.contents.lines[:3], "before": None, "file": "/x.log", "note": None}
        return self._refusal(request) or JSONResponse(body)

    async def _command(self, request: Request) -> Response:
        is_ours = request.headers.get("x-rawdaq") == "1" and request.headers["content-type"] == "application/json"
        assert is_ours, request.headers
        key, command = request.path_params["key"], request.path_params["command"]
        self.commands.append((f"{key}/{command}", await request.json()))
        done = {"component": key, "command": command, "result": f"it did {command}"}
        return self._refusal(request) or JSONResponse(done, 202)

    async def _streams(self, request: Request) -> Response:
        found = [one for one in self.contents.streams.values() if one["number"]]
        return self._refusal(request) or JSONResponse({"time": text_of(now_ms()), "streams": found})

    def _no_stream(self, request: Request) -> Response | None:
        if request.path_params["id"] in self.contents.streams:
            return None
        return JSONResponse({"error": "there is no such stream", "remedy": "/streams lists them"}, 404)

    async def _stream(self, request: Request) -> Response:
        if (refusal := self._refusal(request) or self._no_stream(request)) is not None:
            return refusal
        found = self.contents.streams[request.path_params["id"]]
        minutes = [0.2 + (k * 37 % 11) / 20 if k % 50 else None for k in range(700)]
        latency = {"begin": text_of(now_ms() - 700 * 60_000), "minutes_s": minutes}
        return JSONResponse(found | {"latency": latency})

    async def _columns(self, request: Request) -> Response:
        start, end = (
            float(np.datetime64(request.query_params[name].rstrip("Z"), "us").astype(np.int64)) / 1000
            for name in ("start", "end")
        )
        count = int(request.query_params["columns"])
        step_ms = (end - start) / count
        block = self._block_of_columns(
            0, request.path_params["id"], start, min(end, now_ms(), self.archive_to_ms), step_ms, count
        )
        refusal = self._refusal(request) or self._no_stream(request)
        return refusal or Response(block, media_type="application/octet-stream")

    async def _events(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse({"events": self.contents.events, "is_complete": True})

    def _detail(self, key: str) -> Json:
        of = self.contents.components[key]
        return detail(of, [self.contents.streams[name] for name in of["streams"]])

    # ------------------------------------------------------------------ WebSockets

    def _ws(self, serve: Callable[[WebSocket, Json], Awaitable[None]]) -> Any:
        """Return what asks for the token, then serves each request until the next one."""

        async def handle(socket: WebSocket) -> None:
            await socket.accept()
            if self.is_refusing:
                await socket.close(1012)
                return
            self._open.add(socket)
            serving: asyncio.Task[Any] | None = None
            try:
                if (await socket.receive_json()).get("token") != TOKEN:
                    await socket.close(4401)
                    return
                await socket.send_json({"welcome": {"time": text_of(now_ms()), "version": "0"}})
                while True:
                    asked = await socket.receive_json()
                    if serving:
                        serving.cancel()
                    serving = asyncio.create_task(_serving(serve, socket, asked))
            except (WebSocketDisconnect, RuntimeError):
                pass
            finally:
                self._open.discard(socket)
                self._changed.pop(socket, None)
                if serving:
                    serving.cancel()
                    await asyncio.gather(serving, return_exceptions=True)

        return handle

    async def _serve_changes(self, socket: WebSocket, asked: Json) -> None:
        changed = self._changed[socket] = asyncio.Event()
        while True:
            names = [name for name in self.contents.streams if _matches(name, asked["streams"])]
            message = {
                **{"time": text_of(now_ms()), "is_all": True, "components": list(self.contents.components.values())},
                **{"streams": [self.contents.streams[name] for name in names], "gone": [], "gone_streams": []},
                **{"details": [self._detail(key) for key in asked["details"]], "events": []},
            }
            await socket.send_text(json.dumps(message))
            await changed.wait()
            changed.clear()

    async def _serve_log(self, socket: WebSocket, _: Json) -> None:
        await socket.send_json({"lines": self.contents.lines, "note": None, "skipped": 0})

    async def _serve_live(self, socket: WebSocket, asked: Json) -> None:
        names = [name for name in self.contents.streams if _matches(name, asked["streams"])]
        column_ms = 10 * 2 ** max(0, int(np.log2(asked["column_ms"] / 10))) if asked["column_ms"] >= 10 else 10
        is_columns = asked["column_ms"] * RATE_HZ / 1000 > MOST_SAMPLES_PER_COLUMN
        common: Json = {"rate_hz": RATE_HZ, "kind": "columns" if is_columns else "samples"}
        common |= {
            "history_s": MEMORY_MS / 1000,
            "sample_type": "float32" if is_columns else "int32",
            "column_ms": column_ms if is_columns else None,
        }
        table = [{"i": i, "id": name, **common} for i, name in enumerate(names)]
        await socket.send_json({"streams": table, "missing": {}, "left_out": 0})
        past_ms = min(MEMORY_MS, asked["window_s"] * 1000)
        sent = _ceil(max(now_ms() - past_ms, self.live_from_ms) * RATE_HZ / 1000)
        while True:
            end = int(now_ms() * RATE_HZ / 1000)
            if is_columns:
                blocks = [self._live_columns(i, name, sent, end, column_ms) for i, name in enumerate(names)]
            else:
                blocks = [block for i, name in enumerate(names) for block in self._samples(i, name, sent, end)]
            await socket.send_bytes(b"".join(blocks))
            sent = end
            await asyncio.sleep(TICK_S)

    # ------------------------------------------------------------------ blocks

    def _samples(self, i: int, name: str, first: int, end: int) -> Iterator[bytes]:
        for begin, stop in self.contents.parts(first, end):
            header = struct.pack("<IIdd", i, stop - begin, begin * 1000 / RATE_HZ, RATE_HZ)
            yield header + signal(name, begin, stop - begin).astype("<i4").tobytes()

    def _live_columns(self, i: int, name: str, first: int, end: int, column_ms: float) -> bytes:
        start = np.floor(first * 1000 / RATE_HZ / column_ms) * column_ms
        stop = end * 1000 / RATE_HZ
        return self._block_of_columns(i, name, start, stop, column_ms, max(1, _ceil((stop - start) / column_ms)))

    def _block_of_columns(self, i: int, name: str, start: float, end: float, step_ms: float, count: int) -> bytes:
        pairs = np.full((count, 2), np.nan, dtype="<f4")
        for begin, stop in self.contents.parts(_ceil(start * RATE_HZ / 1000), _ceil(end * RATE_HZ / 1000)):
            # Of long columns some samples are enough.
            stride = max(1, int(step_ms * RATE_HZ / 1000 / 20))
            values = signal(name, begin, stop - begin, stride).astype(np.float32)
            column = (
                ((np.arange(begin, stop, stride) * 1000 / RATE_HZ - start) // step_ms)
                .astype(np.int64)
                .clip(0, count - 1)
            )
            edges = np.flatnonzero(np.r_[True, column[1:] != column[:-1]])
            pairs[column[edges], 0] = np.minimum.reduceat(values, edges)
            pairs[column[edges], 1] = np.maximum.reduceat(values, edges)
        return struct.pack("<IIdd", i, count, start, 1000 / step_ms) + pairs.tobytes()


async def _serving(serve: Callable[[WebSocket, Json], Awaitable[None]], socket: WebSocket, asked: Json) -> None:
    await serve(socket, asked)


def _ceil(number: float) -> int:
    return int(np.ceil(number))


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
