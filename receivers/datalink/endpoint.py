"""The connection of a DataLinkReceiver: it is opened again for ever, and the log says why there is none."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from rawdaq.datalink import DataLink, DataLinkError
from rawdaq.errors import ComponentError, ProtocolError
from rawdaq.outage import Outage
from rawdaq.sockets.client.address import ServerAddress
from rawdaq.sockets.dialling import GOOD_S, Backoff
from rawdaq.sockets.endpoint import Endpoint

_REMIND_S: Final = 600.0  # an outage that goes on for days is logged again this often


class LinkEndpoint(Endpoint):
    """Connects, reads until the connection ends, pauses, and connects again.

    Args:
        address: the server.
        make_link: makes the link of each attempt; raises `ComponentError` when that is impossible now.
        read: reads a link that is open; returns never, or raises why not.
        backoff: the pauses between attempts.
        log: where the lines go.

    Attributes:
        link: the link, None while there is none.
        connections: how many there were.
        last_failure: why the last one ended.
    """

    def __init__(
        self,
        address: ServerAddress,
        make_link: Callable[[], DataLink],
        read: Callable[[DataLink], Awaitable[None]],
        backoff: Backoff,
        log: logging.Logger,
    ) -> None:
        super().__init__(address.host, address.port)
        self.link: DataLink | None = None
        self.connections = 0
        self.last_failure: str | None = None
        self._server = address
        self._make_link, self._read = make_link, read
        self._backoff = backoff
        self._log = log
        self._outage = Outage(log, _REMIND_S)

    @property
    def address(self) -> str:
        """The server's address."""
        return str(self._server)

    async def open(self) -> None:
        """Nothing: an absent server is no reason not to start."""

    async def run(self) -> None:
        """Connect and read, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began_s, connections, reason = loop.time(), self.connections, "it ended"
            try:
                await self._connect_and_read()
            except (DataLinkError, ProtocolError, ComponentError) as error:
                reason = str(error).removeprefix(f"{self.address}: ")
            has_lasted = loop.time() - began_s >= GOOD_S
            if has_lasted:
                self._backoff.reset()
            pause_s = self._backoff.next_s()
            is_news = reason != self.last_failure or has_lasted or self._outage.is_due
            self.last_failure = reason
            self._outage.begin()
            line = ("%s: %s; trying again in %.1f s", self.address, reason, pause_s)
            if is_news or self.connections > connections:
                self._outage.log(*line)
            else:
                self._log.debug(*line)
            await asyncio.sleep(pause_s)

    async def _connect_and_read(self) -> None:
        link = self._make_link()
        try:
            await link.open()
            self.link = link
            self.connections += 1
            again = f" again after {self._outage.elapsed_s:.1f} s" if self._outage.is_on else ""
            self._log.info("connected to %s (%s)%s", self.address, link.identity.software, again)
            await self._read(link)
        finally:
            self.link = None
            await link.aclose()

    def has_begun(self) -> None:
        """Take note that packets come: the next outage is a new one, and its first pause a short one."""
        self._outage.clear()
        self._backoff.reset()

    async def aclose(self) -> None:
        """Nothing: the end of `run` closes the connection."""

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this endpoint."""
        return super().status() | {
            "connected": self.link is not None,
            "connections": self.connections,
            "server": None if self.link is None else self.link.identity.text,
            "last_failure": None if self.link is not None else self.last_failure,
        }
