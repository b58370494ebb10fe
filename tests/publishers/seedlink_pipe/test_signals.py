"""What SeedLinkPluginPublisher sends besides data: flushes, and signs of life."""

import asyncio
import contextlib
import os
import re

import pytest

from rawdaq.config.settings import StationSettings
from rawdaq.protocols.plugin_pipe.writer import PipeWriter
from rawdaq.seedlink_plugin import PipeClosed
from rawdaq.stream_id import StreamId
from tests.helpers import until
from tests.makers import START_NS, packet
from tests.pipe_server import FLUSH, LOG, RAW_TIME, PipeServer
from tests.publishers.pipe_publishers import FULL_BYTES, opened, raw


async def test_raw_mode_can_flush_each_packet(server: PipeServer) -> None:
    async with opened(server, mode="raw", flush_each_packet=True) as publisher:
        await publisher.deliver([packet(0), packet(1)])
    assert [frame.kind for frame in server.read_to_end()] == [RAW_TIME, FLUSH] * 2


async def test_raw_mode_can_flush_by_age_once_for_many_packets(server: PipeServer) -> None:
    other = StreamId("XX", "DEMO", "00", "HHN")
    async with opened(server, mode="raw", flush_after_s=3600) as publisher:
        await publisher.deliver([packet(0), packet(1), packet(0, stream=other)])
        planned = publisher._flushing
        assert planned is not None
        await publisher.deliver([packet(2)])
        assert publisher._flushing is planned
        planned.cancel()
        publisher._flush()  # as the timer does
        await until(lambda: FLUSH in [frame.kind for frame in server.read()])
        await until(lambda: len(server.read()) == 6)
    flushed = [frame.channel for frame in server.read_to_end() if frame.kind == FLUSH]
    assert flushed == ["HHZ", "HHN"]


async def test_what_waits_in_the_server_is_flushed_at_the_end(server: PipeServer) -> None:
    async with opened(server, mode="raw", flush_after_s=3600) as publisher:
        await publisher.deliver([packet(0)])
    assert [frame.kind for frame in server.read_to_end()] == [RAW_TIME, FLUSH]


async def test_a_flush_that_finds_the_pipe_full_comes_later(server: PipeServer) -> None:
    async with opened(server, mode="raw", flush_after_s=3600) as publisher:
        await publisher.deliver([packet(0)])
        planned = publisher._flushing
        assert planned is not None
        filling = PipeWriter()
        filling.send_flush("fill", "")
        frame = filling.data_to_send()
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(server.fd, frame)  # it does not block, since the publisher has taken it over
        planned.cancel()
        publisher._flush()  # as the timer does
        assert publisher._flushing is not None
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


async def test_silence_is_broken_by_a_line_in_the_log(server: PipeServer) -> None:
    station = StationSettings(network="XX", code="DEMO")
    async with opened(server, keepalive_s=0.02, station=station):
        await until(lambda: len(server.read()) >= 2)
    line = server.frames[0]
    assert (line.kind, line.station) == (LOG, "XX.DEMO")
    assert re.fullmatch(rb"rawdaq: no data for \d+ s, but still alive\r\n", line.payload)


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
