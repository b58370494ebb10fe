"""What every reader can do, of packets or of messages, wherever they come from: iteration, counters, and one end."""

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId

Item = TypeVar("Item")


class ItemReader(ABC, Generic[Item]):
    """An iterator, and an async iterator.

    Building one stores its settings; it opens when it is entered or first iterated. The iteration ends at the end of
    what is read, on `close`, which any thread may call, or when nothing has come for `timeout_s`. One reader at a time.

    Args:
        timeout_s: an iteration ends when nothing came for so long; None waits until `close`.
        logger: where what is skipped is logged.

    Attributes:
        size_bytes: bytes of all that was read.
        has_ended: whether nothing can come any more; a live stream has no end.
    """

    def __init__(self, timeout_s: float | None, logger: logging.Logger | None) -> None:
        self.timeout_s = timeout_s
        self.size_bytes = 0
        self.has_ended = False
        self._log = logger or logging.getLogger("rawdaq.subscriber")
        self._lock = threading.RLock()  # a signal handler may call close() on the reader's own thread
        self._is_reading = False
        self._is_closed = False

    @property
    def malformed(self) -> int:
        """How many messages were skipped because they are not ours."""
        return 0

    def unanswered(self) -> dict[str, bool]:
        """Return the addresses of publishers that have not answered so far, and whether each takes connections."""
        return {}

    @abstractmethod
    def open(self) -> None:
        """Acquire what is read; a second time does nothing."""

    @abstractmethod
    def receive(self, timeout_s: float | None = None) -> Item | None:
        """Return the next one, or None when none came within *timeout_s*, at the end, or after `close`."""

    async def areceive(self, timeout_s: float | None = None) -> Item | None:
        """Do the same as `receive` while the event loop runs on."""
        return await asyncio.to_thread(self.receive, timeout_s)

    def close(self) -> None:
        """End the iteration, from any thread, and release everything; a second time does nothing."""
        with self._lock:
            self._is_closed = True
            self._wake()
            if not self._is_reading:
                self._release()

    async def aclose(self) -> None:
        """Do the same as `close`, which never waits."""
        self.close()

    def _wake(self) -> None:
        """Let a reader that waits see that this is closed."""
        return

    def _release(self) -> None:
        """Give back what `open` acquired."""
        return

    def _begin(self) -> None:
        """Take the right to read, which one thread at a time has."""
        with self._lock:
            if self._is_reading:
                raise RuntimeError("a Subscriber has one reader at a time; give each reader its own Subscriber")
            self._is_reading = True

    def _end(self) -> None:
        """Give the right to read back, for good when `close` was called meanwhile."""
        with self._lock:
            self._is_reading = False
            if self._is_closed:
                self._release()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        item = self.receive(self.timeout_s)
        if item is None:
            raise StopIteration
        return item

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        item = await self.areceive(self.timeout_s)
        if item is None:
            raise StopAsyncIteration
        return item

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class PacketReader(ItemReader[Packet]):
    """An iterator, and an async iterator, of packets; see `ItemReader`.

    Args:
        streams: shell-style patterns of ``NET.STA.LOC.CHA``; none means all streams.
        timeout_s: an iteration ends when no packet came for so long; None waits until `close`.
        logger: where what is skipped is logged.

    Attributes:
        streams: the patterns.
        received: packets so far, by stream.
        lost: packets that are known to be missing, by stream.
        is_live: whether packets come as they are made, so that their latency means something.
    """

    is_live = False

    def __init__(self, streams: str | Iterable[str], timeout_s: float | None, logger: logging.Logger | None) -> None:
        ItemReader.__init__(self, timeout_s, logger)
        self.streams = (streams,) if isinstance(streams, str) else tuple(streams)
        self.received: Counter[StreamId] = Counter()
        self.lost: Counter[StreamId] = Counter()

    @property
    def passed_over(self) -> list[str]:
        """Names of streams that came though no pattern selects them."""
        return []
