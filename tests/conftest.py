"""Fixtures for every test: nothing is left behind, and no test sees the user's own components."""

import asyncio
import contextlib
import gc
import inspect
import itertools
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.names import Names

# What a busy machine is slow at is no failure. Each run has other examples, so a few a run find in a week what many do.
settings.register_profile("thorough", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("thorough"), max_examples=30)
settings.load_profile("quick")

_GRACE_S = 30.0  # a task, a thread or a child that is on its way out may take so long on a loaded machine
_OPEN_FILES, _THREADS = "/proc/self/fd", "/proc/self/task"  # texts: this is looked up twice for each test
_NOT_OURS = ("/dev/", "/proc/", sys.prefix)
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_FOLDERS = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Let SIGINT arrive, which a shell ignores for what it runs behind; leave out a warning of ObsPy on Python 3.11."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.addinivalue_line("filterwarnings", "ignore:SelectableGroups dict interface:DeprecationWarning")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for tests here, and for examples in docstrings in the package only."""
    collectors = yield
    return [each for each in collectors if isinstance(each, pytest.Module)]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among the thousands of tests: not while they are collected, and not while they run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _threads() -> set[str]:
    # The event loop that pytest-asyncio lends to a test joins its own executor's threads later.
    return {
        f"thread {thread.name}"
        for thread in threading.enumerate()
        if not thread.name.startswith(("asyncio_", "pytest_timeout"))
    }


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # a thread that has just ended, or a system without /proc
        return []


def _children() -> set[str]:
    found: set[str] = set()
    for thread in _listed(_THREADS):
        with contextlib.suppress(OSError), open(f"{_THREADS}/{thread}/children") as children:
            found |= {f"child process {pid}" for pid in children.read().split()}
    return found


def _files() -> set[str]:
    found: set[str] = set()
    for name in _listed(_OPEN_FILES):
        try:
            target = os.readlink(f"{_OPEN_FILES}/{name}")
        except OSError:  # the descriptor that listed the folder
            continue
        # What a library keeps open among its own files (matplotlib: its fonts) is not left by a test.
        if target.startswith("socket:") or (target.startswith("/") and not target.startswith(_NOT_OURS)):
            found.add(f"open file {name} -> {target}")
    return found


def _handlers() -> set[str]:
    return {f"handler of {number.name}: {signal.getsignal(number)}" for number in _SIGNALS}


def _held() -> set[str]:
    return _threads() | _children() | _files() | _handlers()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Let the test choose the addresses of a host name."""
    return Names(monkeypatch)


@pytest.fixture
async def _no_task_is_left() -> AsyncIterator[None]:
    """Fail an asynchronous test that leaves a task behind on its loop."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=_GRACE_S)
    assert not left, f"tasks left behind: {sorted(task.get_name() for task in left)}"


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a task, a thread, a child, an open file, a socket or a signal's handler behind."""
    function = getattr(request.node, "function", None)
    if inspect.iscoroutinefunction(function):
        request.getfixturevalue("_no_task_is_left")
    before = _held()
    yield
    end_s = time.monotonic() + _GRACE_S
    while (left := _held() - before) and time.monotonic() < end_s:
        time.sleep(0.01)
    assert not left, f"left behind: {sorted(left)}"


@pytest.fixture(scope="session", autouse=True)
def _runtime_dir_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the runtime folder of whoever runs the tests out of those that do not ask for one of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAWDAQ_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime") / "run"))
        yield


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test alone; pytest's own looks through those of all tests before for a free name."""
    name = re.sub(r"\W", "_", str(request.node.name))[:30]
    folder = tmp_path_factory.getbasetemp() / f"{name}{next(_FOLDERS)}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def runtime_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of this test alone; a component that still runs in it afterwards is ended, and fails the test.

    Its path is short, because a Unix socket's path may have only 107 characters.
    """
    folder = Path(tempfile.mkdtemp(prefix="rd-", dir="/tmp"))
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("RAWDAQ_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.delenv("RAWDAQ_CONFIG", raising=False)
    yield runtime
    running = _end_components(runtime)
    shutil.rmtree(folder)
    assert not running, f"components left running: {running}"


def _end_components(runtime: Path) -> list[str]:
    """End the processes that still have a file of *runtime* open, and return what they were."""
    running: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            holds = any(os.readlink(fd).startswith(f"{runtime}/") for fd in (process / "fd").iterdir())
            if not holds or int(process.name) == os.getpid():
                continue
            running.append((process / "cmdline").read_text().replace("\0", " ")[:200])
            os.kill(int(process.name), signal.SIGKILL)
        except OSError:  # gone meanwhile, or not ours to look at
            continue
    return running


@pytest.fixture(autouse=True)
def _same_log() -> Iterator[None]:
    """A test that configures the log does so for itself alone."""
    ours, root = logging.getLogger("rawdaq"), logging.getLogger()
    levels, handlers = (ours.level, root.level), root.handlers[:]
    yield
    ours.setLevel(levels[0])
    root.setLevel(levels[1])
    for handler in root.handlers[:]:
        if handler not in handlers and not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)


@pytest.fixture(params=["compiled", "libmseed"])
def each_encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that asks for this runs with the compiled encoder and without it."""
    from rawdaq.miniseed.series import is_compiled  # here, so that collecting tests imports nothing of ours

    assert is_compiled(), "there is no compiled encoder: install a C compiler, then rawdaq again"
    if request.param == "libmseed":
        monkeypatch.setattr("rawdaq.miniseed.series.steim2", None)
