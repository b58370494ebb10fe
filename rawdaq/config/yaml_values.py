"""Reads YAML into a `Document`: plain values, with the line and the written word of each.

The only module that imports the YAML library.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from rawdaq.config.document import Document, Problem, dotted
from rawdaq.config.options import Where
from rawdaq.errors import InvalidValue

#: A station file is written by hand; a larger file is something else.
MAX_FILE_BYTES = 1 << 20
#: Aliases can make a small file describe a huge value ("billion laughs").
MAX_NODES = 100_000

# Up to this size the loader in C reads a file, in a fifth of the time: each command reads a thousand stations.
_SMALL_BYTES = 4096

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MISREAD = re.compile(r"[-+]?0[0-9_]|[^.]*:")

_SWITCHES = ("on", "off")  # to YAML 1.1 they are true and false

_BLOCKS_OF_NAMES = ("Publishers", "Decimation", "Previews")


class _ReadError(Exception):
    """The file cannot be read as YAML; carries the line and the cause."""

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(line, text)
        self.line, self.text = line, text


def read(file: Path) -> Document:
    """Return the content of *file*; mistakes in its YAML are among the document's problems."""
    document = Document(file)
    try:
        content = _content(file)
        with _yaml_errors(content):
            loader = yaml.SafeLoader(content)
            try:
                node = _compose_small(content) or loader.get_single_node()
                document.root = None if node is None else _Values(document, loader).value(node, (), ())
            finally:
                loader.dispose()
    except _ReadError as error:
        document.problems.append(Problem(file, error.line, "", error.text))
    return document


def value_of(text: str) -> Any:
    """Return the value that *text* has in a station file, as an option of a command has it.

    >>> value_of("{raw: {samples: 10}}"), value_of("0.5"), value_of("walk")
    ({'raw': {'samples': 10}}, 0.5, 'walk')

    Raises:
        InvalidValue: it is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidValue(f"{text!r} is not YAML: {' '.join(str(error).split())}") from error


def _compose_small(content: bytes) -> yaml.Node | None:
    """Return the node of a small valid file from the loader in C; None for all others.

    The loader in C words its errors differently, and deep nesting, for which a small file has no room, would end the
    process.
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
        raise _ReadError(None, f"is larger than {MAX_FILE_BYTES} bytes; it is not a station file")
    return content


@contextmanager
def _yaml_errors(content: bytes) -> Generator[None]:
    """Turn every exception of the YAML library about *content* into a `_ReadError`."""
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


class RepeatedName(str):
    """A name that the mapping has already: equal only to itself, so that the values of both names are checked."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


def _has_names(where: Where) -> bool:
    """Whether users choose the keys below *where*: names of components, publishers or decimated streams."""
    return where == () or (len(where) == 2 and where[1] in _BLOCKS_OF_NAMES)


class _Values:
    """Turns YAML nodes into values, and notes lines and words in the document."""

    def __init__(self, document: Document, loader: yaml.SafeLoader) -> None:
        self._document = document
        self._loader = loader
        self._count = 0

    def value(self, node: yaml.Node, where: Where, above: tuple[yaml.Node, ...]) -> Any:
        """Return the Python value of *node*; *above* are the nodes that contain it."""
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
        if _is_misread(node):
            self._document.misread.add(where)
        return self._scalar(node, where)

    def _scalar(self, node: yaml.Node, where: Where) -> Any:
        try:
            value = self._loader.construct_object(node)  # pyright: ignore[reportUnknownMemberType] - its stub has no types
            if _is_misread(node):
                rule = f'write "{node.value}" in quotes if it is text, else without leading zeros and colons'
                self._problem(node, where, f"YAML reads {node.value} as {value}; {rule}")
            return value
        except ValueError as error:  # such as the date 2026-13-45
            self._problem(node, where, f"{node.value} is not what it looks like ({error}); write it in quotes")
            return node.value

    def _mapping(self, node: yaml.MappingNode, where: Where, inside: tuple[yaml.Node, ...]) -> dict[str | int, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        repeated = self._note_repeated(own, where)
        self._loader.flatten_mapping(node)  # merges what "<<" names
        values: dict[str | int, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, where)
            if key_node in repeated and key != "station" and _has_names(where):
                key = RepeatedName(key)
            self._document.lines[(*where, key)] = _line(key_node)
            values[key] = self.value(value_node, (*where, key), inside)
        return values

    def _note_repeated(self, keys: list[yaml.Node], where: Where) -> set[yaml.Node]:
        """Note a problem for each of *keys* that is there a second time; return these."""
        first: dict[str, yaml.Node] = {}
        for node in keys:
            other = first.setdefault(str(node.value), node)
            if other is not node:
                self._problem(node, (*where, node.value), f"is there twice, first in line {_line(other)}; remove one")
        return set(keys) - set(first.values())

    def _key(self, node: yaml.Node, where: Where) -> str | int:
        key = self._scalar(node, where) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(key, bool) and node.value in _SWITCHES:
            return str(node.value)  # an option may be called so; no key is a truth value
        if isinstance(key, str | int) and not isinstance(key, bool):
            return key
        word = node.value if isinstance(node, yaml.ScalarNode) else "of several values"
        self._problem(node, where, f"key {word} is not text; write a word, in quotes")
        return str(word)

    def _problem(self, node: yaml.Node, where: Where, text: str) -> None:
        self._document.problems.append(Problem(self._document.file, _line(node), dotted(where), text))


def _is_misread(node: yaml.Node) -> bool:
    """Whether *node* is a number that looks like another one: to YAML 010 is octal, and 1:30 counts in sixties."""
    return node.tag in _NUMBERS and _MISREAD.match(node.value) is not None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
