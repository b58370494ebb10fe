"""Constructors as schemas: what keys a class takes, and what is wrong with their values."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field

from rawdaq.config.options import Settings, read_options, shown, supplied
from rawdaq.errors import ComponentError, InvalidValue
from tests.config_classes import Publisher, Receiver, Schemaless, Unreadable


def test_a_constructor_says_what_the_framework_supplies() -> None:
    assert supplied(Receiver) == {"publishers", "station", "name"}


def test_a_path_of_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options, _ = read_options(Publisher, {"path": "~/archive"}, Path("/elsewhere"))
    assert options["path"] == tmp_path / "archive"


@pytest.mark.parametrize("cls", [Unreadable, Schemaless])
def test_a_constructor_that_makes_no_schema_is_the_fault_of_its_class(cls: type[object], tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=f"{cls.__name__} has a constructor that makes no schema: "):
        read_options(cls, {"x": 1}, tmp_path)


def test_an_error_of_a_validator_is_reported_in_its_own_words(tmp_path: Path) -> None:
    def refuse(_: object) -> object:
        raise InvalidValue("not this one; take another")

    class Refuses:
        def __init__(self, x: Annotated[object, AfterValidator(refuse)]) -> None: ...

    _, mistakes = read_options(Refuses, {"x": 1}, tmp_path)
    assert [mistake.text for mistake in mistakes] == ["not this one; take another"]


def test_a_long_value_is_elided() -> None:
    assert len(shown("x" * 1000)) == 75


class Inner(Settings):
    rate_hz: float = 1.0


class Nested:
    def __init__(
        self,
        one: Inner | None = None,
        many: Mapping[str, Inner] | None = None,
        either: Sequence[Annotated[Inner, Field()]] | bool = False,
        numbers: dict[int, Annotated[Inner, Field()]] | None = None,
    ) -> None: ...


@pytest.mark.parametrize(
    "given",
    [
        {"one": {"rate": 1}},
        {"many": {"a": {"rate": 1}}},
        {"either": [{"rate": 1}]},
        {"numbers": {5: {"rate": 1}}},
    ],
)
def test_an_unknown_key_further_in_is_told_with_those_that_are_known_there(given: dict[str, Any]) -> None:
    _, mistakes = read_options(Nested, given, Path())
    found = [mistake.text for mistake in mistakes if mistake.where[-1] == "rate"]
    assert found == ["unknown key; did you mean 'rate_hz'? known: rate_hz"]
