"""A browser, and a server of the page for it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import pytest_asyncio
import uvicorn
from starlette.applications import Starlette

from tests.control.web.page.browsers import Tabs, Watched, browser
from tests.control.web.page.made_up_server import TOKEN, MadeUpServer
from tests.helpers import until

Open = Callable[..., Awaitable[Watched]]
OpenUrl = Callable[..., Awaitable[Watched]]


class _Server(uvicorn.Server):
    """Leaves the signals to the tests that run while it serves."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class Site:
    """A server for all tests of a worker, whose address tabs remember; it shows one application after another.

    Attributes:
        url: where it is.
    """

    def __init__(self, listening: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self._listening = listening
        self._app = Starlette()
        config = uvicorn.Config(self._app, log_config=None, log_level="warning", ws="websockets-sansio", lifespan="off")
        self._server = _Server(config)

    def show(self, app: Starlette) -> None:
        """From now on, answer as an application does."""
        self._app.router.routes[:] = app.routes

    async def serve(self) -> None:
        """Serve until `stop` is called."""
        await self._server.serve([self._listening])

    def stop(self) -> None:
        """Let `serve` end."""
        self._server.should_exit = True

    async def hang_up(self) -> None:
        """Close the connections that tabs keep open, and those that a browser has asked for and not used yet."""
        connections = self._server.server_state.connections
        for _ in range(10):  # turns of the loop: a connection is accepted in one of them, and known in another
            await asyncio.sleep(0)
            for connection in list(connections):
                connection.shutdown()
            await until(lambda: not connections)


@pytest_asyncio.fixture(scope="session", loop_scope="session", name="tabs")
async def _tabs() -> AsyncIterator[Tabs]:
    async with browser() as running:
        yield Tabs(running)


@pytest_asyncio.fixture(scope="session", loop_scope="session", name="site")
async def _site() -> AsyncIterator[Site]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        site = Site(listening)
        serving = asyncio.create_task(site.serve())
        yield site
        site.stop()
        await serving


@pytest_asyncio.fixture(loop_scope="session", name="open_url")
async def _open_url(tabs: Tabs, site: Site) -> AsyncIterator[OpenUrl]:
    """Open an address, or what an application serves; fail when something went wrong in it.

    Only one page is open at a time, but for those that have a clock.
    """
    opened: list[Watched] = []
    own: list[Watched] = []

    async def open_url(
        where: Starlette | str, path: str = "/", *, has_clock: bool = False, script: str = "", **options: Any
    ) -> Watched:
        watched = await (tabs.new if has_clock else tabs.kept)(script, **options)
        opened.append(watched)
        if has_clock:  # time goes on by itself, and the test can wind it forward
            own.append(watched)
            await watched.page.clock.install()
        if isinstance(where, Starlette):
            site.show(where)
        watched.url = where if isinstance(where, str) else site.url
        await watched.page.goto(watched.url + path)
        return watched

    yield open_url
    for watched in opened:
        print(await watched.seen())  # pytest shows it beside a failure
        await (watched.close if watched in own else watched.leave)()
    await site.hang_up()
    wrong = [line for watched in opened for line in watched.forget()]
    assert wrong == []


@pytest_asyncio.fixture(loop_scope="session", name="open_page")
async def _open_page(open_url: OpenUrl) -> Open:
    """Open a view of a made-up server, as from the address that the command prints."""

    async def open_page(made_up: MadeUpServer, path: str = "/", *, token: str = TOKEN, **options: Any) -> Watched:
        return await open_url(made_up.app, f"{path}#token={token}", **options)

    return open_page
