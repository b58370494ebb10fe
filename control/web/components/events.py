"""What has happened to components since this server runs: bounded, the newest are kept."""

from collections import deque
from itertools import dropwhile
from typing import Any

from rawdaq.control.web.models import Event, Events

MAX_EVENTS = 10_000


class EventMemory:
    """The newest events."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._next = 1

    @property
    def last(self) -> int:
        """The serial of the newest event, 0 before the first."""
        return self._next - 1

    def add(self, **about: Any) -> Event:
        """Add an event; *about* are the fields of `Event` but its serial."""
        event = Event(serial=self._next, **about)
        self._next += 1
        self._events.append(event)
        return event

    def after(self, serial: int) -> list[Event]:
        """Return the events after *serial*, the oldest first."""
        if serial >= self.last:
            return []
        return list(dropwhile(lambda event: event.serial <= serial, self._events))

    def answer(self, after: int | None, since: str | None) -> Events:
        """Return the events after the serial *after*, or from the time *since* on; all of them without either."""
        first = self._events[0] if self._events else None
        found = list(self._events) if after is None else self.after(after)
        if since is not None:
            found = [event for event in found if event.time >= since]
        has_lost = first is not None and first.serial > 1
        lost = has_lost and (
            (after is None and since is None)
            or (after is not None and first is not None and after < first.serial - 1)
            or (since is not None and first is not None and since < first.time)
        )
        return Events(events=found, is_complete=not lost)
