"""Writing container files: blocks, disks that refuse, other writers, and a process that is killed."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawdaq.container import ContainerReader, ContainerWriter
from rawdaq.container.format.compression import CompressionChoice
from rawdaq.errors import InvalidValue
from tests import forks
from tests.container.files import Clock, event, written
from tests.disks import Disk, let_no_sync_succeed
from tests.helpers import wait_for


def _blocks(path: Path) -> int:
    with ContainerReader(path) as reader:
        return reader.info.blocks


def test_a_block_is_written_when_it_is_full_and_when_it_is_old(tmp_path: Path) -> None:
    clock = Clock(step_ns=0)
    writer = ContainerWriter(tmp_path / "a.rdc", block_kb=1, flush_s=1.0, clock_ns=clock)
    for _ in range(3):
        writer.write(bytes(400))
    assert (len(writer), _blocks(writer.path)) == (3, 1)
    clock.now_ns += 1_000_000_000
    writer.write(b"")
    assert _blocks(writer.path) == 2
    writer.write(b"")
    assert _blocks(writer.path) == 2
    clock.now_ns -= 10_000_000_000  # it was set back
    writer.write(b"")
    assert _blocks(writer.path) == 3
    writer.write(bytes(5000))
    assert writer.size_bytes > writer.path.stat().st_size + 5000
    writer.sync()
    writer.close()
    writer.close()
    assert _blocks(writer.path) == 4


def test_an_existing_file_is_continued_or_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.rdc", [[event(0)]])
    with pytest.raises(FileExistsError):
        ContainerWriter(path, is_new=True)
    with ContainerWriter(path) as writer:
        with pytest.raises(BlockingIOError):
            ContainerWriter(path)
        writer.write(event(1))
    with ContainerReader(path) as reader:
        assert list(reader) == [event(0), event(1)]


def test_what_cannot_be_stored_is_refused_and_the_rest_is_written(tmp_path: Path) -> None:
    with ContainerWriter(tmp_path / "a.rdc") as writer:
        writer.write(b"one")
        with pytest.raises(InvalidValue):
            writer.write("two")  # type: ignore[arg-type]  # that is the question
        writer.write(b"three")
    with ContainerReader(tmp_path / "a.rdc") as reader:
        assert list(reader) == [b"one", b"three"]


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path, monkeypatch)
    writer = ContainerWriter(tmp_path / "a.rdc", compression=CompressionChoice.NONE, flush_s=0, clock_ns=Clock())
    writer.write(event(0))
    disk.room_bytes = 100
    with pytest.raises(OSError, match="No space"):
        writer.write(event(1))  # taken
    with pytest.raises(OSError, match="No space"):
        writer.write(event(2))  # not taken
    assert len(writer) == 2
    with ContainerReader(writer.path) as reader:
        assert (list(reader), reader.info.torn_bytes) == ([event(0)], 0)
    disk.room_bytes = None
    writer.write(event(2))
    writer.close()
    with ContainerReader(writer.path) as reader:
        assert list(reader) == [event(0), event(1), event(2)]


def test_a_new_file_that_gets_no_header_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path, monkeypatch)
    disk.room_bytes = 10
    with pytest.raises(OSError, match="No space"):
        ContainerWriter(tmp_path / "a.rdc", is_new=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_made_safe_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = ContainerWriter(tmp_path / "a.rdc")
    writer.write(b"one")
    with monkeypatch.context() as patch:
        let_no_sync_succeed(patch)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            writer.close()
    with ContainerReader(writer.path) as reader:
        assert (list(reader), reader.info.is_finished) == ([b"one"], False)
    writer.close()
    with ContainerReader(writer.path) as reader:
        assert (list(reader), reader.info.is_finished) == ([b"one"], True)


@settings(max_examples=30, deadline=None)
@given(blocks=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=9), max_size=6), data=st.data())
def test_any_objects_in_any_blocks_come_back(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[bytes]], data: st.DataObject
) -> None:
    path = written(tmp_path_factory.mktemp("any") / "a.rdc", blocks, data.draw(st.sampled_from(CompressionChoice)))
    with ContainerReader(path) as reader:
        assert list(reader) == [item for block in blocks for item in block]


@pytest.mark.parametrize("after", [1, 40, 333])
def test_a_killed_writer_leaves_what_it_had_flushed(tmp_path: Path, after: int) -> None:
    path, told = tmp_path / "a.rdc", tmp_path / "told"

    def write() -> int:
        writer = ContainerWriter(path, block_kb=0.5)
        log = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in range(1 << 30):
            writer.write(event(number))
            if number % 3 == 2:
                writer.flush()
                os.write(log, b".")
        return 0

    with forks.Process(write) as process:
        wait_for(lambda: told.exists() and told.stat().st_size > after)
        process.kill()
        process.wait()
    count = 3 * told.stat().st_size
    with ContainerReader(path) as reader:
        found = list(reader)
        assert len(found) >= count
        assert found == [event(number) for number in range(len(found))]
        assert not reader.damaged
    with ContainerWriter(path) as writer:
        writer.write(event(len(found)))
    with ContainerReader(path) as reader:
        assert list(reader) == [event(number) for number in range(len(found) + 1)]
