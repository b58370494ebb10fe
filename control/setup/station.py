"""The station file of a device that was asked, and what its user should look at."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rawdaq.control import template
from rawdaq.control.setup.codes import LOCATION, misfit
from rawdaq.control.setup.device import Device, Observed
from rawdaq.errors import InvalidValue
from rawdaq.packet import rate_text
from rawdaq.times import duration_text

_TOLERANCE = 1e-3  # of a measured rate; the clocks of digitizers are a thousand times better
_CLOCK_S = 5.0  # a device that counts packets in its own buffer is no later than that
_DEMO_DEVICE = re.compile(r"^    host: .*\n    port: .*\n    channels: .*\n", re.MULTILINE)
_DEMO_LOCATION = f'location: "{LOCATION}"}}'
_COORDINATES = {"latitude": "latitude_deg", "longitude": "longitude_deg", "elevation_m": "elevation_m"}
_DEMO_COMMENT = re.compile(r"^  # It connects to a device .*\n", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """A channel of the device, as it is shown.

    Attributes:
        channel: the id that the device gives it.
        code: ``[location.]channel``.
        sensor: the kind of sensor behind it.
        rate_hz: the rate that the device states.
        measured_hz: the rate that its time stamps mean; None: it sent too little.
        sample_type: as the device states it.
        packets: how many came.
        samples: the smallest and the largest one; None: none came.
    """

    channel: int
    code: str
    sensor: str
    rate_hz: float
    measured_hz: float | None
    sample_type: str
    packets: int
    samples: tuple[float, float] | None


def rows(device: Device, codes: Mapping[int, str], kinds: Mapping[int, str]) -> list[Row]:
    """Return what was found, by channel."""
    return [
        Row(
            channel,
            codes[channel],
            kinds[channel],
            described.rate_hz,
            (seen := device.observed[channel]).rate_hz,
            str(described.sample_type),
            len(seen.counts),
            None if seen.least is None or seen.greatest is None else (seen.least, seen.greatest),
        )
        for channel, described in sorted(device.formats.items())
    ]


def warnings(device: Device, codes: Mapping[int, str]) -> list[str]:
    """Return what is wrong or unlikely, each with its channel."""
    return [
        f"channel {channel}: {text}"
        for channel, described in sorted(device.formats.items())
        for text in _warnings(codes[channel], described.rate_hz, device.observed[channel])
    ]


def _warnings(code: str, rate_hz: float, seen: Observed) -> Iterator[str]:
    if wrong := misfit(code, rate_hz):
        yield wrong
    if not seen.counts:
        yield "sent nothing; its rate is as the device states it"
        return
    measured = seen.rate_hz
    if measured is not None and abs(measured / rate_hz - 1) > _TOLERANCE + 1 / max(rate_hz * seen.span_s, 1):
        yield (
            f"the device states {rate_text(rate_hz)} Hz, but its time stamps mean {measured:.6g} Hz: "
            "correct what it states, or its clock"
        )
    if abs(seen.lag_s) > _CLOCK_S:
        which = "behind" if seen.lag_s > 0 else "ahead of"
        duration = duration_text(abs(seen.lag_s))
        yield f"its time stamps are {duration} {which} this machine's clock: one of the two is wrong"
    if seen.quality is None or seen.quality < 50:
        quality = "no timing quality" if seen.quality is None else f"a timing quality of {seen.quality} %"
        yield f"it sends {quality}: is its clock locked?"
    if seen.least == seen.greatest:
        yield f"all its samples are {seen.least:.6g}: is its sensor connected?"


def text(
    station: str, demo: Path, folder: Path, device: Device, codes: Mapping[int, str], place: Mapping[str, object]
) -> str:
    """Return the station file of *station* for *device*: the packaged *demo* with its channels, and where it is.

    It is for *folder*, as in `template.text`.

    Raises:
        InvalidValue: *station* is not NET.STA.
    """
    made = template.text(station, demo, folder)
    coordinates = "".join(f", {key}: {place[name]}" for name, key in _COORDINATES.items() if name in place)
    made = made.replace(_DEMO_LOCATION, f"{_DEMO_LOCATION.removesuffix('}')}{coordinates}}}", 1)
    width = max(len(code) for code in codes.values()) + 2
    lines = [
        f"      {channel}: " + f'"{codes[channel]}"'.ljust(width) + f"  # {_comment(device, channel)}\n"
        for channel in sorted(codes)
    ]
    block = (
        f'    host: "{device.host}"\n    port: {device.port}\n'
        f"    # The device's channels: [location.]channel; without a location it is the station's, {LOCATION}.\n"
        "    channels:\n" + "".join(lines)
    )
    made, replaced = _DEMO_DEVICE.subn(lambda _: block, made)
    if not replaced:
        raise InvalidValue(f"{demo} has no device to put another one in its place")
    about = (
        f"  # The device speaks RAW {device.version} over TCP; `control-rawdaq describe RawReceiver` has all options.\n"
    )
    return _DEMO_COMMENT.sub(lambda _: about, made)


def _comment(device: Device, channel: int) -> str:
    described, measured = device.formats[channel], device.observed[channel].rate_hz
    found = "not measured" if measured is None else f"measured {measured:.6g} Hz"
    return f"{rate_text(described.rate_hz)} Hz {described.sample_type}, {found}"
