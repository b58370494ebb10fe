"""``control-rawdaq describe`` and ``docs/reference`` say the same, and it is what the code says now."""

import json
import re
from pathlib import Path

import pytest

from rawdaq.control.describe import command, markdown
from tests import outside
from tests.control.cli_words import Said
from tests.helpers import ROOT

REFERENCE = ROOT / "docs" / "reference"


def test_the_reference_is_that_of_the_code() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.iterdir()}
    assert written == markdown.reference(), "docs/reference is stale: run `make reference`"


def test_the_index_leads_to_every_section() -> None:
    index = (REFERENCE / "README.md").read_text(encoding="utf-8")
    found: list[tuple[str, str, str]] = re.findall(r"\[`(\w+)`\]\((\w+\.md)#(\w+)\)", index)
    assert {name for name, _, _ in found} >= {"RawReceiver", "MiniSeedPublisher", "Daemon"}
    for name, file, anchor in found:
        assert f"\n## {name}\n" in (REFERENCE / file).read_text(encoding="utf-8")
        assert anchor == name.lower()


def test_without_a_name_everything_is_listed(said: Said) -> None:
    status, out, err = said.run("describe")
    assert (status, err) == (0, "")
    for name in ("RawReceiver", "MiniSeedPublisher", "Publishers", "Daemon"):
        assert re.search(rf"^  {name} +[A-Z]", out, re.MULTILINE), name
    assert max(map(len, out.splitlines())) <= 80


def test_a_class_is_shown_with_all_its_options(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_width", lambda: 70)
    status, out, _ = said.run("describe", "zmqreceiver")
    assert (status, out.splitlines()[0]) == (0, "ZMQReceiver (receiver)")
    assert "\nendpoints: list of texts; must be given\n    ZMQ addresses, like tcp://192.0.2.7:9004.\n" in out
    assert "\narray.rate_hz: number 1e-09 to 1000000000; must be given\n    The sampling rate.\n" in out
    assert "`" not in out
    assert max(map(len, out.splitlines())) <= 70
    _, out, _ = said.run("describe", "RepeaterPublisher")
    assert "overflow (here drop_oldest)" in " ".join(out.split())


def test_json_holds_the_same(said: Said) -> None:
    _, out, _ = said.run("describe", "Daemon", "--json")
    (block,) = json.loads(out)
    assert (block["kind"], block["name"], block["options"][0]["name"]) == ("block", "Daemon", "log_level")
    _, out, _ = said.run("describe", "--json")
    assert {"RawReceiver", "station"} <= {each["name"] for each in json.loads(out)}


def test_an_unknown_name_is_answered_with_those_that_there_are(said: Said) -> None:
    status, _, err = said.run("describe", "RawReciever")
    assert status == 2
    assert "no class or block is called 'RawReciever'; did you mean 'RawReceiver'? known: " in err


def test_classes_of_others_are_shown_and_broken_ones_reported(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        outside.install(tmp_path, patch)
        status, out, err = said.run("describe")
        assert (status, "OutsideReceiver" in out) == (1, True)
        assert "receiver Broken: " in err
        status, out, _ = said.run("describe", "OutsideReceiver")
        assert (status, out.splitlines()[0]) == (0, "OutsideReceiver (receiver)")
        status, _, err = said.run("describe", "Broken")
        assert (status, "repair or reinstall" in err) == (1, True)
        assert "OutsideReceiver" not in "".join(markdown.reference().values())
    outside.forget()
