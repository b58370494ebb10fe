"""``python -m rawdaq``, and ``--version`` of every command."""

import configparser
import re
import subprocess
import sys

import pytest

import rawdaq
from rawdaq.__main__ import COMMANDS
from tests.forks import run_cli
from tests.helpers import ROOT, environment


def _python_m(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rawdaq", *words], env=environment(), capture_output=True, text=True, timeout=60
    )


def test_it_shows_every_command_that_is_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    installed = re.findall(r"^([\w-]+) =", setup["options.entry_points"]["console_scripts"], re.MULTILINE)
    shown = _python_m()
    assert shown.returncode == 0
    assert re.findall(r"^  ([\w-]+)", shown.stdout, re.MULTILINE) == list(COMMANDS)
    assert sorted(COMMANDS) == sorted(installed)


def test_words_are_for_control_rawdaq() -> None:
    result = _python_m("check", "/does/not/exist.yaml")
    assert (result.returncode, result.stderr.strip()) == (2, "/does/not/exist.yaml: does not exist")
    assert "Usage: control-rawdaq" in _python_m("--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_its_version(name: str) -> None:
    result = run_cli([name, "--version"])
    assert (result.returncode, result.stdout) == (0, f"{name}, version {rawdaq.__version__}\n")
