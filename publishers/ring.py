"""RingPublisher: a SeedLink, DataLink and ISI server for what a component publishes."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rawdaq import __version__
from rawdaq.errors import InvalidValue
from rawdaq.miniseed.format import V3_MIN_BYTES, Encoding, RecordFormat, RecordRun, why_not
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols.seedlink.v3 import RECORD_BYTES
from rawdaq.publisher import Publisher, PublisherUnavailable
from rawdaq.ring.names import ring_name
from rawdaq.ring.packets import NewPacket
from rawdaq.ring.ring import WriteFailed
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
from rawdaq.ring.server.settings import ListenSettings, TlsSettings
from rawdaq.stream_id import StreamId

_MAX_LENGTH = 1_048_576  # of a record: what is buffered for a client has a limit


class RingPublisher(Publisher):
    """Keeps miniSEED records in a ring on disk, and serves them to SeedLink, DataLink and ISI clients.

    Clients get a record when it is written, on ports that recognise what comes; those of SeedLink and DataLink also by
    WebSocket (``/seedlink``, ``/datalink``) and TLS. A number is never used twice, also after a crash or a power cut,
    so clients go on where they were. The oldest records make room for the newest; who was too far behind gets the
    oldest that there is. DataLink clients that may do so write into the same ring.

    Args:
        path: the folder of the ring; it is created.
        max_gb: how large it may be.
        seedlink: where SeedLink 3.1 and 4.0 are served, ``{ip: 127.0.0.1, port: 18000}``.
        datalink: where DataLink is served; with the address of `seedlink` one port serves both.
        isi: where ISI is served to clients of IDA's toolkit, ``{ip: 127.0.0.1, port: 39136}``.
        tls: ``{certificate: FILE, key: FILE}`` for TLS on the same ports; ``required: true`` takes nothing else.
        format: 2 or 3, the version of miniSEED; clients of SeedLink 3 get version 2 only.
        length: bytes of a record, the longest one of miniSEED 3; clients of SeedLink 3 get those of 512 bytes only.
        encoding: of the records, as `RecordFormat` has it.
        flush_after_s: how long a sample waits at most for its record to fill.
        sync_s: how long after it was written a record survives a power cut; 0: before its writer gets
            its answer. A killed process loses nothing in any case.
        organization: who runs the server, for clients that ask.
        packet_bytes: the largest data that a DataLink client may write.
        max_clients: how many clients may be connected.
        max_per_address: how many of them from one address.
        read: addresses and networks that may connect; by default all that reach the server.
        write: those that may write by DataLink; by default this machine.
        trusted: those that may see the other clients; by default this machine.
        name: how log lines and ``status`` call it.
        logger: parent of its logger.
    """

    takes_runs = True

    def __init__(
        self,
        path: Path,
        max_gb: MaxGb = 2.0,
        seedlink: ListenSettings | None = None,
        datalink: ListenSettings | None = None,
        isi: ListenSettings | None = None,
        tls: TlsSettings | None = None,
        format: Literal[2, 3] = 2,
        length: Annotated[int, Field(ge=V3_MIN_BYTES, le=_MAX_LENGTH)] = 512,
        encoding: Encoding = Encoding.AUTO,
        flush_after_s: Annotated[float, Field(ge=0, le=86_400)] = 0.5,
        sync_s: SyncS = 1.0,
        organization: str = "rawdaq",
        packet_bytes: PacketBytes = 16_384,
        max_clients: MaxClients = 1000,
        max_per_address: MaxClients = 250,
        read: NetworkList | None = None,
        write: NetworkList | None = None,
        trusted: NetworkList | None = None,
        name: str = "RingPublisher",
        logger: logging.Logger | None = None,
    ) -> None:
        options = locals() | {"packet_bytes": max(packet_bytes, length)}
        super().__init__(name, logger)
        self.record_format = RecordFormat(format, length, encoding, flush_after_s)
        self.service = make_service(self.log, f"rawdaq/{__version__}", options)
        self._version, self._length = format, length
        self._has_v3 = seedlink is not None

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return why *options* cannot be together, None when they can."""
        try:
            RecordFormat(options["format"], options["length"], options["encoding"])
        except InvalidValue as error:
            return str(error)
        return refusal(options)

    @classmethod
    def check_streams(cls, streams: Sequence[StreamId], options: Mapping[str, Any]) -> str | None:
        """Return why records with these *options* cannot carry *streams*; None when they can."""
        if cls.check_options(options):
            return None  # which says it
        wanted = RecordFormat(options["format"], options["length"], options["encoding"])
        return next((reason for stream in streams if (reason := why_not(wanted, stream))), None)

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the addresses that only one server can listen on."""
        return addresses(options)

    @classmethod
    def exclusive_by_stream(cls, options: Mapping[str, Any]) -> str | None:
        """Return the ring, which only one publisher can write."""
        return f"ring {options['path']}"

    async def open(self) -> None:
        """Open the ring and listen.

        Raises:
            ComponentError: the ring cannot be written, an address or a certificate cannot be used.
        """
        await self.service.open()
        if self._has_v3 and (self._version, self._length) != (2, RECORD_BYTES):
            self.log.warning(
                "records are miniSEED %d of %d bytes: clients of SeedLink 3 get none of them, only miniSEED 2 of %d "
                "bytes (options format and length)",
                self._version,
                self._length,
                RECORD_BYTES,
            )

    async def deliver(self, batch: Sequence[Packet | PacketRun | RecordRun | bytes]) -> None:
        """Put the records into the ring; return when they are as safe as it makes them.

        Raises:
            PublisherUnavailable: the disk refuses them.
        """
        packets = [
            NewPacket(ring_name(run.stream, self._version), record.start_ns, record.end_ns, record.data)
            for run in batch
            if isinstance(run, RecordRun)
            for record in run
        ]
        try:
            await self.service.ring.append(packets)
        except WriteFailed as error:
            raise PublisherUnavailable(error.reason, error.written) from error

    async def watch(self) -> None:
        """Look after clients that are too slow, and log what was refused."""
        await self.service.watch()

    async def aclose(self) -> None:
        """Close the servers and the ring; clients get a second for what they have not read yet.

        Raises:
            ComponentError: the disk refuses what was written last.
        """
        await super().aclose()
        await self.service.aclose()

    def status(self) -> dict[str, object]:
        """Return addresses, ring and clients."""
        return self.service.status()
