"""SeisComP's SeedLink server as a plugin sees it, and devices to receive from; nothing of ours reads the frames."""

import fcntl
import io
import os
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import obspy

from rawdaq.times import from_iso
from tests import forks
from tests.fake_device import Described, Session, wire
from tests.helpers import DEADLINE_S, environment

HEADER = struct.Struct("=i10s10s6i3i")
TIMES = struct.Struct(">HHBBBxHH")  # of a record: year day hour minute second 0.1ms, and how many samples
LOG, MSEED = 12, 13
START_NS = from_iso("2026-11-20T23:59:30Z")
RATE_HZ, SIZE = 100, 100
NEARLY_FULL_BYTES = 40_000  # a pipe is full with less than its 65 536 bytes when what it was given are small pieces

Play = Callable[[Session], Awaitable[None]]


class Frame(NamedTuple):
    kind: int
    station: str
    payload: bytes


@dataclass
class Server:
    """What SeedLink has of a running plugin: the process and the reading end of its pipe."""

    process: "subprocess.Popen[str] | forks.Process"
    reader: int
    pending: bytes = b""

    def frames(self, kind: int = MSEED) -> Iterator[Frame]:
        """Yield each frame of *kind* until the plugin closes its end; nothing may be left over."""
        while chunk := os.read(self.reader, 1 << 16):
            self.pending += chunk
            while len(self.pending) >= HEADER.size:
                fields = HEADER.unpack_from(self.pending)
                end = HEADER.size + fields[-1]
                if len(self.pending) < end:
                    break
                payload, self.pending = self.pending[HEADER.size : end], self.pending[end:]
                if fields[0] == kind:
                    yield Frame(kind, fields[1].rstrip(b"\0").decode(), payload)
        assert self.pending == b""

    def take_samples(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """Read until there are *count* samples; return them by stream, in the order in which they came."""
        records: dict[tuple[str, bytes], list[bytes]] = {}
        expected: dict[bytes, datetime] = {}
        for frame in self.frames():
            assert len(frame.payload) == 512
            year, day, hour, minute, second, fraction, size = TIMES.unpack_from(frame.payload, 20)
            start = datetime(year, 1, 1, hour, minute, second, 100 * fraction) + timedelta(day - 1)
            name = frame.payload[8:20]
            assert start == expected.get(name, start)
            expected[name] = start + timedelta(seconds=size / RATE_HZ)
            records.setdefault((frame.station, name), []).append(frame.payload)
            count -= size
            if count <= 0:
                break
        assert count == 0
        return dict(_samples(station, b"".join(each)) for (station, _), each in records.items())

    @property
    def waiting_bytes(self) -> int:
        """How much is in the pipe."""
        (count,) = struct.unpack("i", fcntl.ioctl(self.reader, termios.FIONREAD, b"\0" * 4))
        return int(count)

    def close(self) -> None:
        """Close the pipe, as a server that has died."""
        if self.reader >= 0:
            os.close(self.reader)
        self.reader = -1

    def end(self) -> tuple[int, str]:
        """Wait until the plugin has ended; return its exit status and its log."""
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        return self.process.wait(DEADLINE_S), said


def _samples(station: str, records: bytes) -> tuple[str, npt.NDArray[Any]]:
    """Return the stream and the samples of *records* of one stream without a gap."""
    (trace,) = obspy.read(io.BytesIO(records), format="MSEED")
    name: str = trace.id
    assert name.startswith(f"{station}.")
    return name, trace.data


@contextmanager
def seedlink(*words: str, env: dict[str, str] | None = None) -> Generator[Server]:
    """Run ``rawdaq-plugin WORDS rawdaq0`` exactly as the server does."""
    command = shlex.join([sys.executable, "-m", "rawdaq.control.plugin.command", *words])
    reader, writer = os.pipe()
    # The outer bash only moves the pipe to 63; SIGPIPE is ignored, as Python does and the server too.
    process = subprocess.Popen(
        ["/bin/bash", "-c", f'exec /bin/bash -c "$0" 63>&{writer} {writer}>&-', f"{command} rawdaq0"],
        env=environment(env),
        pass_fds=[writer],
        restore_signals=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    with process, _served(process, reader) as server:
        yield server


@contextmanager
def forked(*words: str) -> Generator[Server]:
    """Do what `seedlink` does, as a fork of the test's own process: without bash, and without a new interpreter."""
    reader, writer = os.pipe()
    process = forks.start_cli(["rawdaq-plugin", *words, "rawdaq0"], {63: writer})
    os.close(writer)
    with process, _served(process, reader) as server:
        yield server


@contextmanager
def _served(process: "subprocess.Popen[str] | forks.Process", reader: int) -> Generator[Server]:
    server = Server(process, reader)
    try:
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        server.close()


def short(port: int, *more: str, channels: str = "00.HHZ:1") -> list[str]:
    return ["-s", "127.0.0.1", "-p", str(port), "-c", "XX.DEMO", "-m", channels, *more]


def noise(count: int, seed: int = 0) -> npt.NDArray[np.int32]:
    """Return samples over the whole range of int32, which no float32 holds and STEIM2 can hardly encode."""
    chance = np.random.default_rng(seed)
    return chance.integers(-(2**31), 2**31, count, dtype=np.int64).astype("<i4")


def packets(channel: int, samples: npt.NDArray[np.int32]) -> list[bytes]:
    return [
        wire(channel, START_NS + index * 10**9 // RATE_HZ, samples[index : index + SIZE].tobytes(), SIZE)
        for index in range(0, len(samples), SIZE)
    ]


def playing(*data: list[bytes]) -> Play:
    """Return a device that sends the packets of channel 1, 2, ... side by side, then stays."""

    async def play(session: Session) -> None:
        await session.handshake({number: Described(str(RATE_HZ)) for number in range(1, len(data) + 1)})
        for together in zip(*data, strict=True):
            await session.send(b"".join(together))
        await session.until_closed()

    return play


def write_station(folder: Path, port: int, more: str = "", second: str = "") -> Path:
    """Write a station file with component One on *port*, and whatever *second* is."""
    file = folder / "station.yaml"
    file.write_text(
        "station: {network: XX, code: DEMO}\n"
        "One:\n"
        f"  Receiver: {{class: RawReceiver, port: {port}, channels: {{1: HHZ}}}}\n"
        "  Publishers:\n"
        f"    seedlink: {{class: SeedLinkPluginPublisher, flush_after_s: 0.05{more}}}\n" + second
    )
    return file
