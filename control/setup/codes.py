"""Names for the channels of a device: band codes by their rates, instrument and orientation codes by their sensors.

The codes are those of SEED and of FDSN source identifiers (definition 1.0, appendix A).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from rawdaq.config.decimation import band_code
from rawdaq.packet import rate_text

#: The location of channels that have none of their own in the file that is written.
LOCATION = "00"
_SHORT, _BROAD = "", "H"  # a band code that only a broadband sensor has


@dataclass(frozen=True)
class Sensor:
    """A kind of sensor.

    Attributes:
        instrument: the second letter of its channels.
        orientations: the third letters of its components.
        is_broadband: whether its band codes are those of sensors that reach 10 s and longer.
        unit: what it measures, in the words of StationXML.
        meaning: the unit in words.
    """

    instrument: str
    orientations: str
    is_broadband: bool
    unit: str
    meaning: str

    def band(self, rate_hz: float) -> str:
        """Return the first letter of its channels at *rate_hz*."""
        return band_code(rate_hz, _BROAD if self.is_broadband else _SHORT)


_VELOCITY = ("M/S", "velocity in metres per second")
_PRESSURE = ("PA", "pressure in pascals")

SENSORS: Mapping[str, Sensor] = {
    "broadband": Sensor("H", "ZNE", True, *_VELOCITY),
    "short-period": Sensor("H", "ZNE", False, *_VELOCITY),
    "geophone": Sensor("P", "ZNE", False, *_VELOCITY),
    "low-gain": Sensor("L", "ZNE", True, *_VELOCITY),
    "accelerometer": Sensor("N", "ZNE", True, "M/S**2", "acceleration in metres per second squared"),
    "infrasound": Sensor("D", "F", True, *_PRESSURE),
    "hydrophone": Sensor("D", "H", True, *_PRESSURE),
    "acoustic-emission": Sensor("H", "Z", False, *_VELOCITY),
}


def propose(rates_hz: Mapping[int, float], kinds: Mapping[int, str], given: Mapping[int, str]) -> dict[int, str]:
    """Return ``[location.]channel`` for every channel; the location is left out where it is ``00``.

    Channels of one kind and rate are components of one sensor, in threes; what is not a multiple of three, or has one
    component, is a sensor each. A further sensor of the same codes has the next location.

    >>> propose({1: 100, 2: 100, 3: 100, 4: 20}, dict.fromkeys(range(1, 5), "broadband"), {})
    {1: 'HHZ', 2: 'HHN', 3: 'HHE', 4: 'BHZ'}

    Args:
        rates_hz: the rate of each channel.
        kinds: the kind of sensor behind each, of `SENSORS`.
        given: codes that are settled already.
    """
    codes = dict(given)
    taken = {code if "." in code else f"{LOCATION}.{code}" for code in codes.values()}
    for channels, names in _sensors(rates_hz, kinds):
        open_names = {channel: name for channel, name in zip(channels, names, strict=True) if channel not in given}
        location = next(each for each in _locations() if not taken & {f"{each}.{name}" for name in open_names.values()})
        for channel, name in open_names.items():
            taken.add(f"{location}.{name}")
            codes[channel] = name if location == LOCATION else f"{location}.{name}"
    return {channel: codes[channel] for channel in rates_hz}


def _sensors(rates_hz: Mapping[int, float], kinds: Mapping[int, str]) -> Iterator[tuple[Sequence[int], Sequence[str]]]:
    """Yield the channels of each sensor, with their codes."""
    groups: dict[tuple[str, float], list[int]] = {}
    for channel, rate_hz in rates_hz.items():
        groups.setdefault((kinds[channel], rate_hz), []).append(channel)
    for (kind, rate_hz), channels in groups.items():
        sensor = SENSORS[kind]
        size = len(sensor.orientations) if len(channels) % len(sensor.orientations) == 0 else 1
        names = [f"{sensor.band(rate_hz)}{sensor.instrument}{letter}" for letter in sensor.orientations[:size]]
        for first in range(0, len(channels), size):
            yield channels[first : first + size], names


def _locations() -> Iterator[str]:
    """Yield locations of the sensors of a station, the first one first: 00, 10 ... 90, 01 ... 99, 100 ..."""
    yield from (f"{tens}0" for tens in range(10))
    yield from (f"{number:02}" for number in count(1) if number > 99 or number % 10)


def misfit(code: str, rate_hz: float) -> str | None:
    """Return why the band code of ``[location.]channel`` does not fit *rate_hz*; None when it does.

    >>> misfit("BHZ", 100)
    'BHZ does not fit 100 Hz: its band code would be H, or E for a sensor that does not reach 10 s'
    >>> misfit("10.EHZ", 100), misfit("LHZ", 1)
    (None, None)
    """
    channel = code.rpartition(".")[2]
    band = channel.partition("_")[0] if "_" in channel else channel[0]
    broad, short = band_code(rate_hz, _BROAD), band_code(rate_hz, _SHORT)
    if band in (broad, short):
        return None
    either = broad if broad == short else f"{broad}, or {short} for a sensor that does not reach 10 s"
    return f"{code} does not fit {rate_text(rate_hz)} Hz: its band code would be {either}"
