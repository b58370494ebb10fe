"""A component as the dashboard shows it, made of what it answers to ``status``."""

from rawdaq.control.dash.values.board import Component, Stream
from rawdaq.control.health.parts import count, entries, number, part, time_ns
from rawdaq.control.health.problem import Health, Row
from rawdaq.control.health.rule import health
from rawdaq.protocols.command import JsonValue
from rawdaq.times import NS_PER_S


def component(row: Row, now_ns: int, notes: dict[str, str] | None = None) -> Component:
    """Return the component that *row* is about.

    Args:
        row: its entry in ``status --json``.
        now_ns: when that was made.
        notes: why streams can have no trace, by name.
    """
    judged = health(row, now_ns)
    title = str(row.get("title") or row.get("component"))
    streams = entries(row.get("streams"))
    made = tuple(_stream(name, said, title, judged, (notes or {}).get(name, "")) for name, said in streams.items())
    has_answered = number(row.get("uptime_s")) is not None and "error" not in row
    publishers = entries(row.get("publishers")).values()
    latencies = [each.latency_s for each in made if each.latency_s is not None and each.silent_s is None]
    used = part(row, "process")
    return Component(
        key=str(row.get("component")),
        name=title,
        state=str(row.get("state")),
        pid=_whole(row.get("pid")),
        since_ns=_since_ns(row, now_ns),
        uptime_s=number(row.get("uptime_s")),
        items=_sum(streams, "packets") + _sum(entries(row.get("topics")), "messages") if has_answered else None,
        samples=_sum(streams, "samples") if has_answered else None,
        latency_s=max(latencies, default=None),
        gaps=_sum(streams, "gaps") if has_answered else None,
        dropped=int(sum(count(each, "dropped") for each in publishers)) if has_answered else None,
        waiting=int(sum(count(each, "waiting") for each in publishers)) if has_answered else None,
        waiting_bytes=int(sum(count(each, "waiting_bytes") for each in publishers)) if has_answered else None,
        cpu_s=number(used.get("cpu_s")),
        memory_bytes=_whole(used.get("memory_bytes")),
        number=judged.number,
        reasons=tuple(each.text for each in judged.problems),
        streams=made,
        said=row,
    )


def _stream(name: str, said: Row, title: str, judged: Health, note: str) -> Stream:
    own = judged.of_stream(name)
    return Stream(
        name,
        title,
        rate_hz=number(said.get("rate_hz")) or None,
        latency_s=number(said.get("latency_s")),
        age_s=number(said.get("age_s")),
        silent_s=number(said.get("silent_s")),
        gaps=_whole(said.get("gaps")),
        number=own.number,
        reason=own.worst.text if own.worst else "",
        note=note,
    )


def _since_ns(row: Row, now_ns: int) -> int | None:
    """Return since when it is in its state: the end of one that has ended, the start of one that runs."""
    if (ended := time_ns(row.get("ended"))) is not None:
        return ended
    uptime_s = number(row.get("uptime_s"))
    return now_ns - round(uptime_s * NS_PER_S) if uptime_s is not None and row.get("state") == "running" else None


def _sum(streams: dict[str, Row], key: str) -> int:
    return int(sum(count(each, key) for each in streams.values()))


def _whole(value: JsonValue) -> int | None:
    found = number(value)
    return None if found is None else int(found)
