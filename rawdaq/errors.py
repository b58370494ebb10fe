"""Every error that rawdaq raises on purpose; each room adds its own leaves.

::

    RawdaqError
    ├── InvalidValue            a time, a stream id or a packet that cannot be (also a ValueError)
    ├── ProtocolError
    │   ├── LocalProtocolError  we asked a codec for something that its protocol cannot say
    │   └── RemoteProtocolError the peer sent something that its protocol does not allow
    ├── ConfigError             the station file is wrong (rawdaq.config.files)
    ├── UnknownClass            no receiver or publisher of that name is installed (rawdaq.config.registry)
    ├── ComponentError          a component cannot start or had to stop; the text says cause and remedy
    ├── PublisherUnavailable    a publisher cannot deliver now and wants the batch again (rawdaq.publisher)
    └── CommandError            a running component refused a command, or did not answer (rawdaq.control)
        └── NoAnswer            it did not answer

``except RawdaqError`` therefore means: an outcome we foresaw. Any other exception is a bug.
"""

from collections.abc import Callable
from dataclasses import dataclass
from string import Formatter
from typing import TypeVar, dataclass_transform


class RawdaqError(Exception):
    """The root of every error that rawdaq raises on purpose."""


class InvalidValue(RawdaqError, ValueError):
    """A value that cannot exist: a time out of range, a malformed stream id, samples of an unknown type."""


class ProtocolError(RawdaqError):
    """A protocol was broken; the subclass says by which side."""


class LocalProtocolError(ProtocolError):
    """We asked a codec for something that its protocol cannot say."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that its protocol does not allow."""


class ComponentError(RawdaqError):
    """A component cannot start, or had to stop; the text names the cause and the remedy."""


class CommandError(RawdaqError):
    """A running component refused a command, or did not answer."""


class NoAnswer(CommandError):
    """A running component did not answer."""


Error = TypeVar("Error", bound=RawdaqError)


@dataclass_transform(eq_default=False)
def error_text(text: str) -> Callable[[type[Error]], type[Error]]:
    """Give a class of errors its fields, as a dataclass has them, and a text in which they are filled in.

    >>> @error_text("packet of {count} samples, limit is {limit}")
    ... class PacketTooLarge(RemoteProtocolError):
    ...     count: int
    ...     limit: int
    >>> str(PacketTooLarge(5, 4))
    'packet of 5 samples, limit is 4'

    Raises:
        TypeError: the text has a field that the class lacks.
    """
    wanted = {name.partition(".")[0] for _, name, _, _ in Formatter().parse(text) if name}

    def decorate(error: type[Error]) -> type[Error]:
        error.__str__ = lambda self: text.format_map(vars(self))  # type: ignore[method-assign]  # as if it stood there
        made = dataclass(eq=False, repr=False)(error)
        if unknown := wanted - set(vars(made)["__dataclass_fields__"]):
            raise TypeError(f"{error.__name__} has no {', '.join(sorted(unknown))}")
        return made

    return decorate
