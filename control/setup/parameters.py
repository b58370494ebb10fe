"""Words of the command line of ``init`` as values; wrong ones are refused with what would be right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_DEFAULT_PORT = 65535


class _Checked(click.ParamType):  # type: ignore[type-arg]  # pyright: ignore - older click has no such argument
    """A type whose `read` raises what is wrong as ValueError."""

    def read(self, text: str) -> Any:
        """Return the value of *text*."""
        raise NotImplementedError

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Called by click."""
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)


class _Address(_Checked):
    name = "HOST:PORT"

    def read(self, text: str) -> tuple[str, int]:
        """Return host and port; without a port it is that of the protocol."""
        from rawdaq.sockets.endpoint import check_host

        host, colon, port = text.rpartition(":")
        if not colon or (":" in host and not host.startswith("[")) or "/" in text:
            host, port = text, str(_DEFAULT_PORT)
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise ValueError(f"{port!r} is no port; it should be 1 to 65535")
        return check_host(host.removeprefix("[").removesuffix("]")), int(port)


class _Ids(_Checked):
    name = "IDS"

    def read(self, text: str) -> list[int]:
        """Return the ids."""
        from rawdaq.control.setup.given import parse_ids

        return parse_ids(text)


class _Given(_Checked):
    """A value, with the ids of the channels that it holds for before it."""

    name = "[IDS=]VALUE"

    def __init__(self, value: Callable[[str], Any], *, needs_ids: bool = False) -> None:
        self._value, self._needs_ids = value, needs_ids

    def read(self, text: str) -> tuple[list[int] | None, Any]:
        """Return the ids, None for all channels, and the value."""
        from rawdaq.control.setup.given import parse_ids

        ids, equals, value = text.partition("=") if text[:1].isdigit() and "=" in text else ("", "", text)
        if self._needs_ids and not equals:
            raise ValueError(f"{text!r} names no channel; write ID=CODE, such as 4=10.HNZ")
        return (parse_ids(ids) if equals else None), self._value(value)


class _Kind(_Given):
    """A kind of sensor."""

    help = (
        "What is behind the channels: broadband (the default), short-period, geophone, low-gain, accelerometer, "
        "infrasound, hydrophone or acoustic-emission."
    )

    def __init__(self) -> None:
        super().__init__(_sensor)


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


class _Chained:
    """Options that describe the sensor or the digitizer of channels."""

    keys: Final = ("sensor_sensitivity", "digitizer_sensitivity", "sensor_file", "digitizer_file")

    def __call__(self, option: str, key: str, meaning: str) -> Callable[[F], F]:
        """Return the decorator that adds the *option*."""
        kind = _Given(_file if key.endswith("_file") else _sensitivity)
        metavar = "[IDS=]FILE" if key.endswith("_file") else "[IDS=]NUMBER"
        return click.option(f"--{option}", key, type=kind, multiple=True, metavar=metavar, help=meaning)


ADDRESS: Final = _Address()
IDS: Final = _Ids()
KIND: Final = _Kind()
CODES: Final = _Given(_code, needs_ids=True)
CHAINED: Final = _Chained()
