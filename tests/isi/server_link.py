"""A connection of the ISI server of the tests: frames in and out, and the requests, read as strictly as can be."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncGenerator

from tests.isi.wire import (
    GENERIC,
    GZIP,
    KEEPUP,
    MAX_DATA_BYTES,
    MAX_HANDSHAKE_BYTES,
    MAX_SIGNATURE_BYTES,
    MIN_GAP,
    MINISEED,
    NATIVE,
    PID,
    PREAMBLE,
    RECEIVE_BUFFER,
    SEND_BUFFER,
    TAG,
    TIMEOUT,
    TRAILER,
    Cause,
    Frame,
    Kind,
    Request,
    Window,
    from_word,
    pieces,
    unpack_handshake,
)

_TIMEOUT_MS = 30000
_REPORTS = {Kind.REQ_SOH: 0, Kind.REQ_CNF: 0, Kind.REQ_WFDISC: 4, Kind.REQ_REPORT: 2}
_DEFAULTS = {Kind.REQ_FORMAT: GENERIC, Kind.REQ_COMPRESS: GZIP, Kind.REQ_POLICY: MIN_GAP, Kind.REQ_OPTIONS: 0}


class Refused(Exception):
    """The client is told these causes, one after the other, and the connection is closed."""

    def __init__(self, *causes: int) -> None:
        super().__init__(*causes)
        self.causes = causes


class Link:
    """One connection.

    Attributes:
        timeout_ms: what the client offered.
        grown: set when there is something to look at.
        is_fed: whether its data request was acknowledged.
        is_ended: whether the client has closed.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, violations: list[str]) -> None:
        self.reader, self.writer, self.violations = reader, writer, violations
        self.timeout_ms = _TIMEOUT_MS
        self.grown = asyncio.Event()
        self.is_fed = self.is_ended = False
        self._sent = self._taken = 0
        self._wrote_s = time.monotonic()

    @property
    def heartbeat_due_s(self) -> float:
        """How long it may still be silent: half of the timeout after whatever it wrote."""
        return self._wrote_s + self.timeout_ms / 2000 - time.monotonic()

    def write(self, kind: int, payload: bytes = b"", tag: bytes = TAG, size: int | None = None) -> None:
        """Write a frame in three pieces, or only *size* bytes of it."""
        frame = pieces(self._sent, kind, payload, tag)
        for piece in frame if size is None else [b"".join(frame)[:size]]:
            self.write_raw(piece)
        self._sent += 1

    def write_raw(self, data: bytes) -> None:
        """Write bytes."""
        self.writer.write(data)
        self._wrote_s = time.monotonic()

    def reset(self) -> None:
        """Close the connection so that what the other side has not read yet is lost to it."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def handshake(self) -> dict[int, int]:
        """Return the items of the client's handshake; anything else ends the connection without a word."""
        try:
            frame = await self._frame(MAX_HANDSHAKE_BYTES)
        except Refused:
            self._blame("no handshake came")
            raise ConnectionAbortedError from None
        try:
            assert frame.kind == Kind.HANDSHAKE, f"the first frame has type {frame.kind}"
            items = unpack_handshake(frame.payload)
        except (AssertionError, struct.error) as error:
            self._blame(str(error))
            raise ConnectionAbortedError from None
        if [*items] != [PID, TIMEOUT, SEND_BUFFER, RECEIVE_BUFFER]:
            self._blame(f"the handshake has the items {[*items]}")
        self.timeout_ms = items.get(TIMEOUT, _TIMEOUT_MS)
        return items

    async def request(self) -> Request:
        """Return what the client asks for."""
        kinds: list[int] = []
        words: dict[int, int] = {}
        windows: list[Window] = []
        while True:
            frame = await self._frame(MAX_DATA_BYTES)
            kinds.append(frame.kind)
            if frame.kind == Kind.NULL:
                break
            if frame.kind in _REPORTS:
                return self._report(frame, kinds)
            self._part(frame, words, windows)
        if frame.payload != bytes(4):
            self._blame(f"NULL has the payload {frame.payload.hex(' ')!r}, not four zeros")
        if Kind.REQ_SEQNO in kinds:
            self._refuse_sequence(kinds, words)
        if not windows:
            self._blame("a request without a stream")
            raise Refused(Cause.PROTOCOL)
        options = [Kind.REQ_OPTIONS] if words.get(Kind.REQ_OPTIONS) else []
        order = [Kind.REQ_FORMAT, Kind.REQ_COMPRESS, *options, Kind.REQ_POLICY, *[Kind.REQ_TWIND] * len(windows)]
        if kinds != [*order, Kind.NULL]:
            self._blame(f"the parts of the request come in the order {kinds}")
        return Request(tuple(windows), *(words.get(kind, default) for kind, default in _DEFAULTS.items()))

    def _part(self, frame: Frame, words: dict[int, int], windows: list[Window]) -> None:
        try:
            match frame.kind:
                case Kind.REQ_FORMAT | Kind.REQ_COMPRESS | Kind.REQ_POLICY | Kind.REQ_OPTIONS:
                    words[frame.kind] = from_word(frame.payload)
                case Kind.REQ_TWIND:
                    windows.append(self._window(frame.payload))
                case Kind.REQ_SEQNO | Kind.REQ_STREAM:
                    pass
                case Kind.ALERT:
                    self._blame("ALERT before a request")
                    raise ConnectionAbortedError
                case _:
                    self._blame(f"type {frame.kind} before a request")
                    raise Refused(Cause.UNSUPPORTED)
        except (AssertionError, struct.error) as error:
            self._blame(str(error))
            raise Refused(Cause.PROTOCOL) from None

    def _window(self, payload: bytes) -> Window:
        window = Window.unpack(payload)
        if not all(window.name):
            self._blame(f"a spec with an empty part: {window.name}")
        if window.beg > window.end >= 0:
            self._blame(f"{window.name} ends before it begins")
        if window.beg == KEEPUP:
            self._blame(f"{window.name} begins with KEEPUP")
        return window

    def _report(self, frame: Frame, kinds: list[int]) -> Request:
        if len(kinds) > 1:
            self._blame(f"a report is asked for after {kinds[:-1]}")
        if len(frame.payload) != _REPORTS[Kind(frame.kind)]:
            self._blame(f"type {frame.kind} has {len(frame.payload)} bytes")
        is_numbered = frame.kind == Kind.REQ_REPORT and len(frame.payload) == 2
        return Request(kind=frame.kind, report=int.from_bytes(frame.payload) if is_numbered else 0)

    def _refuse_sequence(self, kinds: list[int], words: dict[int, int]) -> None:
        if Kind.REQ_TWIND in kinds:
            self._blame("windows and sequence numbers in one request")
            raise Refused(Cause.PROTOCOL)
        is_raw = words.get(Kind.REQ_FORMAT, GENERIC) in (NATIVE, MINISEED)
        raise Refused(Cause.UNSUPPORTED if is_raw else Cause.SERVER_FAULT)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Look on whether the client writes, which it must not do any more."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            await asyncio.sleep(0)  # so that it has begun, and has seen what came with the request
            task.cancel()
            await asyncio.wait([task])

    async def _watch(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self.reader.read(1 << 16):
                self._blame(f"the client writes after its request: {data[:24].hex(' ')}")
        self.is_ended = True
        self.grown.set()

    def _blame(self, what: str) -> None:
        self.violations.append(what)

    async def _frame(self, limit: int) -> Frame:
        tag, sequence, kind, size = PREAMBLE.unpack(await self._exactly(PREAMBLE.size))
        if tag != TAG or size > limit:
            self._blame(f"a frame begins with {tag!r}" if tag != TAG else f"type {kind} has {size} bytes")
            raise Refused(Cause.IO_ERROR, Cause.NONE)
        payload = await self._exactly(size)
        key, signature = TRAILER.unpack(await self._exactly(TRAILER.size))
        if (key, signature) != (0, 0):
            self._blame(f"the trailer of type {kind} has key {key} and a signature of {signature} bytes")
        if signature > MAX_SIGNATURE_BYTES:
            raise Refused(Cause.IO_ERROR, Cause.NONE)
        await self._exactly(signature)
        if sequence != self._taken:
            self._blame(f"type {kind} has number {sequence}, not {self._taken}")
        self._taken = sequence + 1
        return Frame(sequence, kind, payload)

    async def _exactly(self, size: int) -> bytes:
        try:
            async with asyncio.timeout(self.timeout_ms / 1000):
                return await self.reader.readexactly(size)
        except TimeoutError:
            raise Refused(Cause.NONE) from None
