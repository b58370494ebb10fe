"""What each key of a configuration may be: a function that returns the value or raises what is right."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from rawdaq.protocols.array import HeaderForm
from rawdaq.publisher import OverflowPolicy
from rawdaq.publishers.repeater import WRITER, Mode, Origin, connected_place, socket_type
from rawdaq.sockets.zeromq.socket import check_zmq_address

Check = Callable[[Any], Any]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,48}", re.ASCII)
_HOST = re.compile(r"[^\s/]{1,255}")


def whole(low: int, high: int) -> Check:
    """Return what accepts whole numbers from *low* to *high*."""

    def check(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"is not a whole number from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Check:
    """Return what accepts numbers above *low*, up to *high*."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low < value <= high:
            raise ValueError(f"is not a number above {low:g}, up to {high:g}")
        return value

    return check


def one_of(words: Mapping[str, Any]) -> Check:
    """Return what accepts *words*, in any case, and returns what they mean."""

    def check(value: Any) -> Any:
        for word, meaning in words.items():
            if isinstance(value, str) and value.lower() == word.lower():
                return meaning
        raise ValueError(f"is not {' or '.join(words)}")

    return check


def _words(*words: str) -> Check:
    return one_of({word: word for word in words})


def truth(value: Any) -> bool:
    """Return *value* when it is true or false."""
    if not isinstance(value, bool):
        raise ValueError("is not true or false")
    return value


def text(value: Any) -> str:
    """Return *value* when it is a text that says something."""
    if not isinstance(value, str) or not value:
        raise ValueError("is not a text, or empty")
    return value


def as_list(value: Any) -> list[Any] | None:
    """Return *value* when it is a list, else None."""
    return value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType] - of JSON


def _texts(value: Any) -> list[str]:
    if (entries := as_list(value)) is None:
        raise ValueError("is not a list of texts")
    return [text(each) for each in entries]


def _host(value: Any) -> str:
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise ValueError("is not the address of an interface, such as 127.0.0.1 or 0.0.0.0")
    return value


def _addresses(value: Any) -> Any:
    addresses = as_list(value) or [value]
    for address in addresses:
        check_zmq_address(text(address))
    if len(set(addresses)) < len(addresses):
        raise ValueError("has an address twice")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("is not 1-48 letters, digits, _ or -")
    return value


def _parameter(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("is not a number")
    return int(value) if float(value).is_integer() else value


def _socket(value: Any) -> int:
    if not isinstance(value, str | int):
        raise ValueError("is not PUSH (8) or PUB (1)")
    return 8 if socket_type(value) == "PUSH" else 1


def _consumer(value: Any) -> str:
    connected_place(text(value))
    return str(value)


_BLOCK = whole(1, 1_000_000_000)

#: Of the whole repeater: the check of each key, and its default; None: it has none, or says nothing.
SHARED: dict[str, tuple[Check, Any]] = {
    "in_address": (_addresses, None),
    "in_zmq_mode": (_words("PULL", "SUB"), "PULL"),
    "io_threads": (whole(1, 16), 1),
    "buffer_size": (whole(1, 1_000_000), 5000),
    "frame_block": (_BLOCK, 15),
    "mode_metadata": (one_of({form.value: form.value for form in HeaderForm}), "file"),
    "config_file": (text, None),
    "buffer_mb": (number(0, 1_000_000), 256),
    "header_part": (whole(0, 1000), 0),
    "in_bind": (truth, False),
    "topics": (_texts, []),
    "out_ip": (_host, "127.0.0.1"),
    "high_water_mark": (whole(1, 1_000_000), 16),
    "max_message_mb": (number(0, 2000), 64),
    "stop_timeout_s": (number(0, 3600), 2),
}

#: Of each output, in lists: the check of an entry, and its default.
OF_OUTPUT: dict[str, tuple[Check, Any]] = {
    "stream_names": (_name, None),
    "stream_ports": (whole(0, 65535), 0),
    "zmq_modes": (_socket, 8),
    "send_output_mode": (one_of({mode.value: mode.value for mode in Mode}), None),
    "send_output_param": (_parameter, None),
    "frame_blocks": (_BLOCK, None),
    "origin": (_words(*Origin), "zero"),
    "overflow": (_words(*OverflowPolicy), "drop_oldest"),
    "header": (_words("plain", WRITER), None),
    "n_images_end": (_words("forward", "close"), "forward"),
    "address": (_consumer, None),
}
