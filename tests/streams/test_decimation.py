import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rawdaq.config.decimation import DecimationSettings
from rawdaq.packet import Packet, PacketRun
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.stream_id import StreamId
from rawdaq.streams.decimation import Decimation
from rawdaq.streams.decimator import Decimator
from rawdaq.streams.stats import Stats
from rawdaq.times import NS_PER_S, sample_time
from tests.helpers import until
from tests.makers import START_NS, STREAM, packet

LOG = logging.getLogger("rawdaq.test")
SLOW = StreamId("XX", "DEMO", "00", "BHZ")


@cache
def length() -> int:
    """Return how many samples one output depends on; the filter is designed by the first test that asks."""
    return 2 * Decimator(10).delay + 1


def decimation(**settings: Any) -> Decimation:
    chosen: dict[str, Any] = {"rate_hz": 10, "type": "float64", **settings}
    return Decimation({"slow": DecimationSettings(**chosen)}, LOG)


def joined(packets: Sequence[Packet]) -> Any:
    return np.concatenate([each.samples for each in packets])


def shown(made: Decimation) -> Any:
    return made.status()["slow"]


def test_a_decimated_stream_has_a_name_of_its_own() -> None:
    sources = [packet(index, timing_quality=index, received_ns=index + 1) for index in range(50)]
    made = decimation().add(sources)
    decimator = Decimator(10)
    assert {each.stream for each in made} == {SLOW}
    assert {each.rate_hz for each in made} == {10.0}
    assert np.array_equal(joined(made), decimator.push(joined(sources)))
    first, second = made[:2]
    whole, rest = divmod(decimator.delay, 100)
    assert first.start_ns == sources[whole].start_ns + rest * NS_PER_S // 100
    assert (first.timing_quality, first.received_ns) == (whole, (length() - 1) // 100 + 1)
    assert second.start_ns == first.next_ns
    assert made[-1].end_ns <= sources[-1].end_ns - decimator.delay * NS_PER_S // 100


@given(sizes=st.lists(st.integers(0, 400), min_size=20, max_size=60), jitter=st.lists(st.integers(-900, 900)))
@hypothesis_settings(deadline=None, max_examples=40)
def test_each_packet_bears_the_time_of_its_sample_by_the_stamp_of_the_packet_in_which_that_lies(
    sizes: list[int], jitter: list[int]
) -> None:
    stamps_ns, made = np.zeros(sum(sizes), np.int64), list[Packet]()
    maker, begin = decimation(), 0
    for index, size in enumerate(sizes):
        late_ns = jitter[index % len(jitter)] if jitter else 0
        source = Packet(STREAM, sample_time(START_NS, begin, 100) + late_ns, 100.0, np.zeros(size, "<i2"))
        stamps_ns[begin : begin + size] = source.start_ns + np.arange(size) * (NS_PER_S // 100)
        made += maker.add([source])
        begin += size
    position = Decimator(10).delay
    for each in made:
        assert each.start_ns == stamps_ns[position]
        position += 10 * each.samples.size
    assert position + 10 > sum(sizes) - Decimator(10).delay


def test_a_run_of_packets_gives_what_its_packets_give_with_the_stamp_of_the_right_one() -> None:
    sources = [packet(index, size=10, timing_quality=7) for index in range(300)]
    starts_ns = [each.start_ns + index % 3 * 100 for index, each in enumerate(sources)]
    rows = np.stack([each.samples for each in sources])
    run = PacketRun(STREAM, starts_ns, 100.0, rows, 7, received_ns=3)
    (whole,) = decimation().add([run])
    one_by_one = decimation().add(list(run))
    assert np.array_equal(joined([whole]), joined(one_by_one))
    assert (whole.start_ns, whole.timing_quality) == (one_by_one[0].start_ns, 7)
    assert whole.start_ns == starts_ns[Decimator(10).delay // 10] + Decimator(10).delay % 10 * NS_PER_S // 100


@pytest.mark.parametrize("shift_ns", [4_999_999, -4_999_999])
def test_what_is_within_half_a_sample_interval_continues(shift_ns: int) -> None:
    sources = [each.replace(start_ns=each.start_ns + shift_ns * (index > 20)) for index, each in _numbered(40)]
    assert joined(decimation().add(sources)).size == (4000 - length()) // 10 + 1


def _numbered(count: int) -> list[tuple[int, Packet]]:
    return list(enumerate(packet(index) for index in range(count)))


def _shifted(late: Packet, by_ns: int) -> Packet:
    return late.replace(start_ns=late.start_ns + by_ns)


def _halved(late: Packet) -> Packet:
    """Return *late* at half the rate, as part of a contiguous run that begins when the others end."""
    middle_ns = START_NS + 20 * NS_PER_S
    return late.replace(rate_hz=50.0, start_ns=middle_ns + 2 * (late.start_ns - middle_ns))


CHANGES: dict[str, Callable[[Packet], Packet]] = {
    "gap": lambda late: _shifted(late, 5_000_001),
    "overlap": lambda late: _shifted(late, -5_000_001),
    "type": lambda late: late.replace(samples=late.samples.astype("<f4")),
    "rate": _halved,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_gap_an_overlap_another_type_or_another_rate_begins_anew(name: str) -> None:
    before, after = [packet(index) for index in range(20)], [CHANGES[name](packet(index)) for index in range(20, 60)]
    made = decimation().add([*before, *after])
    factor = int(after[0].rate_hz / 10)
    expected = [Decimator(10).push(joined(before)), Decimator(factor).push(joined(after))]
    assert np.array_equal(joined(made), np.concatenate(expected))
    first_after = next(each for each in made if each.start_ns >= after[0].start_ns)
    assert first_after.start_ns == after[0].start_ns + sample_time(0, Decimator(factor).delay, after[0].rate_hz)


def test_the_byte_order_may_change_without_a_gap() -> None:
    swapped = [each.replace(samples=each.samples.astype(">i4" if index % 2 else "<i4")) for index, each in _numbered(9)]
    plain = [packet(index) for index in range(9)]
    assert np.array_equal(
        joined(decimation().add([*swapped, packet(9)])), joined(decimation().add([*plain, packet(9)]))
    )


@pytest.mark.parametrize(
    ("settings", "rate_hz", "reason"),
    [
        ({}, 105.0, "its rate 105 Hz is not a whole multiple of 10 Hz"),
        ({}, 10.0, "its rate 10 Hz is not a whole multiple of 10 Hz"),
        ({}, 5.0, "its rate 5 Hz is not a whole multiple of 10 Hz"),
        ({}, 1010.0, "its factor 101 is above 100"),
    ],
)
def test_a_rate_that_does_not_suit_is_logged_once_and_counted(
    settings: dict[str, Any], rate_hz: float, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    maker = decimation(**settings)
    assert maker.add([packet(index, rate_hz=rate_hz) for index in range(50)]) == []
    assert caplog.text.count(reason) == 1
    assert shown(maker)["refused"] == 50
    assert reason in shown(maker)["reasons"][str(STREAM)]
    assert shown(maker)["streams"] == {}


def test_a_stream_whose_rate_becomes_a_good_one_is_decimated(caplog: pytest.LogCaptureFixture) -> None:
    maker = decimation()
    for _ in range(3):
        assert maker.add([packet(0, rate_hz=105.0)]) == []
        assert maker.add([packet(index) for index in range(20)]) != []
    assert caplog.text.count("is not a whole multiple") == 1
    assert shown(maker)["streams"] == {str(STREAM): str(SLOW)}
    assert (shown(maker)["refused"], shown(maker)["reasons"]) == (3, {})


def test_a_third_may_be_written_with_seven_digits() -> None:
    made = decimation(rate_hz=33.33333).add([packet(index) for index in range(20)])
    assert {each.rate_hz for each in made} == {100 / 3}


def test_only_the_streams_asked_for_have_one_and_plain_bytes_pass_by() -> None:
    maker = decimation(streams=["*.HH[EN]"])
    other = StreamId("XX", "DEMO", "00", "HHN")
    made = maker.add([item for index in range(20) for item in (packet(index), b"plain", packet(index, stream=other))])
    assert {str(each.stream) for each in made} == {"XX.DEMO.00.BHN"}


def test_two_entries_of_a_stream_do_not_know_each_other() -> None:
    both = Decimation({"a": DecimationSettings(rate_hz=10), "b": DecimationSettings(rate_hz=1)}, LOG)
    made = both.add([packet(index) for index in range(120)])
    assert {each.stream.channel for each in made} == {"BHZ", "LHZ"}


def test_a_decimated_stream_that_would_have_the_name_of_another_stream_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    maker = Decimation({"a": DecimationSettings(rate_hz=10), "b": DecimationSettings(rate_hz=20)}, LOG)
    made = maker.add([packet(index) for index in range(20)])
    assert {each.rate_hz for each in made} == {10.0}
    assert caplog.text.count("there is a stream of this name") == 1
    assert maker.status()["b"]["refused"] == 20  # type: ignore[index]
    same = decimation(band="H")
    assert same.add([packet(index) for index in range(20)]) == []
    assert shown(same)["refused"] == 20


def test_a_decimated_stream_makes_way_for_a_source_that_comes_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    maker = decimation()
    assert maker.add([packet(index) for index in range(20)])
    assert maker.add([packet(0, stream=SLOW, rate_hz=1.0)]) == []
    assert maker.add([packet(index) for index in range(20, 40)]) == []
    assert caplog.text.count("a source has this name") == 1
    assert shown(maker)["reasons"][str(STREAM)].startswith("a source has this name")


def test_integers_are_rounded_to_the_nearest_and_what_does_not_fit_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sources = [each.replace(samples=np.full(100, 2.5 + index % 2, "<f8")) for index, each in _numbered(20)]
    exact, rounded = decimation().add(sources), decimation(type="int32").add(sources)
    assert joined(rounded).dtype == np.int32
    assert np.array_equal(joined(rounded), np.rint(joined(exact)))
    for value in (3e9, -3e9, np.nan):
        maker = decimation(type="int32")
        assert maker.add([each.replace(samples=np.full(100, value)) for _, each in _numbered(20)]) == []
        assert shown(maker)["refused"] == 20 - (length() - 1) // 100
    assert caplog.text.count("does not fit into int32") == 3


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_of_what_does_not_fit_only_that_is_left_out_however_the_source_is_cut(size: int) -> None:
    values = np.sin(np.arange(5000) / 50) * 2.0**31.2
    made = decimation(type="int32", band="L").add(
        Packet(STREAM, sample_time(START_NS, first, 100.0), 100.0, values[first : first + size])
        for first in range(0, values.size, size)
    )
    outputs = np.rint(Decimator(10).push(values))
    is_good = np.abs(outputs) < 2.0**31
    assert 0 < is_good.sum() < is_good.size
    assert np.array_equal(joined(made), outputs[is_good])
    first_ns = sample_time(START_NS, Decimator(10).delay, 100.0)
    times_ns = [sample_time(each.start_ns, index, 10.0) for each in made for index in range(each.samples.size)]
    assert times_ns == [sample_time(first_ns, int(index), 10.0) for index in np.flatnonzero(is_good)]


def test_floats_are_float32_unless_they_do_not_fit_and_stay_what_they_are_when_no_number() -> None:
    def filled(value: float, **settings: Any) -> list[Packet]:
        return decimation(**settings).add([each.replace(samples=np.full(100, value)) for _, each in _numbered(20)])

    assert DecimationSettings(rate_hz=1).type == "float32"
    assert joined(filled(1e39, type="float64")).max() > 9e38
    assert filled(1e39, type="float32") == []
    assert np.isnan(joined(filled(np.nan, type="float32"))).all()
    assert joined(filled(1.5, type="float32")).dtype == np.float32


def test_a_mistake_of_ours_ends_this_decimated_stream_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    maker, push = decimation(), Decimator.push

    def failing(self: Decimator, samples: Any) -> Any:
        if samples[0] == 100:
            raise ZeroDivisionError
        return push(self, samples)

    monkeypatch.setattr(Decimator, "push", failing)
    other = StreamId("XX", "DEMO", "00", "HHN")
    shifted = [packet(index + 50, stream=other) for index in range(20)]
    made = maker.add([item for index in range(20) for item in (packet(index), shifted[index])])
    assert {str(each.stream) for each in made} == {"XX.DEMO.00.BHN"}
    assert caplog.text.count("decimating XX.DEMO.00.HHZ failed") == 1
    assert shown(maker)["refused"] == 19


class Keeper(Publisher):
    """Keeps what it gets."""

    def __init__(self) -> None:
        super().__init__("keeper")
        self.kept: list[Packet] = []

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        self.kept += [item for item in batch if isinstance(item, Packet)]


@pytest.mark.parametrize("numbers_packets", [True, False])
async def test_a_receiver_publishes_and_counts_decimated_streams_as_streams_of_its_own(numbers_packets: bool) -> None:
    keeper = Keeper()
    server = ReceiverServer("127.0.0.1", 0, [keeper], "Main")
    server.numbers_packets = numbers_packets
    server.decimation = {"slow": DecimationSettings(rate_hz=10)}
    server.setup_udp(asyncio.DatagramProtocol)
    task = asyncio.ensure_future(server.serve())
    await until(lambda: task.done() or server.cmd_status()["state"] == "running")
    for index in range(30):
        await server.publish([packet(index, sequence=900 + index), b"plain"])
    status: Any = server.cmd_status()
    server.stop()
    await task
    sources = [each for each in keeper.kept if each.stream == STREAM]
    made = [each for each in keeper.kept if each.stream == SLOW]
    assert len(sources) == 30
    assert [each.sequence for each in made] == list(range(len(made)))
    assert sources[0].sequence == (0 if numbers_packets else 900)
    assert status["streams"][str(SLOW)]["samples"] == joined(made).size == (3000 - length()) // 10 + 1
    assert status["streams"][str(SLOW)]["gaps"] == 0
    assert status["decimation"]["slow"]["streams"] == {str(STREAM): str(SLOW)}


def test_a_gap_of_the_source_is_a_gap_of_the_decimated_stream_longer_by_the_filter() -> None:
    stats, maker = Stats(), decimation()
    sources = [packet(index) for index in range(100) if index not in (50, 51)]
    made = maker.add(sources)
    anomalies = stats.add([*made])
    (gap,) = [each for each in anomalies if each.stream == SLOW]
    assert str(gap).startswith("XX.DEMO.00.BHZ gap of ")
    spans_s = [(each.end_ns - each.start_ns) / NS_PER_S for each in anomalies]  # type: ignore[union-attr]
    assert spans_s == [pytest.approx(2 + (length() - 1) / 100, abs=0.1)]
    assert len(made) > 50
