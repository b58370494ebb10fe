"""``control-rawdaq`` with a folder in which some station files are wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import outside
from tests.control.cli_words import Said


@pytest.fixture
def folder(station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that ``$RAWDAQ_CONFIG`` names: A and B are good, C is not."""
    folder = tmp_path / "stations"
    folder.mkdir()
    for code in "ABC":
        (folder / f"{code}.yaml").write_text(outside.STATION.replace("OUT", code))
    _spoil(folder, "C")
    with monkeypatch.context() as patch:
        patch.setenv("RAWDAQ_CONFIG", str(folder))
        yield folder


def _spoil(folder: Path, code: str) -> None:
    file = folder / f"{code}.yaml"
    file.write_text(file.read_text().replace("OutsideReceiver", "OutsideReceiver, prt: 5"))


def _mistake(folder: Path, code: str) -> str:
    return f"{folder / code}.yaml:3: Main.Receiver.prt: unknown key"


def _states(said: Said, *args: str) -> dict[str, str]:
    return {row["station"]: row["state"] for row in json.loads(said.run(*args, "list", "--json")[1])}


@pytest.mark.parametrize("processes", [(), ("--processes", "1")])
def test_start_all_reports_what_is_wrong_and_starts_the_others(
    folder: Path, said: Said, processes: tuple[str, ...]
) -> None:
    status, out, err = said.run("start", "all", *processes)
    assert (status, [line.split()[0] for line in out.splitlines()]) == (2, ["XX.A.Main", "XX.B.Main"])
    assert _mistake(folder, "C") in err
    status, out, err = said.run("stop", "all")
    assert (status, out.count("stopped"), _mistake(folder, "C") in err) == (0, 2, True)


def test_a_component_needs_only_its_own_file_to_be_right(folder: Path, said: Said) -> None:
    status, out, err = said.run("start", "A")
    assert (status, out.split(" (")[0], _mistake(folder, "C") in err) == (0, "XX.A.Main started", True)
    assert said.run("status", "A")[0] == 0
    status, out, err = said.run("start", "C")
    assert (status, out) == (2, "")
    assert _mistake(folder, "C") in err
    assert "no component is called 'C'" in err


def test_what_runs_is_shown_with_what_is_wrong(folder: Path, said: Said) -> None:
    said.run("start", "B")
    _spoil(folder, "B")
    for words in ([], ["-c", str(folder)]):
        status, out, err = said.run(*words, "status")
        assert (status, [line.split()[:2] for line in out.splitlines() if "Main" in line]) == (
            2,
            [["A/Main", "stopped"], ["B/Main", "running"]],
        )
        assert _mistake(folder, "B") in err
        assert _mistake(folder, "C") in err
        status, out, err = said.run(*words, "list", "--json")
        assert (status, _mistake(folder, "C") in err) == (2, True)
        assert {row["station"]: row["state"] for row in json.loads(out)} == {"XX.A": "stopped", "XX.B": "running"}
    assert said.run("status", "B")[0] == 0


def test_a_restart_of_all_stops_nothing_whose_file_is_wrong(folder: Path, said: Said) -> None:
    said.run("start", "all")
    status, out, err = said.run("restart", "all")
    assert (status, out.count("stopped"), out.count("started"), _mistake(folder, "C") in err) == (2, 2, 2, True)
    _spoil(folder, "B")
    status, out, err = said.run("restart", "all")
    assert (status, out, err.count(_mistake(folder, "B"))) == (2, "", 1)
    assert _states(said) == {"XX.A": "running", "XX.B": "running"}


def test_when_no_file_is_good_nothing_starts(folder: Path, said: Said) -> None:
    for code in "AB":
        _spoil(folder, code)
    for args in (["start", "all"], ["start", "all", "--processes", "2"], ["restart", "all"], ["list"], ["status"]):
        status, out, err = said.run(*args)
        assert (status, out) == (2, "")
        assert [err.count(_mistake(folder, code)) for code in "ABC"] == [1, 1, 1]
