"""NMEA 0183 sentences of a GNSS receiver: those that say what time it is.

>>> sentence = parse("$GPZDA,201530.00,04,07,2026,00,00*66")
>>> sentence.talker, sentence.kind, sentence.fields[1:4]
('GP', 'ZDA', ('04', '07', '2026'))
>>> Clock().read(sentence).time_ns
1783196130000000000

Source: NMEA 0183 as receivers' manuals describe it (u-blox M8, "Receiver Description", RMC, ZDA and GGA).
"""

import re
from typing import NamedTuple

from rawdaq.errors import InvalidValue, RemoteProtocolError, error_text
from rawdaq.times import NS_PER_DAY, NS_PER_S, days_in_year, from_calendar

#: The standard has 82; receivers send more digits than it allows, and nothing that tells the time is longer.
MAX_SENTENCE = 1024

_SENTENCE = re.compile(r"\$([!-)+-~ ]*)\*([0-9A-Fa-f]{2})")
_ADDRESS = re.compile(r"([A-Z0-9]{2}|P)([A-Z0-9]{3})")
_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(?:\.(\d{0,9})\d*)?", re.ASCII)
_DATE = re.compile(r"(\d\d)(\d\d)(\d\d)", re.ASCII)
_FIRST_YEAR = 80  # of two digits: the GPS began in 1980
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

#: How good the time is by the fix quality of GGA: 1 to 5 are fixes, 6 is dead reckoning, 7 by hand, 8 a simulation.
_QUALITY = {"0": 0, "1": 100, "2": 100, "3": 100, "4": 100, "5": 100, "6": 20, "7": 0, "8": 0, "9": 100}


@error_text("{line} is no NMEA sentence such as $GPZDA,201530.00,04,07,2026,00,00*66")
class NotNmea(RemoteProtocolError):
    """A line is no sentence; *line* is elided."""

    line: str


@error_text("checksum of {kind} is {sent:02X}, its characters have {computed:02X}")
class ChecksumWrong(RemoteProtocolError):
    """The checksum of a sentence is not that of its characters."""

    kind: str
    sent: int
    computed: int


@error_text("{field} of {kind} is {value}")
class NmeaValueWrong(RemoteProtocolError):
    """A field of a sentence cannot be; *value* is elided."""

    kind: str
    field: str
    value: str


class Sentence(NamedTuple):
    """A sentence whose checksum is right.

    Attributes:
        talker: who says it: ``GP``, ``GN``, ``P`` for a maker's own.
        kind: such as ``RMC``.
        fields: what follows, as text.
    """

    talker: str
    kind: str
    fields: tuple[str, ...]


class Fix(NamedTuple):
    """What a sentence says of the time.

    Attributes:
        time_ns: UTC; None: it does not say, or no date is known yet.
        has_fix: whether the receiver knows time and place from satellites; None: it does not say.
        quality: of the time, 0 to 100, by the newest sentence that says it; None: none has said it.
        satellites: how many are used; None: it does not say.
    """

    time_ns: int | None
    has_fix: bool | None
    quality: int | None
    satellites: int | None


def parse(line: str) -> Sentence:
    """Return the sentence of a line without its end.

    Raises:
        NotNmea: it is no sentence.
        ChecksumWrong: it was changed on its way.
    """
    match = _SENTENCE.fullmatch(line) if len(line) <= MAX_SENTENCE else None
    address, _, rest = match[1].partition(",") if match else ("", "", "")
    known = _ADDRESS.match(address)
    if match is None or known is None:
        raise NotNmea(_shown(line))
    computed = checksum(match[1])
    if int(match[2], 16) != computed:
        raise ChecksumWrong(address, int(match[2], 16), computed)
    return Sentence(known[1], address[len(known[1]) :], tuple(rest.split(",")))


def checksum(text: str) -> int:
    """Return the checksum of what stands between ``$`` and ``*``."""
    found = 0
    for byte in text.encode():
        found ^= byte
    return found


def encode(talker: str, kind: str, *fields: str) -> str:
    """Return a sentence without the end of its line.

    >>> encode("GP", "ZDA", "201530.00", "04", "07", "2026", "00", "00")
    '$GPZDA,201530.00,04,07,2026,00,00*66'
    """
    text = ",".join((talker + kind, *fields))
    return f"${text}*{checksum(text):02X}"


class Clock:
    """Follows the sentences of one receiver: GGA has no date, and ZDA does not say whether there is a fix."""

    def __init__(self) -> None:
        self._newest_ns: int | None = None  # with a date
        self._quality: int | None = None

    def read(self, sentence: Sentence) -> Fix | None:
        """Return what *sentence* says; None when it is none of RMC, ZDA and GGA.

        Raises:
            NmeaValueWrong: a field cannot be.
        """
        kind, fields = sentence.kind, sentence.fields
        if kind == "ZDA":
            return Fix(self._dated(kind, _field(fields, 0), *_zda_date(fields)), None, self._quality, None)
        if kind == "RMC":
            has_fix = _word(kind, "status", _field(fields, 1), "AV") == "A"
            self._quality = 100 if has_fix else 0
            return Fix(self._dated(kind, _field(fields, 0), *_rmc_date(fields)), has_fix, self._quality, None)
        if kind == "GGA":
            quality = _word(kind, "fix quality", _field(fields, 5) or "0", "0123456789")
            self._quality = _QUALITY[quality]
            satellites = _whole(kind, "number of satellites", _field(fields, 6))
            return Fix(self._near(_time(kind, _field(fields, 0))), self._quality > 0, self._quality, satellites)
        return None

    def _dated(self, kind: str, time: str, year: int | None, month: int, day: int) -> int | None:
        in_day_ns = _time(kind, time)
        if in_day_ns is None or year is None:
            return None
        if not 1 <= month <= 12:
            raise NmeaValueWrong(kind, "month", str(month))
        is_leap = days_in_year(year) == 366
        before = sum(_MONTH_DAYS[: month - 1]) + (is_leap and month > 2)
        if not 1 <= day <= _MONTH_DAYS[month - 1] + (is_leap and month == 2):
            raise NmeaValueWrong(kind, "day", str(day))
        try:
            self._newest_ns = from_calendar(year, before + day, 0, 0, 0) + in_day_ns
        except InvalidValue:
            raise NmeaValueWrong(kind, "year", str(year)) from None
        return self._newest_ns

    def _near(self, in_day_ns: int | None) -> int | None:
        """Return the time of a day that is nearest to the newest one with a date."""
        if in_day_ns is None or self._newest_ns is None:
            return None
        days = (self._newest_ns - in_day_ns + NS_PER_DAY // 2) // NS_PER_DAY
        return days * NS_PER_DAY + in_day_ns


def _field(fields: tuple[str, ...], index: int) -> str:
    return fields[index] if index < len(fields) else ""


def _word(kind: str, name: str, value: str, known: str) -> str:
    if len(value) != 1 or value not in known:
        raise NmeaValueWrong(kind, name, _shown(value))
    return value


def _whole(kind: str, name: str, text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII):
        raise NmeaValueWrong(kind, name, _shown(text))
    return int(text)


def _time(kind: str, text: str) -> int | None:
    """Return a time of day in nanoseconds; the leap second 60 is the first one of the next minute."""
    if not text:
        return None
    match = _TIME.fullmatch(text)
    hour, minute, second = map(int, match.groups()[:3]) if match else (24, 0, 0)
    if match is None or hour > 23 or minute > 59 or second > 60:
        raise NmeaValueWrong(kind, "time", _shown(text))
    return ((hour * 60 + minute) * 60 + second) * NS_PER_S + int((match[4] or "").ljust(9, "0"))


def _rmc_date(fields: tuple[str, ...]) -> tuple[int | None, int, int]:
    text = _field(fields, 8)
    if not text:
        return None, 1, 1
    match = _DATE.fullmatch(text)
    if match is None:
        raise NmeaValueWrong("RMC", "date", _shown(text))
    day, month, year = map(int, match.groups())
    return year + (1900 if year >= _FIRST_YEAR else 2000), month, day


def _zda_date(fields: tuple[str, ...]) -> tuple[int | None, int, int]:
    day, month, year = (_whole("ZDA", name, _field(fields, at)) for name, at in (("day", 1), ("month", 2), ("year", 3)))
    return (None, 1, 1) if day is None or month is None or year is None else (year, month, day)


def _shown(text: str) -> str:
    shown = repr(text[:100])
    return shown if len(shown) <= 75 else f"{shown[:74]}…"
