"""The JSON header of a ZMQ message: read within a limit, and an error for each value in it that is wrong."""

import json
from collections.abc import Mapping
from typing import Any, cast

from rawdaq.protocols.message_errors import HeaderUnreadable, HeaderValueWrong

#: Our own headers have about 250 bytes: bounds what a foreign one can make the JSON reader do.
MAX_HEADER_BYTES = 1 << 16

_SHOWN = 75  # characters of a foreign value in an error

#: A frame as it comes from a socket, or as it goes to one.
Frame = bytes | memoryview


def read_header(frame: Frame, max_bytes: int = MAX_HEADER_BYTES) -> dict[str, Any]:
    """Return the keys of a header of at most *max_bytes*.

    Raises:
        HeaderUnreadable: it is too long, or not one JSON object.
    """
    text = bytes(frame)
    if len(text) > max_bytes:
        raise HeaderUnreadable(len(text), f"limit is {max_bytes}")
    try:
        header: object = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise HeaderUnreadable(len(text), f"not JSON ({error})") from None
    if not isinstance(header, dict):
        raise HeaderUnreadable(len(text), "not a JSON object")
    return cast("dict[str, Any]", header)


def whole_number(header: Mapping[str, Any], key: str, default: int = 0, low: int = 0, end: int = 1 << 63) -> int:
    """Return the whole number that *key* has in *header*, *default* where there is none.

    Raises:
        HeaderValueWrong: it is something else, or not in *low*..*end* - 1.
    """
    value = header.get(key)
    if value is None:
        return default
    if type(value) is not int or not low <= value < end:
        raise wrong_value(header, key, f"a whole number in {low}..{end - 1}")
    return value


def text_value(header: Mapping[str, Any], key: str) -> str:
    """Return the text that *key* has in *header*, none where there is none.

    Raises:
        HeaderValueWrong: it is something else.
    """
    value = header.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_value(header, key, "text")
    return value


def wrong_value(header: Mapping[str, Any], key: str, rule: str) -> HeaderValueWrong:
    """Return the error that names the value of *key* in *header*, and what would be right."""
    value = repr(header[key]) if key in header else "missing"
    return HeaderValueWrong(key, value if len(value) <= _SHOWN else value[:_SHOWN] + "…", rule)
