"""Whatever is killed between whatever steps: each sample that was journalled is in the archive, once, in its order."""

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rawdaq.delivery.fanout import Fanout
from rawdaq.delivery.journal.outlet import Outlet
from rawdaq.packet import Packet, PacketRun
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.publishers.raw_writer import RawWriter
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_DAY, NS_PER_S, sample_time
from tests.fanouts import HHN
from tests.helpers import MEMORY, until
from tests.journals import archived, journalled, kill_appending, kill_archive
from tests.makers import START_NS, STREAM

EXAMPLES = int(os.environ.get("EXACTLY_ONCE_EXAMPLES", "20"))
MIDNIGHT_NS = START_NS + NS_PER_DAY


class Put(NamedTuple):
    """So many packets of one stream, of so many samples, so long after those before."""

    stream: StreamId
    packets: int
    size: int
    gap_samples: int
    is_run: bool
    noise: int


class Settle(NamedTuple):
    """What is delivered by now is synced, and the cursor moves; after so many turns of the loop, or when all is."""

    turns: int | None


class FallBehind(NamedTuple):
    """What waits in memory is forgotten, and read from the journal."""


class Kill(NamedTuple):
    """The process ends; before that records may be delivered, or even flushed when they are not full.

    Attributes:
        kept: what part remains of what was written since the last sync: less than all after a power cut, and when the
            kill came within a write.
    """

    is_delivered: bool
    is_flushed: bool
    kept: float


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
settles = st.builds(Settle, st.none() | st.integers(0, 10))
kills = st.builds(Kill, st.booleans(), st.booleans(), st.sampled_from([0.0, 1.0, 1.0, 1.0]) | st.floats(0, 1))
steps = st.lists(st.one_of(puts, puts, puts, settles, st.just(FallBehind()), kills), max_size=25)


class Feed:
    """Makes the packets of steps, and remembers what was fed."""

    def __init__(self, streams: Sequence[StreamId] = (STREAM, HHN)) -> None:
        self.samples: dict[str, list[tuple[int, int]]] = {}
        self._streams = streams
        self._next_ns = dict.fromkeys(streams, MIDNIGHT_NS - 10 * NS_PER_S)
        self._random = np.random.default_rng(1)

    def packets(self, put: Put) -> list[Packet | PacketRun | bytes]:
        stream = put.stream if put.stream in self._streams else self._streams[0]
        start_ns = self._next_ns[stream] + put.gap_samples * NS_PER_S // 100
        starts = [sample_time(start_ns, index * put.size, 100.0) for index in range(put.packets)]
        samples = self._random.integers(-put.noise, put.noise + 1, (put.packets, put.size)).astype("<i4")
        self._next_ns[stream] = sample_time(start_ns, put.packets * put.size, 100.0)
        times = [sample_time(first, index, 100.0) for first in starts for index in range(put.size)]
        self.samples.setdefault(str(stream), []).extend(zip(times, samples.ravel().tolist(), strict=True))
        if put.is_run and put.packets > 1:
            return [PacketRun(stream, starts, 100.0, samples)]
        return [Packet(stream, each, 100.0, samples[index]) for index, each in enumerate(starts)]


@pytest.fixture(autouse=True, scope="module")
def read_little() -> Iterator[None]:
    """Let a read of a journal bring an entry or two, so that lives end in the middle of what they catch up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rawdaq.delivery.journal.queue._READ_BYTES", 600)
        yield


@pytest.fixture(autouse=True, scope="module")
def durable() -> Iterator[dict[int, int]]:
    """How much of each file survives a power cut, by its inode: what was synced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _sync)
        yield DURABLE
    DURABLE.clear()


DURABLE: dict[int, int] = {}


def _sync(fd: int) -> None:
    status = os.fstat(fd)
    DURABLE[status.st_ino] = status.st_size


def is_idle(outlet: Outlet) -> bool:
    return not (outlet.queue.is_behind or len(outlet.queue) or len(outlet.worker.queue))


async def delivered(fanout: Fanout) -> None:
    assert fanout.journal is not None
    await fanout.journal.drain()
    await until(lambda: all(map(is_idle, fanout.journal.outlets)))  # type: ignore[union-attr]


async def take_steps(fanout: Fanout, steps: list[Step], feed: Feed) -> tuple[list[Step], Kill | None]:
    """Take steps up to a kill; return what is left behind it."""
    assert fanout.journal is not None
    while steps:
        step, *steps = steps
        match step:
            case Put():
                fanout.put(feed.packets(step))
            case Settle(turns):
                if turns is None:
                    await delivered(fanout)
                for _ in range(turns or 0):
                    await asyncio.sleep(0.0003)
                await fanout.journal.settle()
            case FallBehind():
                await fanout.journal.drain()
                fanout.journal.outlets[0].queue.fall_behind()
            case Kill():
                await fanout.journal.drain()  # what was not written was not journalled
                if step.is_delivered:
                    await delivered(fanout)
                if step.is_flushed:
                    for writer in fanout.journal.writers:
                        await writer._hand_on(writer._maker.flush())
                    await delivered(fanout)
                return steps, step
    return [], None


def cut(path: Path, kept: float) -> None:
    """Let a file keep a part of what was written since it was synced."""
    if path.is_file():
        status = path.stat()
        begin = min(status.st_size, DURABLE.get(status.st_ino, 0))
        os.truncate(path, begin + int((status.st_size - begin) * kept))


async def live_archive(root: Path, steps: list[Step], feed: Feed) -> list[Step]:
    """Run until a kill, or to the end; return the steps that are left."""
    archive = MiniSeedPublisher(root / "archive", fsync_s=3600.0, flush_after_s=3600.0, name="archive")
    archive.gather_s = 0.0
    is_killed = any(isinstance(step, Kill) for step in steps)
    async with journalled(root / "journal", [archive], is_killed=is_killed) as fanout:
        steps, kill = await take_steps(fanout, steps, feed)
    if kill is not None:
        await kill_archive(archive)
        for path in (root / "archive").rglob("*"):
            cut(path, kill.kept)
    return steps


async def live_raw(root: Path, steps: list[Step], feed: Feed) -> list[Step]:
    writer = RawWriter(root / "samples", name="raw", fsync_s=3600.0)
    is_killed = any(isinstance(step, Kill) for step in steps)
    async with journalled(root / "journal", [writer], is_killed=is_killed) as fanout:
        steps, kill = await take_steps(fanout, steps, feed)
    if kill is not None:
        await kill_appending(writer)
        cut(root / "samples", kill.kept)
    return steps


def is_in_order(some: list[tuple[int, int]], all_of_them: list[tuple[int, int]]) -> bool:
    rest = iter(all_of_them)
    return all(each in rest for each in some)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_each_sample_is_in_the_archive_once(steps: list[Step]) -> None:
    async def run(root: Path) -> Feed:
        feed, left = Feed(), steps
        while left:
            left = await live_archive(root, left, feed)
        await live_archive(root, [], feed)
        return feed

    note(repr(steps))
    DURABLE.clear()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        feed = asyncio.run(run(Path(folder)))
        found = archived(Path(folder) / "archive")
    for stream, fed in feed.samples.items():
        files = [samples for (name, _), samples in found.items() if name == stream]
        archived_samples = Counter(sample for samples in files for sample in samples)
        assert archived_samples.keys() == set(fed), stream
        # A device whose clock was set back may send the same values at the same times: an archive has these once.
        assert archived_samples <= Counter(fed), stream
        assert all(is_in_order(samples, fed) for samples in files)
    assert {name for name, _ in found} == set(feed.samples)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_each_message_is_in_the_file_once(steps: list[Step]) -> None:
    async def run(root: Path) -> Feed:
        feed, left = Feed([STREAM]), steps
        while left:
            left = await live_raw(root, left, feed)
        await live_raw(root, [], feed)
        return feed

    note(repr(steps))
    DURABLE.clear()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        feed = asyncio.run(run(Path(folder)))
        written = np.fromfile(Path(folder) / "samples", "<i4").tolist()
    assert written == [value for _, value in feed.samples.get(str(STREAM), [])]
