"""A repeater served over REST in the test's own loop, a source of frames, and consumers."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import httpx
import zmq

from rawdaq.control.repeater.api import api
from rawdaq.control.repeater.config_file import FileReader
from rawdaq.control.repeater.machine import Repeater
from rawdaq.control.rest.app import application
from rawdaq.control.rest.guard import Guard
from rawdaq.control.rest.server import RestServer
from tests.helpers import until

LOG = logging.getLogger("rawdaq.repeater")
WRITER: dict[str, Any] = {"output_file": "/data/a.h5", "run_id": 1, "n_images": 10, "detector_name": "camera"}


def config(address: str, *outputs: tuple[str, str, float], **more: Any) -> dict[str, Any]:
    """Return a configuration of *outputs*: name, mode and parameter of each; ports are chosen by the system."""
    return {
        "in_address": address,
        "stream_names": [name for name, _, _ in outputs],
        "send_output_mode": [mode for _, mode, _ in outputs],
        "send_output_param": [parameter for _, _, parameter in outputs],
        "stream_ports": [0] * len(outputs),
        "zmq_modes": [8] * len(outputs),
        **more,
    }


def good(address: str = "tcp://127.0.0.1:9") -> dict[str, Any]:
    return config(address, ("store", "send_every_nth", 1), ("preview", "strides", 2))


def file_content(address: str = "tcp://127.0.0.1:9", **outputs: Any) -> dict[str, Any]:
    """Return what a configuration file says."""
    store = {"zmq_mode": "PUSH", "port": 0, "send_output_mode": "send_every_nth", "send_output_param": 1}
    source = {"name": "camera", "zmq_mode": "PULL", "address": address}
    return {"in-stream": source, "out-streams": outputs or {"store": store}}


class Client:
    """Asks a repeater.

    Attributes:
        machine: the repeater.
        http: for requests of any kind.
    """

    def __init__(self, machine: Repeater, http: httpx.AsyncClient) -> None:
        self.machine = machine
        self.http = http

    async def get(self, path: str) -> Any:
        return (await self.http.get(path)).json()

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await (self.http.post(path) if body is None else self.http.post(path, json=body))

    async def done(self, path: str, body: Any = None) -> Any:
        """Return the answer to a request that succeeds."""
        response = await self.post(path, body)
        assert (response.status_code, response.json()["response"]) == (200, "success"), response.text
        return response.json()

    def counters(self) -> Any:
        """Return the counters without a request."""
        return None if self.machine._run is None else self.machine._run.counters()

    async def outputs(self) -> dict[str, Any]:
        counters: Any = (await self.get("/get_status"))["counters"]["outputs"]
        return dict(counters)


@contextlib.asynccontextmanager
async def served(
    folder: Path | None = None, *, compat: bool = False, guard: Guard | None = None, by_http: bool = False
) -> AsyncGenerator[Client]:
    """Serve a repeater, over a socket if it is *by_http*; yield what asks it."""
    machine = Repeater(FileReader(folder or Path(), ignores_unknown=compat), LOG, is_compatible=compat)
    app: Any = application(api(machine, is_compatible=compat), guard or Guard(), LOG)
    try:
        if by_http:
            async with listening(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as http:
                yield Client(machine, http)
        else:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                yield Client(machine, http)
    finally:
        await machine.aclose()


@contextlib.asynccontextmanager
async def listening(app: Any) -> AsyncGenerator[str]:
    """Serve *app* in the running loop; yield its address."""
    server = RestServer(app, "127.0.0.1", 0, LOG)
    await server.open()
    serving = asyncio.create_task(server.serve())
    try:
        yield server.url
    finally:
        server.stop()
        await serving


@contextlib.contextmanager
def source(context: "zmq.Context[zmq.Socket[bytes]]", kind: int = zmq.PUSH) -> Generator[tuple[Any, str]]:
    """Give a source of frames that binds, and its address."""
    with context.socket(kind) as made:
        made.linger = 0
        made.sndhwm = 0
        made.bind("tcp://127.0.0.1:*")
        yield made, made.getsockopt_string(zmq.LAST_ENDPOINT)


def send(sender: Any, *numbers: int, data: bytes = b"data", **keys: Any) -> None:
    """Send frames."""
    for number in numbers:
        sender.send_multipart([json.dumps({"frame": number, **keys}).encode(), data])


@contextlib.contextmanager
def taking(context: "zmq.Context[zmq.Socket[bytes]]", address: str, kind: int = zmq.PULL) -> Generator[Any]:
    """Give a consumer."""
    with context.socket(kind) as made:
        made.linger = 0
        if kind == zmq.SUB:
            made.subscribe(b"")
        made.connect(address)
        yield made


async def taken(socket: Any, count: int) -> list[int]:
    """Return the numbers of *count* frames."""
    numbers: list[int] = []
    while len(numbers) < count:
        await until(lambda: socket.poll(0))
        numbers.append(json.loads(socket.recv_multipart()[0])["frame"])
    return numbers


def can_be_bound(port: int) -> bool:
    """Return whether another program could bind a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
