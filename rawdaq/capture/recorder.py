"""Keeps what a device sends, byte for byte, in files that `rawdaq-device --replay` plays again.

A receiver opens a `Capture` around its `serve` and records what passes::

    async with capture:
        tap = capture.connection("192.0.2.7:65535")      # TCP
        tap.received(chunk)
        capture.datagram(9000, "192.0.2.8:4711", data, time_ns)   # UDP

Recording never waits and never fails: a thread writes, and what it cannot write is counted, logged and marked.
"""

import asyncio
import contextlib
import errno
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from rawdaq.capture.file import HEAD_BYTES, MAGIC, End, Kind, encode_head
from rawdaq.capture.writer import CaptureWriter
from rawdaq.errors import ComponentError

#: What was sent and received, in order.
Dialogue = list[tuple[Kind, bytes]]

_FLUSH_S = 0.1  # what a killed process may lose of its capture
_FLUSH_BYTES = 1 << 20
_MAX_WAITING_BYTES = 32 << 20  # what a disk that hangs may make us hold
_RETRY_S = 5.0
_CLOSE_TIMEOUT_S = 3.0  # comes after all else that a stop does, and before `control-rawdaq` kills

#: Reasons not to start: somebody made a mistake. A full or broken disk is none.
_MISTAKES = {
    errno.ENOENT: "its folder does not exist; create it, or mount its disk",
    errno.EACCES: "no permission; let this user write there",
    errno.ENOTDIR: "what should be its folder is a file; name a folder",
    errno.EISDIR: "it is a folder; name a file in it",
    errno.ENODEV: "it is no plain file; name one",
    errno.EAGAIN: "another program writes it; give each capture its own path",
}


class Capture:
    """Writes a capture to *path*; the files before it are *path*.1, *path*.2 and so on.

    Each file can be played for itself: where a connection goes on in a new file, that begins with its handshake.

    Args:
        path: the newest file.
        max_mb: a new file begins when this one has so many megabytes (and the packet that is being received is whole).
        max_files: how many files are kept.
        log: where trouble is told.
        clock_ns: the time of what arrives.

    Attributes:
        recorded_bytes: what is in the files, without what they repeat.
        lost_entries: how many entries could not be written.
        lost_bytes: their size.
        problem: why nothing is written at present; usually None.
        taps: the connections that are open.
    """

    def __init__(
        self,
        path: Path,
        max_mb: float,
        max_files: int,
        log: logging.Logger,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self.log = log
        self.clock_ns = clock_ns
        self.recorded_bytes = 0
        self.lost_entries = 0
        self.lost_bytes = 0
        self.problem: str | None = None
        self.taps: dict[int, ConnectionTap] = {}
        self._max_bytes = int(max_mb * 1e6)
        self._writer = CaptureWriter(path, max_files)
        self._executor: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._connections = 0
        self._file_bytes = 0
        self._waiting: list[bytes | None] = []  # None: a new file begins
        self._waiting_bytes = 0
        self._waiting_entries = 0
        self._in_flight = (0, 0)  # entries and bytes that the thread has
        self._outage = (0, 0)  # entries and bytes that were lost since `problem` began
        self._is_resuming = False
        self._retry_s = 0.0

    # ------------------------------------------------------------------ life

    async def __aenter__(self) -> Self:
        """Open the file; what another run left in it stays.

        Raises:
            ComponentError: its folder is missing, is not ours, or somebody else writes this capture.
        """
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, f"capture {self.path.name}")
        try:
            self._file_bytes = await self._loop.run_in_executor(self._executor, self._writer.open)
        except OSError as error:
            if error.errno in _MISTAKES:
                await self._end()
                raise ComponentError(f"cannot capture to {self.path}: {_MISTAKES[error.errno]}") from error
            self._fail(error)
        self._flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        assert self._executor is not None  # noqa: S101 - it was entered
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        jobs = [] if self._writing is None else [self._writing]
        if self._waiting:
            jobs.append(self._executor.submit(self._writer.write, self._waiting))
            self._waiting = []
        jobs.append(self._executor.submit(self._writer.close))
        await asyncio.to_thread(wait, jobs, _CLOSE_TIMEOUT_S)
        are_done = all(job.done() for job in jobs)
        self._executor.shutdown(wait=are_done)
        self._executor = None
        failure = next((job.exception() for job in jobs if job.done() and job.exception()), None)
        if failure is not None or not are_done:
            self.log.error("the end of capture %s is not written: %s", self.path, failure or "its disk does not answer")

    # ------------------------------------------------------------------ recording

    def connection(self, peer: str) -> "ConnectionTap":
        """Record that a connection to *peer* was opened; return what records the rest of it."""
        self._connections += 1
        return ConnectionTap(self, self._connections, peer)

    def datagram(self, port: int, peer: str, data: bytes | memoryview, time_ns: int) -> None:
        """Record a datagram that came from *peer* to our *port*."""
        self.record(Kind.DATAGRAM, port, time_ns, peer.encode(), data)

    def datagrams(self, port: int, arrived: Iterable[tuple[str, bytes | memoryview]], time_ns: int) -> None:
        """Record a burst of datagrams (sender and data) that were read from the socket of *port* at one time."""
        for peer, data in arrived:
            self.record(Kind.DATAGRAM, port, time_ns, peer.encode(), data)

    def record(
        self, kind: Kind, connection: int, time_ns: int, peer: bytes = b"", data: bytes | memoryview = b""
    ) -> None:
        """Record an entry; if it cannot be written, it is counted."""
        size_bytes = HEAD_BYTES + len(peer) + len(data)
        if self.problem is not None and not self._is_resuming and not self._resume(time_ns):
            return self._lose(1, size_bytes)
        if self._waiting_bytes + size_bytes + self._in_flight[1] > _MAX_WAITING_BYTES:
            self._trouble("the disk is too slow")
            return self._lose(1, size_bytes)
        if self._file_bytes + size_bytes > self._max_bytes and self._file_bytes > len(MAGIC):
            self._begin_file(time_ns)
        self._put(encode_head(kind, connection, time_ns, peer, len(data)), bytes(data))

    def _begin_file(self, time_ns: int) -> None:
        """Go on in a new file, unless a connection is in the middle of something that could not be understood there."""
        heads = self._heads()
        if heads is not None:
            self._waiting.append(None)
            self._file_bytes = len(MAGIC)
            self._put_heads(heads, time_ns)

    def _heads(self) -> dict[int, Dialogue] | None:
        """Return what leads to where each open connection is, None when that cannot be told now."""
        heads = {number: tap.head() for number, tap in self.taps.items()}
        whole = {number: head for number, head in heads.items() if head is not None}
        return whole if len(whole) == len(heads) else None

    def _put_heads(self, heads: dict[int, Dialogue], time_ns: int) -> None:
        for connection, head in heads.items():
            for kind, data in [(Kind.RESUMED, b"%d" % len(head)), *head]:
                self._repeat(encode_head(kind, connection, time_ns, b"", len(data)), data)

    def _repeat(self, head: bytes, data: bytes) -> None:
        """Let what nobody records stand before what is put next."""
        self._waiting += (head, data)
        self._file_bytes += len(head) + len(data)

    def _put(self, head: bytes, data: bytes) -> None:
        self._repeat(head, data)
        self._waiting_bytes += len(head) + len(data)
        self._waiting_entries += 1
        if self._waiting_bytes >= _FLUSH_BYTES:
            self._flush()
        elif self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(_FLUSH_S, self._flush)

    # ------------------------------------------------------------------ writing

    def _flush(self) -> None:
        """Give what waits to the thread, unless it is still busy."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._executor is None or self._writing is not None or not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        self._in_flight = (self._waiting_entries, self._waiting_bytes)
        self._waiting_entries = self._waiting_bytes = 0
        self._writing = self._executor.submit(self._writer.write, batch)
        self._writing.add_done_callback(self._wake)

    def _wake(self, job: Future[None]) -> None:
        """Called in the thread."""
        assert self._loop is not None  # noqa: S101 - it was entered
        with contextlib.suppress(RuntimeError):  # the loop is closed: a disk that hung was given up
            self._loop.call_soon_threadsafe(self._written, job)

    def _written(self, job: Future[None]) -> None:
        self._writing = None
        error = job.exception()
        if isinstance(error, OSError):
            self._fail(error)
        elif error is not None:
            raise error
        else:
            self.recorded_bytes += self._in_flight[1]
            self._in_flight = (0, 0)
            self._recover()
            self._flush()

    # ------------------------------------------------------------------ trouble

    def _fail(self, error: OSError) -> None:
        """Count what the thread had and what waits for it as lost."""
        self._retry_s = time.monotonic() + _RETRY_S
        self._is_resuming = False
        self._trouble(f"{error.strerror or error}")
        self._lose(self._in_flight[0] + self._waiting_entries, self._in_flight[1] + self._waiting_bytes)
        self._waiting.clear()
        self._waiting_entries = self._waiting_bytes = 0
        self._in_flight = (0, 0)

    def _trouble(self, reason: str) -> None:
        self._is_resuming = False
        if self.problem is None:
            self._outage = (0, 0)
            self.log.error(
                "nothing is captured to %s for now: %s (look at the disk with df and dmesg); receiving goes on",
                self.path,
                reason,
            )
        self.problem = reason

    def _lose(self, entries: int, size_bytes: int) -> None:
        self.lost_entries += entries
        self.lost_bytes += size_bytes
        self._outage = (self._outage[0] + entries, self._outage[1] + size_bytes)

    def _resume(self, time_ns: int) -> bool:
        """Try to capture again, if it is time: mark what is missing, and let every connection begin anew."""
        if self._writing is not None or self._waiting or time.monotonic() < self._retry_s:
            return False
        heads = self._heads()
        if heads is None:
            return False
        self._is_resuming = True
        text = b"%d entries of %d bytes" % self._outage
        self._repeat(encode_head(Kind.LOST, 0, time_ns, b"", len(text)), text)
        self._put_heads(heads, time_ns)
        return True

    def _recover(self) -> None:
        if self._is_resuming:
            self._is_resuming = False
            self.problem = None
            self.log.warning("capturing to %s again: %d entries (%d bytes) are missing", self.path, *self._outage)

    def status(self) -> dict[str, object]:
        """Return what `status` shows of a capture."""
        return {
            "path": str(self.path),
            "written_bytes": self.recorded_bytes,
            "lost_entries": self.lost_entries,
            "lost_bytes": self.lost_bytes,
            "problem": self.problem,
        }


class ConnectionTap:
    """Records one connection."""

    def __init__(self, capture: Capture, number: int, peer: str) -> None:
        self._capture = capture
        self._number = number
        self._handshake: Dialogue = []
        self._is_started = False
        self._last: bytes | memoryview = b""
        self._held_bytes = 0
        capture.record(Kind.OPENED, number, capture.clock_ns(), peer.encode())
        capture.taps[number] = self

    def sent(self, data: bytes) -> None:
        """Record what we sent."""
        self._record(Kind.SENT, data)

    def received(self, chunk: bytes | memoryview) -> None:
        """Record what the device sent, before anybody looks at it; nothing may overwrite it later."""
        self._record(Kind.RECEIVED, chunk)
        self._last, self._held_bytes = chunk, len(chunk) + 1

    def _record(self, kind: Kind, data: bytes | memoryview) -> None:
        self._capture.record(kind, self._number, self._capture.clock_ns(), data=data)
        if not self._is_started:
            self._handshake.append((kind, bytes(data)))

    def started(self, last_words: bytes) -> None:
        """Take note that the device's part of the handshake ended with *last_words*, in what was received last."""
        said = b"".join(data for kind, data in self._handshake if kind is Kind.RECEIVED)
        surplus = len(said) - said.index(last_words) - len(last_words)
        kind, data = self._handshake.pop()
        self._handshake.append((kind, data[: len(data) - surplus]))
        self._is_started = True

    def held(self, size_bytes: int) -> None:
        """Take note that of what was received so far only the last *size_bytes* are not dealt with yet."""
        self._held_bytes = size_bytes

    def head(self) -> Dialogue | None:
        """Return what leads a new connection to where this one is: the handshake, and the packet that is begun.

        None: it is in the middle of the handshake, or of a packet of which the beginning is no longer known.
        """
        if not self._is_started or self._held_bytes > len(self._last):
            return None
        begun = bytes(self._last[len(self._last) - self._held_bytes :])
        return [*self._handshake, (Kind.RECEIVED, begun)] if begun else self._handshake

    def ended(self, how: End) -> None:
        """Record that the connection ended, and *how*."""
        del self._capture.taps[self._number]
        self._capture.record(Kind.ENDED, self._number, self._capture.clock_ns(), data=how.encode())
