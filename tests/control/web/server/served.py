"""A component and the web server in the test's own loop, and what asks it."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from rawdaq.control.web.messages import LiveStream
from rawdaq.control.web.service import Settings, WebServer
from rawdaq.packet import Packet
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.publisher import Publisher
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, sample_time
from tests.control.web.server.messages import Blocks, parsed
from tests.helpers import until
from tests.servers import Idle, serving

TOKEN = "a-token-of-the-tests"
KEY = "XX.DEMO.Demo"
HHZ = StreamId.parse("XX.DEMO.00.HHZ")
#: A quarter of an hour ago, and the beginning of a column of any width that tests ask for.
BEGIN_NS = (time.time_ns() // (64 * NS_PER_S) - 15) * 64 * NS_PER_S
LOG = logging.getLogger("rawdaq.web")

STATION = """
station: {{network: XX, code: DEMO, location: "00", latitude_deg: 46.5, longitude_deg: 7}}
Demo:
  Receiver: {{class: RawReceiver, host: 127.0.0.1, port: 1, channels: {{1: HHZ, 2: HHN}}}}
  Publishers:
    live: {{class: ZMQTCPPublisher, ip: 127.0.0.1, port: 9004}}
    archive: {{class: MiniSeedPublisher, path: {archive}}}
"""


class Station(Idle):
    """A component that publishes what the test gives it."""

    def __init__(self, publishers: Sequence[Publisher]) -> None:
        super().__init__(publishers)
        self.name = "Demo"
        self._indices: dict[StreamId, int] = {}

    async def feed(
        self, seconds: float, begin_ns: int, stream: StreamId = HHZ, rate_hz: float = 100.0, packet_s: float = 0.5
    ) -> None:
        """Publish samples that count up, from *begin_ns* on or after those before."""
        size = round(packet_s * rate_hz)
        for _ in range(round(seconds / packet_s)):
            index = self._indices.get(stream, 0)
            self._indices[stream] = index + size
            samples = np.arange(index, index + size, dtype="i4")
            await self.publish(Packet(stream, sample_time(begin_ns, index, rate_hz), rate_hz, samples))


class Client:
    """Asks the server.

    Attributes:
        http: for requests, with the token.
        server: the server.
        station: the component.
    """

    def __init__(self, http: httpx.AsyncClient, server: WebServer, station: Station, runtime: RuntimeFiles) -> None:
        self.http, self.server, self.station, self.runtime = http, server, station, runtime

    async def get(self, path: str, **parameters: Any) -> Any:
        """Return the JSON of a request that succeeds."""
        answer = await self.http.get(f"/api/v1{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        """Return the answer to a command."""
        return await self.http.post(f"/api/v1{path}", json=body or {}, headers={"X-Rawdaq": "1", **headers})

    @contextlib.asynccontextmanager
    async def socket(self, path: str, token: str = TOKEN) -> AsyncGenerator["Talk"]:
        """Give a WebSocket whose token was accepted."""
        url = self.server.url.replace("http", "ws")
        async with connect(f"{url}/api/v1{path}", max_size=None, proxy=None) as opened:
            await opened.send(json.dumps({"token": token}))
            talk = Talk(opened)
            welcome = await talk.next()
            assert set(welcome["welcome"]) == {"time", "version"}
            yield talk


class Talk:
    """One WebSocket.

    Attributes:
        socket: it.
        table: the streams by number, as the last table said.
        blocks: all blocks so far, by stream.
        told: all other messages so far.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.table: dict[int, LiveStream] = {}
        self.blocks: dict[int, Blocks] = {}
        self.told: list[dict[str, Any]] = []

    async def say(self, **message: Any) -> None:
        """Send a message."""
        await self.socket.send(json.dumps(message))

    async def next(self) -> Any:
        """Return the next message, as JSON or as bytes."""
        async with asyncio.timeout(30):
            message = await self.socket.recv()
        return json.loads(message) if isinstance(message, str) else message

    async def read(self) -> None:
        """Read one message of ``/live``."""
        message = await self.next()
        if isinstance(message, bytes):
            for i, blocks in parsed(message, self.table).items():
                self.blocks.setdefault(i, []).extend(blocks)
            return
        self.told.append(message)
        if "streams" in message:
            self.table |= {each["i"]: LiveStream.model_validate(each) for each in message["streams"]}

    async def read_until(self, is_enough: Any) -> None:
        """Read messages until *is_enough* returns something true."""
        while not is_enough():
            await self.read()

    def values(self, i: int = 0) -> list[int]:
        """Return all samples of a stream so far."""
        return [value for _, _, values in self.blocks.get(i, []) for value in values.tolist()]


@contextlib.asynccontextmanager
async def served(
    folder: Path,
    runtime: RuntimeFiles,
    *,
    publishers: Sequence[Publisher] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Client]:
    """Run a component and a server that knows it."""
    file = folder / "demo.yaml"
    file.write_text(STATION.format(archive=folder / "archive"))
    runtime.prepare()
    given = publishers
    if given is None:
        archive = MiniSeedPublisher(folder / "archive", flush_after_s=0.0, name="archive")
        given = [ZMQTCPPublisher("127.0.0.1", 0, "live"), archive]
    station = Station(given)
    station.command_address = runtime.command_address(KEY)
    with runtime.hold(KEY, file, 10.0, log_file=runtime.log_file(KEY)):
        async with serving(station), web_server(file, runtime, **(settings or {})) as server:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30, trust_env=False) as http:
                await until(lambda: KEY in server.watch.known and server.watch.known[KEY].answered.asked_ns)
                yield Client(http, server, station, runtime)


@contextlib.asynccontextmanager
async def web_server(config: Path, runtime: RuntimeFiles, **changes: Any) -> AsyncGenerator[WebServer]:
    """Run a server on a port of its own."""
    settings = Settings(
        config=config,
        hosts=("127.0.0.1",),
        optional=(),
        port=0,
        names=("127.0.0.1", "localhost"),
        token=TOKEN,
        tls=None,
        history_s=60.0,
        is_health_open=True,
    )
    server = WebServer(settings._replace(**changes), runtime, LOG)
    await server.open()
    task = asyncio.create_task(server.serve())
    try:
        yield server
    finally:
        server.stop()
        await task
