"""A thread reads one batch ahead; what was read ahead is forgotten when the play jumps."""

import asyncio
from pathlib import Path

import pytest

from rawdaq.miniseed.file import Extent
from rawdaq.replay import reader as replay_reader
from rawdaq.replay.names import StreamNames
from rawdaq.replay.reader import ReplayReader
from rawdaq.replay.sources import FileRefused, Problems
from tests.helpers import until
from tests.makers import START_NS
from tests.waveform_makers import noise, pairs, records, write

S = 10**9


async def opened(path: Path, *, is_strict: bool = False) -> ReplayReader:
    reader = ReplayReader([path.name], path.parent, StreamNames(), 1.0, Problems(print, is_strict))
    assert await reader.find() == 1
    assert await reader.scan() is not None
    reader.rewind()
    return reader


async def test_batches_come_in_order_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_reader, "_BATCH_PACKETS", 7)
    reader = await opened(write(tmp_path / "a", [noise(size=2000)]))
    assert reader.extent == Extent(START_NS, START_NS + 19_990_000_000)
    batches = [await reader.batch() for _ in range(5)]
    assert [len(batch) for batch in batches] == [7, 7, 6, 0, 0]
    assert pairs([packet for batch in batches for packet in batch]) == pairs([noise(size=2000)])
    reader.close()
    reader.close()


async def test_rewinding_begins_anew_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_reader, "_BATCH_PACKETS", 2)
    reader = await opened(write(tmp_path / "a", [noise(size=2000)]))
    for begin_ns in (START_NS, START_NS + 10 * S, START_NS + 5 * S):
        reader.rewind(begin_ns)
        assert (await reader.batch())[0].start_ns == begin_ns
        assert (await reader.batch())[0].start_ns == begin_ns + 2 * S
    reader.close()


async def test_what_went_wrong_ahead_does_not_matter_after_a_jump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_reader, "_BATCH_PACKETS", 1)
    path = tmp_path / "a"
    path.write_bytes(b"".join(records([noise(size=100)])) + b"junk" + b"".join(records([noise(size=300)])))
    reader = await opened(path, is_strict=True)
    failing = asyncio.ensure_future(reader.batch())
    with pytest.raises(FileRefused):
        await failing
    reader._ahead = reader._start()
    await until(reader._ahead.done)
    reader.rewind(START_NS + S)
    with pytest.raises(FileRefused):
        await reader.batch()
    reader.close()


async def test_closing_ends_the_look_at_thousands_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        write(tmp_path / str(number), [noise(size=10)])
    reader = ReplayReader([tmp_path], Path(), StreamNames(), 1.0, Problems(print))
    looked: list[Path] = []

    def look(path: Path, *more: object) -> None:
        looked.append(path)
        reader.close()

    monkeypatch.setattr(replay_reader, "open_source", look)
    assert await reader.find() == 100
    assert await reader.scan() is None
    assert len(looked) == 1


async def test_nothing_that_can_be_played_has_no_extent(tmp_path: Path) -> None:
    reader = ReplayReader([tmp_path / "absent"], Path(), StreamNames(), 1.0, Problems(print))
    assert await reader.find() == 0
    assert await reader.scan() is None
    reader.close()
