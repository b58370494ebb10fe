"""The state of a component as streams of its own: every publisher takes them as any stream, for years of history."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rawdaq.disk.threads import in_new_thread
from rawdaq.packet import Packet, PacketRun
from rawdaq.process.usage import usage
from rawdaq.publisher import Publisher
from rawdaq.stream_id import StreamId
from rawdaq.streams.stats import Stats, StreamStats
from rawdaq.times import NS_PER_S

_LARGEST = 2**31 - 1  # of int32
_DISK_S = 5.0  # a disk that takes longer has no sample

HandOn: TypeAlias = Callable[[list[Packet | PacketRun | bytes]], bool]


class StateOfHealth:
    """Measures a component at whole multiples of a time, and makes packets of one int32 sample each.

    ``latency`` is the worst latency of all streams in milliseconds, where a silent one counts with the time since its
    last packet; ``clock`` the worst clock quality in percent; ``disk`` what is free on the fullest disk that is written
    to, in megabytes; ``cpu`` processor time in thousandths of a core, and ``memory`` in kilobytes, both of the process.
    What cannot be measured has no sample, so that its stream has a gap.

    Args:
        every_s: seconds from one sample to the next.
        names: the stream of each of these.
        clock_ns: the time.
        sleep: waits for so many seconds of that time.
    """

    def __init__(
        self,
        every_s: int,
        names: Mapping[str, StreamId],
        clock_ns: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._every_ns = every_s * NS_PER_S
        self._names = names
        self._clock_ns, self._sleep = clock_ns, sleep
        self._used_s: float | None = None
        self._used_at_s = 0.0
        self._look: asyncio.Task[int | None] | None = None

    async def run(
        self,
        stats: Stats,
        publishers: Callable[[], Sequence[Publisher]],
        hand_on: HandOn,
        room: Callable[[], Awaitable[None]],
    ) -> None:
        """Publish a sample of each stream at each multiple of the time, until cancelled.

        Args:
            stats: of all streams; those of its own are left out, and are never expected.
            publishers: returns those that there are now, of which some write to disks.
            hand_on: gives packets to all publishers; returns False when a queue is full.
            room: returns when all queues have room; there are no samples until then.
        """
        self._cpu(time.monotonic())  # the first sample is of the time until then
        try:
            while True:
                now_ns = self._clock_ns()
                due_ns = (now_ns // self._every_ns + 1) * self._every_ns
                await self._sleep((due_ns - now_ns) / NS_PER_S)
                if self._clock_ns() < due_ns:  # the clock was set back, or the loop's runs ahead of it
                    continue
                has_room = hand_on(self.packets(due_ns, await self.measure(stats, publishers()), stats))
                for own in filter(None, map(stats.streams.get, self._names.values())):
                    own.arrived_s = 0.0  # they come when they come: `Silence` is for devices
                if not has_room:
                    await room()
        finally:
            if self._look is not None:
                self._look.cancel()

    def packets(
        self, start_ns: int, values: Mapping[str, int | None], stats: Stats
    ) -> list[Packet | PacketRun | bytes]:
        """Return *values* as numbered packets of one sample, at *start_ns*; None has none."""
        rate_hz = NS_PER_S / self._every_ns
        made = [
            Packet(self._names[name], start_ns, rate_hz, _sample(value), received_ns=self._clock_ns())
            for name, value in values.items()
            if value is not None
        ]
        return stats.numbered(made)

    async def measure(self, stats: Stats, publishers: Sequence[Publisher]) -> dict[str, int | None]:
        """Return all values by name; None: it cannot be said."""
        own = set(self._names.values())
        others = [each for name, each in stats.streams.items() if name not in own and each.packets]
        now_s = time.monotonic()
        return {
            "latency": max((_latency_ms(each, now_s) for each in others), default=None),
            "clock": min((q for each in others if (q := each.timing_quality) is not None), default=None),
            "disk": await self._disk(publishers),
            "cpu": self._cpu(now_s),
            "memory": int(usage()["memory_bytes"] / 1000),
        }

    def _cpu(self, now_s: float) -> int | None:
        """Return the processor time since the last call, in thousandths of a core."""
        used_s, before_s = float(usage()["cpu_s"]), self._used_s
        passed_s, self._used_s, self._used_at_s = now_s - self._used_at_s, used_s, now_s
        return None if before_s is None or passed_s <= 0 else round((used_s - before_s) / passed_s * 1000)

    async def _disk(self, publishers: Sequence[Publisher]) -> int | None:
        """Return what is free on the fullest disk, in megabytes; one that does not answer is asked by one look only."""
        paths = [path for each in publishers if isinstance(path := each.status().get("path"), str)]
        if not paths:
            return None
        if self._look is None or self._look.done():
            look = in_new_thread("free disk", _least_free, paths)
            self._look = asyncio.get_running_loop().create_task(look, name="state of health: disk")
        done, _ = await asyncio.wait([self._look], timeout=_DISK_S)
        return self._look.result() if done else None


def _least_free(paths: Sequence[str]) -> int | None:
    free: list[int] = []
    for path in map(Path, paths):
        try:
            shown = os.statvfs(path)
        except OSError:
            continue  # the publisher says what is wrong with it
        free.append(shown.f_frsize * shown.f_bavail)
    return min(free) // 1_000_000 if free else None


def _latency_ms(stats: StreamStats, now_s: float) -> int:
    silent_s = now_s - stats.arrived_s if stats.is_silent else 0.0
    return round(max(stats.latency_ns / NS_PER_S, silent_s) * 1000)


def _sample(value: int) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    sample = np.array([max(-_LARGEST, min(_LARGEST, value))], "<i4")
    sample.flags.writeable = False
    return sample
