"""`StreamId` names a stream, and shell-style patterns select streams by their names."""

import functools
import re
import string
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple, Self

from rawdaq.errors import InvalidValue

# FDSN source identifiers, definition 1.0: 1-8 for network and station, up to 8 for location; "-" in the latter two.
_NETWORK = re.compile(r"[A-Z0-9]{1,8}")
_STATION = re.compile(r"[A-Z0-9-]{1,8}")
_LOCATION = re.compile(r"[A-Z0-9-]{0,8}")
_CHANNEL = re.compile(r"[A-Z0-9]{3}|[A-Z0-9]*_[A-Z0-9]+_[A-Z0-9]*")


_REMEDY = "a pattern is like XX.*.00.HH?"
_CHARACTERS = f"{string.ascii_uppercase}{string.digits}-_."  # of all that names of streams are made of
_DOTS = 3
_TOKEN = re.compile(r"\[!?\]?[^\]]*\]|.", re.DOTALL)  # what stands for one character, or is *


def _check(name: str, text: str, allowed: re.Pattern[str], rule: str) -> None:
    if not allowed.fullmatch(text):
        raise InvalidValue(f"{name} {text!r} is not {rule}")


class _Codes(NamedTuple):
    network: str
    station: str
    location: str
    channel: str


class StreamId(_Codes):
    """The name of a stream: network, station, location, channel.

    The channel is a SEED code of three characters, or, for what SEED cannot say, the FDSN form
    ``BAND_SOURCE_SUBSOURCE``. The same name prints both ways:

    >>> stream = StreamId.parse("XX.DEMO.00.HHZ")
    >>> stream.fdsn
    'FDSN:XX_DEMO_00_H_H_Z'
    >>> StreamId.parse("FDSN:XX_DEMO__H_H_Z")
    StreamId(network='XX', station='DEMO', location='', channel='HHZ')

    Raises:
        InvalidValue: a code that neither SEED nor FDSN source identifiers allow.
    """

    __slots__ = ()

    def __new__(cls, network: str, station: str, location: str, channel: str) -> Self:
        """Return the stream of these codes; refuse codes that no archive could use in a name."""
        _check("network", network, _NETWORK, "1-8 characters of A-Z 0-9")
        _check("station", station, _STATION, "1-8 characters of A-Z 0-9 -")
        _check("location", location, _LOCATION, "0-8 characters of A-Z 0-9 -")
        if location == "--":
            raise InvalidValue("location '--' is how some print an empty location: leave it empty")
        _check("channel", channel, _CHANNEL, "3 characters of A-Z 0-9, or BAND_SOURCE_SUBSOURCE")
        # One stream has one name: three codes of one character are the SEED channel.
        if re.fullmatch("[A-Z0-9]_[A-Z0-9]_[A-Z0-9]", channel):
            channel = channel.replace("_", "")
        return super().__new__(cls, network, station, location, channel)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the stream that ``NET.STA.LOC.CHA`` or an ``FDSN:`` source identifier names.

        Raises:
            InvalidValue: it is neither.
        """
        parts = text[5:].split("_", 3) if text.startswith("FDSN:") else text.split(".")
        if len(parts) != 4:
            raise InvalidValue(f"stream {text!r} is not NET.STA.LOC.CHA or FDSN:NET_STA_LOC_BAND_SOURCE_SUBSOURCE")
        if text.startswith("FDSN:") and parts[3].count("_") != 2:
            raise InvalidValue(f"stream {text!r} does not end in BAND_SOURCE_SUBSOURCE")
        return cls(*parts)

    @property
    def fdsn(self) -> str:
        """The FDSN source identifier, ``FDSN:NET_STA_LOC_BAND_SOURCE_SUBSOURCE``."""
        channel = self.channel if "_" in self.channel else "_".join(self.channel)
        return f"FDSN:{self.network}_{self.station}_{self.location}_{channel}"

    def __str__(self) -> str:
        return f"{self.network}.{self.station}.{self.location}.{self.channel}"

    def matches(self, patterns: Iterable[str]) -> bool:
        """Whether any of the shell-style *patterns* of ``NET.STA.LOC.CHA`` names this stream (no pattern: all)."""
        wanted, name = tuple(patterns), str(self)
        # Names without wildcards, of which there may be thousands, are found at once.
        return not wanted or name in wanted or any(fnmatchcase(name, pattern) for pattern in wanted)


def can_meet(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether one of *some* patterns names all that one of the *others* names, or the other way round.

    That two patterns have no stream in common does not follow from them alone: ``*.00.*`` and ``*.01.*`` both name
    the location 01 of a station 00.

    >>> can_meet(["XX.AE.*"], ["XX.*"]), can_meet(["*.J??"], ["*.G??"]), can_meet(["*.00.*"], ["*.01.*"])
    (True, False, False)
    """
    return any(fnmatchcase(one, other) or fnmatchcase(other, one) for one in some for other in others)


def check_patterns(patterns: Iterable[str]) -> None:
    """Refuse what can name no stream, whatever the streams are called: wrong characters, or dots that do not fit.

    Raises:
        InvalidValue: the text says which pattern.

    >>> check_patterns(["*", "XX.*", "*HHZ"])
    >>> check_patterns(["XX.*", "HHZ"])
    Traceback (most recent call last):
    ...
    rawdaq.errors.InvalidValue: 'HHZ' can name no stream, NET.STA.LOC.CHA in capitals; a pattern is like XX.*.00.HH?
    """
    for pattern in patterns:
        if not _can_name_some(pattern):
            raise InvalidValue(f"{pattern!r} can name no stream, NET.STA.LOC.CHA in capitals; {_REMEDY}")


def _can_name_some(pattern: str) -> bool:
    tokens = _TOKEN.findall(pattern)
    meant = [_meant(token) for token in tokens]
    fewest_dots = sum(each == frozenset(".") for each in meant)
    has_enough = "*" in tokens or sum("." in each for each in meant) >= _DOTS
    return all(meant) and has_enough and fewest_dots <= _DOTS


@functools.lru_cache(1024)  # tokens are few, in patterns of which there may be thousands
def _meant(token: str) -> frozenset[str]:
    return frozenset(each for each in _CHARACTERS if fnmatchcase(each, token))


def selects_nothing(streams: Iterable[StreamId | str]) -> str:
    """Return what is wrong with patterns that name none of *streams*."""
    return f"selects none of {', '.join(map(str, streams))}; {_REMEDY}"


def prefixes(patterns: Iterable[str]) -> list[bytes]:
    """Return the topic prefixes to subscribe to: what stands before the first wildcard, all of it once.

    The publisher then sends only what may match.

    >>> prefixes(["XX.DEMO.*.HH?", "XX.DEMO.00.HHZ", "YY.[AB]*"]), prefixes([])
    ([b'XX.DEMO.', b'YY.'], [b''])
    """
    starts = sorted({re.split(r"[*?[]", pattern, maxsplit=1)[0].encode() for pattern in patterns} or {b""})
    kept = starts[:1]
    for start in starts[1:]:
        if not start.startswith(kept[-1]):  # sorted, a prefix stands directly before all that it covers
            kept.append(start)
    return kept


def split_code(code: str) -> tuple[str | None, str]:
    """Return location and channel of ``[location.]channel``; None means the station's location.

    >>> split_code("10.HHZ"), split_code("HHZ")
    (('10', 'HHZ'), (None, 'HHZ'))
    """
    location, dot, channel = code.rpartition(".")
    return (location if dot else None), channel


def check_code(code: str) -> str:
    """Return *code* when it is ``[location.]channel``.

    Raises:
        ValueError: it is not.
    """
    location, channel = split_code(code)
    try:
        StreamId("X", "X", location or "", channel)
    except InvalidValue as error:
        raise ValueError(f"{code!r} is not [location.]channel: {error}") from error
    return code
