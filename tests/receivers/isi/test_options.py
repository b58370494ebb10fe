"""What a station file may say of an ISIReceiver."""

from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.document import ConfigError
from rawdaq.config.files import load
from rawdaq.config.options import read_options
from rawdaq.errors import InvalidValue
from rawdaq.receivers.isi import ISIReceiver
from tests.receivers.isi.running import STATION


def problems(**options: Any) -> str:
    _, mistakes = read_options(ISIReceiver, {"host": "h", **options}, Path())
    return "; ".join(mistake.text for mistake in mistakes)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("at least one stream is needed", {"streams": []}),
    ("'aak' is not like aak.bhz.00", {"streams": ["aak"]}),
    ("'aak.bh*.00' is not like aak.bhz.00", {"streams": ["aak.bh*.00"]}),
    ("'yesterday' is not a UTC time", {"start": "yesterday"}),
    ("network 'ii' is not", {"network": "ii"}),
    ("is no host name", {"host": ""}),
    ("'ida' or 'none'", {"compression": "steim2"}),
    ("'auto', 'little' or 'big'", {"byte_order": "middle"}),
    ("less than or equal to 600", {"timeout_s": 601}),
]


@pytest.mark.parametrize(("words", "options"), WRONG)
def test_a_station_file_that_makes_no_sense_is_refused(words: str, options: dict[str, Any]) -> None:
    assert words in problems(**options)


def test_options_say_what_only_one_component_can_have() -> None:
    options, mistakes = read_options(ISIReceiver, {"host": "h", "state": "a"}, Path("/x"))
    assert mistakes == []
    assert (options["port"], options["streams"]) == (39136, ["*.*.*"])
    assert ISIReceiver.exclusive(options) == ["file /x/a"]
    assert ISIReceiver.exclusive({"state": None}) == []
    assert ISIReceiver.streams(STATION, options) == []
    assert ISIReceiver.only_subscribes(options)


@pytest.mark.parametrize("name", ["a_k.bhz.00", "aak.b-z.00", "aak.bhz.--"])
def test_a_name_that_no_stream_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        ISIReceiver.streams(STATION, {"network": None, "streams": ["*.bhz.00", name]})


FILE = """\
station: {network: II, code: HUB}
Ida:
  Receiver: {class: ISIReceiver, host: isi.example.org, streams: [aak.bhz.00, "*.lhz.*"], state: ida.positions%s}
  Publishers:
    archive: {class: MiniSeedPublisher, path: archive}
"""


def test_a_station_file_is_checked_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "hub.yaml"
    file.write_text(FILE % "")
    station = load(file)
    assert [each.name for each in station.components] == ["Ida"]
    file.write_text(FILE % ", stream: x")
    with pytest.raises(ConfigError, match="stream"):
        load(file)
