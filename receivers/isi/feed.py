"""What comes from a server as packets: each sample once, with the place from which to go on after it."""

import logging
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet
from rawdaq.protocols.isi import IsiName, IsiPacket, Policy, Window
from rawdaq.protocols.isi.waveform import stream_of, waveform_of
from rawdaq.receivers.isi.plan import Wanted, plan
from rawdaq.receivers.isi.positions import Positions, ReceivedPacket, StreamPosition
from rawdaq.sockets.refusals import Refusals
from rawdaq.stream_id import StreamId
from rawdaq.times import CONTIGUOUS_SAMPLES, NS_PER_S, is_contiguous, to_iso

#: Packets that are remembered so as to know them again: at 10 a second the last three hours.
_REMEMBERED = 100_000
#: Packets of a stream that end later than the last one, in its position: more have a clock that was set back far.
_AHEAD = 100
#: Streams of one server: bounds what it can make us hold.
_MAX_STREAMS = 10_000


class Feed:
    """The packets of one server, over all connections.

    Args:
        wanted: what the station file says.
        log: where gaps of a resumption are logged.
        refusals: where packets are counted that cannot be used.

    Attributes:
        positions: how far everything was received.
        asked: how the server calls the streams that it was asked for last.
        served: those of them that it has.
        packets: how many came.
        duplicates: how many of them had come before.
        lowest_rate_hz: of all streams so far, at most 100 Hz.
    """

    def __init__(self, wanted: Wanted, log: logging.Logger, refusals: Refusals) -> None:
        self.wanted = wanted
        self.positions = Positions()
        self.asked: Mapping[StreamId, IsiName] = {}
        self.served: Mapping[StreamId, IsiName] = {}
        self.packets = 0
        self.duplicates = 0
        self.lowest_rate_hz = 100.0
        self._log, self._refusals = log, refusals
        self._streams: dict[IsiName, StreamId] = {}
        self._resuming: dict[str, int] = {}  # until a stream has come so far, it repeats what we have
        self._logs_gaps = False
        self._recent: dict[tuple[str, ReceivedPacket], None] = {}  # in the order of arrival

    @property
    def absent(self) -> list[StreamId]:
        """The streams that the server was asked for and does not have."""
        return [stream for stream in self.asked if stream not in self.served]

    def load(self, positions: Positions) -> None:
        """Go on where an earlier run ended."""
        self.positions = positions
        for name, position in positions.streams.items():
            for packet in (*position.ahead, position.last):
                self._recent[name, packet] = None

    def begin(self, listed: Iterable[IsiName], *, goes_on: bool = False) -> tuple[Window, ...]:
        """Return what to ask a server for.

        Args:
            listed: the streams that it has, of those that names with ``*`` mean.
            goes_on: whether the last connection was ended by us, so that nothing is old.

        Raises:
            NoSuchStream: there is nothing to ask for.
        """
        self.asked = self.wanted.streams([*self.wanted.whole_names, *self.usable(listed)])
        self.served = {}
        if not self.asked:
            raise self.wanted.no_such_stream()
        self._resuming = {name: position.next_ns for name, position in self.positions.streams.items()}
        self._logs_gaps = goes_on or self.wanted.policy is Policy.MIN_GAP
        return plan(self.wanted, self.asked, self.positions, goes_on=goes_on)

    def usable(self, listed: Iterable[IsiName]) -> list[IsiName]:
        """Return those of *listed* that a stream can be called, and count the others."""
        usable: list[IsiName] = []
        for name in listed:
            try:
                stream_of(name, self.wanted.network)
            except InvalidValue as error:
                self._refusals.count("name of no stream", str(name), error)
            else:
                usable.append(name)
        return usable

    def note_served(self, windows: Sequence[Window], now_ns: int) -> None:
        """Take note of what the server has: a stream that it gets from now on will be received.

        Raises:
            NoSuchStream: it has nothing of what was asked for.
        """
        self.served = self.wanted.streams(window.name for window in windows)
        if not self.served:
            raise self.wanted.no_such_stream()
        self.positions.listed_ns = now_ns

    def take(self, packets: Iterable[IsiPacket], received_ns: int) -> list[Packet]:
        """Return what is new in *packets*; what cannot be used is counted."""
        taken: list[Packet] = []
        for packet in packets:
            self.packets += 1
            try:
                stream = self._stream(packet.name)
            except InvalidValue as error:
                self._refusals.count("name of no stream", str(packet.name), error)
                continue
            try:
                made = self._take(packet, stream, received_ns)
            except InvalidValue as error:
                self._refusals.count("wrong packet", str(stream), error)
                continue
            if made is None:
                self.duplicates += 1
            else:
                taken.append(made)
        return taken

    def _stream(self, name: IsiName) -> StreamId:
        """Return the stream that the server calls *name*.

        Raises:
            InvalidValue: no stream is called so, it is not wanted, or there are too many.
        """
        stream = self._streams.get(name)
        if stream is None:
            stream = stream_of(name, self.wanted.network)
            if not any(wanted.matches(name) for wanted in self.wanted.names):
                raise InvalidValue("nobody asked for it")
            if len(self._streams) >= _MAX_STREAMS:
                raise InvalidValue(f"there are more than {_MAX_STREAMS} streams")
            self._streams[name] = stream
        return stream

    def _take(self, packet: IsiPacket, stream: StreamId, received_ns: int) -> Packet | None:
        """Return what is new in a packet, None when all of it came before.

        A packet that came before comes again as it was. Beside that, the first packets after a new connection may hold
        what we have, up to the place that was asked for: servers begin with the packet that holds it, and one that
        took another's place may have cut its packets elsewhere. All else is new, also what is out of order.

        Raises:
            InvalidValue: the packet cannot be.
        """
        name = str(stream)
        key = _key(packet)
        place_ns = self._resuming.get(name)
        if (name, key) in self._recent:
            if place_ns is not None:
                self._resuming[name] = max(place_ns, packet.next_ns)
            return None
        known = 0 if place_ns is None else _samples_before(packet, place_ns)
        if known >= len(packet.samples):
            return None
        made = waveform_of(packet, stream, received_ns, known)
        if place_ns is not None:
            del self._resuming[name]
            self._compare(packet, name, place_ns)
        self._advance(packet, name, key)
        return made

    def _advance(self, packet: IsiPacket, name: str, key: ReceivedPacket) -> None:
        """Take note of how far the stream is: behind the last packet, also where time went back.

        From the end of the newest one a server would leave out what is late, or wait until a clock that was set back
        has come so far again.
        """
        self._recent[name, key] = None
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]
        self.lowest_rate_hz = min(self.lowest_rate_hz, packet.rate_hz)
        before = self.positions.streams.get(name)
        earlier = () if before is None else (*before.ahead, before.last)
        ahead = tuple(each for each in earlier if each.end_ns > packet.end_ns)[-_AHEAD:]
        self.positions.streams[name] = StreamPosition(last=key, next_ns=packet.next_ns, ahead=ahead)

    def _compare(self, packet: IsiPacket, name: str, place_ns: int) -> None:
        """Log what is missing between the place from which a stream was asked for and what came."""
        missing_ns = packet.start_ns - place_ns
        if self._logs_gaps and missing_ns > 0 and not is_contiguous(packet.start_ns, place_ns, packet.rate_hz):
            self._log.warning(
                "%s: %.3f s are missing after %s: the server does not have them",
                name,
                missing_ns / NS_PER_S,
                to_iso(place_ns),
            )


def _key(packet: IsiPacket) -> ReceivedPacket:
    samples = packet.samples
    little = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    check = zlib.crc32(np.ascontiguousarray(little).view(np.uint8).data)
    return ReceivedPacket(start_ns=packet.start_ns, end_ns=packet.end_ns, samples=len(samples), check=check)


def _samples_before(packet: IsiPacket, place_ns: int) -> int:
    """Return how many samples of a packet belong before a place, by more than half an interval."""
    intervals = (place_ns - packet.start_ns) * packet.rate_hz / NS_PER_S
    return max(0, math.ceil(intervals - CONTIGUOUS_SAMPLES))
