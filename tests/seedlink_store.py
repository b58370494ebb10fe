"""What the tests' SeedLink server stores, and what a client asks of it."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

NS = 1_000_000_000
_T3 = r"\d{4},\d\d,\d\d,\d\d,\d\d,\d\d"
_T4 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
#: The forms of the words after a command, by version.
WORDS = {
    3: {
        "STATION": r"[A-Z0-9]{1,5} [A-Z0-9]{1,2}",
        "SELECT": r"!?(?:[A-Z0-9?]{2})?[A-Z0-9?]{3}(?:\.[DECTLO])?",
        "DATA": rf"(?:[0-9A-F]{{6}}(?: {_T3})?)?",
        "TIME": rf"{_T3}(?: {_T3})?",
    },
    4: {
        "STATION": r"[A-Z0-9*?_]{1,21}",
        "SELECT": r"!?[A-Z0-9*?_]+(?:\.[A-Z0-9?]{1,2})?",
        "DATA": rf"(?:\d+|ALL)?(?: {_T4}(?: {_T4})?)?",
        "USERAGENT": r"\S+/\S+",
        "SLPROTO": r"4\.0",
    },
}


@dataclass
class Stored:
    """A record of the server."""

    station: str
    location: str
    channel: str
    sequence: int
    start_ns: int
    end_ns: int
    record: bytes
    format: str = "2"


@dataclass
class Request:
    """What a client asked of a station."""

    station: str
    selectors: list[str] = field(default_factory=list[str])
    start: str = ""
    begin_ns: int | None = None
    end_ns: int | None = None
    is_time: bool = False


def regex(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")


def selects(selector: str, stored: Stored) -> bool:
    pattern = selector.partition(".")[0]
    if "_" in pattern:
        return bool(re.fullmatch(regex(pattern), f"{stored.location}_{'_'.join(stored.channel)}"))
    if len(pattern) == 3:
        return bool(re.fullmatch(regex(pattern), stored.channel))
    return bool(re.fullmatch(regex(pattern), f"{stored.location:<2}{stored.channel}"))


def time_ns(text: str) -> int:
    whole, _, fraction = text.rstrip("Z").partition(".")
    form = "%Y,%m,%d,%H,%M,%S" if "," in whole else "%Y-%m-%dT%H:%M:%S"
    when = datetime.strptime(whole, form).replace(tzinfo=UTC)
    return int(when.timestamp()) * NS + int(fraction.ljust(9, "0") or 0)
