"""Receivers, publishers and formats by name, through entry points: an outside package adds a line to its own metadata.

::

    [project.entry-points."rawdaq.receivers"]
    MyReceiver = "my_package.my_module:MyReceiver"
"""

import functools
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

from rawdaq.errors import ComponentError, RawdaqError

Kind = Literal["receiver", "publisher", "readout_format"]


class UnknownClass(RawdaqError):
    """No receiver, publisher or format of that name is installed.

    Args:
        kind: ``receiver``, ``publisher`` or ``readout_format``.
        name: the unknown name.
        known: the names that are installed.
    """

    def __init__(self, kind: Kind, name: str, known: tuple[str, ...]) -> None:
        super().__init__(kind, name, known)
        self.kind, self.name, self.known = kind, name, known

    def __str__(self) -> str:
        return f"no {_words(self.kind)} is called {self.name!r}; {suggestion(self.name, self.known)}"


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def suggestion(word: str, known: tuple[str, ...]) -> str:
    """Return ``did you mean ...? known: ...`` for a *word* that is not among *known*.

    >>> suggestion("prot", ("host", "port"))
    "did you mean 'port'? known: host, port"
    """
    close = get_close_matches(word, known, n=1) or [name for name in known if name.lower() == word.lower()]
    meant = f"did you mean {close[0]!r}? " if close else ""
    return f"{meant}known: {', '.join(known) or 'none'}"


@functools.cache
def _installed(kind: Kind) -> dict[str, EntryPoint]:
    """Return the entry points by name; of two with one name the first on the path, as Python imports."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"rawdaq.{kind}s"):
        found.setdefault(entry.name, entry)
    return dict(sorted(found.items()))


def installed_names(kind: Kind) -> tuple[str, ...]:
    """Return the names of all that are installed."""
    return tuple(_installed(kind))


def installed_class(kind: Kind, name: str) -> type[object]:
    """Return the receiver, publisher or format that is installed as *name*.

    Raises:
        UnknownClass: there is none.
        ComponentError: it is installed but cannot be imported.
    """
    entry = _installed(kind).get(name)
    if entry is None:
        raise UnknownClass(kind, name, installed_names(kind))
    try:
        loaded: object = entry.load()
    # Importing a module runs code of other packages: whatever it raises, the class cannot be used.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ComponentError(_broken(kind, entry, f"cannot be imported ({reason})")) from error
    if not isinstance(loaded, type):
        raise ComponentError(_broken(kind, entry, "is not a class"))
    return loaded


def _broken(kind: Kind, entry: EntryPoint, what: str) -> str:
    package = entry.dist.name if entry.dist else entry.module
    return f"{_words(kind)} {entry.name}: {entry.value} {what}; repair or reinstall the package {package!r}"


def is_ours(kind: Kind, name: str) -> bool:
    """Whether the receiver or publisher that is installed as *name* is part of rawdaq."""
    return _installed(kind)[name].module.startswith("rawdaq.")
