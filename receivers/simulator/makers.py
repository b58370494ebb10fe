"""Messages of simulated devices, made from their slot, their number and their time."""

import datetime
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue
from rawdaq.messages.log import LogRecord
from rawdaq.protocols import nmea
from rawdaq.protocols.layout.fields import Field, Kind
from rawdaq.receivers.simulator.formula import Formula
from rawdaq.receivers.simulator.plan import EVENT_NAMES, READOUT_NAMES, SourceSettings
from rawdaq.streams.assembly.formats import make_format
from rawdaq.streams.assembly.readout_format import Section
from rawdaq.times import NS_PER_S

_MAX_DATAGRAM_BYTES = 65_507  # of IPv4
_STEP = 4.0  # of a walk, in the device's integers
_AMPLITUDE = 1000.0
_PERIOD = 100  # readouts of a sine's period


#: Makes the message of a sender whose first content has a number, one content for each time; raises a `RawdaqError`
#: when there is no such message.
Maker = Callable[[int, int, Sequence[int]], bytes]
#: Makes the values of one row: of a sender, the number of the readout, and the number of the row.
Values = Callable[[int, int, int], npt.NDArray[np.float64]]


def maker_of(settings: SourceSettings, seed: str) -> Maker:
    """Return what makes the messages of *settings*; the same *seed* gives the same values.

    Raises:
        InvalidValue: the settings do not fit the format or the layout.
    """
    match settings.kind:
        case "readouts":
            return ReadoutMaker(settings, seed).message
        case "events":
            return EventMaker(settings).message
        case "times":
            return nmea_message
        case "logs":
            return partial(log_message, settings.level)


class ReadoutMaker:
    """Readouts of any format that can be written.

    Senders that share an address tell themselves apart by the format's number, where it has one for each of them.
    """

    def __init__(self, settings: SourceSettings, seed: str) -> None:
        self._format = make_format(settings.format)
        row = self._format.row
        if not row.size_bytes:
            raise InvalidValue("the format needs its `samples`, such as `format: {raw: {samples: 10}}`")
        is_alone = settings.first_address is not None or settings.senders == 1
        self._is_by_number = self._format.says_sender and not is_alone
        if self._is_by_number and settings.senders > self._format.numbers:
            raise InvalidValue(
                f"{settings.senders} senders of one address need as many numbers, the format has "
                f"{self._format.numbers}: give it so many `channels`, or senders a `first_address`"
            )
        blank = [Section(0, bytes(row.size_bytes), each) for each in self._numbers(0)] * settings.per_packet
        size = len(self._format.datagram(blank))  # an error now rather than when it plays
        if size > _MAX_DATAGRAM_BYTES and not settings.is_tcp:
            raise InvalidValue(f"a datagram of {size} bytes, UDP carries {_MAX_DATAGRAM_BYTES}: less per_packet")
        self._values = values_of(settings.values if isinstance(settings.values, str) else "walk", row.shape, seed)

    def message(self, slot: int, number: int, times_ns: Sequence[int]) -> bytes:
        """Return a datagram."""
        sections = [
            Section(time_ns, self._row(slot, number + index, each), each)
            for index, time_ns in enumerate(times_ns)
            for each in self._numbers(slot)
        ]
        return self._format.datagram(sections)

    def _numbers(self, slot: int) -> Sequence[int]:
        return (slot,) if self._is_by_number else range(self._format.numbers)

    def _row(self, slot: int, number: int, row_number: int) -> bytes:
        row = self._format.row
        values = self._values(slot, number, 0 if self._is_by_number else row_number)
        if row.dtype.kind in "iu":
            limits = np.iinfo(row.dtype)
            values = np.clip(np.rint(values) + row.zero, limits.min, limits.max)
        return values.astype(row.dtype).tobytes()


def values_of(text: str, shape: tuple[int, ...], seed: str) -> Values:
    """Return the values that *text* names: a walk, a sine, noise or a formula."""
    if text in ("walk", "noise"):
        return RandomValues(shape, seed, is_walk=text == "walk").row
    return _sine(shape) if text == "sine" else _formula_values(text, shape)


class RandomValues:
    """Random values, each sender's from a generator of its own."""

    def __init__(self, shape: tuple[int, ...], seed: str, *, is_walk: bool) -> None:
        self._shape, self._seed, self._is_walk = shape, seed, is_walk
        self._senders: dict[tuple[int, int], tuple[np.random.Generator, npt.NDArray[np.float64]]] = {}

    def row(self, slot: int, number: int, row_number: int) -> npt.NDArray[np.float64]:
        """Return the next values of a sender."""
        found = self._senders.get((slot, row_number))
        if found is None:
            own = random.Random(f"{self._seed}/{slot}/{row_number}").getrandbits(64)
            found = self._senders[slot, row_number] = np.random.default_rng(own), np.zeros(self._shape)
        generator, last = found
        steps = generator.normal(0.0, _STEP, self._shape)
        if not self._is_walk:
            return steps
        # Samples of a channel go on from each other, and from the last of the row before.
        last[...] = (last[..., -1:] + np.cumsum(steps, axis=-1)) if last.ndim > 1 else last + steps
        return last


def _sine(shape: tuple[int, ...]) -> Values:
    """Return a sine over the numbers of readouts, shifted by slot and channel."""
    places = np.indices(shape, dtype=np.float64)
    within = places[1] / shape[1] if len(shape) > 1 else 0.0

    def row(slot: int, number: int, row_number: int) -> npt.NDArray[np.float64]:
        phase = 2 * math.pi * ((number + within) / _PERIOD + slot / 7 + (places[0] + row_number) / 11)
        values: npt.NDArray[np.float64] = _AMPLITUDE * np.sin(phase)
        return values

    return row


def _formula_values(text: str, shape: tuple[int, ...]) -> Values:
    """Return the values of a formula; with several rows a sender, the channel goes on over them."""
    formula = Formula(text, READOUT_NAMES)
    places = np.indices(shape, dtype=np.float64)
    samples = places[1] if len(shape) > 1 else np.zeros(shape)

    def row(slot: int, number: int, row_number: int) -> npt.NDArray[np.float64]:
        channels = places[0] + row_number * len(places[0])
        names = {"slot": slot, "channel": channels, "sample": samples, "number": number}
        return np.broadcast_to(np.asarray(formula(names), np.float64), shape)

    return row


class EventMaker:
    """Events of a declared layout."""

    def __init__(self, settings: SourceSettings) -> None:
        if settings.layout is None:
            raise InvalidValue("events need a layout")
        self._layout = settings.layout.layout()
        given = settings.values if isinstance(settings.values, dict) else {}
        self._formulas = {name: Formula(text, EVENT_NAMES) for name, text in given.items()}
        for name in given:
            self._layout.field(name)
        self._free = [each for each in self._layout.fields if each.constant is None]

    def message(self, slot: int, number: int, times_ns: Sequence[int]) -> bytes:
        """Return events one behind the other."""
        return b"".join(self._event(slot, number + index, time_ns) for index, time_ns in enumerate(times_ns))

    def _event(self, slot: int, number: int, time_ns: int) -> bytes:
        names = {"slot": slot, "number": number, "time_ns": time_ns}
        values: dict[str, Any] = {}
        for field in self._free:
            formula = self._formulas.get(field.name)
            values[field.name] = _field_value(field, formula(names) if formula else 0)
        return self._layout.encode(values)


def _field_value(field: Field, value: float) -> Any:
    """Return *value* as the layout wants it: whole numbers fold into the field's size, as counters do."""
    match field.kind:
        case Kind.BITS:
            return [int(value) % field.bits]
        case Kind.BYTES:
            return (int(value) % (1 << field.bits)).to_bytes(field.bits // 8, "big").hex()
        case Kind.REST:
            return ""
        case Kind.FLOAT:
            return float(value)
        case _:
            return int(value) % (1 << field.bits)


def nmea_message(slot: int, number: int, times_ns: Sequence[int]) -> bytes:
    """Return NMEA sentences as a GNSS receiver with a fix sends them: RMC, ZDA and GGA of each time, as lines."""
    return "".join(f"{line}\r\n" for time_ns in times_ns for line in _sentences(time_ns)).encode()


def _sentences(time_ns: int) -> tuple[str, str, str]:
    seconds, ns = divmod(time_ns, NS_PER_S)
    at = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)
    clock = f"{at:%H%M%S}.{ns // 10_000_000:02d}"
    place = ("4717.11", "N", "00833.91", "E")
    return (
        nmea.encode("GP", "RMC", clock, "A", *place, "0.0", "0.0", f"{at:%d%m%y}", "", "", "A"),
        nmea.encode("GP", "ZDA", clock, f"{at:%d}", f"{at:%m}", f"{at:%Y}", "00", "00"),
        nmea.encode("GP", "GGA", clock, *place, "1", "09", "0.9", "499.6", "M", "48.0", "M", "", ""),
    )


def log_message(level: int, slot: int, number: int, times_ns: Sequence[int]) -> bytes:
    """Return log records as JSON lines."""
    return b"".join(_log_line(level, slot, number + index, time_ns) for index, time_ns in enumerate(times_ns))


def _log_line(level: int, slot: int, number: int, time_ns: int) -> bytes:
    record = LogRecord(time_ns, level, f"simulated.{slot}", f"record {number}", f"sender {slot}", pid=slot)
    return json.dumps(asdict(record)).encode() + b"\n"
