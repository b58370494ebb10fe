"""Station files: YAML in, validated settings out, or every mistake at once with its line and key."""

import os
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs
import yaml

from rawdaq.config.document import Document, dotted
from rawdaq.config.options import Where, plain
from rawdaq.config.settings import (
    ComponentSettings,
    ConfigError,
    DaemonSettings,
    PreviewSettings,
    Problem,
    PublisherSettings,
    ReceiverSettings,
    StationFile,
    StationSettings,
)
from rawdaq.config.station_file import StationReader

__all__ = [
    "DEMO_FILE",
    "ComponentSettings",
    "ConfigError",
    "DaemonSettings",
    "PreviewSettings",
    "Problem",
    "PublisherSettings",
    "ReceiverSettings",
    "StationFile",
    "StationSettings",
    "find_config",
    "load",
    "load_all",
    "load_good",
    "named_config",
]

#: The packaged station, which listens to a device on this machine.
DEMO_FILE = Path(__file__).parents[1] / "control" / "demo.yaml"

#: A station file is written by hand; what is larger is some other file.
MAX_FILE_BYTES = 1 << 20
#: What a loader in C may read, which takes a fifth of the time: a thousand stations are read by each command.
_SMALL_BYTES = 4096
#: Aliases can make a small file describe a huge value ("billion laughs").
MAX_NODES = 100_000


class _ReadError(Exception):
    """The file cannot be read as YAML at all; carries the line and what is wrong."""

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(line, text)
        self.line, self.text = line, text


def _read(file: Path) -> Document:
    """Return the content of *file*; what is wrong with its YAML is among the document's problems."""
    document = Document(file)
    try:
        content = _content(file)
        with _yaml_errors(content):
            loader = yaml.SafeLoader(content)
            try:
                node = _quickly_composed(content) or loader.get_single_node()
                document.root = None if node is None else _Values(document, loader).value(node, (), ())
            finally:
                loader.dispose()
    except _ReadError as error:
        document.problems.append(Problem(file, error.line, "", error.text))
    return document


def _quickly_composed(content: bytes) -> yaml.Node | None:
    """Return the node of a small file that is good YAML, from the loader in C; None for all others.

    Its errors have other words, and what is nested too deeply would end the process: no small file is.
    """
    fast: type[yaml.CSafeLoader] | None = getattr(yaml, "CSafeLoader", None)
    if fast is None or len(content) > _SMALL_BYTES:
        return None
    loader = fast(content)
    with suppress(yaml.YAMLError):
        return loader.get_single_node()
    return None


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _ReadError(None, f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise _ReadError(None, f"is larger than {MAX_FILE_BYTES} bytes; it is no station file")
    return content


@contextmanager
def _yaml_errors(content: bytes) -> Generator[None]:
    """Turn whatever the YAML library raises about *content* into `_ReadError`."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _ReadError(mark.line + 1 if mark else None, f"is not YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = content.count(b"\n", 0, error.position) + 1
        raise _ReadError(line, f"is not YAML: it has a character that no text has ({error.reason})") from error
    except RecursionError as error:
        raise _ReadError(None, "is nested too deeply") from error


class _Twin(str):
    """A name that stood there before: equal to nothing but itself, so that what is below both is looked at."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


def _has_names(where: Where) -> bool:
    """Whether the keys below *where* are names that people choose: of components, of publishers, of previews."""
    return where == () or (len(where) == 2 and where[1] in ("Publishers", "Previews"))


class _Values:
    """Turns YAML nodes into values, remembering lines and words in the document."""

    def __init__(self, document: Document, loader: yaml.SafeLoader) -> None:
        self._document = document
        self._loader = loader
        self._count = 0

    def value(self, node: yaml.Node, where: Where, above: tuple[yaml.Node, ...]) -> Any:
        """Return *node* as Python has it; *above* are the nodes that it is inside of."""
        self._count += 1
        if self._count > MAX_NODES or node in above:
            raise _ReadError(_line(node), "has aliases that never end")
        self._document.lines.setdefault(where, _line(node))
        inside = (*above, node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where, inside)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*where, index), inside) for index, child in enumerate(node.value)]
        self._document.words[where] = node.value
        return self._scalar(node, where)

    def _scalar(self, node: yaml.Node, where: Where) -> Any:
        try:
            return self._loader.construct_object(node)  # pyright: ignore[reportUnknownMemberType] - its stub has no types
        except ValueError as error:  # such as the date 2026-13-45
            self._problem(node, where, f"{node.value} is not what it looks like ({error}); write it in quotes")
            return node.value

    def _mapping(self, node: yaml.MappingNode, where: Where, inside: tuple[yaml.Node, ...]) -> dict[str | int, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        again = self._tell_duplicates(own, where)
        self._loader.flatten_mapping(node)  # merges what "<<" names
        values: dict[str | int, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, where)
            if key_node in again and key != "station" and _has_names(where):
                key = _Twin(key)
            self._document.lines[(*where, key)] = _line(key_node)
            values[key] = self.value(value_node, (*where, key), inside)
        return values

    def _tell_duplicates(self, keys: list[yaml.Node], where: Where) -> set[yaml.Node]:
        """Note which *keys* stood there before, and return them."""
        first: dict[str, yaml.Node] = {}
        for node in keys:
            other = first.setdefault(str(node.value), node)
            if other is not node:
                self._problem(node, (*where, node.value), f"is there twice, first in line {_line(other)}; remove one")
        return set(keys) - set(first.values())

    def _key(self, node: yaml.Node, where: Where) -> str | int:
        key = self._scalar(node, where) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(key, str | int) and not isinstance(key, bool):
            return key
        word = node.value if isinstance(node, yaml.ScalarNode) else "of several values"
        self._problem(node, where, f"key {word} is not text; write a word, in quotes")
        return str(word)

    def _problem(self, node: yaml.Node, where: Where, text: str) -> None:
        self._document.problems.append(Problem(self._document.file, _line(node), dotted(where), text))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def load(path: Path) -> StationFile:
    """Return the validated station file at *path*.

    Raises:
        ConfigError: it is wrong; carries every mistake.
    """
    path = plain(path.absolute())
    document = _read(path)
    folder = Path.cwd() if path == DEMO_FILE else path.parent  # nobody wants an archive inside the installation
    station, components = StationReader(document, folder).read()
    if document.problems or station is None:
        raise ConfigError(tuple(sorted(document.problems, key=lambda problem: problem.line or 0)))
    return StationFile(path, station, tuple(components))


def load_all(path: Path) -> list[StationFile]:
    """Return the station file at *path*, or all station files (``*.yaml``, ``*.yml``) of that folder, by name.

    Raises:
        ConfigError: any of them is wrong, two describe the same component, or there is none.
    """
    files, problems = load_good(path)
    if problems:
        raise ConfigError(problems)
    return files


def load_good(path: Path) -> tuple[list[StationFile], tuple[Problem, ...]]:
    """Return what `load_all` does, without the files that are wrong, and what is wrong with those.

    Of files that describe the same component none is good: nobody can tell which is meant.
    """
    files: list[StationFile] = []
    problems: list[Problem] = []
    for file in station_files(path) if path.is_dir() else [path]:
        try:
            files.append(load(file))
        except ConfigError as error:
            problems.extend(error.problems)
    problems.extend(_twins(files))
    if not (files or problems):
        problems.append(
            Problem(path, None, "", "has no station file (*.yaml); `control-rawdaq init NET.STA` writes one")
        )
    uses = Counter(component.key for file in files for component in file.components)
    good = [file for file in files if all(uses[component.key] == 1 for component in file.components)]
    return good, tuple(problems)


def station_files(folder: Path) -> list[Path]:
    """Return the files of *folder* that are named like station files, by name; none when it is no folder."""
    return sorted(file for file in folder.glob("*.y*ml") if file.suffix in (".yaml", ".yml"))


def _twins(files: list[StationFile]) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for component in (component for file in files for component in file.components):
        other = first.setdefault(component.key, component.file)
        if other != component.file:
            text = f"station {component.station} has this component in {other} too; rename or remove one"
            yield Problem(component.file, None, component.name, text)


def named_config(option: Path | None) -> Path | None:
    """Return *option*, else what ``$RAWDAQ_CONFIG`` names, which means the same; None when neither says anything."""
    variable = os.environ.get("RAWDAQ_CONFIG")
    return option or (Path(variable).expanduser() if variable else None)


def find_config(option: Path | None) -> Path:
    """Return the station file, or the folder of them, that a command is about.

    That is *option*, else ``$RAWDAQ_CONFIG``, else the user's configuration folder when it has station files, else
    the packaged demo station.

    Raises:
        ConfigError: what *option* or the variable names does not exist.
    """
    chosen = named_config(option)
    if chosen is not None:
        if not chosen.exists():
            by = "" if option else " (named by $RAWDAQ_CONFIG)"
            raise ConfigError((Problem(chosen, None, "", f"does not exist{by}"),))
        return chosen
    folder = platformdirs.user_config_path("rawdaq")
    return folder if station_files(folder) else DEMO_FILE
