"""``control-rawdaq logs``."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.control import logs
from rawdaq.process.runs import process_key
from rawdaq.process.runtime_files import RuntimeFiles
from tests.control.cli_words import Said, run_python
from tests.helpers import wait_for


def test_logs_of_what_was_never_started_are_reported(station: Path, said: Said) -> None:
    status, _, err = said.run("logs", "Main")
    assert (status, "OUT/Main has no log (/" in err) == (1, True)


def test_the_log_of_a_shared_process_can_be_read_when_it_has_ended(station: Path, said: Said) -> None:
    assert said.run("logs", "group.1")[0] == 2
    with RuntimeFiles.find() as runtime:
        runtime.prepare()
        runtime.log_file(process_key("group.1", station)).write_text("too many open files\n")
        runtime.log_file(process_key("group.1", Path("/etc/other.yaml"))).write_text("not this\n")
    assert said.run("logs", "group.1") == (0, "too many open files\n", "")


def test_following_a_log_ends_quietly_with_ctrl_c(station: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    with RuntimeFiles.find() as runtime:
        runtime.prepare()
        runtime.log_file("XX.OUT.Main").write_text("old\nlast\n")

    def follow(_: Path, begin: int) -> Iterator[str]:
        assert begin == len("old\nlast\n")
        yield "new"
        raise KeyboardInterrupt

    monkeypatch.setattr(logs, "follow", follow)
    assert said.run("logs", "Main", "-f", "-n", "1") == (0, "last\nnew\n", "")


@pytest.mark.parametrize("options", [[], ["-f"]])
def test_a_reader_of_a_log_that_closes_its_input_ends_it_quietly(station: Path, options: list[str]) -> None:
    with RuntimeFiles.find() as runtime:
        runtime.prepare()
        runtime.log_file("XX.OUT.Main").write_text("a line\n")
    reader, writer = os.pipe()
    os.close(reader)
    # In an interpreter, which flushes its output once more when it ends.
    code = f"import os, sys\nsys.argv[1:] = ['logs', 'Main', *{options}]\nos.dup2({writer}, 1)\n"
    done = run_python(f"{code}from rawdaq.control import cli\ncli.main()", writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_while_old_lines_are_printed_is_an_interruption(
    station: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with RuntimeFiles.find() as runtime:
        runtime.prepare()
        runtime.log_file("XX.OUT.Main").touch()
    monkeypatch.setattr(logs, "last_lines", interrupt)
    assert said.run("logs", "Main")[0] == 130


def test_the_log_of_a_component_is_found_in_another_environment(
    station: Path, said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("RAWDAQ_LOG_DIR", str(tmp_path / "of the unit"))
        assert said.run("start", "Main")[0] == 0
    status, out, err = said.run("logs", "Main")
    assert (status, err) == (0, "")
    assert out.endswith("Main is running\n")
    with RuntimeFiles.find() as runtime:
        running = runtime.running("XX.OUT.Main")
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    os.waitpid(running.pid, 0)
    assert said.run("logs", "Main") == (0, out, ""), "also when it is dead"
    assert said.run("stop", "Main")[0] == 1
    assert said.run("logs", "Main")[0] == 1


def test_a_log_that_was_moved_comes_back_and_is_reported_while_it_is_away(
    station: Path, said: Said, runtime: RuntimeFiles
) -> None:
    assert said.run("start", "Main")[0] == 0
    file = runtime.log_file("XX.OUT.Main")
    old = file.with_suffix(".old")
    file.rename(old)
    wait_for(file.exists)
    wait_for(lambda: said.run("logs", "Main") == (0, "", ""))  # it is made, then written to
    assert said.run("send", "Main", "pause")[0] == 0
    assert said.run("logs", "Main")[1].endswith("paused by command\n")
    assert said.run("stop", "Main")[0] == 0
    assert "paused" not in old.read_text()


def test_a_component_without_a_log_file_is_reported_as_that(station: Path, said: Said, runtime: RuntimeFiles) -> None:
    (settings,) = config.load(station).components
    with runtime.hold(settings.key, settings.file, 1):
        status, out, err = said.run("logs", "Main")
        assert (status, out) == (1, "")
        text = f"control-rawdaq: OUT/Main (pid {os.getpid()}) does not log to a file; see the log of what started it"
        assert err.startswith(text)
        runtime.prepare()
        file = runtime.log_file(settings.key)
        file.write_text("old\n")
        status, out, err = said.run("logs", "Main")
        assert (status, out) == (0, "old\n")
        assert err.startswith(text)
        assert err.endswith(f". {file} is of an earlier run\n")


def test_a_log_that_the_component_does_not_write_to_is_reported(
    station: Path, said: Said, runtime: RuntimeFiles
) -> None:
    (settings,) = config.load(station).components
    file = runtime.log_file(settings.key)
    runtime.prepare()
    with runtime.hold(settings.key, settings.file, 1, log_file=file):
        status, out, err = said.run("logs", "Main")
        reason = f"control-rawdaq: {file} was moved or removed; the next line makes it again\n"
        assert (status, out, err) == (0, "", reason)
        file.write_text("of another day\n")
        output = os.readlink("/proc/self/fd/1")
        status, out, err = said.run("logs", "Main")
        reason = f"control-rawdaq: the process {os.getpid()} writes to {output}, no longer to {file}\n"
        assert (status, out, err) == (0, "of another day\n", reason)
        file.unlink()
        file.mkdir()
        status, out, err = said.run("logs", "Main")
        assert (status, out, err) == (1, "", f"control-rawdaq: {file} is not a file; move it away\n")
