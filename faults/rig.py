"""The processes of one run: a device, a component with a journal and an archive, and what stands between them."""

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from faults.check import CHANNELS
from faults.device import fed_samples
from faults.relay import Relay

ROOT = Path(__file__).resolve().parent.parent

_STATION = """\
station: {{network: XX, code: RIG, location: "00"}}
Rig:
  Receiver: {{class: RawReceiver, host: 127.0.0.1, port: {port}, channels: {channels}}}
  Publishers:
    live: {{class: ZMQTCPPublisher, ip: 127.0.0.1, port: {live_port}}}
    archive: {{class: MiniSeedPublisher, path: archive, fsync_s: {fsync_s}, flush_after_s: {flush_after_s}}}
  Journal: {{path: journal, max_gb: 2, sync_s: {sync_s}}}
  Daemon: {{stop_timeout_s: 20}}
"""
_START_S = 60.0
_STOP_S = 60.0


class Rig:
    """One run.

    Args:
        root: a folder of its own.
        chance: where numbers come from that are random.
        pace: what all waits are multiplied by.

    Attributes:
        root: as the argument.
        chance: as the argument.
        relay: between component and device.
        may_lose: whether something that was fed may have been lost on its way to the journal: by a kill or a cut.
    """

    def __init__(self, root: Path, chance: random.Random, pace: float = 1.0) -> None:
        self.root = root
        self.chance = chance
        self._pace = pace
        self._device_port = _free_port()
        self.relay = Relay(self._device_port)
        self._state = root / "device.state"
        self._log: IO[bytes] = (root / "log").open("ab")
        self.component: subprocess.Popen[bytes] | None = None
        self.device: subprocess.Popen[bytes] | None = None
        self.is_undoable = False
        self.may_lose = False
        (root / "rig.yaml").write_text(
            _STATION.format(
                port=self.relay.port,
                live_port=_free_port(),
                channels={number: str(code) for number, code in CHANNELS.items()},
                fsync_s=chance.choice((0, 0.05, 0.5)),
                flush_after_s=chance.choice((0.1, 0.5, 3)),
                sync_s=chance.choice((0, 0.05, 0.5)),
            )
        )

    def start_device(self) -> None:
        """Start the device; it goes on with numbers that it has not used."""
        self.device = _spawn("faults.device", [str(self._device_port), str(self._state)], self._log)

    def start_component(self) -> None:
        """Start the component."""
        words = [str(self.root / "rig.yaml"), *[str(self.root / "undo")] * self.is_undoable]
        self.component = _spawn("faults.component", words, self._log)

    def kill_component(self) -> None:
        """End the component as nothing can foresee."""
        self.may_lose = True
        _end(self.component, signal.SIGKILL)

    def signal_component(self, number: int) -> None:
        """Send the component a signal."""
        assert self.component is not None  # noqa: S101 - it was started
        self.component.send_signal(number)

    def limit_files(self, size_bytes: int) -> None:
        """Let no file of the component grow beyond a size."""
        assert self.component is not None  # noqa: S101 - it was started
        limits = size_bytes, resource.RLIM_INFINITY
        resource.prlimit(self.component.pid, resource.RLIMIT_FSIZE, limits)

    def kill_device(self) -> None:
        """End the device so."""
        self.may_lose = True
        _end(self.device, signal.SIGKILL)

    def cut_connection(self) -> None:
        """Cut the connection at a random byte."""
        self.may_lose = True
        self.relay.cut_after(self.chance.randint(0, 300_000))

    def wait(self, least_s: float, most_s: float) -> None:
        """Let a random time pass."""
        time.sleep(self._pace * self.chance.uniform(least_s, most_s))

    def wait_for_data(self) -> None:
        """Return when the component has archived something."""
        end_s = time.monotonic() + _START_S
        while not any((self.root / "archive").rglob("*.D.*")):
            if time.monotonic() > end_s or (self.component is not None and self.component.poll() is not None):
                raise RuntimeError(f"nothing is archived; see {self.root / 'log'}")
            time.sleep(0.02)

    def finish(self) -> int:
        """Stop all in order, and let the component deliver what it has; return how many samples were fed."""
        _end(self.device, signal.SIGTERM)
        if self.component is not None and self.component.poll() is None:
            time.sleep(0.3)  # what is on its way arrives
            _end(self.component, signal.SIGTERM)
        # What could not be delivered by the stop is delivered by another start.
        log, begin = self.root / "log", (self.root / "log").stat().st_size
        self.start_component()
        end_s = time.monotonic() + _START_S
        while b"is running" not in log.read_bytes()[begin:] and time.monotonic() < end_s:
            time.sleep(0.05)
        status = _end(self.component, signal.SIGTERM)
        if status != 0:
            raise RuntimeError(f"the component ended with {status}; see {self.root / 'log'}")
        return fed_samples(str(self._state))

    def close(self) -> None:
        """End what still runs."""
        for process in (self.component, self.device):
            _end(process, signal.SIGKILL)
        self.relay.close()
        self._log.close()


def _spawn(module: str, args: Sequence[str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Run a module as a program, with its output in the log."""
    return subprocess.Popen([sys.executable, "-m", module, *args], cwd=ROOT, stdout=log, stderr=log)


def _end(process: "subprocess.Popen[bytes] | None", number: int) -> int:
    """Send a signal, and return how the process ended."""
    if process is None:
        return 0
    if process.poll() is None:
        os.kill(process.pid, signal.SIGCONT)
        process.send_signal(number)
    try:
        return process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return -1


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
