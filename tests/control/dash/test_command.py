"""``control-rawdaq dash``: what it prints once, its exit status, and what it refuses."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rawdaq.control import dash as package
from rawdaq.control.dash import command, local
from rawdaq.control.dash.values.board import Stream
from tests.control.cli_words import Said
from tests.control.dash.made import NOW_NS, Given, component

STATION = """
station: {network: XX, code: DEMO}
Demo:
  Receiver: {class: RawReceiver, host: 127.0.0.1, port: 1, channels: {1: HHZ}}
  Publishers: {live: {class: ZMQTCPPublisher, ip: 127.0.0.1, port: 9004}}
"""


@pytest.fixture(name="said")
def _said(capsys: pytest.CaptureFixture[str], runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setattr(local, "INTERVAL_S", 0.01)
    return Said(capsys)


def test_a_station_that_is_stopped(said: Said, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(STATION)
    status, out, err = said.run("dash", "--once", "-c", str(file))
    assert (status, err) == (0, "")
    assert out.splitlines()[1].startswith("○ DEMO/Demo stopped")
    status, out, err = said.run("dash", "--json", "-c", str(file))
    (found,) = json.loads(out)
    assert (found["key"], found["state"], found["number"], found["streams"]) == ("XX.DEMO.Demo", "stopped", 0, [])


def test_mistakes_are_told(said: Said, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(STATION)
    (tmp_path / "b.yaml").write_text("station: {network: XX, code: B}\nDemo: {}\n")
    status, out, err = said.run("dash", "--once", "-c", str(tmp_path))
    assert "DEMO/Demo" in out
    assert "Demo: has no `Receiver`" in err
    assert status == 2


def give(monkeypatch: pytest.MonkeyPatch, *components: Any, notes: tuple[str, ...] = ()) -> None:
    def source(*_: object) -> Given:
        given = Given()
        given.give(*components, notes=notes)
        return given

    monkeypatch.setattr(command, "_source", source)


def test_something_that_needs_a_person_is_status_1(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = component("Bad", "failed", number=1000, reasons=("it broke",), since_ns=NOW_NS)
    give(monkeypatch, component("Good"), bad)
    status, out, _ = said.run("dash", "--once")
    lines = out.splitlines()
    assert status == 1
    assert [line[:10] for line in lines[1:]] == ["✖ DEMO/Bad", "● DEMO/Goo"]
    assert lines[1].endswith("it broke")


def test_json_has_all_that_is_known(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream("XX.A.00.HHZ", "DEMO/A", 100.0)
    give(monkeypatch, component(since_ns=NOW_NS, streams=(stream,), gaps=3, reasons=("a gap",), number=300))
    status, out, _ = said.run("dash", "--json")
    (found,) = json.loads(out)
    assert (status, found["since"], found["gaps"]) == (0, "2026-11-21T12:00:00.000000Z", 3)
    assert (found["last_error"], found["last_error_seen"], found["dropped"]) == ("", None, None)
    assert found["reasons"] == ["a gap"]
    assert [(each["name"], each["rate_hz"]) for each in found["streams"]] == [("XX.A.00.HHZ", 100.0)]
    assert "said" not in found


def test_a_monitor_of_which_nothing_comes_is_status_1(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, notes=("tcp://127.0.0.1:1 does not answer",))
    status, out, err = said.run("dash", "--once", "--connect", "tcp://127.0.0.1:1")
    assert (status, out) == (1, "")
    assert "tcp://127.0.0.1:1 does not answer" in err


def test_wrong_usage(said: Said) -> None:
    status, _, err = said.run("dash", "--live", "tcp://127.0.0.1:1")
    assert (status, "--live is for --connect" in err) == (2, True)
    status, _, err = said.run("dash", "--once", "--connect", "nonsense")
    assert (status, "nonsense" in err, err.count("\n")) == (1, True, 1)


def test_without_textual_there_is_one_clear_line(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "textual"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "rawdaq.control.dash.app", raising=False)
    monkeypatch.delattr(package, "app", raising=False)
    monkeypatch.setitem(sys.modules, "textual", None)
    status, out, err = said.run("dash")
    assert (status, out) == (1, "")
    assert err == "control-rawdaq: the dashboard needs textual; install it: pip install 'rawdaq[dash]'\n"


def test_the_screen_gets_the_source(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    from rawdaq.control.dash import app

    shown: list[object] = []

    def run(source: object) -> int:
        shown.append(source)
        return 0

    monkeypatch.setattr(app, "run", run)
    give(monkeypatch, component())
    assert said.run("dash")[0] == 0
    assert isinstance(shown[0], Given)
