"""A station file made of a configuration of ssdaq, and what of it could not be taken over."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rawdaq.config import StationSettings
from rawdaq.times import NS_PER_S

_Options = dict[str, Any]
_Taken = Callable[["_Part"], tuple[str, _Options] | None]

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_SUFFIXES = {"date": "date", "order": "order", "None": None, "none": None, None: None}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_READOUTS = "readout"
#: Of which kind the messages are that a writer of ssdaq writes, by a part of its class.
_WRITTEN = {
    "SlowSignal": _READOUTS,
    "SSReadout": _READOUTS,
    "Trigger": "event",
    "Timestamp": "event",
    "Log": "log",
    "Mon": "monitor",
    "TelData": "telemetry",
}


class _Part:
    """One block of the configuration, whose keys are taken out one by one; the rest could not be taken over."""

    def __init__(self, where: str, given: object, notes: list[str]) -> None:
        self.where = where
        self._left = {str(key): value for key, value in _keys(given).items()}
        self._notes = notes
        if given is not None and not isinstance(given, Mapping):
            notes.append(f"{where}: is not a block of keys")

    def take(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, which counts as taken over."""
        return self._left.pop(key, default)

    def number(self, key: str) -> float | None:
        """Return the number of *key*; another value is noted."""
        value = self.take(key)
        try:
            return None if value is None else float(value)
        except (TypeError, ValueError):
            self.note(key, f"{value!r} is no number")
            return None

    def note(self, key: str, reason: str) -> None:
        """Note that *key* was not taken over."""
        self._notes.append(f"{self.where}.{key}: {reason}")

    def finish(self) -> None:
        """Note all keys that nobody took."""
        for key in self._left:
            self.note(key, "is not known here")


def _keys(given: object) -> Mapping[Any, Any]:
    """Return *given* where it is a block of keys."""
    return given if isinstance(given, Mapping) else {}  # pyright: ignore[reportUnknownVariableType] - YAML has no types


def convert(given: Mapping[str, Any], station: StationSettings) -> tuple[str, list[str]]:
    """Return a station file, and what of *given* could not be taken over, a line each.

    Args:
        given: the configuration of ssdaq's receivers or writers, or both in one.
        station: whose file it is.
    """
    notes: list[str] = []
    blocks = [line for name, block in given.items() for line in _component(str(name), block, notes)]
    head = {"network": station.network, "code": station.code, "location": station.location}
    return "\n".join([f"station: {json.dumps(head)}", *blocks]) + "\n", notes


def _component(name: str, given: object, notes: list[str]) -> Iterator[str]:
    block = _Part(name, given, notes)
    is_writer = isinstance(given, Mapping) and "Writer" in given
    part = _Part(
        f"{name}.{'Writer' if is_writer else 'Receiver'}", block.take("Writer" if is_writer else "Receiver"), notes
    )
    class_name = str(part.take("class", ""))
    daemon, found = _daemon(_Part(f"{name}.Daemon", block.take("Daemon"), notes)), None
    publishers: dict[str, _Options] = {}
    if not _NAME.fullmatch(name):
        notes.append(f"{name}: is no name of a component")
    elif is_writer:
        found, publishers = _writer(class_name, part)
    elif (take := _RECEIVERS.get(class_name)) is None:
        part.note("class", f"{class_name or 'nothing'} has no counterpart")
    else:
        found = take(part)
        publishers = _publishers(name, block.take("Publishers"), notes)
    if found is None:
        return
    part.finish()
    block.finish()
    yield f"{name}:"
    yield f"  Receiver: {json.dumps({'class': found[0], **found[1]})}"
    yield "  Publishers:" if publishers else "  Publishers: {}"
    yield from (f"    {each}: {json.dumps(options)}" for each, options in publishers.items())
    if daemon:
        yield f"  Daemon: {json.dumps(daemon)}"


def _daemon(part: _Part) -> _Options:
    found: _Options = {}
    level = str(part.take("log_level", "INFO")).rpartition(".")[2].upper()  # ssdaq evaluates "logging.INFO"
    if level in _LEVELS:
        found["log_level"] = level
    else:
        part.note("log_level", f"{level!r} is none of {', '.join(_LEVELS)}")
    core = part.number("core_id")
    if part.take("set_taskset", False) and core is not None:
        found["core_id"] = int(core)
    for key in ("stdout", "stderr"):
        if part.take(key, "/dev/null") != "/dev/null":
            part.note(key, "a component writes its log into the runtime folder (control-rawdaq logs NAME)")
    part.finish()
    return found


def _address(part: _Part, prefix: str = "") -> _Options:
    port = part.number(f"{prefix}port")
    return {"ip": part.take(f"{prefix}ip", "0.0.0.0")} | ({} if port is None else {"port": int(port)})


def _assembler(part: _Part) -> tuple[str, _Options]:
    options = {**_address(part, "listen_"), "format": "slow_signal", "values": "float64"}
    options["slots"] = {"by": "octet", "first": 100, "count": 32}
    part.note("slots", "written for the addresses .100 to .131; correct it where the modules have others")
    for key, option in (("readout_tw", "window_s"), ("buffer_time", "span_s")):
        if (time_ns := part.number(key)) is not None:
            options[option] = time_ns / NS_PER_S
    if (length := part.number("buffer_length")) is not None:
        options["max_open"] = int(length)
    if part.take("relaxed_ip_range", False):
        part.note("relaxed_ip_range", "name the senders in `slots`")
    if part.take("packet_debug_stream_file") is not None:
        part.note("packet_debug_stream_file", "had no effect; `capture: FILE` keeps the datagrams")
    return "ReadoutAssembler", options


def _timestamps(part: _Part) -> tuple[str, _Options]:
    where = _address(part)
    return "TimestampReceiver", {
        "endpoints": [f"tcp://{where['ip']}:{where.get('port', 6666)}"],
        "format": "chec_timestamp",
    }


def _telemetry(part: _Part) -> None:
    part.note(
        "class", "TelDataReceiver has its database in its source; use TelemetryReceiver with `source: {sql: ...}`"
    )


_RECEIVERS: Mapping[str, _Taken] = {
    "ReadoutAssembler": _assembler,
    "TriggerPacketReceiver": lambda part: ("TriggerReceiver", _address(part) | {"format": "chec_trigger"}),
    "TimestampReceiver": _timestamps,
    "LogReceiver": lambda part: ("ChecLogReceiver", _address(part)),
    "MonitorReceiver": lambda part: ("ChecMonitorReceiver", _address(part)),
    "TelDataReceiver": _telemetry,
}


def _publishers(name: str, given: object, notes: list[str]) -> dict[str, _Options]:
    found: dict[str, _Options] = {}
    for key, block in _keys(given).items():
        part = _Part(f"{name}.Publishers.{key}", block, notes)
        match part.take("class"):
            case "ZMQTCPPublisher":
                options = {"class": "ZMQTCPPublisher", **_address(part), "mode": part.take("mode", "local")}
            case "RawWriter":
                options = {"class": "RawWriter", "path": part.take("file_name", f"{name}.raw")}
            case other:
                part.note("class", f"{other} has no counterpart")
                continue
        part.finish()
        found[str(key)] = options
    return found


def _writer(class_name: str, part: _Part) -> tuple[tuple[str, _Options] | None, dict[str, _Options]]:
    kind = next((kind for word, kind in _WRITTEN.items() if word in class_name), None)
    if kind is None:
        part.note("class", f"{class_name or 'nothing'} has no counterpart")
        return None, {}
    where = _address(part)
    suffix = part.take("file_enumerator")
    if suffix not in _SUFFIXES:
        part.note("file_enumerator", f"{suffix!r} is none of date, order and None")
    is_hdf5 = kind == _READOUTS
    options: _Options = {
        "class": "Hdf5Publisher" if is_hdf5 else "ContainerPublisher",
        "path": part.take("folder") or ".",
        "prefix": part.take("file_prefix", ""),
        "suffix": _SUFFIXES.get(suffix),
    }
    if (limit_mb := part.number("filesize_lim")) is not None:
        options["rotate_mb"] = limit_mb * 1.048576  # MiB
    if options["suffix"] is None:
        options["suffix"] = "date"
        part.note("file_enumerator", "files without a number or a date would be written over; `date` stands there")
    endpoint = f"tcp://{where['ip']}:{where.get('port', 0)}"
    return ("ZMQReceiver", {"endpoints": [endpoint], "messages": [f"~{kind}"]}), {"files": options}
