"""Values that frames of ISI are made of: names, rates, times with their state, and positions of stations."""

import math
import re
import struct
from collections.abc import Iterable
from enum import IntFlag
from functools import lru_cache
from typing import Final, NamedTuple

from rawdaq.errors import InvalidValue
from rawdaq.protocols.isi.errors import NameInvalid, TimeUnreadable
from rawdaq.times import MAX_YEAR, MIN_YEAR, NS_PER_S, from_calendar

_NAME = struct.Struct("7s3s2s")
NAME_BYTES: Final = _NAME.size
_BLANK: Final = "  "  # the location of a stream that has none
_WILD: Final = "*"
_CODE = r"[0-9A-Za-z_-]{%s}|\*"
_CODES = re.compile(rf"({_CODE % '1,7'})[.,:;/]({_CODE % '1,3'})(?:[.,:;/]({_CODE % '0,2'}))?", re.ASCII)

_STAMP = struct.Struct(">dH")
STAMP_BYTES: Final = _STAMP.size
_UNDEFINED: Final = -1.0
_MIN_S = from_calendar(MIN_YEAR, 1, 0, 0, 0) / NS_PER_S
_END_S = from_calendar(MAX_YEAR, 365, 23, 59, 60) / NS_PER_S
_NS_PER_US = 1000

_MAX_I16 = 32_767


class IsiName(NamedTuple):
    """How ISI calls a stream, in lower case by custom, or streams: a part ``*`` means all.

    Attributes:
        station: up to 7 characters.
        channel: up to 3.
        location: up to 2; empty: none.
    """

    station: str
    channel: str
    location: str = ""

    @classmethod
    def parse(cls, text: str) -> "IsiName":
        """Return what ``sta.chn.loc`` or ``sta.chn`` names; each part may be ``*``.

        Raises:
            NameInvalid: it is not of that form.

        >>> IsiName.parse("aak.bhz.00"), IsiName.parse("*.bhz")
        (IsiName(station='aak', channel='bhz', location='00'), IsiName(station='*', channel='bhz', location=''))
        """
        match = _CODES.fullmatch(text)
        if match is None:
            raise NameInvalid(text, "is not like aak.bhz.00, aak.bhz or *.*.*: up to 7, 3 and 2 characters")
        return cls(match[1], match[2], match[3] or "")

    def encode(self) -> bytes:
        """Return the 12 bytes of a frame.

        Raises:
            NameInvalid: a part is too long, or no ASCII.
        """
        parts = self.station, self.channel, self.location or _BLANK
        for part, limit in zip(parts, (7, 3, 2), strict=True):
            if len(part) > limit or not part.isascii():
                raise NameInvalid(str(self), "is longer than 7, 3 and 2 characters, or not ASCII")
        return _NAME.pack(*(part.encode() for part in parts))

    @classmethod
    def decode(cls, data: bytes) -> "IsiName":
        """Return what 12 bytes say; what follows a NUL in a field is rubbish of real programs."""
        parts = (field.partition(b"\0")[0].decode("latin-1") for field in _NAME.unpack(data))
        return cls(*(part.strip() for part in parts))

    @property
    def is_wild(self) -> bool:
        """Whether it may mean several streams."""
        return _WILD in self

    def matches(self, stream: "IsiName") -> bool:
        """Return whether it means *stream*, whatever the case of both.

        Real servers compare the case. Here the same stream has capitals and no capitals in turn, so it must not.

        >>> IsiName("*", "BHZ").matches(IsiName("aak", "bhz")), IsiName("*", "*").matches(IsiName("aak", "bhz", "00"))
        (True, False)
        """
        return all(_WILD == mine or mine.lower() == its.lower() for mine, its in zip(self, stream, strict=True))

    def __str__(self) -> str:
        return ".".join(self if self.location else self[:2])


class TimeStatus(IntFlag):
    """What is known of a clock; `QUALITY` says that the high byte is its quality in percent."""

    LOCKED = 0x0001
    INCREMENTED = 0x0002
    NEVER_SET = 0x0004
    SUSPECT = 0x0008
    DERIVED = 0x0010
    QUALITY = 0x0020
    UNKNOWN = 0x8000


class Stamp(NamedTuple):
    """A time and what is known of its clock.

    Attributes:
        time_ns: the time; one that was read is a whole microsecond, since the number in a frame has steps of 0.24 us
            in our time; None: there is none.
        status: of `TimeStatus`.
    """

    time_ns: int | None
    status: int = TimeStatus.UNKNOWN

    @property
    def quality_percent(self) -> int | None:
        """The quality of the clock; None when it is not said."""
        quality = self.status >> 8
        return quality if self.status & TimeStatus.QUALITY and quality <= 100 else None

    def encode(self) -> bytes:
        """Return the 10 bytes of a frame."""
        return _STAMP.pack(_UNDEFINED if self.time_ns is None else to_seconds(self.time_ns), self.status)

    @classmethod
    def decode(cls, data: bytes) -> "Stamp":
        """Return what 10 bytes say.

        Raises:
            TimeUnreadable: they are no time of 1678 to 2261.
        """
        seconds, status = _STAMP.unpack(data)
        if seconds == _UNDEFINED:
            return cls(None, status)
        if not _MIN_S <= seconds < _END_S:  # which is so of no number too
            raise TimeUnreadable(seconds)
        return cls((from_seconds(seconds) + _NS_PER_US // 2) // _NS_PER_US * _NS_PER_US, status)


def to_seconds(time_ns: int) -> float:
    """Return the floating point number nearest to a time."""
    return time_ns / NS_PER_S


def from_seconds(seconds: float) -> int:
    """Return the time that *seconds* are, also long before or after all data; `to_seconds` makes the same number of it.

    Raises:
        TimeUnreadable: it is no number.

    >>> from_seconds(1069190000.175)
    1069190000174999952
    """
    if not math.isfinite(seconds):
        raise TimeUnreadable(seconds)
    whole_s = math.floor(seconds)
    return whole_s * NS_PER_S + round((seconds - whole_s) * NS_PER_S)


_RATE = struct.Struct(">2h")
RATE_BYTES: Final = _RATE.size


@lru_cache(maxsize=1024)  # a rate of nothing simple takes as long as all else of a packet
def encode_rate(rate_hz: float | None) -> bytes:
    """Return the 4 bytes of a sampling rate: factor and multiplier as SEED has them; None: unknown.

    The multiplier is 1 where that says it all, since the original client takes others for their inverse.
    """
    return _RATE.pack(*_factors(rate_hz))


def _factors(rate_hz: float | None) -> tuple[int, int]:
    if rate_hz is None:
        return -1, -1
    if rate_hz < 1 and _is_same(1 / (period_s := round(1 / rate_hz)), rate_hz) and period_s <= _MAX_I16:
        return -period_s, 1
    for divisor in range(1, 1000):
        times = round(rate_hz * divisor)
        if 0 < times <= _MAX_I16 and _is_same(times / divisor, rate_hz):
            return times, 1 if divisor == 1 else -divisor
    if rate_hz >= 1:
        return min(round(rate_hz), _MAX_I16), 1
    return max(-round(1 / rate_hz), -_MAX_I16), 1


def _is_same(rate_hz: float, other_hz: float) -> bool:
    return math.isclose(rate_hz, other_hz, rel_tol=1e-9)  # 1 / (1 / 49) is not 49


def decode_rate(data: bytes) -> float | None:
    """Return the sampling rate that 4 bytes say, in Hz; None when it is unknown.

    >>> decode_rate(bytes.fromhex("00280001")), decode_rate(bytes.fromhex("fff60001"))
    (40.0, 0.1)
    """
    factor: int
    multiplier: int
    factor, multiplier = _RATE.unpack(data)
    if not factor or not multiplier or (factor, multiplier) == (-1, -1):
        return None
    over, under = (factor, 1) if factor > 0 else (1, -factor)
    return over * multiplier / under if multiplier > 0 else over / (under * -multiplier)


class Coordinates(NamedTuple):
    """Where a sensor is.

    Attributes:
        latitude: degrees north.
        longitude: degrees east.
        elevation_m: of the station.
        depth_m: of the sensor.
    """

    latitude: float
    longitude: float
    elevation_m: float
    depth_m: float


#: What servers say of a station of which they know nothing.
NOWHERE: Final = Coordinates(-12.3456, -12.3456, -12.3456, -12.3456)


def check_names(names: Iterable[str]) -> list[str]:
    """Return *names*, each like ``aak.bhz.00`` with ``*`` for a part.

    Raises:
        InvalidValue: one is not.
    """
    wanted = list(names)
    for name in wanted:
        try:
            IsiName.parse(name)
        except NameInvalid as error:
            raise InvalidValue(str(error)) from None
    return wanted
