"""Processes as forks of the test's own process, which spares each the start of an interpreter."""

import gc
import importlib
import logging
import os
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn


def spawn(module: str, args: Sequence[str], log_file: Path, stdin: int) -> int:
    """Do what `rawdaq.control.processes.children.spawn` does; to be put in its place."""
    output = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        return fork(lambda: int(importlib.import_module(module).main(args)), {0: stdin, 1: output, 2: output})
    finally:
        os.close(output)


def run(main: Callable[[], int], stdout: int | None = None) -> tuple[int, str]:
    """Run *main* in a process of its own; return its exit status and what it wrote to stderr (and to stdout).

    Args:
        main: what the process does.
        stdout: another descriptor for its stdout.
    """
    with tempfile.TemporaryFile() as output, open(os.devnull, "rb") as nothing:
        out = output.fileno() if stdout is None else stdout
        pid = fork(main, {0: nothing.fileno(), 1: out, 2: output.fileno()})
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        output.seek(0)
        return status, output.read().decode()


def fork(main: Callable[[], int], descriptors: Mapping[int, int]) -> int:
    """Return the pid of a process that does *main* with these *descriptors*, by their numbers there, and no others."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or both processes would print what waits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are other threads, of which the child needs none
        pid = os.fork()
    if not pid:
        _be_child(main, descriptors)
    return pid


def _be_child(main: Callable[[], int], descriptors: Mapping[int, int]) -> NoReturn:
    """Be the process: of this one it has the memory, and nothing else."""
    status = 1
    try:
        gc.freeze()  # or what belongs to tests could close descriptors that are new ones by then
        logging.getLogger().handlers.clear()
        os.setsid()
        for target, source in descriptors.items():
            os.dup2(source, target)
        first_other = max(descriptors) + 1
        os.closerange(first_other, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16))  # locks among them
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", 1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.modules.pop("rawdaq_outside", None)  # a test may have changed it
        status = main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
