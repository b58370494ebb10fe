"""Made-up components, streams and signals, in the form of the web server's models."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rawdaq.control.web.models import (
    Component,
    ComponentDetail,
    Coordinates,
    Endpoint,
    Event,
    LogLine,
    Publisher,
    Stream,
)

Json = dict[str, Any]

RATE_HZ = 100.0
DISK = {"size_bytes": 4e12, "free_bytes": 2e12, "grows_bytes_per_day": 412e6, "left_s": 93 * 86400.0}
PROBLEMS = {
    "no data": (800, "192.0.2.7:65535 is not connected: connection refused"),
    "late": (500, "the newest sample is 41 s old"),
    "stopped": (10, "stopped by a person"),
    "well": (0, ""),
}


def text_of(ms: float) -> str:
    """Return a time as the server writes it."""
    return f"{np.datetime64(round(ms), 'ms')}000000Z"


def component(key: str, condition: str = "well", **changes: Any) -> Json:
    """Return a component of three streams in a condition."""
    network, station, name = key.split(".")
    number, sentence = PROBLEMS[condition]
    streams = [f"{network}.{station}.00.HH{letter}" for letter in "ENZ"]
    made: Json = {
        **{"condition": condition, "number": number, "sentence": sentence, "since": None, "key": key, "name": name},
        **{"title": f"{station}/{name}", "station": f"{network}.{station}", "problems": [sentence] if sentence else []},
        **{"state": "stopped" if condition == "stopped" else "running", "receiver": "RawReceiver"},
        **{"publishers": ["live", "archive"], "group": None, "pid": 4711, "file": "/etc/rawdaq/demo.yaml"},
        **{"uptime_s": 93784.2, "streams": streams, "latency_s": 0.21, "readers": 2, "dropped": 0, "gaps": 2},
        **{"waiting": 0, "has_live": True, "has_archive": True, "coordinates": None, "asked": None, "answer_s": 0.001},
    }
    return Component.model_validate(made | changes).model_dump()


def stream(name: str, key: str, condition: str = "well", **changes: Any) -> Json:
    """Return a stream of a component."""
    number, sentence = PROBLEMS[condition]
    made: Json = {
        **{"condition": condition, "number": number, "sentence": sentence, "since": None, "id": name, "component": key},
        **{"station": ".".join(name.split(".")[:2]), "rate_hz": RATE_HZ, "sample_type": "int32", "last_sample": None},
        **{"age_s": 0.3, "latency_s": 0.21, "latency_max_s": 1.9, "silent_s": None, "clock": None},
        **{"timing_quality": 100, "packets": 1200, "samples": 60000, "bytes": 240000, "gaps": 2, "gap_s": 4.5},
        **{"gaps_hour": 0, "gaps_day": 2, "overlaps": 0, "overlap_s": 0.0, "backwards": 0, "rate_mismatches": 0},
        **{"has_live": True, "has_archive": True},
    }
    return Stream.model_validate(made | changes).model_dump()


def detail(of: Json, streams: list[Json]) -> Json:
    """Return all that is known of a component."""
    is_connected = of["condition"] != "no data"
    failure = None if is_connected else "connection refused"
    endpoint = Endpoint(
        address="192.0.2.7:65535", connected=is_connected, last_failure=failure, more={"reconnections": 3}
    )
    common: Json = {"state": "running", "reason": None, "problem": None, "delivered": 1200, "waiting": 0}
    common |= {"waiting_bytes": 0, "dropped": 0, "address": None, "readers": None, "folder": None, "more": {}}
    live = {"name": "live", "class_name": "ZMQTCPPublisher", "address": "tcp://127.0.0.1:9004", "readers": 2}
    archive = {"name": "archive", "class_name": "MiniSeedPublisher", "folder": "/data/archive"}
    more: Json = {
        "endpoints": [endpoint],
        "receiver_more": {"device": "fake", "protocol": "RAW 1.0"},
        "publisher_list": [Publisher.model_validate(common | live), Publisher.model_validate(common | archive)],
        "journal": None,
        "disks": {"archive": {**DISK, "path": "/data/archive"}},
        "stream_list": streams,
    }
    return ComponentDetail.model_validate(of | more).model_dump()


def event(serial: int, of: Json, before: str, ms: float) -> Json:
    """Return what is said when a component has changed."""
    keys = ("title", "condition", "number", "sentence")
    values = {name: of[name] for name in keys}
    made = {**values, "serial": serial, "time": text_of(ms), "component": of["key"], "before": before}
    return Event.model_validate(made).model_dump()


def log_line(ms: float, level: str, text: str) -> Json:
    """Return a line of a log."""
    return LogLine(time=text_of(ms), level=level, logger="rawdaq.receivers.RawReceiver", text=text).model_dump()


def place(latitude_deg: float, longitude_deg: float) -> Json:
    """Return coordinates."""
    return Coordinates(latitude_deg=latitude_deg, longitude_deg=longitude_deg).model_dump()


def signal(name: str, first: int, count: int, stride: int = 1) -> npt.NDArray[np.int32]:
    """Return samples of a stream: some noise and a swell.

    They depend on the name and on their number since 1970 alone.
    """
    number = np.arange(first, first + count, stride, dtype=np.int64)
    seed = sum(name.encode()) * 7919
    mixed = (number + seed).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    noise = ((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5
    seconds = number / RATE_HZ + seed % 97
    swell = np.sin(seconds * 2 * np.pi / (5 + seed % 4))
    # Whatever part of it is drawn first, 1250 is the scale.
    values: npt.NDArray[np.int32] = np.round(1000 * (noise + 0.38 * swell)).astype(np.int32)
    return values


@dataclass
class Contents:
    """What the made-up server has.

    Attributes:
        components: by key.
        streams: by name.
        gaps: of the signals, in ms.
        lines: of every log.
        events: what has happened.
        mistakes: in station files.
    """

    components: dict[str, Json]
    streams: dict[str, Json]
    gaps: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    lines: list[Json] = field(default_factory=list[Json])
    events: list[Json] = field(default_factory=list[Json])
    mistakes: list[str] = field(default_factory=list[str])

    @classmethod
    def of(cls, components: list[Json]) -> "Contents":
        """Return components with all their streams."""
        streams = {
            name: stream(name, made["key"], "no data" if made["condition"] == "no data" else "well")
            for made in components
            for name in made["streams"]
        }
        return cls({made["key"]: made for made in components}, streams)

    @classmethod
    def network(cls, count: int, *, now_ms: float) -> "Contents":
        """Return so many stations in four networks, on the coasts of the Mediterranean Sea, some of them not well."""
        made: list[Json] = []
        for k in range(count):
            code = f"{'ABCD'[k % 4]}{k // 4:03}"
            condition = "no data" if k % 331 == 7 else "late" if k % 143 == 5 else "stopped" if k % 500 == 9 else "well"
            where = place(35 + (k * 0.618 % 1) * 11, 6 + (k * 0.7548 % 1) * 20)
            since = text_of(now_ms - 1000 * (83 * k + 40)) if condition != "well" else None
            latency = {"no data": None, "late": 41.3, "stopped": None}.get(condition, 0.1 + k % 9 / 10)
            key = f"{('XX', 'XY', 'YA', 'ZZ')[k % 4]}.{code}.RawReceiver"
            made.append(component(key, condition, coordinates=where, since=since, latency_s=latency))
        return cls.of(made)

    def parts(self, first: int, end: int) -> list[tuple[int, int]]:
        """Return what is left of samples *first* to *end* without the gaps."""
        parts = [(first, end)]
        for start_ms, end_ms in self.gaps:
            begin, stop = round(start_ms * RATE_HZ / 1000), round(end_ms * RATE_HZ / 1000)
            parts = [
                piece for a, b in parts for piece in ((a, min(b, begin)), (max(a, stop), b)) if piece[0] < piece[1]
            ]
        return parts
