"""``control-rawdaq logs``."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq.control import logs
from rawdaq.process.runs import process_key
from rawdaq.process.runtime_files import RuntimeFiles
from tests.control.cli_words import Said, run_python


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
