import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rawdaq.process import log
from rawdaq.process.log import LineFormatter
from tests import forks


def _record(text: str, *args: object) -> logging.LogRecord:
    record = logging.LogRecord("rawdaq.receivers.A", logging.INFO, __file__, 1, text, args, None)
    record.created = 1795219200.1234
    return record


def _run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run *code* in a process of its own: logging belongs to the whole process."""

    def main() -> int:
        os.chdir(folder)
        logging.captureWarnings(False)  # as it is in a new process
        exec(code, {"log": log, "logging": logging, "os": os, "sys": sys})
        return 0

    done = forks.run(main)
    done.check_returncode()
    return done


def test_a_line_has_utc_time_level_logger_and_text() -> None:
    assert LineFormatter().format(_record("got %d", 3)) == "2026-11-21T00:00:00.123Z INFO rawdaq.receivers.A got 3"


def test_text_from_a_peer_cannot_begin_a_line() -> None:
    line = LineFormatter().format(_record("it said %s", "x\r\n2026-11-21T00:00:00.123Z INFO forged"))
    assert line.endswith(r"it said x\r\n2026-11-21T00:00:00.123Z INFO forged")


def test_without_a_file_lines_go_to_standard_error(tmp_path: Path) -> None:
    done = _run(
        "log.configure('INFO')\n"
        "logging.getLogger('rawdaq.x').info('seen')\n"
        "logging.getLogger('rawdaq.x').debug('too small')\n"
        "logging.getLogger('other').info('too small')\n"
        "logging.getLogger('other').warning('heard')\n",
        tmp_path,
    )
    assert done.stdout == ""
    assert [line.split(" ", 1)[1] for line in done.stderr.splitlines()] == ["INFO rawdaq.x seen", "WARNING other heard"]


def test_configuring_again_replaces_what_was(tmp_path: Path) -> None:
    done = _run("log.configure('INFO')\nlog.configure('DEBUG')\nlogging.getLogger('rawdaq').debug('once')\n", tmp_path)
    assert len(re.findall("once", done.stderr)) == 1


def test_what_a_library_prints_lands_in_the_current_file_also_after_a_rotation(tmp_path: Path) -> None:
    done = _run(
        "from pathlib import Path\n"
        "log.MAX_FILE_BYTES = 300\n"
        "log.configure('INFO', Path('a.log'))\n"
        "os.write(2, b'first from C\\n')\n"
        "logging.getLogger('rawdaq').info('x' * 250)\n"
        "logging.getLogger('rawdaq').info('y' * 250)\n"
        "os.write(1, b'then from C\\n')\n"
        "print('and from Python', flush=True)\n",
        tmp_path,
    )
    assert (done.stdout, done.stderr) == ("", "")
    now, before = (tmp_path / "a.log").read_text(), "".join(file.read_text() for file in tmp_path.glob("a.log.*"))
    assert "first from C" in before
    assert "xxx" in before
    assert now.splitlines()[0].endswith("y" * 250)
    assert now.splitlines()[1:] == ["then from C", "and from Python"]


def test_a_full_disk_costs_lines_only_and_afterwards_the_log_goes_on(tmp_path: Path) -> None:
    done = _run(
        "import resource\n"
        "from pathlib import Path\n"
        "log.MAX_FILE_BYTES = 300\n"
        "log.configure('INFO', Path('a.log'))\n"
        "logging.getLogger('rawdaq').info('before')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        "logging.getLogger('rawdaq').info('x' * 100)\n"
        "logging.getLogger('rawdaq').info('y' * 200)  # which needs a new file\n"
        "logging.getLogger('rawdaq').info('z' * 50)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "logging.getLogger('rawdaq').info('after')\n"
        "os.write(2, b'from-C\\n')\n",
        tmp_path,
    )
    assert (done.stdout, done.stderr) == ("", "")
    lines = [line.split(" ")[-1] for file in sorted(tmp_path.iterdir()) for line in file.read_text().splitlines()]
    assert "before" in lines
    assert lines[lines.index("after") + 1] == "from-C"
    assert set(lines) <= {"before", "x" * 100, "y" * 200, "z" * 50, "after", "from-C"}, "no traceback"


_MOVED = (
    "import shutil\n"
    "from pathlib import Path\n"
    "folder = Path('logs')\n"
    "folder.mkdir()\n"
    "file = folder / 'a.log'\n"
    "log.configure('INFO', file)\n"
    "say = logging.getLogger('rawdaq').info\n"
    "say('before')\n"
)


@pytest.mark.parametrize(
    ("move", "kept"),
    [
        ("file.rename('old.log')", "before\n"),
        ("file.rename('old.log'); file.touch(0o600)", "before\n"),
        ("shutil.copy(file, 'old.log'); os.truncate(file, 0)", "before\n"),
        ("file.unlink()", None),
        ("shutil.rmtree(folder)", None),
        ("folder.rename('old'); Path('old/a.log').rename('old.log')", "before\n"),
    ],
)
@pytest.mark.parametrize("by", ["say('after')", "log.restore_files()"])
def test_a_log_that_was_moved_or_removed_comes_back(tmp_path: Path, move: str, kept: str | None, by: str) -> None:
    done = _run(f"{_MOVED}{move}\n{by}\nos.write(2, b'12:00 by-C\\n')\nsay('last')\n", tmp_path)
    assert (done.stdout, done.stderr) == ("", "")
    now = [line.rpartition(" ")[2] for line in (tmp_path / "logs" / "a.log").read_text().splitlines()]
    assert now == ["after", "by-C", "last"][by != "say('after')" :]
    old = tmp_path / "old.log"
    assert (old.read_text().rpartition(" ")[2] if old.exists() else None) == kept


def test_a_log_that_cannot_be_made_again_goes_on_where_it_is_until_it_can(tmp_path: Path) -> None:
    done = _run(
        f"{_MOVED}folder.rename('old')\nfolder.touch()\n"
        "for _ in range(3): log.restore_files()\n"
        "say('there')\n"
        "folder.unlink()\n"
        "say('here')\n",
        tmp_path,
    )
    assert (done.stdout, done.stderr) == ("", "")
    files = [(tmp_path / folder / "a.log").read_text().splitlines() for folder in ("old", "logs")]
    assert [[line.rpartition(" ")[2] for line in lines] for lines in files] == [["before", "there"], ["here"]]


def test_while_the_system_log_is_away_lines_go_to_standard_error(tmp_path: Path) -> None:
    done = _run(
        "import socket\n"
        "def listen():\n"
        "    system = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "    system.bind('syslog')\n"
        "    return system\n"
        "log.SYSTEM_LOGS = ('syslog',)\n"
        "system = listen()\n"
        "log.configure('INFO', to_system_log=True)\n"
        "say = logging.getLogger('rawdaq').info\n"
        "say('first')\n"
        "first = system.recv(1000)\n"
        "system.close(); os.unlink('syslog')\n"
        "say('second')\n"
        "system = listen()\n"
        "say('third')\n"
        "print(first.split()[-1], system.recv(1000).split()[-1])\n",
        tmp_path,
    )
    assert done.stdout == "b'first\\x00' b'third\\x00'\n"
    assert [line.split(" ", 1)[1] for line in done.stderr.splitlines()] == ["INFO rawdaq second"]


def test_warnings_of_the_interpreter_become_log_lines(tmp_path: Path) -> None:
    done = _run(
        "import warnings\nwarnings.simplefilter('default')\nlog.configure('INFO')\nwarnings.warn('old thing')\n",
        tmp_path,
    )
    assert "WARNING py.warnings" in done.stderr
    assert "old thing" in done.stderr


def test_lines_for_the_journal_begin_with_their_priority_and_leave_the_time_out(tmp_path: Path) -> None:
    done = _run(
        "about = os.fstat(2)\n"
        "os.environ['JOURNAL_STREAM'] = f'{about.st_dev}:{about.st_ino}'\n"
        "log.configure('DEBUG')\n"
        "say = logging.getLogger('rawdaq')\n"
        "say.debug('a'); say.info('b\\nc'); say.warning('d'); say.critical('e')\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    say.exception('f')\n",
        tmp_path,
    )
    lines = done.stderr.splitlines()
    assert lines[:4] == ["<7>DEBUG rawdaq a", "<6>INFO rawdaq b\\nc", "<4>WARNING rawdaq d", "<2>CRITICAL rawdaq e"]
    assert lines[4] == "<3>ERROR rawdaq f"
    assert len(lines) > 6
    assert all(line.startswith("<3>") for line in lines[4:])


def test_another_stream_than_the_journal_has_whole_lines(tmp_path: Path) -> None:
    done = _run("os.environ['JOURNAL_STREAM'] = '1:1'\nlog.configure('INFO')\nlogging.error('x')\n", tmp_path)
    assert re.fullmatch(r"\d{4}-\S+Z ERROR root x\n", done.stderr)


@pytest.mark.parametrize("file", ["None", "Path('a.log')"])
def test_lines_of_json_say_the_same(tmp_path: Path, file: str) -> None:
    done = _run(
        "from pathlib import Path\n"
        f"log.configure('INFO', {file}, form='json')\n"
        "say = logging.getLogger('rawdaq.x')\n"
        "say.info('a \"b\"\\n%s', 1)\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    say.exception('c')\n",
        tmp_path,
    )
    text = done.stderr if file == "None" else (tmp_path / "a.log").read_text()
    first, second = map(json.loads, text.splitlines())
    assert re.fullmatch(r"\d{4}-\S+Z", first.pop("time"))
    assert first == {"level": "INFO", "logger": "rawdaq.x", "message": 'a "b"\n1'}
    assert "ZeroDivisionError" in second["traceback"]
