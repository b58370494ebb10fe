"""DataLinkPublisher: miniSEED records to a DataLink server."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from rawdaq.datalink import DataLink, DataLinkError, PayloadType, ServerRefused, Write, WriteInterrupted, datalink_id
from rawdaq.datalink.login import Login, check_login, check_url
from rawdaq.errors import ComponentError, InvalidValue, LocalProtocolError, ProtocolError
from rawdaq.miniseed.format import V3_MAX_BYTES, V3_MIN_BYTES, Encoding, RecordFormat, RecordRun, why_not
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols.datalink import IdStyle, check_id
from rawdaq.protocols.datalink.errors import PayloadOverLimit, WriteNotPermitted
from rawdaq.protocols.datalink.ids import MAX_ID_BYTES, MAX_ID_BYTES_1_0
from rawdaq.publisher import Publisher, PublisherUnavailable
from rawdaq.publishers.datalink.sent import Sent
from rawdaq.stream_id import StreamId
from rawdaq.times import sample_time

#: What the server refuses once it refuses again; a person must change something first.
_REFUSED_RETRY_S: Final = 60.0


class DataLinkPublisher(Publisher):
    """Writes miniSEED records into the ring of a DataLink server, such as ringserver; each of them once.

    Up to 1024 records are on the way at a time; a record counts as delivered when the server has acknowledged it.
    When the connection is lost, or the server is started again, the server is asked which of the last records it has,
    and gets the others. One that was killed may have lost records that it had acknowledged: those it gets again, too.
    While there is no data the connection is kept alive.

    Args:
        url: ``datalink://HOST:PORT``, ``datalinks://`` for TLS, ``ws://HOST:PORT/datalink`` or ``wss://``.
        format: 2 or 3, the version of miniSEED.
        length: bytes of a record, the longest one of miniSEED 3; no more than the server's MaxPacketSize.
        encoding: of the records; ``auto`` is STEIM2 for integers and the samples' own for others.
        flush_after_s: how long a sample waits at most for its record to fill.
        user: who we are to a server that wants to know.
        password_file: a file that holds the user's password.
        token_file: a file that holds a JSON web token, instead.
        ca_file: certificates that are trusted instead of the system's, for ``datalinks://`` and ``wss://``.
        timeout_s: silence of the server after which the connection is given up, while it owes an answer.
        name: how log lines and ``status`` call it.
        logger: parent of its logger.
    """

    takes_runs = True

    def __init__(
        self,
        url: Annotated[str, AfterValidator(check_url)],
        format: Literal[2, 3] = 2,
        length: Annotated[int, Field(ge=V3_MIN_BYTES, le=V3_MAX_BYTES)] = 512,
        encoding: Encoding = Encoding.AUTO,
        flush_after_s: Annotated[float, Field(ge=0, le=86_400)] = 1.0,
        user: str = "",
        password_file: Path | None = None,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 10.0,
        name: str = "DataLinkPublisher",
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(name, logger)
        self.record_format = RecordFormat(format, length, encoding, flush_after_s)
        self._url = url
        self._length = length
        self._type = PayloadType.MSEED if format == 2 else PayloadType.MSEED3
        self._login = Login(user, password_file, token_file)
        self._ca_file, self._timeout_s = ca_file, timeout_s
        self._link: DataLink | None = None
        self._sent = Sent()
        self._is_compared = True
        self._again: list[Write] = []  # what a server that crashed has lost
        self._names: dict[StreamId, str | None] = {}
        self._refused: Counter[str] = Counter()
        self._retry_s = 0.0
        self._refusal = ""
        self._connections = self._acknowledged = self._found = self._written_again = 0
        self._last_failure: str | None = None

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return why records with these *options* cannot be, or the options of the login do not go together."""
        try:
            RecordFormat(options["format"], options["length"], options["encoding"])
        except InvalidValue as error:
            return str(error)
        return check_login(options)

    @classmethod
    def check_streams(cls, streams: Sequence[StreamId], options: Mapping[str, Any]) -> str | None:
        """Return why records with these *options* cannot carry *streams*; None when they can."""
        if cls.check_options(options):
            return None  # which says it
        wanted = RecordFormat(options["format"], options["length"], options["encoding"])
        return next((reason for stream in streams if (reason := _why_not(wanted, stream))), None)

    @classmethod
    def exclusive_by_stream(cls, options: Mapping[str, Any]) -> str | None:
        """Return the server, into which only one publisher should write a stream."""
        return f"DataLink server {options['url']}"

    async def deliver(self, batch: Sequence[Packet | PacketRun | RecordRun | bytes]) -> None:
        """Write the records; return when the server has acknowledged all of them.

        Raises:
            PublisherUnavailable: the server is away, or refuses them.
        """
        link = await self._connected()
        writes, places = self._writes([run for run in batch if isinstance(run, RecordRun)], link)
        done = 0
        failure: DataLinkError | ProtocolError | None = None
        try:
            done = await self._compare(link, writes)
            failure = await self._write_again(link)
            if failure is None:
                count, failure = await self._write(link, writes[done:])
                self._acknowledged += count
                done += count
        except (DataLinkError, ProtocolError) as error:
            failure = error
        except asyncio.CancelledError:
            link.connection.abort()  # what was sent is in question, should anything be delivered after this
            raise
        if failure is not None:
            raise await self._failed(failure, places[done]) from failure

    def retry(self) -> None:
        """Ask the server again at once, also when it has refused us."""
        self._retry_s = 0.0

    async def _connected(self) -> DataLink:
        """Return a connection to a server that takes our records.

        Raises:
            PublisherUnavailable: there is none.
        """
        if self._link is not None and self._link.is_connected:
            return self._link
        await self._disconnect()
        if asyncio.get_running_loop().time() < self._retry_s:
            raise PublisherUnavailable(self._refusal)
        link = self._link = self._new_link()
        try:
            await link.open()
            identity = link.identity
            if not identity.can_write:
                raise WriteNotPermitted(identity.software)
            if identity.packet_size is not None and self._length > identity.packet_size:
                raise PayloadOverLimit("records (option `length`)", self._length, identity.packet_size)
        except (DataLinkError, ProtocolError) as error:
            raise await self._failed(error, 0) from error
        self._connections += 1
        self._names.clear()
        again = "" if self._last_failure is None else f" again; before, {self._last_failure}"
        self.log.info("connected to %s (%s)%s", self._url, identity.software, again)
        self._last_failure = None
        return link

    def _new_link(self) -> DataLink:
        try:
            return DataLink(self._url, timeout_s=self._timeout_s, ca_file=self._ca_file, **self._login.read())
        except ComponentError as error:
            raise PublisherUnavailable(str(error)) from error

    async def _failed(self, error: DataLinkError | ProtocolError, delivered: int) -> PublisherUnavailable:
        """Take note that the connection is of no use any more; return what the framework is to know."""
        cause = error.__cause__ if isinstance(error, WriteInterrupted) else error
        reason = str(cause)
        if isinstance(cause, ServerRefused | LocalProtocolError):
            self._retry_s = asyncio.get_running_loop().time() + _REFUSED_RETRY_S
            self._refusal = reason
        self._last_failure = reason
        self._is_compared = False
        await self._disconnect()
        return PublisherUnavailable(reason, delivered)

    async def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._is_compared = False
            await link.aclose()

    def _writes(self, runs: Sequence[RecordRun], link: DataLink) -> tuple[list[Write], list[int]]:
        """Return what writes the records of *runs*, and of each how many records stand before it; at last all."""
        writes: list[Write] = []
        places: list[int] = []
        place = 0
        for run in runs:
            name = self._names[run.stream] if run.stream in self._names else self._name(run.stream, link)
            size = run.length_bytes
            for index, (start_ns, count) in enumerate(zip(run.starts_ns, run.sample_counts, strict=True)):
                if name is None:
                    self._refused[str(run.stream)] += 1
                else:
                    end_ns = sample_time(start_ns, count - 1, run.rate_hz)
                    writes.append(Write(name, start_ns, end_ns, run.data[index * size : (index + 1) * size]))
                    places.append(place)
                place += 1
        return writes, [*places, place]

    def _name(self, stream: StreamId, link: DataLink) -> str | None:
        """Return what the server calls *stream*; None, logged once, when it has no room for that name."""
        name = datalink_id(stream, self._type, link.style)
        try:
            check_id(name, MAX_ID_BYTES if link.style is IdStyle.FDSN else MAX_ID_BYTES_1_0)
            self._names[stream] = name
        except LocalProtocolError as error:
            self.log.error("%s does not go to the server, counted as refused: %s", stream, error)
            self._names[stream] = None
        return self._names[stream]

    async def _compare(self, link: DataLink, writes: Sequence[Write]) -> int:
        """Return how many of the first *writes* the server has already, after the connection was lost."""
        if self._is_compared:
            return 0
        compared = await self._sent.compare(link, [*self._again, *writes])
        found_again = min(compared.found, len(self._again))
        found = compared.found - found_again
        if compared.lost:
            self.log.warning(
                "the server lost the last %d records that it had acknowledged: they are written again",
                len(compared.lost),
            )
        self._again = [*compared.lost, *self._again[found_again:]]
        self._found += found
        self._is_compared = True
        if found:
            self.log.info("the server has %d of the records that it did not acknowledge", found)
        return found

    async def _write_again(self, link: DataLink) -> WriteInterrupted | None:
        """Write what the server has lost; return what went wrong."""
        count, failure = await self._write(link, self._again)
        self._written_again += count
        del self._again[:count]
        return failure

    async def _write(self, link: DataLink, writes: Sequence[Write]) -> tuple[int, WriteInterrupted | None]:
        """Write *writes*; return how many of them arrived for sure, and what went wrong."""
        try:
            packet_ids, failure = await link.write_many(writes), None
        except WriteInterrupted as error:
            packet_ids, failure = error.packet_ids, error
        self._sent.add(packet_ids, writes[: len(packet_ids)])
        return len(packet_ids), failure

    async def aclose(self) -> None:
        """Close the connection."""
        await super().aclose()
        await self._disconnect()

    def status(self) -> dict[str, object]:
        """Return what `status` shows besides the queue's counters."""
        is_connected = self._link is not None and self._link.is_connected
        return {
            "url": self._url,
            "connected": is_connected,
            "connections": self._connections,
            "server": self._link.identity.text if self._link is not None and is_connected else None,
            "last_failure": self._last_failure,
            "acknowledged": self._acknowledged,
            "found_at_server": self._found,
            "written_again": self._written_again,
            "refused": self._refused.total(),
            "refused_by_stream": dict(self._refused),
        }


def _why_not(wanted: RecordFormat, stream: StreamId) -> str | None:
    """Return why a server cannot have records of *stream*; None when it can."""
    if reason := why_not(wanted, stream):
        return reason
    try:
        check_id(datalink_id(stream, PayloadType.MSEED3 if wanted.version == 3 else PayloadType.MSEED))
    except LocalProtocolError as error:
        return str(error)
    return None
