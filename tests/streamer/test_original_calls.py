"""A program that was written for the original device server runs with its import line changed."""

import contextlib
import struct
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

import rawdaq.streamer
import rawdaq.udp_streamer
from rawdaq.streamer import Channel, Streamer
from tests.helpers import environment
from tests.streamer_clients import TinyClient

#: The calls of the original's own example, in each of the ways that its users have of feeding.
PROGRAM = """
import datetime
import math
import sys

import numpy as np

import rawdaq.streamer as rs

one = rs.Channel(id=1, samprate=200, endianness=sys.byteorder, sampsize=2)
two = rs.Channel(id=2, samprate=100, endianness="big", samptype="int32")
three = rs.Channel(3, 50, "little", "int16")
streamers = [
    rs.Streamer(channels=[one, two], host="127.0.0.1", port=0),
    rs.Streamer([three], host="127.0.0.1", port=0),
]
for streamer in streamers:
    streamer.start()
print(*(streamer.address[1] for streamer in streamers), flush=True)
sys.stdin.readline()  # clients are there

begin = datetime.datetime(2026, 11, 21)
for second in range(3):
    samptime = begin + datetime.timedelta(seconds=second)
    for streamer in streamers:
        for channel in streamer.channels.values():
            count = channel.samprate
            samples = [int(60 * math.sin(2 * math.pi * each / count)) for each in range(count)]
            if second == 0:  # a list, with its timing quality
                streamer.feed_data(channel.id, samptime, 100, samples)
            elif second == 1:  # the older call, with an array that the program has packed itself
                order = ">" if channel.endianness == "big" else "<"
                streamer.feed_data(channel.id, samptime, np.array(samples, f"{order}i{channel.sampsize}"))
            else:
                streamer.feed_data(channel_id=channel.id, samptime=samptime, timing_quality=90, samples=samples)
    assert [1 in streamer.channels for streamer in streamers] == [True, False]
sys.stdin.readline()  # clients have all
for streamer in streamers:
    streamer.stop()
"""


@contextlib.contextmanager
def running(path: Path) -> Generator[subprocess.Popen[str]]:
    """Run PROGRAM."""
    path.write_text(PROGRAM)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, path], text=True, env=environment(), **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def test_the_calls_of_the_original_serve_samples(tmp_path: Path) -> None:
    with running(tmp_path / "program.py") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ports = [int(port) for port in process.stdout.readline().split()]
        with TinyClient(ports[0]) as first, TinyClient(ports[1]) as second:
            assert first.start(1, 2)[-1] == second.start(3)[-1] == "STARTING"
            print(file=process.stdin, flush=True)
            came = [_packet(first) for _ in range(6)] + [_packet(second) for _ in range(3)]
        print(file=process.stdin, flush=True)
        assert process.wait(30) == 0
    for channel, count in ((1, 200), (2, 100), (3, 50)):
        expected = (60 * np.sin(2 * np.pi * np.arange(count) / count)).astype(int).tolist()
        packets = [(second, quality, samples) for number, second, quality, samples in came if number == channel]
        assert packets == [(0, 100, expected), (1, 100, expected), (2, 90, expected)]


def _packet(client: TinyClient) -> tuple[int, int, int, list[int]]:
    """Return channel, second of the day, timing quality and samples of the next packet."""
    fields = struct.unpack(">HHBBBIBHI", client.read(18))
    assert fields[:4] == (2026, 325, 0, 0)
    dtype = np.dtype({1: "=i2", 2: ">i4", 3: "<i2"}[fields[7]])
    return fields[7], fields[4], fields[6], np.frombuffer(client.read(fields[8] * dtype.itemsize), dtype).tolist()


@pytest.mark.parametrize("make", [rawdaq.streamer.Streamer, rawdaq.udp_streamer.UDPStreamer])
def test_channels_are_a_mapping_that_nobody_changes(make: type[Streamer]) -> None:
    channels = [Channel(1, 100, samptype="int32"), Channel(7, 62.5, samptype="float64")]
    streamer = make(channels)
    assert dict(streamer.channels) == {1: channels[0], 7: channels[1]}
    with pytest.raises(TypeError):
        streamer.channels[2] = channels[0]  # type: ignore[index]  # that is the question
