"""The four modes select by number and time: the tables of the protocol's description, and the formulas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.publishers.repeater.modes import Mode, Origin, Rule, Selector, parameter_mistake

_S = 1_000_000_000


def frames(text: str) -> list[int]:
    """Return the numbers that *text* lists, with ranges like 0-4."""
    numbers: list[int] = []
    for word in text.split():
        first, _, last = word.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def sent(rule: Rule, numbers: list[int]) -> list[int]:
    selector = Selector(rule)
    return [number for number in numbers if selector.wants(number, 0)]


NTH, STRIDES, BLOCK = Mode.EVERY_NTH, Mode.STRIDES, Mode.EVERY_NTH_FRAME


@pytest.mark.parametrize(
    ("mode", "parameter", "block", "expected"),
    [
        (NTH, 1, 15, "0-19"),
        (NTH, 2, 15, "0 2 4 6 8 10 12 14 16 18"),
        (NTH, 3, 15, "0 3 6 9 12 15 18"),
        (NTH, 7, 15, "0 7 14"),
        (STRIDES, 1, 15, "0 2 4 6 8 10 12 14 16 18"),
        (STRIDES, 2, 15, "0-1 4-5 8-9 12-13 16-17"),
        (STRIDES, 3, 15, "0-2 6-8 12-14 18-19"),
        (STRIDES, 5, 15, "0-4 10-14"),
        (STRIDES, 10, 15, "0-9"),
        (STRIDES, 20, 15, "0-19"),
        (BLOCK, 3, 15, "0-2 15-17"),
        (BLOCK, 5, 10, "0-4 10-14"),
        (BLOCK, 3, 5, "0-2 5-7 10-12 15-17"),
        (BLOCK, 1, 4, "0 4 8 12 16"),
        (BLOCK, 8, 15, "0-7 15-19"),
        (BLOCK, 4, 4, "0-19"),
    ],
)
def test_twenty_frames_from_zero(mode: Mode, parameter: int, block: int, expected: str) -> None:
    assert sent(Rule(mode, parameter, block), list(range(20))) == frames(expected)


ZERO, FIRST = Origin.ZERO, Origin.FIRST


@pytest.mark.parametrize(
    ("numbers", "origin", "nth", "strides", "block"),
    [
        ("1-20", ZERO, "3 6 9 12 15 18", "1-2 6-8 12-14 18-20", "1 5-6 10-11 15-16 20"),
        ("1-20", FIRST, "1 4 7 10 13 16 19", "1-3 7-9 13-15 19-20", "1-2 6-7 11-12 16-17"),
        ("0-5 7-19", ZERO, "0 3 9 12 15 18", "0-2 7-8 12-14 18-19", "0-1 5 10-11 15-16"),
        ("0-4 8-19", ZERO, "0 3 9 12 15 18", "0-2 8 12-14 18-19", "0-1 10-11 15-16"),
        ("0-9 0-9", ZERO, "0 3 6 9 0 3 6 9", "0-2 6-8 0-2 6-8", "0-1 5-6 0-1 5-6"),
        ("5-14 0-9", ZERO, "6 9 12 0 3 6 9", "6-8 12-14 0-2 6-8", "5-6 10-11 0-1 5-6"),
        ("5-14 0-9", FIRST, "5 8 11 14 0 3 6 9", "5-7 11-13 0-2 6-8", "5-6 10-11 0-1 5-6"),
        ("0-9 1000-1009", ZERO, "0 3 6 9 1002 1005 1008", "0-2 6-8 1002-1004 1008-1009", "0-1 5-6 1000-1001 1005-1006"),
        (
            "7766800-7766819",
            ZERO,
            "7766802 7766805 7766808 7766811 7766814 7766817",
            "7766802-7766804 7766808-7766810 7766814-7766816",
            "7766800-7766801 7766805-7766806 7766810-7766811 7766815-7766816",
        ),
        ("0 1 3 2 2 4-18", ZERO, "0 3 6 9 12 15 18", "0 1 2 2 6-8 12-14 18", "0-1 5-6 10-11 15-16"),
    ],
)
def test_other_numberings(numbers: str, origin: Origin, nth: str, strides: str, block: str) -> None:
    given_numbers = frames(numbers)
    assert sent(Rule(NTH, 3, 15, origin), given_numbers) == frames(nth)
    assert sent(Rule(STRIDES, 3, 15, origin), given_numbers) == frames(strides)
    assert sent(Rule(BLOCK, 2, 5, origin), given_numbers) == frames(block)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (1, "0 4 8 12 16"),
        (0.2, "0-19"),
        (0.5, "0 2 4 6 8 10 12 14 16 18"),
        (2, "0 8 16"),
        (0.3, "0 2 3 4 5 6 8 9 10 11 12 14 15 16 17 18"),
    ],
)
def test_every_so_many_seconds_of_four_frames_a_second(seconds: float, expected: str) -> None:
    selector = Selector(Rule(Mode.EVERY_SEC, seconds))
    chosen = [index for index in range(20) if selector.wants(1000 - index, 77 + index * _S // 4)]
    assert chosen == frames(expected)


def test_after_a_silence_one_frame_goes_out_at_once_and_no_burst_follows() -> None:
    selector = Selector(Rule(Mode.EVERY_SEC, 1))
    chosen = [index for index in range(20) if selector.wants(index, index * _S // 4 + (3 * _S if index >= 8 else 0))]
    assert chosen == frames("0 4 8 12 16")


def test_an_hour_of_ten_hertz_gives_one_frame_a_second_although_frames_come_unevenly() -> None:
    selector = Selector(Rule(Mode.EVERY_SEC, 1))
    chosen = sum(selector.wants(index, index * _S // 10 + index * 7_654_321 % 5_000_000) for index in range(36_000))
    assert chosen in (3600, 3601)


def test_every_stream_has_a_grid_and_an_origin_of_its_own() -> None:
    timed = Selector(Rule(Mode.EVERY_SEC, 1))
    assert [timed.wants(0, at, stream) for at, stream in [(0, "a"), (5, "b"), (10, "a"), (_S + 4, "b"), (_S, "a")]] == [
        True,
        True,
        False,
        False,
        True,
    ]
    counted = Selector(Rule(NTH, 2, 15, FIRST))
    assert [counted.wants(number, 0, stream) for number, stream in [(1, "a"), (4, "b"), (2, "a"), (6, "b")]] == [
        True,
        True,
        False,
        True,
    ]


RULES = st.one_of(
    st.builds(Rule, st.sampled_from([NTH, STRIDES]), st.integers(1, 50), st.just(15), st.sampled_from(Origin)),
    st.integers(1, 50).flatmap(
        lambda block: st.builds(Rule, st.just(BLOCK), st.integers(1, block), st.just(block), st.sampled_from(Origin))
    ),
)


@given(RULES, st.lists(st.integers(0, 300), max_size=60))
def test_the_formulas_hold_for_any_numbers(rule: Rule, numbers: list[int]) -> None:
    expected: list[int] = []
    for at, number in enumerate(numbers):
        k = number - (min(numbers[: at + 1]) if rule.origin is FIRST else 0)
        n = int(rule.parameter)
        is_sent = {NTH: k % n == 0, STRIDES: (k // n) % 2 == 0, BLOCK: k % rule.block < n}[rule.mode]
        expected += [number] if is_sent else []
    assert sent(rule, numbers) == expected


@given(st.floats(0.001, 10), st.lists(st.integers(0, 20 * _S), min_size=1, max_size=60).map(sorted))
def test_the_first_frame_of_each_period_goes_out(seconds: float, arrivals: list[int]) -> None:
    selector, period_ns = Selector(Rule(Mode.EVERY_SEC, seconds)), round(seconds * _S)
    periods = [(at - arrivals[0]) // period_ns for at in arrivals]
    chosen = [period for at, period in zip(arrivals, periods, strict=True) if selector.wants(0, at)]
    assert chosen == sorted(set(periods))


@pytest.mark.parametrize(
    ("mode", "parameter", "block", "text"),
    [
        (NTH, 0, 15, "is not a whole number of at least 1"),
        (NTH, -3, 15, "is not a whole number of at least 1"),
        (STRIDES, 1.5, 15, "is not a whole number of at least 1"),
        (STRIDES, float("inf"), 15, "is not a whole number of at least 1"),
        (BLOCK, 10, 5, "is above frame_block 5"),
        (BLOCK, 10, 5, "the original had the two exchanged"),
        (Mode.EVERY_SEC, 0, 15, "is not a number of seconds above 0"),
        (Mode.EVERY_SEC, float("nan"), 15, "is not a number of seconds above 0"),
        (Mode.EVERY_SEC, 1e-10, 15, "is not a number of seconds above 0"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_with_what_would_be_right(
    mode: Mode, parameter: float, block: int, text: str
) -> None:
    assert text in (parameter_mistake(mode, parameter, block) or "")


@pytest.mark.parametrize(("mode", "parameter"), [(NTH, 1), (STRIDES, 2.0), (BLOCK, 15), (Mode.EVERY_SEC, 0.3)])
def test_a_parameter_that_can_be_is_accepted(mode: Mode, parameter: float) -> None:
    assert parameter_mistake(mode, parameter, 15) is None
