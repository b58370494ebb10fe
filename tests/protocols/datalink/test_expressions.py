"""Expressions select what Python's own select, in a time that no expression can stretch; others are refused."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.protocols.datalink.expressions import Expression, automaton, syntax

NAMES = ("FDSN:XX_AAA_00_H_H_Z/MSEED", "XX_TOWR__HHZ/JSON", "a/b", "", "FDSN:YY_B-1__B_H_N/MSEED3")
SAME = (
    *("", "^FDSN:X", "B{3}_", ".*/(BZ)?JSON", r"^(FDSN:)?XX_TOWR_+H_?H_?Z/", "_H_H_[ZN]/MSEED$", "[^A-Z]/", "a|b|"),
    *("(A|B)+_", r"\d\d_", r"\bXX", r"D\b", r"\B_", "^$", "x{0}", "(?:X{1,2}_){1,}", "A*?_", "[]a]/", "-1", "(a*)*b"),
    *(r"\.", r"[\d_]+/", "(?P<net>X)X", "A{2,}", "A{4,}", "A{2,3}_", r"^\w+:", r"\W", "[a-c/]{3}", r"[^\d]$", "[-a]"),
    *(r"\AFDSN", r"MSEED\Z", r"\AXX.*N\Z", r"\t", r"X\n?X"),
)


@pytest.mark.parametrize("text", SAME)
def test_it_selects_what_python_selects(text: str) -> None:
    expression = Expression(text)
    for _ in range(2):  # also when it knows the way
        for name in NAMES:
            assert expression.selects(name) == bool(re.search(text, name, re.ASCII)), name


@given(
    st.from_regex(r"(?:[ab.^$|]|\[ab\]|\(a\|b\)|\(b+\)|a[*+?]|a\{1,2\}){0,8}", fullmatch=True),
    st.text("abc", max_size=8),
)
def test_it_selects_what_python_selects_whatever_it_is(text: str, name: str) -> None:
    assert Expression(text).selects(name) == bool(re.search(text, name))


def test_an_expression_may_be_as_long_as_a_command_carries() -> None:
    text = "|".join(["FDSN:XX_AAAAA_00_H_H_Z"] * 870)[:20_000].ljust(20_000, "A")
    assert Expression(text).selects("FDSN:XX_AAAAA_00_H_H_Z/MSEED")


def test_classes_of_posix_and_letters_of_either_case_are_known() -> None:
    assert Expression("[[:upper:]]{4}").selects(NAMES[0])
    assert not Expression("[[:^alnum:]]").selects("abc")
    assert Expression("(?i)mSEED$").selects(NAMES[0])
    assert Expression("(?i)^[f]dsn").selects(NAMES[0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(((", "not closed"),
        ("*a", "nothing that"),
        ("a)", "not opened"),
        ("[a", "not closed"),
        (r"\1", "not understood"),
        ("(?=a)", "not understood"),
        ("(?<!a)b", "not understood"),
        ("é", "ASCII"),
        ("a{5,2}", "repetitions"),
        ("a{2000}", "repetitions"),
        ("[z-a]", "backwards"),
        ("[[:nothing:]]", "no class"),
        ("\\", "ends"),
        ("[\\", "ends"),
        ("(" * 300, "too many groups"),
        ("((.{1000}){1000}){1000}", "too large"),
        ("a" * 70_000, "characters"),
    ],
)
def test_what_it_does_not_know_it_says(text: str, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        Expression(text)


def test_what_unfolds_to_too_much_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "_MAX_STATES", 4000)
    Expression("(a{1000})" * 3)
    with pytest.raises(InvalidValue, match="too large"):
        Expression("(a{1000})" * 4)


@pytest.mark.parametrize("text", ["(a+)+$", "^(a|a)*$", ".*.*.*.*.*.*.*.*x", "(.|a|b|.){1000}" * 2])
def test_no_expression_takes_long(text: str) -> None:
    began = time.process_time()
    assert not Expression(text).selects("a" * 62 + "b") or text.startswith("(.|")
    assert time.process_time() - began < 10  # `re` would take years for some


def test_an_expression_of_too_many_ways_selects_nothing_in_bounded_time() -> None:
    assert not Expression("(?:a|b|[ab]){1,500}" * 3 + "$").selects("ab" * 31 + "c")


def test_a_list_of_many_names_selects_each_of_them_wherever_it_is_searched() -> None:
    names = [f"FDSN:XX_S{number:03d}_00_H_H_Z/MSEED" for number in range(650)]
    expression = Expression("|".join(names))
    assert [name for name in names[::9] if not expression.selects(name)] == []
    assert expression.selects(names[-1])
    assert not expression.selects("FDSN:XX_S650_00_H_H_Z/MSEED")


def test_large_sets_of_places_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automaton, "_MAX_REMEMBERED", 1 << 13)
    expression = Expression("|".join(f"1.{{{count}}}x" for count in range(60)))
    for number in range(2):
        assert not expression.selects(f"{(number + 3) ** 40:060b}"[:60])
    assert 1 << 12 < sum(map(len, expression._known.values())) <= 1 << 13
    assert expression.selects("01x")


def test_what_it_remembers_is_bounded_and_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automaton, "_MAX_REMEMBERED", 1 << 12)
    expression = Expression("^.*A.{11}$")
    for number in range(500):
        name = f"{number * 71:016b}".replace("1", "A")
        assert expression.selects(name) == (name[-12] == "A")
    assert sum(map(len, expression._known.values())) <= 1 << 12
