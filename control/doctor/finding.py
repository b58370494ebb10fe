"""What a look at one thing shows: a tick, a cross with what to do, or that it was not looked at."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rawdaq.protocols.command import JsonValue


class Check(StrEnum):
    """What is looked at, in the order of the way of a sample."""

    CONFIGURATION = "configuration"
    PERMISSIONS = "permissions"
    PROCESS = "process"
    COMMANDS = "command socket"
    DEVICE = "device"
    HANDSHAKE = "handshake"
    CHANNELS = "channels"
    DATA = "data"
    CLOCK = "clock"
    JOURNAL = "journal"
    DISK = "disk"
    PUBLISHERS = "publishers"
    PEERS = "peers"
    SUBSCRIBERS = "subscribers"


class Verdict(StrEnum):
    """What was found."""

    GOOD = "good"
    WRONG = "wrong"
    UNKNOWN = "unknown"

    @property
    def glyph(self) -> str:
        """A sign for people."""
        return {"good": "✓", "wrong": "✗", "unknown": "-"}[self.value]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one thing shows.

    Attributes:
        check: what was looked at.
        verdict: what was found.
        text: in words.
        remedy: what to do; empty when that is in the text, or nothing is to be done.
    """

    check: Check
    verdict: Verdict
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for JSON."""
        return {
            "check": str(self.check),
            "verdict": str(self.verdict),
            "text": self.text,
            "remedy": self.remedy or None,
        }


def good(check: Check, text: str) -> Finding:
    """Return a tick."""
    return Finding(check, Verdict.GOOD, text)


def wrong(check: Check, text: str, remedy: str = "") -> Finding:
    """Return a cross."""
    return Finding(check, Verdict.WRONG, text, remedy)


def unknown(check: Check, text: str, remedy: str = "") -> Finding:
    """Return that something was not looked at, and why, or that it need not be wrong."""
    return Finding(check, Verdict.UNKNOWN, text, remedy)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return *findings* in the order of the checks; what is wrong stands first in each."""
    order = list(Check)
    return sorted(findings, key=lambda each: (order.index(each.check), each.verdict is not Verdict.WRONG))
