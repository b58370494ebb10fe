"""Processes of a benchmark: they print JSON lines and read lines; what a process has used is read here, too."""

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
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
PLUGIN_FD = 63
_POLL_S = 0.02
_DEADLINE_S = 180.0  # no run takes that long: a process that hangs ends the benchmark with an error


class Child:
    """A process that is started now and ended with the block.

    Args:
        arguments: for Python, such as ``-m benchmarks.programs.device``.
        stdin: the descriptor that it reads instead of our lines.
        pass_fds: descriptors that it inherits.
        deadline_s: after this time it is killed.
    """

    def __init__(
        self,
        *arguments: object,
        stdin: int | None = None,
        pass_fds: Sequence[int] = (),
        deadline_s: float = _DEADLINE_S,
    ) -> None:
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
        self._watchdog = threading.Timer(deadline_s, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def read(self) -> dict[str, Any]:
        """Return its next line; the benchmark ends when there is no more."""
        line = next(self._lines, "")
        if not line:
            raise SystemExit(f"bench: {self._name} ended with status {self._process.wait()} before it was done")
        result: dict[str, Any] = json.loads(line)
        return result

    def go(self, word: str = "go") -> None:
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

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._watchdog.cancel()
        self._process.terminate()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def report(**values: object) -> None:
    """Print a line for the process that measures."""
    print(json.dumps(values), flush=True)


@contextlib.contextmanager
def plugin_pipe() -> Generator[tuple[int, int]]:
    """Yield a pipe's reading end and the plugin pipe's descriptor, for children to inherit; the block closes both."""
    reading, writing = os.pipe()
    os.dup2(writing, PLUGIN_FD)
    os.close(writing)
    try:
        yield reading, PLUGIN_FD
    finally:
        os.close(reading)
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


def cpu_s_of(pid: int) -> float:
    """Return the processor time of a process so far, of all its threads, by the scheduler's nanoseconds; Linux only."""
    return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) returns


def wake_ups_of(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep so far; Linux only."""
    return sum(
        int(line.split()[1])
        for status in Path(f"/proc/{pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )


def rss_mb(pid: int | str = "self") -> float:
    """Return the memory that a process has now; Linux only."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb(pid: int | str = "self") -> float:
    """Return the most memory that a process ever had; of others Linux only.

    Linux counts in ru_maxrss what the process had before it executed its program, too: that of its parent.
    """
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
