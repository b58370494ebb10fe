"""FDSN's extra headers, by which libmseed says and takes what has no field of its own, as JSON."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rawdaq.marks import Marks
from rawdaq.miniseed.format import USUAL_PUBLICATION

#: Those that stand for flags of a miniSEED 2 header.
_FLAGS: Mapping[str, frozenset[str]] = {
    "Event": frozenset({"Begin", "End", "InProgress"}),
    "Time": frozenset({"LeapSecond"}),
    "Flags": frozenset(
        {
            "StationVolumeParityError",
            "LongRecordRead",
            "ShortRecordRead",
            "StartOfTimeSeries",
            "EndOfTimeSeries",
            "AmplifierSaturation",
            "DigitizerClipping",
            "Spikes",
            "Glitches",
            "MissingData",
            "TelemetrySyncError",
            "FilterCharging",
        }
    ),
}
_MAX_CACHED = 1 << 12


def read_headers(data: bytes) -> dict[str, Any]:
    """Return FDSN's part of extra headers; empty when they are not what they should be."""
    try:
        headers: dict[str, Any] | None = json.loads(data)["FDSN"]
    except (ValueError, LookupError, TypeError):  # they may hold anything
        return {}
    return headers if isinstance(headers, dict) else {}


def timing_quality(headers: Mapping[str, Any]) -> int | None:
    """Return the timing quality in percent, None when they do not say."""
    try:
        quality = headers["Time"]["Quality"]
        return round(quality) if 0 <= quality <= 100 else None
    except (LookupError, TypeError):
        return None


def marks_of(version: int, publication: int, flags: int, headers: Mapping[str, Any]) -> Marks | None:
    """Return what the fields and extra headers of a record say; None when that is what records usually say."""
    return _marks(version, publication, flags, _flags_text(headers) if headers else "")


@lru_cache(_MAX_CACHED)
def _marks(version: int, publication: int, flags: int, headers: str) -> Marks | None:
    marks = Marks(0 if publication == USUAL_PUBLICATION[version] else publication, flags, headers)
    return None if marks == Marks() else marks


def _flags_text(headers: Mapping[str, Any]) -> str:
    """Return those of *headers* that are flags, as JSON; empty when none is."""
    kept: dict[str, dict[str, Any]] = {}
    for group, names in _FLAGS.items():
        values: Any = headers.get(group)
        if isinstance(values, dict):
            flags: dict[str, Any] = {
                name: values[name] for name in sorted(names & values.keys()) if isinstance(values[name], int)
            }
            if flags:
                kept[group] = flags
    return _text(kept) if kept else ""


def extra_headers(sequence: int | None, quality: int | None, flags: str) -> bytes:
    """Return extra headers for a record; empty when they would say nothing.

    Args:
        sequence: its number, None when that is said elsewhere.
        quality: its timing quality; None: it is not known, or said elsewhere.
        flags: `Marks.headers`.
    """
    if not flags and sequence is not None:
        time = b"" if quality is None else b',"Time":{"Quality":%d}' % quality
        return b'{"FDSN":{"Sequence":%d%b}}' % (sequence, time)
    headers: dict[str, Any] = json.loads(flags) if flags else {}
    if quality is not None:
        headers["Time"] = headers.get("Time", {}) | {"Quality": quality}
    if sequence is not None:
        headers["Sequence"] = sequence
    return _text({"FDSN": headers}).encode() if headers else b""


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
