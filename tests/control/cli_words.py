"""What the tests of ``control-rawdaq`` share."""

import subprocess
import sys

import pytest

from rawdaq.control import cli
from tests import outside
from tests.helpers import environment

TWO = (
    outside.STATION
    + """\
Second:
  Receiver: {class: OutsideReceiver, trouble: refuse}
"""
)


class Said:
    """What commands print, each after *first*."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *first: str) -> None:
        self.capsys = capsys
        self._first = first

    def run(self, *args: str) -> tuple[int, str, str]:
        """Return exit status, stdout and stderr of ``control-rawdaq ARGS``."""
        self.capsys.readouterr()
        status = cli.run([*self._first, *args])
        out, err = self.capsys.readouterr()
        return status, out, err


def run_python(code: str, *descriptors: int) -> subprocess.CompletedProcess[str]:
    """Run *code* in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        pass_fds=descriptors,
    )
