"""A capture keeps every byte with its time, in files that can each be read alone, and never stops the receiver."""

import asyncio
import errno
import fcntl
import logging
import os
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rawdaq.capture import recorder as capture_module
from rawdaq.capture.file import MAGIC, End, Entry, FileReader, Kind, NotACapture, encode_head, files_of, read_capture
from rawdaq.capture.recorder import Capture
from rawdaq.config.options import read_options
from rawdaq.config.settings import StationSettings
from rawdaq.errors import ComponentError
from rawdaq.receivers.raw_tcp import RawReceiver
from rawdaq.receivers.raw_udp.receiver import RawUDPReceiver
from tests.disks import Disk, fail_with
from tests.helpers import until

LOG = logging.getLogger("rawdaq.test")
NOW_NS = 1_795_219_200_000_000_000
STARTING = b"STARTING\n"


def entries(path: Path) -> list[Entry]:
    return list(read_capture(path, LOG))


def made(path: Path, max_mb: float = 1.0, max_files: int = 3) -> Capture:
    return Capture(path, max_mb, max_files, LOG, lambda: NOW_NS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "device.capture"


def size_of(path: Path) -> int:
    return path.stat().st_size


def write(path: Path, data: bytes) -> None:
    """Append *data*."""
    with path.open("ab") as file:
        file.write(data)


async def written(capture: Capture) -> None:
    """Return when everything that was recorded so far is in the file."""
    capture._flush()
    await until(lambda: capture._writing is None and not capture._waiting)


async def test_a_connection_is_kept_byte_for_byte_with_its_times_and_its_end(path: Path) -> None:
    async with made(path) as capture:
        tap = capture.connection("192.0.2.7:65535")
        tap.sent(b"RAW 2.0\n")
        tap.received(memoryview(b"RAW 2.0\n"))
        tap.ended(End.CLOSED)
        assert capture.connection("[::1]:1").number == 2
    assert entries(path) == [
        (Kind.OPENED, 1, NOW_NS, "192.0.2.7:65535", b""),
        (Kind.SENT, 1, NOW_NS, "", b"RAW 2.0\n"),
        (Kind.RECEIVED, 1, NOW_NS, "", b"RAW 2.0\n"),
        (Kind.ENDED, 1, NOW_NS, "", b"closed"),
        (Kind.OPENED, 2, NOW_NS, "[::1]:1", b""),
    ]


async def test_datagrams_are_kept_with_port_sender_and_time(path: Path) -> None:
    async with made(path) as capture:
        capture.datagrams(9000, [("192.0.2.7:1", b"one")], 5)
        capture.datagrams(9001, [("192.0.2.8:2", b""), ("192.0.2.9:3", memoryview(b"three"))], 6)
        await written(capture)
        assert capture.status() == {
            "path": str(path),
            "written_bytes": size_of(path) - len(MAGIC),
            "lost_entries": 0,
            "lost_bytes": 0,
            "problem": None,
        }
    assert entries(path) == [
        (Kind.DATAGRAM, 9000, 5, "192.0.2.7:1", b"one"),
        (Kind.DATAGRAM, 9001, 6, "192.0.2.8:2", b""),
        (Kind.DATAGRAM, 9001, 6, "192.0.2.9:3", b"three"),
    ]


async def test_what_is_recorded_is_in_the_file_soon_without_anything_more_happening(path: Path) -> None:
    async with made(path) as capture:
        for number in range(3):
            capture.datagrams(9000, [("a", b"%d" % number)], 5)
            await until(lambda: capture.recorded_bytes == size_of(path) - len(MAGIC) > 0)
        capture.datagrams(9000, [("a", bytes(2 << 20))], 5)
        assert capture._writing is not None  # much is written at once
    assert len(entries(path)) == 4


async def test_files_rotate_at_their_size_and_as_many_as_wanted_are_kept(path: Path) -> None:
    async with made(path, 0.001, 3) as capture:
        for number in range(100):
            capture.datagrams(9000, [("a", b"%03d" % number * 30)], number)
    files = files_of(path)
    assert [file.name for file in files] == ["device.capture.2", "device.capture.1", "device.capture"]
    assert all(900 < file.stat().st_size <= 1000 for file in files[:2])
    kept = [entry.time_ns for entry in entries(path)]
    assert kept == list(range(kept[0], 100))
    assert [entry.time_ns for entry in entries(files[0])] == kept[: len(entries(files[0]))]


async def test_a_single_file_is_begun_again(path: Path) -> None:
    async with made(path, 0.001, 1) as capture:
        for number in range(30):
            capture.datagrams(9000, [("a", bytes(90))], number)
    assert files_of(path) == [path]
    assert entries(path)[-1].time_ns == 29


async def test_a_smaller_number_of_files_than_before_removes_the_surplus(path: Path) -> None:
    for number in (1, 2, 5):
        path.with_name(f"{path.name}.{number}").write_bytes(MAGIC)
    path.with_name(f"{path.name}.old").write_bytes(MAGIC)
    async with made(path, 0.0001, 2) as capture:
        capture.datagrams(9000, [("a", bytes(90))], 1)
        capture.datagrams(9000, [("a", bytes(90))], 2)
    assert [file.name for file in files_of(path)] == ["device.capture.1", "device.capture"]


async def test_a_file_that_was_moved_away_is_left_where_it_is(path: Path) -> None:
    async with made(path, 0.0001) as capture:
        capture.datagrams(9000, [("a", bytes(90))], 1)
        await written(capture)
        os.rename(path, path.with_name("mine"))
        capture.datagrams(9000, [("a", bytes(90))], 2)
    assert [entry.time_ns for entry in entries(path)] == [2]
    assert [entry.time_ns for entry in entries(path.with_name("mine"))] == [1]


async def test_each_file_begins_with_what_leads_an_open_connection_to_its_state(path: Path) -> None:
    async with made(path, 0.00055) as capture:
        tap = capture.connection("a")
        tap.sent(b"RAW 2.0\n")
        tap.received(b"RAW 2.0\n" + bytes(300))
        tap.received(STARTING[:4])
        tap.received(STARTING[4:] + b"packet1pack")
        tap.started(STARTING)
        tap.held(4)
        tap.received(b"et2" + bytes(200))
        tap.held(300)  # of a packet that began before this chunk
        tap.received(b"more")
        tap.held(0)
        tap.received(b"packet4")
        tap.ended(End.OURS)
    handshake = [
        (Kind.SENT, b"RAW 2.0\n"),
        (Kind.RECEIVED, b"RAW 2.0\n" + bytes(300)),
        (Kind.RECEIVED, STARTING[:4]),
        (Kind.RECEIVED, STARTING[4:]),
    ]
    assert [(entry.kind, entry.data) for entry in FileReader(path.with_name("device.capture.1"))] == [
        (Kind.RESUMED, b"5"),
        *handshake,
        (Kind.RECEIVED, b"pack"),
        (Kind.RECEIVED, b"et2" + bytes(200)),
        (Kind.RECEIVED, b"more"),
    ]
    assert [(entry.kind, entry.data) for entry in FileReader(path)][:6] == [
        (Kind.RESUMED, b"4"),
        *handshake,
        (Kind.RECEIVED, b"packet4"),
    ]


async def test_a_handshake_is_not_torn_apart(path: Path) -> None:
    async with made(path, 0.0001) as capture:
        tap = capture.connection("a")
        for _ in range(10):
            tap.sent(bytes(100))
            tap.received(bytes(100))
    assert files_of(path) == [path]


async def test_another_run_goes_on_in_the_same_file(path: Path) -> None:
    for time_ns in (1, 2):
        async with made(path) as capture:
            capture.datagrams(9000, [("a", b"x")], time_ns)
    assert files_of(path) == [path]
    assert [entry.time_ns for entry in entries(path)] == [1, 2]


@pytest.mark.parametrize(
    "end", [b"\x06", encode_head(Kind.DATAGRAM, 1, 1, b"a", 9), bytes(100), b"\x06\x00" + b"\xff" * 30]
)
async def test_a_torn_file_is_kept_and_reported_and_a_new_one_begun(
    path: Path, end: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with made(path) as capture:
        capture.datagrams(9000, [("a", b"x")], 1)
    size_bytes = size_of(path)
    write(path, end)
    async with made(path) as capture:
        capture.datagrams(9000, [("a", b"y")], 2)
    assert [entry.time_ns for entry in entries(path)] == [1, 2]
    assert caplog.messages == [f"{path}.1 is cut or damaged after {size_bytes} bytes; what follows is left out"]


async def test_a_file_of_another_kind_is_kept(path: Path) -> None:
    write(path, b"something that another program wrote here")
    async with made(path) as capture:
        capture.datagrams(9000, [("a", b"y")], 2)
    assert [entry.time_ns for entry in FileReader(path)] == [2]
    assert path.with_name(f"{path.name}.1").read_text().startswith("something")


async def test_a_large_file_is_not_read_through_and_a_new_one_begun(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.capture.writer._MAX_CHECKED_BYTES", 100)
    for time_ns in range(3):
        async with made(path) as capture:
            capture.datagrams(9000, [("a", bytes(60 * (time_ns + 1)))], time_ns)
    assert [file.name for file in files_of(path)] == ["device.capture.1", "device.capture"]
    assert [entry.time_ns for entry in entries(path)] == [0, 1, 2]


@pytest.mark.parametrize("begun", [b"", MAGIC[:5]])
async def test_a_file_of_which_nothing_but_the_beginning_was_written_is_used(path: Path, begun: bytes) -> None:
    write(path, begun)
    async with made(path) as capture:
        capture.datagrams(9000, [("a", b"y")], 2)
    assert files_of(path) == [path]
    assert len(entries(path)) == 1


@asynccontextmanager
async def held_file(path: Path) -> AsyncGenerator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def test_mistakes_are_reported_before_anything_starts(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="No such file or directory; create the folder"):
        await made(tmp_path / "no" / "a").__aenter__()
    with pytest.raises(
        ComponentError, match="Is a directory; move the folder that has this name, or choose another path"
    ):
        await made(tmp_path).__aenter__()
    with pytest.raises(ComponentError, match="it is not a plain file; choose another path"):
        await made(Path("/dev/null")).__aenter__()
    write(path, MAGIC)
    with pytest.raises(ComponentError, match="Not a directory; move the file that stands in the way"):
        await made(path / "a").__aenter__()
    async with held_file(path):
        with pytest.raises(ComponentError, match="another program or publisher writes it; give each its own path"):
            await made(path).__aenter__()


async def test_a_full_disk_stops_nothing_and_what_is_missing_is_counted_and_marked(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(capture_module, "_RETRY_S", 0.0)
    disk = Disk(path.parent, monkeypatch)
    async with made(path) as capture:
        tap = capture.connection("a")
        tap.received(STARTING)
        tap.started(STARTING)
        tap.held(0)
        await written(capture)
        disk.room_bytes = 10
        tap.received(b"lost 1")  # half of it reaches the disk
        await written(capture)
        assert capture.problem == "No space left on device; free space on that disk"
        for _ in range(3):  # it is tried again, in vain
            tap.held(7)  # more than is known here: nothing could be understood, so nothing is tried
            tap.received(b"lost 2")
            tap.held(0)
            tap.received(b"lost 3")
            await written(capture)
        disk.room_bytes = None
        tap.held(0)
        tap.received(b"kept")
        await written(capture)
        assert capture.problem is None
        assert (capture.lost_entries, capture.lost_bytes) == (7, 7 * 24)
        tap.ended(End.RESET)
    shown = [(entry.kind, entry.data) for entry in entries(path)]
    assert shown[2][0] is Kind.LOST
    assert shown[3:] == [
        (Kind.RESUMED, b"1"),
        (Kind.RECEIVED, STARTING),
        (Kind.RECEIVED, b"kept"),
        (Kind.ENDED, b"reset"),
    ]
    assert len(caplog.messages) == 2
    assert caplog.messages[0].startswith(
        f"nothing is captured to {path} for now: No space left on device; free space on that disk"
    )
    assert caplog.messages[1].startswith(f"capturing to {path} again: 7 entries (168 bytes)")


async def test_it_is_not_tried_again_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(path.parent, monkeypatch)
    disk.room_bytes = 0
    async with made(path) as capture:
        assert capture.problem is not None  # the disk was full at the start: no reason not to start
        disk.room_bytes = None
        for number in range(5):
            capture.datagrams(9000, [("a", b"x")], number)
        assert (capture.lost_entries, capture._waiting) == (5, [])
        monkeypatch.setattr(capture, "_retry_s", 0.0)
        capture.datagrams(9000, [("a", b"x")], 6)
    assert [(entry.kind, entry.data) for entry in entries(path)] == [
        (Kind.LOST, b"5 entries of 100 bytes"),
        (Kind.DATAGRAM, b"x"),
    ]


async def test_a_disk_that_hangs_costs_bounded_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(capture_module, "_MAX_WAITING_BYTES", 10_000)
    async with made(path) as capture:
        lock = asyncio.Event()
        loop = asyncio.get_running_loop()
        write = capture._writer.write

        def hang(batch: list[bytes | None]) -> None:
            asyncio.run_coroutine_threadsafe(lock.wait(), loop).result()
            write(batch)

        monkeypatch.setattr(capture._writer, "write", hang)
        for number in range(20):
            capture.datagrams(9000, [("a", bytes(1000))], number)
            capture._flush()
        assert capture.lost_entries == 11
        assert capture.problem == "the disk is too slow"
        lock.set()
        await written(capture)
        capture.datagrams(9000, [("a", b"")], 99)
        await written(capture)
        assert capture.problem is None
    assert [entry.time_ns for entry in entries(path)] == [*range(9), 99, 99]
    assert len(caplog.messages) == 2


async def test_a_disk_that_does_not_answer_does_not_hold_up_the_stop(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(capture_module, "_CLOSE_TIMEOUT_S", 0.05)
    answers, write = threading.Event(), os.write
    capture = made(path)
    await capture.__aenter__()

    def hang(fd: int, data: bytes) -> int:
        if threading.current_thread().name == "capture device.capture":
            answers.wait()
        return write(fd, data)

    monkeypatch.setattr(os, "write", hang)
    capture.datagrams(9000, [("a", b"")], 1)
    capture._flush()
    capture.datagrams(9000, [("a", b"")], 2)
    await capture.__aexit__(None, None, None)
    answers.set()
    await until(lambda: not any(thread.name.startswith("capture") for thread in threading.enumerate()))
    assert caplog.messages == [f"the end of capture {path} is not written: its disk does not answer"]


async def test_an_end_that_cannot_be_written_is_logged(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with made(path) as capture:
        capture.datagrams(9000, [("a", b"")], 1)
        monkeypatch.setattr(os, "write", fail_with(errno.EIO))
    assert "is not written: Input/output error; check the disk" in caplog.text


async def test_a_mistake_of_ours_in_the_thread_is_not_hidden(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context["exception"]))
    async with made(path) as capture:

        def fail(batch: object) -> None:
            raise KeyError(batch)

        monkeypatch.setattr(capture._writer, "write", fail)
        capture.datagrams(9000, [("a", b"")], 1)
        capture._flush()
        await until(lambda: seen)
    assert isinstance(seen[0], KeyError)


def test_a_file_that_is_not_a_capture_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotACapture, match="there is no capture"):
        entries(tmp_path / "none")
    other = tmp_path / "other"
    other.write_text("a,b,c")
    with pytest.raises(NotACapture, match="other is not a capture that this rawdaq reads"):
        entries(other)
    with pytest.raises(NotACapture, match="cannot be read: Is a directory"):
        entries(tmp_path)


def test_a_long_name_of_a_peer_is_cut() -> None:
    assert encode_head(Kind.OPENED, 1, 1, b"a" * 1000, 0).count(b"a") == 255


# --- the option of the receivers -----------------------------------------------------------------------------------

STATION = StationSettings(network="XX", code="DEMO", location="00")
RECEIVERS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "RawReceiver": (RawReceiver, {"channels": {1: "HHZ"}}),
    "RawUDPReceiver": (RawUDPReceiver, {"channels": {1: {"code": "HHZ", "rate_hz": 100}}}),
}


@pytest.mark.parametrize("name", RECEIVERS)
async def test_a_station_file_says_where_receivers_capture_to(name: str, path: Path) -> None:
    cls, needed = RECEIVERS[name]
    options, mistakes = read_options(cls, {**needed, "capture": path.name}, path.parent)
    assert (mistakes, options["capture"], options["capture_mb"], options["capture_files"]) == ([], path, 100.0, 10)
    receiver = cls([], STATION, **options)
    assert receiver.receiver_status()["capture"]["path"] == str(path)
    assert "capture" not in cls([], STATION, **needed_by(cls, needed)).receiver_status()
    for wrong in ({"capture_mb": 0.05}, {"capture_files": 0}, {"capture_files": 1.5}, {"capture": 7}):
        assert read_options(cls, {**needed, **wrong}, path.parent)[1], wrong


@pytest.mark.parametrize("name", RECEIVERS)
async def test_a_receiver_does_not_start_with_a_capture_that_cannot_be_opened(name: str, path: Path) -> None:
    cls, needed = RECEIVERS[name]
    options = read_options(cls, {**needed, "capture": "no/such/folder"}, path.parent)[0]
    with pytest.raises(ComponentError, match=r"cannot capture to .*: No such file or directory; create the folder"):
        await cls([], STATION, **options).serve()


def needed_by(cls: type[Any], needed: dict[str, Any]) -> dict[str, Any]:
    """Return the options of *cls* when a station file gives only what it must."""
    return read_options(cls, needed, Path("/"))[0]
