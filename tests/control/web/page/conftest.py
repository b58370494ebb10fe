"""A browser, and servers of the page for it."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest_asyncio
import uvicorn
from playwright.async_api import Browser
from starlette.applications import Starlette

from tests.control.web.page.browsers import Watched, browser
from tests.control.web.page.made_up_server import TOKEN, MadeUpServer

Open = Callable[..., Awaitable[Watched]]
OpenUrl = Callable[..., Awaitable[Watched]]
Serve = Callable[[Starlette], Awaitable[str]]


@pytest_asyncio.fixture(scope="session", loop_scope="session", name="chromium")
async def _chromium() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


@asynccontextmanager
async def served(app: Starlette) -> AsyncGenerator[str]:
    """Serve an application; yields its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, log_level="warning", ws="websockets-sansio", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest_asyncio.fixture(loop_scope="session", name="serve")
async def _serve() -> AsyncIterator[Serve]:
    """Serve applications, until the pages that the test opened are closed."""
    async with AsyncExitStack() as stack:
        yield lambda app: stack.enter_async_context(served(app))


@pytest_asyncio.fixture(loop_scope="session", name="open_url")
async def _open_url(chromium: Browser, serve: Serve) -> AsyncIterator[OpenUrl]:
    """Open an address, or what an application serves, in a context of its own; fail when something went wrong in it."""
    opened: list[Watched] = []
    async with AsyncExitStack() as stack:

        async def open_url(
            where: Starlette | str, path: str = "/", *, has_clock: bool = False, script: str = "", **options: Any
        ) -> Watched:
            url = where if isinstance(where, str) else await serve(where)
            size: dict[str, Any] = {"viewport": {"width": 1280, "height": 720}}
            context = await chromium.new_context(**(size | options))
            stack.push_async_callback(context.close)
            watched = Watched(await context.new_page(), url)
            watched.watch()
            opened.append(watched)
            if has_clock:  # time goes on by itself, and the test can wind it forward
                await watched.page.clock.install()
            await watched.page.add_init_script(script)
            await watched.page.goto(url + path)
            return watched

        yield open_url
    assert [line for watched in opened for line in watched.wrong] == []


@pytest_asyncio.fixture(loop_scope="session", name="open_page")
async def _open_page(open_url: OpenUrl) -> Open:
    """Open a view of a made-up server, as from the address that the command prints."""

    async def open_page(made_up: MadeUpServer, path: str = "/", *, token: str = TOKEN, **options: Any) -> Watched:
        watched = await open_url(made_up.url or made_up.app, f"{path}#token={token}", **options)
        made_up.url = watched.url
        return watched

    return open_page
