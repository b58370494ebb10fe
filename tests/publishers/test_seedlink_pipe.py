"""SeedLinkPluginPublisher, read by a server's end of the pipe that knows the description only."""

import asyncio
import contextlib
import errno
import functools
import io
import logging
import os
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from obspy import read

from rawdaq.delivery import Fanout
from rawdaq.errors import ComponentError
from rawdaq.options import read_options
from rawdaq.packet import Packet, PacketRun, StreamId
from rawdaq.protocols.plugin_pipe import PipeWriter
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.seedlink_pipe import SeedLinkPluginPublisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.records import RecordFormat, RecordMaker
from rawdaq.seedlink_plugin import PipeClosed
from rawdaq.settings import StationSettings
from tests.helpers import until
from tests.makers import START_NS, STREAM, packet
from tests.pipe_server import FLUSH, LOG, MSEED, RAW_TIME, PipeServer
from tests.record_makers import as_runs

FULL_BYTES = 57_000  # of 65 536; frames do not fill each page of a pipe
LOGGER = logging.getLogger("rawdaq.test")


@pytest.fixture
def server() -> Iterator[PipeServer]:
    with PipeServer() as server:
        yield server


@contextlib.asynccontextmanager
async def opened(server: PipeServer | None = None, **options: Any) -> AsyncGenerator[SeedLinkPluginPublisher]:
    """A publisher to *server*, open while the block runs."""
    if server is not None:
        options["fd"] = server.fd
    publisher = SeedLinkPluginPublisher(**options)
    await publisher.open()
    try:
        yield publisher
    finally:
        await publisher.aclose()
        await publisher.aclose()


@contextlib.asynccontextmanager
async def running(
    *publishers: SeedLinkPluginPublisher, clock_ns: Callable[[], int] | None = None
) -> AsyncGenerator[Fanout]:
    """Deliver to *publishers* as a component does."""
    fanout = Fanout(publishers, LOGGER, *([clock_ns] if clock_ns else []))
    tasks = [asyncio.ensure_future(run()) for run in fanout.tasks().values()]
    try:
        yield fanout
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def raw(values: Any, dtype: str = "<i4", *, start_ns: int = START_NS, rate_hz: float = 100.0, **more: Any) -> Packet:
    return Packet(more.pop("stream", STREAM), start_ns, rate_hz, np.array(values, dtype), **more)


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
        await publisher.deliver_runs(as_runs(made))
        assert publisher.status()["refused_by_stream"] == {str(STREAM): 1}
    assert server.read_to_end() == []


async def test_raw_mode_can_flush_each_packet(server: PipeServer) -> None:
    async with opened(server, mode="raw", flush_each_packet=True) as publisher:
        await publisher.deliver([packet(0), packet(1)])
    assert [frame.kind for frame in server.read_to_end()] == [RAW_TIME, FLUSH] * 2


async def test_raw_mode_can_flush_by_age_once_for_many_packets(server: PipeServer) -> None:
    other = StreamId("XX", "DEMO", "00", "HHN")
    async with opened(server, mode="raw", flush_after_s=0.02) as publisher:
        await publisher.deliver([packet(0), packet(1), packet(0, stream=other)])
        await publisher.deliver([packet(2)])
        await until(lambda: FLUSH in [frame.kind for frame in server.read()])
        await until(lambda: len(server.read()) == 6)
    flushed = [frame.channel for frame in server.read_to_end() if frame.kind == FLUSH]
    assert flushed == ["HHZ", "HHN"]


async def test_what_waits_in_the_server_is_flushed_at_the_end(server: PipeServer) -> None:
    async with opened(server, mode="raw", flush_after_s=3600) as publisher:
        await publisher.deliver([packet(0)])
    assert [frame.kind for frame in server.read_to_end()] == [RAW_TIME, FLUSH]


async def test_a_flush_that_finds_the_pipe_full_comes_later(server: PipeServer) -> None:
    async with opened(server, mode="raw", flush_after_s=0.05) as publisher:
        await publisher.deliver([packet(0)])
        planned = publisher._flushing
        filling = PipeWriter()
        filling.send_flush("fill", "")
        frame = filling.data_to_send()
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(server.fd, frame)  # it does not block, since the publisher has taken it over
        await until(lambda: publisher._flushing is not planned)
        assert (FLUSH, "XX.DEMO") not in [(frame.kind, frame.station) for frame in server.read()]
        await until(lambda: (FLUSH, "XX.DEMO") in [(frame.kind, frame.station) for frame in server.read()])


async def test_a_flush_never_overtakes_the_samples_that_it_is_for(server: PipeServer) -> None:
    async with opened(server, mode="raw", flush_after_s=0.01) as publisher:
        long = [raw(range(999), start_ns=START_NS + index * 999 * 10_000_000) for index in range(30)]
        delivering = asyncio.ensure_future(publisher.deliver(long))
        await until(lambda: server.waiting_bytes > FULL_BYTES)
        publisher._flush()  # as the timer does: the pipe has room for its frame, not for the next samples
        await until(lambda: server.read() and delivering.done())
        await until(lambda: not publisher._unflushed)
    assert [frame.kind for frame in server.read_to_end()] == [RAW_TIME] * 30 + [FLUSH]


async def test_a_flush_that_finds_the_pipe_closed_leaves_it_to_the_next_delivery(server: PipeServer) -> None:
    async with opened(server, mode="raw", flush_after_s=0.01) as publisher:
        await publisher.deliver([packet(0)])
        server.stop()
        await until(lambda: publisher._flushing is None)
        with pytest.raises(PipeClosed):
            await publisher.deliver([packet(1)])


@pytest.mark.parametrize("mode", ["mseed", "raw"])
async def test_a_closed_pipe_ends_the_component_with_an_error(server: PipeServer, mode: Any) -> None:
    class Source(ReceiverServer):
        def __init__(self) -> None:
            super().__init__("", 0, [SeedLinkPluginPublisher(mode, server.fd, flush_each_packet=True)], "Source")
            self._setup = True

        async def ct_samples(self) -> None:
            for index in range(10_000):
                await self.publish(packet(index))
                if index == 3:
                    await until(server.read)
                    server.stop()
                await asyncio.sleep(0)

    with pytest.raises(ComponentError, match=r"Source stopped: the SeedLink server has closed the pipe \(descriptor"):
        await Source().serve()
    assert len(server.frames) >= 1


async def test_a_pipe_that_is_closed_while_it_is_full_ends_the_delivery(server: PipeServer) -> None:
    async with opened(server, mode="raw") as publisher:
        delivering = asyncio.ensure_future(publisher.deliver([packet(index) for index in range(500)]))
        await until(lambda: server.waiting_bytes > FULL_BYTES)
        server.stop()
        with pytest.raises(PipeClosed, match="closed the pipe"):
            await delivering


async def test_another_trouble_of_the_pipe_ends_the_component_too(
    server: PipeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with opened(server, mode="raw") as publisher:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refuse)
            with pytest.raises(ComponentError, match=r"cannot write to descriptor \d+: No space left on device"):
                await publisher.deliver([packet()])


async def test_silence_is_broken_by_a_line_in_the_log(server: PipeServer) -> None:
    station = StationSettings(network="XX", code="DEMO")
    async with opened(server, keepalive_s=0.02, station=station):
        await until(lambda: len(server.read()) >= 2)
    line = server.frames[0]
    assert (line.kind, line.station) == (LOG, "XX.DEMO")
    assert line.payload == b"rawdaq: no data for 0 s, but still alive\r\n"


@pytest.mark.parametrize(
    ("station", "expected"),
    [(None, "XX.DEMO"), (StationSettings(network="TOOLONG", code="STATION"), "XX.DEMO")],
)
async def test_without_a_station_of_its_own_the_line_goes_to_a_known_one(
    server: PipeServer, station: StationSettings | None, expected: str
) -> None:
    async with opened(server, mode="raw", keepalive_s=0.02, station=station) as publisher:
        assert publisher._log_station() == ""
        await publisher.deliver([packet()])
        await until(lambda: LOG in [frame.kind for frame in server.read() if frame.station])
    assert {frame.station for frame in server.frames if frame.kind == LOG} <= {expected, ""}


async def test_no_line_while_data_flow_and_none_when_it_is_off(server: PipeServer) -> None:
    async with opened(server, mode="raw", keepalive_s=3600) as publisher, opened(server, keepalive_s=0) as silent:
        await publisher.deliver([packet()])
        publisher._beat()
        assert publisher._beating is not None
        assert silent._beating is None
        publisher._beating.cancel()
        publisher._beating = None
    assert [frame.kind for frame in server.read_to_end()] == [RAW_TIME]


async def test_a_line_that_finds_the_pipe_closed_is_told(server: PipeServer, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(server, keepalive_s=0.01):
        server.stop()
        await until(lambda: "Broken pipe" in caplog.text)


async def test_a_named_pipe_pauses_until_somebody_reads_and_goes_on_with_the_next_reader(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    async with opened(mode="raw", pipe=path) as publisher:
        with pytest.raises(PublisherUnavailable, match=r"nobody reads .*pipe; start what reads it"):
            await publisher.deliver([packet(0)])
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        await publisher.deliver([packet(0)])
        assert len(os.read(reader, 10_000)) == 460
        os.close(reader)
        with pytest.raises(PublisherUnavailable, match="is not read any more") as caught:
            await publisher.deliver([packet(1)])
        assert caught.value.delivered == 0
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        await publisher.deliver([packet(1)])
        assert len(os.read(reader, 10_000)) == 460
        assert publisher.status()["pipe"] == str(path)
        os.close(reader)


async def test_what_a_vanished_reader_had_taken_is_not_offered_again(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    async with opened(mode="raw", pipe=path) as publisher:
        delivering = asyncio.ensure_future(publisher.deliver([packet(index) for index in range(1000)]))
        await until(lambda: publisher._pipe.written_bytes > FULL_BYTES)
        os.close(reader)
        with pytest.raises(PublisherUnavailable) as caught:
            await delivering
        assert caught.value.delivered * 460 == publisher.status()["written_bytes"]


async def test_without_a_pipe_it_does_not_open(tmp_path: Path) -> None:
    with socket.socket() as unconnected:
        os.set_inheritable(unconnected.fileno(), True)
        with pytest.raises(ComponentError, match="is neither a pipe nor a file"):
            await SeedLinkPluginPublisher(fd=unconnected.fileno()).open()
        closed = os.dup(unconnected.fileno())
    os.close(closed)
    with pytest.raises(ComponentError, match=rf"descriptor {closed} is not open; let seedlink start this program"):
        await SeedLinkPluginPublisher(fd=closed).open()
    with PipeServer() as server:
        with pytest.raises(ComponentError, match="is open for reading only"):
            await SeedLinkPluginPublisher(fd=server._read_fd).open()
        os.set_inheritable(server.fd, False)
        with pytest.raises(ComponentError, match="belongs to this program itself; let seedlink start it"):
            await SeedLinkPluginPublisher(fd=server.fd).open()
    (tmp_path / "plain").touch()
    for name, text in (("absent", "No such file or directory; mkfifo makes it"), ("plain", "is no named pipe")):
        with pytest.raises(ComponentError, match=text):
            await SeedLinkPluginPublisher(pipe=tmp_path / name).open()


async def test_frames_can_go_to_a_plain_file_for_a_test(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "frames", os.O_WRONLY | os.O_CREAT)
    os.set_inheritable(fd, True)
    async with opened(mode="raw", fd=fd) as publisher:
        await publisher.deliver([packet()])
    os.close(fd)
    assert (tmp_path / "frames").stat().st_size == 460


def checked(streams: list[str], **given: Any) -> str | None:
    """Return what the station file's reader would say."""
    options, mistakes = read_options(SeedLinkPluginPublisher, given, Path("/"))
    assert mistakes == []
    return SeedLinkPluginPublisher.check_streams([StreamId.parse(stream) for stream in streams], options)


@pytest.mark.parametrize(
    ("streams", "options", "reason"),
    [
        (["XX.DEMO.00.HHZ", "XX.DEMO.00.HHN"], {}, None),
        (["XX.DEMO.00.HHZ", "XX.DEMO.00.HHN"], {"mode": "raw"}, None),
        (["XX.DEMO.00.HHZ"], {"flush_each_packet": True, "encoding": "steim1"}, None),
        (["XX.DEMODEMO.00.HHZ"], {}, "'XX.DEMODEMO' has 11 characters"),
        (["XXX.DEMO.00.HHZ"], {}, "no room for network XXX"),
        (["XX.DEMO.00.HHZ", "XX.DEMO.10.HHZ"], {}, None),
        (["XX.DEMO.00.HHZ", "XX.DEMO.10.HHZ"], {"mode": "raw"}, "would both be channel HHZ of XX.DEMO; change channel"),
        (["XX.DEMO.00.HHZ", "XX.DEMO.10.HHZ"], {"mode": "raw", "channel_key": "{location}{channel}"}, None),
        (["XX.DEMO.00.H_VERYLONG_Z"], {"mode": "raw"}, "channel 'H_VERYLONG_Z' has"),
        ([], {"mode": "raw", "encoding": "steim1"}, "leave encoding out"),
        ([], {"flush_after_s": 2.0, "flush_each_packet": True}, "leave one of them out"),
        ([], {"fd": 5, "pipe": "x"}, "leave one of them out"),
    ],
)
def test_options_and_streams_that_do_not_go_together_are_told(
    streams: list[str], options: dict[str, Any], reason: str | None
) -> None:
    said = checked(streams, **options)
    assert said is None if reason is None else reason in str(said)


@pytest.mark.parametrize("pattern", ["{net}", "{", "", "{0}", "{network.size}"])
def test_a_pattern_that_names_nothing_is_refused(pattern: str) -> None:
    _, (mistake,) = read_options(SeedLinkPluginPublisher, {"station_key": pattern}, Path("/"))
    assert "is no pattern; it is made of text and {network}, {station}, {location}, {channel}" in mistake.text
