"""Components that share processes, in real children."""

import contextlib
import json
import os
import pickle
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rawdaq import config
from rawdaq.control import client
from rawdaq.control.processes import children, groups
from rawdaq.control.processes import start as starting
from rawdaq.control.processes import stop as stopping
from rawdaq.control.processes.errors import NotStopped, StartFailed
from rawdaq.control.processes.jobs import Results, run_each
from rawdaq.control.processes.start import start
from rawdaq.control.processes.stop import stop
from rawdaq.errors import ComponentError
from rawdaq.process.runs import AlreadyRunning
from rawdaq.process.runtime_files import RuntimeFiles
from tests.control.processes.components import named_component, named_components, pids, start_one, stop_one
from tests.helpers import wait_for


def _keys(runtime: RuntimeFiles) -> list[str]:
    return [key for key in runtime.keys() if key.startswith("XX.")]


def _error(results: Results, key: str) -> str:
    return str(results[key])


def _send(runtime: RuntimeFiles, key: str, command: str, *args: str) -> object:
    return client.send(key, runtime.command_address(key), command, args, 30)


def _log(runtime: RuntimeFiles, key: str) -> str:
    return runtime.log_file(key).read_text()


def _has_gone(runtime: RuntimeFiles, key: str) -> bool:
    return runtime.running(key) is None


def test_components_are_spread_over_processes_and_each_is_there_by_itself(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    components = named_components(tmp_path, A="", B="", C="", D="")
    a, b, c, d = pids(start(groups.spread(components, 2), runtime))
    assert (a, c) == (b, d)
    assert a != c
    running = [runtime.running(component.key) for component in components]
    assert [each and (each.pid, each.group, each.config.name) for each in running] == [
        (a, "group.1", "A.yaml"),
        (a, "group.1", "B.yaml"),
        (c, "group.2", "C.yaml"),
        (c, "group.2", "D.yaml"),
    ]
    for component in components:
        assert _send(runtime, component.key, "echo", component.key) == component.key
        lines = _log(runtime, component.key).splitlines()
        assert lines[0].endswith(f"starting Main from {component.file}")
        assert [line.endswith("Main is running") for line in lines] == [False, True]
    assert "group.2 runs 2 components" in _log(runtime, "group.2")
    (stat,) = {Path(f"/proc/{pid}/stat").read_text().split()[5] == str(pid) for pid in (a, c)}
    assert stat, "each is a session of its own"
    assert len(list(Path(f"/proc/{a}/task").iterdir())) <= 4, "a component brings no thread"

    assert pids(stop([component.key for component in components], runtime)) == [a, a, c, c]
    assert children.is_gone(a)
    assert children.is_gone(c)
    assert [path for path in runtime.folder.iterdir() if path != runtime.logs] == []
    assert _log(runtime, "XX.A.Main").endswith("Main has stopped\n")


def test_one_that_cannot_start_fails_alone_and_the_reason_is_reported(runtime: RuntimeFiles, tmp_path: Path) -> None:
    components = named_components(tmp_path, A="", B=", trouble: refuse", C="")
    results = start([components], runtime)
    expected = "XX.B.Main did not start: OutsideReceiver cannot be built: the port is taken; take another"
    assert _error(results, "XX.B.Main").splitlines()[0] == expected
    assert (
        _log(runtime, "XX.B.Main")
        .splitlines()[-1]
        .endswith("OutsideReceiver cannot be built: the port is taken; take another")
    )
    assert results["XX.A.Main"] == results["XX.C.Main"]
    assert _send(runtime, "XX.C.Main", "ping") == "pong"
    assert runtime.keys() == ["XX.A.Main", "XX.C.Main", "group.1"]


def test_full_disks_of_their_logs_keep_none_from_starting_and_end_none(runtime: RuntimeFiles, tmp_path: Path) -> None:
    components = named_components(tmp_path, A="", B="")
    runtime.prepare()
    for key in ("group.1", "XX.A.Main", "XX.B.Main"):
        runtime.log_file(key).symlink_to("/dev/full")
    pids(start([components], runtime))
    assert _send(runtime, "XX.A.Main", "pause") == "paused", "which is logged"
    runtime.log_file("XX.B.Main").unlink()
    assert _send(runtime, "XX.B.Main", "pause") == "paused"
    assert _log(runtime, "XX.B.Main").endswith("paused by command\n"), "where there is room again"
    pids(stop([component.key for component in components], runtime))


def test_a_bug_in_one_class_and_another_that_cannot_be_imported_fail_alone(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    bug, good, broken = named_components(tmp_path, A=", trouble: bug", B="", C="")
    broken.file.write_text(broken.file.read_text().replace("OutsideReceiver", "Broken"))
    (broken,) = config.load(broken.file).components
    assert groups.shortage([bug, good, broken]) is None
    results = start([[bug, good, broken]], runtime)
    assert "XX.A.Main did not start: KeyError: 'a bug'" in _error(results, "XX.A.Main")
    assert "XX.A.Main ended with an unexpected error" in _log(runtime, "XX.A.Main")
    assert "Traceback" in _log(runtime, "XX.A.Main")
    assert "Broken cannot be imported" in _error(results, "XX.C.Main")
    assert _send(runtime, "XX.B.Main", "ping") == "pong"


def test_one_that_never_answers_is_reported_and_the_others_are_there(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_STOP_MARGIN_S", 0.1)
    monkeypatch.setattr(starting, "_ANSWER_TIMEOUT_S", 30.0)
    silent = named_component(tmp_path, "B", ", trouble: silent", "{stop_timeout_s: 0.1}")
    a, c = named_components(tmp_path, A="", C="")
    wait = starting.wait_for_answer

    def wait_less(pid: int, key: str, runtime: RuntimeFiles, trouble: Callable[[], str | None]) -> str | None:
        """Let the time be over as soon as the silent one is waited for."""
        if key != silent.key:
            return wait(pid, key, runtime, trouble)
        with monkeypatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: sys.float_info.max)
            return trouble()

    monkeypatch.setattr(starting, "wait_for_answer", wait_less)
    results = start([[a, silent, c]], runtime)
    assert re.search(
        r"B.Main did not start: it did not answer within .*group.1 still runs", _error(results, silent.key)
    )
    assert results["XX.A.Main"] == results["XX.C.Main"]
    assert "was not killed" in _error(stop(["XX.B.Main"], runtime), "XX.B.Main")
    assert _send(runtime, "XX.A.Main", "ping") == _send(runtime, "XX.C.Main", "ping") == "pong"


def test_when_none_can_start_the_process_is_gone(runtime: RuntimeFiles, tmp_path: Path) -> None:
    results = start([named_components(tmp_path, A=", trouble: refuse", B=", trouble: refuse")], runtime)
    assert all(isinstance(result, StartFailed) for result in results.values()), results
    assert runtime.keys() == []


def test_one_that_breaks_later_ends_alone_and_its_error_stays(runtime: RuntimeFiles, tmp_path: Path) -> None:
    a, _ = pids(start([named_components(tmp_path, A="", B="")], runtime))
    with contextlib.suppress(ComponentError):
        _send(runtime, "XX.A.Main", "break")
    wait_for(lambda: _has_gone(runtime, "XX.A.Main"))
    assert runtime.take_error("XX.A.Main", a) == "Main stopped: breaking ended with RuntimeError('it broke')"
    assert "RuntimeError: it broke" in _log(runtime, "XX.A.Main")
    assert "it broke" not in _log(runtime, "XX.B.Main")
    assert _send(runtime, "XX.B.Main", "ping") == "pong"
    assert _send(runtime, "XX.B.Main", "stop") == "stopping"
    assert os.waitstatus_to_exitcode(os.waitpid(a, 0)[1]) == 1, "with the last one the process ends"


def test_one_is_stopped_alone_and_the_others_live_on(runtime: RuntimeFiles, tmp_path: Path) -> None:
    components = named_components(tmp_path, A="", B="", C="")
    (pid, *_) = pids(start([components], runtime))
    assert stop_one("XX.B.Main", runtime) == pid
    assert _has_gone(runtime, "XX.B.Main")
    assert pids(stop(["XX.A.Main"], runtime)) == [pid]
    assert _send(runtime, "XX.C.Main", "ping") == "pong"
    alone = start_one(components[0], runtime)
    assert alone != pid
    assert pids(stop(["XX.A.Main", "XX.C.Main"], runtime)) == [alone, pid]


def test_one_that_does_not_stop_ends_no_other_until_all_are_stopped(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_STOP_MARGIN_S", 0.1)
    clinging = named_component(tmp_path, "A", ", trouble: clinging", "{stop_timeout_s: 0.1}")
    sibling = named_component(tmp_path, "B", daemon="{stop_timeout_s: 0.1}")
    pid, _ = pids(start([[clinging, sibling]], runtime))
    with pytest.raises(NotStopped, match=r"^XX.A.Main did not stop within 0.3 s and was not killed") as caught:
        stop_one("XX.A.Main", runtime)
    assert str(caught.value).endswith("`control-rawdaq stop group.1` stops them all")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert _send(runtime, "XX.B.Main", "ping") == "pong"

    monkeypatch.setattr(stopping, "_STOP_MARGIN_S", 3.8)  # in which the sibling stops
    results = stop(["XX.A.Main", "XX.B.Main"], runtime)
    assert "XX.A.Main did not stop within 4 s and was killed" in _error(results, "XX.A.Main")
    assert results["XX.B.Main"] == pid
    assert children.is_gone(pid)
    assert [path for path in runtime.folder.iterdir() if path != runtime.logs] == []


def test_when_the_process_is_killed_all_are_dead_and_can_be_started_again(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    components = named_components(tmp_path, A="", B="")
    pid, _ = pids(start([components], runtime))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    dead = [runtime.running(component.key) for component in components]
    assert [each and (each.pid, each.is_alive) for each in dead] == [(pid, False)] * 2
    log_file = runtime.log_file("group.1")
    assert [each and each.log_file for each in map(runtime.ended, _keys(runtime))] == [log_file] * 2
    results = stop(["XX.A.Main"], runtime)
    assert "its process " + str(pid) + " ended without tidying up" in _error(results, "XX.A.Main")
    assert _error(results, "XX.A.Main").endswith(str(log_file)), "which has what the process said at its end"
    again, same = pids(start([components], runtime))
    assert again == same != pid


def test_the_log_level_is_that_of_one_component(runtime: RuntimeFiles, tmp_path: Path) -> None:
    chatty = named_component(tmp_path, "A", daemon="{log_level: DEBUG}")
    start([[chatty, *named_components(tmp_path, B="", C="")]], runtime)
    keys = ["XX.A.Main", "XX.B.Main", "XX.C.Main"]
    assert _send(runtime, "XX.B.Main", "log_level", "debug") == "DEBUG"
    assert [_send(runtime, key, "log_level") for key in keys] == ["DEBUG", "DEBUG", "INFO"]
    for key in keys:
        _send(runtime, key, "log", "a", "detail")
    assert ["DEBUG rawdaq.receivers.Main a detail" in _log(runtime, key) for key in keys] == [True, True, False]


def test_those_of_one_core_run_on_it_and_a_missing_core_is_reported_for_each(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    core = min(os.sched_getaffinity(0))
    bound = [named_component(tmp_path, name, daemon=f"{{core_id: {core}}}") for name in "AB"]
    lost = [named_component(tmp_path, name, daemon="{core_id: 100000}") for name in "CD"]
    results = start(groups.spread([*bound, *lost], 1), runtime)
    pid = results["XX.A.Main"]
    assert isinstance(pid, int)
    assert os.sched_getaffinity(pid) == {core}
    for key in ("XX.C.Main", "XX.D.Main"):
        assert "Daemon.core_id 100000 cannot be used: Invalid argument; cores here: " in _error(results, key)


def test_a_file_that_was_changed_meanwhile_fails_only_its_own_components(runtime: RuntimeFiles, tmp_path: Path) -> None:
    components = named_components(tmp_path, A="", B="", C="", D="")
    components[0].file.write_text("station: 1")
    components[1].file.write_text(components[2].file.read_text())
    named_component(tmp_path, "D", daemon="{core_id: 0}")
    results = start([components], runtime)
    assert f"{components[0].file}:1: station: 1 is wrong" in _error(results, "XX.A.Main")
    assert "has no component XX.B.Main (any more)" in _error(results, "XX.B.Main")
    assert _send(runtime, "XX.C.Main", "ping") == "pong"
    assert "its Daemon.core_id was changed just now; start it again" in _error(results, "XX.D.Main")


def test_one_that_runs_already_is_left_alone(runtime: RuntimeFiles, tmp_path: Path) -> None:
    components = named_components(tmp_path, A="", B="", C="")
    pid = start_one(components[1], runtime)
    results = start([components], runtime)
    assert isinstance(results["XX.B.Main"], AlreadyRunning)
    assert results["XX.A.Main"] == results["XX.C.Main"] != pid
    assert _send(runtime, "XX.B.Main", "status")["pid"] == pid  # type: ignore[index]  # it is a JSON object


def test_a_process_that_just_ends_is_reported_for_each_component_with_its_log(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    results = start([named_components(tmp_path, A="", B=", trouble: exit", C="")], runtime)
    for key in ("XX.A.Main", "XX.B.Main", "XX.C.Main"):
        assert "did not start: group.1 ended with exit status 3; the last line of " in _error(results, key)
        assert _error(results, key).splitlines()[0].endswith("group.1.log: a library said goodbye")
    assert _log(runtime, "group.1") == "a library said goodbye\n"
    for key in _keys(runtime):
        runtime.forget(key)


def test_one_that_has_answered_is_not_called_started_when_its_process_ends_while_another_starts(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = starting.wait_for_answer

    def wait_and_kill(pid: int, key: str, runtime: RuntimeFiles, trouble: Callable[[], str | None]) -> str | None:
        answer = wait(pid, key, runtime, trouble)
        if key == "XX.A.Main":
            os.kill(pid, signal.SIGKILL)
            with runtime.log_file("XX.B.Main").open("a") as log:
                log.write("2026-11-21T00:00:00.123Z ERROR rawdaq.x it is not this\n")
        return answer

    monkeypatch.setattr(starting, "wait_for_answer", wait_and_kill)
    results = start([named_components(tmp_path, A="", B="")], runtime)
    for key in ("XX.A.Main", "XX.B.Main"):
        expected = f"{key} did not start: group.1 ended with exit status -9; the last line of "
        assert _error(results, key).startswith(f"{expected}{runtime.log_file('group.1')}: ")
        runtime.forget(key)


def test_one_whose_process_ends_while_it_stops_is_reported_with_the_log_of_that(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, _ = pids(start([named_components(tmp_path, A="", B="")], runtime))

    kill = os.kill

    def kill_at_once(pid: int, _: int) -> None:
        kill(pid, signal.SIGKILL)

    monkeypatch.setattr(os, "kill", kill_at_once)
    results = stop(["XX.A.Main", "XX.B.Main"], runtime)
    for key in ("XX.A.Main", "XX.B.Main"):
        assert "before it was done" in _error(results, key)
        assert _error(results, key).endswith(f"; see {runtime.log_file('group.1')}")
    assert children.is_gone(pid)


def test_a_process_that_hangs_is_killed_and_that_is_reported_for_each_component(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned: list[int] = []
    spawn = children.spawn

    def remember(*args: Any) -> int:
        spawned.append(spawn(*args))
        return spawned[0]

    monkeypatch.setattr(children, "spawn", remember)
    monkeypatch.setattr(starting, "START_TIMEOUT_S", 0.0)
    monkeypatch.setattr(starting, "_GONE_TIMEOUT_S", 0.0)
    results = start([named_components(tmp_path, A="", B=", trouble: hang")], runtime)
    for key in ("XX.A.Main", "XX.B.Main"):
        assert "did not start: it did not answer within 0.2 s" in _error(results, key)
    assert children.is_gone(wait_for(lambda: spawned)[0])
    for key in _keys(runtime):
        runtime.forget(key)


def test_no_process_stays_when_the_start_is_interrupted(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []

    def interrupt(pid: int, *_: object) -> str | None:
        pids.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(starting, "wait_for_answer", interrupt)
    with pytest.raises(KeyboardInterrupt):
        start([named_components(tmp_path, A="", B="")], runtime)
    wait_for(lambda: children.is_gone(pids[0]))
    for key in _keys(runtime):
        runtime.forget(key)


def test_a_process_whose_order_cannot_be_written_is_not_started(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    results = start([named_components(tmp_path, A="", B="")], runtime)
    assert "cannot be written: No space left on device; make room, or set TMPDIR" in _error(results, "XX.B.Main")
    assert runtime.keys() == []


def test_a_name_that_another_start_has_just_taken_is_reported(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: object) -> Iterator[str]:
        yield "group.1"

    monkeypatch.setattr(starting, "_free_names", taken)
    with runtime.hold("group.1", Path(), 0):
        results = start([named_components(tmp_path, A="", B="")], runtime)
    assert "another start has just taken the name group.1; start these components again" in _error(results, "XX.A.Main")


def test_components_come_back_as_they_ran(runtime: RuntimeFiles, tmp_path: Path) -> None:
    components = named_components(tmp_path, A="", B="", C="", D="", E="", F="")
    a, b, c, d, e, _ = components
    start([[a, b], [c, d], [e]], runtime)
    meant = [*components[:3], *components[4:]]
    names = [[each.key[3] for each in group] for _, group in groups.running_groups(meant, runtime)]
    assert names == [["A", "B"], ["C"], ["E"], ["F"]]
    bound = named_component(tmp_path, "B", daemon="{core_id: 0}")
    parted = groups.running_groups([a, bound], runtime)
    assert [[each.key[3] for each in group] for _, group in parted] == [["A"], ["B"]]


def test_a_signal_stops_all_components_of_a_process_in_order(runtime: RuntimeFiles, tmp_path: Path) -> None:
    pid, _ = pids(start([named_components(tmp_path, A="", B="")], runtime))
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert runtime.keys() == []
    assert "group.1 has stopped, 0 components ended with an error" in _log(runtime, "group.1")


def test_the_longest_time_that_one_may_take_to_stop_is_that_of_the_process(
    runtime: RuntimeFiles, tmp_path: Path
) -> None:
    quick, slow = named_component(tmp_path, "A"), named_component(tmp_path, "B", daemon="{stop_timeout_s: 77}")
    start([[quick, slow]], runtime)
    ((running, keys),) = groups.whole_processes(["XX.A.Main", "XX.B.Main"], runtime)
    assert (running.stop_timeout_s, keys) == (77, ["XX.A.Main", "XX.B.Main"])
    assert json.loads(runtime.pid_file("XX.A.Main").read_text())["stop_timeout_s"] == 10


def test_two_starts_at_the_same_time_take_different_names(runtime: RuntimeFiles, tmp_path: Path) -> None:
    both = [named_components(tmp_path, A="", B=""), named_components(tmp_path, C="", D="")]
    results = run_each(lambda group: start([group], runtime), both)
    started = {pid for result in results if isinstance(result, dict) for pid in pids(result)}
    assert len(started) == 2
    assert {running.group for key in _keys(runtime) if (running := runtime.running(key))} == {"group.1", "group.2"}


def test_ctrl_c_while_components_start_leaves_none_of_them(
    runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = named_components(tmp_path, A="", B="")
    started: list[int] = []
    spawn = children.spawn

    def watched(*args: Any) -> int:
        started.append(spawn(*args))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return started[0]

    monkeypatch.setattr(children, "spawn", watched)
    with pytest.raises(KeyboardInterrupt):
        start([components], runtime)
    assert len(started) == 1
    wait_for(lambda: children.is_gone(started[0]))
    assert all(_has_gone(runtime, component.key) for component in components)
