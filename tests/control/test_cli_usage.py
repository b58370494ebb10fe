"""``control-rawdaq``: wrong usage, ``check`` and ``init``."""

import json
from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.control import template
from rawdaq.errors import ComponentError
from tests import outside
from tests.control.cli_words import TWO, Said
from tests.disks import file_size_limit


def test_only_one_component_runs_in_the_foreground(station: Path, said: Said) -> None:
    station.write_text(TWO)
    status, _, err = said.run("start", "all", "--foreground")
    assert (status, "--foreground runs one component" in err) == (2, True)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["start", "Mian"], "no component is called 'Mian'"),
        (["stop", "Mian"], "no component is called 'Mian'"),
        (["logs", "all"], "This command takes one component; give its name."),
        (["start", "receiver"], "start receiver WHICH?"),
        (["start"], "Missing argument"),
        (
            ["start", "all", "--foreground", "--processes", "2"],
            "--foreground runs one component here, --processes many",
        ),
        (["start", "all", "--processes", "0"], "0 is not in the range x>=1"),
        (["dance"], "No such command 'dance'"),
        (["send", "Main"], "Missing argument 'COMMAND'"),
        (["list", "-c", "/does/not/exist.yaml"], "/does/not/exist.yaml: does not exist"),
        (["-c", "/does/not/exist.yaml", "list"], "/does/not/exist.yaml: does not exist"),
        (["init", "xx"], "'xx' is not NET.STA, such as XX.DEMO: network 'xx' is not 1-8 characters"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_right(
    station: Path, said: Said, args: list[str], reason: str
) -> None:
    status, out, err = said.run(*args)
    assert (status, out) == (2, "")
    assert reason in err


def test_a_word_that_names_several_components_is_answered_with_them(station: Path, said: Said, tmp_path: Path) -> None:
    station.unlink()
    folder = tmp_path / "stations"
    folder.mkdir()
    for code in ("AAA", "BBB"):
        (folder / f"{code}.yaml").write_text(outside.STATION.replace("OUT", code))
    status, _, err = said.run("-c", str(folder), "start", "Main")
    assert (status, err) == (2, "control-rawdaq: 'Main' can be any of AAA/Main, BBB/Main; give more of the name\n")


def test_check_prints_every_mistake_and_starts_nothing(station: Path, said: Said) -> None:
    assert said.run("check") == (0, f"{station}: XX.OUT: Main: good\n", "")
    assert said.run("check", str(station), "--json") == (0, "[]\n", "")
    station.write_text(
        "station: {network: XX, code: OUT}\nMain:\n  Receiver: {class: OutsideReceiver, prt: 1, fast: 2}\n"
    )
    status, out, err = said.run("check", str(station))
    assert (status, out) == (2, "")
    assert err.splitlines()[0].startswith(f"{station}:3: Main.Receiver.")
    assert "Main.Receiver.prt: unknown key; did you mean 'port'?" in err
    assert "Main.Receiver.fast: 2 is wrong" in err
    status, out, _ = said.run("check", str(station), "--json")
    assert status == 2
    assert [(each["line"], each["key"]) for each in json.loads(out)] == [
        (3, "Main.Receiver.fast"),
        (3, "Main.Receiver.prt"),
    ]


def test_a_missing_class_ends_with_1_and_says_what_to_do(station: Path, said: Said) -> None:
    station.write_text("station: {network: XX, code: OUT}\nMain:\n  Receiver: {class: Broken}\n")
    for args in (["check"], ["start", "all"]):
        status, _, err = said.run(*args)
        assert status == 1
        assert "receiver Broken: rawdaq_outside_that_is_not_there:Broken cannot be imported" in err.splitlines()[0]
        assert "reinstall the package 'rawdaq_outside'" in err.splitlines()[0]


def test_init_writes_a_file_to_begin_with_and_never_over_another(
    station: Path, said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, _ = said.run("init", "NO.HERE")
    assert (status, out.startswith("NO.HERE.yaml is written")) == (0, True)
    text = (tmp_path / "NO.HERE.yaml").read_text()
    assert 'station: {network: "NO", code: "HERE", location: "00"}' in text
    status, _, err = said.run("init", "NO.HERE")
    assert (status, err) == (1, "control-rawdaq: NO.HERE.yaml is there already; edit it, or move it away first\n")
    assert (tmp_path / "NO.HERE.yaml").read_text() == text


def test_init_of_another_station_of_a_folder_takes_a_port_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "XX.WRONG.yaml").write_text("what: this")
    for station in ("XX.ONE", "XX.TWO", "XX.THREE"):
        assert said.run("init", station)[0] == 0
    (tmp_path / "XX.WRONG.yaml").unlink()
    live = [file.components[0].publishers[0].options["port"] for file in config.load_all(tmp_path)]
    assert sorted(live) == [9004, 9010, 9011]
    assert said.run("check", ".")[0] == 0


def test_init_in_a_folder_that_takes_no_file_is_reported_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"cannot be written: Not a directory; run init in a folder that you may"):
        template.write("XX.HERE", config.DEMO_FILE, config.DEMO_FILE)


def test_init_on_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    with file_size_limit(100), pytest.raises(ComponentError, match="cannot be written: File too large; run init in"):
        template.write("XX.HERE", config.DEMO_FILE, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert template.write("XX.HERE", config.DEMO_FILE, tmp_path).exists()


def test_the_packaged_station_is_what_init_copies() -> None:
    assert "station: {network: XX, code: DEMO, " in config.DEMO_FILE.read_text()
