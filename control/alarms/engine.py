"""When an alarm is raised, repeated and cleared: state between one look at all components and the next.

It asks nothing and reads no clock.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from rawdaq.control.alarms.conditions import CONDITIONS, Condition, Value
from rawdaq.control.alarms.settings import RuleSettings
from rawdaq.control.health.parts import part
from rawdaq.control.health.problem import Row
from rawdaq.times import NS_PER_S, duration_text

_GONE_S = 86_400.0  # what has not been seen for so long is not there any more


class Change(StrEnum):
    """What has become of an alarm."""

    RAISED = "raised"
    LASTS = "lasts"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something to be sent.

    Attributes:
        change: what has become of it.
        rule: the name of the rule.
        component: ``NET.STA.NAME``.
        subject: the stream, publisher or disk; empty: the component itself.
        value: the newest value; None when there is none any more.
        limit: of the rule.
        since_ns: since when values are bad.
        text: a sentence.
        reason: what the rule of health says of the component; None when that is well.
    """

    change: Change
    rule: str
    component: str
    subject: str
    value: float | None
    limit: float
    since_ns: int
    text: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An alarm that is raised, as it outlives a watch.

    Attributes:
        rule: the name of the rule.
        when: the condition of the rule.
        component: ``NET.STA.NAME``.
        subject: as that of the alarm.
        since_ns: since when values are bad.
        told_ns: when it was sent last.
    """

    rule: str
    when: str
    component: str
    subject: str
    since_ns: int
    told_ns: int


@dataclass(slots=True)
class _Track:
    """One subject of a rule: since when it is bad or good, and what was sent of it."""

    seen_s: float
    value: float | None = None
    bad_since_s: float | None = None
    bad_since_ns: int = 0
    good_since_s: float | None = None
    is_raised: bool = False
    told_s: float = 0.0
    told_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    settings: RuleSettings
    condition: Condition
    limit: float

    def is_bad(self, value: float) -> bool:
        return value > self.limit if self.condition.is_bad_above else value < self.limit

    def is_good(self, value: float) -> bool:
        """Whether an alarm may be cleared; between this and a bad value it stays as it is."""
        limit = self.limit if self.settings.clear_at is None else self.settings.clear_at
        return value <= limit if self.condition.is_bad_above else value >= limit

    def values(self, row: Row) -> Iterable[Value]:
        """Yield what the rule selects of a component."""
        if not _matches(str(row.get("component")), self.settings.components):
            return
        patterns = {"streams": self.settings.streams, "publishers": self.settings.publishers}
        for value in self.condition.values(row):
            if not value.subject or _matches(value.subject, patterns.get(self.condition.subjects, ())):
                yield value


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


class Engine:
    """Compares all values with the rules.

    Args:
        rules: by name.
    """

    def __init__(self, rules: Mapping[str, RuleSettings]) -> None:
        self._rules = {name: _rule(name, settings) for name, settings in rules.items()}
        self._tracks: dict[tuple[str, str, str], _Track] = {}

    def step(self, rows: Sequence[Row], now_s: float, now_ns: int) -> list[Alarm]:
        """Return what is to be sent after a look at all components.

        Args:
            rows: the status of each, see `rawdaq.control.status.rows.statuses`.
            now_s: seconds that only run forward.
            now_ns: the time.
        """
        told: list[Alarm] = []
        seen: set[tuple[str, str, str]] = set()
        for row in rows:
            for rule in self._rules.values():
                for value in rule.values(row):
                    key = rule.name, str(row.get("component")), value.subject
                    seen.add(key)
                    told += self._look(key, rule, value.value, row, now_s, now_ns)
        told += self._leave(seen, {str(row.get("component")): row for row in rows}, now_s)
        return told

    def bad(self, rows: Sequence[Row], now_ns: int) -> list[Alarm]:
        """Return what is bad in *rows* now, without a wait."""
        return [
            _alarm(Change.RAISED, (rule.name, str(row.get("component")), value.subject), rule, value.value, now_ns, row)
            for row in rows
            for rule in self._rules.values()
            for value in rule.values(row)
            if rule.is_bad(value.value)
        ]

    def told(self, untold: Iterable[Alarm] = ()) -> list[Told]:
        """Return the alarms that are raised, as far as all targets know: less what is *untold*, which still waits."""
        known = {key: (track.bad_since_ns, track.told_ns) for key, track in self._tracks.items() if track.is_raised}
        for alarm in untold:
            key = alarm.rule, alarm.component, alarm.subject
            if alarm.change is Change.RAISED:
                known.pop(key, None)
            elif alarm.change is Change.CLEARED:
                known[key] = alarm.since_ns, alarm.since_ns
        return [Told(key[0], self._rules[key[0]].settings.when, *key[1:], *known[key]) for key in sorted(known)]

    def restore(self, told: Iterable[Told], now_s: float, now_ns: int) -> None:
        """Take *told*, which another engine returned, as raised, where the rule still is what it was."""
        for each in told:
            rule = self._rules.get(each.rule)
            if rule is not None and rule.settings.when == each.when:
                ago_s = max(0, now_ns - each.told_ns) / NS_PER_S
                track = _Track(now_s, None, now_s, each.since_ns, None, True, now_s - ago_s, each.told_ns)
                self._tracks[each.rule, each.component, each.subject] = track

    def _look(
        self, key: tuple[str, str, str], rule: _Rule, value: float, row: Row, now_s: float, now_ns: int
    ) -> Iterable[Alarm]:
        track = self._tracks.get(key)
        if track is None:
            if not rule.is_bad(value):  # most are never bad
                return
            track = self._tracks[key] = _Track(now_s)
        track.seen_s, track.value = now_s, value
        if rule.is_bad(value):
            track.good_since_s = None
            if track.bad_since_s is None:
                track.bad_since_s, track.bad_since_ns = now_s, now_ns
        elif rule.is_good(value):
            if not track.is_raised:
                del self._tracks[key]
                return
            track.good_since_s = now_s if track.good_since_s is None else track.good_since_s
        else:
            track.good_since_s = None
        if (change := _change(track, rule.settings, now_s)) is None:
            return
        if change is Change.CLEARED:
            del self._tracks[key]
        else:
            track.is_raised, track.told_s, track.told_ns = True, now_s, now_ns
        yield _alarm(change, key, rule, value, track.bad_since_ns, row)

    def _leave(self, seen: set[tuple[str, str, str]], rows: Mapping[str, Row], now_s: float) -> Iterable[Alarm]:
        """Clear what is not there any more; what a component that does not answer had stays as it is."""
        for key in [key for key in self._tracks if key not in seen]:
            row, track = rows.get(key[1]), self._tracks[key]
            is_stopped = row is not None and row.get("state") == "stopped"
            if row is not None and not is_stopped and now_s - track.seen_s < _GONE_S:
                continue
            del self._tracks[key]
            if track.is_raised:
                why = "its component was stopped" if is_stopped else "it is not there any more"
                rule = self._rules[key[0]]
                text = f"{key[2] or key[1]}: {why}"
                yield Alarm(Change.CLEARED, *key, None, rule.limit, track.bad_since_ns, text)


def _rule(name: str, settings: RuleSettings) -> _Rule:
    condition = CONDITIONS[settings.when]
    limit = settings.above if condition.is_bad_above else settings.below
    assert limit is not None  # noqa: S101 - the file was validated
    return _Rule(name, settings, condition, limit)


def _change(track: _Track, rule: RuleSettings, now_s: float) -> Change | None:
    """Return what is to be sent of *track* now."""
    if track.good_since_s is not None:
        return Change.CLEARED if now_s - track.good_since_s >= rule.clear_after_s else None
    if not track.is_raised:
        is_due = track.bad_since_s is not None and now_s - track.bad_since_s >= rule.raise_after_s
        return Change.RAISED if is_due else None
    is_due = rule.remind_every_s > 0 and now_s - track.told_s >= rule.remind_every_s
    return Change.LASTS if is_due else None


def _alarm(change: Change, key: tuple[str, str, str], rule: _Rule, value: float, since_ns: int, row: Row) -> Alarm:
    reason = part(row, "health").get("reason")
    subject = f"{key[2]} of {row.get('title', key[1])}" if key[2] else str(row.get("title", key[1]))
    word = "above" if rule.condition.is_bad_above else "below"
    text = f"{subject}: {rule.condition.text} {_text(value, rule.condition)} ({word} {rule.limit:g} is bad)"
    shown = value if math.isfinite(value) else None
    return Alarm(change, *key, shown, rule.limit, since_ns, text, str(reason) if reason else None)


def _text(value: float, condition: Condition) -> str:
    if math.isinf(value):
        return "all its streams" if condition.subjects == "streams" else "never"
    if condition.unit == "s" and value >= 60:
        return duration_text(value)
    return f"{value:.4g} {condition.unit}".rstrip()
