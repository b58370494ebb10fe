"""What a station file may say, in words: every option of a class or a block, with its type, default and meaning.

Names, types and defaults are those of constructors and models; the meanings are those of their docstrings, under
``Args:`` and ``Attributes:``. So there is nothing here that could differ from what `check` accepts.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rawdaq.config.decimation import DecimationSettings
from rawdaq.config.options import option_parameters
from rawdaq.config.settings import DaemonSettings, JournalSettings, StateOfHealthSettings, StationSettings
from rawdaq.config.station_file import PublisherEntry
from rawdaq.config.trigger import TriggerSettings
from rawdaq.publisher import Publisher

#: The blocks of a station file that no class describes, by their names there.
BLOCKS: Mapping[str, type[BaseModel]] = {
    "station": StationSettings,
    "Publishers": PublisherEntry,
    "Decimation": DecimationSettings,
    "Journal": JournalSettings,
    "Trigger": TriggerSettings,
    "StateOfHealth": StateOfHealthSettings,
    "Daemon": DaemonSettings,
}

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Example|Examples|Note):$", re.MULTILINE)
_ENTRY = re.compile(r"^(\*{0,2}\w+)(?: \([^)]*\))?:\s+", re.MULTILINE)
_NAMES: Mapping[Any, str] = {
    bool: "true or false",
    int: "integer",
    float: "number",
    str: "text",
    Path: "path",
    Any: "any value",
}


@dataclass(frozen=True)
class Option:
    """A key of a station file.

    Attributes:
        name: the key.
        type: what its value may be.
        default: the value without it; None: it must be given.
        meaning: what it does, in the form of docstrings; empty when its author has not said it.
        keys: the keys of its value, where that is a block.
    """

    name: str
    type: str
    default: str | None
    meaning: str
    keys: tuple["Option", ...] = ()


@dataclass(frozen=True)
class Description:
    """A class or a block.

    Attributes:
        name: as in a station file.
        summary: one line.
        text: the paragraphs after it.
        options: its keys.
        takes_others: whether it takes further keys too.
    """

    name: str
    summary: str
    text: tuple[str, ...]
    options: tuple[Option, ...]
    takes_others: bool = False


def describe_class(name: str, cls: type[object]) -> Description:
    """Return the description of the receiver or publisher *cls*, which is installed as *name*."""
    summary, text = _prose(cls.__doc__ or "")
    # Of classes of other packages the constructor may say what its arguments mean.
    meanings = _meanings(getattr(cls.__init__, "__doc__", None) or "", "Args") | _meanings(cls.__doc__ or "", "Args")
    given = [each for each in option_parameters(cls) if each.kind is not each.VAR_KEYWORD]
    options = [_option(each.name, each.annotation, each.default, meanings) for each in given]
    takes_others = len(given) < len(option_parameters(cls))
    return Description(name, summary, text, tuple(options), takes_others)


def describe_model(model: type[BaseModel], name: str | None = None) -> Description:
    """Return the description of a block: one of `BLOCKS` by its *name*, or the value of an option."""
    summary, text = _prose(model.__doc__ or "")
    return Description(name or model.__name__, summary, text, tuple(_keys(model)))


def publisher_defaults(cls: type[object]) -> Mapping[str, str]:
    """Return the defaults that the publisher *cls* has for the options of every publisher."""
    made = cls if issubclass(cls, Publisher) else Publisher
    return {name: _shown(getattr(made, name)) for name in ("overflow", "queue_packets", "queue_mb")}


def _keys(model: type[BaseModel]) -> Iterator[Option]:
    meanings = _meanings(model.__doc__ or "", "Attributes")
    for key, field in model.model_fields.items():
        annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        default = inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
        yield _option(field.alias or key, annotation, default, meanings)


def _option(name: str, annotation: Any, default: Any, meanings: Mapping[str, str]) -> Option:
    shown = None if default is inspect.Parameter.empty else _shown(default)
    keys = [key for model in _models(annotation) for key in _keys(model)]
    return Option(name, type_words(annotation), shown, meanings.get(name, ""), tuple(keys))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)


def type_words(annotation: Any) -> str:
    """Return what a value of *annotation* may be.

    >>> type_words(int | None), type_words(list[str]), type_words(Literal["a", "b", "c"])
    ('integer', 'list of texts', 'a, b or c')
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(args[0]) + _limits(args[1:])
    if origin in (Union, UnionType):
        return " or ".join(type_words(each) for each in args if each is not NoneType)
    if origin is Literal:
        return _any_of([_shown(each) for each in args])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {_plural(type_words(args[0]))} to {_plural(type_words(args[1]))}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"list of {_plural(type_words(args[0]))}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _any_of([_shown(each) for each in annotation])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "block"
    return _NAMES.get(annotation, "any value")


def _plural(words: str) -> str:
    first, separator, rest = words.partition(" ")
    plural = {"text", "integer", "number", "path", "block"}
    return f"{first}s{separator}{rest}" if first in plural else words


def _any_of(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def _limits(metadata: Sequence[Any]) -> str:
    """Return what pydantic's *metadata* say about a number."""
    found: dict[str, Any] = {}
    for each in metadata:
        for part in each.metadata if isinstance(each, FieldInfo) else [each]:
            found |= {key: getattr(part, key) for key in ("ge", "gt", "le", "lt") if hasattr(part, key)}
    low, high = found.get("ge", found.get("gt")), found.get("le", found.get("lt"))
    if low is not None and high is not None:
        above = "above " if "gt" in found else ""
        return f" {above}{_shown(low)} to {_shown(high)}"
    if low is not None:
        return f" {'above' if 'gt' in found else 'of at least'} {_shown(low)}"
    return "" if high is None else f" of at most {_shown(high)}"


def _shown(value: Any) -> str:
    """Return *value* as one writes it in a station file.

    >>> _shown(None), _shown(True), _shown(64.0), _shown(()), _shown("")
    ('none', 'true', '64', 'none', 'none')
    """
    if isinstance(value, Enum):
        return _shown(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value) if value or value == 0 else "none"


def _prose(docstring: str) -> tuple[str, tuple[str, ...]]:
    """Return the first line, and the paragraphs before the first section."""
    text = _SECTION.split(inspect.cleandoc(docstring), maxsplit=1)[0]
    # Examples are indented, or begin with >>>.
    blocks = [each for each in text.split("\n\n") if each.strip(": \n") and not each.startswith((" ", ">>>"))]
    summary, *paragraphs = [" ".join(each.split()) for each in blocks] or [""]
    return summary, tuple(paragraphs)


def _meanings(docstring: str, section: str) -> dict[str, str]:
    """Return what a *section* of a docstring in Google's form says about each name."""
    _, *parts = _SECTION.split(inspect.cleandoc(docstring))
    bodies = dict(zip(parts[::2], parts[1::2], strict=True))
    _, *entries = _ENTRY.split(inspect.cleandoc(bodies.get(section, "")))
    # Where Python has None, a station file has nothing.
    return {
        name: re.sub(r"\bNone\b", "none", " ".join(text.split()))
        for name, text in zip(entries[::2], entries[1::2], strict=True)
    }
