"""What of a status has the expected type: a component of another version, or one of a user, may answer otherwise."""

from rawdaq.control.health.problem import Row
from rawdaq.errors import InvalidValue
from rawdaq.protocols.command import JsonValue
from rawdaq.times import NS_PER_S, from_iso


def entries(value: JsonValue) -> dict[str, Row]:
    """Return those entries of a dictionary that are dictionaries; nothing of anything else."""
    return {key: entry for key, entry in value.items() if isinstance(entry, dict)} if isinstance(value, dict) else {}


def part(row: Row, key: str) -> Row:
    """Return the dictionary *key* of *row*; an empty one where there is none."""
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def cursors(row: Row) -> dict[str, Row]:
    """Return how far the journal of a component was read, by publisher; nothing without a journal."""
    return entries(part(row, "journal").get("cursors"))


def items(value: JsonValue) -> list[Row]:
    """Return those items of a list that are dictionaries; nothing of anything else."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def number(value: JsonValue) -> float | None:
    """Return *value* when it is a number; None when it is not one; a truth value is no number.

    >>> number(5), number(0.5), number(True), number("5")
    (5, 0.5, None, None)
    """
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def count(entry: Row, key: str) -> float:
    """Return the number *key* of *entry*; 0 without one."""
    return number(entry.get(key)) or 0


def readers(publisher: Row) -> int | None:
    """Return how many clients or subscribers a publisher has; None where it has none by its nature."""
    for key in ("client_count", "consumers", "peers"):
        found = publisher.get(key)
        if isinstance(found, int) and not isinstance(found, bool):
            return found
    subscribers = publisher.get("subscribers")
    return len(subscribers) if isinstance(subscribers, list) else None


def past_ns(seconds: JsonValue, now_ns: int) -> int | None:
    """Return the time that lies *seconds* before *now_ns*; None when that is no number.

    >>> past_ns(2.5, 10**10), past_ns(None, 10**10)
    (7500000000, None)
    """
    passed = number(seconds)
    return None if passed is None else now_ns - round(passed * NS_PER_S)


def time_ns(text: JsonValue) -> int | None:
    """Return the time that *text* is; None when it is no time, as of another version.

    >>> time_ns("2026-11-21T00:00:00Z"), time_ns("yesterday"), time_ns(None)
    (1795219200000000000, None, None)
    """
    try:
        return from_iso(text) if isinstance(text, str) else None
    except InvalidValue:
        return None
