"""Asks components over sockets that are kept, many at the same time, so that one that hangs delays no other."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

import zmq
import zmq.asyncio

from rawdaq.errors import CommandError, ComponentError, NoAnswer, RemoteProtocolError
from rawdaq.open_files import highest_open_files
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.protocols.command import MAX_MESSAGE_BYTES, Result, decode_reply, encode_request
from rawdaq.sockets.zeromq.context import context_of

_AT_ONCE = 100
_MOST_KEPT = 256
_FILES_EACH = 4  # of a socket that is connected, with some to spare
_TIMEOUT_S = 5.0


class Asker:
    """The command sockets of the components that are asked.

    Args:
        runtime: where these are.
    """

    def __init__(self, runtime: RuntimeFiles) -> None:
        self._runtime = runtime
        highest = highest_open_files() or 1 << 16
        self._most_kept = max(8, min(_MOST_KEPT, highest // 2 // _FILES_EACH))
        self._context: zmq.asyncio.Context | None = None
        self._kept: OrderedDict[str, zmq.asyncio.Socket] = OrderedDict()  # those that were not used for longest first
        self._locks: dict[str, asyncio.Lock] = {}
        self._places = asyncio.Semaphore(min(_AT_ONCE, self._most_kept))

    async def ask(self, key: str, command: str, args: Sequence[str] = (), timeout_s: float = _TIMEOUT_S) -> Result:
        """Return the answer of the component *key*.

        Raises:
            CommandError: it refused, or cannot be asked.
            NoAnswer: it did not answer in time.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock, self._places:  # a REQ socket has one question at a time
            socket = self._take(key)
            try:
                async with asyncio.timeout(timeout_s):
                    await socket.send_multipart(encode_request(command, args))
                    frames = await socket.recv_multipart()
            except TimeoutError:
                raise NoAnswer(f"{key} did not answer {command!r} within {timeout_s:g} s") from None
            except zmq.ZMQError as error:
                raise CommandError(f"{key} cannot be asked: {error.strerror}") from error
            else:
                self._keep(key, socket)
                socket = None  # type: ignore[assignment]  # it is kept
            finally:
                if socket is not None:  # it still waits for an answer
                    socket.close(linger=0)
        try:
            return decode_reply(frames)
        except RemoteProtocolError as error:
            raise CommandError(f"{key} sent an invalid reply: {error}; is its rawdaq of another version?") from error

    async def timed(self, key: str, command: str) -> "tuple[Result | CommandError, float]":
        """Return the answer, or why there is none, and how long that took."""
        began_s = time.monotonic()
        try:
            answer: Result | CommandError = await self.ask(key, command)
        except CommandError as error:
            answer = error
        except ComponentError as error:
            answer = CommandError(str(error))
        return answer, time.monotonic() - began_s

    def _take(self, key: str) -> zmq.asyncio.Socket:
        """Return the kept socket of *key*, or a new one.

        Raises:
            ComponentError: its address is too long.
            CommandError: no more sockets can be opened.
        """
        if (kept := self._kept.pop(key, None)) is not None:
            return kept
        address = self._runtime.command_address(key)
        if self._context is None:
            self._context = context_of(None)
        try:
            made = self._context.socket(zmq.REQ)
        except zmq.ZMQError as error:
            raise CommandError(f"{key} cannot be asked: {error.strerror}") from error
        try:
            made.setsockopt(zmq.LINGER, 0)
            made.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
            made.connect(address)
        except zmq.ZMQError as error:
            made.close(linger=0)
            raise CommandError(f"{key} cannot be asked at {address}: {error.strerror}") from error
        return made

    def _keep(self, key: str, socket: zmq.asyncio.Socket) -> None:
        self._kept[key] = socket
        while len(self._kept) > self._most_kept:
            _, oldest = self._kept.popitem(last=False)
            oldest.close(linger=0)

    def forget(self, key: str) -> None:
        """Close the socket of *key*: it does not run any more."""
        if (kept := self._kept.pop(key, None)) is not None:
            kept.close(linger=0)
        if (lock := self._locks.get(key)) is not None and not lock.locked():
            del self._locks[key]

    def close(self) -> None:
        """Close all sockets."""
        if self._context is not None:
            with suppress(zmq.ZMQError):
                self._context.destroy(linger=0)
            self._context = None
        self._kept.clear()
