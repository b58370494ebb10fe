"""Many RAW packets at once: equal packets in one chunk are read with numpy, channel by channel, instead of one by one.

This is where the speed under load comes from: the cost is per run, not per packet. Whatever is not plainly right is
left to the reading one by one, which also knows what is wrong with it.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue
from rawdaq.packet import Samples
from rawdaq.protocols.raw.format import ChannelFormat, RawVersion, day_start_ns
from rawdaq.times import NS_PER_S

#: Below this many packets in all, or for each channel, reading one by one is quicker.
MIN_PACKETS = 16
MIN_PACKETS_PER_CHANNEL = 2

#: Stamps are cut to microseconds: the starts of a run are within half of this of where its first packet puts them.
_STEP_NS = 2000

_FIELDS = [("year", ">u2"), ("day", ">u2"), ("hour", "u1"), ("minute", "u1"), ("second", "u1"), ("us", ">u4")]
_TAILS = {
    True: [("quality", "u1"), ("channel", ">u2"), ("count", ">u4")],
    False: [("channel", ">u4"), ("count", ">u4")],
}
_Table = npt.NDArray[Any]


class SampleRun(NamedTuple):
    """Consecutive packets of one channel, of equal size, each beginning where the one before it ended.

    Attributes:
        channel: one of the requested channels.
        starts_ns: time of the first sample of each packet, within 1 us of contiguous.
        timing_quality: of all packets, 0 to 100, None when the device sent another value.
        samples: one row for each packet; read-only, in the channel's type and byte order.
    """

    channel: int
    starts_ns: list[int]
    timing_quality: int | None
    samples: Samples


@lru_cache(maxsize=64)
def _layout(has_quality: bool, dtype: np.dtype[Any], count: int) -> np.dtype[Any]:
    """Return the layout of a whole packet of *count* samples."""
    return np.dtype([*_FIELDS, *_TAILS[has_quality], ("samples", dtype, (count,))])


def read_runs(
    data: bytes | memoryview,
    position: int,
    version: RawVersion,
    formats: Mapping[int, ChannelFormat],
    count: int,
    dtype: np.dtype[Any],
) -> tuple[list[SampleRun], int]:
    """Return the runs of packets like the first one, and the position of the first packet that is not in them.

    Args:
        data: what arrived.
        position: where the first packet begins.
        version: whose layout holds.
        formats: how the requested channels come.
        count: how many samples the first packet has, at least one.
        dtype: the type of its samples.
    """
    layout = _layout(version.has_quality, dtype, count)
    table = np.frombuffer(data, layout, (len(data) - position) // layout.itemsize, position)
    channels = _right(table, version, formats, count, dtype)
    if channels.size < MIN_PACKETS:
        return [], position
    starts_ns = _starts_ns(table[: channels.size])
    if starts_ns.size < MIN_PACKETS:
        return [], position
    table, channels = table[: starts_ns.size], channels[: starts_ns.size]
    end = position + starts_ns.size * layout.itemsize
    runs: list[SampleRun] = []
    regular = _regular(table, channels, starts_ns, formats)
    for channel in dict.fromkeys(channels.tolist()):
        run = regular.get(channel)
        if run is not None:
            runs.append(run)
        else:
            own = _selection(channels, channel)
            runs += _contiguous(channel, formats[channel], table[own], starts_ns[own])
    return runs, end


def _right(
    table: _Table,
    version: RawVersion,
    formats: Mapping[int, ChannelFormat],
    count: int,
    dtype: np.dtype[Any],
) -> npt.NDArray[np.int64]:
    """Return the channels of the packets up to the first one that is not like the first, or not right."""
    channels = table["channel"].astype(np.int64)
    bad = (table["count"] != count) | (table["hour"] > 23) | (table["minute"] > 59) | (table["second"] > 60)
    bad |= table["us"] > 999_999
    if bad.any():
        channels = channels[: int(bad.argmax())]
    known = [channel for channel, described in formats.items() if described.dtype.itemsize == dtype.itemsize]
    if channels.size and not (channels == channels[0]).all():
        unknown = ~np.isin(channels, known)
        if unknown.any():
            channels = channels[: int(unknown.argmax())]
    return channels


def _starts_ns(table: _Table) -> npt.NDArray[np.int64]:
    """Return the start times of the packets up to the first whose day does not exist."""
    years, days = table["year"], table["day"]
    seconds = (table["hour"].astype(np.int64) * 60 + table["minute"]) * 60 + table["second"]
    in_day_ns = seconds * NS_PER_S + table["us"].astype(np.int64) * 1000
    turns = np.flatnonzero((np.diff(years) != 0) | (np.diff(days) != 0)) + 1
    starts_ns = np.empty(table.size, np.int64)
    begin = 0
    for end in [*turns.tolist(), table.size]:
        try:
            starts_ns[begin:end] = day_start_ns(int(years[begin]), int(days[begin])) + in_day_ns[begin:end]
        except InvalidValue:
            return starts_ns[:begin]
        begin = end
    return starts_ns


def _regular(
    table: _Table,
    channels: npt.NDArray[np.int64],
    starts_ns: npt.NDArray[np.int64],
    formats: Mapping[int, ChannelFormat],
) -> dict[int, SampleRun]:
    """Return the runs of the channels that are one run each, when the channels take turns: checked all at once."""
    period = int((channels[1:] == channels[0]).argmax()) + 1
    if channels.size < 2 * period or not (channels[period:] == channels[:-period]).all():
        return {}
    names = channels[:period].tolist()
    samples = table["samples"]
    samples.flags.writeable = False
    qualities = _qualities(table)
    intervals_ns = np.array([samples.shape[1] * NS_PER_S / formats[name].rate_hz for name in names])
    turns, places = np.divmod(np.arange(channels.size), period)
    late_ns = starts_ns - np.rint(turns * intervals_ns[places])
    departs = np.abs(late_ns - late_ns[:period][places]) > _STEP_NS / 2
    departs |= qualities != qualities[:period][places]
    several = frozenset(places[departs].tolist())
    return {
        name: SampleRun(
            name,
            starts_ns[place::period].tolist(),
            int(qualities[place]),
            _as(samples[place::period], formats[name]),
        )
        for place, name in enumerate(names)
        if place not in several
    }


def _qualities(table: _Table) -> npt.NDArray[np.uint8]:
    """Return the timing qualities of the packets; versions that do not say it mean 100."""
    if "quality" in (table.dtype.names or ()):
        qualities: npt.NDArray[np.uint8] = table["quality"]
        return qualities
    return np.full(table.size, 100, np.uint8)


def _as(samples: Samples, described: ChannelFormat) -> Samples:
    """Return *samples* in the type of their channel, which has the same size."""
    return samples if samples.dtype == described.dtype else samples.view(described.dtype)


def _selection(channels: npt.NDArray[np.int64], channel: int) -> slice | npt.NDArray[np.int64]:
    """Return where *channel* is, as a slice when it comes at equal distances: that takes no copy of the samples."""
    indices = np.flatnonzero(channels == channel)
    first = int(indices[0])
    step = int(indices[1]) - first if indices.size > 1 else 1
    if (np.diff(indices) == step).all():
        return slice(first, int(indices[-1]) + 1, step)
    return indices


def _contiguous(
    channel: int, described: ChannelFormat, table: _Table, starts_ns: npt.NDArray[np.int64]
) -> Iterator[SampleRun]:
    """Yield the packets of one channel, cut where time jumps or the timing quality changes."""
    samples = _as(table["samples"], described)
    samples.flags.writeable = False  # where they had to be copied they are not yet
    qualities = _qualities(table)
    interval_ns = samples.shape[1] * NS_PER_S / described.rate_hz
    late_ns = starts_ns - np.rint(np.arange(starts_ns.size) * interval_ns)
    steps = np.rint((late_ns - late_ns[0]) / _STEP_NS)
    cuts = np.flatnonzero((np.diff(steps) != 0) | (qualities[1:] != qualities[:-1])) + 1
    begin = 0
    for end in [*cuts.tolist(), starts_ns.size]:
        yield SampleRun(channel, starts_ns[begin:end].tolist(), int(qualities[begin]), samples[begin:end])
        begin = end
