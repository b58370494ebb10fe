"""A strict SeedLink server, versions 3.1 and 4.0, written from the protocol's description alone: nothing of ours in it.

It notes everything that a client may not do: other words, forms of numbers or times than the description has, a second
command of version 3 before the reply to the first one, a line that does not end with CR LF.
"""

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import NamedTuple

from tests.helpers import DEADLINE_S, wait_for
from tests.seedlink_info import frame, info
from tests.seedlink_store import WORDS, Request, Stored, regex, selects, time_ns


class SeedLinkPeer:
    """The server and what it stores.

    Attributes:
        version: the newest version that it speaks.
        started: when it says that it started.
        violations: what clients did that they may not.
        requests: what each connection asked for.
        refused: stations that it does not have for anybody.
        cut_at: gives how many bytes a connection lasts, None for ever.
        excludes: whether a station that was named is none of those that a later pattern means.
        infos: what was asked for by INFO.
        refused_infos: what it answers with a line.
        as_streams: what it answers as it answers STREAMS.
        more: keys of the answers of version 4, by what is asked for.
        is_mute: whether it answers INFO not at all.
        ends: whether it sends END after what is stored.
    """

    def __init__(self, version: int = 4, started: str = "2026-11-29T09:00:00.000000Z") -> None:
        self.version, self.started = version, started
        self.store: list[Stored] = []
        self.violations: list[str] = []
        self.requests: list[list[Request]] = []
        self.refused: set[str] = set()
        self.cut_at: Callable[[], int | None] = lambda: None
        self.excludes = True
        self.is_mute = False
        self.ends = False
        self.infos: list[str] = []
        self.refused_infos: set[str] = set()
        self.as_streams: set[str] = set()
        self.more: dict[str, dict[str, object]] = {}
        self.handshakes: list[list[str]] = []
        self._grown = asyncio.Condition()
        self.open = 0

    async def add(self, *records: Stored) -> None:
        """Store records, which waiting clients get."""
        async with self._grown:
            self.store += records
            self._grown.notify_all()

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncGenerator[int]:
        """Listen; yield the port."""
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            self.open += 1
            try:
                await _Client(self, reader, writer).serve()
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                self.open -= 1
                tasks.discard(task)
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.wait_closed()

    async def wait_grown(self, size: int) -> None:
        """Return when more than *size* records are stored."""
        async with self._grown:
            await self._grown.wait_for(lambda: len(self.store) > size)

    def next_sequence(self, station: str) -> int:
        """Return the number that the next packet of *station* will get."""
        return max((each.sequence for each in self.store if each.station == station), default=-1) + 1


class InThread(NamedTuple):
    """A server that runs in a thread of its own.

    Attributes:
        port: where it listens.
        peer: the server.
        loop: its loop.
    """

    port: int
    peer: SeedLinkPeer
    loop: asyncio.AbstractEventLoop

    def add(self, *records: Stored) -> None:
        """Store records, which waiting clients get."""
        asyncio.run_coroutine_threadsafe(self.peer.add(*records), self.loop).result(DEADLINE_S)


@contextlib.contextmanager
def in_thread(peer: SeedLinkPeer) -> Generator[InThread]:
    """Run *peer* in a thread of its own."""
    ready: list[InThread] = []
    done = threading.Event()

    async def serve() -> None:
        async with peer.listening() as port:
            ready.append(InThread(port, peer, asyncio.get_running_loop()))
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        wait_for(lambda: ready)
        yield ready[0]
    finally:
        done.set()
        thread.join()


class _Client:
    def __init__(self, peer: SeedLinkPeer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer, self.reader, self.writer = peer, reader, writer
        self.v = 3
        self.requests: list[Request] = []
        self.said: list[str] = []
        peer.handshakes.append(self.said)
        self.is_bad = False  # the station was refused, and so are its words
        self.is_uni = False  # words came without a station
        self.left = peer.cut_at()
        self.live_from = 0
        self.places: dict[str, int] = {}

    def complain(self, text: str) -> None:
        self.peer.violations.append(text)

    async def send(self, data: bytes) -> None:
        """Send, and close in the middle of it when the connection has lasted long enough."""
        if self.left is not None:
            data, self.left = data[: self.left], self.left - len(data)
        self.writer.write(data)
        await self.writer.drain()
        if self.left is not None and self.left <= 0:
            raise ConnectionResetError

    async def line(self) -> str:
        line = (await self.reader.readuntil(b"\n")).decode()
        if not re.fullmatch(r"[\x20-\x7e]+\r\n", line) or len(line) > 255:
            self.complain(f"line {line!r}")
        self.said.append(line.rstrip())
        return line.rstrip()

    async def serve(self) -> None:
        while True:
            word, _, rest = (await self.line()).partition(" ")
            if word == "END":
                break
            await getattr(self, f"on_{word.lower()}", self.on_unknown)(word, rest)
            if self.is_uni and word in ("DATA", "TIME"):
                break
        if word == "END" and rest:
            self.complain("END with arguments")
        self.peer.requests.append(self.requests)
        commands = asyncio.ensure_future(self.commands())
        try:
            await self.transfer()
        finally:
            commands.cancel()
            await asyncio.gather(commands, return_exceptions=True)

    async def on_unknown(self, word: str, rest: str) -> None:
        self.complain(f"{word} {rest}")
        await self.send(b"ERROR\r\n")

    async def on_hello(self, word: str, rest: str) -> None:
        flags = " :: SLPROTO:4.0 SLPROTO:3.1" if self.peer.version == 4 else ""
        await self.send(f"SeedLink v{self.peer.version}.0 (peer/1){flags}\r\nThe institute\r\n".encode())

    async def on_slproto(self, word: str, rest: str) -> None:
        self.check(4, word, rest)
        if self.peer.version < 4:
            return await self.send(b"ERROR\r\n")
        self.v = 4
        await self.send(b"OK\r\n")

    async def on_useragent(self, word: str, rest: str) -> None:
        self.check(4, word, rest)
        await self.send(b"OK\r\n")

    async def on_info(self, word: str, rest: str) -> None:
        self.peer.infos.append(rest)
        if not self.peer.is_mute:
            await self.send(info(self.peer, self.v, rest))

    async def on_bye(self, word: str, rest: str) -> None:
        raise ConnectionResetError

    def check(self, version: int, word: str, rest: str) -> None:
        if not re.fullmatch(WORDS[version][word], rest):
            self.complain(f"version {version}: {word} {rest}")
        # SeisComP's server loses all replies but the last.
        if version == 3 and self.reader._buffer:  # type: ignore[attr-defined]  # there is no public way to see it
            self.complain(f"more after {word} {rest}, before the reply")

    async def on_station(self, word: str, rest: str) -> None:
        self.check(self.v, word, rest)
        station = "_".join(reversed(rest.split())) if self.v == 3 else rest
        self.is_bad = station in self.peer.refused
        if not self.is_bad:
            self.requests.append(Request(station))
        await self.reply()

    def without_station(self) -> None:
        """Take a word of uni-station mode."""
        if not self.requests and self.v == 3:
            self.is_uni = True
            self.requests.append(Request("*"))

    async def reply(self) -> None:
        bad = b"ERROR ARGUMENTS no such station\r\n" if self.v == 4 else b"ERROR\r\n"
        await self.send(bad if self.is_bad else b"OK\r\n")

    async def on_select(self, word: str, rest: str) -> None:
        self.check(self.v, word, rest)
        self.without_station()
        if not self.is_bad:
            self.requests[-1].selectors.append(rest)
        await self.reply()

    async def on_data(self, word: str, rest: str) -> None:
        self.check(self.v, word, rest)
        self.without_station()
        if not self.is_bad:
            start, *times = rest.split() or [""]
            request = self.requests[-1]
            request.start = start
            if self.v == 4 and times:
                request.begin_ns, request.end_ns = [*map(time_ns, times), None][:2]
        if not self.is_uni:
            await self.reply()

    async def on_time(self, word: str, rest: str) -> None:
        self.check(3, word, rest)
        if not self.is_bad:
            request = self.requests[-1]
            request.begin_ns, request.end_ns = [*map(time_ns, rest.split()), None][:2]
            request.is_time = True
        await self.reply()

    async def commands(self) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                word, _, rest = (await self.line()).partition(" ")
                if word == "BYE":
                    break
                if word != "INFO":
                    self.complain(f"{word} while packets are sent")
                await self.on_info(word, rest)
        self.writer.transport.abort()

    async def transfer(self) -> None:
        self.live_from = index = len(self.peer.store)
        self.places = {each.station: self.place(each.station) for each in self.peer.store}
        index = 0
        while not self.writer.is_closing():
            while index < len(self.peer.store):
                stored = self.peer.store[index]
                if self.wanted(stored, index):
                    await self.send(self.packet(stored))
                index += 1
            if self.peer.ends:
                await self.send(b"END")
            await self.peer.wait_grown(index)

    def place(self, station: str) -> int:
        """Return the number that *station* begins with; one of the future means the next, one too old the oldest."""
        request = next((each for each in self.requests if re.fullmatch(regex(each.station), station)), None)
        if request is None or request.start in ("", "ALL"):
            return 0
        after = self.peer.next_sequence(station)
        if self.v == 4:
            return min(int(request.start), after)
        behind = (after - int(request.start, 16)) % (1 << 24)
        return after - behind if behind < 1 << 23 else after

    def wanted(self, stored: Stored, index: int) -> bool:
        """Whether the client gets this record."""
        for request in self.requests:
            if not re.fullmatch(regex(request.station), stored.station):
                continue
            if self.wants(stored, request, index):
                return True
            if self.peer.excludes:
                return False
        return False

    def wants(self, stored: Stored, request: Request, index: int) -> bool:
        is_before = request.begin_ns is not None and stored.end_ns < request.begin_ns
        if is_before or (request.end_ns is not None and stored.start_ns > request.end_ns):
            return False
        if request.start not in ("", "ALL"):
            if stored.sequence < self.places.get(stored.station, 0):
                return False
        elif request.start != "ALL" and not request.is_time and index < self.live_from:
            return False
        plain = [each for each in request.selectors if not each.startswith("!")]
        excluded = any(selects(each[1:], stored) for each in request.selectors if each.startswith("!"))
        return not excluded and (not plain or any(selects(each, stored) for each in plain))

    def packet(self, stored: Stored) -> bytes:
        if self.v == 3:
            return b"SL%06X" % (stored.sequence % (1 << 24)) + stored.record
        return frame(stored.format + "D", stored.sequence, stored.station, stored.record)
