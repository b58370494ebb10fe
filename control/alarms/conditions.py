"""What a rule can be about: each condition has a value for every stream, publisher, disk or component."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from rawdaq.control.health.parts import count, cursors, entries, number, part
from rawdaq.control.health.problem import Row

_NOT_ANSWERING = ("dead", "failed", "hung")


class Value(NamedTuple):
    """One value of a condition.

    Attributes:
        subject: the stream, publisher or disk that it is of; empty: the component itself.
        value: the value.
    """

    subject: str
    value: float


class Condition(NamedTuple):
    """Something that can be measured in a status.

    Attributes:
        text: what it is, in words, before a value.
        unit: of the value, as it is written after it.
        is_bad_above: whether large values are bad; else small ones are.
        subjects: what it is of: streams, publishers, disks or components.
        values: its values in the status of a component that answers, or that has ended.
    """

    text: str
    unit: str
    is_bad_above: bool
    subjects: str
    values: Callable[[Row], Iterator[Value]]


def _of(subjects: str, value: Callable[[Row], float | None]) -> Callable[[Row], Iterator[Value]]:
    """Return what yields the *value* of each of the *subjects* that has one."""

    def values(row: Row) -> Iterator[Value]:
        for name, shown in entries(row.get(subjects)).items():
            if (found := value(shown)) is not None:
                yield Value(name, found)

    return values


def _behind(row: Row) -> Iterator[Value]:
    """Yield how old the oldest is that waits for a publisher, in its queue or in the journal."""
    held = cursors(row)
    for name, shown in entries(row.get("publishers")).items():
        yield Value(name, max(count(shown, "waiting_s"), count(held.get(name, {}), "behind_s")))


def _no_data(row: Row) -> Iterator[Value]:
    """Yield for how long streams are silent; a component that has died, or hangs, has no data at all."""
    if row.get("state") in _NOT_ANSWERING:
        yield Value("", math.inf)
        return
    yield Value("", 0.0)
    for name, shown in entries(row.get("streams")).items():
        yield Value(name, count(shown, "silent_s"))


def _latency(shown: Row) -> float | None:
    return number(shown.get("latency_s")) if count(shown, "packets") else None


def _number(subjects: str, key: str) -> tuple[str, Callable[[Row], Iterator[Value]]]:
    """Return *subjects*, and what yields the number *key* of each of them."""
    return subjects, _of(subjects, lambda shown: number(shown.get(key)))


def _paused_s(shown: Row) -> float:
    return count(shown, "paused_s")


def _is_dropping(shown: Row) -> float:
    return float(bool(shown.get("dropping")))


def _free_percent(shown: Row) -> float | None:
    free, size = number(shown.get("free_bytes")), count(shown, "size_bytes")
    return None if free is None or not size else 100 * free / size


def _left_hours(shown: Row) -> float | None:
    """Return when a disk is full; one that does not fill up lasts for ever."""
    if number(shown.get("free_bytes")) is None:
        return None
    left_s = number(shown.get("left_s"))
    return math.inf if left_s is None else left_s / 3600


def _problem_number(row: Row) -> Iterator[Value]:
    if (found := number(part(row, "health").get("number"))) is not None:
        yield Value("", found)


CONDITIONS: Final[Mapping[str, Condition]] = {
    "no_data": Condition("no data for", "s", True, "streams", _no_data),
    "latency_s": Condition("latency", "s", True, "streams", _of("streams", _latency)),
    "gaps_last_hour": Condition("gaps in the last hour:", "", True, *_number("streams", "gaps_last_hour")),
    "overlaps_last_hour": Condition("overlaps in the last hour:", "", True, *_number("streams", "overlaps_last_hour")),
    "clock_quality": Condition("clock quality", "%", False, *_number("streams", "timing_quality")),
    "publisher_behind_s": Condition("behind by", "s", True, "publishers", _behind),
    "publisher_paused_s": Condition("cannot deliver for", "s", True, "publishers", _of("publishers", _paused_s)),
    "publisher_dropping": Condition("drops data:", "", True, "publishers", _of("publishers", _is_dropping)),
    "disk_free_percent": Condition("free on its disk:", "%", False, "disks", _of("disks", _free_percent)),
    "disk_left_h": Condition("its disk is full in", "h", False, "disks", _of("disks", _left_hours)),
    "problem_number": Condition("problem number", "", True, "components", _problem_number),
}
