"""SeedLinkPlugin: a plugin in a few lines, read by a server's end that knows the pipe's description only."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from rawdaq.errors import ComponentError, LocalProtocolError
from rawdaq.miniseed.maker import RecordFormat, RecordMaker
from rawdaq.seedlink_plugin import PLUGIN_FD, PipeClosed, SeedLinkPlugin
from tests.helpers import environment, wait_for
from tests.makers import START_NS, packet
from tests.pipe_server import FLUSH, GAP, LOG, MSEED, RAW, RAW_TIME, PipeServer

WHEN = datetime(2026, 11, 21, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[PipeServer]:
    with PipeServer() as server:
        yield server


def record() -> bytes:
    """Return a miniSEED 2 record of 512 bytes."""
    (run,) = RecordMaker(RecordFormat(flush_after_s=0)).add([packet()], 0)
    return run.data


def test_everything_that_a_plugin_can_say_arrives(server: PipeServer) -> None:
    with SeedLinkPlugin(server.fd, clock=lambda: START_NS) as plugin:
        plugin.send_raw("XX.DEMO", "HHZ", WHEN, [1, -2, 3], timing_quality=100)
        plugin.send_gap("XX.DEMO", "HHZ", 7)
        plugin.send_flush("XX.DEMO", "HHZ")
        plugin.send_log("XX.DEMO", "door open")
        plugin.send_mseed(record())
        plugin.send_mseed(record(), "OTHER.KEY")
        server.read()
    server.fd = -1  # the plugin has closed it
    frames = server.frames
    assert [frame.kind for frame in frames] == [RAW_TIME, GAP, FLUSH, LOG, MSEED, MSEED]
    assert (frames[0].samples, frames[0].time, frames[0].quality) == ([1, -2, 3], (2026, 325, 1, 2, 3, 4), 100)
    assert frames[1].size == 7
    assert (frames[3].time, frames[3].payload) == ((2026, 325, 0, 0, 0, 0), b"door open\r\n")
    assert (frames[4].station, frames[5].station, frames[4].payload) == ("XX.DEMO", "OTHER.KEY", record())


@pytest.mark.parametrize(("rate_hz", "kinds"), [(None, [RAW_TIME, RAW, RAW]), (100.0, [RAW_TIME] * 3)])
def test_any_number_of_samples_may_go_in_one_call(server: PipeServer, rate_hz: float | None, kinds: list[int]) -> None:
    samples = np.arange(2500, dtype=">i2")
    SeedLinkPlugin(server.fd).send_raw("XX.DEMO", "HHZ", START_NS, samples, rate_hz=rate_hz)
    frames = server.read_to_end()
    assert [frame.kind for frame in frames] == kinds
    assert [value for frame in frames for value in frame.samples] == samples.tolist()


@pytest.mark.parametrize("is_blocking", [True, False])
def test_a_server_that_does_not_read_makes_the_call_wait_and_loses_nothing(
    server: PipeServer, is_blocking: bool
) -> None:
    os.set_blocking(server.fd, is_blocking)
    samples = np.arange(200_000)
    sending = threading.Thread(target=SeedLinkPlugin(server.fd).send_raw, args=("S", "C", START_NS, samples))
    sending.start()
    wait_for(lambda: server.waiting_bytes > 50_000)
    assert sending.is_alive()
    wait_for(lambda: server.read() and not sending.is_alive())
    sending.join()
    assert [value for frame in server.read_to_end() for value in frame.samples] == samples.tolist()


def test_a_closed_pipe_is_reported(server: PipeServer) -> None:
    server.stop()
    with pytest.raises(PipeClosed, match=rf"the SeedLink server has closed the pipe \(descriptor {server.fd}\)"):
        SeedLinkPlugin(server.fd).send_flush("S", "C")


def test_a_program_that_no_server_started_is_reported(server: PipeServer) -> None:
    closed = os.dup(server.fd)
    os.close(closed)
    with pytest.raises(ComponentError, match="is not open; let seedlink start this program"), SeedLinkPlugin(closed):
        pass
    with pytest.raises(ComponentError, match=f"cannot write to descriptor {closed}: Bad file descriptor"):
        SeedLinkPlugin(closed).send_flush("S", "C")


def test_after_its_end_a_plugin_sends_nothing(server: PipeServer) -> None:
    plugin = SeedLinkPlugin(server.fd)
    plugin.close()
    plugin.close()
    server.fd = -1
    with pytest.raises(ComponentError, match="this plugin is closed"):
        plugin.send_flush("S", "C")


@pytest.mark.parametrize(
    ("send", "args", "text"),
    [
        ("send_raw", ("S", "C", WHEN, [1.5]), "1-dimensional float64"),
        ("send_raw", ("S", "C", WHEN, [[1], [2, 3]]), "samples are not an array"),
        ("send_raw", ("S", "C", WHEN, [2**40]), "not in 32 bits"),
        ("send_raw", ("XX.STATION1", "C", WHEN, [1]), "has 11 characters"),
        ("send_mseed", (b"MS\x03" + bytes(509),), "not a miniSEED 2 record"),
        ("send_mseed", (record()[:256],), "record of 256 bytes"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_sent(
    server: PipeServer, send: str, args: tuple[Any, ...], text: str
) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        getattr(SeedLinkPlugin(server.fd), send)(*args)
    assert server.read_to_end() == []


def test_no_samples_are_no_frame(server: PipeServer) -> None:
    SeedLinkPlugin(server.fd).send_raw("S", "C", WHEN, [])
    assert server.read_to_end() == []


def test_a_plugin_of_a_few_lines_runs_as_the_server_starts_it(server: PipeServer) -> None:
    code = (
        "from rawdaq.seedlink_plugin import SeedLinkPlugin\n"
        "with SeedLinkPlugin() as plugin:\n"
        "    plugin.send_raw('XX.DEMO', 'HHZ', 0, range(3))\n"
    )

    as_the_server_does = f'exec "$0" -c "$1" {PLUGIN_FD}>&{server.fd}'
    subprocess.run(
        ["/bin/bash", "-c", as_the_server_does, sys.executable, code],
        env=environment(),
        pass_fds=(server.fd,),
        check=True,
        timeout=60,
    )
    (frame,) = server.read_to_end()
    assert (frame.kind, frame.samples, frame.time) == (RAW_TIME, [0, 1, 2], (1970, 1, 0, 0, 0, 0))
