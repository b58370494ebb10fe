"""Messages as lines: text for people, with colours on a terminal, and JSON for programs."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from rawdaq.control.dump.messages.run import MessageView
from rawdaq.control.dump.messages.values import Shown
from rawdaq.control.dump.views import print_line
from rawdaq.messages.log import LogRecord, one_line
from rawdaq.messages.monitor import ComponentReport
from rawdaq.messages.values import ReadoutArray, ReceivedEvent, Telemetry
from rawdaq.times import NS_PER_S, to_iso

_MEGA = 1e6
_SHOWN = 400  # characters of the fields of an event


class TextLines(MessageView):
    """One message a line; only a traceback has more.

    Args:
        has_colours: whether lines have the colour of their severity.
        slot: whose values are shown of readouts; None: none.
    """

    def __init__(self, has_colours: bool, slot: int | None = None) -> None:
        self._has_colours = has_colours
        self._slot = slot
        self._before_ns: dict[str, int] = {}  # the device times of readouts

    def show(self, shown: Shown) -> None:
        """Print the message."""
        line = self._line(shown)
        print_line(click.style(line, **_style(shown)) if self._has_colours else line)

    def _line(self, shown: Shown) -> str:
        match shown.value:
            case LogRecord():
                return shown.value.text()
            case ComponentReport():
                return one_line(_report_line(shown.value))
            case ReceivedEvent():
                return one_line(_event_line(shown, shown.value))
            case ReadoutArray():
                return one_line(self._readout_line(shown, shown.value))
            case Telemetry():
                return one_line(_telemetry_line(shown, shown.value))

    def _readout_line(self, shown: Shown, readout: ReadoutArray) -> str:
        values = readout.data.astype(float) * readout.scale + readout.offset
        before_ns = self._before_ns.get(shown.message.topic)
        self._before_ns[shown.message.topic] = readout.time_ns
        passed_ns = 0 if before_ns is None else readout.time_ns - before_ns
        rate = f" {NS_PER_S / passed_ns:.6g} Hz" if passed_ns > 0 else ""
        late = " late" if readout.is_late else ""
        line = (
            f"{to_iso(readout.received_ns)} {shown.name} readout {readout.number} at {readout.time_ns} ns{rate} "
            f"{len(readout.slots)}/{readout.expected} slots {_ranges(readout.slots)} {readout.reason}{late} "
            f"sum={np.nansum(values):.6g}{readout.unit}"
        )
        if self._slot is None:
            return line
        row = readout.row(self._slot)
        text = "absent" if row is None else " ".join(map(str, row.ravel()))
        return f"{line} slot {self._slot}: {text}"


class JsonLines(MessageView):
    """One JSON object a line: the header, with topic, what is missing before it, and the size of the payload.

    Args:
        slot: whose values are added to readouts; None: none.
    """

    def __init__(self, slot: int | None = None) -> None:
        self._slot = slot

    def show(self, shown: Shown) -> None:
        """Print the message."""
        message = shown.message
        more: dict[str, Any] = {"topic": message.topic, "lost": shown.lost, "payload_bytes": len(message.payload)}
        if self._slot is not None and isinstance(shown.value, ReadoutArray):
            row = shown.value.row(self._slot)
            more["values"] = None if row is None else _finite(row)
        line = message.head.decode()
        print_line(f"{line[:-1]},{json.dumps(more, allow_nan=False)[1:]}")


def _finite(row: npt.NDArray[Any]) -> Any:
    """Return values as JSON has them: null for NaN and the infinities."""
    values: npt.NDArray[Any] = row.astype(object)
    values[~np.isfinite(row)] = None
    return values.tolist()


def _style(shown: Shown) -> Mapping[str, Any]:
    match shown.value:
        case LogRecord(level=level):
            return _level_style(level)
        case ComponentReport():
            if not shown.value.is_online:
                return {"fg": "red"}
            return {"fg": "yellow"} if shown.value.problems or shown.value.state != "running" else {}
        case ReceivedEvent():
            return {"fg": "yellow"} if shown.value.missed or shown.value.backwards else {}
        case ReadoutArray():
            is_whole = shown.value.reason in ("complete", "active")
            return {} if is_whole else {"fg": "yellow"}
        case Telemetry():
            return {}


def _level_style(level: int) -> Mapping[str, Any]:
    if level >= logging.CRITICAL:
        return {"fg": "red", "bold": True}
    if level >= logging.ERROR:
        return {"fg": "red"}
    if level >= logging.WARNING:
        return {"fg": "yellow"}
    return {"dim": True} if level < logging.INFO else {}


def _report_line(report: ComponentReport) -> str:
    who = f"{report.name} {report.state}"
    if report.since_ns is not None:
        return f"{to_iso(report.time_ns, 3)} {who} since {to_iso(report.since_ns, 3)}"
    rates = [
        f"{rate:g} {what}/s"
        for rate, what in ((report.packets_per_s, "packets"), (report.messages_per_s, "messages"))
        if rate is not None
    ]
    parts = [
        f"{to_iso(report.time_ns, 3)} {who}",
        "data" if report.has_data else "no data",
        *rates,
        f"streams={report.streams} silent={report.silent} gaps={report.gaps}",
        f"dropped={report.dropped} waiting={report.waiting}",
    ]
    if report.latency_s is not None:
        parts.append(f"lat={report.latency_s:.3f}s")
    if report.cpu_percent is not None:
        parts.append(f"cpu={report.cpu_percent:g}%")
    if report.memory_bytes:
        parts.append(f"mem={report.memory_bytes / _MEGA:.0f}MB")
    return " ".join([*parts, *(f"[{problem}]" for problem in report.problems)])


def _event_line(shown: Shown, event: ReceivedEvent) -> str:
    time = f"device {event.device_ns} ns" if event.time_ns is None else to_iso(event.time_ns, 9)
    parts = [time, shown.name, event.type or "event"]
    if event.source:
        parts.append(f"source={event.source}")
    if event.counter is not None:
        parts.append(f"counter={event.counter}")
    if event.missed:
        parts.append(f"missed={event.missed}")
    if event.backwards:
        parts.append("backwards")
    fields = " ".join(f"{name}={_short(value)}" for name, value in event.fields.items())
    return " ".join([*parts, fields[:_SHOWN]]).rstrip()


def _telemetry_line(shown: Shown, telemetry: Telemetry) -> str:
    values = [
        f"{name}={'-' if value is None else _short(value)}{telemetry.units.get(name) or ''}"
        for name, value in telemetry.values.items()
    ]
    return " ".join([to_iso(telemetry.time_ns, 3), shown.name, *values])


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _ranges(slots: Any) -> str:
    """Return slots as ranges.

    >>> _ranges([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    found: list[list[int]] = []
    for slot in slots:
        if found and slot == found[-1][1] + 1:
            found[-1][1] = slot
        else:
            found.append([slot, slot])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found) or "none"
