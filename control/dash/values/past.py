"""What can only be known by looking twice: rates, since when, whether something was restarted, and the last error."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from rawdaq.control.dash.values.board import Component
from rawdaq.times import NS_PER_S

_FRESH_S = 10.0  # counters do not move between two packets: for so long it still has data
_LOOKS = 6  # rates are those from the first to the last of them: packets of a second come now two, now none in a second


class _Counts(NamedTuple):
    """The counters of a component at a time."""

    at_ns: int
    items: int
    samples: int
    cpu_s: float


@dataclass(slots=True)
class _Seen:
    """A component as it was seen last."""

    now: Component
    since_ns: int | None
    counts: deque[_Counts] = field(default_factory=lambda: deque(maxlen=_LOOKS))
    moved_ns: int | None = None
    restarted_ns: int | None = None
    error: str = ""
    error_ns: int | None = None


class Past:
    """Remembers each component as it was seen last; those that are not there any more are forgotten."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def complete(self, components: Sequence[Component], now_ns: int) -> tuple[Component, ...]:
        """Return *components* with what follows from how they were before."""
        before, self._seen = self._seen, {}
        return tuple(self._complete(each, before.get(each.key), now_ns) for each in components)

    def _complete(self, fresh: Component, seen: _Seen | None, now_ns: int) -> Component:
        if seen is None:
            seen = _Seen(fresh, fresh.since_ns)
        self._seen[fresh.key] = seen
        _note_state(seen, fresh, now_ns)
        _count(seen, fresh, now_ns)
        if fresh.needs_a_person:
            seen.error, seen.error_ns = fresh.reason, now_ns
        seen.now = fresh
        return _with(fresh, seen, now_ns)


def _note_state(seen: _Seen, fresh: Component, now_ns: int) -> None:
    before = seen.now
    is_other_process = None not in (fresh.pid, before.pid) and fresh.pid != before.pid
    if is_other_process:
        seen.restarted_ns = now_ns
        seen.counts.clear()
    if fresh.since_ns is not None:
        seen.since_ns = fresh.since_ns
    elif is_other_process or fresh.state != before.state:
        seen.since_ns = now_ns


def _count(seen: _Seen, fresh: Component, now_ns: int) -> None:
    if fresh.items is None:
        seen.counts.clear()
        return
    now = _Counts(now_ns, fresh.items, fresh.samples or 0, fresh.cpu_s or 0.0)
    last = seen.counts[-1] if seen.counts else None
    if last is not None and any(new < old for new, old in zip(now, last, strict=True)):  # they began anew
        seen.counts.clear()
    elif last is not None and now.items > last.items:
        seen.moved_ns = now_ns
    if last is None or now_ns != last.at_ns:
        seen.counts.append(now)


def _with(fresh: Component, seen: _Seen, now_ns: int) -> Component:
    is_over = not fresh.needs_a_person
    made = replace(
        fresh,
        since_ns=seen.since_ns,
        restarted_ns=seen.restarted_ns,
        last_error=seen.error if is_over else "",
        last_error_seen_ns=seen.error_ns if is_over else None,
    )
    if len(seen.counts) < 2:
        return made
    first, last = seen.counts[0], seen.counts[-1]
    passed_s = (last.at_ns - first.at_ns) / NS_PER_S
    return replace(
        made,
        has_data=seen.moved_ns is not None and now_ns - seen.moved_ns < _FRESH_S * NS_PER_S,
        items_per_s=(last.items - first.items) / passed_s,
        samples_per_s=(last.samples - first.samples) / passed_s,
        cpu_percent=100 * (last.cpu_s - first.cpu_s) / passed_s,
    )
