"""What tests of every room need: waiting for something to become true, and running the commands as users do."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_S = 30.0  # generous: a loaded machine may be slow, a broken program never gets there

#: A folder in memory where the system has one, for many files that are soon removed, which takes a disk milliseconds.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
_POLL_S = 0.01
MODULES = {
    "control-rawdaq": "rawdaq.control.cli",
    "rawdaq-dump": "rawdaq.control.dump.command",
    "rawdaq-device": "rawdaq.control.device.command",
    "rawdaq-jsonl": "rawdaq.control.jsonl",
    "rawdaq-plugin": "rawdaq.control.plugin.command",
}
T = TypeVar("T")


def wait_for(predicate: Callable[[], T], deadline_s: float = DEADLINE_S) -> T:
    """Return the first true value of *predicate*; fail after *deadline_s*."""
    end_s = time.monotonic() + deadline_s
    while not (value := predicate()):
        assert time.monotonic() < end_s, f"not true within {deadline_s} s"
        time.sleep(_POLL_S)
    return value


async def until(predicate: Callable[[], T], deadline_s: float = DEADLINE_S) -> T:
    """Return the first true value of *predicate* while the event loop runs on; fail after *deadline_s*."""
    end_s = time.monotonic() + deadline_s
    while not (value := predicate()):
        assert time.monotonic() < end_s, f"not true within {deadline_s} s"
        await asyncio.sleep(_POLL_S)
    return value


@contextmanager
def closed_port() -> Generator[int]:
    """Yield a TCP port of this machine that nobody listens on, and that no other test gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def free_port() -> int:
    """Return a free TCP port that stays free: it is none of those that the system gives to whoever asks for any."""
    for port in random.SystemRandom().sample(range(15_000, 30_000), 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def command(name: str, *args: str) -> list[str]:
    """Return the command line that runs one of our commands with this interpreter, installed or not."""
    code = f"import sys; sys.argv[0] = {name!r}; from {MODULES[name]} import main; main()"
    return [sys.executable, "-c", code, *args]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process' environment with the checkout on the import path and *extra* added."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **(extra or {})}


def run_cli(
    args: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, deadline_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run ``[name, *arguments]`` to its end and return its exit status, stdout and stderr.

    The name is one of ours: control-rawdaq, rawdaq-dump, rawdaq-device.
    """
    return subprocess.run(
        command(*args),
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )


def start_cli(args: Sequence[str], *, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start ``[name, *arguments]`` with its output in pipes; the caller ends and waits for it."""
    return subprocess.Popen(
        command(*args),
        env=environment({"PYTHONUNBUFFERED": "1", **(env or {})}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
