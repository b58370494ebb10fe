"""Which classes and blocks there are, and what they are, for every form in which they are shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from rawdaq.config import describe, registry
from rawdaq.config.describe import Description, Option
from rawdaq.errors import ComponentError, InvalidValue

Kind = Literal["receiver", "publisher", "block"]

HEADINGS: Final[Mapping[Kind, str]] = {
    "receiver": "Receivers",
    "publisher": "Publishers",
    "block": "Other blocks of a station file",
}
#: What is said of every publisher.
QUEUE: Final = (
    "Like every publisher it takes the keys of Publishers too: overflow (here {overflow}), queue_packets "
    "({queue_packets}), queue_mb ({queue_mb}) and streams."
)


@dataclass(frozen=True)
class Subject:
    """Something that can be described.

    Attributes:
        kind: what it is.
        description: what it is and takes.
        queue: the defaults of a publisher's queue.
    """

    kind: Kind
    description: Description
    queue: Mapping[str, str]

    @property
    def name(self) -> str:
        """As in a station file."""
        return self.description.name


def names(kind: Kind) -> tuple[str, ...]:
    """Return the names of all that are of a *kind*."""
    if kind == "block":
        return tuple(describe.BLOCKS)
    return registry.installed_names(kind)


def is_ours(kind: Kind, name: str) -> bool:
    """Whether *name* is part of rawdaq, not of another package."""
    return kind == "block" or registry.is_ours(kind, name)


def subject(kind: Kind, name: str) -> Subject:
    """Return the receiver, publisher or block that is called *name*.

    Raises:
        ComponentError: the class is installed but cannot be imported, or its constructor makes no schema.
    """
    if kind == "block":
        return Subject(kind, describe.describe_model(describe.BLOCKS[name], name), {})
    cls = registry.installed_class(kind, name)
    try:
        made = describe.describe_class(name, cls)
    except Exception as error:  # what other packages wrote into annotations can raise anything
        raise ComponentError(f"{name} has a constructor that makes no schema: {error}; repair it") from error
    return Subject(kind, made, describe.publisher_defaults(cls) if kind == "publisher" else {})


def find(name: str) -> list[Subject]:
    """Return what is called *name*, in any case of letters; a receiver and a publisher may share a name.

    Raises:
        InvalidValue: nothing is.
        ComponentError: the class is installed but cannot be used.
    """
    found = [subject(kind, each) for kind in HEADINGS for each in names(kind) if each.lower() == name.lower()]
    if not found:
        known = tuple(each for kind in HEADINGS for each in names(kind))
        raise InvalidValue(f"no class or block is called {name!r}; {registry.suggestion(name, known)}")
    return found


def lines(options: tuple[Option, ...], within: str = "") -> Iterator[tuple[str, Option]]:
    """Yield each option with its name, and the keys of its value after it, like ``array.rate_hz``."""
    for option in options:
        yield within + option.name, option
        yield from lines(option.keys, f"{within}{option.name}.")


def sentence(text: str) -> str:
    """Return *text* with a capital at its beginning and a full stop at its end."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
