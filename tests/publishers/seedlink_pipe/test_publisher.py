"""SeedLinkPluginPublisher, read by a server's end of the pipe that knows the description only."""

import asyncio
import contextlib
import fcntl
import functools
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from obspy import read

from rawdaq.miniseed.maker import RecordFormat, RecordMaker, RecordRun
from rawdaq.packet import Packet, PacketRun
from rawdaq.publishers.seedlink_pipe.publisher import SeedLinkPluginPublisher
from rawdaq.stream_id import StreamId
from tests.helpers import until
from tests.makers import START_NS, STREAM, packet
from tests.pipe_server import FLUSH, MSEED, RAW_TIME, PipeServer
from tests.publishers.pipe_publishers import FULL_BYTES, opened, raw, running
from tests.record_makers import as_runs


async def test_records_reach_the_server_sample_for_sample(server: PipeServer) -> None:
    async with opened(server, flush_after_s=3600) as publisher, running(publisher) as fanout:
        fanout.put([packet(index) for index in range(50)])
        await fanout.drain(20)
    frames = server.read_to_end()
    assert {(frame.kind, frame.station, frame.size) for frame in frames} == {(MSEED, "XX.DEMO", 512)}
    (trace,) = read(io.BytesIO(b"".join(frame.payload for frame in frames))).merge()
    assert trace.id == str(STREAM)
    assert trace.stats.starttime.ns == START_NS
    assert np.array_equal(trace.data, np.arange(5000))


async def test_what_the_server_does_not_read_waits_and_arrives_once_in_order(server: PipeServer) -> None:
    async with opened(server, flush_after_s=3600) as publisher, running(publisher) as fanout:
        publisher.queue_packets = 100_000
        sent = 0
        while server.waiting_bytes < FULL_BYTES:  # nobody reads: the pipe fills
            fanout.put([packet(index) for index in range(sent, sent + 500)])
            sent += 500
            await asyncio.sleep(0)
        fanout.put([packet(index) for index in range(sent, sent + 500)])
        sent += 500
        ending = asyncio.ensure_future(fanout.drain(60))
        await asyncio.sleep(0)
        assert not ending.done()  # the loop runs on, the data wait
        await until(lambda: server.read() and ending.done())
        await ending
    frames = server.read_to_end()
    (trace,) = read(io.BytesIO(b"".join(frame.payload for frame in frames)))  # one piece: no gap, no overlap
    assert np.array_equal(trace.data, np.arange(100 * sent))
    assert publisher.status()["written_bytes"] == 572 * len(frames)


async def test_stop_while_the_pipe_is_full_leaves_whole_frames_only(server: PipeServer) -> None:
    async with opened(server, mode="raw") as publisher:
        long = [raw(range(999), start_ns=START_NS + index * 999 * 10_000_000) for index in range(30)]
        delivering = asyncio.ensure_future(publisher.deliver(long))
        await until(lambda: server.waiting_bytes > FULL_BYTES)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
    frames = server.read_to_end()
    assert len(frames) >= 15
    assert all(frame.samples == list(range(999)) for frame in frames)


async def test_two_publishers_of_one_pipe_do_not_disturb_each_other(server: PipeServer) -> None:
    streams = STREAM, StreamId("XX", "OTHER", "", "HHZ")
    async with opened(server, mode="raw") as first, opened(server, mode="raw") as second:
        tasks = [
            asyncio.ensure_future(publisher.deliver([packet(index, stream=stream) for index in range(400)]))
            for publisher, stream in zip((first, second), streams, strict=True)
        ]
        await until(lambda: server.read() and all(task.done() for task in tasks))
    frames = server.read_to_end()
    for station in ("XX.DEMO", "XX.OTHER"):
        values = [value for frame in frames if frame.station == station for value in frame.samples]
        assert values == list(range(40_000))


def _has_frames(server: PipeServer, count: int) -> bool:
    return len(server.read()) == count


@pytest.mark.parametrize("options", [{"flush_each_packet": True}, {"flush_after_s": 0.0}])
async def test_early_warning_lets_no_packet_wait(server: PipeServer, options: dict[str, Any]) -> None:
    async with opened(server, **options) as publisher, running(publisher, clock_ns=lambda: 0) as fanout:
        for index in range(3):
            fanout.put([packet(index)])
            await until(functools.partial(_has_frames, server, index + 1))
    counts = [int.from_bytes(frame.payload[30:32], "big") for frame in server.frames]
    assert counts == [100, 100, 100]


def test_a_format_without_waiting_leaves_nothing_to_be_due() -> None:
    maker = RecordMaker(RecordFormat(flush_after_s=0.0))
    assert sum(len(run) for run in maker.add([packet(0)], 5)) == 1
    assert maker.due_ns is None
    assert maker.flush() == []


async def test_records_wait_a_second_unless_told_otherwise() -> None:
    assert SeedLinkPluginPublisher().record_format == RecordFormat(2, 512, "auto", 1.0)
    assert SeedLinkPluginPublisher("raw").record_format is None


async def test_integers_of_every_type_go_out_as_int32_with_their_time(server: PipeServer) -> None:
    batch = [
        raw([1, -1], "i1", timing_quality=90),
        raw([2, -2], ">i2", start_ns=START_NS + 20_000_000),
        raw([3, -3], ">i4", start_ns=START_NS + 40_000_000),
        raw([], start_ns=START_NS + 60_000_000),
    ]
    async with opened(server, mode="raw") as publisher:
        await publisher.deliver(batch)
    frames = server.read_to_end()
    assert [(frame.kind, frame.station, frame.channel) for frame in frames] == [(RAW_TIME, "XX.DEMO", "HHZ")] * 3
    assert [frame.samples for frame in frames] == [[1, -1], [2, -2], [3, -3]]
    assert [(frame.time[5], frame.quality) for frame in frames] == [(0, 90), (20_000, -1), (40_000, -1)]


async def test_a_long_packet_becomes_frames_that_bear_their_own_times(server: PipeServer) -> None:
    async with opened(server, mode="raw") as publisher:
        await publisher.deliver([raw(range(2500))])
    frames = server.read_to_end()
    assert [(frame.kind, frame.size, frame.time[4]) for frame in frames] == [(8, 1000, 0), (8, 1000, 10), (8, 500, 20)]


@pytest.mark.parametrize(
    ("second", "is_flushed"),
    [
        ({"start_ns": START_NS + 10_000_000}, False),
        ({"start_ns": START_NS + 14_900_000}, False),
        ({"start_ns": START_NS + 15_100_000}, True),
        ({"start_ns": START_NS + 4_900_000}, True),
        ({"start_ns": START_NS + 10_000_000, "rate_hz": 200.0}, True),
    ],
)
async def test_a_gap_closes_the_record_in_the_server(
    server: PipeServer, second: dict[str, Any], is_flushed: bool
) -> None:
    async with opened(server, mode="raw") as publisher:
        await publisher.deliver([raw([1]), raw([2], **second)])
    kinds = [(frame.kind, frame.channel) for frame in server.read_to_end()]
    assert kinds == [(RAW_TIME, "HHZ"), *([(FLUSH, "HHZ")] if is_flushed else []), (RAW_TIME, "HHZ")]


async def test_what_the_raw_mode_cannot_carry_is_counted_and_told_once(
    server: PipeServer, caplog: pytest.LogCaptureFixture
) -> None:
    late = raw([1], stream=StreamId("XX", "LATE", "", "HHZ"), start_ns=2**63)
    batch: list[Packet | PacketRun | bytes] = [raw([1.5], "<f4"), b"plain", raw([1]), raw([2.5], "<f8"), b"plain", late]
    async with opened(server, mode="raw") as publisher, running(publisher) as fanout:
        fanout.put(batch)
        await fanout.drain(20)
        status = fanout.status()["SeedLinkPluginPublisher"]
    assert status["refused"] == 5
    assert status["refused_by_stream"] == {str(STREAM): 2, "bytes": 2, "XX.LATE..HHZ": 1}
    assert [frame.samples for frame in server.read_to_end()] == [[1]]
    told = [line for line in caplog.messages if "counted as refused" in line]
    assert len(told) == 3
    assert "mode raw carries integers, not float32; set mode: mseed" in told[0]


async def test_a_record_of_a_station_that_the_pipe_cannot_name_is_counted(server: PipeServer) -> None:
    async with opened(server, station_key="{network}.{station}.{channel}") as publisher:
        made = [record for run in RecordMaker(RecordFormat(flush_after_s=0)).add([packet()], 0) for record in run]
        await publisher.deliver(as_runs(made))
        assert publisher.status()["refused_by_stream"] == {str(STREAM): 1}
    assert server.read_to_end() == []


def one_record(index: int = 0) -> RecordRun:
    """Return the record of one packet."""
    (run,) = RecordMaker(RecordFormat(flush_after_s=0)).add([packet(index)], 0)
    return run


async def test_records_enter_a_pipe_with_room_at_once(server: PipeServer) -> None:
    async with opened(server) as publisher:
        assert publisher.try_deliver([one_record(0), one_record(1)])
        assert [frame.payload for frame in server.read()] == [one_record(0).data, one_record(1).data]


async def test_a_full_pipe_takes_nothing_at_once_and_all_of_it_later(server: PipeServer) -> None:
    async with opened(server) as publisher:
        taken = 0
        while publisher.try_deliver([one_record(taken), one_record(taken + 1)]):
            taken += 2
        delivering = asyncio.ensure_future(publisher.deliver([one_record(taken), one_record(taken + 1)]))
        await until(lambda: server.read() and delivering.done())
    assert [frame.payload for frame in server.read_to_end()] == [one_record(index).data for index in range(taken + 2)]


async def test_a_pipe_that_became_smaller_meanwhile_gets_whole_frames(server: PipeServer) -> None:
    runs = [one_record(index) for index in range(20)]
    async with opened(server) as publisher, running(publisher) as fanout:
        with contextlib.suppress(AttributeError):  # only Linux can
            fcntl.fcntl(server.fd, fcntl.F_SETPIPE_SZ, 4096)
        delivery = fanout.workers[0]
        await asyncio.sleep(0)
        delivery.put(list(runs))
        await until(lambda: server.read() and not delivery.queue.waiting)
    assert [frame.payload for frame in server.read_to_end()] == [run.data for run in runs]


async def test_what_cannot_be_known_to_go_at_once_goes_the_other_way(server: PipeServer, tmp_path: Path) -> None:
    run = one_record()
    async with opened(server, station_key="{network}.{station}.{channel}") as unnamable:
        assert not unnamable.try_deliver([run])
        assert unnamable.status()["refused"] == 0
    async with opened(server, mode="raw") as raw_mode:
        assert not raw_mode.try_deliver([packet()])
    os.mkfifo(tmp_path / "pipe")
    async with opened(pipe=tmp_path / "pipe") as unread:
        assert not unread.try_deliver([run])
    async with opened(server) as closed:
        server.stop()
        assert not closed.try_deliver([run])
    fd = os.open(tmp_path / "frames", os.O_WRONLY | os.O_CREAT)
    os.set_inheritable(fd, True)
    async with opened(fd=fd) as file:  # on a full disk it would take a part
        assert not file.try_deliver([run])
    os.close(fd)
