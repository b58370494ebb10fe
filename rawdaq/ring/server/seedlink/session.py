"""Speaks SeedLink with one client: its requests become places in the ring, its questions answers."""

import logging
from collections.abc import Sequence
from weakref import WeakValueDictionary

from rawdaq.errors import RemoteProtocolError
from rawdaq.miniseed.text import text_records
from rawdaq.protocols.seedlink import (
    AgentNamed,
    AuthRequested,
    CatalogRequested,
    CommandRefused,
    ErrorCode,
    Goodbye,
    InfoRequested,
    Refusal,
    SeedLinkServer,
    SeedLinkVersion,
    ServerEvent,
    Start,
    StationRequest,
    TransferRequested,
)
from rawdaq.ring.server.connection import ServerConnection
from rawdaq.ring.server.recognition import Spoken
from rawdaq.ring.server.seedlink.info import connections, stations
from rawdaq.ring.server.seedlink.starts import Starts
from rawdaq.ring.server.seedlink.view import SeedLinkFollower, SeedLinkView, Selection
from rawdaq.ring.server.session import MAX_REFUSED, Serving, Session, printable
from rawdaq.ring.server.unconverted import Unconverted

_MAX_PATTERNS = 500  # of stations, of one client: each is compared with each station
_BUSY = "it waits for an answer"
_FORGIVEN = "\r\n"  # WebSocket clients may leave out the line end

ViewKey = tuple[SeedLinkVersion, bool, tuple[tuple[str, object], ...]]


class SeedLinkViews:
    """The views of all clients; those who ask for the same share one.

    Args:
        log: where it is logged what a client cannot get.

    Attributes:
        unconverted: records that cannot be what clients ask for.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.unconverted = Unconverted(log, "miniSEED 3")
        self._views: WeakValueDictionary[ViewKey, SeedLinkView] = WeakValueDictionary()

    def get(self, version: SeedLinkVersion, requests: Sequence[StationRequest], is_websocket: bool) -> SeedLinkView:
        """Return the view of clients that ask for this."""
        key = version, is_websocket, tuple((each.station, each.selectors) for each in requests)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = SeedLinkView(version, requests, is_websocket, self.unconverted)
        return view


class SeedLinkSession(Session):
    """Speaks SeedLink.

    Args:
        peer: the client.
        serving: what it shares with the others.
        views: of all clients.
    """

    spoken = Spoken.SEEDLINK

    def __init__(self, peer: ServerConnection, serving: Serving, views: SeedLinkViews) -> None:
        super().__init__(peer, serving)
        self._codec = SeedLinkServer(serving.identity, lambda text, channel: text_records(text, channel))
        self._views = views
        self._refused = 0
        self.is_dial_up = False
        self.has_ended = False

    @property
    def version(self) -> SeedLinkVersion:
        """What the client speaks."""
        return self._codec.version

    @property
    def buffered_bytes(self) -> int:
        """How much is there of a command that is not whole yet."""
        return 0 if self._codec.is_waiting else self._codec.buffered_bytes

    def receive(self, data: bytes) -> None:
        """Take what came.

        Raises:
            RemoteProtocolError: the client broke the protocol.
        """
        if self.peer.is_websocket and not data.endswith((b"\r", b"\n")):
            data += _FORGIVEN.encode()
        self._receive(data)

    def _receive(self, data: bytes) -> None:
        if data.strip() and (b"\r" in data or b"\n" in data):
            self.has_progressed = True
        try:
            for event in self._codec.receive_data(data):
                self._take(event)
        finally:
            self._flush()

    def _flush(self) -> None:
        self.peer.send(self._codec.messages_to_send())

    def _take(self, event: ServerEvent) -> None:
        """Do what *event* says.

        Raises:
            RemoteProtocolError: the client says nothing that can be understood.
        """
        self._refused = self._refused + 1 if isinstance(event, CommandRefused) else 0
        match event:
            case AgentNamed(text):
                self.peer.name = printable(text)
            case AuthRequested():
                self._codec.send_auth(Refusal(ErrorCode.UNSUPPORTED, "this server knows no users"))
            case InfoRequested() | CatalogRequested():
                self.peer.hold(_BUSY)
                self.spawn(self._answer(event))
            case TransferRequested():
                self.spawn(self._transfer(event))
            case Goodbye():
                self._flush()
                self.peer.end()
            case _ if self._refused > MAX_REFUSED:
                raise RemoteProtocolError(f"more than {MAX_REFUSED} invalid commands in a row")
            case _:
                pass

    # ------------------------------------------------------------------ questions

    async def _answer(self, question: InfoRequested | CatalogRequested) -> None:
        serving = self.serving
        await self.room()
        if isinstance(question, CatalogRequested):
            self._codec.send_catalog(await stations(serving.ring.reader, None))
        elif _asks_connections(question) and self.peer.host not in serving.rules.trusted:
            self._codec.send_info_error(Refusal(ErrorCode.UNAUTHORIZED, "only trusted clients may see the others"))
        else:
            clients = connections(serving) if _asks_connections(question) else ()
            listed = await stations(serving.ring.reader, question.item) if _asks_stations(question) else ()
            self._codec.send_info(listed, clients, serving.clock())
        self.peer.release(_BUSY)
        self._receive(b"")  # commands that waited behind it

    # ------------------------------------------------------------------ packets

    async def _transfer(self, wanted: TransferRequested) -> None:
        requests = wanted.requests
        if Selection(requests).patterns > _MAX_PATTERNS:
            self.peer.fail(f"more than {_MAX_PATTERNS} patterns of stations")
            return
        self.is_dial_up = wanted.is_dial_up
        reader = self.serving.ring.reader
        stop = reader.end if wanted.is_dial_up else None
        starts = Starts(reader, self.version, requests)
        begins = await starts.find()
        self.peer.note(f"gets {_shown(requests)} by SeedLink {self.version}")
        if not begins or (
            wanted.is_dial_up and all(each.start is Start.NEXT and not each.begin_ns for each in requests)
        ):
            self._finish()
            return
        view = self._views.get(self.version, requests, self.peer.is_websocket)
        self.follow(
            SeedLinkFollower(
                self.peer,
                view,
                requests,
                begins,
                stop,
                lambda: reader.end,
                starts.names,
                self._finish,
                self.serving.clock,
            )
        )

    def _finish(self) -> None:
        """Send the client the end of all that it wanted."""
        self.unfollow()
        if not self.has_ended:
            self.has_ended = True
            self._codec.send_end()
            self._flush()

    def check(self, now_ns: int) -> None:
        """End a time window that is over although no data came that show it."""
        if isinstance(self.follower, SeedLinkFollower):
            self.follower.look_for_end()


def _asks_connections(question: InfoRequested) -> bool:
    """Whether clients are asked for."""
    return question.item in ("CONNECTIONS", "ALL")


def _asks_stations(question: InfoRequested) -> bool:
    """Whether stations are asked for."""
    return question.item != "CONNECTIONS"


def _shown(requests: Sequence[StationRequest]) -> str:
    """Return what is asked for, for people."""
    names = [request.station for request in requests[:5]]
    more = f" and {len(requests) - len(names)} more" if len(requests) > len(names) else ""
    return f"{', '.join(names)}{more}"
