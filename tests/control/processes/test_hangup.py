"""A closed terminal, and what services send: components end as they do at SIGTERM."""

import fcntl
import os
import pty
import signal
import termios
from pathlib import Path

import pytest

from rawdaq.control import cli
from rawdaq.process.runtime_files import RuntimeFiles
from tests import forks
from tests.control.cli_words import Said
from tests.control.processes.components import KEY, component, make_publishers_end_with, start_one
from tests.helpers import wait_for


@pytest.fixture
def delivered(runtime: RuntimeFiles, tmp_path: Path) -> Path:
    """A file that publishers write when they have delivered all; another hang-up comes meanwhile."""
    file = tmp_path / "delivered"
    make_publishers_end_with(
        tmp_path,
        f"os.kill(os.getpid(), signal.SIGHUP); await asyncio.sleep(0.1); Path({str(file)!r}).touch()",
    )
    return file


def test_in_the_foreground_a_terminal_that_is_closed_ends_it_in_order(
    runtime: RuntimeFiles, station: Path, delivered: Path
) -> None:
    ours, its = pty.openpty()

    def main() -> int:
        fcntl.ioctl(0, termios.TIOCSCTTY)
        return cli.run(["start", "--foreground", "Main"])

    pid = forks.fork(main, {0: its, 1: its, 2: its})
    os.close(its)
    shown = bytearray()
    while b"Main is running" not in shown:
        shown += os.read(ours, 4096)
    os.close(ours)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert delivered.exists()
    assert runtime.running(KEY) is None
    assert runtime.ended(KEY) is None


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGTERM])
def test_in_the_background_a_hangup_ends_it_in_order(
    runtime: RuntimeFiles, tmp_path: Path, delivered: Path, first: int
) -> None:
    pid = start_one(component(tmp_path), runtime)
    os.kill(pid, first)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert delivered.exists()
    assert runtime.ended(KEY) is None
    assert runtime.log_file(KEY).read_text().endswith("Main has stopped\n")


def test_a_hangup_that_loses_data_says_so(runtime: RuntimeFiles, station: Path, tmp_path: Path, said: Said) -> None:
    make_publishers_end_with(tmp_path, "raise RuntimeError('the disk is gone')")
    pid = start_one(component(tmp_path), runtime)
    os.kill(pid, signal.SIGHUP)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    wait_for(lambda: runtime.running(KEY) is None)
    status, out, _ = said.run("status", "Main")
    assert (status, "publisher nowhere did not close" in out) == (1, True)
