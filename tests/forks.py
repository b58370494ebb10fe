"""Processes as forks of the test's own process, which spares each the start of an interpreter.

`spawn`, `run_cli` and `start_cli` do what their namesakes do with an interpreter of their own.
"""

import asyncio
import gc
import importlib
import logging
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from types import MappingProxyType, TracebackType
from typing import NoReturn, Self

from coverage import Coverage

from tests.helpers import MODULES, wait_for

_HANDLED = (signal.SIGINT, signal.SIGTERM)


def spawn(module: str, args: Sequence[str], log_file: Path, stdin: int) -> int:
    """Do what `rawdaq.control.processes.children.spawn` does; to be put in its place."""
    output = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        return fork(lambda: int(importlib.import_module(module).main(args)), {0: stdin, 1: output, 2: output})
    finally:
        os.close(output)


def run_cli(args: Sequence[str], *, cwd: Path | None = None) -> CompletedProcess[str]:
    """Run ``[name, *arguments]`` of one of our commands to its end; return exit status, stdout and stderr."""
    return run(_command(args, cwd))


def start_cli(args: Sequence[str], more: Mapping[int, int] = MappingProxyType({})) -> "Process":
    """Start ``[name, *arguments]`` of one of our commands with its output in pipes, and *more* descriptors."""
    return Process(_command(args), more=more)


def _command(args: Sequence[str], cwd: Path | None = None) -> Callable[[], int]:
    def main() -> int:
        os.chdir(cwd or ".")
        sys.argv = list(args)
        importlib.import_module(MODULES[args[0]]).main()
        return 0

    return main


def run(main: Callable[[], int], stdout: int | None = None) -> CompletedProcess[str]:
    """Run *main* in a process of its own; return its exit status, stdout and stderr.

    Args:
        main: what the process does.
        stdout: another descriptor for its stdout.
    """
    with Process(main, stdout) as process:
        out, err = process.communicate()
        return CompletedProcess([], process.wait(), out, err)


class Process:
    """A process that does *main*, with its output in pipes: as much of a `subprocess.Popen` as tests need.

    Args:
        main: what it does.
        stdout: another descriptor for its stdout.
        more: other descriptors, by their numbers there.
    """

    def __init__(
        self, main: Callable[[], int], stdout: int | None = None, more: Mapping[int, int] = MappingProxyType({})
    ) -> None:
        reading_out, out = os.pipe()
        reading_err, err = os.pipe()
        with open(os.devnull, "rb") as nothing:
            self.pid = fork(main, {0: nothing.fileno(), 1: out if stdout is None else stdout, 2: err, **more})
        os.close(out)
        os.close(err)
        self.stdout, self.stderr = open(reading_out), open(reading_err)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout_s: float = 60.0) -> int:
        """Return the exit status when it has ended."""
        try:
            wait_for(lambda: self.poll() is not None, timeout_s)
        except AssertionError:
            raise TimeoutExpired([], timeout_s) from None
        assert self.returncode is not None
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """Return what it writes to stdout and stderr until it has ended; one that does not end is killed."""
        with ThreadPoolExecutor(2) as pool:
            out, err = pool.submit(self.stdout.read), pool.submit(self.stderr.read)
            try:
                self.wait()
            except TimeoutExpired:
                self.kill()  # or the threads would read for ever
                raise
        return out.result(), err.result()

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for it, and close the pipes; it is killed after an error."""
        if kind is not None:
            self.kill()
        self.wait()
        self.stdout.close()
        self.stderr.close()


def fork(main: Callable[[], int], descriptors: Mapping[int, int]) -> int:
    """Return the pid of a process that does *main* with these *descriptors*, by their numbers there, and no others."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or both processes would print what waits
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)  # one that is sent to the child at once waits in it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads, of which the child needs none
            pid = os.fork()
        if not pid:
            _be_child(main, descriptors)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return pid


def _be_child(main: Callable[[], int], descriptors: Mapping[int, int]) -> NoReturn:
    """Be the process: of this one it has the memory, and nothing else."""
    status = 1
    try:
        gc.freeze()  # or what belongs to tests could close descriptors that are new ones by then
        logging.getLogger().handlers.clear()
        asyncio._set_running_loop(None)  # of a test that forks while its loop runs
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.setsid()
        for target, source in descriptors.items():
            os.dup2(source, target)
            os.set_inheritable(target, True)  # also where it was that number before
        ends = [*sorted(descriptors), min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16)]
        for last, following in pairwise(ends):
            if last + 1 < following:  # an empty range is taken for all
                os.closerange(last + 1, following)  # locks among them
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
        sys.stderr = open(2, "w", 1, closefd=False)
        sys.modules.pop("rawdaq_outside", None)  # a test may have changed it
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        status = main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        if measured := Coverage.current():
            measured.save()
        os._exit(status)
