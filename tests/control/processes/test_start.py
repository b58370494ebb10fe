"""Starting a component in a process of its own."""

import os
import pickle
import re
import resource
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rawdaq.control import client
from rawdaq.control.processes import children, main
from rawdaq.control.processes import start as starting
from rawdaq.control.processes.errors import StartFailed
from rawdaq.control.processes.jobs import run_each
from rawdaq.control.processes.start import wait_for_answer
from rawdaq.errors import ComponentError
from rawdaq.process.runs import AlreadyRunning, Running
from rawdaq.process.runtime_files import RuntimeFiles
from tests import forks
from tests.control.processes.components import KEY, component, start_one, stop_one, troubled
from tests.helpers import wait_for


@pytest.fixture
def _in_an_interpreter(runtime: RuntimeFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes as a user does, and not as forks of this one."""
    monkeypatch.setattr(children, "spawn", SPAWN)


SPAWN = children.spawn


def _limit(monkeypatch: pytest.MonkeyPatch, highest: int) -> None:
    def limits(_: int) -> tuple[int, int]:
        return highest, highest

    monkeypatch.setattr(resource, "getrlimit", limits)


def test_without_enough_open_files_nothing_is_started_and_the_remedy_is_named(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit(monkeypatch, 27)
    settings = component(tmp_path)
    remedy = "only 27 open files here, and needs 28: raise the limit (ulimit -n; LimitNOFILE= in a unit of systemd)"
    with pytest.raises(ComponentError, match=f"^a process may have {re.escape(remedy)}$"):
        start_one(settings, runtime)
    done = forks.run(lambda: main.run_here(settings, runtime))
    assert done.returncode == 1
    assert "XX.OUT.Main may need 47 open files, and a process may have 27 here: raise the limit" in done.stderr
    assert remedy in done.stderr
    assert runtime.keys() == []


@pytest.mark.usefixtures("_in_an_interpreter")
def test_a_started_component_answers_runs_once_and_is_gone_when_it_is_stopped(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    settings = component(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        pid = start_one(settings, runtime)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    running = runtime.running(KEY)
    assert running is not None
    assert (running.pid, running.is_alive, running.config) == (pid, True, settings.file)
    assert client.send(KEY, runtime.command_address(KEY), "echo", ["a", "b"]) == "a b"
    assert Path(f"/proc/{pid}/stat").read_text().split()[5] == str(pid), "it is a session of its own"
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    assert soft == hard == before[1], "it may open as many files as the system allows"
    assert KEY in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    with pytest.raises(AlreadyRunning, match=f"already running .pid {pid}."):
        start_one(settings, runtime)
    assert stop_one(KEY, runtime) == pid
    assert runtime.running(KEY) is None
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ComponentError, match=r"^XX\.OUT\.Main is not running$"):
        stop_one(KEY, runtime)


def test_a_failed_start_has_the_reason_once_and_nothing_of_an_earlier_start(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    runtime.prepare()
    runtime.log_file(KEY).write_text("2026-11-21T00:00:00.123Z ERROR rawdaq.x an old story\n")
    with pytest.raises(StartFailed) as caught:
        start_one(troubled(tmp_path, "refuse"), runtime)
    expected = "XX.OUT.Main did not start: OutsideReceiver cannot be built: the port is taken; take another"
    first, *others = str(caught.value).splitlines()
    assert first == expected
    assert "an old story" not in "".join(others)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert runtime.running(KEY) is None


def test_a_bug_in_a_class_is_the_reason_and_its_traceback_is_among_the_last_lines(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    with pytest.raises(StartFailed, match=r"KeyError: 'a bug'\n  its last log lines:(?s:.*)in __init__") as caught:
        start_one(troubled(tmp_path, "bug"), runtime)
    assert len(caught.value.lines) < starting.SHOWN_LINES
    assert "XX.OUT.Main ended with an unexpected error" in runtime.log_file(KEY).read_text()


def test_a_process_that_just_ends_is_noticed_and_its_output_is_shown(runtime: RuntimeFiles, tmp_path: Path) -> None:
    with pytest.raises(StartFailed) as caught:
        start_one(troubled(tmp_path, "exit"), runtime)
    assert caught.value.reason == "it ended with exit status 3"
    assert caught.value.lines[-1] == "a library said goodbye"
    assert "its last log lines:\n" in str(caught.value)
    with pytest.raises(ComponentError, match="ended without tidying up; its pid file is removed now, its log may say"):
        stop_one(KEY, runtime)
    assert runtime.keys() == []


def test_a_process_that_does_not_answer_in_time_is_killed(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "START_TIMEOUT_S", 0.1)
    with pytest.raises(StartFailed, match=r"did not answer within 0\.1 s and was killed"):
        start_one(troubled(tmp_path, "hang"), runtime)
    for key in runtime.keys():
        runtime.forget(key)


def test_a_process_whose_file_was_changed_meanwhile_fails_with_the_reason(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    settings = component(tmp_path)
    settings.file.write_text("station: 1")
    with pytest.raises(StartFailed, match=r"station\.yaml:1: station: 1 is wrong"):
        start_one(settings, runtime)


def test_no_process_stays_when_the_start_is_interrupted(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []

    def interrupt(pid: int, *_: object) -> str | None:
        pids.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(starting, "wait_for_answer", interrupt)
    with pytest.raises(KeyboardInterrupt):
        start_one(component(tmp_path), runtime)
    wait_for(lambda: children.is_gone(pids[0]))
    for key in runtime.keys():
        runtime.forget(key)


def test_of_starts_at_the_same_time_one_succeeds_and_the_others_see_it(runtime: RuntimeFiles, tmp_path: Path) -> None:
    settings = component(tmp_path)
    results = run_each(lambda _: start_one(settings, runtime), range(3))
    pids = [result for result in results if isinstance(result, int)]
    others = [result for result in results if isinstance(result, AlreadyRunning)]
    assert (len(pids), len(others)) == (1, 2), results
    assert {error.pid for error in others} == set(pids)
    assert stop_one(KEY, runtime) == pids[0]


def test_a_start_outside_of_ours_that_was_quicker_is_reported(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = start_one(component(tmp_path), runtime)
    running, calls = RuntimeFiles.running, list[str]()

    def unseen_at_first(self: RuntimeFiles, key: str) -> Running | None:
        calls.append(key)
        return running(self, key) if calls.count(KEY) > 1 else None

    monkeypatch.setattr(RuntimeFiles, "running", unseen_at_first)
    with pytest.raises(AlreadyRunning, match=f"pid {pid}"):
        start_one(component(tmp_path), runtime)


def test_a_start_is_not_believed_before_the_pid_file_names_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def pong(*_: object) -> Generator[Callable[[float], list[bytes]]]:
        yield lambda _: [b"pong"]

    def running(_: RuntimeFiles, __: str) -> Running:
        return Running(5, Path("a"), 0, 0.0)

    monkeypatch.setattr(client, "call", pong)
    monkeypatch.setattr(starting, "_ASK_AGAIN_S", 0.0)
    monkeypatch.setattr(RuntimeFiles, "running", running)
    troubles = iter([None, "it ended"])
    trouble = wait_for_answer(7, KEY, RuntimeFiles(tmp_path, tmp_path), lambda: next(troubles))
    assert trouble == "it ended"


@pytest.mark.usefixtures("_in_an_interpreter")
def test_a_log_that_cannot_be_written_is_reported_with_the_remedy(runtime: RuntimeFiles, tmp_path: Path) -> None:
    runtime.prepare()
    runtime.log_file(KEY).mkdir()
    with pytest.raises(ComponentError, match=r"Main\.log cannot be written: Is a directory; set RAWDAQ_LOG_DIR"):
        start_one(component(tmp_path), runtime)


def test_a_process_of_another_user_has_gone_when_it_is_no_longer_there() -> None:
    assert not children.is_gone(1)
    assert children.is_gone(2**22 + 1)


def test_a_process_that_the_system_does_not_let_go_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: object) -> None:
        """Do not kill."""

    monkeypatch.setattr(os, "kill", leave)
    monkeypatch.setattr(children, "_KILL_TIMEOUT_S", 0.0)
    assert children.kill(1) == "cannot even be killed (pid 1): it hangs in the system, see its disks"
