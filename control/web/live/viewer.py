"""One client of ``/live``: what waits for it is bounded, and it learns what it was too slow for."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeAlias

from pydantic import BaseModel

from rawdaq.control.rest.client import Client
from rawdaq.control.web.live.track import Past
from rawdaq.control.web.messages import LiveRequest, LiveSkipped

_MAX_WAITING_BYTES = 4 << 20
_MAX_WAITING_S = 2.0
_PIECE_BYTES = 1 << 18  # blocks of the past are joined to messages of about this size

#: A message, or a part of the past.
_Item: TypeAlias = "str | Past"


class Viewer:
    """What one client looks at, and what waits for it.

    Attributes:
        request: what it wants to see; None before its first request.
        numbers: those of its tracks, by stream.
        left_out: see `LiveTable`.
        missing: see `LiveTable`.
    """

    def __init__(self) -> None:
        self.request: LiveRequest | None = None
        self.numbers: dict[str, int] = {}
        self.left_out = 0
        self.missing: Mapping[str, str] = {}
        self._first: deque[_Item] = deque()
        self._live: deque[tuple[float, float, bytes]] = deque()
        self._live_bytes = 0
        self._skipped_s = 0.0
        self._is_ready = asyncio.Event()

    def restart(self) -> None:
        """Forget what waits: a new request makes it useless."""
        self._first.clear()
        self._live.clear()
        self._live_bytes, self._skipped_s = 0, 0.0

    def tell(self, message: BaseModel | Past) -> None:
        """Let *message*, or a part of the past, go out before what is live."""
        self._first.append(message.model_dump_json() if isinstance(message, BaseModel) else message)
        self._is_ready.set()

    def offer(self, blocks: bytes, span_s: float) -> None:
        """Let *blocks*, which stand for *span_s*, go out; when too much waits, drop the oldest."""
        self._live.append((time.monotonic(), span_s, blocks))
        self._live_bytes += len(blocks)
        while len(self._live) > 1 and self._is_too_much():
            _, skipped_s, dropped = self._live.popleft()
            self._live_bytes -= len(dropped)
            self._skipped_s += skipped_s
        self._is_ready.set()

    def _is_too_much(self) -> bool:
        """Whether more waits than may; as long as the past is on its way, only its size counts."""
        is_old = not self._first and time.monotonic() - self._live[0][0] > _MAX_WAITING_S
        return is_old or self._live_bytes > _MAX_WAITING_BYTES

    async def send_all(self, socket: Client) -> None:
        """Send what waits, for ever.

        Raises:
            SocketClosed: the client has gone.
        """
        while True:
            await self._is_ready.wait()
            self._is_ready.clear()
            while self._first or self._live or self._skipped_s:
                if self._first:
                    await self._send_first(socket)
                else:
                    await self._send_live(socket)

    async def _send_first(self, socket: Client) -> None:
        item = self._first[0]
        if isinstance(item, str):
            await socket.send(item)
        else:
            await self._send_past(socket, item)
        with suppress(IndexError):  # a new request came meanwhile
            if self._first[0] is item:
                self._first.popleft()

    async def _send_past(self, socket: Client, past: Past) -> None:
        """Send *past*, together with what of the past follows it, in messages of some size."""
        waiting: list[bytes] = []
        parts = [past]
        while len(self._first) > 1 and not isinstance(follower := self._first[1], str):
            parts.append(follower)
            del self._first[1]
        for part in parts:
            for blocks in part.blocks():
                waiting.append(blocks)
                if sum(map(len, waiting)) >= _PIECE_BYTES:
                    await socket.send(b"".join(waiting))
                    waiting.clear()
                    if not self._first or self._first[0] is not past:
                        return
        if any(waiting):
            await socket.send(b"".join(waiting))
        self._skipped_s += max(part.lost_s() for part in parts)

    async def _send_live(self, socket: Client) -> None:
        while self._skipped_s:  # more may be skipped while it waits for being sent
            skipped_ms, self._skipped_s = math.ceil(self._skipped_s * 1000), 0.0  # never 0: something is missing
            await socket.send(LiveSkipped(skipped_s=skipped_ms / 1000).model_dump_json())
        blocks = b"".join(each for _, _, each in self._live)
        self._live.clear()
        self._live_bytes = 0
        if blocks:
            await socket.send(blocks)
