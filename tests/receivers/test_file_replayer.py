"""Files are played as if a device sent them: every sample once, at its time, at the given speed."""

import asyncio
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq.errors import ComponentError
from rawdaq.packet import Packet
from rawdaq.publisher import OverflowPolicy, PublisherUnavailable
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.receivers.file_replayer import FileReplayer
from rawdaq.subscriber.files import FileSubscriber
from tests.helpers import until
from tests.makers import START_NS, STREAM
from tests.replays import GIVEN, STATION, STREAMS, Keeper, S, play, playing
from tests.waveform_makers import EAST, NORTH, noise, pairs, records, text_record, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "a.mseed", GIVEN)


# ---------------------------------------------------------------------- what is played


async def test_every_sample_is_played_once_in_order_and_then_it_ends(path: Path) -> None:
    packets = await play(str(path))
    for stream in STREAMS:
        assert pairs(packets, stream) == pairs(GIVEN, stream)
    assert [packet.end_ns for packet in packets] == sorted(packet.end_ns for packet in packets)
    assert {packet.samples.size for packet in packets if packet.stream == NORTH} == {100}
    assert {packet.timing_quality for packet in packets} == {90}
    assert min(packet.received_ns for packet in packets) > START_NS - 365 * 86400 * S
    assert [packet.sequence for packet in packets if packet.stream == STREAM] == list(range(15))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("dtype", "encoding"),
    [
        ("int32", "steim1"),
        ("int32", "steim2"),
        ("int32", "int32"),
        ("int32", "int16"),
        ("float32", "float32"),
        ("float64", "float64"),
    ],
)
async def test_archive_of_what_was_played_holds_the_same_samples_and_times(
    tmp_path: Path, version: int, dtype: str, encoding: str
) -> None:
    given = [
        noise(stream, start_ns, size, dtype=dtype, rate_hz=rate_hz)
        for stream, start_ns, size, rate_hz in [
            (STREAM, START_NS, 1000, 100.0),
            (STREAM, START_NS + 12 * S, 777, 100.0),
            (STREAM, START_NS + 300 * S + 123_000, 1, 100.0),
            (NORTH, START_NS - 7 * S, 333, 2.0),
            (EAST, START_NS, 50, 1 / 60),
        ]
    ]
    made = [record for packet in given for record in records([packet], version, encoding=encoding)]
    made.insert(3, text_record())
    (tmp_path / "day").write_bytes(b"".join(made))
    archive = MiniSeedPublisher(tmp_path / "archive", version=2 if version == 3 else 3)
    archive.gather_s = 0.0
    await FileReplayer([archive], STATION, files=str(tmp_path / "day"), speed="max").serve()
    with FileSubscriber(tmp_path / "archive") as subscriber:
        kept = list(subscriber)
    for stream in STREAMS:
        came, was = pairs(kept, stream), pairs(given, stream)
        assert [value for _, value in came] == [value for _, value in was]
        # miniSEED 2 has whole microseconds.
        assert all(abs(one[0] - two[0]) <= 1000 for one, two in zip(came, was, strict=True))


async def test_files_folders_and_patterns_are_played_together(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number, packet in enumerate(GIVEN):
        write(folder / f"{number}.mseed", [packet])
    obspy: Any = import_module("obspy")
    header = {"station": "SAC", "channel": "HHZ", "starttime": obspy.UTCDateTime(ns=START_NS + S)}
    obspy.Trace(np.arange(5, dtype="float32"), header).write(str(tmp_path / "b.sac"), "SAC")
    packets = await play(["data", "*.sac", "data/0.mseed"], folder=tmp_path)
    for stream in STREAMS:
        assert pairs(packets, stream) == pairs(GIVEN, stream)
    assert [packet.samples.size for packet in packets if str(packet.stream) == "YY.SAC..HHZ"] == [1] * 5


async def test_streams_are_chosen_and_renamed(path: Path) -> None:
    packets = await play(str(path), streams=["*.HHN", "*.HHE"], rename={"*.HHN": "ZZ.*.*.*"})
    assert {str(packet.stream) for packet in packets} == {"ZZ.DEMO.00.HHN", "XX.DEMO.00.HHE"}


@pytest.mark.parametrize(("packet_s", "sizes"), [(0.5, {50}), (2.5, {250}), (0, {1000, 500})])
async def test_packets_have_the_length_that_is_wanted(tmp_path: Path, packet_s: float, sizes: set[int]) -> None:
    path = write(tmp_path / "a", GIVEN[:2], length_bytes=16_384)
    assert {packet.samples.size for packet in await play(str(path), packet_s=packet_s)} == sizes


# ---------------------------------------------------------------------- when it is played


async def test_no_packet_comes_before_its_last_sample_is_due(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [noise(STREAM, START_NS, 600), noise(NORTH, START_NS + 1_500_000_000, 450)])
    began_s = time.monotonic()
    keeper = Keeper()
    await FileReplayer([keeper], STATION, files=str(path), speed=10.0).serve()
    assert pairs(keeper.packets) == pairs([noise(STREAM, START_NS, 600)])
    for packet, arrived_s in zip(keeper.packets, keeper.arrived_s, strict=True):
        assert arrived_s - began_s >= (packet.end_ns - START_NS) / S / 10


async def test_times_are_shifted_to_now_by_one_offset(path: Path) -> None:
    before_ns = time.time_ns()
    packets = await play(str(path), time="now")
    offset_ns = packets[0].start_ns - START_NS
    assert before_ns <= packets[0].start_ns <= time.time_ns()
    for stream in STREAMS:
        assert pairs(packets, stream) == [(time_ns + offset_ns, value) for time_ns, value in pairs(GIVEN, stream)]


async def test_now_is_when_the_first_wanted_sample_is_played(path: Path) -> None:
    before_ns = time.time_ns()
    packets = await play(str(path), time="now", streams=["*.HHE"])
    assert before_ns <= packets[0].start_ns <= time.time_ns()


async def test_loop_goes_on_in_time_with_now(path: Path) -> None:
    async with playing(path, speed="max", time="now", loop=True) as (receiver, keeper):
        await until(lambda: receiver.position().turn >= 3)
    turns = [packet for packet in keeper.packets if packet.stream == STREAM]
    offset_ns, period_ns = keeper.packets[0].start_ns - START_NS, 35 * S
    for turn in range(3):
        assert pairs(turns[15 * turn : 15 * turn + 15]) == [
            (time_ns + offset_ns + turn * period_ns, value) for time_ns, value in pairs(GIVEN)
        ]


async def test_loop_jumps_back_in_time_with_original(path: Path) -> None:
    async with playing(path, speed="max", loop=True) as (receiver, keeper):
        await until(lambda: receiver.position().turn >= 2)
    assert pairs(keeper.packets[:64])[: 1500 * 2] == pairs(GIVEN) * 2


async def test_turns_follow_each_other_without_a_pause(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [noise(size=100)])
    async with playing(path, speed=10.0, loop=True, time="now", packet_s=0.5) as (_, keeper):
        await until(lambda: len(keeper.packets) >= 10)
    began_ns = keeper.packets[0].start_ns
    starts = [(packet.start_ns - began_ns) / S for packet in keeper.packets[:10]]
    assert starts == pytest.approx([index / 2 for index in range(10)])
    assert keeper.arrived_s[9] - keeper.arrived_s[0] >= 0.4


async def test_at_full_speed_nothing_is_dropped_whatever_the_outlet_may_drop(path: Path) -> None:
    keeper = Keeper()
    keeper.overflow, keeper.queue_packets = OverflowPolicy.DROP_OLDEST, 3

    async def turn() -> None:
        await asyncio.sleep(0)

    keeper.delay = turn
    receiver = FileReplayer([keeper], STATION, files=str(path), speed="max")
    await receiver.serve()
    for stream in STREAMS:
        assert pairs(keeper.packets, stream) == pairs(GIVEN, stream)


async def test_slow_publishers_get_everything_before_it_ends(path: Path) -> None:
    class Away(Keeper):
        is_away = True

        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            if self.is_away:
                raise PublisherUnavailable("no subscriber")
            await super().deliver(batch)

    away = Away()
    receiver = FileReplayer([away], STATION, files=str(path), speed="max")
    receiver.stop_timeout_s = 0.01
    task = asyncio.ensure_future(receiver.serve())
    await until(lambda: receiver.position().state == "delivering")
    assert not task.done()
    away.is_away = False
    await task
    assert pairs(away.packets) == pairs(GIVEN)


# ---------------------------------------------------------------------- what goes wrong


async def test_files_that_are_not_right_are_named_and_skipped(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = path.with_name("bad.mseed")
    bad.write_bytes(b"no waveforms")
    packets = await play([str(bad), str(path), str(path.with_name("absent"))])
    assert pairs(packets) == pairs(GIVEN)
    assert f"{bad} is not a waveform file that ObsPy reads" in caplog.text
    assert "absent: no such file; skipped" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("absent", None, "absent: no such file"),
        ("empty", b"", "empty is empty .strict."),
        ("torn", records(GIVEN)[0][:300], "torn looks like miniSEED, but there is no record in it .strict."),
        (
            "tail",
            b"".join(records(GIVEN)) + b"?",
            "tail: 1 bytes at offset .* are skipped: no miniSEED record .strict.",
        ),
    ],
)
async def test_strict_ends_at_the_first_that_is_not_right(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ComponentError, match=reason):
        await play(str(tmp_path / name), strict=True)


async def test_strict_plays_what_is_right(path: Path) -> None:
    assert pairs(await play(str(path), strict=True)) == pairs(GIVEN)


async def test_loop_over_files_that_are_gone_ends(path: Path) -> None:
    keeper = Keeper()

    async def remove() -> None:
        path.unlink(missing_ok=True)

    keeper.delay = remove
    with pytest.raises(ComponentError, match="the files that were played before are empty now"):
        await FileReplayer([keeper], STATION, files=str(path), speed="max", loop=True).serve()


@pytest.mark.parametrize(
    ("files", "options", "reason"),
    [
        ("*.nothing", {}, "there are no files to play; check `files` and `folder`"),
        ("empty", {}, "none of the files can be played; the log gives the reason for each"),
        ("a.mseed", {"streams": ["ZZ.*"]}, "the files hold no waveforms of the selected streams"),
        ("text", {"loop": True}, "the files hold no waveforms of the selected streams"),
    ],
)
async def test_nothing_to_play_is_an_error(path: Path, files: str, options: dict[str, Any], reason: str) -> None:
    path.with_name("empty").touch()
    path.with_name("text").write_bytes(text_record())
    with pytest.raises(ComponentError, match=reason):
        await play(files, folder=path.parent, **options)
