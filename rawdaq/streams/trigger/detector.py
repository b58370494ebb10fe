"""Finds where the STA/LTA ratio of one stream is high: onsets and ends, whatever packets the samples come in."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rawdaq.config.trigger import TriggerSettings
from rawdaq.packet import Packet, PacketRun, Samples, rate_text
from rawdaq.stream_id import StreamId
from rawdaq.streams.decimator import Floats
from rawdaq.streams.trigger.sta_lta import BandPass, StaLta
from rawdaq.times import is_contiguous, sample_time

#: A larger sample has no square; as one that is no number, it begins anew.
_LARGEST = 1e150
#: Of a sample: 0.07 s of 100 Hz are 7.000000000000001 samples.
_ROUNDING = 1e-6


class Ended(StrEnum):
    """Why an event ended."""

    RATIO = "ratio"  # it is no longer above `off`
    GAP = "gap"  # samples are missing, overlap, have another rate or type, or are no numbers
    STOP = "stop"  # the component stopped


@dataclass(frozen=True, slots=True)
class Onset:
    """The begin of an event.

    Attributes:
        stream: in which it was found.
        time_ns: of the first sample whose ratio is above `on`.
        ratio: of this sample.
    """

    stream: StreamId
    time_ns: int
    ratio: float


@dataclass(frozen=True, slots=True)
class End:
    """The end of an event.

    Attributes:
        stream: in which it was found.
        time_ns: of the first sample that is no longer part of it.
        ratio: of this sample; 0 where the event was cut off.
        maximum: the highest ratio of the event.
        on_ns: its begin.
        reason: why it ended.
    """

    stream: StreamId
    time_ns: int
    ratio: float
    maximum: float
    on_ns: int
    reason: Ended


Found = Onset | End


class CannotTrigger(Exception):
    """No events can be found in these samples; the text says why, and what would be right."""


class _Run:
    """The filters of one contiguous stretch of samples."""

    def __init__(self, settings: TriggerSettings, rate_hz: float) -> None:
        if settings.band is None:
            self._band = None
        elif settings.band[1] >= rate_hz / 2:
            raise CannotTrigger(f"band {settings.band} reaches half of its rate {rate_text(rate_hz)} Hz; lower it")
        else:
            self._band = BandPass(settings.band[0], settings.band[1], rate_hz)
        sta, lta = max(1, round(settings.sta_s * rate_hz)), round(settings.lta_s * rate_hz)
        if lta <= sta:
            raise CannotTrigger(f"lta_s {settings.lta_s:g} has no more samples than sta_s at {rate_text(rate_hz)} Hz")
        self._sta_lta = StaLta(sta, lta)

    def push(self, samples: Floats) -> Floats:
        return self._sta_lta.push(samples if self._band is None else self._band.push(samples))


class Detector:
    """Finds events in one stream.

    Args:
        stream: its name.
        settings: of the trigger.
    """

    def __init__(self, stream: StreamId, settings: TriggerSettings) -> None:
        self._stream = stream
        self._settings = settings
        self._run: _Run | None = None
        self._alike: tuple[float, object] | None = None
        self._next_ns = 0
        self._onset: Onset | None = None
        self._maximum = 0.0
        self._samples_on = 0
        self._is_told = False

    def add(self, item: Packet | PacketRun) -> list[Found]:
        """Return what *item* begins and ends.

        Raises:
            CannotTrigger: its rate does not fit the settings.
        """
        found: list[Found] = []
        for packet in [item] if isinstance(item, Packet) else item:
            if packet.size:
                found += self._add(packet)
        return found

    def _add(self, packet: Packet) -> list[Found]:
        alike = packet.rate_hz, packet.sample_type
        is_next = alike == self._alike and is_contiguous(packet.start_ns, self._next_ns, packet.rate_hz)
        found = [] if is_next else self.close(Ended.GAP)
        if not is_next:
            self._run = None
        self._alike, self._next_ns = alike, packet.next_ns
        for begin, samples in _stretches(packet.samples):
            if begin is None:  # no numbers
                found += self.close(Ended.GAP)
                self._run = None
            else:
                self._run = self._run or _Run(self._settings, packet.rate_hz)
                found += self._scan(packet, begin, self._run.push(samples))
        return found

    def close(self, reason: Ended) -> list[Found]:
        """Return the end of the event that is on, if one is; the next samples begin anew."""
        onset, self._onset, is_told = self._onset, None, self._is_told
        self._run = None
        if onset is None or not is_told:
            return []
        return [End(self._stream, self._next_ns, 0.0, self._maximum, onset.time_ns, reason)]

    def _scan(self, packet: Packet, begin: int, ratios: Floats) -> Iterator[Found]:
        """Yield onsets and ends in *ratios*, the first of which belongs to the sample *begin* of *packet*."""
        at = 0
        while at < ratios.size:
            if self._onset is None:
                above = ratios[at:] > self._settings.on
                step = int(above.argmax())
                if not above[step]:
                    return
                at += step
                self._begin(Onset(self._stream, _time(packet, begin + at), float(ratios[at])))
            below = ratios[at:] <= self._settings.off
            step = int(below.argmax())
            has_end = bool(below[step])
            high = ratios[at : at + step] if has_end else ratios[at:]
            yield from self._last(high, packet.rate_hz)
            if not has_end:
                return
            at += step
            yield from self._end(_time(packet, begin + at), float(ratios[at]))

    def _begin(self, onset: Onset) -> None:
        self._onset, self._maximum, self._samples_on, self._is_told = onset, 0.0, 0, False

    def _last(self, high: Floats, rate_hz: float) -> Iterator[Found]:
        """Let the event last for the samples that have the ratios *high*; yield its onset once it has lasted enough."""
        self._samples_on += high.size
        self._maximum = max(self._maximum, float(high.max(initial=0.0)))
        is_long = self._samples_on + _ROUNDING >= self._settings.min_s * rate_hz
        if self._onset is not None and is_long and not self._is_told:
            self._is_told = True
            yield self._onset

    def _end(self, time_ns: int, ratio: float) -> Iterator[Found]:
        onset, self._onset = self._onset, None
        if onset is not None and self._is_told:
            yield End(self._stream, time_ns, ratio, self._maximum, onset.time_ns, Ended.RATIO)


def _time(packet: Packet, index: int) -> int:
    return sample_time(packet.start_ns, index, packet.rate_hz)


def _stretches(samples: Samples) -> Iterator[tuple[int | None, Floats]]:
    """Yield begin and values of each stretch of *samples* that are numbers; for others once None in its place."""
    values = samples.astype(np.float64)
    if samples.dtype.kind == "i":
        yield 0, values
        return
    is_good = np.abs(values) < _LARGEST
    edges = [0, *(np.flatnonzero(np.diff(is_good)) + 1).tolist(), values.size]
    for begin, end in itertools.pairwise(edges):
        yield (begin if is_good[begin] else None), values[begin:end]
