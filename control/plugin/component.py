"""The components that ``rawdaq-plugin`` runs: one made of its command line, or those of a station file."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rawdaq import config
from rawdaq.config import registry
from rawdaq.config.document import Document
from rawdaq.config.settings import ComponentSettings
from rawdaq.config.station_file import StationReader
from rawdaq.errors import InvalidValue
from rawdaq.miniseed.maker import Encoding
from rawdaq.publishers.seedlink_pipe.publisher import SeedLinkPluginPublisher

#: The server waits 10 s (its ``shutdown_wait``), then kills; a stop takes so long to deliver, and again to close.
STOP_TIMEOUT_S = 4.0

#: Our names of the encodings of the C++ plugin.
ENCODINGS = {each.upper(): each for each in Encoding if each != Encoding.AUTO}

#: With less a device that refuses every connection would be connected to without a pause.
_MIN_RECONNECT_S = 0.5

_ENTRY = re.compile(r"([^.:]*)\.([^.:]+):([0-9]{1,12})")


def parse_map(text: str) -> dict[int, str]:
    """Return the channels of a device as a station file has them, from ``LOC.CHA:id,LOC.CHA:id``.

    A comma at the end, as the C++ plugin's own SeisComP files write it, changes nothing.

    >>> parse_map("00.HHZ:1,.HHN:2,")
    {1: '00.HHZ', 2: '.HHN'}

    Raises:
        InvalidValue: it is not such a map, or has a channel of the device twice.
    """
    channels: dict[int, str] = {}
    for entry in text.removesuffix(",").split(","):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise InvalidValue(f"{entry!r} is not LOC.CHA:id, such as 00.HHZ:1, or .HHZ:1 without a location")
        location, channel, number = match[1], match[2], int(match[3])
        if number in channels:
            raise InvalidValue(f"the device's channel {number} is there twice: {channels[number]} and {entry}")
        channels[number] = f"{location}.{channel}"
    return channels


def from_command_line(
    plugin_name: str | None,
    station: str,
    receiver: dict[str, Any],
    encoding: str,
    flush_after_s: float,
    reconnect_s: float | None = None,
) -> ComponentSettings:
    """Return the component that the short form of the command line describes.

    Args:
        plugin_name: the server's name of this plugin.
        station: ``NET.STA``.
        receiver: options of `RawReceiver`.
        encoding: of the records.
        flush_after_s: how long a sample waits for its record to fill; 0: each packet gets records of its own.
        reconnect_s: the pause between attempts to connect; None leaves it to the receiver.

    Raises:
        InvalidValue: a value is invalid; the text says which and what would be right.
    """
    network, dot, code = station.partition(".")
    if not dot:
        raise InvalidValue(f"station {station!r} is not NET.STA, such as XX.DEMO")
    if reconnect_s is not None:
        pause_s = max(float(reconnect_s), _MIN_RECONNECT_S)
        receiver = receiver | {"reconnect_first_s": pause_s, "reconnect_max_s": pause_s}
    publisher: dict[str, Any] = {"encoding": encoding}
    publisher |= {"flush_after_s": float(flush_after_s)} if flush_after_s else {"flush_each_packet": True}
    document = Document(
        Path("the command line"),
        {
            "station": {"network": network, "code": code},
            _component_name(plugin_name): {
                "Receiver": {"class": "RawReceiver", **receiver},
                "Publishers": {"seedlink": {"class": "SeedLinkPluginPublisher", **publisher}},
                "Daemon": {"stop_timeout_s": STOP_TIMEOUT_S},
            },
        },
    )
    _, components = StationReader(document, Path.cwd()).read()
    if document.problems:
        raise InvalidValue("; ".join(dict.fromkeys(problem.text for problem in document.problems)))
    return components[0]


def _component_name(plugin_name: str | None) -> str:
    """Return a valid name of a component, made from *plugin_name*, which may be any text."""
    return re.sub("[^A-Za-z0-9_-]", "-", f"seedlink-{plugin_name}" if plugin_name else "seedlink")[:48]


def from_file(file: Path, names: Sequence[str]) -> list[ComponentSettings]:
    """Return the components *names* of a station file, or all of them when there are no names.

    Raises:
        ConfigError: the file is invalid.
        InvalidValue: it has no such component, or none of them writes to the server.
    """
    known = {component.name: component for component in config.load(file).components}
    for name in names:
        if name not in known:
            raise InvalidValue(f"{file} has no component {name!r}; {registry.suggestion(name, tuple(known))}")
    chosen = [known[name] for name in dict.fromkeys(names or known)]
    if not any(map(_writes_to_server, chosen)):
        raise InvalidValue(
            f"{file}: no publisher of {', '.join(component.name for component in chosen)} writes to the server; "
            "add `seedlink: {class: SeedLinkPluginPublisher}` to its Publishers"
        )
    return chosen


def _writes_to_server(component: ComponentSettings) -> bool:
    classes = [registry.installed_class("publisher", publisher.class_name) for publisher in component.publishers]
    return any(issubclass(cls, SeedLinkPluginPublisher) for cls in classes)
