"""Words of the command line of ``init`` as values; wrong ones are refused with what would be right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rawdaq.control.setup.given import parse_ids

F = TypeVar("F", bound=Callable[..., Any])
_DEFAULT_PORT = 65535


class _Checked(click.ParamType):  # type: ignore[type-arg]  # pyright: ignore - older click has no such argument
    """A type of values.

    Args:
        name: what it is called.
        read: returns the value of a text, or raises what is wrong with it as ValueError.
    """

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name, self._read = name, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Called by click."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)


def _address(text: str) -> tuple[str, int]:
    """Return host and port; without a port it is that of the protocol."""
    from rawdaq.sockets.endpoint import check_host

    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")) or "/" in text:
        host, port = text, str(_DEFAULT_PORT)
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{port!r} is no port; it should be 1 to 65535")
    return check_host(host.removeprefix("[").removesuffix("]")), int(port)


def _given(value: Callable[[str], Any], *, needs_ids: bool = False) -> _Checked:
    """Return the type of a value, with the ids of the channels that it holds for before it; None for all channels."""

    def read(text: str) -> tuple[list[int] | None, Any]:
        ids, equals, word = text.partition("=") if text[:1].isdigit() and "=" in text else ("", "", text)
        if needs_ids and not equals:
            raise ValueError(f"{text!r} names no channel; write ID=CODE, such as 4=10.HNZ")
        return (parse_ids(ids) if equals else None), value(word)

    return _Checked("[IDS=]VALUE", read)


def _sensor(text: str) -> str:
    from rawdaq.config.registry import suggestion
    from rawdaq.control.setup.codes import SENSORS

    if text not in SENSORS:
        raise ValueError(f"no kind of sensor is called {text!r}; {suggestion(text, tuple(SENSORS))}")
    return text


def _code(text: str) -> str:
    from rawdaq.stream_id import check_code

    return check_code(text)


def _sensitivity(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"{text!r} is no sensitivity; it should be a number above 0, such as 1500")
    return value


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError(f"{text} is no file")
    return Path(text)


def chained(option: str, key: str, meaning: str) -> Callable[[F], F]:
    """Return the decorator that adds an *option* which describes the sensor or the digitizer of channels."""
    is_file = key.endswith("_file")
    kind, metavar = (_given(_file), "[IDS=]FILE") if is_file else (_given(_sensitivity), "[IDS=]NUMBER")
    return click.option(f"--{option}", key, type=kind, multiple=True, metavar=metavar, help=meaning)


#: The parameters that `chained` adds.
CHAIN_KEYS: Final = ("sensor_sensitivity", "digitizer_sensitivity", "sensor_file", "digitizer_file")
ADDRESS: Final = _Checked("HOST:PORT", _address)
IDS: Final = _Checked("IDS", parse_ids)
KIND: Final = _given(_sensor)
KIND_HELP: Final = (
    "What is behind the channels: broadband (the default), short-period, geophone, low-gain, accelerometer, "
    "infrasound, hydrophone or acoustic-emission."
)
CODES: Final = _given(_code, needs_ids=True)
