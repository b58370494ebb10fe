"""A simulator made of a plan or of the command line: the component that ``rawdaq-device`` runs for them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from rawdaq.config.document import ConfigError, Document
from rawdaq.config.options import Where
from rawdaq.config.settings import ComponentSettings
from rawdaq.config.station_file import StationReader
from rawdaq.config.yaml_values import read

#: What a plan has besides its sources.
_OF_PLAN: Final = ("seed", "faults", "seconds", "truth")
_STATION: Final = {"network": "XX", "code": "SIM"}


def from_plan(file: Path, name: str, given: Mapping[str, Any]) -> ComponentSettings:
    """Return the simulator of a plan: a YAML file of sources by name, `faults`, `seed`, `seconds` and `truth`.

    Args:
        file: the plan.
        name: of the component.
        given: what the command line says instead of the plan.

    Raises:
        ConfigError: the plan is wrong; each mistake is named with its line.
    """
    document = read(file)
    options: dict[str, Any] = {}
    if document.root is None and not document.problems:
        document.add((), "is empty; a plan has a source, such as parts: {kind: readouts, to: 127.0.0.1:17000}")
    if document.root is not None and (root := document.mapping((), document.root, "a mapping of sources")) is not None:
        options = {key: value for key, value in root.items() if key in _OF_PLAN}
        options["sources"] = {key: value for key, value in root.items() if key not in _OF_PLAN}
    for notes in (document.lines, document.words):
        _move(notes, name)
    return _component(document, file.parent, name, options | dict(given))


def from_options(name: str, source: Mapping[str, Any], given: Mapping[str, Any]) -> ComponentSettings:
    """Return the simulator of one source that the command line describes.

    Raises:
        ConfigError: an option is wrong.
    """
    sources = {"sources": {str(source["kind"]): dict(source)}}
    return _component(Document(Path("the command line")), Path.cwd(), name, sources | dict(given))


def _move(notes: dict[Where, Any], name: str) -> None:
    """Let notes about keys of a plan be about those of the component that is made of it."""
    moved = {_place(where, name): note for where, note in notes.items()}
    notes.clear()
    notes.update(moved)


def _place(where: Where, name: str) -> Where:
    if not where:
        return where
    return (name, "Receiver", *(() if where[0] in _OF_PLAN else ("sources",)), *where)


def _component(document: Document, folder: Path, name: str, options: Mapping[str, Any]) -> ComponentSettings:
    known = len(document.problems)
    document.root = {"station": _STATION, name: {"Receiver": {"class": "Simulator", **options}}}
    for where in _keys(document.root):
        document.lines.setdefault(where, 0)  # what the command line says stands in no line
    components = [] if known else StationReader(document, folder).read()[1]
    if document.problems:
        raise ConfigError(tuple(each._replace(key=_shown(each.key, name)) for each in document.problems))
    return components[0]


def _keys(value: object, where: Where = ()) -> Iterator[Where]:
    """Yield the place of each key in *value*."""
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield (*where, key)
            yield from _keys(inner, (*where, key))
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[object]", value)):
            yield from _keys(inner, (*where, index))


def _shown(key: str, name: str) -> str:
    """Return *key* as the plan has it."""
    return key.removeprefix(f"{name}.Receiver").removeprefix(".").removeprefix("sources.")
