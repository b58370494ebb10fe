"""Which file a JSON packet or a message belongs to: patterns of path names with the letters of dali2jsonl."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from rawdaq.errors import InvalidValue
from rawdaq.messages.message import Message
from rawdaq.protocols.datalink import DataPacket
from rawdaq.times import to_calendar

_LETTERS: Final = "nslcYjHMS"
_TOKEN = re.compile(r"%([a-zA-Z%])")
_SEED_CHANNEL: Final = 3
_FDSN_PARTS: Final = 6
_SEED_PARTS: Final = 4


class Codes(NamedTuple):
    """The codes in a stream id; whatever they are, they are parts of a path."""

    network: str
    station: str
    location: str
    band: str
    channel: str


def codes_of(stream_id: str) -> Codes | None:
    """Return the codes of a stream id of either style, None when it has none.

    >>> codes_of("XX_TOWR_00_HHZ/JSON") == codes_of("FDSN:XX_TOWR_00_H_H_Z/JSON")
    True
    >>> codes_of("FDSN:XX_A__B_LONG_SUB/JSON").channel, codes_of("XX_TOWR_00_L_O_G/JSON")
    ('B_LONG_SUB', None)
    """
    name = stream_id.partition("/")[0]
    parts = name.removeprefix("FDSN:").split("_")
    if name.startswith("FDSN:"):
        if len(parts) != _FDSN_PARTS:
            return None
        is_seed = all(len(part) == 1 for part in parts[3:])
        channel = ("" if is_seed else "_").join(parts[3:])
    elif len(parts) == _SEED_PARTS and len(parts[3]) == _SEED_CHANNEL:
        channel = parts[3]
    else:
        return None
    return Codes(parts[0], parts[1], parts[2], parts[3][:1], channel)


class JsonLinesLayout:
    """Patterns of path names.

    ``%n``, ``%s``, ``%l`` and ``%c`` are network, station, location and channel; ``%Y``, ``%j``, ``%H``, ``%M`` and
    ``%S`` year, day of year, hour, minute and second of the start of the data, UTC; ``%%`` is the sign itself.

    Args:
        write: the pattern.
        bands: patterns of their own for some band codes, each a pattern or the letter of another band.

    Raises:
        InvalidValue: the text says what is wrong.
    """

    def __init__(self, write: str, bands: Mapping[str, str] | None = None) -> None:
        self._write = _checked(write)
        given = bands or {}
        for band in given:
            if len(band) != 1:
                raise InvalidValue(f"band code {band!r} is not one letter")
        self._bands = {band: _checked(_resolved(band, given)) for band in given}

    def path(self, packet: DataPacket) -> str | None:
        """Return the path of the file of *packet*; None when its stream id has no codes, or its time no year."""
        codes = codes_of(packet.stream_id)
        if codes is None:
            return None
        return self._named(codes, packet.start_ns)

    def message_path(self, message: Message) -> str | None:
        """Return the path of the file of *message*; None when its time has no year, or its names lead elsewhere."""
        time_ns = message.header.get("time_ns")
        names = message.topic.split(".")[1:]
        network, station = names[:2] if len(names) > 1 else ("", "")
        codes = Codes(
            network, station, ".".join(names[2:]) or message.component or str(message.kind), "", str(message.kind)
        )
        return self._named(codes, time_ns if type(time_ns) is int else message.received_ns)

    def _named(self, codes: Codes, start_ns: int) -> str | None:
        try:
            start = to_calendar(start_ns)
        except InvalidValue:
            return None
        pattern = self._bands.get(codes.band, self._write)
        texts = {
            "n": codes.network,
            "s": codes.station,
            "l": codes.location,
            "c": codes.channel,
            "Y": f"{start.year:04d}",
            "j": f"{start.day_of_year:03d}",
            "H": f"{start.hour:02d}",
            "M": f"{start.minute:02d}",
            "S": f"{start.second:02d}",
            "%": "%",
        }
        path = _TOKEN.sub(lambda match: texts[match[1]], pattern)
        leads_elsewhere = path.split("/").count("..") > pattern.split("/").count("..")
        return None if leads_elsewhere or "\0" in path else path


def _resolved(band: str, bands: Mapping[str, str]) -> str:
    """Return the pattern of *band*, which may be that of another one.

    Raises:
        InvalidValue: bands refer to each other in a circle.
    """
    seen = [band]
    while (pattern := bands[seen[-1]]) in bands:
        if pattern in seen:
            raise InvalidValue(f"bands {', '.join(seen)} have each other's pattern: give one of them a pattern")
        seen.append(pattern)
    return pattern


def _checked(pattern: str) -> str:
    if not pattern:
        raise InvalidValue(f"write pattern is empty {pattern!r}")
    for match in _TOKEN.finditer(pattern):
        if match[1] not in f"{_LETTERS}%":
            known = ", ".join(f"%{letter}" for letter in _LETTERS)
            raise InvalidValue(
                f"directory value {match[0]} not allowed in write pattern {pattern}; there are {known}, %%"
            )
    return pattern
