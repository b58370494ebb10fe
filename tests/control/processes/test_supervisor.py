import os
import pickle
import resource
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rawdaq import config, station
from rawdaq.config.settings import ComponentSettings
from rawdaq.control import client
from rawdaq.control.processes import children as processes
from rawdaq.control.processes import component, supervisor
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.process import log
from rawdaq.process.runtime_files import AlreadyRunning, Running, RuntimeFiles
from tests import outside
from tests.helpers import wait_for

KEY = "XX.OUT.Main"


@pytest.fixture
def runtime(runtime_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RuntimeFiles]:
    with monkeypatch.context() as patch:
        outside.install(tmp_path, patch)
        with RuntimeFiles.find() as files:
            yield files
            for key in files.keys():
                supervisor.stop(key, files)
    outside.forget()


def _component(folder: Path, text: str = outside.STATION) -> ComponentSettings:
    file = folder / "station.yaml"
    file.write_text(text)
    return config.load(file).components[0]


def _troubled(folder: Path, trouble: str) -> ComponentSettings:
    return _component(folder, outside.STATION.replace("OutsideReceiver}", f"OutsideReceiver, trouble: {trouble}}}"))


def test_a_started_component_answers_runs_once_and_is_gone_when_it_is_stopped(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    settings = _component(tmp_path)
    pid = supervisor.start(settings, runtime)
    running = runtime.running(KEY)
    assert running is not None
    assert (running.pid, running.is_alive, running.config) == (pid, True, settings.file)
    assert client.send(KEY, runtime.command_address(KEY), "echo", ["a", "b"]) == "a b"
    assert Path(f"/proc/{pid}/stat").read_text().split()[5] == str(pid), "it is a session of its own"
    with pytest.raises(AlreadyRunning, match=f"already running .pid {pid}."):
        supervisor.start(settings, runtime)
    assert supervisor.stop(KEY, runtime) == pid
    assert runtime.running(KEY) is None
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ComponentError, match=r"^XX\.OUT\.Main is not running$"):
        supervisor.stop(KEY, runtime)


def test_a_component_may_open_as_many_files_as_the_system_ever_allows(runtime: RuntimeFiles, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        pid = supervisor.start(_component(tmp_path), runtime)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    assert soft == hard == before[1]


def test_a_failed_start_tells_the_reason_once_and_nothing_of_an_earlier_start(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    runtime.prepare()
    runtime.log_file(KEY).write_text("2026-11-21T00:00:00.123Z ERROR rawdaq.x an old story\n")
    with pytest.raises(supervisor.StartFailed) as caught:
        supervisor.start(_troubled(tmp_path, "refuse"), runtime)
    expected = "XX.OUT.Main did not start: OutsideReceiver cannot be built: the port is taken; take another"
    first, *others = str(caught.value).splitlines()
    assert first == expected
    assert "an old story" not in "".join(others)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert runtime.running(KEY) is None


def test_a_process_that_just_ends_is_noticed_and_what_it_printed_is_shown(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    with pytest.raises(supervisor.StartFailed) as caught:
        supervisor.start(_troubled(tmp_path, "exit"), runtime)
    assert caught.value.reason == "it ended with exit status 3"
    assert caught.value.lines[-1] == "a library said goodbye"
    assert "its last log lines:\n" in str(caught.value)
    with pytest.raises(ComponentError, match="ended without tidying up; its pid file is removed now, its log may say"):
        supervisor.stop(KEY, runtime)
    assert runtime.keys() == []


def test_a_process_that_does_not_answer_in_time_is_killed(runtime: RuntimeFiles, tmp_path: Path) -> None:
    with pytest.raises(supervisor.StartFailed, match=r"did not answer within 0\.1 s and was killed"):
        supervisor.start(_troubled(tmp_path, "hang"), runtime, timeout_s=0.1)
    for key in runtime.keys():
        runtime.forget(key)


def test_nobody_stays_when_the_start_is_interrupted(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []

    def interrupt(pid: int, *_: object) -> str | None:
        pids.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(supervisor, "wait_for_answer", interrupt)
    with pytest.raises(KeyboardInterrupt):
        supervisor.start(_component(tmp_path), runtime)
    wait_for(lambda: processes.is_gone(pids[0]))
    for key in runtime.keys():
        runtime.forget(key)


def test_a_component_that_does_not_stop_is_killed_and_that_is_told(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_STOP_MARGIN_S", 0.0)
    settings = _component(
        tmp_path,
        outside.STATION.replace("OutsideReceiver}", "OutsideReceiver, trouble: stubborn}")
        + "  Daemon: {stop_timeout_s: 0.1}\n",
    )
    supervisor.start(settings, runtime)
    with pytest.raises(supervisor.Killed) as caught:
        supervisor.stop(KEY, runtime)
    assert "did not stop within 0.2 s and was killed" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert runtime.running(KEY) is None


def _spoil(folder: Path, ending: str) -> None:
    """Let components from outside do *ending* when their publishers close."""
    module = folder / "site" / "rawdaq_outside.py"
    module.write_text(f"{module.read_text()}\nasync def _end(self):\n    {ending}\nOutsidePublisher.aclose = _end\n")


def test_a_stop_that_loses_data_is_told_although_the_component_is_gone(runtime: RuntimeFiles, tmp_path: Path) -> None:
    _spoil(tmp_path, "raise RuntimeError('the disk is gone')")
    pid = supervisor.start(_component(tmp_path), runtime)
    with pytest.raises(supervisor.EndedWithError) as caught:
        supervisor.stop(KEY, runtime)
    expected = "XX.OUT.Main has stopped, but with an error: Main stopped: publisher nowhere did not close; see "
    assert str(caught.value) == f"{expected}{runtime.log_file(KEY)}"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert processes.is_gone(pid)
    assert [path for path in runtime.folder.iterdir() if path != runtime.logs] == []


def test_a_process_that_just_ends_while_it_stops_is_told(runtime: RuntimeFiles, tmp_path: Path) -> None:
    _spoil(tmp_path, "os._exit(0)")
    supervisor.start(_component(tmp_path), runtime)
    with pytest.raises(supervisor.EndedWithError, match="before it was done: what waited in its queues may be lost"):
        supervisor.stop(KEY, runtime)
    assert runtime.keys() == []


def test_of_what_was_started_elsewhere_no_log_is_named_that_is_not_there(runtime: RuntimeFiles, tmp_path: Path) -> None:
    pid = supervisor.start(_component(tmp_path), runtime)
    runtime.log_file(KEY).unlink()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: processes.is_gone(pid))
    with pytest.raises(ComponentError, match="its log may say why: the log of what started it"):
        supervisor.stop(KEY, runtime)
    _spoil(tmp_path, "raise RuntimeError('the disk is gone')")
    supervisor.start(_component(tmp_path), runtime)
    runtime.log_file(KEY).unlink()
    with pytest.raises(supervisor.EndedWithError, match="see the log of what started it"):
        supervisor.stop(KEY, runtime)


def test_of_two_starts_at_the_same_time_one_is_told_that_it_runs_already(runtime: RuntimeFiles, tmp_path: Path) -> None:
    settings = _component(tmp_path)
    results = supervisor.each(lambda _: supervisor.start(settings, runtime), range(3))
    pids = [result for result in results if isinstance(result, int)]
    others = [result for result in results if isinstance(result, AlreadyRunning)]
    assert (len(pids), len(others)) == (1, 2), results
    assert {error.pid for error in others} == set(pids)
    assert supervisor.stop(KEY, runtime) == pids[0]


def test_a_start_is_not_believed_before_the_pid_file_names_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def pong(*_: object) -> Generator[Callable[[float], list[bytes]]]:
        yield lambda _: [b"pong"]

    def status(pid: int) -> int | None:
        return next(statuses)

    statuses = iter([None, 1])
    monkeypatch.setattr(client, "call", pong)
    monkeypatch.setattr(processes, "exit_status", status)
    monkeypatch.setattr(supervisor, "_ASK_AGAIN_S", 0.0)
    _tell(monkeypatch, [Running(5, Path("a"), 0, 0.0)] * 9)
    files = RuntimeFiles(tmp_path, tmp_path)
    trouble = supervisor.wait_for_answer(7, KEY, files, lambda: processes.end_of(7, time.monotonic() + 30, 30))
    assert trouble == "it ended with exit status 1"


def _tell(monkeypatch: pytest.MonkeyPatch, story: list[Running | None]) -> None:
    """Let pid files say one thing of *story* after another."""
    said = iter(story)

    def running(_: RuntimeFiles, __: str) -> Running | None:
        return next(said)

    monkeypatch.setattr(RuntimeFiles, "running", running)


@pytest.mark.parametrize("pid", [0, -1])
def test_nobody_is_signalled_before_the_pid_file_says_whom(
    pid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))
        raise ProcessLookupError

    pid_max = 2**22 + 1  # there is no such process
    unsaid, said = Running(pid, Path("a"), 0, 0.0), Running(pid_max, Path("a"), 0, 0.0)
    monkeypatch.setattr(os, "kill", kill)
    _tell(monkeypatch, [unsaid, unsaid, said, None, None])
    assert supervisor.stop(KEY, RuntimeFiles(tmp_path, tmp_path)) == pid_max
    assert sent == [(pid_max, signal.SIGTERM)]

    monkeypatch.setattr(supervisor, "_PID_TIMEOUT_S", 0.0)
    _tell(monkeypatch, [unsaid] * 3)
    with pytest.raises(ComponentError, match=r"does not say as which process; stop it with `control-rawdaq send XX"):
        supervisor.stop(KEY, RuntimeFiles(tmp_path, tmp_path))
    assert len(sent) == 1


def test_a_dead_process_that_never_said_its_pid_is_told_without_one(runtime: RuntimeFiles) -> None:
    runtime.prepare()
    runtime.pid_file(KEY).touch()
    with pytest.raises(ComponentError, match="is not running: its process ended without tidying up"):
        supervisor.stop(KEY, runtime)


def test_a_log_that_cannot_be_written_is_told_with_the_remedy(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.prepare()
    runtime.log_file(KEY).mkdir()
    with pytest.raises(ComponentError, match=r"Main\.log cannot be written: Is a directory; set RAWDAQ_LOG_DIR"):
        supervisor.start(_component(tmp_path), runtime)


def _held(monkeypatch: pytest.MonkeyPatch, kill: Any) -> None:
    """Let a component run for ever as far as anybody can see, and *kill* stand in for the system's."""

    def running(_: RuntimeFiles, __: str) -> Running:
        return Running(1, Path("a"), 0, 0.0)

    monkeypatch.setattr(RuntimeFiles, "running", running)
    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(supervisor, "_STOP_MARGIN_S", 0.0)
    monkeypatch.setattr(supervisor, "_KILL_TIMEOUT_S", 0.0)


def test_the_component_of_another_user_is_left_to_him(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise PermissionError

    _held(monkeypatch, kill)
    with pytest.raises(ComponentError, match="belongs to another user"):
        supervisor.stop(KEY, RuntimeFiles(tmp_path, tmp_path))


def test_a_process_that_cannot_be_killed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []

    def kill(_: int, number: int) -> None:
        sent.append(number)
        if number == signal.SIGKILL:
            raise ProcessLookupError

    _held(monkeypatch, kill)
    with pytest.raises(ComponentError, match="cannot even be killed"):
        supervisor.stop(KEY, RuntimeFiles(tmp_path, tmp_path))
    assert sent == [signal.SIGTERM, signal.SIGKILL]


def test_a_process_of_somebody_else_has_gone_when_it_is_a_zombie_or_no_longer_there() -> None:
    assert not processes.is_gone(1)
    assert processes.is_gone(2**22 + 1)


def test_each_goes_on_after_a_failure() -> None:
    def action(number: int) -> int:
        if number == 2:
            raise ComponentError("two")
        return number * 10

    first, second, third = supervisor.each(action, [1, 2, 3])
    assert (first, str(second), third) == (10, "two", 30)
    assert isinstance(second, RawdaqError)
    assert supervisor.each(action, []) == []


# ---------------------------------------------------------------- the process of a component


def test_the_process_refuses_a_wrong_file_with_2_and_a_missing_component_with_1(
    runtime: RuntimeFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert component.main([str(tmp_path / "gone.yaml"), KEY]) == 2
    assert component.main([str(_component(tmp_path).file), "XX.OUT.Other"]) == 1
    assert "has no component XX.OUT.Other (any more)" in capsys.readouterr().err


class _Ran(Exception):
    """The component would run now."""


def _run(settings: ComponentSettings, runtime: RuntimeFiles, monkeypatch: pytest.MonkeyPatch, error: Exception) -> int:
    """Run the component in this process with *error* as its end and without touching this process' logging."""

    def end(*_: object) -> None:
        raise error

    def leave(*_: object) -> None:
        """Do not touch the logging of this process."""

    monkeypatch.setattr(log, "configure", leave)
    monkeypatch.setattr(station, "run_component", end)
    runtime.prepare()
    return component.run(settings, runtime, None)


def test_a_core_that_is_not_there_is_told(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = _component(tmp_path, outside.STATION + "  Daemon: {core_id: 100000}\n")
    assert _run(settings, runtime, monkeypatch, _Ran()) == 1
    assert "Daemon.core_id 100000 cannot be used: Invalid argument; cores here: " in caplog.text


def test_a_core_is_bound(runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[object] = []

    def bind(*args: object) -> None:
        bound.append(args)

    monkeypatch.setattr(os, "sched_setaffinity", bind)
    settings = _component(tmp_path, outside.STATION + "  Daemon: {core_id: 1}\n")
    assert _run(settings, runtime, monkeypatch, ComponentError("enough")) == 1
    assert bound == [(0, {1})]


def test_an_error_that_nobody_foresaw_ends_with_1_and_a_traceback_in_the_log(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert _run(_component(tmp_path), runtime, monkeypatch, _Ran()) == 1
    assert "Main ended with an error that nobody foresaw" in caplog.text
    assert "Traceback" in caplog.text
