"""What is wrong with streams: silent, late, of a wrong or doubtful clock, with gaps or overlaps in the last hour."""

from collections.abc import Iterable, Mapping

from rawdaq.control.health.parts import count, number, past_ns
from rawdaq.control.health.problem import Problem, Row, Severity
from rawdaq.times import duration_text

_NAMED = 3  # streams of one problem
_LEAST_QUALITY = 50


def of_streams(streams: Mapping[str, Row], now_ns: int) -> Iterable[Problem]:
    """Yield what is wrong with *streams*; those with the same problem are named in one sentence."""
    yield from _silent(streams, now_ns)
    clocks = {name: str(shown["clock"]) for name, shown in streams.items() if shown.get("clock")}
    if clocks:
        yield Problem(Severity.LATE, f"{listed(clocks)} {next(iter(clocks.values()))}", streams=tuple(clocks))
    if late := {name: count(shown, "latency_s") for name, shown in streams.items() if _is_late(shown, name in clocks)}:
        yield Problem(Severity.LATE, f"{listed(late)} late: {duration_text(max(late.values()))}", streams=tuple(late))
    poor = {name: quality for name, shown in streams.items() if (quality := _poor(shown)) is not None}
    if poor:
        text = f"{listed(poor)} clock quality {min(poor.values()):g} %"
        yield Problem(Severity.CLOCK_QUALITY, text, streams=tuple(poor))
    yield from _of_last_hour(streams, now_ns)


def _silent(streams: Mapping[str, Row], now_ns: int) -> Iterable[Problem]:
    silent = {
        name: seconds for name, shown in streams.items() if (seconds := number(shown.get("silent_s"))) is not None
    }
    if silent:
        longest_s = max(silent.values())
        text = f"{listed(silent)} silent for {duration_text(longest_s)}"
        yield Problem(Severity.NO_DATA, text, past_ns(longest_s, now_ns), tuple(silent))


def _is_late(shown: Row, is_clock: bool) -> bool:
    """Return whether the newest packet of a stream came later than its limit; a silent stream has none."""
    limit_s = number(shown.get("latency_limit_s"))
    if limit_s is None or is_clock or shown.get("silent_s") is not None:
        return False
    return count(shown, "latency_s") > limit_s


def _poor(shown: Row) -> float | None:
    quality = number(shown.get("timing_quality"))
    return quality if quality is not None and quality < _LEAST_QUALITY else None


def _of_last_hour(streams: Mapping[str, Row], now_ns: int) -> Iterable[Problem]:
    """Yield what has happened in the last hour and is over."""
    for word, severity in (("gap", Severity.GAPS), ("overlap", Severity.OVERLAPS)):
        found = {name: shown for name, shown in streams.items() if count(shown, f"{word}s_last_hour")}
        if found:
            total = sum(count(shown, f"{word}s_last_hour") for shown in found.values())
            ago_s = min((count(shown, f"{word}_ago_s") for shown in found.values()), default=0)
            text = f"{listed(found)} {total:g} {word}{'s' * (total != 1)} in the last hour"
            yield Problem(severity, text, past_ns(ago_s, now_ns), tuple(found))


def listed(names: Iterable[str]) -> str:
    """Return *names* as they stand in a sentence: the first few, and how many more there are.

    >>> listed("abcde")
    'a, b, c and 2 more'
    """
    every = list(names)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more
