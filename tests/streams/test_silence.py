"""A stream that falls silent is logged once, and once when its packets come again."""

import logging
from collections.abc import Iterator

import numpy as np
import pytest

from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.streams.silence import Silence
from rawdaq.streams.stats import Stats
from rawdaq.times import NS_PER_S
from tests.makers import START_NS, STREAM

LOG = logging.getLogger("rawdaq.test")
OTHER = StreamId("XX", "DEMO", "00", "HHN")


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    with monkeypatch.context() as patch:
        patch.setattr("rawdaq.streams.stats.time.monotonic", clock)
        yield clock


def feed(stats: Stats, *streams: StreamId) -> None:
    stats.add([Packet(stream, START_NS, 100.0, np.zeros(100, "i4")) for stream in streams])


async def test_silence_is_logged_once_and_its_end_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    stats = Stats()
    silence = Silence(stats, LOG, clock=clock)
    feed(stats, STREAM, OTHER)
    clock.now_s += 9.9
    silence.look()
    assert caplog.messages == []
    feed(stats, OTHER)
    clock.now_s += 1.0
    silence.look()
    silence.look()
    assert caplog.messages == [f"silent: no packets of {STREAM} for 10.9 s"]
    assert [stats.of(each).report()["silent_s"] for each in (STREAM, OTHER)] == [10.9, None]
    clock.now_s += 128.0
    feed(stats, STREAM)
    silence.end()
    assert caplog.messages[1:] == [f"packets of {STREAM} come again after 2 min 18 s"]
    assert stats.of(STREAM).report()["silent_s"] is None
    silence.close()


async def test_a_slow_stream_is_not_silent_between_its_packets(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    stats = Stats()
    silence = Silence(stats, LOG, clock=clock)
    for _ in range(5):
        feed(stats, STREAM)
        clock.now_s += 60.0
    clock.now_s += 200.0
    silence.look()
    assert caplog.messages == []
    clock.now_s += 41.0
    silence.look()
    assert caplog.messages == [f"silent: no packets of {STREAM} for 5 min 1 s"]
    silence.close()


async def test_bursts_do_not_make_a_stream_look_fast(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    stats = Stats()
    silence = Silence(stats, LOG, clock=clock)
    for _ in range(5):
        clock.now_s += 30.0
        for _ in range(3):
            feed(stats, STREAM)
    clock.now_s += 100.0
    silence.look()
    assert caplog.messages == []
    silence.close()


async def test_the_limit_may_be_given(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    stats = Stats()
    silence = Silence(stats, LOG, 2.0, clock)
    feed(stats, STREAM)
    clock.now_s += 2.5
    silence.look()
    assert caplog.messages == [f"silent: no packets of {STREAM} for 2.5 s"]
    silence.close()


async def test_it_wakes_up_only_while_packets_are_expected(clock: Clock) -> None:
    stats = Stats()
    silence = Silence(stats, LOG, clock=clock)
    feed(stats, STREAM)
    silence.watch()
    assert silence.is_watching
    clock.now_s += 20.0
    silence.look()
    assert not silence.is_watching
    silence.close()


async def test_an_expected_stream_that_never_comes_is_silent(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    stats = Stats()
    silence = Silence(stats, LOG, clock=clock)
    silence.expect([STREAM, OTHER])
    feed(stats, STREAM)
    clock.now_s += 9.0
    feed(stats, STREAM)
    clock.now_s += 1.0
    silence.look()
    assert caplog.messages == [f"silent: no packets of {OTHER} for 10.0 s"]
    feed(stats, OTHER)
    assert stats.came_back == [(OTHER, 10.0)]
    silence.close()


async def test_a_source_that_is_at_its_end_or_paused_is_not_silent(clock: Clock) -> None:
    stats = Stats()
    silence = Silence(stats, LOG, clock=clock)
    feed(stats, STREAM)
    stats.expect_none()
    clock.now_s += 100
    silence.look()
    assert stats.streams[STREAM].report()["silent_s"] is None
    feed(stats, STREAM)
    clock.now_s += 11
    silence.look()
    assert stats.streams[STREAM].report()["silent_s"] == 11.0, "the pause was no packet interval"
    stats.expect_none()
    assert stats.streams[STREAM].report()["silent_s"] is None
    silence.close()


async def test_a_clock_that_is_ahead_is_logged_once_and_once_when_it_is_right_again(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    stats = Stats()
    silence = Silence(stats, LOG, clock=clock)
    for index, ahead_s in enumerate((4576, 4576, 0, 0, 200_000)):
        received_ns = START_NS + index * NS_PER_S - ahead_s * NS_PER_S
        samples = np.zeros(100, "i4")
        stats.add([Packet(STREAM, START_NS + index * NS_PER_S, 100.0, samples, received_ns=received_ns)])
        silence.look()
    assert [record.getMessage() for record in caplog.records] == [
        f"{STREAM} latency -4577.0 s: clocks differ",
        f"the time of {STREAM} is right again",
    ]
    silence.close()
