"""A device that stamps its packets with a busy computer's clock: no gaps told, live or in the archive."""

import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from obspy import read

from rawdaq.config.settings import StationSettings
from rawdaq.packet import Packet
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.receivers.raw_tcp import RawReceiver
from rawdaq.streamer import Channel, Streamer
from tests import makers
from tests.helpers import until
from tests.servers import Keeper, serving

START_NS = makers.START_NS + 3600 * 10**9
PACKETS = 300
NOISE = np.random.default_rng(1).integers(-999, 999, PACKETS * 100).astype(np.int32)


async def test_stamps_that_jitter_make_no_gaps_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    jitter = np.random.default_rng(2).uniform(-4_000_000, 4_000_000, PACKETS).astype(int)
    keeper, archive = Keeper(), MiniSeedPublisher(tmp_path)
    with Streamer([Channel(1, 100, samptype="int32")], port=0) as streamer:
        station = StationSettings(network="XX", code="DEMO", location="00")
        receiver = RawReceiver([keeper, archive], station, channels={1: "HHZ"}, port=streamer.port)
        async with serving(receiver):
            await until(lambda: streamer.clients == 1)
            for index in range(PACKETS):
                stamp_ns = START_NS + index * 10**9 + int(jitter[index])
                streamer.feed_data(1, stamp_ns, NOISE[index * 100 : (index + 1) * 100])
            await until(lambda: len(keeper.kept) == PACKETS)
            (shown,) = receiver.stats.streams.values()
            assert (shown.gaps, shown.overlaps) == (0, 0)
    assert "gap" not in caplog.text
    live = [packet for packet in keeper.kept if isinstance(packet, Packet)]
    assert all(abs(after.start_ns - before.next_ns) <= 5_000_000 for before, after in pairwise(live))
    stream = read(tmp_path / "2026/XX/DEMO/HHZ.D/XX.DEMO.00.HHZ.D.2026.325")
    assert len(stream) == 1
    assert np.array_equal(stream[0].data, NOISE)
    assert abs(stream[0].stats.starttime.ns - START_NS) <= 5_000_000
