"""What comes from a server as packets: each sample once, with the place from which to go on after it."""

import logging
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.packet import Packet
from rawdaq.protocols.isi import IsiName, IsiPacket, Policy, Window
from rawdaq.protocols.isi.waveform import stream_of, waveform_of
from rawdaq.receivers.isi.plan import Wanted, plan
from rawdaq.receivers.isi.positions import Positions, StreamPosition
from rawdaq.sockets.refusals import Refusals
from rawdaq.stream_id import StreamId
from rawdaq.times import CONTIGUOUS_SAMPLES, NS_PER_S, is_contiguous, span_ns, to_iso

#: Packets that are remembered so as to know them again: at 10 a second the last three hours.
_REMEMBERED = 100_000
#: Pieces of a stream that are remembered: at first those with the newest times.
_MAX_PIECES = 30
#: Streams of one server: bounds what it can make us hold.
_MAX_STREAMS = 10_000


#: What makes a packet: stream, times, number of samples, and a checksum of them; a clock that was set back gives
#: others the same times.
_Key = tuple[str, int, int, int, int]
_Pieces = tuple[tuple[int, int], ...]


@dataclass(eq=False, repr=False)
class _Useless(RawdaqError):
    """A packet cannot be published."""

    reason: str
    detail: str


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
        self._resuming: dict[str, int] = {}  # until a stream is newer than this, it may repeat what came before
        self._logs_gaps = False
        self._recent: dict[_Key, None] = {}  # in the order of arrival

    @property
    def absent(self) -> list[StreamId]:
        """The streams that the server was asked for and does not have."""
        return [stream for stream in self.asked if stream not in self.served]

    def load(self, positions: Positions) -> None:
        """Go on where an earlier run ended."""
        self.positions = positions

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
        self._resuming = {name: position.pieces[-1][1] for name, position in self.positions.streams.items()}
        self._logs_gaps = goes_on or self.wanted.policy is Policy.MIN_GAP
        return plan(self.wanted, self.asked, self.positions, goes_on=goes_on)

    def usable(self, listed: Iterable[IsiName]) -> list[IsiName]:
        """Return those of *listed* that a stream can be called, and count the others."""
        usable: list[IsiName] = []
        for name in listed:
            try:
                self._named(name)
            except _Useless as error:
                self._refusals.count(error.reason, str(name), error.detail)
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
                made = self._take(packet, self._stream(packet.name), received_ns)
            except _Useless as error:
                self._refusals.count(error.reason, str(packet.name), error.detail)
                continue
            except InvalidValue as error:
                self._refusals.count("wrong packet", str(packet.name), error)
                continue
            if made is None:
                self.duplicates += 1
            else:
                taken.append(made)
        return taken

    def _stream(self, name: IsiName) -> StreamId:
        """Return the stream that the server calls *name*.

        Raises:
            _Useless: no stream is called so, it is not wanted, or there are too many.
        """
        stream = self._streams.get(name)
        if stream is None:
            if not any(wanted.matches(name) for wanted in self.wanted.names):
                raise _Useless("stream that is not wanted", "")
            if len(self._streams) >= _MAX_STREAMS:
                raise _Useless("too many streams", f"more than {_MAX_STREAMS}")
            stream = self._streams[name] = self._named(name)
        return stream

    def _named(self, name: IsiName) -> StreamId:
        try:
            return stream_of(name, self.wanted.network)
        except InvalidValue as error:
            raise _Useless("name of no stream", str(error)) from error

    def _take(self, packet: IsiPacket, stream: StreamId, received_ns: int) -> Packet | None:
        """Return what is new in a packet, None when all of it came before.

        A packet that came before comes again as it was, because servers never cut or join packets. Beside that, what
        comes after a new connection may be what we have until it is newer than all of that: servers begin with the
        packet that holds the place that was asked for, one that took another's place may have cut its packets
        elsewhere, and a restart forgets single packets. All else is new, also what is out of order.

        Raises:
            InvalidValue: the packet cannot be.
        """
        name = str(stream)
        key = _key(packet, name)
        if key in self._recent:
            return None
        newest_ns = self._resuming.get(name)
        known = 0 if newest_ns is None else _known_samples(packet, self.positions.streams[name].pieces)
        if known >= len(packet.samples):
            return None
        made = waveform_of(packet, stream, received_ns, known)
        if newest_ns is not None and packet.next_ns > newest_ns:
            del self._resuming[name]
            self._compare(packet, name, newest_ns)
        self._remember(key)
        self._advance(packet, name)
        return made

    def _remember(self, key: _Key) -> None:
        self._recent[key] = None
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]

    def _advance(self, packet: IsiPacket, name: str) -> None:
        """Take note of how far the stream is: behind the last packet, also where time went back.

        Asked from the end of the newest packet, a server would leave out what comes late, and would wait until a clock
        that was set back has come so far again.
        """
        self.lowest_rate_hz = min(self.lowest_rate_hz, packet.rate_hz)
        before = self.positions.streams.get(name)
        pieces = _joined(() if before is None else before.pieces, packet)
        self.positions.streams[name] = StreamPosition(end_ns=packet.end_ns, next_ns=packet.next_ns, pieces=pieces)

    def _compare(self, packet: IsiPacket, name: str, newest_ns: int) -> None:
        """Log what is missing between what we have of a stream and its first newer packet after a new connection."""
        missing_ns = packet.start_ns - newest_ns
        if self._logs_gaps and missing_ns > 0 and not is_contiguous(packet.start_ns, newest_ns, packet.rate_hz):
            self._log.warning(
                "%s: %.3f s are missing after %s: the server does not have them",
                name,
                missing_ns / NS_PER_S,
                to_iso(newest_ns),
            )


def _key(packet: IsiPacket, name: str) -> _Key:
    samples = packet.samples
    little = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    check = zlib.crc32(np.ascontiguousarray(little).view(np.uint8).data)
    return name, packet.start_ns, packet.end_ns, len(samples), check


def _slack_ns(packet: IsiPacket) -> int:
    """Return how far from each other the ends of two pieces may be that are one."""
    return span_ns(CONTIGUOUS_SAMPLES, packet.rate_hz)


def _known_samples(packet: IsiPacket, pieces: _Pieces) -> int:
    """Return how many samples at the begin of a packet are in what came, but for half an interval."""
    known_ns, slack_ns = packet.start_ns, _slack_ns(packet)
    for begin_ns, end_ns in pieces:
        if begin_ns <= known_ns + slack_ns:
            known_ns = max(known_ns, end_ns)
    intervals = (known_ns - packet.start_ns) * packet.rate_hz / NS_PER_S
    return math.ceil(intervals - CONTIGUOUS_SAMPLES)


def _joined(pieces: _Pieces, packet: IsiPacket) -> _Pieces:
    """Return what came, with a further packet."""
    begin_ns, end_ns, slack_ns = packet.start_ns, packet.next_ns, _slack_ns(packet)
    apart: list[tuple[int, int]] = []
    for piece in pieces:
        if piece[0] <= end_ns + slack_ns and begin_ns <= piece[1] + slack_ns:
            begin_ns, end_ns = min(begin_ns, piece[0]), max(end_ns, piece[1])
        else:
            apart.append(piece)
    return tuple(sorted([*apart, (begin_ns, end_ns)]))[-_MAX_PIECES:]
