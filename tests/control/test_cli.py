"""``control-rawdaq`` starts components, asks them and stops them."""

import json
import os
import resource
import signal
from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.control import cli, client
from rawdaq.control.processes import groups
from rawdaq.errors import CommandError, NoAnswer
from rawdaq.process.runtime_files import RuntimeFiles
from tests import forks, outside
from tests.control.cli_words import TWO, Said, run_python
from tests.forks import run_cli, start_cli


def test_help_is_quick_because_it_loads_next_to_nothing() -> None:
    heavy = "{'zmq', 'yaml', 'pydantic', 'rich', 'obspy', 'platformdirs'}"
    done = run_python(f"import sys\nfrom rawdaq.control import cli\ncli.run(['-h'])\nprint({heavy} & set(sys.modules))")
    assert done.stdout.startswith("Usage: control-rawdaq")
    assert done.stdout.endswith("\nset()\n")


def test_a_component_is_started_asked_restarted_and_stopped(station: Path, said: Said) -> None:
    status, out, err = said.run("start", "receiver", "Main")
    assert (status, err) == (0, "")
    assert out.startswith("XX.OUT.Main started (pid ")

    assert said.run("send", "Main", "ping") == (0, "pong\n", "")
    assert said.run("send", "OUT/Main", "echo", "a", "-x", "--yes") == (0, "a -x --yes\n", "")
    assert said.run("send", "M", "data") == (0, '{\n  "a": [\n    1,\n    null\n  ]\n}\n', "")
    assert said.run("send", "M", "data", "--json") == (0, '{"a": [1, null]}\n', "")
    assert said.run("send", "M", "nothing") == (0, "", "")
    assert said.run("send", "M", "echo", "\udcff")[0] == 0, "an argument that is no text"
    status, _, err = said.run("send", "M", "dance")
    assert (status, err.split(";")[0]) == (1, "control-rawdaq: OUT/Main: no command 'dance'")

    status, out, _ = said.run("status", "--json")
    (row,) = json.loads(out)
    assert (status, row["component"], row["state"], row["file"]) == (0, "XX.OUT.Main", "running", str(station))
    assert row["publishers"]["nowhere"]["state"] == "running"
    assert said.run("send", "Main", "pause")[0] == 0
    assert said.run("status", "--problems") == (
        1,
        "OUT/Main  paused  paused by command; the command `resume` goes on\n",
        "",
    )
    assert said.run("send", "Main", "resume")[0] == 0
    status, out, _ = said.run("status", "Main")
    assert status == 0
    assert out.startswith("OUT/Main  running  pid ")
    assert "nowhere" in out
    assert "OutsidePublisher" in out

    status, _, err = said.run("start", "Main")
    assert (status, "is already running (pid " in err) == (1, True)

    status, out, err = said.run("restart", "all")
    assert (status, err) == (0, "")
    assert [line.split(" (")[0] for line in out.splitlines()] == ["XX.OUT.Main stopped", "XX.OUT.Main started"]
    status, out, _ = said.run("logs", "Main", "-n", "500")
    assert status == 0
    assert len([line for line in out.splitlines() if line.endswith("Main is running")]) == 2
    assert said.run("stop", "Main")[0] == 0
    assert said.run("send", "Main", "ping") == (
        1,
        "",
        "control-rawdaq: OUT/Main is not running; start it: control-rawdaq start OUT/Main\n",
    )
    assert said.run("status", "Main") == (1, "OUT/Main  stopped\n", "")
    assert said.run("status", "Main", "--problems") == (1, "OUT/Main  stopped  it does not run\n", "")
    assert said.run("status")[0] == 0
    assert said.run("stop", "all") == (0, "", "")
    assert said.run("stop", "Main") == (1, "", "control-rawdaq: XX.OUT.Main is not running\n")


@pytest.mark.parametrize(
    ("words", "every_s", "shown"),
    [
        (["--watch"], 2.0, "OUT/Main  stopped\n"),
        (["--watch", "0.5"], 0.5, "OUT/Main  stopped\n"),
        (["--watch", "Main", "--problems"], 2.0, "OUT/Main  stopped  it does not run\n"),
    ],
)
def test_status_is_shown_again_and_again_until_ctrl_c(
    station: Path, said: Said, monkeypatch: pytest.MonkeyPatch, words: list[str], every_s: float, shown: str
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rawdaq.control.status.command.time.sleep", wait)
        result = said.run("status", *words)
    assert result == (1 if "Main" in words else 0, f"{shown}\n{shown}\n{shown}", "")
    assert waits == [every_s] * 3


def test_bytes_come_out_as_they_are(station: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.run(["start", "all"]) == 0
    capfdbinary.readouterr()
    assert cli.run(["send", "Main", "raw"]) == 0
    assert capfdbinary.readouterr().out == b"\x00\xff"


def test_the_failure_of_one_component_does_not_stop_the_others(station: Path, said: Said) -> None:
    station.write_text(TWO)
    status, out, err = said.run("start", "all")
    assert status == 1
    assert out.startswith("XX.OUT.Main started")
    assert err.startswith(
        "control-rawdaq: XX.OUT.Second did not start: OutsideReceiver cannot be built: the port is taken"
    )
    status, out, _ = said.run("list", "--json")
    assert [(row["name"], row["state"], row["receiver"], row["publishers"]) for row in json.loads(out)] == [
        ("Main", "running", "OutsideReceiver", ["nowhere"]),
        ("Second", "stopped", "OutsideReceiver", []),
    ]
    status, out, _ = said.run("list")
    assert status == 0
    assert out.split() == out.replace("\x1b", "").split(), "no colours where nobody sees them"
    assert "XX.OUT.Second" in out


@pytest.mark.parametrize("shared", [[], ["--processes", "1"]])
def test_a_publisher_that_cannot_open_refuses_a_strict_start_only(
    station: Path, said: Said, tmp_path: Path, shared: list[str]
) -> None:
    (tmp_path / "disk").touch()
    archive = f"    archive: {{class: MiniSeedPublisher, path: {tmp_path}/disk/archive}}\n"
    station.write_text(outside.STATION + archive)
    status, out, err = said.run("start", "all", "--strict", *shared)
    reason = f"publisher archive: cannot write {tmp_path}/disk/archive: Not a directory"
    assert (status, out, reason in err) == (1, "", True)
    status, _, err = said.run("start", "all", *shared)
    warning = f"control-rawdaq: warning: XX.OUT.Main: archive is paused: cannot write {tmp_path}"
    assert (status, err.startswith(warning), err.count("\n")) == (0, True, 1)
    (row,) = json.loads(said.run("status", "--json")[1])
    assert row["publishers"]["archive"]["state"] == "paused"


def _states(said: Said) -> list[tuple[str, str | None]]:
    """Return state and process of each component, as `list` has them."""
    return [(row["state"], row["group"]) for row in json.loads(said.run("list", "--json")[1])]


def test_many_components_share_few_processes_and_are_there_one_by_one(station: Path, said: Said) -> None:
    names = ["Anna", "Berta", "Carla"]
    text = outside.STATION.partition("Main:")[0]
    station.write_text(text + "".join(f"{name}:\n  Receiver: {{class: OutsideReceiver}}\n" for name in names))
    status, out, err = said.run("start", "all", "--processes", "1")
    assert (status, err) == (0, "")
    pids = {line.rpartition(" ")[2] for line in out.splitlines()}
    assert len(pids) == 1
    assert _states(said) == [("running", "group.1")] * 3
    assert "group.1" in said.run("list")[1]
    assert said.run("send", "Berta", "ping")[:2] == (0, "pong\n")
    assert said.run("logs", "Carla")[1].count("\n") == 2

    status, out, _ = said.run("restart", "Berta")
    assert (status, [line.split(" (")[0] for line in out.splitlines()]) == (
        0,
        ["XX.OUT.Berta stopped", "XX.OUT.Berta started"],
    )
    assert _states(said) == [("running", "group.1"), ("running", None), ("running", "group.1")]
    assert said.run("stop", "Berta")[0] == 0
    status, out, err = said.run("start", "all", "--processes", "2")
    assert (status, err, out.splitlines()[0]) == (0, "", "2 of 3 components run already")
    assert out.splitlines()[1].startswith("XX.OUT.Berta started (pid ")
    assert len(out.splitlines()) == 2
    assert said.run("start", "all", "--processes", "2") == (0, "3 of 3 components run already\n", "")

    assert said.run("restart", "all")[0] == 0
    assert _states(said) == [("running", "group.1"), ("running", None), ("running", "group.1")]
    assert said.run("restart", "all", "--processes", "1")[0] == 0
    assert _states(said) == [("running", "group.1")] * 3
    status, out, _ = said.run("stop", "group.1")
    assert (status, out.count("stopped (pid ")) == (0, 3)
    assert _states(said) == [("stopped", None)] * 3


def test_a_limit_of_open_files_that_will_not_do_is_a_warning(
    station: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(_: object) -> str:
        return "not enough files"

    monkeypatch.setattr(groups, "shortage", short)
    for words in ([], ["--processes", "1"]):
        status, out, err = said.run("start", "all", *words)
        assert (status, err) == (0, "control-rawdaq: warning: not enough files\n")
        assert out.startswith("XX.OUT.Main started")
        assert said.run("stop", "all")[0] == 0
    two = f"{outside.STATION}Second:\n  Receiver: {{class: OutsideReceiver}}\n"
    station.write_text(two)
    _, _, err = said.run("start", "all", "--processes", "1")
    assert err == "control-rawdaq: warning: not enough files, or give --processes a larger number\n"


def test_a_command_that_may_not_open_enough_files_says_so(
    station: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limits(_: int) -> tuple[int, int]:
        return 31, 31

    with monkeypatch.context() as patch:
        patch.setattr(resource, "getrlimit", limits)
        status, out, err = said.run("status")
    assert (status, out) == (1, "")
    assert "only 31 open files here, and needs 32: raise the limit (ulimit -n; LimitNOFILE= in a unit" in err


def test_a_dead_component_is_reported_with_what_to_do(station: Path, said: Said) -> None:
    assert said.run("start", "all")[0] == 0
    pid = _kill(said)
    reason = f"the last run (pid {pid}) ended without tidying up; its log may say why: "
    for words in ([], ["all"], ["Main"]):
        status, out, _ = said.run("status", *words)
        assert (status, out.startswith(f"OUT/Main  dead  {reason}/")) == (1, True)
    status, _, err = said.run("start", "all")
    assert (status, err.count("\n"), err.startswith(f"control-rawdaq: warning: XX.OUT.Main: {reason}/")) == (0, 1, True)
    assert said.run("logs", "Main", "-n", "500")[1].count(f" WARNING rawdaq.runtime_files {reason}/") == 1

    pid = _kill(said)
    status, _, err = said.run("stop", "Main")
    assert (status, len(err.splitlines())) == (1, 1)
    assert f"its process {pid} ended without tidying up; its pid file is removed now" in err
    assert said.run("status", "Main")[1] == "OUT/Main  stopped\n"


def _kill(said: Said) -> int:
    """Kill the component, which must run, as the system does; return the pid that it had."""
    pid = json.loads(said.run("list", "--json")[1])[0]["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return pid


def _break(said: Said) -> str:
    """Let the component, which must run, end with an error; return what is said of that run."""
    pid = json.loads(said.run("list", "--json")[1])[0]["pid"]
    said.run("send", "Main", "break")
    os.waitpid(pid, 0)
    return f"the last run (pid {pid}) ended with an error: Main stopped: breaking ended with RuntimeError('it broke')"


def test_a_component_that_ended_with_an_error_has_failed_until_that_was_reported(station: Path, said: Said) -> None:
    assert said.run("start", "all")[0] == 0
    reason = _break(said)
    for words in ([], ["all"], ["Main"]):
        assert said.run("status", *words) == (1, f"OUT/Main  failed  {reason}\n", "")
    assert reason in said.run("list")[1]
    (row,) = json.loads(said.run("list", "--json")[1])
    assert (row["state"], row["error"], row["pid"], row["file"]) == ("failed", reason, None, str(station))

    status, _, err = said.run("start", "Main")
    assert (status, err) == (0, f"control-rawdaq: warning: XX.OUT.Main: {reason}\n")
    assert said.run("logs", "Main", "-n", "500")[1].count(f" WARNING rawdaq.runtime_files {reason}") == 1
    assert said.run("status")[0] == 0
    assert said.run("restart", "all")[::2] == (0, "")

    reason = _break(said)
    status, out, err = said.run("stop", "all")
    assert (status, out) == (1, "")
    assert err.startswith(f"control-rawdaq: XX.OUT.Main is not running: {reason}; see /")
    assert said.run("stop", "Main") == (1, "", "control-rawdaq: XX.OUT.Main is not running\n")
    assert said.run("status") == (0, "OUT/Main  stopped\n", "")


def test_a_stop_that_goes_wrong_ends_with_1_and_says_so(station: Path, said: Said, tmp_path: Path) -> None:
    module = tmp_path / "site" / "rawdaq_outside.py"
    ending = "async def _end(self):\n    raise OSError('gone')\nOutsidePublisher.aclose = _end\n"
    module.write_text(f"{module.read_text()}\n{ending}")
    assert said.run("start", "all")[0] == 0
    status, out, err = said.run("stop", "all")
    assert (status, out) == (1, "")
    assert err.startswith("control-rawdaq: XX.OUT.Main has stopped, but with an error: Main stopped: publisher nowhere")


def test_a_folder_that_is_called_like_a_pid_file_disturbs_only_its_component(station: Path, said: Said) -> None:
    with RuntimeFiles.find() as runtime:
        runtime.pid_file("XX.OUT.Main").mkdir()
    assert said.run("status") == (0, "OUT/Main  stopped\n", "")
    status, _, err = said.run("start", "all")
    assert (status, "Main.pid cannot be written: Is a directory; move what is there away" in err) == (1, True)


def test_paths_are_shown_without_detours(station: Path, said: Said, tmp_path: Path) -> None:
    detour = tmp_path / "site" / ".." / "station.yaml"
    assert said.run("check", str(detour))[1].startswith(f"{station}: ")
    assert said.run("-c", str(detour), "start", "all")[0] == 0
    (row,) = json.loads(said.run("status", "--json")[1])
    assert row["file"] == str(station)
    station.write_text("station: 1")
    status, out, _ = said.run("-c", str(detour), "stop", "all")
    assert (status, out.split(" (")[0]) == (0, "XX.OUT.Main stopped")


def test_a_component_that_does_not_answer_is_shown_as_that(
    station: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said.run("start", "all")[0] == 0

    def silent(*_: object) -> None:
        raise NoAnswer("OUT/Main did not answer")

    monkeypatch.setattr(client, "send", silent)
    for words in ([], ["Main"], ["--problems"]):
        assert said.run("status", *words) == (1, "OUT/Main  hung  OUT/Main did not answer\n", "")

    def fine(*_: object) -> str:
        return "fine"

    monkeypatch.setattr(client, "send", fine)
    assert "its status is 'fine'" in said.run("status", "Main")[1]


def test_a_component_that_dies_while_it_is_asked_is_not_called_running(
    station: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said.run("start", "all")[0] == 0
    pid = json.loads(said.run("list", "--json")[1])[0]["pid"]

    def die(*_: object) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise CommandError("OUT/Main did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(client, "send", die)
        status, out, _ = said.run("status")
    assert (status, out.startswith("OUT/Main  dead  the last run (pid ")) == (1, True)
    assert said.run("stop", "all")[0] == 1


def test_a_component_runs_in_the_foreground_until_ctrl_c(station: Path) -> None:
    with start_cli(["control-rawdaq", "start", "--foreground", "Main"]) as process:
        lines: list[str] = []
        while not lines or "is running" not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0


def test_a_bug_is_one_line_and_its_traceback_is_in_the_log_folder(
    station: Path, said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(config, "find_config", fail)
    status, out, err = said.run("list")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("control-rawdaq: this is a bug: ZeroDivisionError: oh; details in ")
    assert "Traceback" in Path(err.strip().rpartition(" ")[2]).read_text()
    monkeypatch.setenv("RAWDAQ_LOG_DIR", str(station))
    status, _, err = said.run("list")
    assert (status, len(err.splitlines())) == (1, 1)
    assert "details are lost" in err


def test_an_interrupted_command_ends_with_130(station: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(config, "find_config", interrupt)
    assert said.run("list")[0] == 130


def test_a_reader_that_closes_its_input_ends_it_quietly(station: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    # In an interpreter, which flushes its output once more when it ends.
    code = f"import os, sys\nsys.argv[1:] = ['list', '--json']\nos.dup2({writer}, 1)\n"
    done = run_python(f"{code}from rawdaq.control import cli\ncli.main()", writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("args", [["list"], ["list", "--json"], ["status"], ["check"], ["--help"]])
def test_an_output_that_has_no_room_is_reported_with_the_remedy(station: Path, args: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = forks.run(lambda: cli.run(args), full.fileno())
    reason = "control-rawdaq: the output: No space left on device; make room on its disk\n"
    assert (done.returncode, done.stderr) == (1, reason)


def test_the_program_ends_with_the_status_of_the_command(runtime_dir: Path) -> None:
    done = run_cli(["control-rawdaq", "start"])
    assert done.returncode == 2
    assert "Missing argument" in done.stderr
