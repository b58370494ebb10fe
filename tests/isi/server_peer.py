"""A strict ISI server, written from the ISI protocol report alone: it serves as isid does, and misbehaves on demand.

It serves generic data by time windows and the reports. Native packets, requests by sequence numbers and the ring that
overtakes its reader are not in it: the first two get an ALERT, which `alert_clients` sends for the third.
"""

import asyncio
import contextlib
import os
import struct
import time
from collections.abc import AsyncGenerator, Callable, Sequence

from tests.isi.server_link import Link, Refused
from tests.isi.server_store import Cursor, Store, Stored
from tests.isi.wire import (
    BIG,
    GENERIC,
    INT32,
    PID,
    RECEIVE_BUFFER,
    SEND_BUFFER,
    TIMEOUT,
    Cause,
    Kind,
    Name,
    Rate,
    Request,
    pack_handshake,
    word,
)

_GARBAGE = b"\xa5\x7f\x90\xe9"
_LOOP_STATUS = 4
_CLOSE_S = 2.0  # a client that reads no more does not hold the server up


class IsiServerPeer:
    """The server and what it holds.

    Attributes:
        store: its streams.
        port: where it listens, 0 before it has started for the first time.
        pid: its own process number in the handshake.
        garbage: what it writes after the NULs in names.
        order: order of uncompressed samples, and what the descriptor says of it.
        lies_about_order: whether uncompressed samples come in the other order, as from isid.
        matches_nothing: whether it answers each data request as if there were no such stream.
        handshakes: the items of each client's handshake.
        requests: what each connection asked for.
        violations: what clients did that the C client never does.
        sent: how many packets were sent.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.store = Store(clock)
        self.port = 0
        self.pid = os.getpid()
        self.garbage = _GARBAGE
        self.order = BIG
        self.lies_about_order = False
        self.matches_nothing = False
        self.handshakes: list[dict[int, int]] = []
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.sent = 0
        self.speaks = asyncio.Event()
        self.speaks.set()
        self._cut: tuple[int, int] | None = None
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], Link] = {}

    @property
    def clients(self) -> int:
        """How many connections there are."""
        return len(self._links)

    @property
    def feeds(self) -> int:
        """How many connections there are whose data request was acknowledged."""
        return sum(link.is_fed for link in self._links.values())

    def declare(self, sta: str, chn: str, loc: str, rate: float | Rate) -> None:
        """Have a stream without packets."""
        self.store.declare(Name(sta, chn, loc), rate)

    def add(
        self,
        sta: str,
        chn: str,
        loc: str,
        tofs: float,
        rate: float | Rate,
        samples: Sequence[float],
        status: int = 1,
        kind: int = INT32,
    ) -> Stored:
        """Append a packet to a stream; waiting clients get it.

        A rate in Hz that the header cannot say exactly stands there as real servers round it, while the time of the
        last sample is by the true rate.
        """
        packet = self.store.add(Name(sta, chn, loc), tofs, rate, samples, status, kind)
        for link in self._links.values():
            link.grown.set()
        return packet

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncGenerator[int]:
        """Listen; yield the port."""
        await self.start()
        try:
            yield self.port
        finally:
            await self.stop()

    async def start(self) -> None:
        """Listen: on a free port, later on the same again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and close all connections without a word, as isid that is ended."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        await self.drop_clients()
        await server.wait_closed()

    async def restart(self) -> None:
        """Stop and start again, with the same data on the same port."""
        await self.stop()
        await self.start()

    async def drop_clients(self, *, reset: bool = False) -> None:
        """Close all connections without a word, with *reset* so that the client's next read fails."""
        tasks = [*self._links]
        for task, link in self._links.items():
            if reset:
                link.reset()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def alert_clients(self, cause: int) -> None:
        """Send an ALERT to all clients and close."""
        self.send_frame(Kind.ALERT, word(cause))
        await self.drop_clients()

    def send_frame(self, kind: int, payload: bytes = b"", *, tag: bytes = b"IACP") -> None:
        """Send a frame to all clients, with another tag if that is asked for."""
        for link in self._links.values():
            link.write(kind, payload, tag)

    def send_raw(self, data: bytes) -> None:
        """Send bytes to all clients, which need not be a frame."""
        for link in self._links.values():
            link.write_raw(data)

    def silence(self) -> None:
        """Answer nothing from now on; connections stay open, and new ones are taken."""
        self.speaks.clear()

    def speak(self) -> None:
        """End the silence: what was held back is sent."""
        self.speaks.set()

    def cut_next(self, size_bytes: int, kind: int = Kind.GENERIC_TS) -> None:
        """Send only *size_bytes* of the next frame of *kind*, and close that connection."""
        self._cut = size_bytes, kind

    async def send(self, link: Link, kind: int, payload: bytes = b"") -> None:
        """Send a frame to one client, as soon as there is no silence."""
        await self.speaks.wait()
        if self._cut is not None and self._cut[1] == kind:
            size, self._cut = self._cut[0], None
            link.write(kind, payload, size=size)
            raise ConnectionAbortedError("a frame was cut on demand")
        link.write(kind, payload)
        await link.writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        link = Link(reader, writer, self.violations)
        self._links[task] = link
        try:
            if self._server is not None:
                await self._answer_all(link)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            del self._links[task]
            await _close(writer)

    async def _answer_all(self, link: Link) -> None:
        try:
            items = await link.handshake()
            self.handshakes.append(items)
            mine = {PID: self.pid, TIMEOUT: link.timeout_ms}
            mine |= {item: items.get(item, 0) for item in (SEND_BUFFER, RECEIVE_BUFFER)}
            await self.send(link, Kind.HANDSHAKE, pack_handshake(mine))
            request = await link.request()
            self.requests.append(request)
            async with link.watching():
                await self._answer(link, request)
        except Refused as refused:
            for cause in refused.causes:
                await self.send(link, Kind.ALERT, word(cause))

    async def _answer(self, link: Link, request: Request) -> None:
        match request.kind:
            case Kind.REQ_TWIND:
                await self._feed(link, request)
            case Kind.REQ_SOH:
                await self._report(link, Kind.STREAM_SOH, [soh.pack(self.garbage) for soh in self.store.soh()])
            case Kind.REQ_CNF:
                await self._report(link, Kind.STREAM_CNF, [cnf.pack(self.garbage) for cnf in self.store.cnf()])
            case Kind.REQ_WFDISC:
                await self._report(link, Kind.WFDISC, self.store.wfdisc())
            case Kind.REQ_REPORT if request.report == _LOOP_STATUS:
                await self._report(link, Kind.REPORT_ENTRY, self._loops())
            case _:
                raise Refused(Cause.UNSUPPORTED)

    async def _report(self, link: Link, kind: int, entries: Sequence[bytes]) -> None:
        for entry in entries:
            await self.send(link, kind, entry)
        await self.send(link, Kind.NULL)
        await self.send(link, Kind.ALERT, word(Cause.COMPLETE))

    def _loops(self) -> list[bytes]:
        """Return the disk loop status of each site, of which only the site and the size are true."""
        sites = dict.fromkeys(name.sta for name in self.store.streams)
        return [struct.pack(">HI7s86x", _LOOP_STATUS, 93, Name(site, "", "").pack(self.garbage)[:7]) for site in sites]

    async def _feed(self, link: Link, request: Request) -> None:
        if request.format != GENERIC:
            raise Refused(Cause.UNSUPPORTED)
        windows = [] if self.matches_nothing else self.store.expand(request)
        cursors = [Cursor(self.store.streams[window.name], window) for window in windows]
        for kind, payload in request._replace(windows=tuple(windows)).frames(self.garbage):
            await self.send(link, kind, payload)
        if not windows:
            raise Refused(Cause.NONE)
        link.is_fed = True
        while True:
            link.grown.clear()
            if link.heartbeat_due_s <= 0:
                await self.send(link, Kind.NOP)
            while any([await self._send_next(link, cursor, request) for cursor in cursors]):
                pass
            if not any(cursor.is_continuous for cursor in cursors):
                raise Refused(Cause.COMPLETE)
            if link.is_ended:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(link.heartbeat_due_s, 0)):
                    await link.grown.wait()

    async def _send_next(self, link: Link, cursor: Cursor, request: Request) -> bool:
        """Send the next packet of a stream, and return whether there was one."""
        packet = cursor.take()
        if packet is None:
            return False
        payload = packet.pack(request.compress, self.order, lies=self.lies_about_order, garbage=self.garbage)
        await self.send(link, Kind.GENERIC_TS, payload)
        self.sent += 1
        return True


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        try:
            async with asyncio.timeout(_CLOSE_S):
                await writer.wait_closed()
        except TimeoutError:
            writer.transport.abort()
