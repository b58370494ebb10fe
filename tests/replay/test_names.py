"""Streams are chosen by the names that files have, and get new ones by pattern."""

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.replay.names import StreamNames, new_codes
from rawdaq.stream_id import StreamId


@pytest.mark.parametrize(
    ("selected", "name", "is_selected"),
    [
        ([], "IU.COLA.00.BHZ", True),
        (["IU.*"], "IU.COLA.00.BHZ", True),
        (["GE.*", "*.BH?"], "IU.COLA.00.BHZ", True),
        (["*.LH?"], "IU.COLA.00.BHZ", False),
        (["iu.*"], "IU.COLA.00.BHZ", False),
    ],
)
def test_patterns_choose(selected: list[str], name: str, is_selected: bool) -> None:
    assert StreamNames(selected).find(name) == (StreamId.parse(name) if is_selected else None)


@pytest.mark.parametrize(
    ("rename", "expected"),
    [
        ({}, "IU.COLA.00.BHZ"),
        ({"IU.COLA.00.BHZ": "XX.A.10.HHZ"}, "XX.A.10.HHZ"),
        ({"IU.*": "XX.*.*.*"}, "XX.COLA.00.BHZ"),
        ({"GE.*": "YY.*.*.*", "*.BHZ": "*.*..*", "IU.*": "XX.*.*.*"}, "IU.COLA..BHZ"),
    ],
)
def test_the_first_pattern_that_fits_renames(rename: dict[str, str], expected: str) -> None:
    assert str(StreamNames([], rename).find("IU.COLA.00.BHZ")) == expected


def test_codes_that_a_file_does_not_say_are_filled_in() -> None:
    names = StreamNames(["YY.*"], None, "YY", "HERE")
    assert names.find("...HHZ") == StreamId("YY", "HERE", "", "HHZ")
    assert names.find(".STA.10.HHZ") == StreamId("YY", "STA", "10", "HHZ")
    assert names.find("XX...HHZ") is None


def test_names_that_are_not_selected_are_kept_in_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.replay.names._MAX_NAMES", 3)
    names = StreamNames(["YY.*"])
    for number in range(10):
        assert names.find(f"XX.S{number}.00.HHZ") is None
    assert names.passed_over == {f"XX.S{number}.00.HHZ" for number in range(3)}


@pytest.mark.parametrize("name", ["...", "XX.DEMO.00.", "XX.demo.00.HHZ", "XX.DEMO.00.H Z", "XX.DEMO", "A.B.C.D.E"])
def test_a_name_that_no_stream_can_have_says_what_to_do(name: str) -> None:
    with pytest.raises(InvalidValue, match=r"^no stream can be called '.*' \(.*\); give it a name with rename$"):
        StreamNames().find(name)


def test_a_name_that_no_stream_can_have_can_be_given_another() -> None:
    assert StreamNames([], {"XX.demo.*": "XX.DEMO.*.HHZ"}).find("XX.demo.00.") == StreamId("XX", "DEMO", "00", "HHZ")


@pytest.mark.parametrize("name", ["", "XX.DEMO.HHZ", "XX.DEMO.00.HHZ.D", "XX.demo.00.HHZ", "*.*.*.H", "XX.**.00.HHZ"])
def test_a_new_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        StreamNames([], {"*": name})
    with pytest.raises(InvalidValue):
        new_codes(name)
