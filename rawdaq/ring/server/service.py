"""A ring with its servers, opened and closed together: what a publisher and a hub have in common."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from rawdaq.errors import ComponentError
from rawdaq.protocols.datalink import ServerThread
from rawdaq.protocols.seedlink import ServerIdentity
from rawdaq.ring.ring import Ring
from rawdaq.ring.sending import Sender
from rawdaq.ring.server.connection import ServerConnection
from rawdaq.ring.server.datalink.session import DataLinkSession
from rawdaq.ring.server.datalink.view import DataLinkViews
from rawdaq.ring.server.isi.names import IsiNames
from rawdaq.ring.server.isi.session import IsiSession
from rawdaq.ring.server.pages import WEBSOCKETS, page
from rawdaq.ring.server.recognition import Spoken
from rawdaq.ring.server.seedlink.session import SeedLinkSession, SeedLinkViews
from rawdaq.ring.server.seedlink.view import TO_VERSION_3
from rawdaq.ring.server.session import Serving, Session
from rawdaq.ring.server.settings import ListenSettings, Rules, TlsSettings
from rawdaq.ring.server.status import serving_status
from rawdaq.ring.server.unconverted import Unconverted
from rawdaq.sockets.endpoint import host_port
from rawdaq.sockets.listener import Listener, listen
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.server.tls import server_context
from rawdaq.sockets.server.websocket import HttpServer
from rawdaq.store.errors import StoreError

_CHECK_S = 1.0
_TIDY_S = 300.0
_LINGER_S = 1.0  # how long the last packets may take on stop
_REFUSED_S = 60.0  # connections that are refused for the same reason are logged this often
_FILTERS: Final = (("native", "as stored"), (TO_VERSION_3, "as miniSEED 3"))


class Port(NamedTuple):
    """Where is listened, and what is served there.

    Attributes:
        listener: that listens.
        ip: its address.
        served: the protocols.
    """

    listener: Listener
    ip: str
    served: tuple[Spoken, ...]

    @property
    def port(self) -> int:
        """The port; where the system chose it, the one that it chose."""
        return self.listener.port


class RingService:
    """A ring, and the servers for it.

    Args:
        ring: not open yet.
        seedlink: where SeedLink is served; None: nowhere.
        datalink: where DataLink is served; the same address as SeedLink's serves both.
        isi: where ISI is served, also at the address of another.
        tls: how connections are encrypted; None: not at all.
        rules: who may do what.
        log: where it logs.
        clock: the time in nanoseconds.
    """

    def __init__(
        self,
        ring: Ring,
        seedlink: ListenSettings | None,
        datalink: ListenSettings | None,
        isi: ListenSettings | None,
        tls: TlsSettings | None,
        rules: Rules,
        log: logging.Logger,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.ring = ring
        self._listens = {Spoken.SEEDLINK: seedlink, Spoken.DATALINK: datalink, Spoken.ISI: isi}
        self._tls = tls
        self._rules, self._log, self._clock = rules, log, clock
        self._serving: Serving | None = None
        self._seedlink_views, self._datalink_views = SeedLinkViews(log), DataLinkViews()
        self._isi_names, self._not_isi = IsiNames(log), Unconverted(log, "ISI")
        self._unconverted = self._seedlink_views.unconverted, self._not_isi
        self._ports: list[Port] = []
        self._pages: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------ life

    async def open(self) -> None:
        """Open the ring and listen.

        Raises:
            ComponentError: the ring cannot be written, an address or a certificate cannot be used.
        """
        context = server_context(self._tls.certificate, self._tls.key) if self._tls is not None else None
        await self.ring.open()
        identity = ServerIdentity(
            self._rules.program,
            self._rules.organization,
            self._clock(),
            has_websocket=True,
            has_one_sequence=True,
            filters=_FILTERS,
        )
        sender = Sender(self.ring.reader)
        refusals = Refusals(self._log, what="client", interval_s=_REFUSED_S)
        self._serving = Serving(self.ring, sender, identity, self._rules, self._log, refusals, self._clock)
        self.ring.written.append(sender.written)
        try:
            for (ip, port), served in self._addresses().items():
                await self._listen(ip, port, tuple(served), context)
        except ComponentError:
            await self.aclose()
            raise

    def _addresses(self) -> Mapping[tuple[str, int], list[Spoken]]:
        """Return what is served at which address."""
        addresses: defaultdict[tuple[str, int], list[Spoken]] = defaultdict(list)
        for spoken, settings in self._listens.items():
            if settings is not None:
                addresses[settings.ip, settings.port].append(spoken)
        return addresses

    async def _listen(self, ip: str, port: int, served: tuple[Spoken, ...], context: ssl.SSLContext | None) -> None:
        must_encrypt = self._tls is not None and self._tls.required

        def connect() -> ServerConnection:
            return ServerConnection(self._served(), served, self._session, self._respond, context, must_encrypt)

        listener = await listen(connect, ip, port, f"TCP {host_port(ip, port)}", self._log)
        self._ports.append(Port(listener, ip, served))
        self._log.info("serving %s on %s", " and ".join(served), host_port(ip, listener.port))

    def _session(self, spoken: Spoken, connection: ServerConnection) -> Session:
        serving = self._served()
        if spoken is Spoken.SEEDLINK:
            return SeedLinkSession(connection, serving, self._seedlink_views)
        if spoken is Spoken.ISI:
            return IsiSession(connection, serving, self._isi_names, self._not_isi)
        return DataLinkSession(connection, serving, self._datalink_views, self._threads)

    def _served(self) -> Serving:
        if self._serving is None:
            raise ComponentError("the servers of the ring are not open")
        return self._serving

    def _respond(self, connection: ServerConnection, request: HttpServer) -> None:
        """Grant a WebSocket, or answer with a page."""
        path = (request.path or "").partition("?")[0].lower()
        spoken = WEBSOCKETS.get(path)
        if spoken is not None and spoken not in connection.served:
            request.respond(400, f"This port does not serve {spoken}.\n")
        elif spoken is not None:
            if request.accept():
                connection.upgrade(spoken)
        else:
            task = asyncio.get_running_loop().create_task(self._show(connection, request), name="page")
            self._pages.add(task)
            task.add_done_callback(self._pages.discard)

    async def _show(self, connection: ServerConnection, request: HttpServer) -> None:
        serving = self._serving
        if serving is None:
            return
        try:
            status, content_type, text = await page(serving, request.path or "/")
        except StoreError as error:
            status, content_type, text = 503, "text/plain", f"{error}\n"
        request.respond(status, text, content_type)
        connection.end()

    def _threads(self) -> list[ServerThread]:
        """Return the ports, as DataLink's INFO shows them."""
        tls = " TLS" if self._tls is not None else ""
        return [
            ServerThread(flags="ACTIVE", type=f"{family}: {' '.join(port.served)} HTTP{tls}", port=port.port)
            for port in self._ports
            for family in ["IPv6" if ":" in port.ip else "IPv4"]
        ]

    async def watch(self) -> None:
        """Look after slow clients, and log what was refused, until cancelled; raise when the ring does not work."""
        serving = self._serving
        if serving is None:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ring.watch())
            group.create_task(serving.refusals.log_regularly(_CHECK_S))
            group.create_task(self._check(serving))
            group.create_task(self._tidy())

    async def _check(self, serving: Serving) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_CHECK_S)
            for unconverted in self._unconverted:
                unconverted.check()
            for peer in list(serving.peers):
                peer.check(loop.time(), self._clock())

    async def _tidy(self) -> None:
        """Forget streams of which nothing is left."""
        while True:
            await asyncio.sleep(_TIDY_S)
            with contextlib.suppress(StoreError):  # those who need it now get the error
                await self.ring.reader.streams.states()

    async def stop(self) -> None:
        """Stop listening, and give clients a second for what they have not read; the ring stays open."""
        serving = self._serving
        for port in self._ports:
            port.listener.close()
        for port in self._ports:
            await port.listener.wait_closed()  # what is just being connected is ended with the others
        if serving is not None:
            await self._end_clients(serving)
            serving.sender.close()
            serving.refusals.log(at_once=True)
            for unconverted in self._unconverted:
                unconverted.check(at_once=True)
        self._ports.clear()
        self._serving = None

    async def aclose(self) -> None:
        """Stop, and close the ring; may be called twice.

        Raises:
            ComponentError: the disk refuses to take what was written last.
        """
        await self.stop()
        await self.ring.aclose()

    async def _end_clients(self, serving: Serving) -> None:
        closed = [peer.closed for peer in serving.peers]
        for peer in list(serving.peers):
            peer.end()
        if closed:
            _, late = await asyncio.wait(closed, timeout=_LINGER_S)
            for peer in list(serving.peers):
                peer.abort()
            if late:
                await asyncio.wait(late)

    # ------------------------------------------------------------------ status

    @property
    def ports(self) -> dict[str, int]:
        """The port of each protocol."""
        return {spoken.value.lower(): port.port for port in self._ports for spoken in port.served}

    def status(self) -> dict[str, object]:
        """Return what `status` shows: where is listened, the ring, and the clients."""
        serving = self._serving
        if serving is None:
            return {"path": str(self.ring.path)}
        addresses = {str(spoken): host_port(port.ip, port.port) for port in self._ports for spoken in port.served}
        return {"path": str(self.ring.path), "addresses": addresses, **serving_status(serving)}
