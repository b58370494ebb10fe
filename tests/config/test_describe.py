"""Options in words are those that `check` accepts, and each of ours has a meaning."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from rawdaq.config import registry
from rawdaq.config.describe import BLOCKS, Option, describe_class, describe_model, type_words
from rawdaq.config.options import option_parameters
from rawdaq.config.settings import Settings
from tests.config_classes import Publisher as Outside
from tests.config_classes import Ssdaq

RECEIVERS = [(name, registry.installed_class("receiver", name)) for name in registry.installed_names("receiver")]
PUBLISHERS = [(name, registry.installed_class("publisher", name)) for name in registry.installed_names("publisher")]
OURS = [(name, cls) for name, cls in RECEIVERS + PUBLISHERS if cls.__module__.startswith("rawdaq.")]


class Size(Settings):
    """How large it is.

    Attributes:
        width: across, in ``mm``.
        depth: None means as wide.
    """

    width: Annotated[float, Field(gt=0)]
    depth: int | None = None


class Wood(StrEnum):
    OAK = "oak"
    ASH = "ash"


class Table:
    """Stands.

    On four legs,
    mostly.

    ::

        an example

    Args:
        publishers: not an option.
        legs: how many, between
            three and eight.
        size: its size: all of it.
        wood: what it is made of.

    Raises:
        ValueError: it falls.
    """

    def __init__(
        self,
        publishers: list[object],
        size: Size,
        legs: Annotated[int, Field(ge=3, le=8)] = 4,
        wood: Wood = Wood.OAK,
        secret: bool = True,
    ) -> None: ...


def test_a_class_is_described_by_its_constructor_and_its_docstring() -> None:
    described = describe_class("Table", Table)
    assert (described.name, described.summary, described.text) == ("Table", "Stands.", ("On four legs, mostly.",))
    assert described.options == (
        Option(
            "size",
            "block",
            None,
            "its size: all of it.",
            (
                Option("width", "number above 0", None, "across, in ``mm``."),
                Option("depth", "integer", "none", "none means as wide."),
            ),
        ),
        Option("legs", "integer 3 to 8", "4", "how many, between three and eight."),
        Option("wood", "oak or ash", "oak", "what it is made of."),
        Option("secret", "true or false", "true", ""),
    )
    assert not described.takes_others


def test_classes_of_others_need_neither_docstrings_nor_annotations() -> None:
    described = describe_class("Ssdaq", Ssdaq)
    assert [(option.name, option.type, option.default) for option in described.options] == [
        ("ip", "any value", None),
        ("port", "any value", None),
    ]
    assert describe_class("Publisher", Outside).takes_others


def test_the_constructor_may_say_what_its_arguments_mean() -> None:
    class Told:
        """Has options."""

        def __init__(self, depth: int) -> None:
            """Make it.

            Args:
                depth: how deep.
            """

    assert describe_class("Told", Told).options[0].meaning == "how deep."


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Path | None, "path"),
        (str | list[str], "text or list of texts"),
        (dict[str, list[int]], "mapping of texts to list of integers"),
        (Mapping[int, Size], "mapping of integers to blocks"),
        (Sequence[float], "list of numbers"),
        (Annotated[float, Field(ge=0.5)], "number of at least 0.5"),
        (Annotated[float, Field(gt=0, le=3600)], "number above 0 to 3600"),
        (Annotated[int, Field(le=9)], "integer of at most 9"),
        (Literal["now"], "now"),
        (Literal[2, 3], "2 or 3"),
        (Any, "any value"),
        (object, "any value"),
    ],
)
def test_types_are_said_in_words(annotation: Any, words: str) -> None:
    assert type_words(annotation) == words


@pytest.mark.parametrize(("name", "cls"), OURS)
def test_every_option_of_ours_has_a_meaning(name: str, cls: type[object]) -> None:
    described = describe_class(name, cls)
    assert described.summary
    assert [option.name for option in described.options] == [each.name for each in option_parameters(cls)]
    told = [*described.options, *(key for option in described.options for key in option.keys)]
    assert [option.name for option in told if not option.meaning] == []


@pytest.mark.parametrize("name", BLOCKS)
def test_every_key_of_a_block_has_a_meaning(name: str) -> None:
    described = describe_model(BLOCKS[name], name)
    assert described.summary
    assert [option.name for option in described.options if not option.meaning] == []
