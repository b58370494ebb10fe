"""Stamps that jitter make no gaps; what drifts is followed; what is missing is told."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from rawdaq.miniseed.format import RecordFormat
from rawdaq.packet import Packet, PacketRun
from rawdaq.streams.stats import Anomaly, Gap, Overlap, RateMismatch, Stats
from rawdaq.times import NS_PER_S, sample_time
from tests.helpers import until
from tests.makers import START_NS, STREAM, packet
from tests.record_makers import make, obspy_read
from tests.servers import Idle, Keeper, serving

COUNT = 1000


class Seen(NamedTuple):
    """What became of stamped packets."""

    packets: list[Packet]
    anomalies: list[Anomaly]
    departures: list[float]  # from their stamps, in samples


def seen(stamps_ns: Sequence[int], rate_hz: float = 100.0, size: int = 100) -> Seen:
    """Return what becomes of packets with such stamps, which come one after the other."""
    noise = np.random.default_rng(5).integers(-999, 999, len(stamps_ns) * size).astype(np.int32)
    stats, published, anomalies = Stats(), list[Packet](), list[Anomaly]()
    for index, stamp_ns in enumerate(stamps_ns):
        batch: list[Packet | PacketRun | bytes] = [
            Packet(STREAM, stamp_ns, rate_hz, noise[index * size : (index + 1) * size])
        ]
        anomalies += stats.add(batch)
        published += [one for one in batch if isinstance(one, Packet)]
    departures = [
        abs(one.start_ns - stamp) * rate_hz / NS_PER_S for one, stamp in zip(published, stamps_ns, strict=True)
    ]
    return Seen(published, anomalies, departures)


def stamps(jitter: npt.NDArray[np.float64], drift: float = 0.0, rate_hz: float = 100.0, size: int = 100) -> list[int]:
    """Return the stamps of packets, each wrong by *jitter* samples, of a device that is too slow by *drift*."""
    starts = (np.arange(len(jitter)) * size * (1 + drift) + jitter) / rate_hz
    return [START_NS + round(start * NS_PER_S) for start in starts]


def uniform(most: float, seed: int = 0, count: int = COUNT) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-most, most, count)


def late(mean: float, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return what a program is late that shares its computer: mostly little, sometimes much."""
    return np.minimum(np.random.default_rng(seed).exponential(mean, COUNT), 0.49)


@pytest.mark.parametrize("size", [1, 10, 100])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("most", [0.1, 0.3, 0.4])
def test_jitter_below_half_a_sample_makes_no_gaps_and_cuts_no_records(most: float, seed: int, size: int) -> None:
    given = seen(stamps(uniform(most, seed), size=size), size=size)
    assert given.anomalies == []
    assert max(given.departures) <= 0.5 + 1e-6
    records = make(given.packets)
    assert len(obspy_read(records)) == 1
    assert len(records) <= len(make(seen(stamps(uniform(0), size=size), size=size).packets)) + 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mean", [0.03, 0.1, 0.3])
def test_stamps_of_a_busy_computer_make_no_gaps(mean: float, seed: int) -> None:
    given = seen(stamps(late(mean, seed), drift=50e-6))
    assert given.anomalies == []
    assert len(obspy_read(make(given.packets))) == 1


@pytest.mark.parametrize("drift", [-1e-3, -3e-4, -20e-6, 20e-6, 3e-4, 1e-3])
@pytest.mark.parametrize("most", [0.0, 0.1])
def test_a_drift_is_followed_and_makes_no_gaps(drift: float, most: float) -> None:
    given = seen(stamps(uniform(most), drift))
    assert {type(one) for one in given.anomalies} <= {RateMismatch}
    assert max(given.departures) <= 0.5 + 1e-6
    assert len(obspy_read(make(given.packets))) == 1
    end_ns = START_NS + (COUNT - 1) * NS_PER_S * (1 + drift)
    assert abs(given.packets[-1].start_ns - end_ns) <= 5_000_000


@pytest.mark.parametrize("drift", [-50e-6, 0, 50e-6])
def test_good_stamps_are_kept_to_the_nanosecond(drift: float) -> None:
    given = seen(stamps(uniform(0.05), drift))
    assert max(given.departures) == 0


@pytest.mark.parametrize("most", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("missing", [1, 2, 50, -1, -30])
def test_samples_that_are_missing_or_too_many_are_told(missing: int, most: float) -> None:
    jitter = uniform(most)
    jitter[500:] += missing
    given = seen(stamps(jitter))
    assert [type(one) for one in given.anomalies] == [Gap if missing > 0 else Overlap]
    found = given.anomalies[0]
    assert isinstance(found, Gap | Overlap)
    assert found.samples == abs(missing)
    assert len(obspy_read(make(given.packets))) == 2


@pytest.mark.parametrize("step", [0.6, -0.6, 0.9])
def test_a_step_beyond_half_a_sample_of_good_stamps_is_told(step: float) -> None:
    jitter = uniform(0.0)
    jitter[20:] += step
    given = seen(stamps(jitter))
    assert [type(one) for one in given.anomalies] == [Gap if step > 0 else Overlap]


def test_a_missing_sample_is_told_from_the_second_packet_on() -> None:
    jitter = uniform(0.0, count=20)
    jitter[1:] += 1
    assert [type(one) for one in seen(stamps(jitter)).anomalies] == [Gap]


def test_jitter_that_ends_leaves_no_trace() -> None:
    jitter = uniform(0.4)
    jitter[200:] = 0
    assert max(seen(stamps(jitter)).departures[300:]) == 0


def test_of_one_stamp_alone_nobody_knows_how_wrong_it_is_at_the_start_and_after_a_gap() -> None:
    jitter = uniform(0.0, count=200)
    jitter[:20] = [0.4, -0.4] * 10
    assert seen(stamps(jitter)).anomalies == []
    jitter[:20] = 0
    jitter[100:] += 50
    jitter[100:120] += [0.4, -0.4] * 10
    assert [type(one) for one in seen(stamps(jitter)).anomalies] == [Gap]


def test_a_new_rate_begins_anew() -> None:
    stats = Stats()
    batch: list[Packet | PacketRun | bytes] = [packet(0), packet(1).shifted(4_000_000).replace(rate_hz=50.0)]
    kept = list(batch)
    assert stats.add(batch) == []
    assert batch == kept


def test_a_run_is_shifted_as_a_whole() -> None:
    rows = np.zeros((3, 100), np.int32)
    starts_ns = [sample_time(START_NS, index * 100, 100.0) + 2_000_000 for index in range(1, 4)]
    run = PacketRun(STREAM, starts_ns, 100.0, rows)
    batch: list[Packet | PacketRun | bytes] = [packet(0), run]
    Stats().add(batch)
    shifted = batch[1]
    assert isinstance(shifted, PacketRun)
    assert {now - before for now, before in zip(shifted.starts_ns, starts_ns, strict=True)} == {-1_000_000}


@pytest.mark.parametrize("has_stamps", [True, False])
async def test_receivers_publish_packets_where_their_samples_are_unless_others_have_put_them(has_stamps: bool) -> None:
    keeper = Keeper()
    server = Idle([keeper])
    server.stats.has_stamps = has_stamps
    given = [packet(index).shifted(shift) for index, shift in enumerate([0, 3_000_000, -3_000_000] * 10)]
    async with serving(server):
        await server.publish(given)
        await until(lambda: len(keeper.kept) == len(given))
        status = server.stats.streams[STREAM].report()
    kept = [one for one in keeper.kept if isinstance(one, Packet)]
    ends_ns = [one.next_ns for one in kept]
    steps_ns = [abs(one.start_ns - end_ns) for one, end_ns in zip(kept[1:], ends_ns, strict=False)]
    if has_stamps:
        assert status["gaps"] == status["overlaps"] == 0
        assert max(steps_ns) < 2_000_000
    else:
        assert [one.start_ns for one in kept] == [one.start_ns for one in given]
        assert status["overlaps"] == 10


def test_record_format_has_no_part_in_it() -> None:
    """Records of any length hold what jittering stamps bring, without stubs."""
    given = seen(stamps(uniform(0.4)))
    calm = seen(stamps(uniform(0.0)))
    for length in (256, 4096):
        wanted = RecordFormat(length_bytes=length)
        assert len(make(given.packets, wanted)) <= len(make(calm.packets, wanted)) + 2
