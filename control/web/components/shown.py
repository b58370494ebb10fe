"""What the page gets of a component: from its entry in ``status --json`` to the models; no I/O, no clock."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rawdaq.config import ComponentSettings
from rawdaq.control.health.parts import entries, items, number, part, readers
from rawdaq.control.health.problem import Health, Row, Severity
from rawdaq.control.machine.sources import live_address, said_of_streams, source
from rawdaq.control.web.components.history import StreamHistory
from rawdaq.control.web.models import (
    Component,
    Condition,
    Coordinates,
    Endpoint,
    LatencyHistory,
    Publisher,
    Stream,
    Time,
)
from rawdaq.stream_id import StreamId
from rawdaq.times import to_iso

_HOUR = 60
_DAY = 1440
_STREAM_COUNTS = ("packets", "samples", "bytes", "gaps", "overlaps", "backwards", "rate_mismatches")
_PUBLISHER_KEYS = {"class", "state", "paused_reason", "problem", "delivered", "waiting", "waiting_bytes", "dropped"}


def iso(time_ns: int) -> Time:
    """Return a time as all JSON has it."""
    return to_iso(time_ns, 9)


class Verdict(NamedTuple):
    """What is wrong with something, and since when.

    Attributes:
        health: the problems.
        since_ns: since when; None: since before this server ran.
        is_stopped: whether a person stopped it.
    """

    health: Health
    since_ns: int | None
    is_stopped: bool

    @property
    def condition(self) -> Condition:
        """The verdict in a word."""
        if self.is_stopped:
            return "stopped"
        if self.health.number >= Severity.NO_DATA:
            return "no data"
        return "late" if self.health.needs_a_person else "well"

    def fields(self) -> dict[str, Any]:
        """Return the fields of `Judged`."""
        worst = self.health.worst
        return {
            "condition": self.condition,
            "number": self.health.number,
            "sentence": worst.text if worst else "",
            "since": None if self.since_ns is None else iso(self.since_ns),
        }


class Answered(NamedTuple):
    """What is known of a component.

    Attributes:
        row: its entry in ``status --json``.
        settings: what its station file says; None: it is not known.
        verdict: what is wrong with it.
        coordinates: of its station.
        asked_ns: when it answered last; None: it has not.
        answer_s: how long that took.
    """

    row: Row
    settings: ComponentSettings | None
    verdict: Verdict
    coordinates: Coordinates | None
    asked_ns: int | None
    answer_s: float | None


def component(about: Answered) -> Component:
    """Return a component in a list."""
    row = about.row
    publishers = entries(row.get("publishers"))
    streams = {str(each): said for each, said in said_of_streams(row).items()}
    named = row.get("publishers")
    slow = {str(name) for each in entries(row.get("decimation")).values() for name in part(each, "streams").values()}
    latencies = [
        value
        for name, each in streams.items()
        if name not in slow and (value := number(each.get("latency_s"))) is not None and _count(each.get("packets"))
    ]
    return Component(
        **about.verdict.fields(),
        key=str(row["component"]),
        title=str(row["title"]),
        name=str(row["name"]),
        station=str(row["station"]),
        state=str(row["state"]),
        problems=[problem.text for problem in about.verdict.health.problems],
        receiver=_text(row.get("class")) or (about.settings.receiver.class_name if about.settings else None),
        publishers=list(publishers) or ([str(each) for each in named] if isinstance(named, list) else []),
        group=_text(row.get("group")),
        pid=_count_or_none(row.get("pid")),
        file=_text(row.get("file")),
        uptime_s=number(row.get("uptime_s")),
        streams=sorted(streams),
        latency_s=max(latencies, default=None),
        readers=sum(readers(each) or 0 for each in publishers.values()),
        dropped=sum(_count(each.get("dropped")) for each in publishers.values()),
        gaps=sum(_count(each.get("gaps")) for each in streams.values()),
        waiting=sum(_count(each.get("waiting")) for each in publishers.values()),
        has_live=any(live_address(each, name, about.settings) for name, each in publishers.items()),
        has_archive=bool(archives(about.settings)),
        coordinates=about.coordinates,
        asked=None if about.asked_ns is None else iso(about.asked_ns),
        answer_s=None if about.answer_s is None else round(about.answer_s, 4),
    )


def stream(selected: StreamId, said: Row, about: Answered, verdict: Verdict, history: StreamHistory) -> Stream:
    """Return a stream in a list.

    Args:
        selected: which.
        said: what its component says of it.
        about: its component.
        verdict: what is wrong with it.
        history: what was of it.
    """
    row = about.row
    has_come = _count(said.get("packets")) > 0
    last = _text(said.get("last_sample"))
    fields = verdict.fields()
    fields |= {name: _count(said.get(name)) for name in _STREAM_COUNTS}
    return Stream(
        **fields,
        id=str(selected),
        component=str(row["component"]),
        station=f"{selected.network}.{selected.station}",
        rate_hz=number(said.get("rate_hz")) or None if has_come else None,
        sample_type=_text(said.get("sample_type")) or "",
        last_sample=f"{last.removesuffix('Z')}000Z" if last else None,
        age_s=number(said.get("age_s")),
        latency_s=number(said.get("latency_s")) if has_come else None,
        latency_max_s=number(said.get("latency_max_s")) if has_come else None,
        silent_s=number(said.get("silent_s")),
        clock=_text(said.get("clock")),
        timing_quality=_count_or_none(said.get("timing_quality")),
        gap_s=number(said.get("gap_s")) or 0.0,
        gaps_hour=max(history.gaps_of(_HOUR), _count(said.get("gaps_last_hour"))),
        gaps_day=max(history.gaps_of(_DAY), _count(said.get("gaps_last_hour"))),
        overlap_s=number(said.get("overlap_s")) or 0.0,
        has_live=source(selected, said, row, about.settings).address is not None,
        has_archive=any(selected.matches(each.streams) for each in archives(about.settings)),
    )


def latency(history: StreamHistory) -> LatencyHistory:
    """Return the latency of a day."""
    begin_ns, minutes_s = history.latencies()
    return LatencyHistory(begin=iso(begin_ns), minutes_s=minutes_s)


def details(about: Answered) -> dict[str, Any]:
    """Return the fields of `ComponentDetail` that `Component` does not have, but its streams."""
    said = part(about.row, "receiver")
    publishers = entries(about.row.get("publishers"))
    return {
        "endpoints": [_endpoint(each) for each in items(said.get("endpoints"))],
        "receiver_more": {key: value for key, value in said.items() if key != "endpoints"},
        "publisher_list": [_publisher(name, each, about.settings) for name, each in publishers.items()],
        "journal": part(about.row, "journal") or None,
        "disks": part(about.row, "disks"),
    }


def _endpoint(said: Row) -> Endpoint:
    connected = said.get("connected")
    return Endpoint(
        address=str(said.get("address")),
        connected=connected if isinstance(connected, bool) else None,
        last_failure=_text(said.get("last_failure")),
        more={key: value for key, value in said.items() if key not in ("address", "connected", "last_failure")},
    )


def _publisher(name: str, said: Row, settings: ComponentSettings | None) -> Publisher:
    class_name = str(said.get("class"))
    return Publisher(
        name=name,
        class_name=class_name,
        state=str(said.get("state")),
        reason=_text(said.get("paused_reason")),
        problem=_text(said.get("problem")),
        delivered=_count(said.get("delivered")),
        waiting=_count(said.get("waiting")),
        waiting_bytes=_count(said.get("waiting_bytes")),
        dropped=_count(said.get("dropped")),
        address=live_address(said, name, settings) or _text(said.get("address")),
        readers=readers(said),
        folder=_text(said.get("path")),
        more={key: value for key, value in said.items() if key not in _PUBLISHER_KEYS},
    )


# ---------------------------------------------------------------------- where data are


class ArchivePlace(NamedTuple):
    """An archive.

    Attributes:
        path: its folder.
        layout: of its files.
        streams: patterns of the streams that it gets; none: all.
    """

    path: str
    layout: str
    streams: Sequence[str]


def archives(settings: ComponentSettings | None) -> list[ArchivePlace]:
    """Return the archives of a component."""
    if settings is None:
        return []
    return [
        ArchivePlace(str(each.options["path"]), str(each.options["layout"]), tuple(each.streams))
        for each in settings.publishers
        if each.class_name == "MiniSeedPublisher"
    ]


# ---------------------------------------------------------------------- values of JSON


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _count(value: object) -> int:
    return _count_or_none(value) or 0
