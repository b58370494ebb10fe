"""Times are integers: nanoseconds since 1970-01-01T00:00:00 UTC, written ``*_ns``. Nothing else converts them.

A float of today's epoch seconds moves in steps of 238 ns, so no float here ever carries a time. POSIX time has no
leap seconds: second 60 is the first second of the next minute.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from rawdaq.errors import InvalidValue

NS_PER_S = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_S

#: Samples continue others when they begin within so many sampling intervals of where those ended, as SeisComP and ObsPy
#: see it; beyond that there is a gap or an overlap.
CONTIGUOUS_SAMPLES = 0.5

#: What signed 64 bits hold, as miniSEED libraries and numpy store it: the years 1678 to 2261 are whole.
MIN_YEAR = 1678
MAX_YEAR = 2261

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)?", re.ASCII)


class Calendar(NamedTuple):
    """A UTC time as digitizers and miniSEED write it."""

    year: int
    day_of_year: int
    hour: int
    minute: int
    second: int
    nanosecond: int


def days_in_year(year: int) -> int:
    """Return 366 for a leap year, else 365."""
    return 366 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 365


def _days_before_year(year: int) -> int:
    """Return the days from 1970-01-01 to the first of January of *year* (negative before 1970)."""
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400 - 719_162


def from_calendar(year: int, day_of_year: int, hour: int, minute: int, second: int, nanosecond: int = 0) -> int:
    """Return the time of a UTC calendar reading in nanoseconds.

    Args:
        year: 1678 to 2261, what 64 bits of nanoseconds hold.
        day_of_year: 1 to 365, or 366 in a leap year.
        hour: 0 to 23.
        minute: 0 to 59.
        second: 0 to 60; the leap second 60 is the first second of the next minute.
        nanosecond: 0 to 999 999 999.

    Raises:
        InvalidValue: a field is out of its range; the text names the field.

    >>> from_calendar(2026, 325, 0, 0, 0)
    1795219200000000000
    """
    if not MIN_YEAR <= year <= MAX_YEAR:
        raise InvalidValue(f"year {year} is not in {MIN_YEAR}-{MAX_YEAR}")
    if not 1 <= day_of_year <= days_in_year(year):
        raise InvalidValue(f"day of year {day_of_year} is not in 1-{days_in_year(year)} ({year})")
    if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 60):
        raise InvalidValue(f"time of day {hour:02d}:{minute:02d}:{second:02d} does not exist")
    if not 0 <= nanosecond < NS_PER_S:
        raise InvalidValue(f"nanosecond {nanosecond} is not in 0-999999999")
    days = _days_before_year(year) + day_of_year - 1
    return ((days * 24 + hour) * 60 + minute) * 60 * NS_PER_S + second * NS_PER_S + nanosecond


def to_calendar(time_ns: int) -> Calendar:
    """Return the UTC calendar reading of *time_ns*.

    Raises:
        InvalidValue: the time is outside the years 1678 to 2261.

    >>> to_calendar(1795219200000001000)
    Calendar(year=2026, day_of_year=325, hour=0, minute=0, second=0, nanosecond=1000)
    """
    days, in_day_ns = divmod(time_ns, NS_PER_DAY)
    year = 1970 + days * 400 // 146_097  # 146 097 days are 400 Gregorian years: right, or one year off
    year -= _days_before_year(year) > days
    year += _days_before_year(year + 1) <= days
    if not MIN_YEAR <= year <= MAX_YEAR:
        raise InvalidValue(f"time {time_ns} ns is not in the years {MIN_YEAR}-{MAX_YEAR}")
    seconds, nanosecond = divmod(in_day_ns, NS_PER_S)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return Calendar(year, days - _days_before_year(year) + 1, hour, minute, second, nanosecond)


def from_datetime(when: datetime) -> int:
    """Return *when* in nanoseconds; a naive datetime means UTC, as acquisition code usually has it.

    >>> from_datetime(datetime(2026, 11, 21))
    1795219200000000000
    """
    aware = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000


def to_datetime(time_ns: int) -> datetime:
    """Return *time_ns* as an aware UTC datetime; what is below a microsecond is cut off."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def to_iso(time_ns: int, digits: int = 6) -> str:
    """Return *time_ns* as ISO 8601 UTC text with *digits* (0 to 9) decimals; what lies below them is cut off.

    >>> to_iso(1795219200010000000)
    '2026-11-21T00:00:00.010000Z'
    """
    seconds, fraction_ns = divmod(time_ns, NS_PER_S)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction_ns:09d}"[: 20 + digits if digits else 19] + "Z"


def from_iso(text: str) -> int:
    """Return the time that ISO 8601 UTC *text* names, with up to nine decimals.

    Raises:
        InvalidValue: the text is no such time.

    >>> from_iso("2026-11-21T00:00:00.010000Z")
    1795219200010000000
    """
    match = _ISO.fullmatch(text)
    try:
        when = datetime.fromisoformat(match[1]) if match else None
    except ValueError:
        when = None
    if match is None or when is None:
        raise InvalidValue(f"{text!r} is not a UTC time like 2026-11-21T00:00:00.010000Z")
    return from_datetime(when) + int((match[2] or "").ljust(9, "0"))


def span_ns(samples: float, rate_hz: float) -> int:
    """Return how long *samples* sampling intervals last; computed at once, never accumulated.

    >>> span_ns(100, 100.0), span_ns(1, 300.0)
    (1000000000, 3333333)
    """
    return round(samples * NS_PER_S / rate_hz)


def sample_time(start_ns: int, index: int, rate_hz: float) -> int:
    """Return the time of sample *index* of a run that starts at *start_ns*."""
    return start_ns + round(index * NS_PER_S / rate_hz)


def is_contiguous(start_ns: int, next_ns: int, rate_hz: float) -> bool:
    """Return whether samples from *start_ns* on continue those that ended one interval before *next_ns*.

    >>> is_contiguous(5_000_000, 0, 100.0), is_contiguous(-5_000_001, 0, 100.0)
    (True, False)
    """
    return abs(start_ns - next_ns) * rate_hz <= CONTIGUOUS_SAMPLES * NS_PER_S


def duration_text(seconds: float) -> str:
    """Return a duration as a person says it.

    >>> duration_text(7.44), duration_text(128), duration_text(9000), duration_text(200_000)
    ('7.4 s', '2 min 8 s', '2 h 30 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    for small, large, name, next_name in ((60, 3600, "min", "s"), (3600, 86_400, "h", "min"), (86_400, 0, "d", "h")):
        if seconds < large or not large:
            whole, rest = divmod(int(seconds), small)
            part = {"s": 1, "min": 60, "h": 3600}[next_name]
            return f"{whole} {name} {rest // part} {next_name}"
    raise AssertionError(seconds)
