"""What `status` and the log show of every stream: counters, rates, gaps, overlaps, latency."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

import numpy as np

from rawdaq.multipart import Multipart
from rawdaq.packet import SAMPLE_TYPES, Packet, PacketRun, rate_text
from rawdaq.stream_id import StreamId
from rawdaq.streams.clock import SUSPICIOUS_NS, clock_problem
from rawdaq.streams.recent import Recent
from rawdaq.streams.timeline import Timeline
from rawdaq.times import NS_PER_S, is_contiguous, to_iso

_FORGET = 0.9
_AHEAD_S = 5.0  # clocks that are set by the network differ by less
_LATE_S = 60.0  # real-time streams come sooner


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of time in which a stream has too few samples, or too many."""

    word: ClassVar[str]

    stream: StreamId
    start_ns: int
    end_ns: int
    samples: int

    def __str__(self) -> str:
        return (
            f"{self.stream} {self.word} of {(self.end_ns - self.start_ns) / NS_PER_S:.6f} s ({self.samples} samples) "
            f"from {to_iso(self.start_ns)} to {to_iso(self.end_ns)}"
        )


class Gap(_Span):
    """Samples are missing before a packet."""

    word = "gap"


class Overlap(_Span):
    """A packet begins before the last one ended."""

    word = "overlap"


@dataclass(frozen=True, slots=True)
class BackwardTime:
    """A packet begins before the last one began: the device's clock was set back, or it repeats itself."""

    stream: StreamId
    before_ns: int
    now_ns: int

    def __str__(self) -> str:
        return (
            f"{self.stream} time runs backwards by {(self.before_ns - self.now_ns) / NS_PER_S:.6f} s: "
            f"{to_iso(self.now_ns)} after {to_iso(self.before_ns)}"
        )


@dataclass(frozen=True, slots=True)
class RateMismatch:
    """The time stamps advance at another rate than the device announced."""

    stream: StreamId
    nominal_hz: float
    measured_hz: float

    def __str__(self) -> str:
        measured, nominal = rate_text(float(f"{self.measured_hz:.6g}")), rate_text(self.nominal_hz)
        return (
            f"{self.stream} time stamps advance at {measured} Hz, the device says {nominal} Hz; "
            "its gaps or overlaps are not logged one by one until that ends"
        )


Anomaly = Gap | Overlap | BackwardTime | RateMismatch
_NONE: tuple[Anomaly, ...] = ()


class RateMeter:
    """Events a second, over the last whole second that was looked at.

    Args:
        clock: seconds that only run forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = 0
        self._clock = clock
        self._since = clock()
        self._count_then = 0
        self._per_s = 0.0

    def count(self, events: int = 1) -> None:
        """Register *events*."""
        self.total += events

    @property
    def per_s(self) -> float:
        """Events a second."""
        elapsed_s = self._clock() - self._since
        if elapsed_s >= 1.0:
            self._per_s = (self.total - self._count_then) / elapsed_s
            self._since += elapsed_s
            self._count_then = self.total
        return self._per_s


class Reporter(ABC):
    """Something that a receiver keeps as an attribute and that has something to say in `status`."""

    @abstractmethod
    def report(self) -> dict[str, object]:
        """Return what to show; JSON-able."""

    @abstractmethod
    async def push(self, address: str) -> None:
        """Send the report to the monitor at *address* once a second until cancelled."""


class StreamStats:
    """The counters of one stream.

    Attributes:
        packets: how many were published.
        samples: how many samples were in them.
        bytes: size of those samples.
        gaps: how often samples were missing.
        gap_ns: for how long in total.
        overlaps: how often a packet began before the last one ended.
        overlap_ns: by how much in total.
        backwards: how often a packet began before the last one began.
        rate_mismatches: how often the time stamps began to advance at another rate than announced.
        latency_ns: from the time of the last sample to its arrival, of the newest packet.
        latency_max_ns: the largest of these.
        next_sequence: the number of the next packet, where we number them.
        arrived_s: when the newest packet was published, or the first is expected from, in seconds that only run
            forward; 0 before.
        interval_s: about the longest time of late between two packets.
        was_ahead: whether the log says that its clock is ahead.
        is_silent: whether packets have been missing for too long; see `rawdaq.streams.silence`.
    """

    __slots__ = (
        "_interval_ns",
        "_is_exact",
        "_late_ns",
        "_sample_bytes",
        "_timeline",
        "arrived_s",
        "backwards",
        "bytes",
        "dtype",
        "gap_ns",
        "gaps",
        "interval_s",
        "is_silent",
        "latency_max_ns",
        "latency_ns",
        "next_ns",
        "next_sequence",
        "overlap_ns",
        "overlaps",
        "packets",
        "rate_hz",
        "rate_mismatches",
        "recent_gaps",
        "recent_overlaps",
        "samples",
        "start_ns",
        "stream",
        "timing_quality",
        "was_ahead",
    )

    def __init__(self, stream: StreamId) -> None:
        self.stream = stream
        self.packets = self.samples = self.bytes = self.next_sequence = 0
        self.gaps = self.gap_ns = self.overlaps = self.overlap_ns = self.backwards = self.rate_mismatches = 0
        self.latency_ns = self.latency_max_ns = 0
        self.arrived_s = self.interval_s = 0.0
        self.is_silent = self.was_ahead = False
        self.start_ns = self.next_ns = 0
        self.rate_hz: float = 0.0
        self.dtype: np.dtype[Any] | None = None
        self.timing_quality: int | None = None
        self.recent_gaps, self.recent_overlaps = Recent(), Recent()
        self._timeline = Timeline()
        self._is_exact = False  # the newest packet began where the one before it ended
        self._late_ns = 0  # its stamp, after where it was placed
        self._interval_ns = 0.0  # between two of its samples
        self._sample_bytes = 0

    def take_numbers(self, count: int = 1) -> int:
        """Return the number of the next packet; the one after these *count* packets follows them."""
        number = self.next_sequence
        self.next_sequence = number + count
        return number

    def placed(self, packet: Packet | PacketRun) -> Packet | PacketRun:
        """Return *packet* where its samples belong: jitter of its stamp is taken out, see `Timeline`."""
        if not self.packets or packet.rate_hz != self.rate_hz:
            return packet
        stamp_ns = packet.start_ns
        self._timeline.stamp_next_ns = self.next_ns + self._late_ns
        place_ns = self._timeline.place(stamp_ns, self.next_ns, NS_PER_S / self.rate_hz, self.packets)
        return packet if place_ns == stamp_ns else packet.shifted(place_ns - stamp_ns)

    def add(self, packet: Packet | PacketRun, now_s: float, stamp_ns: int | None = None) -> Sequence[Anomaly]:
        """Count *packet* (or all packets of a run) and return what is wrong with its time, usually nothing.

        Args:
            packet: the packet.
            now_s: when it was published, in seconds that only run forward.
            stamp_ns: its time as the device has it, where it was `placed` elsewhere.
        """
        size = packet.size
        anomalies: Sequence[Anomaly] = _NONE
        # A packet that is like the one before it and begins where that ended changes counters only.
        if not self._is_exact or packet.start_ns != self.next_ns or packet.dtype is not self.dtype or stamp_ns:
            anomalies = self._begin(packet, packet.start_ns if stamp_ns is None else stamp_ns)
        elif packet.rate_hz != self.rate_hz:
            anomalies = self._begin(packet, packet.start_ns)
        if self.packets and self.arrived_s:
            passed_s, forgotten_s = now_s - self.arrived_s, _FORGET * self.interval_s
            # The longest interval of late, slowly forgotten: bursts do not make a stream look fast.
            self.interval_s = passed_s if passed_s > forgotten_s else forgotten_s
        self.arrived_s = now_s
        self.packets += packet.count
        self.samples += size
        self.bytes += size * self._sample_bytes
        self.start_ns = packet.start_ns
        self.timing_quality = packet.timing_quality
        is_single = isinstance(packet, Packet)
        self.next_ns = packet.start_ns + round(size * self._interval_ns) if is_single else packet.next_ns
        if packet.received_ns:
            latency_ns = self.latency_ns = packet.received_ns - self.next_ns + round(self._interval_ns)
            if latency_ns > self.latency_max_ns:
                self.latency_max_ns = latency_ns
        return anomalies

    def _begin(self, packet: Packet | PacketRun, stamp_ns: int) -> list[Anomaly]:
        """Take note of what is not as it was in the packet before *packet*; return what is wrong with its time."""
        start_ns, rate_hz, drift = packet.start_ns, packet.rate_hz, self._timeline.drift
        anomalies: list[Anomaly] = []
        if stamp_ns == start_ns == self.next_ns and rate_hz == self.rate_hz:
            drift.end()
        elif self.packets and rate_hz == self.rate_hz:
            anomalies = self._compare(packet, stamp_ns)
        self._late_ns = stamp_ns - start_ns
        self._is_exact = not self._late_ns and not drift.window
        self.rate_hz, self._interval_ns = rate_hz, NS_PER_S / rate_hz
        self.dtype, self._sample_bytes = packet.dtype, packet.dtype.itemsize
        return anomalies

    def _compare(self, packet: Packet | PacketRun, stamp_ns: int) -> list[Anomaly]:
        """Return how the start of *packet* departs from the end of the one before."""
        found: list[Anomaly] = []
        timeline = self._timeline
        drift = timeline.drift.add(stamp_ns - self.next_ns - self._late_ns, self.next_ns - self.start_ns)
        if drift is not None:
            self.rate_mismatches += 1
            found.append(RateMismatch(self.stream, packet.rate_hz, packet.rate_hz / (1 + drift)))
        if not is_contiguous(packet.start_ns, self.next_ns, packet.rate_hz):
            residual_ns = packet.start_ns - self.next_ns
            jump = self._jump(packet, residual_ns, round(abs(residual_ns) * packet.rate_hz / NS_PER_S))
            if not timeline.drift.is_active:
                found.append(jump)
        return found

    def _jump(self, packet: Packet | PacketRun, residual_ns: int, samples: int) -> Anomaly:
        if residual_ns > 0:
            self.gaps += 1
            self.gap_ns += residual_ns
            self.recent_gaps.add(time.monotonic())
            return Gap(self.stream, self.next_ns, packet.start_ns, samples)
        self.overlaps += 1
        self.overlap_ns -= residual_ns
        self.recent_overlaps.add(time.monotonic())
        if packet.start_ns < self.start_ns:
            self.backwards += 1
            return BackwardTime(self.stream, self.start_ns, packet.start_ns)
        return Overlap(self.stream, packet.start_ns, self.next_ns, samples)

    def is_ahead(self, ahead_s: float) -> bool:
        """Return whether the newest packet was more than *ahead_s*, but not days, ahead of this machine's clock."""
        return -SUSPICIOUS_NS <= self.latency_ns < -ahead_s * NS_PER_S

    def clock_problem(self, ahead_s: float, behind_s: float) -> str | None:
        """Return what is wrong with the time of the newest packet when it came; None when nothing is.

        Args:
            ahead_s: how far it may be ahead of this machine's clock.
            behind_s: and behind.
        """
        latency_s = self.latency_ns / NS_PER_S
        if -ahead_s <= latency_s <= behind_s:
            return None
        look = clock_problem(self.next_ns, self.next_ns + self.latency_ns)
        return f"time is {look}" if look else f"latency {latency_s:.1f} s: clocks differ"

    def report(
        self, ahead_s: float = inf, behind_s: float = inf, latency_limit_s: float | None = None
    ) -> dict[str, object]:
        """Return the counters as `status` shows them; times in seconds and ISO 8601.

        Args:
            ahead_s: as for `clock_problem`.
            behind_s: likewise.
            latency_limit_s: a packet that comes later is late; None: none is.
        """
        now_s = time.monotonic()
        last_ns = self.next_ns - round(NS_PER_S / self.rate_hz) if self.packets else 0
        gap_ago_s, overlap_ago_s = self.recent_gaps.ago_s(now_s), self.recent_overlaps.ago_s(now_s)
        return {
            "packets": self.packets,
            "samples": self.samples,
            "bytes": self.bytes,
            "rate_hz": self.rate_hz,
            "sample_type": "" if self.dtype is None else str(SAMPLE_TYPES[self.dtype]),
            "last_sample": to_iso(last_ns) if self.packets else "",
            "age_s": round((time.time_ns() - last_ns) / NS_PER_S, 1) if self.packets else None,
            "silent_s": round(time.monotonic() - self.arrived_s, 1) if self.is_silent else None,
            "latency_s": round(self.latency_ns / NS_PER_S, 6),
            "latency_max_s": round(self.latency_max_ns / NS_PER_S, 6),
            "latency_limit_s": latency_limit_s,
            "clock": self.clock_problem(ahead_s, behind_s),
            "gaps": self.gaps,
            "gap_s": round(self.gap_ns / NS_PER_S, 6),
            "gaps_last_hour": self.recent_gaps.count(now_s),
            "gap_ago_s": None if gap_ago_s is None else round(gap_ago_s, 1),
            "overlaps": self.overlaps,
            "overlap_s": round(self.overlap_ns / NS_PER_S, 6),
            "overlaps_last_hour": self.recent_overlaps.count(now_s),
            "overlap_ago_s": None if overlap_ago_s is None else round(overlap_ago_s, 1),
            "backwards": self.backwards,
            "rate_mismatches": self.rate_mismatches,
            "timing_quality": self.timing_quality,
        }


class Stats:
    """The counters of all streams of a component; it also numbers their packets.

    Attributes:
        has_stamps: whether the times of packets are stamps of a device's clock, out of which jitter is taken; False
            where another program has timed the samples.
        streams: the counters of each stream.
        came_back: streams that were silent and are no more, with the seconds of their silence; the reader empties it.
        records: records that were published as they were: texts and states of health.
        plain_messages: plain bytes that were published: how many, and their size.
        plain_bytes: see `plain_messages`.
        ahead_s: the time of a packet may be so far ahead of this machine's clock; infinite where that says nothing.
        behind_s: likewise, how far behind; infinite where packets may be old.
        latency_limit_s: a packet that comes later is late; None: 60 s, and no limit where times are those of a file.
    """

    def __init__(self) -> None:
        self.has_stamps = True
        self.streams: dict[StreamId, StreamStats] = {}
        self.came_back: list[tuple[StreamId, float]] = []
        self.records = 0
        self.plain_messages = 0
        self.plain_bytes = 0
        self.ahead_s, self.behind_s = _AHEAD_S, SUSPICIOUS_NS / NS_PER_S
        self.latency_limit_s: float | None = None

    def numbered(self, packets: Iterable[Packet | PacketRun | bytes]) -> list[Packet | PacketRun | bytes]:
        """Return *packets* with the numbers that they have in their streams, from 0 on; plain bytes have none."""
        numbered: list[Packet | PacketRun | bytes] = []
        for packet in packets:
            if isinstance(packet, bytes):
                numbered.append(packet)
                continue
            numbered.append(packet.numbered(self.of(packet.stream).take_numbers(packet.count)))
        return numbered

    def add(self, packets: list[Packet | PacketRun | bytes]) -> list[Anomaly]:
        """Count *packets*; return what is wrong with their times, usually nothing.

        With `has_stamps`, those that jitter are replaced in the list by such as are where their samples belong.
        """
        anomalies: list[Anomaly] = []
        now_s, has_stamps, streams = time.monotonic(), self.has_stamps, self.streams
        for index, packet in enumerate(packets):
            if isinstance(packet, bytes):
                self.plain_messages += 1
                self.plain_bytes += len(packet)
                continue
            stats = streams.get(packet.stream) or self.of(packet.stream)
            if stats.is_silent:
                self.came_back.append((packet.stream, now_s - stats.arrived_s))
                stats.is_silent, stats.interval_s, stats.arrived_s = False, 0.0, 0.0
            if has_stamps and packet.start_ns != stats.next_ns:
                placed = packets[index] = stats.placed(packet)
                anomalies += stats.add(placed, now_s, packet.start_ns)
            else:
                anomalies += stats.add(packet, now_s)
        return anomalies

    def expect(self, streams: Iterable[StreamId]) -> None:
        """Expect packets of *streams* from now on: those that do not come are silent too."""
        for stream in streams:
            stats = self.of(stream)
            stats.arrived_s = stats.arrived_s or time.monotonic()

    def expect_none(self) -> None:
        """Expect no packets before the next ones: no stream is silent until then."""
        for stats in self.streams.values():
            stats.arrived_s, stats.interval_s, stats.is_silent = 0.0, 0.0, False

    def add_multiparts(self, messages: Iterable[Multipart]) -> None:
        """Count whole messages, which have no time."""
        for message in messages:
            self.plain_messages += 1
            self.plain_bytes += message.size_bytes

    def of(self, stream: StreamId) -> StreamStats:
        """Return the counters of *stream*, which count from now on if they did not before."""
        stats = self.streams.get(stream)
        if stats is None:
            stats = self.streams[stream] = StreamStats(stream)
        return stats

    def report(self) -> dict[str, object]:
        """Return all streams by name."""
        late_s = _LATE_S if self.latency_limit_s is None and self.ahead_s < inf else self.latency_limit_s
        limits = self.ahead_s, self.behind_s, late_s
        return {str(stream): stats.report(*limits) for stream, stats in sorted(self.streams.items())}
