"""Records with values in their headers that cannot be, for the tests of all that reads records."""

import struct
from collections.abc import Callable, Mapping

from rawdaq.miniseed.format import Record

Change = Callable[[bytearray], None]


def _crc32c(data: bytearray) -> int:
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F6_3B78 if crc & 1 else 0)
    return crc ^ 0xFFFF_FFFF


def put(offset: int, layout: str, *values: float | bytes) -> Change:
    """Return what writes *values* into a record."""

    def change(record: bytearray) -> None:
        struct.pack_into(layout, record, offset, *values)

    return change


def put_rate(rate_hz: float) -> Change:
    """Return what gives a miniSEED 2 record a blockette 100 in place of its blockette 1001."""

    def change(record: bytearray) -> None:
        struct.pack_into(">HHf", record, 56, 100, 0, rate_hz)

    return change


#: By what cannot be, a change of a miniSEED 2 record.
VERSION_2: Mapping[str, Change] = {
    **{f"year {year}": put(20, ">H", year) for year in (0, 1500, 1677, 2262, 2300, 65_535)},
    **{f"day {day}": put(22, ">H", day) for day in (0, 366, 367, 65_535)},
    **{f"hour {hour}": put(24, "B", hour) for hour in (24, 255)},
    **{f"minute {minute}": put(25, "B", minute) for minute in (60, 255)},
    **{f"second {second}": put(26, "B", second) for second in (61, 255)},
    **{f"fraction {fraction}": put(28, ">H", fraction) for fraction in (10_000, 65_535)},
    **{f"{count} samples": put(30, ">H", count) for count in (0, 65_535)},
    **{f"rate {factor} x {by}": put(32, ">hh", factor, by) for factor, by in ((0, 0), (0, 1), (-32_768, -32_768))},
    **{f"rate {rate}": put_rate(rate) for rate in (0, 1e-10, 1e-8, 1e12, -1, 3e38, float("nan"), float("inf"))},
    "flags": put(36, "BBB", 255, 255, 255),
    "255 blockettes": put(39, "B", 255),
    "time correction": put(40, ">i", -(2**31)),
    **{f"data at {offset}": put(44, ">H", offset) for offset in (0, 48, 511, 65_535)},
    **{f"blockettes at {offset}": put(46, ">H", offset) for offset in (0, 47, 65_535)},
    "blockettes in a circle": put(50, ">H", 48),
    **{f"encoding {encoding}": put(52, "B", encoding) for encoding in (99, 255)},
    "byte order 7": put(53, "B", 7),
    **{f"length exponent {exponent}": put(54, "B", exponent) for exponent in (0, 6, 8, 10, 20, 255)},
    "quality X": put(6, "B", ord("X")),
    "no name": put(8, "12s", b" " * 12),
    "odd name": put(8, "12s", b"\xff\x00a.b_*?!    "),
    "timing quality 255": put(60, "B", 255),
}


def _with_crc(change: Change) -> Change:
    def changed(record: bytearray) -> None:
        change(record)
        record[28:32] = bytes(4)
        struct.pack_into("<I", record, 28, _crc32c(record))

    return changed


#: By what cannot be, a change of a miniSEED 3 record; its checksum is right.
VERSION_3: Mapping[str, Change] = {
    name: _with_crc(change)
    for name, change in {
        "flags": put(3, "B", 255),
        "nanosecond": put(4, "<I", 2_000_000_000),
        **{f"year {year}": put(8, "<H", year) for year in (0, 1500, 2300, 65_535)},
        **{f"day {day}": put(10, "<H", day) for day in (0, 366, 367)},
        "hour 24": put(12, "B", 24),
        "second 61": put(14, "B", 61),
        "encoding 99": put(15, "B", 99),
        **{
            f"rate {rate}": put(16, "<d", rate)
            for rate in (0, 1e-10, -1e-10, 1e-8, 1e12, -1e12, 1e308, 5e-324, -5e-324, float("nan"), float("inf"))
        },
        **{f"{count} samples": put(24, "<I", count) for count in (0, 7, 2**32 - 1)},
        "publication version 0": put(32, "B", 0),
        "no name": put(33, "B", 0),
        "extra headers of 65535 bytes": put(34, "<H", 65_535),
        "data of 4 GB": put(36, "<I", 2**32 - 1),
        "data of 8 bytes": put(36, "<I", 8),
    }.items()
} | {"checksum": put(28, "<I", 1)}


def impossible(record: Record, change: Change) -> bytes:
    """Return *record* with one impossible value."""
    data = bytearray(record.data)
    change(data)
    return bytes(data)


#: All of them: the version and what cannot be.
CASES = [(2, name) for name in VERSION_2] + [(3, name) for name in VERSION_3]


def made_impossible(record: Record, version: int, name: str) -> bytes:
    """Return *record*, which is of that *version*, with the value *name*."""
    return impossible(record, (VERSION_2 if version == 2 else VERSION_3)[name])
