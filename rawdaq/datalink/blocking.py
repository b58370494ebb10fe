"""`BlockingDataLink`: a `rawdaq.datalink.DataLink` for programs without an event loop."""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, TypeVar

from rawdaq.datalink.errors import ConnectionLost
from rawdaq.datalink.link import DataLink
from rawdaq.protocols.datalink import DataPacket, Identity, InfoType, ServerInfo, Write

T = TypeVar("T")

_TICK_S = 1.0  # by which a keep-alive may be late


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


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

    def reconnect(self) -> None:
        """See `DataLink.reconnect`."""
        self._run(self._link.reconnect())

    def identify(self, client_id: str | None = None) -> Identity:
        """See `DataLink.identify`."""
        return self._run(self._link.identify(client_id))

    def auth_userpass(self, user: str, password: str) -> Identity:
        """See `DataLink.auth_userpass`."""
        return self._run(self._link.auth_userpass(user, password))

    def auth_jwt(self, token: str) -> Identity:
        """See `DataLink.auth_jwt`."""
        return self._run(self._link.auth_jwt(token))

    def info(self, kind: InfoType | str = InfoType.STATUS, expression: str | None = None) -> ServerInfo:
        """See `DataLink.info`."""
        return self._run(self._link.info(kind, expression))

    def match(self, expression: str | None) -> int:
        """See `DataLink.match`."""
        return self._run(self._link.match(expression))

    def reject(self, expression: str | None) -> int:
        """See `DataLink.reject`."""
        return self._run(self._link.reject(expression))

    def position_set(self, packet_id: int, time_ns: int | None = None) -> int:
        """See `DataLink.position_set`."""
        return self._run(self._link.position_set(packet_id, time_ns))

    def position_earliest(self) -> int:
        """See `DataLink.position_earliest`."""
        return self._run(self._link.position_earliest())

    def position_latest(self) -> int:
        """See `DataLink.position_latest`."""
        return self._run(self._link.position_latest())

    def position_after(self, time_ns: int) -> int:
        """See `DataLink.position_after`."""
        return self._run(self._link.position_after(time_ns))

    def read(self, packet_id: int) -> DataPacket:
        """See `DataLink.read`."""
        return self._run(self._link.read(packet_id))

    def read_earliest(self) -> DataPacket:
        """See `DataLink.read_earliest`."""
        return self._run(self._link.read_earliest())

    def read_latest(self) -> DataPacket:
        """See `DataLink.read_latest`."""
        return self._run(self._link.read_latest())

    def stream(self, start: str | None = None, timeout_s: float | None = None) -> Iterator[DataPacket]:
        """See `DataLink.stream`."""
        self.begin_stream(start)
        try:
            while (packet := self.next_packet(timeout_s)) is not None:
                yield packet
        finally:
            if not self._closed.is_set():
                self._run(self._end_stream())

    def begin_stream(self, start: str | None = None) -> None:
        """See `DataLink.begin_stream`."""
        self._run(self._link.begin_stream(start))

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

    def write(
        self,
        stream_id: str,
        start_ns: int,
        end_ns: int,
        data: bytes,
        *,
        acknowledge: bool = True,
        packet_id: int | None = None,
    ) -> int | None:
        """See `DataLink.write`."""
        return self._run(
            self._link.write(stream_id, start_ns, end_ns, data, acknowledge=acknowledge, packet_id=packet_id)
        )

    def write_record(self, record: bytes, *, acknowledge: bool = True) -> int | None:
        """See `DataLink.write_record`."""
        return self._run(self._link.write_record(record, acknowledge=acknowledge))

    def write_json(
        self, stream_id: str, start_ns: int, end_ns: int, value: object, *, is_packed: bool = False
    ) -> int | None:
        """See `DataLink.write_json`."""
        return self._run(self._link.write_json(stream_id, start_ns, end_ns, value, is_packed=is_packed))

    def write_many(self, writes: Iterable[Write]) -> list[int]:
        """See `DataLink.write_many`."""
        return self._run(self._link.write_many(writes))

    def flush(self) -> None:
        """See `DataLink.flush`."""
        self._run(self._link.flush())
