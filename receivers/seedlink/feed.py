"""What comes from a server as packets: each record once, with the place from which to go on after it."""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from rawdaq.errors import InvalidValue, RawdaqError, error_text
from rawdaq.miniseed.reader import RecordInfo, RecordUnreadable, read_record, to_packet
from rawdaq.packet import Packet
from rawdaq.protocols.seedlink import DataPacket, SeedLinkVersion, StationRequest
from rawdaq.receivers.seedlink.plan import Policy, Wanted, distance, plan
from rawdaq.receivers.seedlink.positions import LastRecord, Positions, StationPosition
from rawdaq.sockets.refusals import Refusals
from rawdaq.times import NS_PER_S, is_contiguous, span_ns

#: Records that are remembered so as to know them again: at 10 a second the last three hours.
_REMEMBERED = 100_000
#: Stations of one server: bounds what a pattern can make us hold.
_MAX_STATIONS = 10_000
#: A server may send the last packets again; numbers that are further back are those of another run of it.
_REPEATED = 100
#: A record whose samples end so long before it comes is live, also one of 512 bytes at 1 Hz.
_LIVE_NS = 600 * NS_PER_S

_Key = tuple[str, int, int, int]


@error_text("the server counts {station} anew: asked for packet {asked} it sent {sequence}; it is asked by time now")
class NumbersBegunAnew(RawdaqError):
    """The server counts the packets of a station anew, so that it must be asked by time for what came since."""

    station: str
    asked: int
    sequence: int


@dataclass(eq=False, repr=False)
class NoSuchStation(RawdaqError):
    """The server has none of the wanted stations."""

    patterns: tuple[str, ...]

    def __str__(self) -> str:
        return f"the server has no station like {' or '.join(self.patterns)}"


@dataclass(eq=False, repr=False)
class _Useless(RawdaqError):
    """A record cannot be published."""

    reason: str
    detail: str


class Feed:
    """The packets of one server, over all connections.

    Args:
        wanted: what the station file says.
        is_raw: give records as they came, instead of packets.
        log: where gaps of a resumption are logged.
        refusals: where records are counted that cannot be used.

    Attributes:
        positions: how far everything was received.
        records: how many were taken.
        duplicates: how many of them had come before.
        lowest_rate_hz: of all streams so far, at most 100 Hz.
    """

    def __init__(self, wanted: Wanted, is_raw: bool, log: logging.Logger, refusals: Refusals) -> None:
        self.wanted = wanted
        self.positions = Positions()
        self.records = 0
        self.duplicates = 0
        self.lowest_rate_hz = 100.0
        self._is_raw, self._log, self._refusals = is_raw, log, refusals
        self._version = SeedLinkVersion.V3
        self._asked: dict[str, int] = {}  # the number from which on each station was asked for
        self._unproven: set[str] = set()  # stations that have not yet shown that they know that number
        self._replayed: set[str] = set()  # stations that were asked for by time
        self._resuming: set[str] = set()  # streams of which nothing came since
        self._had: dict[str, int] = {}  # begin of the last record of each stream before this connection
        self._recent: dict[_Key, None] = {}  # in the order of arrival

    def load(self, positions: Positions) -> None:
        """Go on where an earlier run ended."""
        self.positions = positions
        for station in positions.stations.values():
            for name, last in station.streams.items():
                self._recent[name, last.start_ns, last.samples, last.version] = None

    def begin(
        self, version: SeedLinkVersion, started_ns: int | None, known: Collection[str] = ()
    ) -> Sequence[StationRequest]:
        """Return what to ask a server for.

        Args:
            version: what it speaks.
            started_ns: when it started; its numbers may be others after a new start.
            known: the stations that it has, when it was asked.

        Raises:
            NoSuchStation: it has none of those that are wanted.
        """
        positions = self.positions
        before_ns = positions.started_ns
        has_restarted = started_ns is not None and before_ns is not None and started_ns > before_ns
        if has_restarted or positions.protocol not in ("", version):
            positions.by_time.update(positions.stations)
        self._version, positions.protocol = version, str(version)
        positions.started_ns = started_ns or positions.started_ns
        requests = plan(self.wanted, positions, version, known, positions.by_time)
        if not requests:
            raise NoSuchStation(tuple(self.wanted.stations))
        self._asked = {each.station: each.start for each in requests if isinstance(each.start, int)}
        self._unproven, self._replayed = set(self._asked), set(positions.by_time)
        lasts = {name: last for each in positions.stations.values() for name, last in each.streams.items()}
        self._had = {name: last.start_ns for name, last in lasts.items()}
        self._resuming = set(lasts) if self.wanted.policy is Policy.MIN_GAP else set()
        return requests

    def note_contact(self, now_ns: int) -> None:
        """Take note that the server is there: what begins from now on will be received."""
        self.positions.contact_ns = now_ns

    def take(
        self, packets: Iterable[DataPacket], received_ns: int
    ) -> tuple[list[Packet | bytes], NumbersBegunAnew | None]:
        """Return what is new in *packets*, and why the connection must be made again, if so."""
        self.note_contact(received_ns)
        taken: list[Packet | bytes] = []
        try:
            for packet in packets:
                if (item := self._take(packet, received_ns)) is not None:
                    taken.append(item)
        except NumbersBegunAnew as error:
            return taken, error
        return taken, None

    def _take(self, packet: DataPacket, received_ns: int) -> Packet | bytes | None:
        """Return what is in a packet, None when it came before; what cannot be used is counted.

        Raises:
            NumbersBegunAnew: the station has other numbers now.
        """
        self.records += 1
        try:
            self._check_station(packet.station)
            info, content = read_record(packet.payload)
            if self._is_repeated(packet, info):
                self.duplicates += 1
                return None
            self._check_number(packet)
            self._remember(packet, info)
            self._advance(packet, info)
            self.positions.has_caught_up = self.positions.has_caught_up or received_ns - info.end_ns < _LIVE_NS
            if self._is_raw:
                return packet.payload
            made = to_packet(info, content, received_ns)
            if made is None:
                raise _Useless("no waveform", f"{info.name} of format {packet.format}{packet.subformat}")
            return made
        except _Useless as error:
            self._refusals.count(error.reason, packet.station, error.detail)
        except RecordUnreadable as error:
            self._refusals.count("unreadable record", packet.station, error)
        except InvalidValue as error:
            self._refusals.count("wrong record", packet.station, error)
        return None

    def _check_station(self, station: str) -> None:
        stations = self.positions.stations
        if station not in stations and len(stations) >= _MAX_STATIONS:
            raise _Useless("too many stations", f"more than {_MAX_STATIONS}")

    def _is_repeated(self, packet: DataPacket, info: RecordInfo) -> bool:
        """Return whether the record came before; servers give others numbers to the same records."""
        if _key(packet, info) in self._recent:
            return True
        if info.start_ns > self._had.get(info.name, info.start_ns - 1):
            return False
        # It is not remembered any more, but before what we asked for.
        asked = self._asked.get(packet.station)
        is_before = asked is not None and distance(asked, packet.sequence, self._version) < 0
        return is_before or packet.station in self._replayed

    def _check_number(self, packet: DataPacket) -> None:
        """Compare the number of the first packet of a station with the one that was asked for.

        Raises:
            NumbersBegunAnew: it is far before that, and the record is a new one.
        """
        if packet.station not in self._unproven:
            return
        self._unproven.discard(packet.station)
        asked = self._asked[packet.station]
        if distance(asked, packet.sequence, self._version) < -_REPEATED:
            self.positions.by_time.add(packet.station)
            raise NumbersBegunAnew(packet.station, asked, packet.sequence)

    def _remember(self, packet: DataPacket, info: RecordInfo) -> None:
        self._recent[_key(packet, info)] = None
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]

    def _advance(self, packet: DataPacket, info: RecordInfo) -> None:
        """Take note of how far the station is."""
        position = self.positions.stations.get(packet.station)
        if position is None:
            position = StationPosition(sequence=packet.sequence, start_ns=info.start_ns, streams={})
            self.positions.stations[packet.station] = position
        self.positions.by_time.discard(packet.station)
        if info.name in self._resuming:
            self._resuming.discard(info.name)
            self._compare(position, packet, info)
        self.lowest_rate_hz = min(self.lowest_rate_hz, info.rate_hz or self.lowest_rate_hz)
        next_ns = info.start_ns + span_ns(info.sample_count, info.rate_hz) if info.rate_hz else info.end_ns
        position.sequence, position.start_ns = packet.sequence, info.start_ns
        position.streams[info.name] = LastRecord(
            start_ns=info.start_ns, next_ns=next_ns, samples=info.sample_count, version=_key(packet, info)[-1]
        )

    def _compare(self, position: StationPosition, packet: DataPacket, info: RecordInfo) -> None:
        """Log what is missing between the last record of a stream and the first one after a new connection."""
        last = position.streams.get(info.name)
        if last is None or not info.rate_hz:
            return
        missing_ns = info.start_ns - last.next_ns
        if missing_ns > 0 and not is_contiguous(info.start_ns, last.next_ns, info.rate_hz):
            self._log.warning(
                "%s: %.3f s are missing between packets %d and %d: the server did not have them any more",
                info.name,
                missing_ns / NS_PER_S,
                position.sequence,
                packet.sequence,
            )


def _key(packet: DataPacket, info: RecordInfo) -> _Key:
    """Return what makes a record: stream, time, samples, and its data quality or publication version."""
    version = packet.payload[32 if packet.payload.startswith(b"MS") else 6]
    return info.name, info.start_ns, info.sample_count, version
