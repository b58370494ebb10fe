"""``control-rawdaq schema`` describes the station files that ``check`` accepts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from rawdaq import config
from rawdaq.config import registry
from rawdaq.config.station_file import BLOCK_NAMES
from rawdaq.control.describe.schema import station_schema
from tests import config_classes, outside
from tests.control.cli_words import Said
from tests.helpers import ROOT

#: Every station file that documents show.
SHOWN: list[str] = [
    block
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    for block in re.findall(r"^```yaml\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    if block.startswith("station:")
]


def mistakes(schema: dict[str, Any], text: str) -> list[str]:
    """Return the paths of what *schema* refuses in a station file; keys are text there, as editors have them."""
    value = json.loads(json.dumps(yaml.safe_load(text)))
    errors = Draft202012Validator(schema).iter_errors(value)  # pyright: ignore[reportUnknownMemberType]
    return sorted("/".join(map(str, each.absolute_path)) for each in errors)


def test_the_printed_schema_is_one_and_takes_the_packaged_station(said: Said) -> None:
    status, out, err = said.run("schema")
    schema = json.loads(out)
    Draft202012Validator.check_schema(schema)
    assert (status, err) == (0, "")
    assert mistakes(schema, config.DEMO_FILE.read_text()) == []
    assert set(schema["$defs"]["component"]["properties"]) >= set(BLOCK_NAMES)


def test_it_takes_every_station_file_that_documents_show() -> None:
    schema, _ = station_schema()
    # Classes that documents teach to write are installed in no environment of ours.
    shown = [text for text in SHOWN if not re.search("class: (TextReceiver|PeakPublisher)", text)]
    assert len(shown) >= 8
    for text in shown:
        assert mistakes(schema, text) == [], text


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        ("port: 65535", "port: '65535'", "RawReceiver/Receiver/port"),
        ("port: 65535", "port: 65536", "RawReceiver/Receiver/port"),
        ("host: 127.0.0.1", "hosts: 127.0.0.1", "RawReceiver/Receiver"),
        ("class: RawReceiver", "class: RawReciever", "RawReceiver/Receiver/class"),
        ("path: archive", "paht: archive", "RawReceiver/Publishers/archive"),
        ("path: archive", "path: archive, queue_packets: 0", "RawReceiver/Publishers/archive/queue_packets"),
        ("path: archive", "path: archive, overflow: lose", "RawReceiver/Publishers/archive/overflow"),
        ("log_level: INFO", "log_level: LOUD", "RawReceiver/Daemon"),
        ("Daemon:", "Deamon:", "RawReceiver"),
        ("RawReceiver:\n", "all:\n", ""),
        ("station: {", "estation: {", ""),
        ("network: XX, ", "", "station"),
    ],
)
def test_it_refuses_what_check_refuses(before: str, after: str, where: str, tmp_path: Path) -> None:
    text = config.DEMO_FILE.read_text().replace(before, after, 1)
    assert where in mistakes(station_schema()[0], text)
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(config.ConfigError):
        config.load(tmp_path / "wrong.yaml")


def test_an_option_has_type_default_and_meaning() -> None:
    schema, _ = station_schema()
    options = schema["$defs"]["receiver.RawReceiver"]["properties"]
    assert options["port"] | {"description": ""} == {
        "type": "integer",
        "minimum": 1,
        "maximum": 65535,
        "default": 65535,
        "description": "",
    }
    assert options["host"]["description"] == "Where the device listens."
    assert schema["$defs"]["ListenSettings"]["properties"]["port"]["description"].startswith("The port; 0 lets")
    used = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))
    assert used == set(schema["$defs"])


def test_classes_of_other_packages_are_in_it_and_unusable_ones_take_anything(
    said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        outside.install(tmp_path, patch)
        status, out, err = said.run("schema")
    outside.forget()
    assert status == 1
    assert "rawdaq_outside_that_is_not_there:Broken cannot be imported" in err
    schema = json.loads(out)
    broken = "station: {network: XX, code: A}\nMain: {Receiver: {class: Broken, anything: 1}}"
    assert mistakes(schema, broken) == []
    assert mistakes(schema, broken.replace("Broken", "OutsideReceiver")) == ["Main/Receiver"]
    assert mistakes(schema, outside.STATION) == []


def test_a_constructor_that_takes_anything_has_a_schema_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    config_classes.register(monkeypatch)
    names = {"receiver": ("Receiver", "Ssdaq", "Unreadable"), "publisher": ("Publisher",)}
    monkeypatch.setattr(registry, "installed_names", names.__getitem__)
    schema, (unusable,) = station_schema()
    assert unusable.startswith("receiver Unreadable has a constructor that makes no schema: name 'NoSuchType'")
    assert mistakes(schema, config_classes.GOOD) == []
    assert mistakes(schema, config_classes.GOOD.replace("rate: 100", "rate: fast")) == ["Main/Receiver/rate"]
