from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.times import (
    MAX_YEAR,
    MIN_YEAR,
    NS_PER_DAY,
    NS_PER_S,
    Calendar,
    days_in_year,
    from_calendar,
    from_datetime,
    from_iso,
    sample_time,
    span_ns,
    to_calendar,
    to_datetime,
    to_iso,
)

FIRST_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0)
LAST_NS = from_calendar(MAX_YEAR, 365, 23, 59, 59, 999_999_999)
times = st.integers(FIRST_NS, LAST_NS)
rates = st.floats(1e-4, 1e7)


@given(times)
def test_a_calendar_reading_is_the_time_that_it_came_from(time_ns: int) -> None:
    assert from_calendar(*to_calendar(time_ns)) == time_ns


@given(times)
def test_the_calendar_agrees_with_the_standard_library(time_ns: int) -> None:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)
    fields = when.year, when.timetuple().tm_yday, when.hour, when.minute, when.second
    assert to_calendar(time_ns)[:5] == fields
    assert to_datetime(time_ns) == when
    assert from_datetime(when) == time_ns // 1000 * 1000


@given(times, st.integers(0, 9))
def test_iso_text_names_the_time_down_to_its_digits(time_ns: int, digits: int) -> None:
    step_ns = 10 ** (9 - digits)
    assert from_iso(to_iso(time_ns, digits)) == time_ns // step_ns * step_ns
    assert len(to_iso(time_ns, digits)) == (21 + digits if digits else 20)


def test_int64_holds_every_time_of_the_years_that_are_allowed() -> None:
    assert -(2**63) <= FIRST_NS < LAST_NS < 2**63
    assert to_iso(0, 0) == "1970-01-01T00:00:00Z"


def test_second_60_is_the_first_second_of_the_next_minute() -> None:
    assert from_calendar(2016, 366, 23, 59, 60) == from_calendar(2017, 1, 0, 0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        (MIN_YEAR - 1, 1, 0, 0, 0, 0),
        (MAX_YEAR + 1, 1, 0, 0, 0, 0),
        (2026, 0, 0, 0, 0, 0),
        (2026, 366, 0, 0, 0, 0),
        (2024, 367, 0, 0, 0, 0),
        (2026, 1, 24, 0, 0, 0),
        (2026, 1, 0, 60, 0, 0),
        (2026, 1, 0, 0, 61, 0),
        (2026, 1, 0, 0, 0, NS_PER_S),
        (2026, 1, -1, 0, 0, 0),
    ],
)
def test_a_date_that_does_not_exist_is_refused(fields: tuple[int, int, int, int, int, int]) -> None:
    with pytest.raises(InvalidValue):
        from_calendar(*fields)


@pytest.mark.parametrize("time_ns", [FIRST_NS - 1, LAST_NS + 1, -(10**30), 10**30])
def test_a_time_beyond_the_calendar_is_refused(time_ns: int) -> None:
    with pytest.raises(InvalidValue):
        to_calendar(time_ns)


@pytest.mark.parametrize("text", ["", "2026", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00.1234567890Z", "now"])
def test_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        from_iso(text)


def test_a_naive_datetime_means_utc_and_a_time_zone_is_obeyed() -> None:
    assert from_datetime(datetime(2026, 11, 21)) == from_iso("2026-11-21T00:00:00Z")
    zurich = timezone(timedelta(hours=1))
    assert from_datetime(datetime(2026, 11, 21, 1, tzinfo=zurich)) == from_iso("2026-11-21T00:00:00Z")


def test_century_years_are_leap_years_only_every_400() -> None:
    assert [days_in_year(year) for year in (1900, 2000, 2023, 2024)] == [365, 366, 365, 366]


@given(st.integers(0, 10**7), rates)
def test_a_span_is_the_exact_quotient_rounded(samples: int, rate_hz: float) -> None:
    exact = Fraction(samples) * NS_PER_S / Fraction(rate_hz)
    assert abs(span_ns(samples, rate_hz) - exact) <= Fraction(1, 2) + exact * Fraction(1, 2**51)


@given(times, st.integers(0, 10**6), rates)
def test_the_time_of_a_sample_is_the_start_and_its_span(start_ns: int, index: int, rate_hz: float) -> None:
    assert sample_time(start_ns, index, rate_hz) == start_ns + span_ns(index, rate_hz)


def test_a_calendar_reading_has_names() -> None:
    assert to_calendar(NS_PER_DAY + 1) == Calendar(1970, 2, 0, 0, 0, 1)
