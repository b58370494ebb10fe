"""What is wrong on the side to which data go: publishers, the journal for them, and the disks of both."""

from collections.abc import Iterable

from rawdaq.control.health.parts import count, cursors, entries, number, past_ns
from rawdaq.control.health.problem import Problem, Row, Severity
from rawdaq.times import duration_text

_FULL_SOON_S = 86_400
_LEAST_FREE = 0.01  # of a disk


def of_publishers(row: Row, now_ns: int) -> list[Problem]:
    """Return what is wrong with the publishers of a component, with what they hold, or a journal for them."""
    held = cursors(row)
    return [
        problem
        for name, shown in entries(row.get("publishers")).items()
        for problem in _of_publisher(name, shown, held.get(name, {}), now_ns)
    ]


def _of_publisher(name: str, shown: Row, cursor: Row, now_ns: int) -> Iterable[Problem]:
    state = shown.get("state")
    if state != "running":
        severity = Severity.STOPPED if state == "failed" else Severity.PUBLISHER_PAUSED
        text = f"{name} is {state}: {shown.get('paused_reason')}{_journalled(cursor) or _holding(shown)}"
        yield Problem(severity, text, past_ns(shown.get("paused_s"), now_ns), publisher=name)
    if shown.get("dropping"):
        text = f"{name} drops data by its policy {shown.get('policy')}: its queue is full"
        yield Problem(Severity.DROPPING, text, publisher=name)
    if problem := shown.get("problem"):
        yield Problem(Severity.UNSAFE, f"{name}: {problem}", publisher=name)


def _journalled(cursor: Row) -> str:
    packets, seconds = cursor.get("behind_packets"), number(cursor.get("behind_s"))
    lasting = f", {duration_text(seconds)}" if seconds else ""
    return f"; the journal holds {packets} packets for it{lasting}" if packets else ""


def _holding(shown: Row) -> str:
    size_bytes, seconds = number(shown.get("waiting_bytes")), number(shown.get("waiting_s"))
    if not shown.get("waiting") or size_bytes is None:
        return ""
    lasting = f", {duration_text(seconds)}" if seconds else ""
    return f"; holds {shown['waiting']} packets{lasting}, {size_bytes / 1e6:.1f} MB"


def of_journal(journal: Row) -> Iterable[Problem]:
    """Yield what is wrong with a journal and its disk; nothing of an empty one."""
    if journal.get("is_taking_nothing"):
        yield Problem(Severity.NOTHING_KEPT, f"the journal {journal.get('path')} takes nothing; see the log")
    if journal.get("is_disk_nearly_full"):
        yield Problem(Severity.DISK_FULL, f"the disk of the journal {journal.get('path')} is nearly full")
    if error := journal.get("sync_error"):
        yield Problem(Severity.UNSAFE, f"the journal may lose its last at a power cut: {error}")


def of_disks(row: Row) -> Iterable[Problem]:
    """Yield which disks will be full within a day, or hardly have room now; see `rawdaq.control.health.disks`."""
    for name, disk in entries(row.get("disks")).items():
        publisher = name if name in entries(row.get("publishers")) else None
        if failure := disk.get("failure"):
            yield Problem(
                Severity.DISK_FULL, f"the disk of {name} ({disk.get('path')}): {failure}", publisher=publisher
            )
            continue
        free, left_s = number(disk.get("free_bytes")), number(disk.get("left_s"))
        if free is None:
            continue
        if left_s is not None and left_s < _FULL_SOON_S:
            reason = f"full in {duration_text(left_s)}"
        elif free < _LEAST_FREE * count(disk, "size_bytes"):
            reason = "nearly full"
        else:
            continue
        text = f"the disk of {name} is {reason}: {free / 1e9:.1f} GB are free at {disk.get('path')}"
        yield Problem(Severity.DISK_FULL, text, publisher=publisher)
