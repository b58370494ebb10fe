"""From the status of components to entries of which each gives one sample of some metrics, with its labels."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rawdaq.control.health.parts import count, cursors, entries, items, number, part, time_ns
from rawdaq.control.health.problem import Row
from rawdaq.control.metrics import catalogue
from rawdaq.control.metrics.catalogue import Metric
from rawdaq.protocols.command import JsonValue
from rawdaq.times import NS_PER_S

_STATES = ("running", "paused", "stopping", "restarting", "stopped", "hung", "failed", "dead")


class Entry(NamedTuple):
    """Something that has metrics.

    Attributes:
        metrics: which.
        labels: their labels' values.
        values: what they are taken from.
    """

    metrics: Sequence[Metric]
    labels: tuple[str, ...]
    values: Row


def entries_of(row: Row, now_ns: int) -> Iterator[Entry]:
    """Yield what has metrics in the status of one component, without its streams and its process."""
    key = str(row.get("component"))
    yield Entry(catalogue.COMPONENTS, (key,), row | {"state": _up(row)} | _health(row, now_ns))
    for state in _STATES:
        yield Entry([catalogue.STATES], (key, state), {"count": int(row.get("state") == state)})
    kinds = Counter(str(problem.get("kind")) for problem in items(part(row, "health").get("problems")))
    for kind, problems in kinds.items():
        yield Entry([catalogue.PROBLEMS], (key, kind), {"count": problems})
    yield from _publishers(key, row)
    receiver = part(row, "receiver")
    yield Entry(catalogue.JOURNAL, (key,), part(row, "journal"))
    for endpoint in items(receiver.get("endpoints")):
        yield Entry(catalogue.ENDPOINTS, (key, str(endpoint.get("address"))), endpoint)
    for name, shown in {**entries(row.get("publishers")), "receiver": receiver}.items():
        if ring := part(shown, "ring"):
            yield Entry(catalogue.RINGS, (key, name), shown | ring | _extent(ring))
    for name, disk in entries(row.get("disks")).items():
        yield Entry(catalogue.DISKS, (key, name), disk | {"answers": "failure" not in disk})


def _up(row: Row) -> JsonValue:
    """Return the state, where one that is paused by command runs too."""
    return "running" if row.get("state") == "paused" else row.get("state")


def _health(row: Row, now_ns: int) -> Row:
    health = part(row, "health")
    since_ns = time_ns(health.get("since"))
    return {"number": health.get("number"), "age_s": None if since_ns is None else (now_ns - since_ns) / NS_PER_S}


def _publishers(key: str, row: Row) -> Iterator[Entry]:
    held = cursors(row)
    for name, shown in entries(row.get("publishers")).items():
        written: Row = (
            {} if "written_bytes" in shown or "open_files" not in shown else {"written_bytes": shown.get("bytes")}
        )
        behind: Row = {each: held.get(name, {}).get(each) for each in ("behind_packets", "behind_s")}
        yield Entry(catalogue.PUBLISHERS, (key, name), shown | written | behind)


def _extent(ring: Row) -> Row:
    oldest, following = number(ring.get("oldest")), number(ring.get("next"))
    return {} if oldest is None or following is None else {"packets": following - oldest}


def stream_entries(rows: Iterable[Row]) -> Iterator[Entry]:
    """Yield the streams of *rows*."""
    for row in rows:
        for name, shown in entries(row.get("streams")).items():
            yield Entry(catalogue.STREAMS, (str(row.get("component")), name), _since_first(shown))


def _since_first(shown: Row) -> Row:
    """Return *shown* without what says nothing before the first packet."""
    return shown if count(shown, "packets") else {**shown, "latency_s": None, "latency_max_s": None, "rate_hz": None}


def process_entries(rows: Iterable[Row]) -> Iterator[Entry]:
    """Yield the processes of *rows*; components that share one count once."""
    seen: set[JsonValue] = set()
    for row in rows:
        used, pid = part(row, "process"), row.get("pid")
        if used and not isinstance(pid, list | dict) and pid not in seen:
            seen.add(pid)
            yield Entry(catalogue.PROCESSES, (str(row.get("group") or row.get("component")),), used)
