"""The processes of a benchmark: each is a module of this folder that prints JSON lines and reads lines of orders."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
PLUGIN_FD = 63
_POLL_S = 0.02
_DEADLINE_S = 180.0  # no run takes that long: a process that hangs ends the benchmark with an error


class Child:
    """A process that is started now and ended with the block.

    Args:
        arguments: for Python, such as ``-m benchmarks.feed``.
        stdin: the descriptor that it reads instead of our orders.
        pass_fds: descriptors that it inherits.
    """

    def __init__(self, *arguments: object, stdin: int | None = None, pass_fds: Sequence[int] = ()) -> None:
        self.began_ns = time.monotonic_ns()
        self._process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE if stdin is None else stdin,
            stdout=subprocess.PIPE,
            pass_fds=pass_fds,
            text=True,
        )
        self._lines = iter(self._process.stdout or ())
        self._name = " ".join(map(str, arguments))[:100]
        self._watchdog = threading.Timer(_DEADLINE_S, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def read(self) -> dict[str, Any]:
        """Return its next line; the benchmark ends if there is none."""
        line = next(self._lines, "")
        if not line:
            raise SystemExit(f"bench: {self._name} ended with status {self._process.wait()} before it was done")
        result: dict[str, Any] = json.loads(line)
        return result

    def order(self, word: str = "go") -> None:
        """Send a line."""
        if self._process.stdin is None:
            raise ValueError(f"{self._name} reads something else")
        print(word, file=self._process.stdin, flush=True)

    def wait(self) -> None:
        """Return when it has ended."""
        self._process.wait()

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._watchdog.cancel()
        self._process.terminate()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def tell(**values: object) -> None:
    """Print a line for the process that measures."""
    print(json.dumps(values), flush=True)


@contextlib.contextmanager
def plugin_pipe() -> Generator[tuple[int, int]]:
    """Yield a pipe's reading end and the descriptor of the plugin pipe, which children can inherit."""
    reading, writing = os.pipe()
    os.dup2(writing, PLUGIN_FD)
    os.close(writing)
    try:
        yield reading, PLUGIN_FD
    finally:
        os.close(reading)
        with contextlib.suppress(OSError):  # who measures lets go of it as soon as others hold it
            os.close(PLUGIN_FD)


async def until(is_true: Callable[[], object], poll_s: float = _POLL_S) -> None:
    """Return when *is_true* returns something true, while the event loop runs on."""
    while True:
        if is_true():
            return
        await asyncio.sleep(poll_s)


def cpu_s() -> float:
    """Return the processor time of this process so far, of all its threads, in user and in system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_mb() -> float:
    """Return the most memory that this process ever had.

    Linux counts in ru_maxrss what the process had before it executed its program, too: that of its parent.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
