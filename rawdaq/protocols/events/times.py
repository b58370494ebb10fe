"""Times of events: one field or several that add up, of any unit, by UTC or by a clock of the device's own.

No float carries a time where the message has a better one: decimal text is read digit by digit.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple

from rawdaq.errors import InvalidValue, RemoteProtocolError, error_text
from rawdaq.times import MAX_YEAR, MIN_YEAR, from_calendar, from_iso

_FIRST_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0)
_LAST_NS = from_calendar(MAX_YEAR, 365, 23, 59, 59)
_MOST_NS = 1 << 64  # of a device's own clock
_DIGITS = 30  # before the point: more than any time has, bounds what a number like 1e999999 can do


class Unit(StrEnum):
    """What a time is counted in, or how it is written."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"
    PICOSECONDS = "ps"
    ISO = "iso"


class Origin(StrEnum):
    """What a time is counted from."""

    UTC = "utc"  # 1970
    DEVICE = "device"  # whatever the device takes


_PS = {
    Unit.SECONDS: 10**12,
    Unit.MILLISECONDS: 10**9,
    Unit.MICROSECONDS: 10**6,
    Unit.NANOSECONDS: 1000,
    Unit.PICOSECONDS: 1,
    Unit.ISO: 1000,
}


@error_text("{field} is {value}, not {expected}")
class TimeImpossible(RemoteProtocolError):
    """A message has no such time as it should; *value* is elided."""

    field: str
    value: str
    expected: str


class DecimalFloat(float):
    """A float that remembers how it was written.

    >>> DecimalFloat("1790000000.123456789").text
    '1790000000.123456789'
    """

    text: str

    def __new__(cls, text: str) -> "DecimalFloat":
        """Return the number that *text* writes."""
        made = super().__new__(cls, text)
        made.text = text
        return made


class Stamp(NamedTuple):
    """A time as an event has it, see `Event`."""

    time_ns: int | None
    ps: int
    device_ns: int | None


NO_STAMP = Stamp(None, 0, None)


def reader(fields: Sequence[tuple[str, Unit]], origin: Origin) -> Callable[[Mapping[str, Any]], Stamp]:
    """Return what reads the time of a message from its values.

    The callable raises `TimeImpossible` where a value is no time, or the time is one that cannot be.

    Args:
        fields: names and units of what adds up to it; none: messages have no time.
        origin: what it is counted from.
    """
    if not fields:
        return lambda values: NO_STAMP

    def read(values: Mapping[str, Any]) -> Stamp:
        in_ps = 0
        for name, unit in fields:
            in_ps += _picoseconds(name, values.get(name), unit)
        time_ns, ps = divmod(in_ps, 1000)
        if origin is Origin.DEVICE:
            if not 0 <= time_ns < _MOST_NS:
                raise TimeImpossible(fields[0][0], f"{time_ns} ns", "a time of 64 bits")
            return Stamp(None, ps, time_ns)
        if not _FIRST_NS <= time_ns < _LAST_NS:
            raise TimeImpossible(fields[0][0], f"{time_ns} ns", f"a time in the years {MIN_YEAR}-{MAX_YEAR}")
        return Stamp(time_ns, ps, None)

    return read


def _picoseconds(name: str, value: Any, unit: Unit) -> int:
    """Return *value* of *unit* in picoseconds; of a plain float, which cannot say them, whole nanoseconds."""
    if type(value) is int and unit is not Unit.ISO:
        return value * _PS[unit]
    if unit is Unit.ISO and isinstance(value, str):
        try:
            return from_iso(value) * 1000
        except InvalidValue:
            pass
    elif isinstance(value, float | str) and unit is not Unit.ISO:
        try:
            number = Decimal(getattr(value, "text", value))
            if number.is_finite() and number.adjusted() < _DIGITS:
                in_ps = int(number * _PS[unit])
                return in_ps if isinstance(value, str | DecimalFloat) else round(in_ps, -3)
        except (InvalidOperation, ValueError):
            pass
    expected = "a UTC time like 2026-11-21T00:00:00.010000Z" if unit is Unit.ISO else f"a time in {unit}"
    raise TimeImpossible(name, "missing" if value is None else repr(value)[:75], expected)
