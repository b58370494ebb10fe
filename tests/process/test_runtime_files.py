import errno
import fcntl
import os
import pickle
import pwd
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from rawdaq.errors import ComponentError
from rawdaq.process import pid_file, user_folders
from rawdaq.process.runs import AlreadyRunning, Ended, Running
from rawdaq.process.runtime_files import RuntimeFiles
from tests.helpers import environment

KEY = "XX.DEMO.Main"
STATE = "/home/five/.local/state/rawdaq"


@pytest.fixture
def files(tmp_path: Path) -> Iterator[RuntimeFiles]:
    with RuntimeFiles(tmp_path / "run", tmp_path / "log") as runtime:
        runtime.prepare()
        yield runtime


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("given", "uid", "folder", "logs"),
    [
        ({"RAWDAQ_RUNTIME_DIR": "/a"}, 5, "/a", "/a/log"),
        ({"RAWDAQ_RUNTIME_DIR": "/a", "RAWDAQ_LOG_DIR": "/b", "XDG_RUNTIME_DIR": "/c"}, 0, "/a", "/b"),
        ({"XDG_RUNTIME_DIR": "/c", "HOME": "/d", "XDG_STATE_HOME": "/e"}, 5, f"{STATE}/run", f"{STATE}/log"),
        ({"XDG_RUNTIME_DIR": "/c", "RAWDAQ_LOG_DIR": "/b"}, 5, f"{STATE}/run", "/b"),
        ({"XDG_RUNTIME_DIR": "/c", "HOME": "/d", "XDG_STATE_HOME": "/e"}, 0, "/run/rawdaq", "/var/log/rawdaq"),
        ({}, 0, "/run/rawdaq", "/var/log/rawdaq"),
        ({}, 5, f"{STATE}/run", f"{STATE}/log"),
        ({"HOME": "/d"}, 6, "/.local/state/rawdaq/run", "/.local/state/rawdaq/log"),
    ],
)
def test_the_folders_follow_the_user_and_our_own_variables_alone(
    given: dict[str, str], uid: int, folder: str, logs: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def entry(asked: int) -> pwd.struct_passwd:
        return pwd.struct_passwd(("five", "x", {5: 5}[asked], 5, "", "/home/five", "/bin/sh"))

    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(pwd, "getpwuid", entry)
    monkeypatch.setattr(user_folders, "_MACHINE_ID", tmp_path / "none")
    for name in ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, "/not/this")
    found = RuntimeFiles.find(given)
    assert (str(found.folder), str(found.logs)) == (folder, logs)


def test_machines_that_share_a_home_folder_have_runtime_folders_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    monkeypatch.setattr(user_folders, "_MACHINE_ID", tmp_path / "machine-id")
    names: list[str] = []
    for text in ("0123456789abcdef" * 2 + "\n", "fedcba9876543210" * 2, "uninitialized\n", ""):
        (tmp_path / "machine-id").write_text(text)
        names.append(RuntimeFiles.find({}).folder.name)
    assert names == ["run-01234567", "run-fedcba98", "run", "run"]


def test_the_environment_of_the_process_counts_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAWDAQ_RUNTIME_DIR", str(tmp_path))
    assert RuntimeFiles.find().folder == tmp_path


def test_files_are_called_by_the_components_key(files: RuntimeFiles) -> None:
    assert files.pid_file(KEY).name == "XX.DEMO.Main.pid"
    assert files.log_file(KEY).name == "XX.DEMO.Main.log"
    assert files.command_address(KEY) == f"ipc://{files.folder}/XX.DEMO.Main.sock"


def test_a_new_runtime_folder_is_for_its_user_alone(files: RuntimeFiles) -> None:
    assert _mode(files.folder) == 0o700
    files.prepare()


def test_an_open_folder_of_ours_is_made_private(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "A.B.C.pid").touch()
    (folder / "log").mkdir()
    RuntimeFiles(folder, folder / "log").prepare()
    assert _mode(folder) == 0o700


def test_an_open_folder_that_holds_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "precious").touch()
    with pytest.raises(ComponentError, match="is open to other users and holds other things; set RAWDAQ_RUNTIME_DIR"):
        RuntimeFiles(folder, tmp_path / "log").prepare()
    assert _mode(folder) == 0o755


def test_a_folder_of_another_user_is_refused(files: RuntimeFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ComponentError, match="belongs to another user; set RAWDAQ_RUNTIME_DIR"):
        files.prepare()


def test_a_folder_that_cannot_be_made_is_reported_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ComponentError, match="cannot be made: Not a directory; set RAWDAQ_RUNTIME_DIR"):
        RuntimeFiles(tmp_path / "file" / "run", tmp_path).prepare()


def test_the_holder_of_a_pid_file_is_known_to_others_until_it_ends(files: RuntimeFiles) -> None:
    assert files.running(KEY) is None
    with files.hold(KEY, Path("/etc/station.yaml"), 7.5):
        running = files.running(KEY)
        assert running is not None
        assert (running.pid, running.config, running.stop_timeout_s) == (os.getpid(), Path("/etc/station.yaml"), 7.5)
        assert running.is_alive
        assert files.keys() == [KEY]
        assert _mode(files.pid_file(KEY)) == 0o600
    assert files.running(KEY) is None
    assert files.keys() == []


def test_a_component_runs_only_once(files: RuntimeFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pid_file, "LOCK_PATIENCE_S", 0.05)
    with files.hold(KEY, Path("a"), 1), pytest.raises(AlreadyRunning) as caught, files.hold(KEY, Path("a"), 1):
        pass
    assert not files.has_failed(KEY, os.getpid()), "that is for the one that runs to say"
    assert caught.value.pid == os.getpid()
    assert f"XX.DEMO.Main is already running (pid {os.getpid()}); stop it first" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("is_made_anew", [True, False])
def test_a_pid_file_that_was_replaced_while_it_was_locked_is_noticed(
    files: RuntimeFiles, monkeypatch: pytest.MonkeyPatch, is_made_anew: bool
) -> None:
    path, flock, replaced = files.pid_file(KEY), fcntl.flock, list[Path]()

    def replace_first(descriptor: int, kind: int) -> None:
        if not replaced:  # its former holder removes the file, and perhaps another process makes a new one
            path.unlink()
            replaced.append(path)
            if is_made_anew:
                path.touch()
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", replace_first)
    with files.hold(KEY, Path("a"), 1):
        running = files.running(KEY)
        assert running is not None
        assert (running.pid, running.is_alive) == (os.getpid(), True), "others see who holds it"
    assert replaced == [path]


def test_looking_at_a_lock_does_not_keep_a_component_from_starting(files: RuntimeFiles) -> None:
    files.pid_file(KEY).touch()
    descriptor = os.open(files.pid_file(KEY), os.O_RDONLY)
    assert pid_file.try_lock(descriptor, fcntl.LOCK_SH)
    asked = iter([None])

    def look_away(_: float) -> None:
        if next(asked, 1) is None:
            os.close(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", look_away)
        with files.hold(KEY, Path("a"), 1):
            assert files.running(KEY) is not None


def test_a_killed_component_leaves_a_file_that_is_recognised_as_dead(files: RuntimeFiles) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom rawdaq.process.runtime_files import RuntimeFiles\n"
        "files = RuntimeFiles(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        f"with files.hold({KEY!r}, Path('a'), 1):\n    os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, str(files.folder), str(files.logs)]
    subprocess.run(command, env=environment(), timeout=60, check=False)
    dead = files.running(KEY)
    assert dead is not None
    assert not dead.is_alive
    assert dead.pid > 0
    assert files.ended(KEY) == Ended(dead.pid, Path("a"))
    with files.hold(KEY, Path("b"), 1):
        again = files.running(KEY)
        assert again is not None
        assert again.config == Path("b")


def test_the_error_that_ended_a_component_is_returned_once_and_only_of_that_process(files: RuntimeFiles) -> None:
    for error, text in ((ComponentError("5 packets are lost"), "5 packets are lost"), (OSError("oh"), "OSError: oh")):
        with pytest.raises(type(error)), files.hold(KEY, Path("a"), 1):
            raise error
        assert files.keys() == []
        assert [files.has_failed(KEY, os.getpid() + more) for more in (0, 1)] == [True, False]
        assert files.take_error(KEY, os.getpid() + 1) is None
        assert files.take_error(KEY, os.getpid()) == text
        assert files.take_error(KEY, os.getpid()) is None


def test_a_run_that_was_not_stopped_in_order_is_known_until_the_next_one_which_logs_it(
    files: RuntimeFiles, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(OSError, match="oh"), files.hold(KEY, Path("a"), 1):
        raise OSError("oh")
    ended = files.ended(KEY)
    assert ended == Ended(os.getpid(), Path("a"), None, "OSError: oh")
    assert files.failed_keys() == [KEY]
    with files.hold(KEY, Path("a"), 1):
        assert (files.ended(KEY), files.take_error(KEY, os.getpid())) == (None, None)
    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", str(ended))]
    assert (files.ended(KEY), files.failed_keys()) == (None, [])

    files.pid_file(KEY).touch()  # by a process that was killed before it wrote it
    assert str(files.ended(KEY)).startswith("the last run ended without tidying up; its log may say why: the log of")
    with files.hold(KEY, Path("a"), 1):
        pass
    assert len(caplog.records) == 1, "an empty file tells nothing"


def test_an_error_of_an_earlier_start_is_forgotten(files: RuntimeFiles) -> None:
    with pytest.raises(OSError, match="oh"), files.hold(KEY, Path("a"), 1):
        raise OSError("oh")
    with files.hold(KEY, Path("a"), 1):
        assert files.take_error(KEY, os.getpid()) is None
    assert list(files.folder.iterdir()) == []
    (files.folder / f"{KEY}.end").write_text("{")
    assert files.take_error(KEY, os.getpid()) is None


def test_a_pid_file_that_cannot_be_written_whole_is_reported_and_not_left_behind(
    files: RuntimeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sizes = os.write, iter([3])

    def write_until_full(descriptor: int, data: bytes) -> int:
        size_bytes = next(sizes, None)
        if size_bytes is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:size_bytes])

    monkeypatch.setattr(os, "write", write_until_full)
    with (
        pytest.raises(ComponentError, match=r"Main\.pid cannot be written: No space left on device; make room"),
        files.hold(KEY, Path("a"), 1),
    ):
        pass
    assert files.keys() == []


def test_a_folder_in_the_place_of_a_pid_file_is_no_component_and_is_reported_when_the_place_is_needed(
    files: RuntimeFiles,
) -> None:
    files.pid_file(KEY).mkdir()
    assert files.keys() == []
    assert files.running(KEY) is None
    reason = r"Main\.pid cannot be written: Is a directory; move what is there away"
    with pytest.raises(ComponentError, match=reason), files.hold(KEY, Path("a"), 1):
        pass
    assert re.search(reason, files.take_error(KEY, os.getpid()) or "")


def test_a_pid_file_that_may_not_be_read_is_reported(files: RuntimeFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ComponentError, match=r"Main\.pid cannot be read: Permission denied; give it back to this user"):
        files.running(KEY)


def test_a_component_that_runs_already_without_a_pid_is_reported_without_one() -> None:
    assert str(AlreadyRunning(KEY, 0)).startswith("XX.DEMO.Main is already running; stop it first: ")


def test_what_a_killed_component_left_names_its_log_and_that_of_the_shared_process(files: RuntimeFiles) -> None:
    alone = Running(7, Path("a"), 5, 1.0, log_file=Path("/log/XX.DEMO.Main.log"))
    shared = replace(alone, group="group.2", configuration=Path("/etc/alps.yaml"))
    for running, log_file in ((alone, "/log/XX.DEMO.Main.log"), (shared, "/log/group.2@alps-0c77dc.log")):
        files.pid_file(KEY).write_bytes(running.encode())
        assert files.ended(KEY) == Ended(7, Path("a"), Path(log_file))


def test_a_pid_file_names_the_shared_process_and_one_of_an_older_version_has_none(files: RuntimeFiles) -> None:
    with files.hold(KEY, Path("a"), 1, "group.3"):
        running = files.running(KEY)
        assert running is not None
        assert running.group == "group.3"
    files.pid_file(KEY).write_text('{"pid": 7, "config": "a", "started_ns": 5, "stop_timeout_s": 1.0}')
    running = files.running(KEY)
    assert running is not None
    assert (running.pid, running.group) == (7, None)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"pid": "x"}', "\udcff"])
def test_a_pid_file_that_is_not_whole_says_nothing(files: RuntimeFiles, text: str) -> None:
    files.pid_file(KEY).write_bytes(text.encode(errors="surrogateescape"))
    running = files.running(KEY)
    assert running is not None
    assert (running.pid, running.is_alive) == (0, False)


def test_forgetting_removes_what_a_dead_component_left(files: RuntimeFiles) -> None:
    files.pid_file(KEY).touch()
    (files.folder / f"{KEY}.sock").touch()
    files.forget(KEY)
    files.forget(KEY)
    assert list(files.folder.iterdir()) == []


def test_a_command_socket_works_in_a_folder_whose_path_is_too_long_for_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 75) / ("y" * 75)
    with RuntimeFiles(folder, tmp_path / "log") as server, RuntimeFiles(folder, tmp_path / "log") as client:
        server.prepare()
        with zmq.Context() as context, context.socket(zmq.REP) as here, context.socket(zmq.REQ) as there:
            here.linger = there.linger = 0
            here.bind(server.command_address(KEY))
            assert (folder / f"{KEY}.sock").is_socket()
            there.connect(client.command_address(KEY))
            assert client.command_address(KEY) == client.command_address(KEY)
            there.send(b"ping")
            assert here.poll(10_000)
            assert here.recv() == b"ping"
    server.close()
