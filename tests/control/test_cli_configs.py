"""``control-rawdaq``: which components it is about, by the configuration that is named, or when none is."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.config import files
from tests import outside
from tests.control.cli_words import Said


@pytest.fixture
def users(station: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A station file in the user's configuration folder; no other configuration is named."""
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "rawdaq"
    folder.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.delenv("RAWDAQ_CONFIG")
        yield station.rename(folder / station.name)


def test_what_was_started_from_another_file_or_from_one_that_is_wrong_by_now_can_be_asked_and_stopped(
    users: Path, said: Said, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(outside.STATION.replace("OUT", "ELSE"))
    assert said.run("-c", str(other), "start", "all")[0] == 0
    assert said.run("send", "Main", "ping")[:2] == (0, "pong\n")
    assert [row["component"] for row in json.loads(said.run("list", "--json")[1])] == ["XX.OUT.Main", "XX.ELSE.Main"]
    assert [row["component"] for row in json.loads(said.run("list", "--json", "-c", str(other))[1])] == ["XX.ELSE.Main"]
    status, out, _ = said.run("restart", "ELSE")
    assert (status, out.count("XX.ELSE.Main")) == (0, 2)

    other.write_text(outside.STATION)
    status, _, err = said.run("restart", "ELSE")
    assert (status, "XX.ELSE.Main is no longer in" in err) == (1, True)
    other.unlink()
    status, _, err = said.run("restart", "ELSE")
    assert (status, "cannot be read" in err) == (2, True)
    assert said.run("send", "ELSE", "ping")[:2] == (0, "pong\n")

    assert said.run("restart", "OUT")[0] == 0, "what is stopped is started"

    users.write_text("station: 1")
    assert said.run("status")[0] == 2
    status, out, _ = said.run("-c", str(users), "stop", "all")
    assert (status, out.split(" (")[0]) == (0, "XX.OUT.Main stopped"), "only what was started from that file"
    status, _, err = said.run("stop", "Nobody")
    assert (status, "a mapping such as" in err) == (2, True)
    status, out, err = said.run("stop", "all")
    assert (status, "XX.ELSE.Main stopped" in out) == (0, True)
    assert "the configuration is wrong" in err


def test_one_that_failed_is_shown_and_restarted_although_it_was_started_from_another_file(
    users: Path, said: Said, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(outside.STATION)
    users.write_text(outside.STATION.replace("OUT", "ELSE"))
    assert said.run("-c", str(other), "start", "all")[0] == 0
    pid = json.loads(said.run("-c", str(other), "list", "--json")[1])[0]["pid"]
    said.run("send", "OUT", "break")
    os.waitpid(pid, 0)
    assert said.run("status", "--problems")[1].startswith(f"OUT/Main  failed  the last run (pid {pid}) ended with")
    assert said.run("restart", "OUT")[0] == 0
    assert said.run("status", "OUT")[0] == 0


@pytest.fixture(params=["option", "variable"])
def named(request: pytest.FixtureRequest, station: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """Says commands about one station, which ``-c`` or ``$RAWDAQ_CONFIG`` names, while another one runs."""
    one, two = station.with_name("one.yaml"), station.with_name("two.yaml")
    one.write_text(outside.STATION.replace("OUT", "ONE"))
    two.write_text(outside.STATION.replace("OUT", "TWO"))
    said.run("-c", str(two), "start", "all")
    with monkeypatch.context() as patch:
        if request.param == "option":
            patch.delenv("RAWDAQ_CONFIG")
            yield Said(said.capsys, "-c", str(one))
        else:
            patch.setenv("RAWDAQ_CONFIG", str(one))
            yield said


def test_all_means_the_components_of_the_configuration_that_is_named(named: Said) -> None:
    assert named.run("start", "all")[0] == 0
    assert [row["station"] for row in json.loads(named.run("list", "--json")[1])] == ["XX.ONE"]
    assert [row["station"] for row in json.loads(named.run("status", "--json")[1])] == ["XX.ONE"]
    status, out, _ = named.run("restart", "all")
    assert (status, out.count("XX.ONE.Main"), out.count("XX.TWO.Main")) == (0, 2, 0)
    status, out, _ = named.run("stop", "all")
    assert (status, out.split(" (")[0], out.count("\n")) == (0, "XX.ONE.Main stopped", 1)
    assert named.run("stop", "all") == (0, "", "")
    assert named.run("send", "TWO", "ping")[:2] == (0, "pong\n"), "it runs still, and has a name"


def test_a_name_means_a_component_of_the_configuration_that_is_named_before_any_other(named: Said) -> None:
    status, _, err = named.run("stop", "Main")
    assert (status, err) == (1, "control-rawdaq: XX.ONE.Main is not running\n")
    status, _, err = named.run("start", "TWO")
    assert (status, "no component is called 'TWO'" in err) == (2, True)
    status, out, _ = named.run("stop", "TWO")
    assert (status, out.split(" (")[0]) == (0, "XX.TWO.Main stopped")


@pytest.mark.usefixtures("runtime")
def test_without_a_station_file_all_components_are_those_of_the_demo_which_must_be_asked_for(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = tmp_path / "demo.yaml"
    demo.write_text(outside.STATION.replace("OUT", "DEMO"))
    monkeypatch.setattr(config, "DEMO_FILE", demo)
    monkeypatch.setattr(files, "DEMO_FILE", demo)
    for words in (["all"], ["all", "--processes", "1"], ["all", "--foreground"]):
        status, out, err = said.run("start", *words)
        assert (status, out) == (2, "")
        assert "There is no station file, so all would be the packaged demo: it receives a device of this" in err
        assert "Start it with --demo, or write a station file: control-rawdaq init NET.STA" in err
    status, out, _ = said.run("start", "all", "--demo")
    assert (status, out.split(" (")[0]) == (0, "XX.DEMO.Main started")
    assert said.run("restart", "all")[0] == 0, "it runs"
    assert said.run("stop", "all")[0] == 0

    status, out, _ = said.run("start", "receiver", "Main")
    assert (status, out.split(" (")[0]) == (0, "XX.DEMO.Main started"), "by its name it is asked for"
    assert said.run("stop", "Main")[0] == 0
    status, _, err = said.run("start", "all", "--demo", "-c", str(tmp_path))
    assert (status, "-c another configuration; give one of them" in err) == (2, True)


def test_the_demo_can_be_started_although_there_is_a_configuration(
    users: Path, said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = tmp_path / "demo.yaml"
    demo.write_text(outside.STATION.replace("OUT", "DEMO"))
    monkeypatch.setattr(config, "DEMO_FILE", demo)
    status, out, _ = said.run("start", "all", "--demo")
    assert (status, out.split(" (")[0]) == (0, "XX.DEMO.Main started")
    assert said.run("start", "all")[1].split(" (")[0] == "XX.OUT.Main started"
