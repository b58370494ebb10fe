"""The folders that a component writes to, which its unit has to let it."""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from rawdaq.config import ComponentSettings

_IPC = "ipc://"


def writable(component: ComponentSettings) -> list[Path]:
    """Return the folders below which *component* may have to write, by its settings: all paths that they name.

    A path that is not there yet is made by the component, so the nearest folder above it is taken.
    """
    found = dict.fromkeys(_existing(path.absolute()) for path in _paths(component))
    # What lies in another of them is said already.
    return [path for path in found if not any(other in path.parents for other in found)]


def _existing(path: Path) -> Path:
    while not path.is_dir():
        path = path.parent
    return path


def _paths(value: object) -> Iterator[Path]:
    """Yield every path in *value*: options, blocks, and sockets in the file system."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, str):
        if value.startswith(f"{_IPC}/"):
            yield Path(value.removeprefix(_IPC))
    elif isinstance(value, BaseModel):
        for _, each in value:
            yield from _paths(each)
    elif isinstance(value, Mapping):
        known: Mapping[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        for each in known.values():
            yield from _paths(each)
    elif isinstance(value, Sequence | Set):
        for each in cast("Collection[Any]", value):
            yield from _paths(each)
    elif is_dataclass(value):
        for each in fields(value):
            if each.name != "file":  # the station file is read only
                yield from _paths(getattr(value, each.name))
