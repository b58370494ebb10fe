"""Receivers and publishers that a station file of a test may name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field

from rawdaq import config
from rawdaq.config import ConfigError, registry
from rawdaq.errors import ComponentError
from rawdaq.stream_id import StreamId


def _even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd; take an even number")
    return value


class Receiver:
    def __init__(
        self,
        publishers: list[object],
        station: config.StationSettings,
        name: str,
        *,
        host: str,
        port: Annotated[int, Field(ge=1, le=65535)] = 1000,
        rate: float = 1.0,
        fast: bool = False,
        even: Annotated[int, AfterValidator(_even)] | None = None,
        mode: Literal["a", "b"] = "a",
        path: Path = Path("data"),
        channels: dict[int, str] | None = None,
        copy: int | str = 0,
        names: Sequence[str] = (),
        some: Annotated[list[int], Field(min_length=1)] | None = None,
    ) -> None: ...

    @classmethod
    def streams(cls, station: config.StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        codes: dict[int, str] = options["channels"] or {}
        return [StreamId(station.network, station.code, station.location, code) for code in codes.values()]

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        return [f"port {name}" for name in options["names"]]


class Ssdaq:
    def __init__(self, ip, port, publishers, name="Ssdaq", *rest): ...  # type: ignore[no-untyped-def]


class Publisher:
    def __init__(self, name: str, path: Path = Path("archive"), **others: object) -> None: ...

    @classmethod
    def check_streams(cls, streams: list[StreamId], options: Mapping[str, Any]) -> str | None:
        long = [str(stream) for stream in streams if len(stream.station) > 5]
        return f"cannot carry {', '.join(long)}" if long else None

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        return "bad goes not with worse" if {"bad", "worse"} <= options.keys() else None

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> str | None:
        return f"port {options['port']}" if "port" in options else None

    @classmethod
    def exclusive_by_stream(cls, options: Mapping[str, Any]) -> str | None:
        return f"archive {options['archive']}" if "archive" in options else None


class Unreadable:
    def __init__(self, x: "NoSuchType") -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Schemaless:
    def __init__(self, x: Annotated[int, Field(pattern="x")]) -> None: ...


_CLASSES: dict[str, type[object]] = {"Receiver": Receiver, "Ssdaq": Ssdaq, "Unreadable": Unreadable}


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these be the classes that station files can name."""

    def installed_class(kind: registry.Kind, name: str) -> type[object]:
        if kind == "publisher" and name != "Publisher":
            raise registry.UnknownClass(kind, name, ("Publisher",))
        if kind == "publisher":
            return Publisher
        if name == "Broken":
            raise ComponentError("receiver Broken cannot be imported; reinstall it")
        if name not in _CLASSES:
            raise registry.UnknownClass(kind, name, tuple(_CLASSES))
        return _CLASSES[name]

    monkeypatch.setattr(registry, "installed_class", installed_class)


GOOD = """\
station: {network: XX, code: DEMO, location: "00"}
Main:
  Receiver:
    class: Receiver
    host: 127.0.0.1
    port: 65535
    rate: 100
    channels: {1: HHZ, 2: HHN}
  Publishers:
    live: {class: Publisher, overflow: drop_oldest, queue_packets: 5, queue_mb: 2}
    archive: {class: Publisher, path: data/archive, any: thing}
  Daemon: {log_level: DEBUG, core_id: 0, monitor: "tcp://127.0.0.1:9010", stop_timeout_s: 3}
Other:
  Receiver: {class: Ssdaq, ip: 0.0.0.0, port: 9}
"""


def station_file(folder: Path, text: str, name: str = "station.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def problems_of(folder: Path, text: str) -> list[str]:
    """Return the problems of a station file as ``LINE: KEY: text``."""
    file = station_file(folder, text)
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    return [line.removeprefix(f"{file}:").removeprefix(" ") for line in str(caught.value).splitlines()]
