"""Constructors as schemas: what keys a class takes, and what is wrong with their values."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator

from rawdaq.config.options import read_options, shown, supplied
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
