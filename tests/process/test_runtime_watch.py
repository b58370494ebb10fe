"""Files of running components that somebody removes come back."""

import asyncio
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from rawdaq.control import client
from rawdaq.process import runtime_watch
from rawdaq.process.runs import AlreadyRunning
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.process.runtime_watch import RuntimeWatch
from tests.helpers import until
from tests.servers import Idle, serving

KEY = "XX.DEMO.Main"

Remove: TypeAlias = Callable[[RuntimeFiles], None]


@pytest.fixture
def files(tmp_path: Path) -> Iterator[RuntimeFiles]:
    with RuntimeFiles(tmp_path / "run", tmp_path / "log") as runtime:
        runtime.prepare()
        yield runtime


@contextmanager
def _another_process(files: RuntimeFiles, text: str) -> Generator[None]:
    """Hold the pid file of `KEY` as another process does: locks belong to what opened a file."""
    with files.pid_file(KEY).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(text)
        file.flush()
        yield


def _remove_one(files: RuntimeFiles) -> None:
    files.pid_file(KEY).unlink()


def _remove_all(files: RuntimeFiles) -> None:
    shutil.rmtree(files.folder)


def _remove_socket(files: RuntimeFiles) -> None:
    (files.folder / f"{KEY}.sock").unlink()


def _move_away(files: RuntimeFiles) -> None:
    files.folder.rename(files.folder.with_name("moved"))


def _put_a_copy_there(files: RuntimeFiles) -> None:
    content = files.pid_file(KEY).read_bytes()
    files.pid_file(KEY).unlink()
    files.pid_file(KEY).write_bytes(content + b"x" * 1000)


@pytest.mark.parametrize("remove", [_remove_one, _remove_all, _move_away, _put_a_copy_there])
def test_a_pid_file_comes_back_and_a_second_copy_is_refused(
    files: RuntimeFiles, remove: Remove, caplog: pytest.LogCaptureFixture
) -> None:
    with files.hold(KEY, Path("/etc/a.yaml"), 7, log_file=Path("/log/a")):
        before = files.running(KEY)
        remove(files)
        watch = RuntimeWatch(files, {})
        watch.restore()
        assert files.running(KEY) == before
        assert before is not None
        assert before.is_alive
        assert stat.S_IMODE(files.folder.stat().st_mode) == 0o700
        assert caplog.messages == [f"put back files in {files.folder}, which were removed: {KEY}"]
        with pytest.raises(AlreadyRunning), files.hold(KEY, Path("/etc/a.yaml"), 7):
            pass
        watch.restore()
        assert len(caplog.messages) == 1, "once"
    assert files.keys() == []


def test_a_long_list_of_files_is_a_short_line(files: RuntimeFiles, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        for number in range(6):
            stack.enter_context(files.hold(f"XX.{number}.Raw", Path("a"), 1))
        _remove_all(files)
        RuntimeWatch(files, {}).restore()
        assert len(files.keys()) == 6
    assert caplog.messages[0].endswith("removed: XX.0.Raw, XX.1.Raw, XX.2.Raw and 3 more")


def test_a_copy_that_was_started_meanwhile_is_reported_and_keeps_its_files(
    files: RuntimeFiles, caplog: pytest.LogCaptureFixture
) -> None:
    watch = RuntimeWatch(files, {})
    text = '{"pid": 4321, "config": "/etc/b.yaml", "started_ns": 5, "stop_timeout_s": 1.0}'
    with files.hold(KEY, Path("/etc/a.yaml"), 7):
        _remove_one(files)
        with _another_process(files, text):
            for _ in range(3):
                watch.restore()
            reason = f"{KEY} runs twice: its pid file was removed, and the process 4321 was started; stop one of them"
            assert caplog.messages == [reason], "once"
        watch.restore()
        running = files.running(KEY)
        assert running is not None
        assert running.pid == os.getpid(), "when the other has ended, this one is found again"
        _remove_one(files)
        with _another_process(files, ""):
            watch.restore()
        stranger = files.running(KEY)
    assert files.running(KEY) == stranger, "what belongs to another is not removed at the end"
    assert len(caplog.messages) == 2, "somebody may just look at a file"


def test_a_folder_that_cannot_be_made_again_is_reported_once_until_it_can(
    files: RuntimeFiles, caplog: pytest.LogCaptureFixture
) -> None:
    watch = RuntimeWatch(files, {})
    with files.hold(KEY, Path("a"), 1):
        _remove_all(files)
        files.folder.touch()
        for _ in range(3):
            watch.restore()
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith("control-rawdaq cannot find all components of this process: ")
        assert "cannot be made: File exists; set RAWDAQ_RUNTIME_DIR" in caplog.messages[0]
        files.folder.unlink()
        watch.restore()
        assert files.keys() == [KEY]


def _without_descriptors(_: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_without_descriptors_nothing_counts_as_removed(
    files: RuntimeFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with files.hold(KEY, Path("a"), 1):
        monkeypatch.setattr(os, "scandir", _without_descriptors)
        lost = files.restore()
        assert (lost.pid_files, lost.errors, lost.sockets) == ([], [], set())
        RuntimeWatch(files, {KEY: Idle()}).restore()
    assert caplog.messages == []


def test_a_folder_that_cannot_be_made_private_is_reported(
    files: RuntimeFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with files.hold(KEY, Path("a"), 1):
        _remove_all(files)
        files.folder.mkdir(mode=0o755)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "chmod", refuse)
            RuntimeWatch(files, {}).restore()
        assert f"{files.pid_file(KEY)} cannot be put back: Operation not permitted" in caplog.text
        RuntimeWatch(files, {}).restore()
        assert files.keys() == [KEY]


def test_a_pid_file_comes_back_although_the_folder_of_logs_cannot(tmp_path: Path) -> None:
    files = RuntimeFiles(tmp_path / "run", tmp_path / "disk" / "log")
    files.prepare()
    with files.hold(KEY, Path("a"), 1):
        _remove_all(files)
        shutil.rmtree(tmp_path / "disk")
        (tmp_path / "disk").touch()
        RuntimeWatch(files, {}).restore()
        assert files.keys() == [KEY]


@pytest.mark.parametrize("folder", ["run", f"{'x' * 75}/{'y' * 75}"])
@pytest.mark.parametrize("remove", [_remove_all, _remove_socket])
async def test_a_component_answers_again_when_its_socket_was_removed(
    folder: str, remove: Remove, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_watch, "_SOON_S", 0.01)
    server = Idle()
    with RuntimeFiles(tmp_path / folder, tmp_path / "log") as files:
        files.prepare()
        with files.hold(KEY, Path("a"), 1):
            server.command_address = files.command_address(KEY)
            async with serving(server):
                watch = asyncio.create_task(RuntimeWatch(files, {KEY: server}).run())
                for _ in range(2):
                    remove(files)
                    await until((files.folder / f"{KEY}.sock").exists)
                    assert await asyncio.to_thread(_ask, files) == "pong"
                watch.cancel()


def _ask(files: RuntimeFiles) -> object:
    """Return the answer of the component to another process."""
    with RuntimeFiles(files.folder, files.logs) as asking:
        return client.send(KEY, asking.command_address(KEY), "ping", (), 30)
