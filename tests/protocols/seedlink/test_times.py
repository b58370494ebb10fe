import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.protocols.seedlink.times import comma_time, parse_time
from rawdaq.times import NS_PER_S, from_calendar, to_iso

NOON_NS = from_calendar(2026, 333, 12, 3, 4)  # 29 November

TIMES = {
    "2026,11,29,12,03,04": NOON_NS,
    "2026,11,29,12,3,4": NOON_NS,  # ObsPy
    "2026,11,29,12,03,04.5": NOON_NS + NS_PER_S // 2,
    "2026-11-29T12:03:04Z": NOON_NS,
    "2026-11-29T12:03:04": NOON_NS,
    "2026-11-29T12:03:04.123456789Z": NOON_NS + 123_456_789,
    "2026/11/29 12:03:04.0000": NOON_NS,  # SeisComP's INFO
    "1970,1,1,0,0,0": 0,
}

NO_TIMES = [
    "",
    "yesterday",
    "2026,11,29",
    "2026,13,29,12,3,4",
    "2026,11,29,12,3,60",
    "2026-11-29T12:03:04+01:00",
    "0001,1,1,0,0,0",
    "9999,1,1,0,0,0",
    "2026,11,29,12,3,4." + "0" * 40,
    "\uff12026,11,29,12,3,4",  # a digit, but not of ASCII
]


@pytest.mark.parametrize("text", TIMES)
def test_every_form_is_read(text: str) -> None:
    assert parse_time(text) == TIMES[text]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is"):
        parse_time(text)


@given(st.integers(min_value=0, max_value=from_calendar(2200, 1, 0, 0, 0)))
def test_what_is_written_is_read_again(time_ns: int) -> None:
    assert parse_time(comma_time(time_ns)) == time_ns // NS_PER_S * NS_PER_S
    assert parse_time(to_iso(time_ns, 9)) == time_ns
