"""Stopping a component that has its process to itself."""

import os
import pickle
import signal
from pathlib import Path
from typing import Any

import pytest

from rawdaq.control.processes import children, main
from rawdaq.control.processes import stop as stopping
from rawdaq.control.processes.errors import EndedWithError, Killed
from rawdaq.control.processes.jobs import run_each
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.process.runs import Running
from rawdaq.process.runtime_files import RuntimeFiles
from tests import forks
from tests.control.processes.components import (
    KEY,
    component,
    make_publishers_end_with,
    start_one,
    stop_one,
    troubled,
)
from tests.helpers import wait_for


def test_a_component_that_does_not_stop_is_killed_and_that_is_reported(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_STOP_MARGIN_S", 0.0)
    start_one(troubled(tmp_path, "stubborn", "{stop_timeout_s: 0.1}"), runtime)
    with pytest.raises(Killed) as caught:
        stop_one(KEY, runtime)
    assert "did not stop within 0.2 s and was killed" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert runtime.running(KEY) is None


def test_a_second_signal_ends_a_process_at_once(runtime: RuntimeFiles, tmp_path: Path) -> None:
    pid = start_one(troubled(tmp_path, "clinging"), runtime)
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: "stopping" in runtime.log_file(KEY).read_text() or _is_stopping(pid))
    status: list[int] = []

    def has_ended() -> bool:  # a signal that comes at the same time as the first one is not a second one
        os.kill(pid, signal.SIGTERM)
        ended, code = os.waitpid(pid, os.WNOHANG)
        status.append(code)
        return bool(ended)

    wait_for(has_ended)
    assert os.waitstatus_to_exitcode(status[-1]) == 128 + signal.SIGTERM
    runtime.forget(KEY)


def _is_stopping(pid: int) -> bool:
    """Whether no signal waits for the process any more."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return all(int(line.split()[1], 16) == 0 for line in lines if line.startswith(("SigPnd", "ShdPnd")))


def test_a_stop_that_loses_data_is_reported_although_the_component_is_gone(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    make_publishers_end_with(tmp_path, "raise RuntimeError('the disk is gone')")
    pid = start_one(component(tmp_path), runtime)
    with pytest.raises(EndedWithError) as caught:
        stop_one(KEY, runtime)
    expected = "XX.OUT.Main has stopped, but with an error: Main stopped: publisher nowhere did not close; see "
    assert str(caught.value) == f"{expected}{runtime.log_file(KEY)}"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert children.is_gone(pid)
    assert [path for path in runtime.folder.iterdir() if path != runtime.logs] == []


def test_a_process_that_just_ends_while_it_stops_is_reported(runtime: RuntimeFiles, tmp_path: Path) -> None:
    make_publishers_end_with(tmp_path, "os._exit(0)")
    start_one(component(tmp_path), runtime)
    with pytest.raises(EndedWithError, match="before it was done: what waited in its queues may be lost"):
        stop_one(KEY, runtime)
    assert runtime.keys() == []


def test_of_what_was_not_started_in_the_background_no_log_file_is_named(runtime: RuntimeFiles, tmp_path: Path) -> None:
    settings = component(tmp_path)
    runtime.prepare()
    runtime.log_file(KEY).write_text("of an earlier run\n")

    def run_here() -> int:
        with RuntimeFiles.find() as files:
            return main.run_here(settings, files)

    with forks.Process(run_here) as process:
        wait_for(lambda: runtime.running(KEY))
        process.kill()
    with pytest.raises(ComponentError, match="its log may say why: the log of what started it"):
        stop_one(KEY, runtime)
    make_publishers_end_with(tmp_path, "raise RuntimeError('the disk is gone')")
    with forks.Process(run_here) as process:
        wait_for(lambda: "is running" in process.stderr.readline())
        process.terminate()
    with pytest.raises(ComponentError, match="publisher nowhere did not close; see the log of what started it"):
        stop_one(KEY, runtime)


def _script(monkeypatch: pytest.MonkeyPatch, story: list[Running | None]) -> None:
    """Let pid files say one thing of *story* after another."""
    contents = iter([None, *story])  # a stop asks first which processes are shared

    def running(_: RuntimeFiles, __: str) -> Running | None:
        return next(contents)

    def keys(_: RuntimeFiles) -> list[str]:
        return [KEY]

    monkeypatch.setattr(RuntimeFiles, "running", running)
    monkeypatch.setattr(RuntimeFiles, "keys", keys)


@pytest.mark.parametrize("pid", [0, -1])
def test_no_process_is_signalled_before_the_pid_file_says_which(
    pid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))
        raise ProcessLookupError

    pid_max = 2**22 + 1  # there is no such process
    unsaid, said = Running(pid, Path("a"), 0, 0.0), Running(pid_max, Path("a"), 0, 0.0)
    monkeypatch.setattr(os, "kill", kill)
    _script(monkeypatch, [unsaid, unsaid, said, None, None])
    assert stop_one(KEY, RuntimeFiles(tmp_path, tmp_path)) == pid_max
    assert sent == [(pid_max, signal.SIGTERM)]

    monkeypatch.setattr(stopping, "_PID_TIMEOUT_S", 0.0)
    _script(monkeypatch, [unsaid] * 3)
    with pytest.raises(ComponentError, match=r"does not say as which process; stop it with `control-rawdaq send XX"):
        stop_one(KEY, RuntimeFiles(tmp_path, tmp_path))
    assert len(sent) == 1


def test_a_dead_process_whose_pid_file_is_empty_is_reported_without_a_pid(runtime: RuntimeFiles) -> None:
    runtime.prepare()
    runtime.pid_file(KEY).touch()
    with pytest.raises(ComponentError, match="is not running: its process ended without tidying up"):
        stop_one(KEY, runtime)


def _hold(monkeypatch: pytest.MonkeyPatch, kill: Any) -> None:
    """Let a component seem to run for ever, and *kill* stand in for the system's."""

    def running(_: RuntimeFiles, __: str) -> Running:
        return Running(1, Path("a"), 0, 0.0)

    monkeypatch.setattr(RuntimeFiles, "running", running)
    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(stopping, "_STOP_MARGIN_S", 0.0)
    monkeypatch.setattr(stopping, "_KILL_TIMEOUT_S", 0.0)


def test_the_component_of_another_user_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise PermissionError

    _hold(monkeypatch, kill)
    with pytest.raises(ComponentError, match="belongs to another user"):
        stop_one(KEY, RuntimeFiles(tmp_path, tmp_path))


def test_a_process_that_cannot_be_killed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []

    def kill(_: int, number: int) -> None:
        sent.append(number)
        if number == signal.SIGKILL:
            raise ProcessLookupError

    _hold(monkeypatch, kill)
    with pytest.raises(ComponentError, match="cannot even be killed"):
        stop_one(KEY, RuntimeFiles(tmp_path, tmp_path))
    assert sent == [signal.SIGTERM, signal.SIGKILL]


def test_each_goes_on_after_a_failure() -> None:
    def action(number: int) -> int:
        if number == 2:
            raise ComponentError("two")
        return number * 10

    first, second, third = run_each(action, [1, 2, 3])
    assert (first, str(second), third) == (10, "two", 30)
    assert isinstance(second, RawdaqError)
    assert run_each(action, []) == []
