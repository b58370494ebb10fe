"""What the tests of a replayed capture share."""

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq.capture.file import MAGIC, Kind, encode_head
from rawdaq.config.settings import StationSettings
from rawdaq.control.device.replay import replay
from rawdaq.receivers.raw_tcp import RawReceiver
from tests.fake_device import wire_1
from tests.helpers import DEADLINE_S
from tests.makers import START_NS
from tests.packet_keeper import PacketKeeper

STATION = StationSettings(network="XX", code="DEMO", location="00")
SAMPLES = np.arange(100, dtype="<i4")
Row = tuple[Kind, int, float, str, bytes]


def packet(number: int, value: int = 7) -> bytes:
    return wire_1(1, START_NS + number * 10**9, np.full(100, value, "<i4").tobytes(), 100)


@contextlib.asynccontextmanager
async def receiving(port: int, **options: Any) -> AsyncGenerator[PacketKeeper]:
    """Run a receiver with quick reconnection; yield what keeps its packets."""
    keeper = PacketKeeper()
    receiver = RawReceiver(
        [keeper],
        STATION,
        port=port,
        channels={1: "HHZ"},
        reconnect_first_s=0.01,
        reconnect_max_s=0.02,
        **options,
    )
    task = asyncio.ensure_future(receiver.serve())
    try:
        yield keeper
    finally:
        receiver.stop()
        await task


class Replaying:
    """A replay that runs in a thread."""

    def __init__(self, capture: Path, speed: float | None = None, target: tuple[str, int] | None = None) -> None:
        self.stop = threading.Event()
        self.words: list[str] = []
        self._has_spoken = threading.Event()
        self._args = (capture, ("127.0.0.1", 0), target, speed, self.stop, self._say)
        self._result = ""
        self._thread = threading.Thread(target=self._run)

    def _say(self, text: str) -> None:
        self.words.append(text)
        self._has_spoken.set()

    def _run(self) -> None:
        self._result = replay(*self._args)

    def __enter__(self) -> "Replaying":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join()

    @property
    def port(self) -> int:
        self._has_spoken.wait(DEADLINE_S)
        return int(self.words[0].rpartition(":")[2])

    def result(self) -> str:
        """Return what was played, when it has ended by itself."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        return self._result


def lines(caplog: pytest.LogCaptureFixture, port: int) -> list[str]:
    """Return what the receiver said, whatever port it was."""
    said = [
        re.sub(r"(again in|again after|packets in) \d+(\.\d)? s", r"\1", record.getMessage()).replace(
            f":{port}", ":PORT"
        )
        for record in caplog.records
        if record.name.startswith("rawdaq.receivers")
    ]
    caplog.clear()
    return said


def write(path: Path, rows: Sequence[Row], begun_s: float = 1_795_219_200.0) -> Path:
    """Write a capture whose entries have these kinds, connections, seconds, peers and data."""
    with path.open("wb") as file:
        file.write(MAGIC)
        for kind, connection, at_s, peer, data in rows:
            file.write(encode_head(kind, connection, round((begun_s + at_s) * 1e9), peer.encode(), len(data)) + data)
    return path


HANDSHAKE: list[Row] = [
    (Kind.OPENED, 1, 0.0, "192.0.2.1:9", b""),
    (Kind.SENT, 1, 0.0, "", b"hello\n"),
    (Kind.RECEIVED, 1, 0.0, "", b"welcome\n"),
]


def talk(port: int, says: bytes = b"hello\n") -> tuple[bytes, str, float]:
    """Return what a client hears, how the connection ended, and how long it lasted."""
    began_s = time.monotonic()  # the other side begins to count at the earliest when it is connected
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        connection.sendall(says)
        heard, end = b"", "closed"
        try:
            while chunk := connection.recv(65536):
                heard += chunk
        except ConnectionResetError:
            end = "reset"
        return heard, end, time.monotonic() - began_s


@contextlib.contextmanager
def listening() -> Generator[tuple[socket.socket, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(DEADLINE_S)
        yield listener, listener.getsockname()[1]
