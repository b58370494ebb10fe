"""`BlockingDataLink`: a `rawdaq.datalink.DataLink` for programs without an event loop."""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

from rawdaq.datalink.errors import ConnectionLost
from rawdaq.datalink.link import DataLink
from rawdaq.protocols.datalink import DataPacket, Identity

P = ParamSpec("P")
T = TypeVar("T")

_TICK_S = 1.0  # by which a keep-alive may be late


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _blocking(
    method: Callable[Concatenate[DataLink, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["BlockingDataLink", P], T]:
    """Return *method* as one that runs the link's own event loop until it is done."""

    @functools.wraps(method)
    def run(self: "BlockingDataLink", /, *args: P.args, **kwargs: P.kwargs) -> T:
        coroutine: Coroutine[Any, Any, T] = getattr(self._link, method.__name__)(*args, **kwargs)
        return self._run(coroutine)

    return run


class BlockingDataLink:
    """The methods of `DataLink` without coroutines; ``with DataLink(url) as link`` makes one.

    Each runs the link's own event loop until it is done. Several threads may use one link, one after the other. While
    no method runs, a thread sees to it that a writer is not cut for its silence.

    Args:
        link: what does the work; it belongs to this object alone.
    """

    def __init__(self, link: DataLink) -> None:
        self._link = link
        self._loop = asyncio.new_event_loop()
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._keeper = threading.Thread(target=self._keep_alive, name=f"keep-alive {link.address}", daemon=True)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop.is_closed():
                coroutine.close()
                raise ConnectionLost(str(self._link.address), "the link is closed")
            return self._loop.run_until_complete(coroutine)

    def _keep_alive(self) -> None:
        while not self._closed.wait(_TICK_S):
            with self._lock:
                if not self._closed.is_set():
                    self._loop.run_until_complete(asyncio.sleep(0))  # what is due, and what has come

    def open(self) -> None:
        """Connect; see `DataLink.open`.

        Raises:
            RuntimeError: an event loop runs in this thread.
        """
        if _is_in_loop():
            self._loop.close()
            raise RuntimeError("an event loop runs here: use `async with` instead of `with`")
        try:
            self._run(self._link.open())
        except BaseException:
            self._loop.close()
            raise
        self._keeper.start()

    def close(self) -> None:
        """Close the connection; may be called twice."""
        if self._loop.is_closed():
            return
        self._closed.set()
        self._run(self._link.aclose())
        self._keeper.join()
        self._loop.close()

    @property
    def identity(self) -> Identity:
        """Who the server is and what it can."""
        return self._link.identity

    reconnect = _blocking(DataLink.reconnect)
    identify = _blocking(DataLink.identify)
    auth_userpass = _blocking(DataLink.auth_userpass)
    auth_jwt = _blocking(DataLink.auth_jwt)
    info = _blocking(DataLink.info)
    match = _blocking(DataLink.match)
    reject = _blocking(DataLink.reject)
    position_set = _blocking(DataLink.position_set)
    position_earliest = _blocking(DataLink.position_earliest)
    position_latest = _blocking(DataLink.position_latest)
    position_after = _blocking(DataLink.position_after)
    read = _blocking(DataLink.read)
    read_earliest = _blocking(DataLink.read_earliest)
    read_latest = _blocking(DataLink.read_latest)
    begin_stream = _blocking(DataLink.begin_stream)
    write = _blocking(DataLink.write)
    write_record = _blocking(DataLink.write_record)
    write_json = _blocking(DataLink.write_json)
    write_many = _blocking(DataLink.write_many)
    flush = _blocking(DataLink.flush)

    def stream(self, start: str | None = None, timeout_s: float | None = None) -> Iterator[DataPacket]:
        """See `DataLink.stream`."""
        self.begin_stream(start)
        try:
            while (packet := self.next_packet(timeout_s)) is not None:
                yield packet
        finally:
            if not self._closed.is_set():
                self._run(self._end_stream())

    def next_packet(self, timeout_s: float | None = None) -> DataPacket | None:
        """Return the next packet of a stream that has begun, None when none came within *timeout_s*.

        Raises:
            DataLinkError: the connection has ended.
            RemoteProtocolError: the server sent what is no DataLink.
        """
        packet = self._link.take()
        if packet is None and self._run(self._link.wait_for_packet(timeout_s)):
            packet = self._link.take()
        return packet

    async def _end_stream(self) -> None:
        if self._link.is_connected:
            await self._link.end_stream()
