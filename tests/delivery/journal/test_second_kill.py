"""A kill in the middle of a recovery: what was found and what was moved by then fits together at the next start."""

import asyncio
from pathlib import Path

import pytest

from rawdaq.delivery.journal.source import Source
from rawdaq.publishers.miniseed import MiniSeedPublisher
from tests.fanouts import HHN
from tests.helpers import DEADLINE_S, until
from tests.journals import archived, delivered, journalled, kill_archive
from tests.makers import STREAM, packet


def archive_in(root: Path) -> MiniSeedPublisher:
    archive = MiniSeedPublisher(root / "archive", fsync_s=3600.0, flush_after_s=3600.0, name="archive")
    archive.gather_s = 0.0
    return archive


async def finish(root: Path) -> dict[str, list[int]]:
    """Run to the end, and return the samples of each stream."""
    async with journalled(root / "journal", [archive_in(root)]):
        pass
    found = archived(root / "archive")
    return {name: [value for _, value in samples] for (name, _), samples in found.items()}


async def test_what_was_not_recognised_yet_is_recognised_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = archive_in(tmp_path)
    async with journalled(tmp_path / "journal", [first], is_killed=True) as fanout:
        fanout.put([packet(index) for index in range(40)])
        await delivered(fanout)
    await kill_archive(first)

    reads = 0
    read = Source.read

    async def read_twice(self: Source, *args: object) -> object:
        nonlocal reads
        reads += 1
        if reads > 2:
            await asyncio.Event().wait()
        return await read(self, *args)  # type: ignore[arg-type]

    second = archive_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("rawdaq.delivery.journal.queue._READ_BYTES", 3000)
        patch.setattr(Source, "read", read_twice)
        async with journalled(tmp_path / "journal", [second], is_killed=True) as fanout:
            assert fanout.journal is not None
            begin = fanout.journal.outlets[0].cursor.base
            await until(lambda: reads > 2)
            await until(lambda: not len(fanout.journal.outlets[0].queue))  # type: ignore[union-attr]
            async with asyncio.timeout(DEADLINE_S):  # what the queue gave away may still be on its way into the archive
                while fanout.journal.outlets[0].cursor.base == begin:
                    await fanout.journal.settle()
                    await asyncio.sleep(0)
            await asyncio.to_thread(fanout.journal.store.store.sync)
    await kill_archive(second)
    assert await finish(tmp_path) == {str(STREAM): list(range(4000))}


async def test_a_recognised_stream_is_not_delivered_again_because_another_one_waits(tmp_path: Path) -> None:
    first = archive_in(tmp_path)
    async with journalled(tmp_path / "journal", [first], is_killed=True) as fanout:
        assert fanout.journal is not None
        fanout.put([packet(0, 10, stream=HHN), *(packet(index) for index in range(3))])
        await delivered(fanout)
        (writer,) = fanout.journal.writers
        flushed = [run for run in writer._maker.flush() if run.stream == STREAM]
        await writer._hand_on(flushed)  # the other stream's are in memory only
        await delivered(fanout)
    await kill_archive(first)

    second = archive_in(tmp_path)
    async with journalled(tmp_path / "journal", [second], is_killed=True) as fanout:
        assert fanout.journal is not None
        await delivered(fanout)
        await fanout.journal.settle()
        assert fanout.journal.outlets[0].cursor.base < fanout.journal.store.store.end_position
        await asyncio.to_thread(fanout.journal.store.store.sync)
    await kill_archive(second)
    assert await finish(tmp_path) == {str(STREAM): list(range(300)), str(HHN): list(range(10))}
