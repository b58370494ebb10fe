"""Times of events in every unit, to the picosecond where the message has it."""

import pickle
from typing import Any

import pytest

from rawdaq.protocols.events.times import DecimalFloat, Origin, Stamp, TimeImpossible, Unit, reader

UTC_NS = 1_790_000_000_250_000_000


@pytest.mark.parametrize(
    ("fields", "values", "stamp"),
    [
        ([], {}, Stamp(None, 0, None)),
        ([("t", "s")], {"t": 1_790_000_000}, Stamp(1_790_000_000 * 10**9, 0, None)),
        ([("t", "ms")], {"t": 1_790_000_000_250}, Stamp(UTC_NS, 0, None)),
        ([("t", "us")], {"t": 1_790_000_000_250_000}, Stamp(UTC_NS, 0, None)),
        ([("t", "ns")], {"t": UTC_NS}, Stamp(UTC_NS, 0, None)),
        ([("t", "ps")], {"t": UTC_NS * 1000 + 7}, Stamp(UTC_NS, 7, None)),
        ([("s", "s"), ("n", "ns")], {"s": 1_790_000_000, "n": 250_000_000}, Stamp(UTC_NS, 0, None)),
        ([("s", "s"), ("p", "ps")], {"s": 1_790_000_000, "p": 250_000_000_999}, Stamp(UTC_NS, 999, None)),
        ([("t", "s")], {"t": 1_790_000_000.25}, Stamp(UTC_NS, 0, None)),
        ([("t", "s")], {"t": 1.1}, Stamp(1_100_000_000, 0, None)),
        ([("t", "s")], {"t": DecimalFloat("1790000000.250000000123")}, Stamp(UTC_NS, 123, None)),
        ([("t", "s")], {"t": "1790000000.25"}, Stamp(UTC_NS, 0, None)),
        ([("t", "iso")], {"t": "2026-09-21T14:13:20.25Z"}, Stamp(UTC_NS, 0, None)),
        ([("t", "ns")], {"t": -1}, Stamp(-1, 0, None)),
    ],
)
def test_a_time_is_read_exactly(fields: list[tuple[str, str]], values: dict[str, Any], stamp: Stamp) -> None:
    assert reader([(name, Unit(unit)) for name, unit in fields], Origin.UTC)(values) == stamp


def test_a_clock_of_the_device_makes_no_utc() -> None:
    assert reader([("tack", Unit.NANOSECONDS)], Origin.DEVICE)({"tack": 2**64 - 1}) == Stamp(None, 0, 2**64 - 1)


@pytest.mark.parametrize(
    ("unit", "origin", "value", "text"),
    [
        ("s", "utc", None, "t is missing, not a time in s"),
        ("iso", "utc", 5, "t is 5, not a UTC time like"),
        ("iso", "utc", "yesterday", "t is 'yesterday', not a UTC time like"),
        ("s", "utc", "x", "t is 'x', not a time in s"),
        ("s", "utc", "nan", "t is 'nan', not a time in s"),
        ("s", "utc", float("inf"), "t is inf, not a time in s"),
        ("s", "utc", "1e999999", "t is '1e999999', not a time in s"),
        ("s", "utc", True, "t is True, not a time in s"),
        ("s", "utc", [1], r"t is \[1\], not a time in s"),
        ("s", "utc", 10**12, "t is 10{21} ns, not a time in the years 1678-2261"),
        ("s", "utc", -(10**12), "not a time in the years"),
        ("ns", "device", -1, "t is -1 ns, not a time of 64 bits"),
        ("us", "device", 2**64 - 1, "not a time of 64 bits"),
    ],
)
def test_what_is_no_time_is_refused(unit: str, origin: str, value: object, text: str) -> None:
    with pytest.raises(TimeImpossible, match=text) as caught:
        reader([("t", Unit(unit))], Origin(origin))({"t": value})
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
