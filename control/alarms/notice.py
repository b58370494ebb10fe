"""What targets get: all that is sent at one time, as JSON, as an e-mail, and as lines."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from rawdaq.control.alarms.engine import Alarm, Change
from rawdaq.control.alarms.settings import EmailTarget
from rawdaq.protocols.command import JsonValue
from rawdaq.times import NS_PER_S, duration_text, to_datetime, to_iso

_SUBJECT_LETTERS = 150
_MAX_SHOWN = 200  # alarms in one notice; the rest is counted


@dataclass(frozen=True, slots=True)
class Notice:
    """What is sent to one target at one time.

    Attributes:
        machine: where it comes from.
        time_ns: when it was made.
        alarms: what is raised, repeated or cleared.
        missing: how many alarms before these were lost because the target failed for too long.
        note: something of the alarms themselves, such as a target that fails; None without.
    """

    machine: str
    time_ns: int
    alarms: Sequence[Alarm] = ()
    missing: int = 0
    note: str | None = None

    @property
    def title(self) -> str:
        """One line that says how much of what there is, and the first of it."""
        counts = [f"{n} {each}" for each in Change if (n := sum(alarm.change is each for alarm in self.alarms))]
        first = self.alarms[0].text if self.alarms else self.note or ""
        text = f"{', '.join(counts)}: {first}" if counts else first
        return " ".join(f"[rawdaq {self.machine}] {text}".split())[:_SUBJECT_LETTERS]

    @property
    def lines(self) -> list[str]:
        """All of it, one line each."""
        shown = [self._line(alarm) for alarm in self.alarms[:_MAX_SHOWN]]
        if (more := len(self.alarms) - _MAX_SHOWN) > 0:
            shown.append(f"and {more} more")
        if self.missing:
            shown.append(f"{self.missing} earlier alarms are missing: this target could not be reached")
        return ([self.note] if self.note else []) + shown

    def _line(self, alarm: Alarm) -> str:
        lasts = duration_text(max(0, self.time_ns - alarm.since_ns) / NS_PER_S)
        reason = f"; {alarm.reason}" if alarm.reason else ""
        return f"{alarm.change} ({alarm.rule}, since {to_iso(alarm.since_ns, 0)}, {lasts}): {alarm.text}{reason}"

    def as_json(self) -> bytes:
        """Return it for programs."""
        alarms: list[JsonValue] = [alarm_json(alarm) for alarm in self.alarms]
        value = {
            "machine": self.machine,
            "time": to_iso(self.time_ns),
            "title": self.title,
            "note": self.note,
            "missing": self.missing,
            "alarms": alarms,
        }
        return json.dumps(value, allow_nan=False).encode()

    def as_email(self, target: EmailTarget) -> EmailMessage:
        """Return it as an e-mail."""
        message = EmailMessage()
        message["Subject"] = self.title
        message["From"] = target.sender
        message["To"] = ", ".join(target.to)
        message["Date"] = format_datetime(to_datetime(self.time_ns))
        message["Message-ID"] = make_msgid(domain=target.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers that they are on holiday
        message.set_content("\n".join(self.lines) + "\n")
        return message


def alarm_json(alarm: Alarm) -> dict[str, JsonValue]:
    """Return *alarm* for programs."""
    return {
        "change": str(alarm.change),
        "rule": alarm.rule,
        "component": alarm.component,
        "subject": alarm.subject or None,
        "value": alarm.value,
        "limit": alarm.limit,
        "since": to_iso(alarm.since_ns),
        "text": alarm.text,
        "reason": alarm.reason,
    }
