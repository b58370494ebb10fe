"""What is wrong with a component, in words: the one home for tables, JSON and the exit status of ``status``."""

from collections.abc import Iterable

from rawdaq.control.status.rows import Row
from rawdaq.protocols.command import JsonValue
from rawdaq.times import duration_text

_NAMED = 3  # streams of one problem
_TROUBLES = ("problem", "state_failure", "state_error")  # keys of a receiver that say what is wrong


def problems(row: Row, *, must_run: bool = False) -> list[str]:
    """Return what a person must look at, one line each; nothing when all is well.

    Args:
        row: what its files say, and what the component answered, see `rawdaq.control.status.rows.status`.
        must_run: whether a component that was stopped in order is a problem too.
    """
    state, error = row["state"], row.get("error")
    if error:
        return [str(error)]
    if state == "stopped":
        return ["it does not run"] if must_run else []
    publishers = of_publishers(row)
    found = [*_of_state(str(state)), *_of_receiver(row.get("receiver")), *publishers]
    if publishers:  # else it is how back-pressure works under load
        found += _of_holds(row.get("receiver"))
    found += _of_journal(row.get("journal"))
    return found + _of_streams(_entries(row.get("streams")))


def _of_holds(receiver: JsonValue) -> list[str]:
    """Return why nothing is read, if that is so."""
    endpoints = receiver.get("endpoints") if isinstance(receiver, dict) else None
    held = [each.get("held") for each in endpoints if isinstance(each, dict)] if isinstance(endpoints, list) else []
    reasons = {str(reason) for each in held if isinstance(each, list) for reason in each if reason != "paused"}
    return [f"nothing is read meanwhile: {reason}" for reason in sorted(reasons)]


def of_publishers(row: Row) -> list[str]:
    """Return what is wrong with the publishers of a component, with what they hold, or a journal for them."""
    publishers = _entries(row.get("publishers"))
    journal = row.get("journal")
    cursors = _entries(journal.get("cursors")) if isinstance(journal, dict) else {}
    return [
        problem for name, shown in publishers.items() for problem in _of_publisher(name, shown, cursors.get(name, {}))
    ]


def _of_journal(journal: JsonValue) -> Iterable[str]:
    """Yield what is wrong with the disk of a journal."""
    if not isinstance(journal, dict):
        return
    if journal.get("is_taking_nothing"):
        yield f"the journal {journal.get('path')} takes nothing; see the log"
    if error := journal.get("sync_error"):
        yield f"the journal may lose its last at a power cut: {error}"
    if journal.get("is_disk_nearly_full"):
        yield f"the disk of the journal {journal.get('path')} is nearly full"


def _of_state(state: str) -> Iterable[str]:
    if state == "paused":
        yield "paused by command; the command `resume` goes on"
    elif state != "running":
        yield f"it is {state}"


def _of_receiver(receiver: JsonValue) -> Iterable[str]:
    """Yield what is wrong with the side from which data come."""
    if not isinstance(receiver, dict):
        return
    endpoints = receiver.get("endpoints")
    for endpoint in endpoints if isinstance(endpoints, list) else ():
        if isinstance(endpoint, dict) and endpoint.get("connected") is False:
            reason = endpoint.get("last_failure")
            yield f"{endpoint.get('address')} is not connected" + (f": {reason}" if reason else " yet")
    for part in (receiver, *_entries(receiver).values()):
        yield from (str(part[key]) for key in _TROUBLES if part.get(key))
    if skipped := receiver.get("files_skipped"):
        reasons = receiver.get("skipped")
        first = reasons[0] if isinstance(reasons, list) and reasons else "see the log"
        yield f"{skipped} of {receiver.get('files')} files are not played: {first}"


def _of_publisher(name: str, shown: Row, cursor: Row) -> Iterable[str]:
    state = shown.get("state")
    if state != "running":
        yield f"{name} is {state}: {shown.get('paused_reason')}{_journalled(cursor) or _holding(shown)}"
    if shown.get("dropping"):
        yield f"{name} drops data by its policy {shown.get('policy')}: its queue is full"
    if problem := shown.get("problem"):
        yield f"{name}: {problem}"


def _journalled(cursor: Row) -> str:
    packets, seconds = cursor.get("behind_packets"), cursor.get("behind_s")
    lasting = f", {duration_text(seconds)}" if isinstance(seconds, int | float) and seconds else ""
    return f"; the journal holds {packets} packets for it{lasting}" if packets else ""


def _holding(shown: Row) -> str:
    waiting, seconds, size_bytes = (shown.get(key) for key in ("waiting", "waiting_s", "waiting_bytes"))
    if not waiting or not isinstance(size_bytes, int | float):
        return ""
    lasting = f", {duration_text(seconds)}" if isinstance(seconds, int | float) and seconds else ""
    return f"; holds {waiting} packets{lasting}, {size_bytes / 1e6:.1f} MB"


def _of_streams(streams: dict[str, Row]) -> list[str]:
    """Return which streams are silent, and of which the time cannot be right."""
    silent: dict[str, float] = {}
    clocks: dict[str, str] = {}
    for name, shown in streams.items():
        if isinstance(seconds := shown.get("silent_s"), int | float):
            silent[name] = seconds
        if clock := shown.get("clock"):
            clocks[name] = str(clock)
    found = [f"{_listed(silent)} silent for {duration_text(max(silent.values()))}"] if silent else []
    return found + ([f"{_listed(clocks)} {next(iter(clocks.values()))}"] if clocks else [])


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more


def _entries(value: JsonValue) -> dict[str, Row]:
    """Return those entries of a dictionary that are dictionaries."""
    return {key: entry for key, entry in value.items() if isinstance(entry, dict)} if isinstance(value, dict) else {}
