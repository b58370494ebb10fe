"""DataLinkReceiver: reads a DataLink server and publishes its samples."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from rawdaq.config.settings import StationSettings
from rawdaq.datalink import DataLink, DataPacket, PayloadUnreadable, is_waveform, waveform_of
from rawdaq.datalink.login import Login, check_login, check_url
from rawdaq.datalink.session import PORTS
from rawdaq.delivery.records import fill_s
from rawdaq.disk.remedies import describe, describe_write
from rawdaq.disk.threads import in_new_thread
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.outage import Outage
from rawdaq.packet import Packet
from rawdaq.protocols.datalink import write_envelope
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.datalink import resume
from rawdaq.receivers.datalink.endpoint import LinkEndpoint
from rawdaq.receivers.datalink.resume import AlreadyRead, Policy, Start, check_expression
from rawdaq.receivers.datalink.state import ReaderState, RecentPackets, load, save
from rawdaq.sockets.client.address import ServerAddress
from rawdaq.sockets.dialling import Backoff
from rawdaq.sockets.refusals import Refusals
from rawdaq.stream_id import StreamId
from rawdaq.times import from_iso

_SAVE_S: Final = 1.0
_LOG_S: Final = 10.0  # between two lines about missing packets


def _start(text: str) -> str:
    if text not in list(Start):
        try:
            from_iso(text)
        except InvalidValue:
            words = ", ".join(Start)
            raise ValueError(f"{text!r} is neither {words} nor a UTC time like 2026-11-21T00:00:00") from None
    return text


class DataLinkReceiver(ReceiverServer):
    """Reads a DataLink server, such as ringserver; connects again for ever, and goes on where it stopped.

    Records of miniSEED 2 and 3 are decoded and published as packets, under the names that they have themselves. What
    was read is known in a file, so that a restart repeats nothing and leaves out nothing that the server still has. A
    ring that was overwritten, began anew, or is another server's, is recognised and logged; what was read before is
    left out then. Packets that come twice are dropped and counted.

    Args:
        publishers: where the packets go.
        station: the station of the file; the streams have names of their own.
        name: the component's name.
        url: ``datalink://HOST:PORT``, ``datalinks://`` for TLS, ``ws://HOST:PORT/datalink`` or ``wss://``.
        match: regular expression of the stream ids that are wanted, such as ``XX_.*/MSEED``; empty: all.
        reject: regular expression of those that are not; empty: none.
        start: where to begin the first time: ``resume`` and ``earliest`` begin with the oldest packet, ``latest`` with
            the next that comes; or a UTC time, after which the data end.
        policy: after an outage ``min_gap`` goes on where it stopped, ``min_delay`` with the newest packet.
        other: packets that hold no samples: ``json`` publishes each as a JSON object with its names and times,
            ``bytes`` its data as they are, ``skip`` counts it.
        state: the file that knows what was read.
        user: who we are to a server that wants to know.
        password_file: a file that holds the user's password.
        token_file: a file that holds a JSON web token, instead.
        ca_file: certificates that are trusted instead of the system's, for ``datalinks://`` and ``wss://``.
        client_id: ``program:user:pid:architecture`` as the server shows it; empty: that of this process.
        timeout_s: silence after which the connection is given up, while the server owes an answer; a stream in which
            nothing comes is asked every 10 s.
        reconnect_first_s: the pause before the first new attempt; it doubles from one failure to the next.
        reconnect_max_s: the longest pause between attempts.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        url: Annotated[str, AfterValidator(check_url)],
        match: Annotated[str, AfterValidator(check_expression)] = "",
        reject: Annotated[str, AfterValidator(check_expression)] = "",
        start: Annotated[str, AfterValidator(_start)] = Start.RESUME,
        policy: Literal["min_gap", "min_delay"] = "min_gap",
        other: Literal["json", "bytes", "skip"] = "json",
        state: Path = Path("datalink-state.json"),
        user: str = "",
        password_file: Path | None = None,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        client_id: Annotated[str, Field(max_length=250, pattern=r"^[!-~]*$")] = "",
        timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 10.0,
        reconnect_first_s: Annotated[float, Field(ge=0.01, le=3600)] = 0.5,
        reconnect_max_s: Annotated[float, Field(ge=0.01, le=86400)] = 30.0,
        name: str = "DataLinkReceiver",
    ) -> None:
        address = ServerAddress.parse(url, PORTS)
        super().__init__(address.host, address.port, publishers, name)
        self.stats.behind_s = inf  # a server has packets of days ago
        self.stats.has_stamps = False  # records keep the times that they have
        self.refusals = self.add_refusals(Refusals(self.log, what="packet"))
        self._url, self._match, self._reject = url, match, reject
        self._start: str | int = start if start in list(Start) else from_iso(start)
        self._policy, self._other = Policy(policy), other
        self._login = Login(user, password_file, token_file)
        self._ca_file, self._timeout_s, self._client_id = ca_file, timeout_s, client_id or None
        self._state_file = state
        self._reader = ReaderState()
        self._recent = RecentPackets()
        self._already: AlreadyRead | None = None
        self._expected_id: int | None = None
        self._missing = Outage(self.log, _LOG_S)
        self._packets = self._lost = self._duplicates = self._skipped = 0
        self._save_error: str | None = None
        self._lowest_rate_hz: float | None = None
        backoff = Backoff(reconnect_first_s, max(reconnect_first_s, reconnect_max_s))
        self.endpoint = LinkEndpoint(address, self._new_link, self._read, backoff, self.log)
        self.add_endpoint(self.endpoint)

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return no streams: what the server has is known when it comes.

        Raises:
            InvalidValue: options that do not go together.
        """
        if reason := check_login(options):
            raise InvalidValue(reason)
        return []

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the file of the state, which only one component can write."""
        return [f"file {options['state']}"]

    @classmethod
    def only_subscribes(cls, options: Mapping[str, Any]) -> bool:
        """Return that it reads what a server has."""
        return True

    async def serve(self) -> None:
        """Serve as every receiver does, with the state of before; when all is delivered at the end, it is saved.

        Raises:
            ComponentError: the state cannot be read, it could not start, or one of its coroutines failed.
        """
        await in_new_thread(f"reading the state of {self.name}", self._load)
        await super().serve()
        await self._save(self._marked())

    def _load(self) -> None:
        try:
            self._reader = load(self._state_file) or ReaderState()
        except (OSError, ValueError) as error:
            reason = describe(error) if isinstance(error, OSError) else f"{error}; repair it"
            remedy = "or remove it to begin as `start` says"
            raise ComponentError(f"cannot read the state in {self._state_file}: {reason}, {remedy}") from error

    def _new_link(self) -> DataLink:
        login = self._login.read()
        return DataLink(self._url, client_id=self._client_id, timeout_s=self._timeout_s, ca_file=self._ca_file, **login)

    async def _read(self, link: DataLink) -> None:
        """Publish what *link* brings, until it ends."""
        if self._match:
            await link.match(self._match)
        if self._reject:
            await link.reject(self._reject)
        self._reader.set_mark()
        begun = await resume.begin(link, self._reader, self._start, self._policy, self.log)
        if begun.read is not None:
            self._reader.note(begun.read)
        self._already = begun.already
        self._expected_id = begun.next_id
        self._lost += begun.lost
        await self._take(begun.first)
        while True:
            await link.wait_for_packet()
            self.endpoint.has_begun()
            await self._take(link.take_all())

    async def _take(self, packets: Sequence[DataPacket]) -> None:
        """Publish *packets*, and take note of it."""
        received_ns = time.time_ns()
        items: list[Packet | bytes] = []
        for packet in packets:
            self._count_missing(packet)
            if (self._already is not None and self._already.has(packet)) or not self._recent.add(packet):
                self._duplicates += 1
            elif (item := self._item(packet, received_ns)) is not None:
                items.append(item)
        self._packets += len(packets)
        if items:
            await self.publish(items)
        for packet in packets:
            self._reader.note(packet)

    def _item(self, packet: DataPacket, received_ns: int) -> Packet | bytes | None:
        """Return what is published of *packet*."""
        if not is_waveform(packet):
            if self._other == "skip":
                self._skipped += 1
                return None
            return packet.data if self._other == "bytes" else write_envelope(packet)
        try:
            samples = waveform_of(packet, received_ns)
            self._lowest_rate_hz = min(self._lowest_rate_hz or samples.rate_hz, samples.rate_hz)
            return samples
        except PayloadUnreadable as error:
            self.refusals.count("unreadable record", packet.stream_id, error)
            return None

    def _count_missing(self, packet: DataPacket) -> None:
        """Count packets that the server overwrote before we read them; where all are wanted their numbers show it."""
        if self._match or self._reject:
            return
        expected_id, self._expected_id = self._expected_id, packet.packet_id + 1
        if expected_id is None or packet.packet_id <= expected_id:
            return
        missing = packet.packet_id - expected_id
        self._lost += missing
        self._missing.counts["packets"] += missing
        if self._missing.is_due:
            self._missing.log(
                "%d packets are missing before packet %d of %s: the server overwrites them before they are read",
                self._missing.counts.total(),
                packet.packet_id,
                self._url,
            )

    async def ct_save_state(self) -> None:
        """Save what was read, once it is delivered."""
        saved: DataPacket | None = None
        while True:
            await asyncio.sleep(_SAVE_S)
            if self._reader.newest is saved:
                continue
            newest, text = self._reader.newest, self._marked()
            await self.delivered()
            if self._lowest_rate_hz is not None:  # the last samples may wait for their records to fill
                await asyncio.sleep(fill_s(self.publishers, self._lowest_rate_hz))
                await self.delivered()
            await self._save(text)
            saved = newest if self._save_error is None else saved

    def _marked(self) -> str:
        self._reader.set_mark()
        return self._reader.as_json()

    async def _save(self, text: str) -> None:
        try:
            await in_new_thread(f"saving the state of {self.name}", save, self._state_file, text)
            error = None
        except OSError as failure:
            error = describe_write(failure, self._state_file)
        if error is not None and error != self._save_error:
            self.log.error("%s; a restart would go on where it was written last", error)
        elif error is None and self._save_error is not None:
            self.log.warning("%s is written again", self._state_file)
        self._save_error = error

    def receiver_status(self) -> dict[str, object]:
        """Return the connection, where it is in the ring, and what was lost, dropped or refused."""
        newest = self._reader.newest
        return (
            super().receiver_status()
            | {
                "packets": self._packets,
                "packet_id": None if newest is None else newest.packet_id,
                "packet_time_ns": None if newest is None else newest.packet_time_ns,
                "lost": self._lost,
                "duplicates": self._duplicates,
                "skipped": self._skipped,
                "state_error": self._save_error,
            }
            | self.refusals.report()
        )
