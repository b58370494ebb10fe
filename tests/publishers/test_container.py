"""ContainerPublisher: all that is published is in files, whatever happens to the disk and to the process."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rawdaq.container import ContainerReader
from rawdaq.container.format.objects import Item
from rawdaq.container.repair import recover
from rawdaq.disk.rotation import Rotation
from rawdaq.errors import ComponentError
from rawdaq.file_output.found_objects import ObjectMark
from rawdaq.messages.message import Message
from rawdaq.publisher import CursorMarks, PublisherUnavailable
from rawdaq.publishers.container import ContainerPublisher
from tests import forks
from tests.container.files import ITEMS, MULTIPART, Clock, event, same, written
from tests.disks import Disk, let_no_sync_succeed
from tests.helpers import until, wait_for
from tests.makers import packet


async def opened(path: Path, **options: Any) -> ContainerPublisher:
    defaults: dict[str, Any] = {"suffix": "order", "prefix": "Events", "flush_s": 0.0}
    publisher = ContainerPublisher(path, **defaults | options)
    await publisher.open()
    return publisher


def stored(folder: Path) -> list[list[Item]]:
    """Return the objects of each finished file."""
    files: list[list[Item]] = []
    for path in sorted(folder.glob("*.rdc")):
        with ContainerReader(path) as reader:
            assert reader.info.is_finished
            files.append(list(reader))
            assert not reader.damaged
    return files


async def test_all_that_a_receiver_publishes_is_stored(tmp_path: Path) -> None:
    items = [*ITEMS, MULTIPART]
    publisher = await opened(tmp_path / "new" / "folder")
    await publisher.deliver(items[:3])
    await publisher.deliver(items[3:])
    with ContainerReader(tmp_path / "new" / "folder" / "Events_001.rdc.part") as reader:
        assert (len(reader), reader.info.blocks) == (len(items), 2)
        assert reader.info.about["publisher"] == "ContainerPublisher"
    await publisher.aclose()
    await publisher.aclose()
    [found] = stored(tmp_path / "new" / "folder")
    assert all(same(one, other) for one, other in zip(found, items, strict=True))
    status = publisher.status()
    assert (status["files"], status["objects"], status["refused"], publisher.problem) == (1, len(items), 0, None)


@pytest.mark.parametrize("compression", ["none", "zlib", "zstd"])
async def test_files_are_no_larger_than_their_limit_and_hold_each_object_once(tmp_path: Path, compression: str) -> None:
    publisher = await opened(tmp_path, rotate_mb=0.02, block_kb=4, compression=compression)
    events = [event(number, bytes(number % 300)) for number in range(600)]
    for begin in range(0, 600, 200):
        await publisher.deliver(events[begin : begin + 200])
    await publisher.aclose()
    files = stored(tmp_path)
    assert [item for file in files for item in file] == events
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*.rdc"))]
    assert all(size <= 20_000 for size in sizes)
    assert all(size > 16_000 for size in sizes[:-1])


async def test_a_large_object_has_a_file_of_its_own(tmp_path: Path) -> None:
    publisher = await opened(tmp_path, rotate_mb=0.01, compression="none")
    await publisher.deliver([b"small", bytes(50_000), b"small"])
    await publisher.aclose()
    assert stored(tmp_path) == [[b"small"], [bytes(50_000)], [b"small"]]


async def test_files_change_by_count_and_by_the_first_readout_of_a_run(tmp_path: Path) -> None:
    def readout(number: int) -> Message:
        return Message("~readout.XX.A.B", {"number": number})

    publisher = await opened(tmp_path, rotate_count=3)
    await publisher.deliver([readout(1), readout(2), readout(3), readout(4), readout(1), event(1)])
    await publisher.aclose()
    assert [len(file) for file in stored(tmp_path)] == [3, 1, 2]


async def test_a_file_whose_time_is_over_is_finished_though_nothing_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = await opened(tmp_path, rotate_s=3600)
    clock = Clock(1_795_953_600_000_000_000, step_ns=0)
    publisher.files._clock_ns = clock
    await publisher.deliver([b"one"])

    def seconds_left(_: object) -> float | None:
        return None if stored(tmp_path) else 0.0

    monkeypatch.setattr(Rotation, "seconds_left", seconds_left)
    clock.now_ns += 3600 * 10**9
    watching = asyncio.create_task(publisher.watch())
    await until(lambda: stored(tmp_path) == [[b"one"]])
    watching.cancel()
    await publisher.aclose()


async def test_what_cannot_be_stored_is_counted_and_the_rest_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = await opened(tmp_path)
    await publisher.deliver([b"one", Message("~log", {"bad": object()}), b"two"])
    await publisher.aclose()
    assert stored(tmp_path) == [[b"one", b"two"]]
    assert publisher.status()["refused"] == 1
    assert "left out: header cannot be JSON" in caplog.text


async def test_a_full_disk_pauses_and_what_was_written_is_not_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(tmp_path, monkeypatch)
    publisher = await opened(tmp_path, block_kb=1, compression="none")
    batch: Sequence[bytes] = [bytes([number]) * 700 for number in range(5)]
    disk.room_bytes = 2000
    with pytest.raises(PublisherUnavailable, match="No space left on device; free space on that disk") as caught:
        await publisher.deliver(batch)
    assert caught.value.delivered == 2
    disk.room_bytes = None
    await publisher.deliver(batch[2:])
    await publisher.aclose()
    assert stored(tmp_path) == [[*batch]]


async def test_a_folder_that_is_gone_pauses_until_it_is_back(tmp_path: Path) -> None:
    publisher = await opened(tmp_path / "disk")
    await publisher.deliver([b"one"])
    (tmp_path / "disk").rename(tmp_path / "away")
    with pytest.raises(PublisherUnavailable, match="create the folder, or mount its disk"):
        await publisher.deliver([b"two"])
    (tmp_path / "away").rename(tmp_path / "disk")
    await publisher.deliver([b"two"])
    await publisher.aclose()
    assert stored(tmp_path / "disk") == [[b"one", b"two"]]


async def test_what_is_delivered_is_safe_when_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, later = await opened(tmp_path, fsync_s=0.0), await opened(tmp_path)
    await at_once.deliver([b"one"])
    await later.deliver([b"two"])
    assert await at_once.settled() == await later.settled(at_once=True) == {}
    with monkeypatch.context() as patch:
        let_no_sync_succeed(patch)
        with pytest.raises(PublisherUnavailable, match="check the disk") as caught:
            await at_once.deliver([b"three"])
        assert caught.value.delivered == 0
        with pytest.raises(PublisherUnavailable, match="check the disk"):
            await later.settled(at_once=True)
    await at_once.aclose()
    await later.aclose()


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ComponentError, match="stands in the way"):
        await opened(tmp_path / "file")
    (tmp_path / "Events.rdc").touch()
    with pytest.raises(ComponentError, match="never written over"):
        await opened(tmp_path, suffix="none")


def test_options_that_contradict_each_other_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"path": "a", "prefix": "a", "suffix": "none", "compression": "auto"}
    options |= {"rotate_mb": 1.0, "rotate_s": None, "rotate_count": None}
    check = ContainerPublisher.check_options
    assert check(options | {"rotate_mb": None}) is None
    assert "rotate_mb begins a new file" in str(check(options))
    assert "is not date, order" in str(check(options | {"suffix": "x"}))
    monkeypatch.setattr("rawdaq.container.format.compression.find_spec", dict[str, object]().get)
    assert "pip install 'rawdaq[zstd]'" in str(check(options | {"compression": "zstd"}))


async def test_what_a_crash_left_is_repaired_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    part = written(tmp_path / "Events_001.rdc.part", [[b"one"], [b"two"]], is_finished=False)
    os.truncate(part, part.stat().st_size - 1)
    (tmp_path / "Events_002.rdc.part").write_bytes(b"RDC1")
    (tmp_path / "Events_003.rdc.part").write_bytes(b"something else")
    publisher = await opened(tmp_path)
    await publisher.deliver([b"three"])
    await publisher.aclose()
    assert stored(tmp_path) == [[b"one"], [b"three"]]
    assert (tmp_path / "Events_003.rdc.part").read_bytes() == b"something else"
    assert "bytes of a torn block are in" in caplog.text
    assert "Events_003.rdc.part was not finished by the last run, and stays as it is" in caplog.text


@pytest.mark.parametrize("after", [2, 25])
def test_a_killed_process_loses_nothing_that_was_delivered(tmp_path: Path, after: int) -> None:
    told = tmp_path / "told"
    folder = tmp_path / "data"

    async def deliver() -> None:
        publisher = await opened(folder, rotate_mb=0.001, fsync_s=3600)
        log = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for begin in range(0, 1 << 30, 7):
            await publisher.deliver([packet(number, 10) for number in range(begin, begin + 7)])
            os.write(log, b".")

    def main() -> int:
        asyncio.run(deliver())
        return 0

    with forks.Process(main) as process:
        wait_for(lambda: told.exists() and told.stat().st_size > after)
        process.kill()
        process.wait()

    async def restart() -> None:
        await (await opened(folder)).aclose()

    asyncio.run(restart())
    found = [item for file in stored(folder) for item in file]
    assert len(found) >= 7 * told.stat().st_size
    assert found == [packet(number, 10) for number in range(len(found))]
    assert not [*folder.glob("*.part")]


class Marks:
    """What a journal keeps for a publisher."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}

    def remember(self, marks: CursorMarks) -> None:
        self.kept |= marks

    @property
    def number(self) -> int:
        mark = ObjectMark.unpack(self.kept)
        assert mark is not None
        return mark.number


async def test_the_mark_of_a_batch_that_is_not_whole_is_that_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, marks = Disk(tmp_path, monkeypatch), Marks()
    publisher = await opened(tmp_path, block_kb=1, compression="none")
    assert await publisher.recover({}, marks.remember) is None
    assert marks.number == 0
    await publisher.deliver([b"one"])
    disk.room_bytes = 2000
    with pytest.raises(PublisherUnavailable) as caught:
        await publisher.deliver([bytes([number]) * 700 for number in range(5)])
    assert caught.value.delivered > 0
    marks.remember(await publisher.settled(at_once=True))
    assert marks.number == 1
    disk.room_bytes = None
    await publisher.deliver([bytes([number]) * 700 for number in range(caught.value.delivered, 5)])
    marks.remember(await publisher.settled(at_once=True))
    assert marks.number == 6
    await publisher.aclose()


async def test_what_is_left_of_a_damaged_file_is_recognised_and_a_saved_copy_of_it_is_not(tmp_path: Path) -> None:
    marks = Marks()
    publisher = await opened(tmp_path, compression="none")
    await publisher.recover({}, marks.remember)
    items = [b"zero", b"one", b"two", b"three"]
    for item in items:
        await publisher.deliver([item])
    await publisher.aclose()
    [path] = tmp_path.glob("*.rdc")
    path.write_bytes(path.read_bytes().replace(b"one", b"One"))
    with ContainerReader(path) as reader:
        recover(reader, tmp_path / "Events_copy.rdc")

    async def found(number: int) -> list[bytes]:
        mark = ObjectMark.unpack(marks.kept)
        assert mark is not None
        again = await opened(tmp_path)
        known = await again.recover(mark._replace(number=number).pack(), marks.remember)
        await again.aclose()
        return [] if known is None else [item for item in items[number:] if not known.rest(item, is_new=False)]

    assert await found(0) == [b"zero"]
    assert await found(1) == []
    assert await found(2) == [b"two", b"three"]
    assert publisher.identity(Message("~log", {"bad": object()})) is None


async def test_a_folder_that_cannot_be_read_is_waited_for(tmp_path: Path) -> None:
    marks = Marks()
    publisher = await opened(tmp_path / "a")
    await publisher.recover({}, marks.remember)
    (tmp_path / "a").rmdir()
    with pytest.raises(PublisherUnavailable, match="create the folder"):
        await publisher.recover(marks.kept, marks.remember)
    await publisher.aclose()
