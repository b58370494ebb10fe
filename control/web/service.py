"""The process of the web server: what runs in it from its start to its end."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rawdaq.control.machine.asking import Asker
from rawdaq.control.machine.catalog import Catalog
from rawdaq.control.rest.app import application
from rawdaq.control.rest.files import PageFiles
from rawdaq.control.rest.guard import Guard
from rawdaq.control.rest.server import RestServer
from rawdaq.control.rest.wrong_tokens import WrongTokens
from rawdaq.control.web.api import PageApi
from rawdaq.control.web.components.orders import Orders
from rawdaq.control.web.components.watch import Watch
from rawdaq.control.web.live.hub import Hub
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.process.signals import stopping_on_signal

PAGE = Path(__file__).parent / "page"
CHANGE_HEADER = "X-Rawdaq"

_ADDRESSES = ("/", "/s/*", "/logs/*", "/traces", "/map", "/clients")
_REAP_S = 5.0


class Settings(NamedTuple):
    """How the server runs.

    Attributes:
        config: the station file, or the folder of them, that is named; None: as for any command.
        hosts: the addresses to listen on.
        optional: those that this machine need not have.
        port: their port; 0: any free one.
        names: how it may be called.
        token: what requests must have.
        tls: encrypts; None: nothing is encrypted.
        history_s: how much of live streams is kept.
        is_health_open: whether ``/health`` needs no token.
    """

    config: Path | None
    hosts: Sequence[str]
    optional: Sequence[str]
    port: int
    names: Sequence[str]
    token: str
    tls: ssl.SSLContext | None
    history_s: float
    is_health_open: bool


class WebServer:
    """Serves the page and its interface.

    Args:
        settings: how.
        runtime: the files of the components.
        log: where it logs.

    Attributes:
        watch: the components.
        hub: their live streams.
        wrong_tokens: counts those that clients gave.
        app: what answers requests.
    """

    def __init__(self, settings: Settings, runtime: RuntimeFiles, log: logging.Logger) -> None:
        self._log = log
        self._asker = Asker(runtime)
        self.watch = Watch(Catalog(settings.config, runtime), self._asker, log)
        self.hub = Hub(self.watch.sources, settings.history_s, log)
        self._orders = Orders(self.watch, self._asker, runtime, log)
        self.wrong_tokens = WrongTokens(log)
        answers = self.watch, self.hub, self._orders, runtime, self.wrong_tokens
        api = PageApi(*answers, is_health_open=settings.is_health_open).api()
        guard = Guard(settings.token, settings.names, CHANGE_HEADER)
        page = PageFiles(PAGE, "/page/", "index.html", _ADDRESSES, {"/favicon.ico": "favicon.svg"})
        self.app = application(api, guard, log, page, self.wrong_tokens)
        self._server = RestServer(
            *(self.app, settings.hosts, settings.port, log),
            tls=settings.tls,
            has_sockets=True,
            optional=settings.optional,
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """Where it is, once it is open."""
        return self._server.url

    async def open(self) -> None:
        """Listen.

        Raises:
            ComponentError: an address cannot be used.
        """
        await self._server.open()

    async def serve(self) -> None:
        """Look after the components, and answer until `stop`; call it after `open`."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self.watch.run(), name="watch of components"),
            loop.create_task(self._reap(), name="ends of processes"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._note_end)
        try:
            await self._server.serve()
        finally:
            await self.aclose()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """Stop when a task has failed: a server that shows nothing new would deceive."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.critical("%s ended with %r", task.get_name(), error, exc_info=error)
            self.stop()

    @property
    def has_failed(self) -> bool:
        """Whether it stopped because of a bug."""
        return any(task.done() and not task.cancelled() for task in self._tasks)

    def stop(self) -> None:
        """Let `serve` return."""
        self._server.stop()

    async def aclose(self) -> None:
        """End all that runs beside the server."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.hub.aclose()
        self._asker.close()
        self.wrong_tokens.log()

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(_REAP_S)
            self._orders.reap()


async def run(settings: Settings, runtime: RuntimeFiles, log: logging.Logger, opened: Callable[[str], None]) -> int:
    """Serve until a signal; return the exit status.

    Args:
        settings: how.
        runtime: the files of the components.
        log: where it is logged.
        opened: called with its address once it listens.

    Raises:
        ComponentError: an address cannot be used.
    """
    server = WebServer(settings, runtime, log)
    await server.open()
    opened(server.url)
    with stopping_on_signal(server.stop):
        await server.serve()
    return 1 if server.has_failed else 0
