"""Programs as users start them, measured from outside: ``rawdaq-plugin``, ``control-rawdaq``, or any command."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import ROOT

#: What a program prints, in its folder.
LOG_NAME = "printed.txt"

_DEADLINE_S = 30.0
_POLL_S = 0.1


class Launched(NamedTuple):
    """A program that runs in the background.

    Attributes:
        pid: of its process.
        end: ends it in order, and returns when it has ended; again, it does nothing.
    """

    pid: int
    end: Callable[[], object]


class Control:
    """``control-rawdaq`` with a station file, or a folder of them.

    Args:
        commands: the folder of rawdaq's commands.
        config: the file or folder.
        folder: where the components have their runtime files and logs.
    """

    def __init__(self, commands: Path, config: Path, folder: Path) -> None:
        self._command = [commands / "control-rawdaq", "--config", config]
        self._environment = _environment(folder)

    def run(self, *words: object, fine: Sequence[int] = (0,)) -> str:
        """Return what a command prints; the benchmark ends when its exit status is not *fine*."""
        command = [str(word) for word in (*self._command, *words)]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode not in fine:
            raise SystemExit(f"bench: {' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def status(self) -> list[dict[str, Any]]:
        """Return the status of each component of the configuration."""
        # 1: something needs a person, such as a device that is not connected yet.
        found: list[dict[str, Any]] = json.loads(self.run("status", "--json", fine=(0, 1)))
        return found

    def live_address(self) -> str:
        """Return the address of the live stream of the only component, once there is one."""
        end_s = time.monotonic() + _DEADLINE_S
        while time.monotonic() < end_s:
            (status,) = self.status()
            address = (status["publishers"] or {}).get("live", {}).get("address")
            if address:
                return str(address)
            time.sleep(_POLL_S)
        raise SystemExit(f"bench: no live stream: {' '.join(map(str, self._command))} status")

    def end(self) -> None:
        """Stop all that runs."""
        if any(status["pid"] for status in self.status()):
            self.run("stop", "all")


def launch(command: Sequence[object], folder: Path, *fds: int) -> Launched:
    """Start *command*, which has its runtime files and its log in *folder* and inherits *fds*."""
    with (folder / LOG_NAME).open("w") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=ROOT,
            env=_environment(folder),
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def end() -> None:
        process.terminate()
        try:
            process.wait(_DEADLINE_S)
        finally:
            process.kill()

    return Launched(process.pid, end)


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "RAWDAQ_RUNTIME_DIR": str(folder / "run"), "RAWDAQ_LOG_DIR": str(folder)}
