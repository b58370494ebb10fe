"""Speaks ISI with one client: its windows become packets of the ring, its questions reports."""

import asyncio
import os
from collections.abc import Sequence
from itertools import chain
from typing import Final

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.isi import (
    Cause,
    Compression,
    DataRequest,
    DataRequested,
    IsiServer,
    Report,
    ReportRequested,
    ServerEvent,
    Window,
    Withdrawn,
)
from rawdaq.ring.server.connection import ServerConnection
from rawdaq.ring.server.isi.names import IsiNames
from rawdaq.ring.server.isi.reports import Reporter
from rawdaq.ring.server.isi.spans import IsiFollower, IsiView, Span, find_span
from rawdaq.ring.server.recognition import Spoken
from rawdaq.ring.server.session import Serving, Session
from rawdaq.ring.server.unconverted import Unconverted

_MAX_WINDOWS: Final = 100_000  # of streams, of one client
_MAX_PATTERNS: Final = 500  # of its names: each is compared with each stream
#: A client is shown that the server is there after this part of the silence that it bears: `check` comes each second.
_QUIET: Final = 1 / 3


class IsiSession(Session):
    """Speaks ISI. A connection has one request; it ends when that is served.

    Args:
        peer: the client.
        serving: what it shares with the others.
        names: of the streams.
        unconverted: records that cannot be what clients ask for.
    """

    spoken = Spoken.ISI

    def __init__(self, peer: ServerConnection, serving: Serving, names: IsiNames, unconverted: Unconverted) -> None:
        super().__init__(peer, serving)
        self._codec = IsiServer(os.getpid() & 0xFFFF_FFFF)
        self._names, self._unconverted = names, unconverted
        self._sent: tuple[int, float] = (0, 0.0)  # bytes, and when there were more
        self.has_ended = False

    @property
    def buffered_bytes(self) -> int:
        """How much is there of a request that is not whole yet."""
        return self._codec.buffered_bytes

    def receive(self, data: bytes) -> None:
        """Take what came."""
        try:
            for event in self._codec.receive_data(data):
                self.has_progressed = True
                self._take(event)
        except Withdrawn:
            self.peer.end()
        except RemoteProtocolError as error:
            self.serving.refusals.count("it does not keep to the protocol", self.peer.host, str(error))
            self._finish()
        self._flush()

    def _take(self, event: ServerEvent) -> None:
        match event:
            case ReportRequested(report):
                self.spawn(self._report(report))
            case DataRequested(request):
                self.spawn(self._serve(request))

    def _flush(self) -> None:
        if data := self._codec.data_to_send():
            self.peer.send([data])

    def _finish(self) -> None:
        """Send what is to be sent, and no more."""
        self._flush()
        self.unfollow()
        self.has_ended = True
        self.peer.finish()

    def late(self) -> None:
        """Say that the request has taken too long."""
        self._codec.send_alert(Cause.NONE)
        self._flush()

    def check(self, now_ns: int) -> None:
        """Show a client that the server is there when nothing was sent for a while."""
        now_s = asyncio.get_running_loop().time()
        sent_bytes, since_s = self._sent
        if self.peer.sent_bytes != sent_bytes:
            self._sent = self.peer.sent_bytes, now_s
        elif (
            self.follower is not None
            and not self.peer.is_full
            and now_s - since_s >= self._codec.timeout_ms / 1000 * _QUIET
        ):
            self._codec.send_heartbeat()
            self._flush()

    # ------------------------------------------------------------------ answers

    async def _report(self, report: Report) -> None:
        reader = self.serving.ring.reader
        streams = self._names.find(reader.streams.names)
        self.peer.note(f"gets a report by ISI: {report.name.lower()}")
        async for entries in Reporter(reader, self.serving.clock).entries(report, streams):
            self._codec.send_entries(entries)
            self._flush()
            await self.room()
        self._codec.end_report()
        self._finish()

    async def _serve(self, request: DataRequest) -> None:
        """Send the windows of all streams that are asked for, and then packets."""
        if sum(wanted.name.is_wild for wanted in request.windows) > _MAX_PATTERNS:
            self._deny(f"more than {_MAX_PATTERNS} patterns of streams")
            return
        windows, spans = await self._find(request.windows)
        if len(windows) > _MAX_WINDOWS:
            self._deny(f"more than {_MAX_WINDOWS} windows")
            return
        self.peer.note(f"gets {_shown(request.windows)} by ISI, {len(windows)} streams")
        self._codec.send_acceptance(request, windows)
        self._flush()
        if not spans:
            self._end()
            return
        is_compressed = request.compression != Compression.NONE
        view = IsiView(spans, is_compressed, self._codec.frame, self._unconverted.note)
        self.follow(IsiFollower(self.peer, view, list(chain.from_iterable(spans.values())), self._end))

    def _deny(self, reason: str) -> None:
        """End a client that asks for too much."""
        self._codec.send_alert(Cause.REQUEST_DENIED)
        self._flush()
        self.peer.fail(reason)

    async def _find(self, wanted: Sequence[Window]) -> tuple[list[Window], dict[str, list[Span]]]:
        """Return a window for each stream that is meant, and the packets of each stream in the ring."""
        reader = self.serving.ring.reader
        states = await reader.streams.states()
        streams = self._names.find(reader.streams.names)
        windows: list[Window] = []
        spans: dict[str, list[Span]] = {}
        for window in wanted:
            found = self._names.matching(window.name, streams)
            windows += [window._replace(name=called) for called in found]
            if len(windows) > _MAX_WINDOWS:
                break
            for name in chain.from_iterable(found.values()):
                span = await find_span(reader, window, name, states.get(name))
                if span is not None:
                    spans.setdefault(name, []).append(span)
        return windows, spans

    def _end(self) -> None:
        """Say that the client has all that it wants, also when that is nothing: on other words some ask for ever."""
        self._codec.send_alert(Cause.COMPLETE)
        self._finish()


def _shown(windows: Sequence[Window]) -> str:
    """Return what is asked for, for people."""
    names = [str(window.name) for window in windows[:5]]
    more = f" and {len(windows) - len(names)} more" if len(windows) > len(names) else ""
    return f"{', '.join(names) or 'nothing'}{more}"
