"""Whatever is killed between whatever steps: each sample that was journalled is in the archive, once, in its order."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rawdaq.delivery.fanout import Fanout
from rawdaq.packet import Packet, PacketRun
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.publishers.raw_writer import RawWriter
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_DAY, NS_PER_S, sample_time
from tests.fanouts import HHN
from tests.helpers import until
from tests.journals import archived, journalled, kill_archive, kill_raw_writer
from tests.makers import START_NS, STREAM

EXAMPLES = int(os.environ.get("EX", "60"))
MIDNIGHT_NS = START_NS + NS_PER_DAY


class Put(NamedTuple):
    """Packets of one stream: so many, of so many samples, so long after those before."""

    stream: StreamId
    count: int
    size: int
    gap_samples: int
    is_run: bool
    noise: int


class Settle(NamedTuple):
    """All that is delivered is synced, and the cursor moves."""


class FallBehind(NamedTuple):
    """What waits in memory is forgotten, and read from the journal."""


class Kill(NamedTuple):
    """The process ends; before that records may be written, flushed, and synced without the cursor."""

    is_delivered: bool
    is_flushed: bool


Step = Put | Settle | FallBehind | Kill

puts = st.builds(
    Put,
    st.sampled_from([STREAM, HHN]),
    st.integers(1, 6),
    st.sampled_from([1, 30, 100, 350]),
    st.sampled_from([0, 0, 0, 0, 1, 500, -400]),  # -400: the clock was set back
    st.booleans(),
    st.sampled_from([0, 1, 5_000]),  # 0: a dead channel, whose samples are all equal
)
steps = st.lists(
    st.one_of(
        puts, puts, puts, st.just(Settle()), st.just(FallBehind()), st.builds(Kill, st.booleans(), st.booleans())
    ),
    max_size=25,
)


class Feed:
    """Makes the packets of steps, and remembers what was fed."""

    def __init__(self) -> None:
        self.samples: dict[str, list[tuple[int, int]]] = {}
        self._next_ns = dict.fromkeys((STREAM, HHN), MIDNIGHT_NS - 10 * NS_PER_S)
        self._random = np.random.default_rng(1)

    def packets(self, put: Put) -> list[Packet | PacketRun | bytes]:
        start_ns = self._next_ns[put.stream] + put.gap_samples * NS_PER_S // 100
        starts = [sample_time(start_ns, index * put.size, 100.0) for index in range(put.count)]
        samples = self._random.integers(-put.noise, put.noise + 1, (put.count, put.size)).astype("<i4")
        self._next_ns[put.stream] = sample_time(start_ns, put.count * put.size, 100.0)
        times = [sample_time(first, index, 100.0) for first in starts for index in range(put.size)]
        self.samples.setdefault(str(put.stream), []).extend(zip(times, samples.ravel().tolist(), strict=True))
        if put.is_run and put.count > 1:
            return [PacketRun(put.stream, starts, 100.0, samples)]
        return [Packet(put.stream, each, 100.0, samples[index]) for index, each in enumerate(starts)]


async def delivered(fanout: Fanout) -> None:
    assert fanout.journal is not None
    await fanout.journal.drain()
    for outlet in fanout.journal.outlets:
        await until(lambda outlet=outlet: not (outlet.queue.is_behind or len(outlet.queue) or len(outlet.worker.queue)))


async def run_life(root: Path, steps: list[Step], feed: Feed) -> list[Step]:
    """Run until a kill, or to the end; return the steps that are left."""
    archive = MiniSeedPublisher(root / "archive", fsync_s=3600.0, flush_after_s=3600.0, name="archive")
    archive.gather_s = 0.0
    kill: Kill | None = None
    async with journalled(
        root / "journal", [archive], is_killed=any(isinstance(step, Kill) for step in steps)
    ) as fanout:
        assert fanout.journal is not None
        while steps and kill is None:
            step, *steps = steps
            match step:
                case Put():
                    fanout.put(feed.packets(step))
                case Settle():
                    await delivered(fanout)
                    await fanout.journal.settle()
                case FallBehind():
                    await fanout.journal.drain()
                    fanout.journal.outlets[0].queue.fall_behind()
                case Kill():
                    kill = step
        if kill is not None:
            await fanout.journal.drain()  # what was not written was not journalled
            if kill.is_delivered:
                await delivered(fanout)
            if kill.is_flushed:
                for writer in fanout.journal.writers:
                    await writer._hand_on(writer._maker.flush())
                await delivered(fanout)
    if kill is not None:
        await kill_archive(archive)
    return steps


async def run_lives(root: Path, steps: Sequence[Step]) -> Feed:
    feed, left = Feed(), list(steps)
    while left:
        left = await run_life(root, left, feed)
    await run_life(root, [], feed)
    return feed


def is_in_order(some: list[tuple[int, int]], all_of_them: list[tuple[int, int]]) -> bool:
    rest = iter(all_of_them)
    return all(each in rest for each in some)


def compare(root: Path, feed: Feed) -> None:
    found = archived(root / "archive")
    for stream, fed in feed.samples.items():
        files = [samples for (name, _), samples in found.items() if name == stream]
        assert sorted(sample for samples in files for sample in samples) == sorted(fed), stream
        assert all(is_in_order(samples, fed) for samples in files)
    assert {name for name, _ in found} == set(feed.samples)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_each_sample_is_in_the_archive_once(steps: list[Step]) -> None:
    note(repr(steps))
    with tempfile.TemporaryDirectory() as folder:
        feed = asyncio.run(run_lives(Path(folder), steps))
        compare(Path(folder), feed)
