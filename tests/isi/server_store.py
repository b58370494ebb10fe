"""What the ISI server of the tests holds: streams of whole packets, and which of them a time window means."""

import math
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.isi.entries import SERIES_BYTES, Cnf, Soh, pack_packet, pack_wfdisc
from tests.isi.wire import (
    BIG,
    IDA,
    INT32,
    KEEPUP,
    LETTERS,
    LITTLE,
    MAX_DATA_BYTES,
    NEWEST,
    NONE,
    OLDEST,
    UNDEFINED,
    Name,
    Rate,
    Request,
    Window,
    ida_encode,
)


class Stored(NamedTuple):
    """A packet of a stream."""

    name: Name
    rate: Rate
    tofs: float
    tols: float
    status: int
    samples: tuple[float, ...]
    type: int

    def pack(self, compress: int, order: int, *, lies: bool, garbage: bytes) -> bytes:
        """Return the payload as isid sends it: compress 1 means none, anything else IDA where that is shorter."""
        letter = LETTERS[self.type]
        size = struct.calcsize(f"={letter}")
        sent_order = BIG + LITTLE - order if lies else order
        data = struct.pack(f"{'>' if sent_order == BIG else '<'}{len(self.samples)}{letter}", *self.samples)
        compression = NONE
        if compress != NONE and self.type == INT32:
            coded = ida_encode([int(sample) for sample in self.samples])
            if coded is not None and len(coded) < len(data):
                compression, data = IDA, coded
        times = self.tofs, self.status, self.tols, self.status
        descriptor = compression, self.type, order, size
        return pack_packet(self.name.pack(garbage), self.rate, times, len(self.samples), data, descriptor)


@dataclass
class Stream:
    """A stream and its packets, the oldest first."""

    name: Name
    rate: Rate
    interval_s: float
    packets: list[Stored] = field(default_factory=list[Stored])
    written_s: float = 0.0

    @property
    def segments(self) -> list[list[Stored]]:
        """The packets, parted where there is a gap or an overlap."""
        parts: list[list[Stored]] = []
        for packet in self.packets:
            if parts and abs(packet.tofs - parts[-1][-1].tols - self.interval_s) < self.interval_s / 2:
                parts[-1].append(packet)
            else:
                parts.append([packet])
        return parts


class Store:
    """All streams, in the order in which they came.

    Attributes:
        configurations: what a CNF report says of a stream in place of the values of a server without a database.
        states: what a SOH report says of a stream in place of the truth.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.streams: dict[Name, Stream] = {}
        self.configurations: dict[Name, Cnf] = {}
        self.states: dict[Name, Soh] = {}
        self._clock = clock

    def declare(self, name: Name, rate: float | Rate) -> Stream:
        """Return a stream, which is there from now on, with packets or without."""
        if name not in self.streams:
            header, interval_s = (rate, rate.interval_s) if isinstance(rate, Rate) else (Rate.of(rate), 1 / rate)
            self.streams[name] = Stream(name, header, interval_s)
        return self.streams[name]

    def add(
        self, name: Name, tofs: float, rate: float | Rate, samples: Sequence[float], status: int, kind: int
    ) -> Stored:
        """Append a packet."""
        size = struct.calcsize(f"={len(samples)}{LETTERS[kind]}")
        assert 0 < size <= MAX_DATA_BYTES - SERIES_BYTES, f"a packet of {size} bytes"
        stream = self.declare(name, rate)
        tols = tofs + (len(samples) - 1) * stream.interval_s
        packet = Stored(name, stream.rate, tofs, tols, status, tuple(samples), kind)
        stream.packets.append(packet)
        stream.written_s = self._clock()
        return packet

    def expand(self, request: Request) -> list[Window]:
        """Return a window for each stream that each spec means; who is meant twice is there twice."""
        return [
            Window(name, beg, end) for spec, beg, end in request.windows for name in self.streams if spec.selects(name)
        ]

    def soh(self) -> list[Soh]:
        """Return the state of each stream."""
        return [self.states.get(name) or self._soh(stream) for name, stream in self.streams.items()]

    def _soh(self, stream: Stream) -> Soh:
        if not stream.packets:
            return Soh(stream.name, UNDEFINED, UNDEFINED, 0.0, 0, 0)
        times = stream.packets[0].tofs, stream.packets[-1].tols, self._clock() - stream.written_s
        return Soh(stream.name, *times, len(stream.segments), len(stream.packets))

    def cnf(self) -> list[Cnf]:
        """Return the configuration of each stream."""
        return [self.configurations.get(name, Cnf(name, stream.rate)) for name, stream in self.streams.items()]

    def wfdisc(self) -> list[bytes]:
        """Return a line for each segment of each stream."""
        return [
            pack_wfdisc(
                sta=stream.name.sta,
                chan=(stream.name.chn + stream.name.loc).strip(),
                time=segment[0].tofs,
                jdate=int(time.strftime("%Y%j", time.gmtime(segment[0].tofs))),
                endtime=segment[-1].tols,
                nsamp=sum(len(packet.samples) for packet in segment),
                smprate=1 / stream.interval_s,
                datatype="s4",
            )
            for stream in self.streams.values()
            for segment in stream.segments
        ]


class Cursor:
    """The packets that a window means, one after the other.

    Attributes:
        is_continuous: whether there may be more at any time.
    """

    def __init__(self, stream: Stream, window: Window) -> None:
        self._packets = packets = stream.packets
        self._beg = window.beg
        self.is_continuous = window.end == KEEPUP
        self._place = max(len(packets) - 1, 0) if window.beg == NEWEST else 0
        if window.beg in (UNDEFINED, OLDEST, NEWEST, KEEPUP):
            self._beg = -math.inf
        self._stop = math.inf if self.is_continuous else _stop(packets, window)

    def take(self) -> Stored | None:
        """Return the next packet, None when there is none now."""
        while self._place < min(len(self._packets), self._stop):
            packet = self._packets[self._place]
            self._place += 1
            if packet.tols >= self._beg:
                self._beg = -math.inf
                return packet
        return None


def _stop(packets: Sequence[Stored], window: Window) -> int:
    """Return how many of *packets* are not after the end of *window*."""
    beg, end = window.beg, window.end
    if not packets or end == UNDEFINED:
        return 0
    if end in (OLDEST, NEWEST):
        return 1 if end == OLDEST else len(packets)
    if end < packets[0].tofs or end < beg:
        return 0
    # An end in a gap takes the packet after the gap along.
    return next((index + 1 for index, packet in enumerate(packets) if packet.tols >= end), len(packets))
