"""What devices send: signals and the RAW packets that carry them, all made before anything is measured."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rawdaq.packet import SampleType
from rawdaq.protocols.raw import ChannelFormat, Endianness
from rawdaq.times import NS_PER_S

NETWORK, STATION, LOCATION = "XX", "BENCH", "00"

_QUIET_STEP = 20.0  # counts from one sample to the next: ground noise at 100 Hz, which STEIM2 puts into 6 to 8 bits
_TICK_NS = 1_000_000
_PASS_BYTES = 120_000_000  # of one run, so that it takes some tenths of a second, and its beginning counts little
_MIN_PACKETS = 4  # of each channel

#: The header of RAW 2.0.
_HEADER = np.dtype(
    [
        ("year", ">u2"),
        ("day", ">u2"),
        ("hour", "u1"),
        ("minute", "u1"),
        ("second", "u1"),
        ("microsecond", ">u4"),
        ("quality", "u1"),
        ("channel", ">u2"),
        ("count", ">u4"),
    ]
)


@dataclass(frozen=True)
class Load:
    """What a device sends.

    Attributes:
        samples: of one packet.
        channels: how many; their packets come in turn.
        kind: numpy's name of the sample type.
        signal: "walk", which compresses as quiet ground motion does, or "noise", which does not.
        rate_hz: a divisor of 1e9; at this one a flood bears times of the last hours.
        rounds: packets of each channel; 0: so many that a flood takes some tenths of a second.
    """

    samples: int
    channels: int = 1
    kind: str = "int32"
    signal: str = "walk"
    rate_hz: int = 1000
    rounds: int = 0

    @property
    def packets_each(self) -> int:
        """Packets of each channel in one run."""
        if self.rounds:
            return self.rounds
        fitting = _PASS_BYTES // (_HEADER.itemsize + self.samples * np.dtype(self.kind).itemsize)
        return max(_MIN_PACKETS, fitting // self.channels)

    @property
    def packets(self) -> int:
        """Packets of one run."""
        return self.packets_each * self.channels

    @property
    def total_samples(self) -> int:
        """Samples of one run."""
        return self.packets * self.samples

    def starts_ns(self, begin_ns: int) -> npt.NDArray[np.int64]:
        """Return the time of the first sample of each packet of a channel."""
        return begin_ns + np.arange(self.packets_each, dtype=np.int64) * (self.samples * NS_PER_S // self.rate_hz)

    @property
    def formats(self) -> dict[int, ChannelFormat]:
        """How the device describes its channels, by id."""
        described = ChannelFormat(self.rate_hz, Endianness.LITTLE, SampleType(self.kind))
        return dict.fromkeys(range(1, self.channels + 1), described)

    @property
    def codes(self) -> dict[int, str]:
        """``location.channel`` of the channels, by id."""
        return {number: code(number) for number in range(1, self.channels + 1)}


def code(number: int) -> str:
    """Return ``location.channel`` of channel *number*, from 1.

    >>> code(1), code(27)
    ('00.HHA', '01.HHA')
    """
    location, letter = divmod(number - 1, 26)
    return f"{location:02d}.HH{chr(65 + letter)}"


def stream(number: int) -> str:
    """Return ``NET.STA.LOC.CHA`` of channel *number*."""
    return f"{NETWORK}.{STATION}.{code(number)}"


def hello(load: Load) -> bytes:
    """Return what a receiver sends to ask for all channels."""
    return b"RAW 2.0\n" + b"".join(b"CHANNEL\n%d\n" % number for number in load.codes) + b"START\n"


def signal(name: str, kind: str, count: int) -> npt.NDArray[Any]:
    """Return *count* samples of a random walk or of white noise, the same ones every time."""
    random = np.random.default_rng(1)
    dtype = np.dtype(kind).newbyteorder("<")
    if name == "noise":
        scale = {"int8": 30.0, "int16": 8000.0, "int32": 2.0**24}.get(kind, 1.0)
        values = random.standard_normal(count) * scale
        return (values if dtype.kind == "f" else np.rint(values).clip(-4 * scale, 4 * scale)).astype(dtype)
    steps = np.rint(random.standard_normal(count) * _QUIET_STEP).astype(np.int64)
    top = 100 if kind == "int8" else 30_000
    # The walk is mirrored at the ends of the range, so that every step keeps its size.
    return (np.abs((np.cumsum(steps) + top) % (4 * top) - 2 * top) - top).astype(dtype)


def packets(load: Load) -> npt.NDArray[Any]:
    """Return the packets of one run, the last of now: a row for each round, a column for each channel."""
    rounds, samples = load.packets_each, load.samples
    values = signal(load.signal, load.kind, rounds * samples * load.channels)
    made = np.zeros((rounds, load.channels), np.dtype([("head", _HEADER), ("samples", values.dtype, (samples,))]))
    begin_ns = time.time_ns() - rounds * samples * NS_PER_S // load.rate_hz
    stamp(made["head"], load.starts_ns(begin_ns // _TICK_NS * _TICK_NS)[:, None])
    made["head"]["quality"], made["head"]["count"] = 100, samples
    made["head"]["channel"] = np.arange(1, load.channels + 1)
    made["samples"] = values.reshape(load.channels, rounds, samples).swapaxes(0, 1)
    return made


def stamp(heads: npt.NDArray[Any], starts_ns: npt.NDArray[np.int64]) -> None:
    """Write times into headers."""
    times = starts_ns.astype("datetime64[ns]")
    years, days = times.astype("datetime64[Y]"), times.astype("datetime64[D]")
    seconds = (times - days).astype(np.int64) // NS_PER_S
    heads["year"] = years.astype(int) + 1970
    heads["day"] = (days - years.astype("datetime64[D]")).astype(int) + 1
    heads["hour"], heads["minute"], heads["second"] = seconds // 3600, seconds // 60 % 60, seconds % 60
    heads["microsecond"] = starts_ns % NS_PER_S // 1000
