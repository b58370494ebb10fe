"""The times of SeedLink as text: commas in version 3, ISO in version 4, and the forms that INFO answers have."""

import re
from datetime import datetime

from rawdaq.errors import InvalidValue
from rawdaq.times import MAX_YEAR, MIN_YEAR, from_datetime, to_datetime

MAX_TIME_CHARACTERS = 40  # the longest time that is read has 30

# Year, month, day, hour, minute, second, fraction. Clients of version 3 leave out leading zeros (ObsPy), or decimals.
_DATE_TIME = r"(\d{4})%s(\d{1,2})%s(\d{1,2})%s(\d{1,2})%s(\d{1,2})%s(\d{1,2})(?:\.(\d{0,9}))?"
_FORMS = (
    re.compile(_DATE_TIME % (",", ",", ",", ",", ","), re.ASCII),
    re.compile(_DATE_TIME % ("-", "-", "[T ]", ":", ":") + "Z?", re.ASCII),
    re.compile(_DATE_TIME % ("/", "/", " ", ":", ":"), re.ASCII),  # SeisComP's INFO
)


def parse_time(text: str) -> int:
    """Return the UTC time that *text* names, in any of the forms that SeedLink programs write.

    Raises:
        InvalidValue: it names no time.

    >>> parse_time("2026,11,21,0,0,0") == parse_time("2026-11-21T00:00:00Z") == parse_time("2026/11/21 00:00:00.0000")
    True
    """
    match = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    if match is None or len(text) > MAX_TIME_CHARACTERS:
        raise InvalidValue(
            f"{text[:MAX_TIME_CHARACTERS]!r} is not a time like 2026,11,21,00,00,00 or 2026-11-21T00:00:00Z"
        )
    *fields, fraction = match.groups()
    try:
        when = datetime(*map(int, fields))  # type: ignore[arg-type]  # six numbers
    except ValueError as error:
        raise InvalidValue(f"{text!r} is not a time: {error}") from None
    if not MIN_YEAR <= when.year <= MAX_YEAR:
        raise InvalidValue(f"{text!r} is not in the years {MIN_YEAR}-{MAX_YEAR}")
    return from_datetime(when) + int((fraction or "").ljust(9, "0"))


def comma_time(time_ns: int) -> str:
    """Return *time_ns* as version 3 writes it; what is below a second is cut off.

    >>> comma_time(1795219200010000000)
    '2026,11,21,00,00,00'
    """
    return to_datetime(time_ns).strftime("%Y,%m,%d,%H,%M,%S")
