"""JsonLinesPublisher: whole lines, each once, also after a crash at any moment."""

import asyncio
import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from rawdaq.errors import ComponentError
from rawdaq.protocols.datalink import DataPacket, write_envelope
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.jsonl import JsonLinesPublisher
from rawdaq.publishers.jsonl.files import LineFiles
from rawdaq.publishers.jsonl.progress import Place, Progress
from tests import forks
from tests.disks import fail_with
from tests.helpers import until
from tests.makers import START_NS, message
from tests.makers import packet as samples

SID = "XX_A_00_LOG/JSON"


def item(number: int, payload: bytes | None = None, name: str = SID, hour: int = 0) -> bytes:
    """Return packet *number* as a receiver publishes it."""
    start_ns = hour * 3600 * 10**9
    data = b'{"n": %d}' % number if payload is None else payload
    return write_envelope(DataPacket(name, number, number * 1000, start_ns, start_ns, data))


def publisher(folder: Path, write: str = "%c.%H.jsonl", **options: Any) -> JsonLinesPublisher:
    return JsonLinesPublisher(write, folder=folder, state=folder / "state.json", **options)


def lines(path: Path) -> list[bytes]:
    text = path.read_bytes()
    assert text == b"" or text.endswith(b"\n")
    return text.splitlines()


async def test_payloads_are_lines_as_they_are(tmp_path: Path) -> None:
    one = publisher(tmp_path)
    await one.open()
    await one.deliver([item(1), item(2, b'{ "a" :1.50,"\xc3\xbc":[ ]}'), item(3, hour=1)])
    await one.deliver([])
    assert one.status()["open_files"] == 2
    await one.aclose()
    await one.aclose()
    assert lines(tmp_path / "LOG.00.jsonl") == [b'{"n": 1}', b'{ "a" :1.50,"\xc3\xbc":[ ]}']
    assert lines(tmp_path / "LOG.01.jsonl") == [b'{"n": 3}']
    status = one.status()
    assert (status["lines"], status["bad"], status["refused"], status["written_bytes"]) == (3, 0, 0, 9 + 22 + 9)


async def test_several_lines_become_one_and_what_is_no_json_goes_aside(tmp_path: Path) -> None:
    one = publisher(tmp_path)
    await one.open()
    bad = [item(3, b"{"), item(4, b"\xff"), item(5, b"[" * 100_000)]
    await one.deliver([item(1, b'{\n "a": 1,\r\n "\xc3\xbc": 2\n}\n'), item(2), *bad])
    await one.aclose()
    assert lines(tmp_path / "LOG.00.jsonl") == ['{"a":1,"ü":2}'.encode(), b'{"n": 2}']
    described = [json.loads(line) for line in lines(tmp_path / "LOG.00.jsonl.bad")]
    assert [each["packet_id"] for each in described] == [3, 4, 5]
    assert (described[0]["data"], described[1]["data"]) == ("{", "\\xff")
    assert one.status()["bad"] == 3


async def test_what_is_no_json_packet_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = publisher(tmp_path)
    await one.open()
    await one.deliver([b"bytes", samples(), item(1, name="a/RAW"), item(2, name="foo/JSON"), item(3)])
    await one.aclose()
    status = one.status()
    assert (status["refused"], status["skipped"], status["lines"]) == (2, 2, 1)
    assert caplog.text.count("counted as refused: this is no DataLink packet as JSON: it is not JSON") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["LOG.00.jsonl", "state.json"]


async def test_a_restart_writes_nothing_twice(tmp_path: Path) -> None:
    items = [item(number) for number in range(1, 31)]
    for begin, end in ((0, 10), (5, 20), (0, 30)):  # a receiver begins again where its own state is
        one = publisher(tmp_path)
        await one.open()
        await one.deliver(items[begin:end])
        await one.aclose()
    assert [json.loads(line)["n"] for line in lines(tmp_path / "LOG.00.jsonl")] == list(range(1, 31))
    assert one.status()["again"] == 20


async def test_a_ring_that_began_anew_is_new(tmp_path: Path) -> None:
    one = publisher(tmp_path)
    await one.open()
    await one.deliver([item(100)])
    await one.aclose()
    one = publisher(tmp_path)
    await one.open()
    later = write_envelope(DataPacket(SID, 1, 200_000_000, 0, 0, b"{}"))
    await one.deliver([later, item(50)])
    await one.aclose()
    assert len(lines(tmp_path / "LOG.00.jsonl")) == 3


async def test_a_torn_line_is_taken_away_and_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "LOG.00.jsonl"
    torn = '{"torn": "ü'.encode() + b"x" * 100_000
    file.write_bytes(b'{"n": 0}\n' + torn)
    one = publisher(tmp_path)
    await one.open()
    await one.deliver([item(1)])
    await one.aclose()
    assert lines(file) == [b'{"n": 0}', b'{"n": 1}']
    assert json.loads((tmp_path / "LOG.00.jsonl.bad").read_text())["torn"] == torn.decode()
    assert f"did not end with a whole line: its last {len(torn)} bytes are in LOG.00.jsonl.bad" in caplog.text
    (tmp_path / "LOG.01.jsonl").write_bytes(b"no line end at all")
    one = publisher(tmp_path)
    await one.open()
    await one.deliver([item(2, hour=1)])
    await one.aclose()
    assert lines(tmp_path / "LOG.01.jsonl") == [b'{"n": 2}']


def crash_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be killed in so many calls of `os.write` and `os.replace`: of a write, a half is done."""
    count = 0

    def crashing(function: Any, *, is_write: bool) -> Any:
        def called(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == calls:
                if is_write:
                    data = bytes(args[1])
                    function(args[0], data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return called

    monkeypatch.setattr(os, "write", crashing(os.write, is_write=True))
    monkeypatch.setattr(os, "replace", crashing(os.replace, is_write=False))


async def deliver_forty(folder: Path) -> None:
    """Deliver from where a run before has come to."""
    one = publisher(folder)
    await one.open()
    done = folder / "delivered"
    begin = int(done.read_text()) if done.exists() else 0
    for at in range(begin, 40, 4):
        await one.deliver([item(number, hour=number % 3) for number in range(at + 1, at + 5)])
        done.write_text(str(at + 4))
    await one.aclose()


@pytest.mark.parametrize("calls", [1, 3, 4, 5, 6, 8, 23])
def test_each_line_is_there_once_after_a_kill_at_any_write(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main() -> int:
        crash_after(calls, monkeypatch)  # in the process that is killed, and in no other
        asyncio.run(deliver_forty(tmp_path))
        return 0

    killed = forks.run(main)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    asyncio.run(deliver_forty(tmp_path))
    found = sorted(json.loads(line)["n"] for path in tmp_path.glob("*.jsonl") for line in lines(path))
    assert found == list(range(1, 41))


async def test_a_full_disk_pauses_and_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = publisher(tmp_path)
    await one.open()
    await one.deliver([item(1)])
    some = [item(2), item(3, hour=1)]
    with monkeypatch.context() as patch:
        appended = LineFiles.append

        def append(self: LineFiles, path: Path, data: bytes) -> None:
            if path.name == "LOG.01.jsonl":
                fail_with(errno.ENOSPC)()
            appended(self, path, data)

        patch.setattr(LineFiles, "append", append)
        with pytest.raises(PublisherUnavailable, match=r"cannot write .*: No space left on device; free space"):
            await one.deliver(some)
    assert lines(tmp_path / "LOG.00.jsonl") == [b'{"n": 1}']
    assert one.status()["lines"] == 1
    await one.deliver(some)
    await one.aclose()
    assert lines(tmp_path / "LOG.00.jsonl") == [b'{"n": 1}', b'{"n": 2}']
    assert lines(tmp_path / "LOG.01.jsonl") == [b'{"n": 3}']
    one = publisher(tmp_path)
    await one.open()
    await one.aclose()
    assert lines(tmp_path / "LOG.00.jsonl") == [b'{"n": 1}', b'{"n": 2}']


@pytest.mark.parametrize("call", [1, 2, 3])  # before the batch, the batch, after it
async def test_a_disk_that_is_full_at_any_write_leaves_each_line_once(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = publisher(tmp_path)
    await one.open()
    await one.deliver([item(1)])
    calls, write = 0, os.write

    def fill_up(fd: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls >= call:
            write(fd, bytes(data)[:3])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill_up)
        with pytest.raises(PublisherUnavailable, match="No space left on device"):
            await one.deliver([item(2)])
    assert calls >= call
    await one.deliver([item(2)])
    await one.aclose()
    one = publisher(tmp_path)
    await one.open()
    await one.deliver([item(2), item(3)])
    await one.aclose()
    assert [json.loads(line)["n"] for line in lines(tmp_path / "LOG.00.jsonl")] == [1, 2, 3]


@pytest.mark.parametrize("is_removed", [True, False])
async def test_a_file_that_was_moved_or_removed_is_made_again(tmp_path: Path, is_removed: bool) -> None:
    path = tmp_path / "LOG.00.jsonl"
    one = publisher(tmp_path)
    await one.open()
    await one.deliver([item(1)])
    if is_removed:
        path.unlink()
    else:
        path.rename(tmp_path / "moved")
    await one.deliver([item(2)])
    await one.aclose()
    assert lines(path) == [b'{"n": 2}']


async def test_what_was_written_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = set[int]()

    def sync(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", sync)
    one = publisher(tmp_path, fsync_s=0)
    await one.open()
    await one.deliver([item(1)])
    assert (tmp_path / "LOG.00.jsonl").stat().st_ino in synced
    await one.aclose()
    two = publisher(tmp_path, fsync_s=0.01)
    await two.open()
    synced.clear()
    await two.deliver([item(2, hour=1)])
    await until(lambda: {(tmp_path / name).stat().st_ino for name in ("LOG.01.jsonl", "state.json")} <= synced)
    await two.aclose()


async def test_a_disk_that_syncs_nothing_is_a_problem_and_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = publisher(tmp_path, fsync_s=0.001)
    await one.open()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_with(errno.EIO))
        await one.deliver([item(1)])
        await until(lambda: one.problem is not None)
        assert "may not be on the disk" in str(one.problem)
        assert one.status()["sync_error"]
    await one.aclose()


async def test_a_file_of_another_program_is_not_written(tmp_path: Path) -> None:
    first, second = publisher(tmp_path / "a", "../%c"), publisher(tmp_path / "b", "../%c")
    for one in (first, second):
        await one.open()
    await first.deliver([item(1)])
    with pytest.raises(PublisherUnavailable, match="another program or publisher writes it"):
        await second.deliver([item(2)])
    await first.aclose()
    await second.deliver([item(2)])
    await second.aclose()
    assert len(lines(tmp_path / "LOG")) == 2


async def test_only_so_many_files_stay_open_and_none_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    files = LineFiles(3, lambda path, torn: None, clock=lambda: now_s)
    for number in range(5):
        files.append(tmp_path / f"{number}", b"x\n")
    assert len(files) == 3
    now_s = 61.0
    files.append(tmp_path / "4", b"y\n")
    files.close_idle()
    assert len(files) == 1
    files.close()
    assert len(files) == 0
    assert (tmp_path / "4").read_bytes() == b"x\ny\n"


async def test_many_files_in_one_batch(tmp_path: Path) -> None:
    one = publisher(tmp_path, "%s", max_open_files=2)
    await one.open()
    await one.deliver([item(number, name=f"XX_S{number}_00_LOG/JSON") for number in range(1, 8)])
    assert one.status()["open_files"] == 2
    await one.aclose()
    assert sorted(path.name for path in tmp_path.glob("S*")) == [f"S{number}" for number in range(1, 8)]


async def test_a_state_that_is_none_stops_the_start(tmp_path: Path) -> None:
    for content, reason in (
        (b"[1]\n", "no place and no sizes"),
        (b'{"done": 1}\n', "no place"),
        (b"garbage\n", "Expecting"),
    ):
        (tmp_path / "state.json").write_bytes(content)
        with pytest.raises(ComponentError, match=f"cannot use the state in .*{reason}.*or remove it"):
            await publisher(tmp_path).open()
    with pytest.raises(ComponentError, match="is not open"):
        await publisher(tmp_path).deliver([])
    (tmp_path / "state.json").unlink()
    (tmp_path / "state.json").mkdir()
    with pytest.raises(ComponentError, match="Is a directory"):
        await publisher(tmp_path).open()


def test_the_log_of_the_progress_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.publishers.jsonl.progress._REWRITE_BYTES", 1000)
    path = tmp_path / "below" / "state"
    progress = Progress(path)
    assert progress.open() == {}
    for number in range(200):
        progress.begin({"a": number})
        progress.end(Place(number, number * 1000))
        assert path.stat().st_size < 1200
    progress.begin({"a": 7, "b": 8})
    progress.close()
    progress.close()
    with path.open("ab") as file:
        file.write(b'{"torn')
    again = Progress(path)
    assert again.open() == {"a": 7, "b": 8}
    assert again.last == Place(199, 199_000)


def test_options_are_checked_together() -> None:
    given = {"write": "%n", "bandwrite": {"H": "%q"}, "state": Path("s")}
    assert "directory value %q not allowed" in str(JsonLinesPublisher.check_options(given))
    assert JsonLinesPublisher.check_options({**given, "bandwrite": {}}) is None
    assert JsonLinesPublisher.exclusive(given) == "file s"


async def test_a_process_that_is_told_to_end_loses_nothing(tmp_path: Path) -> None:
    one = publisher(tmp_path)
    await one.open()
    await one.deliver([item(1)])
    await until(lambda: os.path.exists(tmp_path / "state.json"))
    await one.aclose()
    assert json.loads((tmp_path / "state.json").read_text().splitlines()[-1]) == {"done": [1, 1000]}


async def test_messages_are_lines_with_their_headers_and_payloads(tmp_path: Path) -> None:
    one = publisher(tmp_path, "%c/%n.%s.%l.%Y.jsonl")
    await one.open()
    event = message(1, time_ns=START_NS, payload=b"\x00\xff").published(0, "Triggers", 7)
    log = message(2, "~log").published(0, "Relay", START_NS)
    elsewhere = message(3, "~log").published(1, "a/../../b", START_NS)
    await one.deliver([event, log, item(1, name="none"), elsewhere, message(4, time_ns=1 << 80).published(0, "T", 7)])
    await one.aclose()
    (line,) = lines(tmp_path / "event" / "XX.DEMO.Triggers.2026.jsonl")
    assert json.loads(line) == {**event.header, "payload_base64": "AP8="}
    (line,) = lines(tmp_path / "log" / "..Relay.2026.jsonl")
    assert json.loads(line) == log.header
    assert (one.status()["lines"], one.status()["skipped"]) == (2, 3)
