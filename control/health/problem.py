"""The values of the rule: how bad a problem is, what it is about, and since when it is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from rawdaq.protocols.command import JsonValue
from rawdaq.times import to_iso

#: The status of one component, as ``control-rawdaq status --json`` shows it.
Row: TypeAlias = dict[str, JsonValue]


class Severity(IntEnum):
    """How bad a problem is, from 0 (all is well) to 1000: the order in which people look at them.

    From `NEEDS_A_PERSON` on a problem is a state that lasts until somebody, or the other side, ends it, and ``status``
    exits with 1. What is below has happened in the last hour and is over.
    """

    DEAD = 1000
    HUNG = 950
    STOPPED = 900
    NO_DATA = 800
    PAUSED = 750
    NOTHING_KEPT = 720
    DISK_FULL = 700
    PUBLISHER_PAUSED = 600
    NOTHING_READ = 590
    DROPPING = 550
    LATE = 500
    UNSAFE = 450
    INCOMPLETE = 440
    CLOCK_QUALITY = 400
    GAPS = 300
    OVERLAPS = 200
    WELL = 0

    @property
    def word(self) -> str:
        """What it is called in JSON, metrics and rules of alarms, such as ``no_data``."""
        return self.name.lower()


NEEDS_A_PERSON = Severity.CLOCK_QUALITY


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        severity: how bad it is.
        text: a sentence with the reason.
        since_ns: since when; None when the status does not say.
        streams: the streams that it is about; none: it is not about single streams.
        publisher: the publisher that it is about.
    """

    severity: Severity
    text: str
    since_ns: int | None = None
    streams: tuple[str, ...] = ()
    publisher: str | None = None

    @property
    def needs_a_person(self) -> bool:
        """Whether it lasts until something is done."""
        return self.severity >= NEEDS_A_PERSON

    @property
    def order(self) -> tuple[int, bool, int]:
        """The worst first; of those that are as bad what all streams suffer from, which is why, then the oldest."""
        return -self.severity, bool(self.streams), 1 << 63 if self.since_ns is None else self.since_ns

    def as_json(self) -> Row:
        """Return it for JSON; the time as ISO 8601."""
        return {
            "number": int(self.severity),
            "kind": self.severity.word,
            "text": self.text,
            "since": None if self.since_ns is None else to_iso(self.since_ns),
            "streams": list(self.streams),
            "publisher": self.publisher,
        }


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong with a component.

    Attributes:
        problems: the worst first; none when all is well.
    """

    problems: Sequence[Problem] = ()

    @property
    def worst(self) -> Problem | None:
        """The worst of the problems; None when all is well."""
        return self.problems[0] if self.problems else None

    @property
    def number(self) -> int:
        """How bad it is: 0 to 1000, that of the worst problem."""
        return int(self.worst.severity) if self.worst else int(Severity.WELL)

    @property
    def needs_a_person(self) -> bool:
        """Whether any of the problems lasts until something is done."""
        return self.worst is not None and self.worst.needs_a_person

    @property
    def texts(self) -> list[str]:
        """The sentences of what a person must look at."""
        return [problem.text for problem in self.problems if problem.needs_a_person]

    def of_stream(self, stream: str) -> "Health":
        """Return what is wrong with one stream, with what concerns all of the component."""
        own = [each for each in self.problems if stream in each.streams or not (each.streams or each.publisher)]
        return Health(own)

    def as_json(self) -> Row:
        """Return it for JSON: the number, the reason and since when, and all problems."""
        worst = self.worst.as_json() if self.worst else Row()
        return {
            "number": self.number,
            "reason": worst.get("text"),
            "since": worst.get("since"),
            "problems": [problem.as_json() for problem in self.problems],
        }
