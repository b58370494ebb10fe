"""FileReplayer under command, in the station file, and as a component that a person watches."""

import asyncio
import logging
import os
import pty
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.options import read_options
from rawdaq.errors import CommandError
from rawdaq.publisher import OverflowPolicy
from rawdaq.receivers import file_replayer
from rawdaq.receivers.file_replayer import FileReplayer
from rawdaq.stream_id import StreamId
from rawdaq.subscriber.files import FileSubscriber
from rawdaq.times import from_iso
from tests.helpers import ROOT, command, environment, until
from tests.makers import START_NS, STREAM
from tests.replays import GIVEN, STATION, STREAMS, Keeper, play, playing
from tests.waveform_makers import pairs, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "a.mseed", GIVEN)


# ---------------------------------------------------------------------- commands


async def test_pause_stops_and_resume_goes_on_where_it_was(path: Path) -> None:
    async with playing(path, speed=20.0) as (receiver, keeper):
        await until(lambda: len(keeper.packets) >= 3)
        assert receiver.cmd_pause() == "paused"
        await receiver.delivered()
        count = len(keeper.packets)
        paused_ns = receiver.clock.now_ns
        await asyncio.to_thread(lambda: None)
        assert receiver.cmd_position()["state"] == "paused"
        assert len(keeper.packets) == count
        assert receiver.clock.now_ns == paused_ns
        assert receiver.cmd_resume() == "running"
        assert receiver.cmd_resume() == "running"
        receiver.cmd_speed(["max"])
        await until(lambda: len(keeper.packets) == 32)
    for stream in STREAMS:
        assert pairs(keeper.packets, stream) == pairs(GIVEN, stream)


@pytest.mark.parametrize("target", ["2026-11-21T00:00:31.500Z", "+31.5"])
async def test_seek_goes_on_at_a_time(path: Path, target: str) -> None:
    async with playing(path, speed=0.001) as (receiver, keeper):
        await until(lambda: receiver.cmd_position()["state"] == "playing" and receiver._first_ns)
        assert receiver.cmd_seek([target]) == {"time": "2026-11-21T00:00:31.500000Z"}
        receiver.cmd_speed(["max"])
        await until(lambda: len(keeper.packets) == 4)
    assert pairs(keeper.packets) == [pair for pair in pairs(GIVEN) if pair[0] >= START_NS + 31_500_000_000]


async def test_seek_back_plays_again_and_during_a_pause_waits_for_resume(path: Path) -> None:
    async with playing(path, speed=1000.0, loop=True) as (receiver, keeper):
        await until(lambda: len(keeper.packets) >= 5)
        receiver.cmd_pause()
        receiver.cmd_seek(["2026-11-20T00:00:00"])
        await until(lambda: receiver.clock.now_ns == START_NS)
        await receiver.delivered()
        keeper.packets.clear()
        receiver.cmd_resume()
        await until(lambda: len(pairs(keeper.packets)) >= 1500)
    assert pairs(keeper.packets)[:1500] == pairs(GIVEN)


async def test_seek_with_now_goes_on_in_time(path: Path) -> None:
    async with playing(path, speed="max", time="now", loop=True) as (receiver, keeper):
        await until(lambda: receiver.position().turn >= 1)
        receiver.cmd_seek(["2026-11-21T00:00:10"])
        turn = receiver.position().turn
        await until(lambda: receiver.position().turn > turn + 1)
    starts = [packet.start_ns for packet in keeper.packets if packet.stream == STREAM]
    assert starts == sorted(starts)


async def test_an_invalid_seek_says_why(path: Path) -> None:
    async with playing(path, speed=0.001) as (receiver, _):
        await until(lambda: receiver._first_ns)
        for args, reason in [
            ([], "usage: seek TIME"),
            (["1", "2"], "usage: seek TIME"),
            (["yesterday"], "'yesterday' is not a UTC time"),
            (["+soon"], "could not convert"),
            (["+inf"], "is not a number of seconds"),
            (["2027-01-01T00:00:00"], "the files end at 2026-11-21T00:00:34.990000Z"),
        ]:
            with pytest.raises(CommandError, match=reason):
                receiver.cmd_seek(args)


async def test_seek_before_the_play_says_what_is_done_now(path: Path) -> None:
    receiver = FileReplayer([], STATION, files=str(path))
    with pytest.raises(CommandError, match=r"nothing is played now \(looking for files\)"):
        receiver.cmd_seek(["+1"])


async def test_speed_is_shown_and_changed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rawdaq")
    async with playing(path, speed=0.001) as (receiver, keeper):
        (delivery,) = receiver._fanout.workers
        delivery.publisher.overflow = OverflowPolicy.DROP_OLDEST
        assert receiver.cmd_speed([]) == {"speed": 0.001}
        assert receiver.cmd_speed(["2.5"]) == {"speed": 2.5}
        assert str(delivery.queue.policy) == "drop_oldest"
        assert receiver.cmd_speed(["max"]) == {"speed": "max"}
        assert str(delivery.queue.policy) == "block"
        for args in (["0"], ["-1"], ["fast"], ["nan"], ["1e7"], ["1", "2"]):
            with pytest.raises(CommandError, match="usage: speed"):
                receiver.cmd_speed(args)
        await until(lambda: len(keeper.packets) == 32)
    assert "plays at speed max" in caplog.text


async def test_position_and_status_tell_where_it_is(path: Path) -> None:
    (path.parent / "empty").touch()
    receiver = FileReplayer([Keeper()], STATION, files=["*"], folder=path.parent, speed=0.001, time="now")
    assert receiver.cmd_position()["state"] == "looking for files"
    task = asyncio.ensure_future(receiver.serve())
    await until(lambda: receiver._first_ns)
    assert receiver.cmd_position() | {"published_time": 0} == {
        "state": "playing",
        "time": None,
        "published_time": 0,
        "first": "2026-11-21T00:00:00.000000Z",
        "last": "2026-11-21T00:00:34.990000Z",
        "percent": 0.0,
        "speed": 0.001,
        "remaining_s": None,
        "late_s": 0.0,
        "turn": 0,
    }
    receiver.cmd_seek(["+30"])
    await until(lambda: receiver.cmd_position()["time"] == "2026-11-21T00:00:30.000000Z")
    assert receiver.cmd_position()["remaining_s"] == pytest.approx(4990)
    assert from_iso(str(receiver.cmd_position()["published_time"])) <= time.time_ns()
    status = receiver.receiver_status()
    assert (status["files"], status["files_skipped"], status["damages"]) == (2, 1, 0)
    assert status["skipped"] == [f"{path.parent}/empty is empty"]
    receiver.cmd_speed(["max"])
    await task
    assert receiver.cmd_position()["percent"] == 100.0


async def test_remaining_time_at_full_speed_is_estimated(path: Path) -> None:
    async with playing(path, speed="max", loop=True) as (receiver, _):
        await until(lambda: receiver.position().turn >= 1 and receiver.position().remaining_s is not None)
        remaining_s = receiver.position().remaining_s
    assert remaining_s is not None
    assert 0 <= remaining_s < 60


async def test_lag_behind_a_slow_publisher_is_shown(path: Path) -> None:
    gate = asyncio.Event()
    keeper = Keeper()
    keeper.queue_packets, keeper.delay = 1, gate.wait
    receiver = FileReplayer([keeper], STATION, files=str(path), speed=100.0)
    task = asyncio.ensure_future(receiver.serve())
    await until(lambda: receiver.clock.now_ns > START_NS + 15 * 10**9)
    gate.set()
    await until(lambda: receiver.position().late_s > 0.05 or task.done())
    await task
    assert pairs(keeper.packets) == pairs(GIVEN)


async def test_it_stops_when_told_while_it_plays(path: Path) -> None:
    async with playing(path, speed=0.001) as (receiver, keeper):
        await until(lambda: receiver._first_ns)
    assert keeper.packets == []


# ---------------------------------------------------------------------- options


def test_defaults_of_the_station_file() -> None:
    options, mistakes = read_options(FileReplayer, {"files": "day"}, Path("/data"))
    assert mistakes == []
    assert options == {
        "files": "day",
        "folder": Path("/data"),
        "speed": 1.0,
        "time": "original",
        "loop": False,
        "streams": (),
        "rename": None,
        "packet_s": 1.0,
        "strict": False,
    }


def test_every_option_can_be_set() -> None:
    given = {
        "files": ["a", "b*"],
        "folder": "data",
        "speed": "max",
        "time": "now",
        "loop": True,
        "streams": ["XX.*"],
        "rename": {"XX.*": "YY.*.*.*"},
        "packet_s": 0,
        "strict": True,
    }
    options, mistakes = read_options(FileReplayer, given, ROOT)
    assert mistakes == []
    assert options == {**given, "folder": ROOT / "data"}
    assert FileReplayer([], STATION, **options).clock.speed == float("inf")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("files", "", "at least one file, folder or pattern is needed"),
        ("files", [], "at least one file, folder or pattern is needed"),
        ("files", ["a", ""], "at least one file, folder or pattern is needed"),
        ("speed", 0, "greater than 0"),
        ("speed", float("inf"), "a finite number"),
        ("speed", "fast", "'max'"),
        ("time", "later", "'original' or 'now'"),
        ("loop", 1, "boolean"),
        ("streams", "XX.*", "not allowed as a Sequence"),
        ("rename", {"XX.*": "YY.*"}, "is not NET.STA.LOC.CHA"),
        ("packet_s", -1, "greater than or equal to 0"),
        ("packet_s", 7200, "less than or equal to 3600"),
        ("strict", "yes", "boolean"),
        ("spede", 1, "unknown key"),
    ],
)
def test_options_that_cannot_be_are_refused(key: str, value: Any, reason: str) -> None:
    _, mistakes = read_options(FileReplayer, {"files": "day", key: value}, ROOT)
    assert any(reason in mistake.text for mistake in mistakes), mistakes


# ---------------------------------------------------------------------- the component


async def test_progress_is_shown_to_who_watches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[float] = []

    async def show(position: Callable[[], Any]) -> None:
        shown.append(position().fraction)

    monkeypatch.setattr(file_replayer, "is_watched", lambda: True)
    monkeypatch.setattr(file_replayer, "show_progress", show)
    await play(str(path))
    assert shown == [0.0]


STATION_FILE = """\
station: {network: XX, code: DEMO}
Play:
  Receiver: {class: FileReplayer, files: a.mseed, speed: 60, rename: {"*": "ZZ.*.*.*"}}
  Publishers:
    archive: {class: MiniSeedPublisher, path: archive}
"""


async def test_in_the_foreground_it_shows_a_bar_and_ends_with_status_0(path: Path, runtime_dir: Path) -> None:
    station = path.with_name("station.yaml")
    station.write_text(STATION_FILE)
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        try:
            shown.extend(os.read(ours, 1 << 16))
        except OSError:  # the other end is closed
            asyncio.get_running_loop().remove_reader(ours)

    asyncio.get_running_loop().add_reader(ours, read)
    try:
        process = await asyncio.create_subprocess_exec(
            *command("control-rawdaq", "start", "Play", "--foreground", "-c", str(station)),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment({"TERM": "xterm", "COLUMNS": "150", "LINES": "40"}),
        )
        assert await asyncio.wait_for(process.wait(), 60) == 0, shown
        await until(lambda: b"Play has stopped" in shown)
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        os.close(theirs)
    assert b"speed 60" in shown
    assert b"left" in shown
    with FileSubscriber(path.parent / "archive") as subscriber:
        kept = list(subscriber)
    for stream in STREAMS:
        assert pairs(kept, StreamId("ZZ", *str(stream).split(".")[1:])) == pairs(GIVEN, stream)
