"""The way of a packet is short: what a burst costs is counted in Python calls, which need no clock."""

import asyncio
import os
import statistics
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from rawdaq.config import StationSettings
from rawdaq.publisher import Publisher
from rawdaq.publishers import SeedLinkPluginPublisher
from rawdaq.receivers import RawReceiver
from tests.fake_device import Described, Session, fake_device, wire
from tests.helpers import until
from tests.servers import serving

_CODES = {1: "HHZ", 2: "HHN", 3: "HHE"}
_BURSTS = 40
_LOOP_CALLS = 8  # of the event loop around a callback: select, the handle, and what they call


class CallCounter:
    """Counts the calls from the beginning of each callback that reads a socket to its end."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._is_inside = False
        self._count = 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        is_callback = frame.f_code.co_name == "_read_ready"
        if event == "call":
            self._is_inside |= is_callback
            self._count += self._is_inside
        elif event == "return" and is_callback:
            self.counts.append(self._count)
            self._is_inside, self._count = False, 0


def burst(start: int, index: int, random: np.random.Generator) -> bytes:
    """Return three packets of 0.1 s."""
    start_ns = start + index * 100_000_000
    return b"".join(wire(each, start_ns, random.integers(-999, 999, 10).astype("<i4").tobytes(), 10) for each in _CODES)


def published(receiver: RawReceiver) -> int:
    return sum(each.packets for each in receiver.stats.streams.values())


async def calls_of_a_burst(publisher: Publisher) -> float:
    """Return the median number of Python calls that a burst of three packets takes."""
    bursts: asyncio.Queue[bytes] = asyncio.Queue(1)

    async def play(session: Session) -> None:
        await session.handshake(dict.fromkeys(_CODES, Described()))
        while True:
            await session.send(await bursts.get())

    counter, random, start = CallCounter(), np.random.default_rng(1), time.time_ns() // 1000 * 1000
    async with fake_device(play) as port:
        station = StationSettings(network="XX", code="DEMO", location="00")
        receiver = RawReceiver([publisher], station, channels=_CODES, port=port)
        async with serving(receiver):
            for index in range(_BURSTS):
                sys.setprofile(counter)
                await bursts.put(burst(start, index, random))
                await until(lambda: published(receiver) == 3 * index + 3)  # noqa: B023 - awaited within the turn
                sys.setprofile(None)
    assert len(counter.counts) >= _BURSTS
    return statistics.median(counter.counts) + _LOOP_CALLS


async def test_a_burst_of_three_packets_into_the_pipe_takes_at_most_50_calls(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert await calls_of_a_burst(SeedLinkPluginPublisher(pipe=tmp_path / "pipe")) <= 50
    finally:
        os.close(reading)
