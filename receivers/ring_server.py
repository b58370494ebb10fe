"""RingServer: a hub without a device, which others fill by DataLink and many read by SeedLink, DataLink and ISI."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rawdaq import __version__
from rawdaq.config.settings import StationSettings
from rawdaq.delivery.records import fill_s
from rawdaq.errors import InvalidValue
from rawdaq.miniseed.reader import RecordUnreadable, read_record, to_packet
from rawdaq.packet import Packet, PacketRun
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.ring.names import seed_name
from rawdaq.ring.packets import RingPacket
from rawdaq.ring.server.options import (
    MaxClients,
    MaxGb,
    NetworkList,
    PacketBytes,
    SyncS,
    addresses,
    make_service,
    refusal,
)
from rawdaq.ring.server.service import RingService
from rawdaq.ring.server.settings import ListenSettings, TlsSettings
from rawdaq.sockets.endpoint import Endpoint
from rawdaq.sockets.refusals import Refusals
from rawdaq.stream_id import StreamId

_CURSOR = "publishers"
_SAVE_S = 5.0  # between two notes of how far everything was delivered
_READ_BYTES = 256 << 10


class RingEndpoint(Endpoint):
    """The ports of a hub. What publishers are too slow for waits in the ring, so writers are never held.

    Args:
        service: the ring with its servers.
    """

    def __init__(self, service: RingService) -> None:
        super().__init__("ring", 0)
        self._service = service

    @property
    def address(self) -> str:
        """The ring."""
        return str(self._service.ring.path)

    async def open(self) -> None:
        """Open the ring and listen."""
        await self._service.open()

    async def run(self) -> None:
        """Look after clients that are too slow."""
        await self._service.watch()

    async def aclose(self) -> None:
        """Stop listening; the ring stays open, so that what was delivered can be noted in it."""
        await self._service.stop()


class RingServer(ReceiverServer):
    """Keeps what DataLink clients write in a ring on disk, serves it, and publishes the records in it.

    Clients of SeedLink, DataLink and ISI read the ring as that of a `RingPublisher`. Records of miniSEED are published
    as packets under the names that they have, each once; after a kill some of the last ones may come again. What
    publishers are too slow for waits in the ring.

    Args:
        publishers: where the packets go; there may be none.
        station: what the station file is about; streams keep the names that the records have.
        path: the folder of the ring; it is created.
        max_gb: how large it may be.
        seedlink: where SeedLink 3.1 and 4.0 are served, ``{ip: 127.0.0.1, port: 18000}``.
        datalink: where DataLink is served and written; with the address of `seedlink` one port serves both.
        isi: where ISI is served to clients of IDA's toolkit, ``{ip: 127.0.0.1, port: 39136}``.
        tls: ``{certificate: FILE, key: FILE}`` for TLS on the same ports; ``required: true`` takes nothing else.
        raw: publish whole records as plain bytes; archives and rings of the same format take them as they are.
        sync_s: how long after it was written a record survives a power cut; 0: before its writer gets
            its answer. A killed process loses nothing in any case.
        organization: who runs the server, for clients that ask.
        packet_bytes: the largest data that a DataLink client may write.
        max_clients: how many clients may be connected.
        max_per_address: how many of them from one address.
        read: addresses and networks that may connect; by default all that reach the server.
        write: those that may write by DataLink; by default this machine.
        trusted: those that may see the other clients; by default this machine.
        name: the component's name.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        path: Path,
        max_gb: MaxGb = 2.0,
        seedlink: ListenSettings | None = None,
        datalink: ListenSettings | None = None,
        isi: ListenSettings | None = None,
        tls: TlsSettings | None = None,
        raw: bool = False,
        sync_s: SyncS = 1.0,
        organization: str = "rawdaq",
        packet_bytes: PacketBytes = 16_384,
        max_clients: MaxClients = 1000,
        max_per_address: MaxClients = 250,
        read: NetworkList | None = None,
        write: NetworkList | None = None,
        trusted: NetworkList | None = None,
        name: str = "RingServer",
    ) -> None:
        options = dict(locals())
        super().__init__("", 0, publishers, name)
        self.refusals = self.add_refusals(Refusals(self.log, what="record"))
        self.service = make_service(self.log, f"rawdaq/{__version__}", options)
        self._raw = raw
        self._published: int | None = None  # up to this number
        self._lowest_rate_hz = 100.0
        self._others = 0
        self._grown = asyncio.Event()
        self.add_endpoint(RingEndpoint(self.service))

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return no stream: which there are is known when they come.

        Raises:
            InvalidValue: options that cannot be together.
        """
        if reason := refusal(options):
            raise InvalidValue(reason)
        return []

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the addresses and the ring, which only one component can have."""
        return [*addresses(options), f"ring {options['path']}"]

    # ------------------------------------------------------------------ life

    async def serve(self) -> None:
        """Serve as every receiver does, and publish from where the last run ended.

        Raises:
            ComponentError: the ring cannot be written, it could not start, or one of its coroutines failed.
        """
        try:
            await super().serve()
            if self._published is not None:
                self.service.ring.move_cursor(_CURSOR, self._published)  # all is delivered
        finally:
            await self.service.aclose()

    async def ct_publish(self) -> None:
        """Publish what is in the ring, from where the last run ended."""
        ring = self.service.ring
        ring.written.append(lambda packets: self._grown.set())
        position = ring.cursor(_CURSOR)
        if not self.publishers:
            return
        if position is None:
            position = ring.reader.end
            ring.move_cursor(_CURSOR, position)
        elif position < ring.reader.end:
            self.log.info(
                "publishing %d packets that were left over", ring.reader.end - max(position, ring.reader.oldest)
            )
        while True:
            self._grown.clear()
            while position < ring.reader.end:
                position = await self._publish_some(position)
            await self._grown.wait()

    async def _publish_some(self, position: int) -> int:
        """Publish what follows; return the number behind it."""
        reader = self.service.ring.reader
        if position >= reader.tail.first:
            packets: Sequence[RingPacket] = reader.tail.since(position, _READ_BYTES)
            end = packets[-1].position + 1 if packets else reader.end
        else:
            first, packets, end = await reader.from_(position)
            if first > position:
                self.log.error(
                    "publishers missed packets %d to %d: they were too slow, and the ring had to make room; a larger "
                    "`max_gb` keeps more",
                    position,
                    first - 1,
                )
        if items := self._items(packets):
            await self.publish(self._noted(items, end))
        self._published = end
        return end

    def _noted(self, items: Sequence[Packet | PacketRun | bytes], end: int) -> Iterator[Packet | PacketRun | bytes]:
        """Yield *items*, and note when they are put into the queues that all up to *end* is published.

        A stop may end the wait for room in the queues, but what is in them is delivered even so.
        """
        yield from items
        self._published = end

    def _items(self, packets: Sequence[RingPacket]) -> list[Packet | PacketRun | bytes]:
        items: list[Packet | PacketRun | bytes] = []
        for packet in packets:
            if seed_name(packet.name) is None:
                self._others += 1
            elif self._raw:
                items.append(packet.data)
            elif (made := self._decoded(packet)) is not None:
                items.append(made)
        return items

    def _decoded(self, packet: RingPacket) -> Packet | None:
        try:
            info, content = read_record(packet.data)
            made = to_packet(info, content, packet.time_ns)
        except (RecordUnreadable, InvalidValue) as error:
            self.refusals.count("it cannot be read", packet.name, str(error))
            return None
        if made is None:
            self._others += 1
        else:
            self._lowest_rate_hz = min(self._lowest_rate_hz, made.rate_hz)
        return made

    async def ct_save(self) -> None:
        """Note in the ring how far everything was delivered, again and again."""
        if not self.publishers:
            return
        noted: int | None = None
        while True:
            await asyncio.sleep(max(fill_s(self.publishers, self._lowest_rate_hz), _SAVE_S))
            published = self._published
            if published is None or published == noted:
                continue
            await self.delivered()
            await asyncio.sleep(fill_s(self.publishers, self._lowest_rate_hz))
            await self.delivered()
            self.service.ring.move_cursor(_CURSOR, published)
            noted = published

    def receiver_status(self) -> dict[str, object]:
        """Return addresses, ring and clients, and how much of it waits for publishers."""
        extent = self.service.ring.extent()
        waiting = extent.end - self._published if extent is not None and self._published is not None else 0
        shown = {"waiting_packets": waiting, "other_packets": self._others}
        return super().receiver_status() | self.service.status() | shown | self.refusals.report()
