"""What a station file may say of a SeedLinkReceiver."""

from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.options import read_options
from rawdaq.errors import InvalidValue
from rawdaq.receivers.seedlink import SeedLinkReceiver
from tests.receivers.seedlink.running import STATION


def problems(**options: Any) -> str:
    _, mistakes = read_options(SeedLinkReceiver, {"host": "h", "stations": {"*": []}, **options}, Path())
    return "; ".join(mistake.text for mistake in mistakes)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("at least one station is needed", {"stations": {}}),
    ("'AAA' is not a station like XX_ABC", {"stations": {"AAA": []}}),
    ("'ABCDEFG' is not a selector", {"stations": {"*": ["ABCDEFG"]}}),
    ("names a filter", {"stations": {"*": ["HHZ:3"]}}),
    ("'yesterday' is not a UTC time", {"start": "yesterday"}),
    ("is no host name", {"host": ""}),
]


@pytest.mark.parametrize(("words", "options"), WRONG)
def test_a_station_file_that_makes_no_sense_is_refused(words: str, options: dict[str, Any]) -> None:
    assert words in problems(**options)


def test_options_say_what_only_one_component_can_have() -> None:
    options, mistakes = read_options(SeedLinkReceiver, {"host": "h", "stations": {"*": []}, "state": "a"}, Path("/x"))
    assert mistakes == []
    assert SeedLinkReceiver.exclusive(options) == ["file /x/a"]
    assert SeedLinkReceiver.exclusive({"state": None}) == []
    assert SeedLinkReceiver.streams(STATION, options) == []
    with pytest.raises(InvalidValue, match="SeedLink 3 cannot say"):
        SeedLinkReceiver.streams(STATION, {"protocol": "3.1", "stations": {"*": ["*.3"]}})
