"""Selectors of both versions: which streams of a station a client wants, and how they are converted.

Version 3 writes a stream as location and channel, ``00HHZ``, with ``?`` for one character; version 4 writes
``LOC_BAND_SOURCE_SUBSOURCE``, ``00_H_H_Z``, with ``*`` for any text. A server of either version understands both.

>>> stream = StreamKey("00", "HHZ")
>>> [Selector.parse(text).matches(stream) for text in ("HHZ", "??HH?.D", "00_H_H_Z.2D", "*:3", "!10HHZ")]
[True, True, True, True, False]
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from rawdaq.errors import InvalidValue, LocalProtocolError

#: Records as they are stored; the name of the filter that changes nothing.
NATIVE: Final = "native"
#: Kinds of records: data, event, calibration, timing, log, opaque.
SUBFORMATS: Final = "DECTLO"

MAX_SELECTOR_CHARACTERS = 64  # a stream id of a source identifier has at most 8 + 3 + some letters

_FORM = re.compile(
    r"(?P<excludes>!?)(?P<pattern>[A-Z0-9_?*-]*)(?:\.(?P<suffix>[A-Z0-9?]{1,2}))?(?::(?P<filter>[a-z0-9]{1,11}))?",
    re.ASCII | re.IGNORECASE,
)
_SEED = re.compile(r"([A-Z0-9?-]{2})?[A-Z0-9?]{3}", re.ASCII)  # [location]channel
_ANY_LOCATION = re.compile(r"\*([A-Z0-9?])([A-Z0-9?])([A-Z0-9?])", re.ASCII)
_STREAM_LETTERS = re.compile(
    r"([A-Z0-9-]{0,2}|\*|\?[A-Z0-9?]|[A-Z0-9]\?)_([A-Z0-9?])_([A-Z0-9?])_([A-Z0-9?])", re.ASCII
)


class StreamKey(NamedTuple):
    """What a selector looks at.

    Attributes:
        location: the location code, empty when there is none.
        channel: a SEED code of three letters, or ``BAND_SOURCE_SUBSOURCE``.
        format: the packet format of version 4: ``2`` and ``3`` are miniSEED.
        subformat: the kind of record, one of `SUBFORMATS` for miniSEED.
    """

    location: str
    channel: str
    format: str = "2"
    subformat: str = "D"

    @property
    def stream_id(self) -> str:
        """``LOC_BAND_SOURCE_SUBSOURCE``, which names the stream in version 4."""
        letters = self.channel if "_" in self.channel else "_".join(self.channel)
        return f"{self.location}_{letters}"

    @property
    def seed_code(self) -> str | None:
        """Location, filled up with blanks, and channel, five characters; None when SEED cannot name the stream."""
        code = f"{self.location:<2}{self.channel}"
        return code if len(code) == 5 and "_" not in code else None


def matches_glob(pattern: str, text: str) -> bool:
    """Return whether ``*`` (any text) and ``?`` (any character) in *pattern* make it *text*.

    It takes at most the product of both lengths: a client chooses the pattern.
    """
    at, in_pattern, star, from_star = 0, 0, -1, 0
    while at < len(text):
        if in_pattern < len(pattern) and pattern[in_pattern] == "*":
            star, from_star = in_pattern, at
            in_pattern += 1
        elif in_pattern < len(pattern) and pattern[in_pattern] in (text[at], "?"):
            at, in_pattern = at + 1, in_pattern + 1
        elif star >= 0:
            from_star += 1
            at, in_pattern = from_star, star + 1
        else:
            return False
    return not pattern[in_pattern:].strip("*")


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector.

    Attributes:
        pattern: location and channel in the form of version 3, or a pattern of stream ids.
        excludes: whether it names what is not wanted.
        suffix: format and subformat, matched from the left, or one of `SUBFORMATS`; empty matches all.
        filter: how records are converted; empty when the selector does not say.
    """

    pattern: str
    excludes: bool = False
    suffix: str = ""
    filter: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the selector that *text* writes, in the form of either version.

        Raises:
            InvalidValue: it writes no selector.
        """
        match = _FORM.fullmatch(text) if len(text) <= MAX_SELECTOR_CHARACTERS else None
        if match is None:
            raise InvalidValue(f"{text[:MAX_SELECTOR_CHARACTERS]!r} is not a selector like 00HHZ or 00_H_H_Z")
        pattern, suffix = match["pattern"].upper(), (match["suffix"] or "").upper()
        if not suffix and len(pattern) == 1 and pattern in SUBFORMATS:
            pattern, suffix = "*", pattern
        if suffix and not pattern:
            pattern = "*"
        if not ("*" in pattern or pattern.count("_") >= 3 or _SEED.fullmatch(pattern)):
            raise InvalidValue(f"{text!r} is not a selector: {pattern!r} names no channel like HHZ, 00HHZ or 00_H_H_Z")
        return cls(pattern, bool(match["excludes"]), suffix, (match["filter"] or "").lower())

    def __str__(self) -> str:
        suffix = f".{self.suffix}" if self.suffix else ""
        return f"{'!' * self.excludes}{self.pattern}{suffix}{':' * bool(self.filter)}{self.filter}"

    def matches(self, stream: StreamKey) -> bool:
        """Return whether *stream* is one that the selector names, be it to want or to exclude it."""
        return self._matches_suffix(stream) and self._matches_pattern(stream)

    def _matches_suffix(self, stream: StreamKey) -> bool:
        if self._is_kind:
            return self.suffix == stream.subformat
        return all(
            wanted in ("?", is_there)
            for wanted, is_there in zip(self.suffix, stream.format + stream.subformat, strict=False)
        )

    def _matches_pattern(self, stream: StreamKey) -> bool:
        if self.is_seed:
            code = stream.seed_code
            location, channel = self._seed_parts
            return code is not None and matches_glob(location.replace("-", " ") + channel, code)
        if matches_glob(self.pattern, stream.stream_id):
            return True
        code = stream.seed_code  # ``*HHZ``
        return code is not None and "_" not in self.pattern and matches_glob(self.pattern, code)

    @property
    def is_seed(self) -> bool:
        """Whether the pattern has the form of version 3."""
        return bool(_SEED.fullmatch(self.pattern))

    @property
    def _is_kind(self) -> bool:
        """Whether the suffix is a kind of records, as version 3 has it, and no format."""
        return len(self.suffix) == 1 and self.suffix in SUBFORMATS

    @property
    def _seed_parts(self) -> tuple[str, str]:
        return self.pattern[:-3] or "??", self.pattern[-3:]

    @property
    def v4(self) -> str:
        """How a client of version 4 writes it."""
        suffix = f"?{self.suffix}" if self._is_kind else self.suffix
        return str(Selector(self._v4_pattern(), self.excludes, suffix, self.filter))

    def _v4_pattern(self) -> str:
        if self.is_seed:
            location, channel = self._seed_parts
            # A question mark at the end may also stand for the blank of a shorter location.
            location = re.sub(r"\?$", "*", location.replace("-", "").replace("??", "*"))
            return f"{location}_{'_'.join(channel)}"
        match = _ANY_LOCATION.fullmatch(self.pattern)
        return f"*_{'_'.join(match.groups())}" if match else self.pattern

    @property
    def v3(self) -> str:
        """How a client of version 3 writes it.

        Raises:
            LocalProtocolError: version 3 cannot say it.
        """
        code, kind = self._v3_code(), self._v3_kind()
        if code is None or kind is None or self.filter not in ("", NATIVE):
            raise LocalProtocolError(f"SeedLink 3 cannot say the selector {self}")
        return f"{'!' * self.excludes}{code}{'.' * bool(kind)}{kind}"

    def _v3_kind(self) -> str | None:
        """Return the letter of a kind of records, empty for all kinds, None where another format is wanted."""
        if self._is_kind:
            return self.suffix
        packet_format, kind = self.suffix[:1] or "?", self.suffix[1:] or "?"
        if packet_format not in "2?" or kind not in f"?{SUBFORMATS}":
            return None
        return kind.replace("?", "")

    def _v3_code(self) -> str | None:
        """Return location and channel as version 3 writes them, None when it cannot."""
        if self.pattern == "*":
            return "???"
        if self.is_seed:
            return self.pattern
        match = _ANY_LOCATION.fullmatch(self.pattern)
        if match:
            return "".join(match.groups())
        match = _STREAM_LETTERS.fullmatch(self.pattern)
        if match is None:
            return None
        location, *letters = match.groups()
        return {"": "--", "*": ""}.get(location, f"{location:-<2}") + "".join(letters)


def selected_filter(selectors: Sequence[Selector], stream: StreamKey) -> str | None:
    """Return how the records of *stream* are sent to a client with these *selectors*, None when they are not.

    A stream is wanted when no excluding selector names it and, where there are others, one of these does. Of several
    that name a filter the first counts.

    >>> wanted = [Selector.parse(text) for text in ("!00HHN", "HH?", "*:3")]
    >>> [selected_filter(wanted, StreamKey("00", channel)) for channel in ("HHZ", "HHN", "LHZ")]
    ['3', None, '3']
    """
    if any(each.excludes and each.matches(stream) for each in selectors):
        return None
    wanting = [each for each in selectors if not each.excludes]
    matching = [each for each in wanting if each.matches(stream)]
    if wanting and not matching:
        return None
    return next((each.filter for each in matching if each.filter), NATIVE)
