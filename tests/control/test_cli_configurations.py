"""Components of several configurations side by side, and runtime files that somebody removes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rawdaq.process.runtime_files import RuntimeFiles
from tests.control.cli_words import Said
from tests.helpers import wait_for

STATION = """\
station: {{network: XX, code: {code}}}
Anna:
  Receiver: {{class: OutsideReceiver}}
Berta:
  Receiver: {{class: OutsideReceiver}}
"""


def _configuration(folder: Path, code: str) -> Path:
    file = folder / code / "station.yaml"
    file.parent.mkdir()
    file.write_text(STATION.format(code=code))
    return file


def _running(said: Said) -> list[dict[str, Any]]:
    return [row for row in json.loads(said.run("list", "--json")[1]) if row["state"] == "running"]


def test_a_group_belongs_to_its_configuration(runtime: RuntimeFiles, tmp_path: Path, said: Said) -> None:
    one, two = (_configuration(tmp_path, code) for code in ("ONE", "TWO"))
    for file in (one, two):
        assert said.run("start", "all", "-c", str(file), "--processes", "1")[0] == 0
    rows = _running(said)
    assert [row["group"] for row in rows] == ["group.1"] * 4
    assert len({row["pid"] for row in rows}) == 2

    assert "group.1 runs 2 components" in said.run("logs", "group.1", "-c", str(two))[1]
    status, out, err = said.run("stop", "group.1")
    assert (status, out) == (2, "")
    assert f"group.1 is a process of {one} and of {two}: name its configuration with -c" in err

    status, out, _ = said.run("stop", "group.1", "-c", str(one))
    assert (status, [line.split(" (")[0] for line in out.splitlines()]) == (
        0,
        ["XX.ONE.Anna stopped", "XX.ONE.Berta stopped"],
    )
    for command in ("stop", "restart", "status"):
        status, out, err = said.run(command, "group.1", "-c", str(one))
        assert (status, out) == (2, "")
        assert f"group.1 is a process of {two}: name its configuration with -c" in err
    assert said.run("logs", "group.1", "-c", str(one))[1].endswith("0 components ended with an error\n")
    assert [row["component"] for row in _running(said)] == ["XX.TWO.Anna", "XX.TWO.Berta"]

    assert said.run("restart", "group.1")[0] == 0, "no configuration is named, and only one can be meant"
    assert said.run("logs", "group.1", "-c", str(two))[1].count("group.1 runs 2 components") == 2
    assert said.run("restart", "all", "-c", str(two))[0] == 0
    assert said.run("stop", "group.1", "-c", str(two))[0] == 0
    assert _running(said) == []


@pytest.mark.parametrize("words", [["start", "all"], ["start", "all", "--processes", "1"]])
def test_components_whose_runtime_files_were_removed_are_found_again_and_not_started_twice(
    runtime: RuntimeFiles, tmp_path: Path, said: Said, words: list[str]
) -> None:
    file = str(_configuration(tmp_path, "ONE"))
    assert said.run(*words, "-c", file)[0] == 0
    known = said.run("list", "--json", "-c", file)
    shutil.rmtree(runtime.folder)
    for name in ("Anna", "Berta"):  # each may have a process of its own
        wait_for((runtime.folder / f"XX.ONE.{name}.sock").exists)
    wait_for(lambda: said.run("list", "--json", "-c", file) == known)
    assert said.run("send", "Berta", "ping", "-c", file)[:2] == (0, "pong\n")
    status, _, err = said.run("start", "all", "-c", file)
    assert (status, err.count("is already running (pid ")) == (1, 2)
    assert said.run("stop", "all", "-c", file)[0] == 0
    assert runtime.keys() == []
