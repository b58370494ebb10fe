"""Values of a header are what they should be, or the error names them."""

from typing import Any

import pytest

from rawdaq.protocols.json_header import text_value, whole_number
from rawdaq.protocols.message_errors import HeaderValueWrong

HEADER: dict[str, Any] = {"number": 7, "zero": 0, "none": None, "text": "abc", "true": True, "float": 7.0}


def test_a_whole_number_is_returned_and_a_default_where_there_is_none() -> None:
    assert whole_number(HEADER, "number") == 7
    assert whole_number(HEADER, "zero", 5) == 0
    assert whole_number(HEADER, "none", 5) == whole_number(HEADER, "missing", 5) == 5


@pytest.mark.parametrize(("key", "low", "end"), [("number", 8, 10), ("number", 0, 7), ("true", 0, 9), ("float", 0, 9)])
def test_what_is_no_whole_number_of_the_range_is_refused(key: str, low: int, end: int) -> None:
    with pytest.raises(HeaderValueWrong, match=rf"{key}.*a whole number in {low}\.\.{end - 1}"):
        whole_number(HEADER, key, 0, low, end)


def test_a_text_is_returned_and_none_where_there_is_none() -> None:
    assert text_value(HEADER, "text") == "abc"
    assert text_value(HEADER, "none") == text_value(HEADER, "missing") == ""
    with pytest.raises(HeaderValueWrong, match=r"number.*7.*text"):
        text_value(HEADER, "number")
