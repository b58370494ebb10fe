"""An operator's hour: what goes wrong at a station, one thing after the other, and what ``status`` says of it."""

import fcntl
import json
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import obspy
import pytest

from rawdaq.control.status import rows
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.streamer import Channel, Streamer
from rawdaq.times import NS_PER_S
from tests.control.cli_words import Said
from tests.helpers import wait_for

STATION = """\
station: {{network: XX, code: HOUR, location: "00"}}
Raw:
  Receiver: {{class: RawReceiver, port: {port}, channels: {{1: HHZ}}, reconnect_first_s: 0.01, reconnect_max_s: 0.05}}
  Publishers:
    archive: {{class: MiniSeedPublisher, path: {archive}, flush_after_s: 0, layout: "%n.%s.%c"}}
  Daemon: {{silent_after_s: 1.0}}
"""
RATE_HZ = 100
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Hour:
    """A station, its device, and what is asked of it."""

    def __init__(self, folder: Path, said: Said) -> None:
        self.archive = folder / "disk" / "archive"
        self.file = self.archive / "XX.HOUR.HHZ"
        self.station = folder / "station.yaml"
        self.port = 0
        self.plug_in()
        self.ahead_s = 0
        self.fed = 0
        self._said = said
        self._is_fed = threading.Event()
        self._feeding = threading.Lock()
        self._end = threading.Event()
        self._feeder = threading.Thread(target=self._feed)
        self._feeder.start()
        self.archive.parent.mkdir()
        self.station.write_text(STATION.format(port=self.port, archive=self.archive))

    def plug_in(self) -> None:
        """Let the device be there, the second time where it was."""
        self.device = Streamer([Channel(1, RATE_HZ, samptype="int32")], port=self.port)
        self.device.start()
        self.port = self.device.port

    def feed(self, is_on: bool = True) -> None:
        """Let the device send samples, or none, from now on, whatever else is done and however long it takes."""
        with self._feeding:
            (self._is_fed.set if is_on else self._is_fed.clear)()

    def _feed(self) -> None:
        while not self._end.wait(0.02):
            with self._feeding:
                if self._is_fed.is_set():
                    now_ns = time.time_ns() + self.ahead_s * NS_PER_S
                    self.device.feed_data(1, now_ns, 100, np.array([self.fed], "<i4"))
                    self.fed += 1

    def close(self) -> None:
        """End the device."""
        self._end.set()
        self._feeder.join()
        self.device.stop()

    def run(self, *words: str) -> tuple[int, str, str]:
        return self._said.run("-c", str(self.station), *words)

    def pid(self) -> int:
        with RuntimeFiles.find() as runtime:
            running = runtime.running("XX.HOUR.Raw")
        assert running
        return running.pid

    def wait_for_trouble(self, pattern: str, *, is_fed: bool = True) -> None:
        """Wait until `status` ends with 1 and says *pattern* in its one line."""
        shown = ""
        self.feed(is_fed)

        def is_said() -> bool:
            nonlocal shown
            status, shown, _ = self.run("status", "--problems")
            assert (status, shown.count("\n")) in ((1, 1), (0, 0))
            return re.search(pattern, shown) is not None

        try:
            wait_for(is_said)
        except AssertionError as error:
            raise AssertionError(f"{pattern!r} is not in {shown!r}") from error

    def wait_until_well(self) -> None:
        """Wait until `status` ends with 0."""
        shown = ""
        self.feed()

        def is_well() -> bool:
            nonlocal shown
            status, shown, _ = self.run("status", "--problems")
            return (status, shown) == (0, "")

        try:
            wait_for(is_well)
        except AssertionError as error:
            raise AssertionError(f"not well: {shown!r}") from error

    def has_logged_a_gap(self) -> bool:
        """Return whether the log says what a restart has cost."""
        return "gap from the restart in XX.HOUR.00.HHZ of " in self.run("logs", "Raw", "-n", "500")[1]

    def missing(self, first: int) -> set[int]:
        """Return which of the samples that were fed since *first* are not in the archive."""
        archived = {int(value) for trace in obspy.read(str(self.file)) for value in trace.data}
        return set(range(first, self.fed)) - archived


@pytest.fixture
def hour(runtime: RuntimeFiles, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hour]:
    monkeypatch.setattr(rows, "_STATUS_TIMEOUT_S", 0.5)
    hour = Hour(tmp_path, said)
    try:
        yield hour
    finally:
        hour.close()


def test_whatever_goes_wrong_status_says_so_in_one_line_and_that_all_is_well_after_the_cure(hour: Hour) -> None:
    assert hour.run("start", "all")[0] == 0
    hour.wait_until_well()

    # a wrong clock
    hour.ahead_s = 4576
    hour.wait_for_trouble(r"^HOUR/Raw  running  XX\.HOUR\.00\.HHZ latency -457\d\.\d s: clocks differ$")
    hour.ahead_s = 0
    hour.wait_until_well()

    # a device that sends nothing, and one that is unplugged
    hour.wait_for_trouble(r"^HOUR/Raw  running  XX\.HOUR\.00\.HHZ silent for \d\.\d s$", is_fed=False)
    hour.wait_until_well()
    hour.feed(False)
    hour.device.stop()
    hour.wait_for_trouble(r"127\.0\.0\.1:\d+ is not connected: ", is_fed=False)
    hour.plug_in()
    hour.wait_until_well()

    # a process that is frozen
    os.kill(hour.pid(), signal.SIGSTOP)
    hour.wait_for_trouble(r"^HOUR/Raw  hung  HOUR/Raw did not answer 'status' within 0\.5 s", is_fed=False)
    os.kill(hour.pid(), signal.SIGCONT)
    hour.wait_until_well()

    # from here on nothing may be missing
    first = hour.fed
    holding = r"; holds \d+ packets, (\d+\.\d s, )?\d+\.\d MB$"

    # a full disk
    resource.prlimit(hour.pid(), resource.RLIMIT_FSIZE, (hour.file.stat().st_size + 1000, resource.RLIM_INFINITY))
    hour.wait_for_trouble(rf"archive is paused: cannot write {hour.file}: File too large; .*{holding}")
    resource.prlimit(hour.pid(), resource.RLIMIT_FSIZE, NO_LIMIT)
    assert hour.run("send", "Raw", "retry")[1] in ("trying archive\n", "no publisher is paused\n")  # it tries by itself
    hour.wait_until_well()

    # a lost folder
    hour.archive.rename(hour.archive.with_name("away"))
    hour.wait_for_trouble(rf"archive is paused: cannot write {hour.archive}: .*mount its disk{holding}")
    hour.archive.with_name("away").rename(hour.archive)
    hour.run("send", "Raw", "retry")
    hour.wait_until_well()

    # a wrong file in the place of ours, and ours in the hands of another program
    aside = hour.file.with_name("aside")
    hour.file.rename(aside)
    hour.file.mkdir()
    hour.wait_for_trouble(rf"archive is paused: cannot write {hour.file}: Is a directory; .*{holding}")
    hour.file.rmdir()
    aside.rename(hour.file)
    hour.run("send", "Raw", "retry")
    hour.wait_until_well()
    hour.file.rename(aside)
    with hour.file.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        hour.wait_for_trouble(rf"archive is paused: .* another program or publisher writes it; .*{holding}")
        assert hour.run("send", "Raw", "retry")[1] == "trying archive\n"
        assert hour.run("status")[0] == 1
    aside.rename(hour.file)
    hour.run("send", "Raw", "retry")
    hour.wait_until_well()

    # a second copy
    status, _, err = hour.run("start", "all")
    assert (status, "is already running" in err) == (1, True)
    hour.wait_until_well()

    # paused by command
    hour.run("send", "Raw", "pause")
    hour.wait_for_trouble(r"^HOUR/Raw  paused  paused by command", is_fed=False)
    hour.run("send", "Raw", "resume")
    hour.wait_until_well()

    hour.feed(False)
    wait_for(lambda: not hour.missing(first))
    assert hour.run("stop", "all")[::2] == (0, "")
    assert not hour.missing(first)

    # killed
    assert hour.run("start", "all")[0] == 0
    pid = hour.pid()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    hour.wait_for_trouble(rf"^HOUR/Raw  dead  the last run \(pid {pid}\) ended without tidying up; ", is_fed=False)
    assert hour.run("start", "all")[0] == 0
    hour.wait_until_well()
    wait_for(hour.has_logged_a_gap)
    (row,) = json.loads(hour.run("status", "--json")[1])
    assert row["publishers"]["archive"]["restart_gaps"] == {"killed": 1}
