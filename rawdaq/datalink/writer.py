"""Packets into a server's ring: one by one, or many with a window of acknowledgements."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from rawdaq.datalink.connection import Burst
from rawdaq.datalink.errors import DataLinkError, NoAnswer, WriteInterrupted
from rawdaq.datalink.session import Session
from rawdaq.errors import ProtocolError
from rawdaq.protocols.datalink import Write

#: What is written together: much enough that a system call costs little, little enough that several are on the way.
BURST_PACKETS: Final = 256
BURST_BYTES: Final = 1 << 18
#: How many bursts may be on the way: 1024 packets or 1 MB whose acknowledgements are awaited.
BURSTS: Final = 4

_LATER_PACKETS: Final = 128


class Writer(Session):
    """The writing side of `rawdaq.datalink.DataLink`."""

    async def write(
        self,
        stream_id: str,
        start_ns: int,
        end_ns: int,
        data: bytes,
        *,
        acknowledge: bool = True,
        packet_id: int | None = None,
    ) -> int | None:
        """Write one packet; return the id that the server gave it, None when it is not acknowledged.

        Args:
            stream_id: the stream's name, such as ``FDSN:XX_TOWR_00_H_H_Z/MSEED``.
            start_ns: time of the first sample.
            end_ns: time of the last one.
            data: the packet.
            acknowledge: wait until the server has it in its ring. What is not acknowledged is sent together with what
                follows; `flush` proves that it arrived.
            packet_id: the id that it is to have, where several servers share ids.

        Raises:
            LocalProtocolError: the server would refuse it: its size, its id, permission.
            ServerRefused: the server did refuse it, in these words, and closes the connection.
            DataLinkError: the connection has ended; whether the packet arrived is not known.
        """
        write = Write(stream_id, start_ns, end_ns, data, acknowledge, packet_id)
        if acknowledge:
            burst = self.connection.write_now([write], len(data))
            await self.connection.wait_for(burst.done, "acknowledgement")
            burst.done.result()
            return burst.packet_ids[0]
        if self.connection.write_later(write, _LATER_PACKETS):
            await self._room()
        return None

    async def write_record(self, record: bytes, *, acknowledge: bool = True) -> int | None:
        """Write a miniSEED record, under the name and times that it has itself; return as `write` does.

        Raises:
            InvalidValue: it is no miniSEED record.
            LocalProtocolError: the server would refuse it.
            DataLinkError: the server refused it, or the connection has ended.
        """
        from rawdaq.datalink.payloads import record_write  # it loads libmseed

        write = record_write(record, self.style)
        return await self.write(write.stream_id, write.start_ns, write.end_ns, write.data, acknowledge=acknowledge)

    async def write_json(
        self, stream_id: str, start_ns: int, end_ns: int, value: object, *, is_packed: bool = False
    ) -> int | None:
        """Write *value* as JSON, packed by bzip2 when it *is_packed*; return as `write` does.

        Args:
            stream_id: the stream's name, whose type should be JSON or BZJSON.
            start_ns: the first time that it is about.
            end_ns: the last one.
            value: what JSON can say.
            is_packed: pack it (BZJSON).

        Raises:
            TypeError: JSON cannot say it.
            LocalProtocolError: the server would refuse it.
            DataLinkError: the server refused it, or the connection has ended.
        """
        from rawdaq.datalink.payloads import json_bytes

        return await self.write(stream_id, start_ns, end_ns, json_bytes(value, is_packed))

    async def write_many(self, writes: Iterable[Write]) -> list[int]:
        """Write packets; return the ids that the server gave to those that are acknowledged, in order.

        Up to 1024 of them, or a megabyte, are on the way at a time.

        Raises:
            WriteInterrupted: not all arrived for sure; it has the ids of those that did, and the cause.
        """
        packet_ids: list[int] = []
        awaited: deque[Burst] = deque()
        try:
            for together in _together(writes):
                awaited.append(self.connection.write_now(together, sum(len(write.data) for write in together)))
                await self._room()
                if len(awaited) == BURSTS:
                    packet_ids += await self._acknowledged(awaited)
            while awaited:
                packet_ids += await self._acknowledged(awaited)
        except (DataLinkError, ProtocolError) as error:
            for burst in awaited:
                packet_ids += burst.packet_ids
            raise WriteInterrupted(packet_ids, str(error)) from error
        return packet_ids

    async def _acknowledged(self, awaited: deque[Burst]) -> list[int]:
        """Take the first burst away when it is acknowledged; return its ids."""
        burst = awaited[0]
        await self.connection.wait_for(burst.done, "acknowledgement")
        burst.done.result()
        awaited.popleft()
        return burst.packet_ids

    async def flush(self) -> None:
        """Return when the server has taken everything that was written so far without acknowledgement.

        Raises:
            DataLinkError: it refused some of it, or the connection has ended.
        """
        await self.identify()

    async def _room(self) -> None:
        try:
            await self.connection.drain(self.timeout_s)
        except TimeoutError:
            raise NoAnswer(str(self.address), "room for what is written", self.timeout_s) from None
        self.connection.check()


def _together(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """Yield *writes* in lists that are sent together."""
    some: list[Write] = []
    size_bytes = 0
    for write in writes:
        some.append(write)
        size_bytes += len(write.data)
        if len(some) == BURST_PACKETS or size_bytes >= BURST_BYTES:
            yield some
            some, size_bytes = [], 0
    if some:
        yield some
