"""Keeps what a device sends, byte for byte, in files that `rawdaq-device --replay` plays again.

A receiver opens a `Capture` around its `serve` and records what passes::

    async with capture:
        tap = capture.connection("192.0.2.7:65535")      # TCP
        tap.received(chunk)
        capture.datagrams(9000, [("192.0.2.8:4711", data)], time_ns)   # UDP

Recording never waits and never fails: a thread writes, and what it cannot write is counted, logged and marked.
"""

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from rawdaq.capture.file import HEAD_BYTES, MAGIC, End, Kind, encode_head
from rawdaq.capture.writer import CaptureWriter
from rawdaq.disk.remedies import describe
from rawdaq.disk.threads import DiskThread
from rawdaq.errors import ComponentError

#: What was sent and received, in order.
Dialogue = list[tuple[Kind, bytes]]

_FLUSH_S = 0.1  # what a killed process may lose of its capture
_FLUSH_BYTES = 1 << 20
_MAX_WAITING_BYTES = 32 << 20  # bounds the memory when the disk hangs
_RETRY_S = 5.0
_CLOSE_TIMEOUT_S = 3.0  # comes after all else that a stop does, and before `control-rawdaq` kills

#: Mistakes of an operator, with which a receiver does not start. A full or broken disk is not one.
_MISTAKES = {errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.EISDIR, errno.ENODEV, errno.EAGAIN}


class Capture:
    """Writes a capture to *path*; the files before it are *path*.1, *path*.2 and so on.

    Each file can be played by itself: where a connection goes on in a new file, the file begins with its handshake.

    Args:
        path: the newest file.
        max_mb: a new file begins when this one has so many megabytes (and the packet that is being received is whole).
        max_files: how many files are kept.
        log: where outages are logged.
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
        self._thread: DiskThread | None = None
        self._writing: asyncio.Future[None] | None = None
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
        """Open the file; entries of an earlier run stay in it.

        Raises:
            ComponentError: its folder is missing or not ours, or another program writes this capture.
        """
        self._thread = DiskThread(f"capture {self.path.name}", asyncio.get_running_loop())
        try:
            self._file_bytes = await self._thread.submit(self._writer.open)
        except OSError as error:
            if error.errno in _MISTAKES:
                await self._close()
                raise ComponentError(f"cannot capture to {self.path}: {describe(error)}") from error
            self._fail(error)
        self._flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        assert self._thread is not None  # noqa: S101 - it was entered
        if self._timer is not None:
            self._timer.cancel()
        jobs = [] if self._writing is None else [self._writing]
        if self._waiting:
            jobs.append(self._thread.submit(self._writer.write, self._waiting))
            self._waiting = []
        jobs.append(self._thread.submit(self._writer.close))
        self._thread.give_back()
        self._thread = None
        _, hanging = await asyncio.wait(jobs, timeout=_CLOSE_TIMEOUT_S)
        reasons = ["its disk does not answer"] if hanging else [_reason(job) for job in jobs if job.exception()]
        if reasons:
            self.log.error("the end of capture %s is not written: %s", self.path, reasons[0])

    # ------------------------------------------------------------------ recording

    def connection(self, peer: str) -> "ConnectionTap":
        """Record that a connection to *peer* was opened; return what records the rest of it."""
        self._connections += 1
        return ConnectionTap(self, self._connections, peer)

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
            return self._count_lost(1, size_bytes)
        if self._waiting_bytes + size_bytes + self._in_flight[1] > _MAX_WAITING_BYTES:
            self._begin_outage("the disk is too slow")
            return self._count_lost(1, size_bytes)
        if self._file_bytes + size_bytes > self._max_bytes and self._file_bytes > len(MAGIC):
            self._begin_file(time_ns)
        self._append(encode_head(kind, connection, time_ns, peer, len(data)), bytes(data))
        self._waiting_bytes += size_bytes
        self._waiting_entries += 1
        self._flush_soon()

    def _append(self, head: bytes, data: bytes) -> None:
        self._waiting += (head, data)
        self._file_bytes += len(head) + len(data)

    def _begin_file(self, time_ns: int) -> None:
        """Begin a new file, unless the state of a connection cannot be repeated there now."""
        heads = self._heads()
        if heads is not None:
            self._waiting.append(None)
            self._file_bytes = len(MAGIC)
            self._append_heads(heads, time_ns)

    def _heads(self) -> dict[int, Dialogue] | None:
        """Return what leads to the state of each open connection, None when that is not known of all of them."""
        heads = {number: tap.head() for number, tap in self.taps.items()}
        known = {number: head for number, head in heads.items() if head is not None}
        return known if len(known) == len(heads) else None

    def _append_heads(self, heads: dict[int, Dialogue], time_ns: int) -> None:
        for connection, head in heads.items():
            for kind, data in [(Kind.RESUMED, b"%d" % len(head)), *head]:
                self._append(encode_head(kind, connection, time_ns, b"", len(data)), data)

    # ------------------------------------------------------------------ writing

    def _flush_soon(self) -> None:
        if self._waiting_bytes >= _FLUSH_BYTES:
            self._flush()
        elif self._timer is None and self._thread is not None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self._flush)

    def _flush(self) -> None:
        """Hand what waits to the thread, unless it is still busy."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._thread is None or self._writing is not None or not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        self._in_flight = (self._waiting_entries, self._waiting_bytes)
        self._waiting_entries = self._waiting_bytes = 0
        self._writing = self._thread.submit(self._writer.write, batch)
        self._writing.add_done_callback(self._end_write)

    def _end_write(self, done: "asyncio.Future[None]") -> None:
        self._writing = None
        error = done.exception()
        if isinstance(error, OSError):
            self._fail(error)
        elif error is not None:
            raise error
        else:
            self.recorded_bytes += self._in_flight[1]
            self._in_flight = (0, 0)
            self._end_outage()
            self._flush()

    # ------------------------------------------------------------------ outages

    def _fail(self, error: OSError) -> None:
        """Count what the thread had, and what waits behind it, as lost."""
        self._retry_s = time.monotonic() + _RETRY_S
        self._begin_outage(describe(error))
        self._count_lost(self._in_flight[0] + self._waiting_entries, self._in_flight[1] + self._waiting_bytes)
        self._waiting.clear()
        self._waiting_entries = self._waiting_bytes = 0
        self._in_flight = (0, 0)

    def _begin_outage(self, reason: str) -> None:
        self._is_resuming = False
        if self.problem is None:
            self._outage = (0, 0)
            self.log.error("nothing is captured to %s for now: %s; receiving goes on", self.path, reason)
        self.problem = reason

    def _count_lost(self, entries: int, size_bytes: int) -> None:
        self.lost_entries += entries
        self.lost_bytes += size_bytes
        self._outage = (self._outage[0] + entries, self._outage[1] + size_bytes)

    def _resume(self, time_ns: int) -> bool:
        """Try to capture again, if it is time: mark what is missing, and repeat the state of every connection."""
        if self._writing is not None or self._waiting or time.monotonic() < self._retry_s:
            return False
        heads = self._heads()
        if heads is None:
            return False
        self._is_resuming = True
        text = b"%d entries of %d bytes" % self._outage
        self._append(encode_head(Kind.LOST, 0, time_ns, b"", len(text)), text)
        self._append_heads(heads, time_ns)
        return True

    def _end_outage(self) -> None:
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


def _reason(job: "asyncio.Future[None]") -> str:
    error = job.exception()
    return describe(error) if isinstance(error, OSError) else repr(error)


class ConnectionTap:
    """Records one connection."""

    def __init__(self, capture: Capture, number: int, peer: str) -> None:
        self.number = number
        self._capture = capture
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
        """Record what the device sent, before it is parsed; the chunk must not be overwritten later."""
        self._record(Kind.RECEIVED, chunk)
        self._last, self._held_bytes = chunk, len(chunk) + 1

    def _record(self, kind: Kind, data: bytes | memoryview) -> None:
        self._capture.record(kind, self.number, self._capture.clock_ns(), data=data)
        if not self._is_started:
            self._handshake.append((kind, bytes(data)))

    def started(self, last_words: bytes) -> None:
        """Remember that the device's part of the handshake ended with *last_words*, in what was received last."""
        said = b"".join(data for kind, data in self._handshake if kind is Kind.RECEIVED)
        surplus = len(said) - said.index(last_words) - len(last_words)
        kind, data = self._handshake.pop()
        self._handshake.append((kind, data[: len(data) - surplus]))
        self._is_started = True

    def held(self, size_bytes: int) -> None:
        """Remember that of what was received so far only the last *size_bytes* are not parsed yet."""
        self._held_bytes = size_bytes

    def head(self) -> Dialogue | None:
        """Return what leads a new connection to the state of this one: the handshake, and the packet that is begun.

        None: it is in the middle of the handshake, or of a packet of which the beginning is no longer known.
        """
        if not self._is_started or self._held_bytes > len(self._last):
            return None
        begun = bytes(self._last[len(self._last) - self._held_bytes :])
        return [*self._handshake, (Kind.RECEIVED, begun)] if begun else self._handshake

    def ended(self, how: End) -> None:
        """Record that the connection ended, and *how*."""
        del self._capture.taps[self.number]
        self._capture.record(Kind.ENDED, self.number, self._capture.clock_ns(), data=how.encode())
