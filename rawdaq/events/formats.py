"""Formats of events that outside packages bring: entry points of the group ``rawdaq.event_formats``.

::

    [project.entry-points."rawdaq.event_formats"]
    my_trigger = "my_package.my_module:MyTrigger"

The class derives from `rawdaq.protocols.events.EventFormat` and is called without arguments, once for each sender.
"""

import functools
from importlib.metadata import EntryPoint, entry_points

from rawdaq.config.registry import suggestion
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.protocols.events import EventFormat

GROUP = "rawdaq.event_formats"


@functools.cache
def installed() -> dict[str, EntryPoint]:
    """Return the entry points by name; of two with one name the first on the path, as Python imports."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, entry)
    return dict(sorted(found.items()))


def format_class(name: str, own: tuple[str, ...] = ()) -> type[EventFormat]:
    """Return the format that is installed as *name*.

    Args:
        name: of the entry point.
        own: formats that need none, for the text of the error.

    Raises:
        InvalidValue: there is none.
        ComponentError: it is installed, but cannot be imported, or is no format.
    """
    entry = installed().get(name)
    if entry is None:
        known = (*own, *installed())
        raise InvalidValue(f"no format of events is called {name!r}; {suggestion(name, known)}")
    package = entry.dist.name if entry.dist else entry.module
    remedy = f"repair or reinstall the package {package!r}"
    try:
        found: object = entry.load()
    # An import runs foreign code, which may raise anything.
    except Exception as error:
        raise ComponentError(f"format {name}: {entry.value} cannot be imported: {error!r}; {remedy}") from error
    if not (isinstance(found, type) and issubclass(found, EventFormat)):
        raise ComponentError(f"format {name}: {entry.value} is no class of EventFormat; {remedy}")
    return found
