"""A browser, and servers of the page for it."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest_asyncio
import uvicorn
from playwright.async_api import Browser

from tests.control.web.browsers import Watched, browser
from tests.control.web.made_up_server import TOKEN, MadeUpServer

Open = Callable[..., Awaitable[Watched]]
Serve = Callable[[MadeUpServer], Awaitable[str]]


@pytest_asyncio.fixture(scope="session", loop_scope="session", name="chromium")
async def _chromium() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


@asynccontextmanager
async def served(made_up: MadeUpServer) -> AsyncGenerator[str]:
    """Serve the page with made-up contents; yields the address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            made_up.app, log_config=None, log_level="warning", ws="websockets-sansio", lifespan="off"
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        await made_up.drop()
        server.should_exit = True
        await serving


@pytest_asyncio.fixture(loop_scope="session", name="serve")
async def _serve() -> AsyncIterator[Serve]:
    """Serve the page with made-up contents, until the pages that the test opened are closed."""
    async with AsyncExitStack() as stack:
        yield lambda made_up: stack.enter_async_context(served(made_up))


@pytest_asyncio.fixture(loop_scope="session", name="open_page")
async def _open_page(chromium: Browser, serve: Serve) -> AsyncIterator[Open]:
    """Open a view of a server, each in a context of its own; fail when something went wrong in one of them."""
    opened: list[Watched] = []
    async with AsyncExitStack() as stack:

        async def open_page(
            made_up: MadeUpServer, path: str = "/", *, token: str = TOKEN, has_clock: bool = False, **options: Any
        ) -> Watched:
            size: dict[str, Any] = {"viewport": {"width": 1280, "height": 720}}
            context = await chromium.new_context(**(size | options))
            stack.push_async_callback(context.close)
            url = made_up.url or await serve(made_up)
            made_up.url = url
            watched = Watched(await context.new_page(), url)
            watched.watch()
            opened.append(watched)
            if has_clock:  # time goes on by itself, and the test can wind it forward
                await watched.page.clock.install()
            await watched.go(path, token)
            return watched

        yield open_page
    assert [line for watched in opened for line in watched.wrong] == []
