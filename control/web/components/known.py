"""One component as the server knows it: what it has answered, what is wrong with it since when, and what changed."""

from collections.abc import Iterable, Mapping
from typing import Any

from rawdaq.control.health.problem import Health, Row
from rawdaq.control.health.rule import health
from rawdaq.control.machine.sources import Source, said_of_streams, source
from rawdaq.control.names import Target
from rawdaq.control.processes.groups import streams_of
from rawdaq.control.status.rows import judged
from rawdaq.control.status.rows import row as row_of
from rawdaq.control.web.components import shown
from rawdaq.control.web.components.history import StreamHistory
from rawdaq.control.web.models import ComponentDetail, Coordinates, Stream, StreamDetail
from rawdaq.errors import CommandError, ComponentError, NoAnswer
from rawdaq.protocols.command import Result
from rawdaq.stream_id import StreamId


class Versioned:
    """A JSON object of which is known when each of its entries changed last.

    Attributes:
        value: it.
        version: of its last change.
        since: the version with which it came.
    """

    def __init__(self, value: dict[str, Any], version: int) -> None:
        self.value, self.version, self.since = value, version, version
        self._versions = dict.fromkeys(value, version)

    def update(self, value: dict[str, Any], version: int) -> bool:
        """Take *value* in place of what was; return whether anything has changed."""
        changed = [key for key, entry in value.items() if self.value.get(key) != entry]
        self.value = value
        for key in changed:
            self._versions[key] = self.version = version
        return bool(changed)

    def changes(self, after: int, name: str) -> dict[str, Any] | None:
        """Return what has changed after the version *after*, with the entry *name*; None: nothing has."""
        if self.version <= after:
            return None
        if self.since > after:
            return self.value
        return {key: self.value[key] for key, version in self._versions.items() if version > after or key == name}


class _Since:
    """Since when something has been as it is."""

    def __init__(self) -> None:
        self._kind: int | None = None
        self._since_ns: int | None = None

    def see(self, judged: Health, now_ns: int) -> int | None:
        """Return since when the worst problem of *judged* is there; None: since before it was first looked at."""
        if self._kind != judged.number:
            self._since_ns = None if self._kind is None else now_ns
            self._kind = judged.number
        worst = judged.worst
        return worst.since_ns if worst is not None and worst.since_ns is not None else self._since_ns


class Known:
    """One component.

    Attributes:
        target: what files say of it.
        answered: all that is known of it.
        shown: it in a list.
        streams: its streams in a list, by name.
        histories: a day of each of its streams.
        asked_s: when it was asked last, in seconds that only run forward; `status_s` likewise for all.
    """

    def __init__(self, target: Target, coordinates: Coordinates | None, now_ns: int) -> None:
        self.target = target
        self.streams: dict[str, Versioned] = {}
        self.histories: dict[str, StreamHistory] = {}
        self.asked_s = self.status_s = float("-inf")
        self._disks: Row = {}
        self._since = _Since()
        self._stream_since: dict[str, _Since] = {}
        verdict = shown.Verdict(Health(), None, is_stopped=False)
        self.answered = shown.Answered(row_of(target), target.settings, verdict, coordinates, None, None)
        self.shown = Versioned({}, 0)
        self._judge(now_ns)

    @property
    def key(self) -> str:
        """``NET.STA.NAME``."""
        return self.target.key

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self.target.state == "running"

    def relist(self, target: Target, coordinates: Coordinates | None, now_ns: int) -> None:
        """Take note of what files say now."""
        was_run = self.target.running and self.target.running.pid
        self.target = target
        is_same_run = target.running is not None and target.running.pid == was_run
        if self.is_running and is_same_run:
            row = self.answered.row
        else:  # what it said of itself is of another time, but its streams have a past
            streams: Row = {"streams": {name: {} for name in self._names()}}
            row = row_of(target) | streams
            self.asked_s = self.status_s = float("-inf")
        self.answered = self.answered._replace(row=row, settings=target.settings, coordinates=coordinates)
        self._judge(now_ns)

    def _names(self) -> Iterable[str]:
        """Return the names of its streams: as it said, else as its station file says."""
        return self.streams or map(str, _expected(self.target))

    def take(self, answer: "Result | CommandError", took_s: float, now_ns: int, *, is_status: bool) -> None:
        """Take note of an answer to ``status`` or ``stats``, or why there was none."""
        row = self.answered.row
        if isinstance(answer, CommandError):
            hung: Row = {"state": "hung"} if isinstance(answer, NoAnswer) else {}
            kept: Row = {"streams": row.get("streams", {})}
            self.answered = self.answered._replace(
                row=row_of(self.target) | kept | {"error": str(answer)} | hung, answer_s=took_s
            )
        elif not isinstance(answer, dict):
            self.answered = self.answered._replace(row=row_of(self.target) | {"error": f"it answers {answer!r}"})
        else:
            more: Row = answer if is_status else {"streams": answer}
            base = row_of(self.target) if is_status or "error" in row else row
            self.answered = self.answered._replace(row=base | self._disks | more, asked_ns=now_ns, answer_s=took_s)
            self._remember(now_ns)
        self._judge(now_ns)

    def take_disks(self, disks: object, now_ns: int) -> None:
        """Take note of what is free where it writes."""
        found: Row = {"disks": disks} if isinstance(disks, dict) else {}
        if found != self._disks:
            self._disks = found
            self.answered = self.answered._replace(row=self.answered.row | found)
            self._judge(now_ns)

    def _remember(self, now_ns: int) -> None:
        for stream, said in said_of_streams(self.answered.row).items():
            name = str(stream)
            latency_s, gaps, packets = said.get("latency_s"), said.get("gaps"), said.get("packets")
            history = self.histories.setdefault(name, StreamHistory())
            is_new = isinstance(latency_s, int | float) and bool(packets) and said.get("silent_s") is None
            history.add(now_ns, float(latency_s) if is_new else None, gaps if isinstance(gaps, int) else 0)  # type: ignore[arg-type]

    def _judge(self, now_ns: int) -> None:
        found = health(self.answered.row, now_ns)
        verdict = shown.Verdict(found, self._since.see(found, now_ns), self.answered.row.get("state") == "stopped")
        self.answered = self.answered._replace(verdict=verdict)

    def show(self, version: int) -> bool:
        """Make what the page gets; return whether anything has changed."""
        has_changed = self.shown.update(shown.component(self.answered).model_dump(), version)
        said = said_of_streams(self.answered.row)
        for name in self.streams.keys() - set(map(str, said)):
            has_changed = True
            del self.streams[name]
        for stream, each in said.items():
            name, value = str(stream), self._stream(stream, each).model_dump()
            known = self.streams.get(name)
            if known is None:
                self.streams[name] = Versioned(value, version)
                has_changed = True
            else:
                has_changed |= known.update(value, version)
        return has_changed

    def _stream(self, stream: StreamId, said: Row) -> Stream:
        name, whole = str(stream), self.answered.verdict
        found = whole.health.of_stream(name)
        since = self._stream_since.setdefault(name, _Since())
        now_ns = self.answered.asked_ns or 0
        verdict = shown.Verdict(found, since.see(found, now_ns), whole.is_stopped)
        history = self.histories.setdefault(name, StreamHistory())
        return shown.stream(stream, said, self.answered, verdict, history)

    def detail(self) -> ComponentDetail:
        """Return the component alone."""
        more = shown.details(self.answered)
        streams = [self.streams[name].value for name in sorted(self.streams)]
        return ComponentDetail.model_validate(self.shown.value | more | {"stream_list": streams})

    def stream_detail(self, name: str) -> StreamDetail:
        """Return one of its streams alone."""
        latency = shown.latency(self.histories[name])
        return StreamDetail.model_validate(self.streams[name].value | {"latency": latency.model_dump()})

    def metrics_row(self) -> Row:
        """Return its entry in ``status --json``, with what is wrong with it."""
        return judged(self.answered.row, self.answered.verdict.health)

    def sources(self) -> Mapping[StreamId, Source]:
        """Return where its streams come from."""
        row, settings = self.answered.row, self.answered.settings
        return {stream: source(stream, said, row, settings) for stream, said in said_of_streams(row).items()}


def _expected(target: Target) -> list[StreamId]:
    """Return the streams that a station file names for *target*; none where they are known only when they come."""
    if target.settings is None:
        return []
    try:
        return streams_of(target.settings)
    except ComponentError:  # a class that cannot be imported: its component says so when it is started
        return []
