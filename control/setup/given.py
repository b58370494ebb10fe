"""Values of a command line that hold for all channels, or for some of them: ``VALUE`` or ``1-3,7=VALUE``."""

import re
from collections.abc import Collection, Sequence
from typing import TypeVar

from rawdaq.errors import InvalidValue

_IDS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*", re.ASCII)
MAX_CHANNELS = 10_000  # a device that is asked for more would be asked for hours

T = TypeVar("T")


def parse_ids(text: str) -> list[int]:
    """Return the channel ids of ``1-3,7``, each once.

    Raises:
        InvalidValue: it is no such list, or an endless one.
    """
    if not _IDS.fullmatch(text):
        raise InvalidValue(f"{text!r} is no list of channel ids, such as 1-3,7")
    found: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = int(first), int(last or first)
        if end < begin or end > 0xFFFF_FFFF or len(found) + end - begin >= MAX_CHANNELS:
            raise InvalidValue(f"{part} is no range of channel ids: at most {MAX_CHANNELS} of them, the smallest first")
        found |= dict.fromkeys(range(begin, end + 1))
    return list(found)


def by_channel(given: Sequence[tuple[list[int] | None, T]], channels: Collection[int]) -> dict[int, T]:
    """Return the value of each of *channels*; the later one of *given* counts, and one with ids more than one without.

    Raises:
        InvalidValue: an id that is not among *channels*.
    """
    values = {channel: value for ids, value in given if ids is None for channel in channels}
    for ids, value in given:
        for channel in ids or ():
            if channel not in channels:
                known = ", ".join(map(str, channels))
                raise InvalidValue(f"the device has no channel {channel}; it has {known}")
            values[channel] = value
    return values
