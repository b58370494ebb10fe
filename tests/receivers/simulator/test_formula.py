"""Formulas are arithmetic and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.receivers.simulator.formula import Formula

NAMES = ("slot", "number")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("slot * 100 + number", 309),
        ("-(slot - number) // 2", 3),
        ("number % 4 / 2", 0.5),
        ("+1.5", 1.5),
    ],
)
def test_arithmetic(text: str, value: float) -> None:
    assert Formula(text, NAMES)({"slot": 3, "number": 9}) == value


def test_arrays_are_values_too() -> None:
    assert Formula("slot * 10", NAMES)({"slot": np.arange(3)}).tolist() == [0, 10, 20]


@pytest.mark.parametrize(
    "text",
    [
        *("", "slot +", "channel", "slot ** 99", "open('x')", "slot.real", "[1][0]", "'a'", "True", "1 if slot else 2"),
        *("slot == 1", "lambda: 1", "not slot", "1j", "(" * 300, "1+" * 200 + "1", "~slot", "slot @ slot", "\0", "1if"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        Formula(text, NAMES)


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        Formula(text, NAMES)
    except InvalidValue:
        pass
