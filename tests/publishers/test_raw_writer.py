"""RawWriter: bytes arrive in the file as they were published, all of a batch or nothing."""

import asyncio
import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rawdaq.errors import ComponentError
from rawdaq.packet import Packet
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.raw_writer import RawWriter
from rawdaq.stream_id import StreamId
from tests.disks import fail_with
from tests.helpers import until
from tests.makers import START_NS, STREAM, message, packet


async def opened(path: Path, **options: Any) -> RawWriter:
    writer = RawWriter(path, **options)
    await writer.open()
    return writer


@pytest.mark.parametrize("fsync_s", [0.0, 5.0])
async def test_bytes_are_appended_unchanged(tmp_path: Path, fsync_s: float) -> None:
    path = tmp_path / "raw"
    path.write_bytes(b"before ")
    writer = await opened(path, fsync_s=fsync_s)
    await writer.deliver([b"one ", b"two "])
    await writer.apublish(b"three")
    assert writer.status() == {"path": str(path), "written_bytes": 13, "sync_error": None}
    await writer.aclose()
    await writer.aclose()
    assert path.read_bytes() == b"before one two three"


async def test_samples_of_packets_are_written_little_endian(tmp_path: Path) -> None:
    writer = await opened(tmp_path / "raw")
    big = Packet(STREAM, START_NS, 100.0, np.array([1, -2], ">i4"))
    await writer.deliver([big, packet(0, 3)])
    await writer.aclose()
    assert np.fromfile(tmp_path / "raw", "<i4").tolist() == [1, -2, 0, 1, 2]


def test_several_streams_cannot_share_a_file() -> None:
    other = StreamId("XX", "DEMO", "00", "HHN")
    assert RawWriter.check_streams([STREAM], {}) is None
    assert RawWriter.check_streams([STREAM, other], {"path": "a.raw"}) == (
        "the samples of 2 streams cannot be distinguished in a.raw"
    )


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_file_that_was_moved_away_is_created_again(tmp_path: Path, is_replaced: bool) -> None:
    path = tmp_path / "raw"
    writer = await opened(path)
    await writer.deliver([b"old"])
    path.rename(tmp_path / "raw.1")
    if is_replaced:
        path.touch()
    await writer.deliver([b"new"])
    await writer.aclose()
    assert ((tmp_path / "raw.1").read_bytes(), path.read_bytes()) == (b"old", b"new")


async def test_vanished_folder_pauses_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    writer = await opened(folder / "raw")
    (folder / "raw").unlink()
    folder.rmdir()
    with pytest.raises(PublisherUnavailable, match="No such file or directory; create the folder, or mount its disk"):
        await writer.deliver([b"data"])
    folder.mkdir()
    await writer.deliver([b"data"])
    await writer.aclose()
    assert (folder / "raw").read_bytes() == b"data"


async def test_full_disk_leaves_no_part_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw"
    writer = await opened(path)
    await writer.deliver([b"whole "])
    write, room = os.write, [3, 0]

    def write_until_full(fd: int, data: memoryview) -> int:
        size = room.pop(0)
        if not size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data[:size])

    monkeypatch.setattr(os, "write", write_until_full)
    with pytest.raises(PublisherUnavailable, match="No space left on device") as caught:
        await writer.deliver([b"batch"])
    assert caught.value.delivered == 0
    assert path.read_bytes() == b"whole "
    room += [2, 3]  # a write may take less than it was given
    await writer.deliver([b"batch"])
    await writer.aclose()
    assert path.read_bytes() == b"whole batch"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".", "Is a directory; move the folder that has this name, or choose another path"),
        ("absent/raw", "No such file or directory; create the folder"),
        ("fifo", "it is not a plain file; choose another path"),
    ],
)
async def test_only_a_plain_file_is_written(tmp_path: Path, name: str, text: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ComponentError, match=text):
        await opened(tmp_path / name)


async def test_file_that_may_not_be_written_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(ComponentError, match="Permission denied; let this user write there"):
            await opened(tmp_path / "raw")


async def test_two_writers_of_one_file_are_refused(tmp_path: Path) -> None:
    first = await opened(tmp_path / "raw")
    with pytest.raises(ComponentError, match="another program or publisher writes it; give each its own path"):
        await opened(tmp_path / "raw")
    await first.aclose()


async def test_file_is_synced_once_after_some_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    writer = await opened(tmp_path / "raw", fsync_s=3600)
    await writer.deliver([b"a"])
    timer = writer._late_sync._timer
    assert timer is not None
    await writer.deliver([b"b"])
    assert writer._late_sync._timer is timer
    assert synced == []
    timer.cancel()
    writer._late_sync._begin()  # as the timer does
    await until(lambda: synced)
    assert len(synced) == 1
    await writer.aclose()
    assert len(synced) == 2


async def test_failing_sync_is_logged_and_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    writer = await opened(tmp_path / "raw", fsync_s=60)
    await writer.deliver([b"a"])
    monkeypatch.setattr(os, "fsync", fail)
    await writer.aclose()
    assert "may not be on the disk: cannot write " + str(tmp_path / "raw: Input/output error") in caplog.text


async def test_a_disk_that_does_not_sync_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.disk.late_sync._RETRY_S", 0.01)
    writer = await opened(tmp_path / "raw", fsync_s=0.01)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail_with(errno.EIO))
        await writer.deliver([b"a"])
        await until(lambda: "Input/output error" in str(writer.status()["sync_error"]))
    await until(lambda: writer.status()["sync_error"] is None)
    await writer.aclose()


async def test_a_batch_that_is_to_be_safe_is_written_again_when_the_disk_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await opened(tmp_path / "raw", fsync_s=0.0)
    await writer.deliver([b"safe "])
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail_with(errno.EIO))
        with pytest.raises(PublisherUnavailable, match="Input/output error") as refused:
            await writer.deliver([b"batch"])
    assert refused.value.delivered == 0
    assert (tmp_path / "raw").read_bytes() == b"safe "
    await writer.deliver([b"batch"])
    await writer.aclose()
    assert (tmp_path / "raw").read_bytes() == b"safe batch"


async def test_disk_that_hangs_does_not_hang_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, may_go_on = os.write, threading.Event()

    def slow(fd: int, data: memoryview) -> int:
        may_go_on.wait(30)
        return write(fd, data)

    writer = await opened(tmp_path / "raw")
    monkeypatch.setattr(os, "write", slow)
    delivering = asyncio.create_task(writer.deliver([b"a"]))
    await asyncio.sleep(0)
    assert not delivering.done()
    may_go_on.set()
    await delivering
    await writer.aclose()


async def test_what_was_published_before_the_end_is_in_the_file(tmp_path: Path) -> None:
    writer = await opened(tmp_path / "raw")
    writer.publish(b"data")
    await writer.aclose()
    assert (tmp_path / "raw").read_bytes() == b"data"


async def test_the_disk_is_not_asked_after_the_end(tmp_path: Path) -> None:
    loop, failures = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    writer = await opened(tmp_path / "raw", fsync_s=0.01)
    await writer.deliver([b"data"])
    await writer.aclose()
    due_s = loop.time() + 0.01
    await until(lambda: loop.time() > due_s)
    assert failures == []


async def test_nothing_is_delivered_before_it_is_open(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="RawWriter is not open"):
        await RawWriter(tmp_path / "raw").deliver([b"data"])


def test_only_one_publisher_can_have_a_file() -> None:
    assert RawWriter.exclusive({"path": Path("/a/b.raw")}) == "file /a/b.raw"


async def test_an_opening_that_was_given_up_keeps_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, reopen = threading.Event(), RawWriter._reopen

    def hanging(writer: RawWriter) -> None:
        answers.wait()
        reopen(writer)

    with monkeypatch.context() as patch:
        patch.setattr(RawWriter, "_reopen", hanging)
        writer = RawWriter(tmp_path / "raw")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await writer.open()
        await writer.aclose()
        answers.set()
        await until(lambda: not any(each.name.startswith("opening") for each in threading.enumerate()))
    other = await opened(tmp_path / "raw")  # it is not locked
    await other.aclose()


async def test_nothing_is_written_below_a_mount_point_whose_disk_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, stat, below = tmp_path / "raw", os.stat, 12345

    def device_below(_: Path) -> int:
        return below

    def unmounted(of: Any, **options: Any) -> Any:
        return SimpleNamespace(st_dev=below) if of == tmp_path else stat(of, **options)

    monkeypatch.setattr("rawdaq.disk.mounts.device_below", device_below)
    writer = await opened(path)
    await writer.deliver([b"one"])
    path.unlink()
    with monkeypatch.context() as gone:
        gone.setattr(os, "stat", unmounted)
        with pytest.raises(PublisherUnavailable, match="create the folder, or mount its disk"):
            await writer.deliver([b"two"])
    assert not path.exists()
    await writer.deliver([b"two"])
    await writer.aclose()
    assert path.read_bytes() == b"two"


async def test_of_messages_the_payloads_are_written(tmp_path: Path) -> None:
    writer = await opened(tmp_path / "raw")
    await writer.deliver([message(payload=b"one "), message(), b"two ", message(payload=memoryview(b"three"))])
    await writer.aclose()
    assert (tmp_path / "raw").read_bytes() == b"one two three"
