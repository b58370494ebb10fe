"""A strict ISI client, written from the ISI protocol report alone: it does what the C client does, its faults too.

It fails on everything on which the C client fails or goes wrong, and on sequence numbers, which that does not look at.
"""

import asyncio
import contextlib
import struct
import time
from typing import NamedTuple

from tests.helpers import DEADLINE_S
from tests.isi.entries import ENTRIES, Cnf, Packet, Soh, unpack_packet, unpack_wfdisc
from tests.isi.wire import (
    GENERIC,
    GZIP,
    IDA,
    MAX_DATA_BYTES,
    MAX_HANDSHAKE_BYTES,
    MIN_DELAY,
    MIN_GAP,
    NEWEST,
    PID,
    PREAMBLE,
    RECEIVE_BUFFER,
    SEND_BUFFER,
    TAG,
    TIMEOUT,
    TRAILER,
    Frame,
    Kind,
    Request,
    Window,
    from_word,
    pack_handshake,
    parse_specs,
    pieces,
    unpack_handshake,
    word,
)

#: The largest payload that the C client takes while it reads a list. That of REQ_REPORT is not known.
_LIST_LIMITS = {
    Kind.REQ_SOH: 144,
    Kind.REQ_CNF: 160,
    Kind.REQ_WFDISC: 568,
    Kind.REQ_REPORT: MAX_DATA_BYTES,
}
_GARBAGE = b"\xe9\x61\x6b\xa5\x7f\x01\x80"  # has no NUL, so nobody takes it for padding
DISK_LOOP_STATUS = 4


class IsiAlert(AssertionError):
    """The server sent an ALERT, and something else was awaited."""

    def __init__(self, cause: int) -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return f"ALERT {self.cause}: software caused connection abort"


class IsiClosed(AssertionError):
    """The server closed the connection, and something else was awaited."""

    def __init__(self, place: str, is_torn: bool) -> None:
        super().__init__(place, is_torn)
        self.place, self.is_torn = place, is_torn

    def __str__(self) -> str:
        return f"connection reset by peer {'inside' if self.is_torn else 'before'} a {self.place}"


class Acknowledgement(NamedTuple):
    """What the server says that it will send; after an ALERT it is empty, as the C client has it."""

    request: Request
    alert: int | None = None

    @property
    def windows(self) -> tuple[Window, ...]:
        """One for each stream."""
        return self.request.windows


class IsiClientPeer:
    """One client, which may connect again.

    Attributes:
        server: the items of the server's handshake by their number; the C client takes its timeout from there.
        acknowledged: what was acknowledged last.
        received: all packets, those of earlier connections too.
        nops: when heartbeats came, by time.monotonic().
        ignored: frames that the C client passes over.
    """

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        *,
        timeout_ms: int = 30000,
        pid: int = 0x4E51,
        garbage: bytes = _GARBAGE,
    ) -> None:
        self.port, self.host, self.timeout_ms, self.pid, self.garbage = port, host, timeout_ms, pid, garbage
        self.server: dict[int, int] = {}
        self.acknowledged = Acknowledgement(Request())
        self.received: list[Packet] = []
        self.nops: list[float] = []
        self.ignored: list[Frame] = []
        self._request = Request()
        self._windows: list[Window] = []
        self._complete: set[int] = set()
        self._sent = self._taken = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> "IsiClientPeer":
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def connect(self) -> None:
        """Connect and shake hands."""
        await self.aclose()
        async with asyncio.timeout(DEADLINE_S):
            self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
        self._sent = self._taken = 0
        items = {PID: self.pid, TIMEOUT: self.timeout_ms, SEND_BUFFER: 0, RECEIVE_BUFFER: 0}
        await self.send(Kind.HANDSHAKE, pack_handshake(items))
        frame = await self._frame(MAX_HANDSHAKE_BYTES)
        assert frame.kind == Kind.HANDSHAKE, f"the first frame has type {frame.kind}"
        self.server = unpack_handshake(frame.payload)
        assert self.server.get(TIMEOUT, self.timeout_ms) > 0, "the server gives no time for an answer"

    async def aclose(self) -> None:
        """Close the connection without a word, as the C client does."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def send(self, kind: int, payload: bytes = b"") -> None:
        """Send a frame in three pieces."""
        for piece in pieces(self._sent, kind, payload):
            await self.send_raw(piece)
        self._sent += 1

    async def send_raw(self, data: bytes) -> None:
        """Send any bytes, which no real client may send."""
        assert self._writer is not None, "not connected"
        self._writer.write(data)
        async with asyncio.timeout(DEADLINE_S):
            await self._writer.drain()

    async def request_report(self, kind: int, report: int = DISK_LOOP_STATUS) -> list[bytes]:
        """Ask for a report by REQ_SOH, REQ_CNF, REQ_WFDISC or REQ_REPORT; return its entries as they came.

        Raises:
            IsiAlert: there is an ALERT before the end of the list.
        """
        payload = {Kind.REQ_WFDISC: word(0), Kind.REQ_REPORT: struct.pack(">H", report)}
        await self.send(kind, payload.get(Kind(kind), b""))
        entry_kind, size = ENTRIES[Kind(kind)]
        entries: list[bytes] = []
        while (frame := await self._next(_LIST_LIMITS[Kind(kind)])).kind != Kind.NULL:
            assert frame.kind != Kind.ENOSUCH, "ENOSUCH: operation not supported"
            if frame.kind != entry_kind:
                self.ignored.append(frame)
                continue
            assert size in (None, len(frame.payload)), f"an entry of {len(frame.payload)} bytes, not {size}"
            _check_entry(frame)
            entries.append(frame.payload)
        _check_null(frame)
        return entries

    async def request_data(
        self,
        specs: str,
        begin: float,
        end: float,
        format: int = GENERIC,
        compress: int = IDA,
        policy: int = MIN_GAP,
        options: int = 0,
    ) -> Acknowledgement:
        """Ask for data of *specs*, ``sta.chn.loc+sta.chn.loc``; return what is acknowledged."""
        windows = tuple(Window(name, begin, end) for name in parse_specs(specs))
        return await self.request(Request(windows, format, compress, policy, options))

    async def request(self, request: Request) -> Acknowledgement:
        """Ask for data; return what is acknowledged."""
        for kind, payload in request.frames(self.garbage):
            await self.send(kind, payload)
        try:
            self.acknowledged = Acknowledgement(await self._acknowledgement(request))
        except IsiAlert as alert:
            # The C client takes this for a good end.
            self.acknowledged = Acknowledgement(Request(), alert.cause)
        self._request = self.acknowledged.request
        self._windows, self._complete = [*self._request.windows], set()
        return self.acknowledged

    async def _acknowledgement(self, request: Request) -> Request:
        for kind, payload in request._replace(windows=()).frames()[:-1]:
            frame = await self._next(MAX_DATA_BYTES)
            assert frame.kind == kind, f"the acknowledgement has type {frame.kind} where {kind} was asked for"
            assert frame.payload == payload, f"{kind} is acknowledged with {frame.payload.hex()}, not {payload.hex()}"
        windows: list[Window] = []
        asked = [*request.windows]
        while (frame := await self._next(MAX_DATA_BYTES)).kind == Kind.REQ_TWIND:
            window = Window.unpack(frame.payload)
            assert "*" not in window.name, f"{window.name} is acknowledged with an asterisk"
            while asked and not _answers(asked[0], window):
                del asked[0]
            assert asked, f"{window} is acknowledged, which was not asked for, or not here"
            windows.append(window)
        assert frame.kind == Kind.NULL, f"type {frame.kind} in the acknowledgement"
        _check_null(frame)
        return request._replace(windows=tuple(windows))

    async def packet(self) -> Packet:
        """Return the next packet.

        Raises:
            IsiAlert: the server sent an ALERT.
            IsiClosed: the server closed the connection.
        """
        while (frame := await self._next(MAX_DATA_BYTES)).kind != Kind.GENERIC_TS:
            self.ignored.append(frame)
        packet = unpack_packet(frame.payload)
        self.received.append(packet)
        self._update(packet)
        return packet

    async def packets(self, count: int) -> list[Packet]:
        """Return the next *count* packets."""
        return [await self.packet() for _ in range(count)]

    async def until_alert(self) -> tuple[list[Packet], int]:
        """Return the packets up to an ALERT, and its cause."""
        first = len(self.received)
        try:
            while True:
                await self.packet()
        except IsiAlert as alert:
            return self.received[first:], alert.cause

    async def until_closed(self) -> tuple[list[Packet], bool]:
        """Return the packets up to the end of the connection, and whether it came inside a frame."""
        first = len(self.received)
        try:
            while True:
                await self.packet()
        except IsiClosed as closed:
            return self.received[first:], closed.is_torn

    async def until_nops(self, count: int) -> None:
        """Return when *count* heartbeats have come one after the other, and nothing else."""
        for _ in range(count):
            frame = await self._frame(MAX_DATA_BYTES)
            assert frame.kind == Kind.NOP, f"type {frame.kind} came, no heartbeat"
            self._count_nop(frame)

    async def alert(self) -> int:
        """Return the cause of the ALERT that is next."""
        try:
            frame = await self._next(MAX_DATA_BYTES)
        except IsiAlert as alert:
            return alert.cause
        raise AssertionError(f"type {frame.kind} came, no ALERT")

    async def end(self) -> None:
        """Return when the server has closed; nothing may come before."""
        try:
            frame = await self._frame(MAX_DATA_BYTES)
        except IsiClosed as closed:
            if closed.is_torn:
                raise
            return
        raise AssertionError(f"type {frame.kind} came, no end")

    def resumed_request(self) -> Request:
        """Return what the C client asks for when it connects again.

        A stream with an absolute end counts as complete after its first packet, and a request for which there was no
        stream is forgotten: these are faults of the C client.
        """
        if not self._windows:
            return Request(compress=GZIP)
        windows = [window for index, window in enumerate(self._windows) if index not in self._complete]
        return self._request._replace(windows=tuple(windows), options=0)

    async def reconnect(self) -> Acknowledgement:
        """Connect again, at once, and go on as the C client does; return what is acknowledged."""
        request = self.resumed_request()
        await self.connect()
        return await self.request(request)

    def _update(self, packet: Packet) -> None:
        for index, window in enumerate(self._windows):
            if window.name == packet.name:
                beg = NEWEST if self._request.policy == MIN_DELAY else packet.tols + packet.rate.interval_s
                self._windows[index] = window._replace(beg=beg)
                if window.end >= packet.tofs:
                    self._complete.add(index)
                return

    async def _next(self, limit: int) -> Frame:
        """Return the next frame that is no heartbeat."""
        while (frame := await self._frame(limit)).kind == Kind.NOP:
            self._count_nop(frame)
        if frame.kind == Kind.ALERT:
            raise IsiAlert(from_word(frame.payload))
        return frame

    def _count_nop(self, frame: Frame) -> None:
        assert not frame.payload, f"a heartbeat of {len(frame.payload)} bytes"
        self.nops.append(time.monotonic())

    async def _frame(self, limit: int) -> Frame:
        tag, sequence, kind, size = PREAMBLE.unpack(await self._exactly(PREAMBLE.size, "preamble"))
        assert tag == TAG, f"a frame begins with {tag!r}"
        assert size <= limit, f"a payload of {size} bytes of type {kind}, the C client takes {limit}"
        payload = await self._exactly(size, "payload")
        trailer = await self._exactly(TRAILER.size, "trailer")
        assert trailer == bytes(TRAILER.size), f"the trailer of type {kind} is {trailer.hex(' ')}"
        assert sequence == self._taken, f"type {kind} has number {sequence}, not {self._taken}"
        self._taken += 1
        return Frame(sequence, kind, payload)

    async def _exactly(self, size: int, place: str) -> bytes:
        assert self._reader is not None, "not connected"
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._reader.readexactly(size)
        except TimeoutError:
            raise AssertionError(f"timeout: no {place} within {DEADLINE_S} s") from None
        except asyncio.IncompleteReadError as error:
            raise IsiClosed(place, place != "preamble" or bool(error.partial)) from None
        except ConnectionError:
            raise IsiClosed(place, place != "preamble") from None


def _answers(asked: Window, window: Window) -> bool:
    times = struct.pack(">dddd", asked.beg, asked.end, window.beg, window.end)
    return asked.name.selects(window.name) and times[:16] == times[16:]


def _check_null(frame: Frame) -> None:
    assert len(frame.payload) in (0, 4), f"a NULL of {len(frame.payload)} bytes"


def _check_entry(frame: Frame) -> None:
    match frame.kind:
        case Kind.STREAM_SOH:
            Soh.unpack(frame.payload)
        case Kind.STREAM_CNF:
            Cnf.unpack(frame.payload)
        case Kind.WFDISC:
            unpack_wfdisc(frame.payload)
        case _:
            (size,) = struct.unpack_from(">2xI", frame.payload)
            assert len(frame.payload) == 6 + size, f"a REPORT_ENTRY of {len(frame.payload)} bytes announces {size}"
