"""The samples that the test device plays: a seismogram, a file or a sine, as blocks in order of time.

Integers that fit a channel's type, and all samples on a float channel, stay as they are. All others are scaled to
counts: the largest sample of the whole file becomes half of the type's range, where int32 has the 24 bits of a
digitizer.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rawdaq.errors import InvalidValue
from rawdaq.packet import Samples, SampleType, rate_text
from rawdaq.protocols.raw import MAX_SAMPLES, Endianness
from rawdaq.replay.waveforms import Waveform, read_waveforms
from rawdaq.streamer import Channel
from rawdaq.times import NS_PER_S, span_ns

MAX_CHANNEL_ID = 65_535  # RAW 2.0 has 16 bits for it
SINE_RATE_HZ = 100.0
MAX_RATE_HZ = 1e6  # faster than any digitizer of ground motion

_FULL_SCALE = {SampleType.INT8: 127, SampleType.INT16: 32_767, SampleType.INT32: 8_388_607}
_FORM = "ID[,ID...][:TYPE[:ORDER[:RATE]]] such as 1 or 1,2,3:int16:big or 7:int32:little:62.5"


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """A channel as the command line names it; without a rate it has that of what is played."""

    id: int
    sample_type: SampleType = SampleType.INT32
    endianness: Endianness = Endianness.LITTLE
    rate_hz: float | None = None

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type and byte order of the samples."""
        return np.dtype(self.sample_type.value).newbyteorder(self.endianness.value)


class Block(NamedTuple):
    """Samples of one channel; offsets are from the beginning of the play to the first and to the last sample."""

    due_ns: int
    offset_ns: int
    channel: int
    samples: Samples


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One channel of a file: gapless pieces with their offsets, and after how many samples they begin again."""

    channel: ChannelSpec
    rate_hz: float
    name: str
    pieces: Sequence[tuple[int, Samples]]
    period_samples: int
    loop: bool

    def blocks(self, packet_s: float) -> Iterator[Block]:
        """Yield the samples in packets of *packet_s*, once or for ever; in a loop the times go on without a gap."""
        count = packet_samples(packet_s, self.rate_hz)
        for turn in itertools.count() if self.loop else range(1):
            turn_ns = span_ns(turn * self.period_samples, self.rate_hz)
            for offset_ns, samples in self.pieces:
                for first in range(0, samples.size, count):
                    part = samples[first : first + count]
                    start_ns = turn_ns + offset_ns + span_ns(first, self.rate_hz)
                    yield Block(start_ns + span_ns(part.size - 1, self.rate_hz), start_ns, self.channel.id, part)


@dataclass(frozen=True, slots=True)
class Sine:
    """One channel's sine, at half of its type's range; computed from the index, so that it never drifts."""

    channel: ChannelSpec
    rate_hz: float
    name: str
    sine_hz: float
    phase: float

    def blocks(self, packet_s: float) -> Iterator[Block]:
        """Yield packets of *packet_s* for ever."""
        count = packet_samples(packet_s, self.rate_hz)
        first = 0
        while True:
            index = np.arange(first, first + count, dtype=np.float64)
            wave = np.sin(2 * np.pi * (index * (self.sine_hz / self.rate_hz) % 1.0 + self.phase))
            start_ns, end_ns = (span_ns(at, self.rate_hz) for at in (first, first + count - 1))
            yield Block(end_ns, start_ns, self.channel.id, _counts(wave, self.channel, 1.0))
            first += count


@dataclass(frozen=True, slots=True)
class Programme:
    """The tracks that are played, and the time of their first sample if they have one."""

    title: str
    tracks: Sequence[Track | Sine]
    begin_ns: int | None

    def channels(self) -> list[Channel]:
        """Return the channels of its tracks, as a streamer takes them."""
        own = ((track.channel, track.rate_hz) for track in self.tracks)
        return [Channel(each.id, rate_hz, each.endianness, each.sample_type) for each, rate_hz in own]

    def blocks(self, packet_s: float, seconds: float | None = None) -> Iterator[Block]:
        """Yield the blocks of all channels by the time of their last samples, up to *seconds* of data."""
        merged = heapq.merge(*(track.blocks(packet_s) for track in self.tracks), key=lambda block: block.due_ns)
        end_ns = None if seconds is None else round(seconds * NS_PER_S)
        return itertools.takewhile(lambda block: end_ns is None or block.offset_ns < end_ns, merged)


def parse_channels(texts: Iterable[str]) -> list[ChannelSpec]:
    """Return the channels that ``ID[,ID...][:TYPE[:ORDER[:RATE]]]`` texts name.

    Raises:
        InvalidValue: a text is of another form, or names a channel twice.

    >>> [str(one.dtype) for one in parse_channels(["1,2:int16:big", "3:float64"])]
    ['>i2', '>i2', 'float64']
    """
    specs = [spec for text in texts for spec in _parse(text)]
    if twice := sorted({spec.id for spec in specs if [one.id for one in specs].count(spec.id) > 1}):
        raise InvalidValue(f"channel {twice[0]} is named twice")
    return specs


def _parse(text: str) -> list[ChannelSpec]:
    ids, *rest = text.split(":")
    kind, order, rate = [*rest, *("int32", "little", "")[len(rest) :]] if len(rest) <= 3 else ("", "", "")
    try:
        numbers, rate_hz = [int(one) for one in ids.split(",")], float(rate) if rate else None
        sample_type, endianness = SampleType(kind), Endianness(order)
    except ValueError:
        raise InvalidValue(f"channel {text!r} is not {_FORM}; types are {', '.join(SampleType)}") from None
    if rate_hz is not None and not 0 < rate_hz <= MAX_RATE_HZ:
        raise InvalidValue(f"channel {text!r} has a rate that is not above 0 and up to {rate_text(MAX_RATE_HZ)} Hz")
    if not all(0 <= number <= MAX_CHANNEL_ID for number in numbers):
        raise InvalidValue(f"channel {text!r} has an id that is not in 0-{MAX_CHANNEL_ID}")
    return [ChannelSpec(number, sample_type, endianness, rate_hz) for number in numbers]


def packet_samples(packet_s: float, rate_hz: float) -> int:
    """Return how many samples a packet of *packet_s* has: at least one, at most what RAW allows."""
    return min(max(round(packet_s * rate_hz), 1), MAX_SAMPLES)


def file_programme(path: Path | None, channels: Sequence[ChannelSpec], rate_hz: float | None, loop: bool) -> Programme:
    """Return the streams of *path* (None: ObsPy's seismogram), in turn on *channels*; without any, one each.

    Raises:
        WaveformError: the file cannot be played.
    """
    waveforms = read_waveforms(path)
    span = _Span(
        min(one.start_ns for one in waveforms),
        max(one.start_ns + span_ns(one.samples.size, one.rate_hz) for one in waveforms),
        max(float(np.abs(one.samples.astype(np.float64)).max()) for one in waveforms),
    )
    names = list(dict.fromkeys(one.name for one in waveforms))
    chosen = channels or [ChannelSpec(number + 1) for number in range(len(names))]
    tracks: list[Track | Sine] = []
    for channel, name in zip(chosen, itertools.cycle(names), strict=False):
        own = [one for one in waveforms if one.name == name]
        tracks.append(_track(channel, own, channel.rate_hz or rate_hz or own[0].rate_hz, span, loop))
    title = f"{path or 'the earthquake that comes with ObsPy'}, {(span.end_ns - span.begin_ns) / NS_PER_S:g} s"
    return Programme(title + (", in a loop" if loop else ", once"), tracks, span.begin_ns)


class _Span(NamedTuple):
    """A whole file: its first time, the time after its last, and its largest sample."""

    begin_ns: int
    end_ns: int
    peak: float


def _track(channel: ChannelSpec, own: Sequence[Waveform], rate_hz: float, span: _Span, loop: bool) -> Track:
    stretch = own[0].rate_hz / rate_hz
    pieces = [
        (round((one.start_ns - span.begin_ns) * stretch), _counts(one.samples, channel, span.peak)) for one in own
    ]
    period_samples = round((span.end_ns - span.begin_ns) * own[0].rate_hz / NS_PER_S)
    return Track(channel, rate_hz, own[0].name, pieces, period_samples, loop)


def sine_programme(sine_hz: float, channels: Sequence[ChannelSpec], rate_hz: float | None) -> Programme:
    """Return a sine for each channel (without *channels* for 1, 2 and 3), each a third of a turn after the last."""
    tracks: list[Track | Sine] = [
        Sine(one, one.rate_hz or rate_hz or SINE_RATE_HZ, "sine", sine_hz, -number / 3)
        for number, one in enumerate(channels or [ChannelSpec(number) for number in (1, 2, 3)])
    ]
    return Programme(f"a sine of {rate_text(sine_hz)} Hz", tracks, None)


def _counts(samples: Samples, channel: ChannelSpec, peak: float) -> Samples:
    """Return *samples* in the channel's type, scaled as the docstring of this module describes."""
    full = _FULL_SCALE.get(channel.sample_type)
    if full is None or (samples.dtype.kind == "i" and _fits(peak, channel.sample_type)):
        return samples.astype(channel.dtype)
    return np.round(samples * (0.5 * full / (peak or 1.0))).astype(channel.dtype)


def _fits(peak: float, sample_type: SampleType) -> bool:
    return peak <= np.iinfo(sample_type.value).max
