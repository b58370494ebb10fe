"""Each fault does what it says, as often as it says, and the same for the same seed."""

import pytest

from rawdaq.receivers.simulator.faults import Clock, Delivery, Fault, Numbers, Way
from rawdaq.times import NS_PER_S

COUNT = 1000


def sent(*faults: Fault, seed: str = "1") -> tuple[Way, list[Delivery]]:
    """Return a way and what left it: messages 0.01 s apart, which carry their number."""
    way = Way(seed)
    left = [
        each
        for number in range(COUNT)
        for each in way.carry(number * NS_PER_S // 100, number, number.to_bytes(4, "big"), faults)
    ]
    return way, left + way.rest(COUNT * NS_PER_S // 100)


def numbers(left: list[Delivery]) -> list[int]:
    return [int.from_bytes(each.data, "big") for each in left if len(each.data) == 4]


def test_without_faults_everything_arrives_in_time() -> None:
    way, left = sent()
    assert numbers(left) == list(range(COUNT))
    assert [each.at_ns for each in left] == [number * NS_PER_S // 100 for number in range(COUNT)]
    assert (way.whole.text(), way.twice.text(), way.counts.made) == ("0-999", "", COUNT)


def test_what_is_lost_is_counted_and_missing_in_the_truth() -> None:
    way, left = sent(Fault(loss=0.1))
    assert 60 < way.counts.lost < 140
    assert len(left) == COUNT - way.counts.lost
    truth = Numbers()
    for number in numbers(left):
        truth.add(number)
    assert way.whole.text() == truth.text()


def test_what_is_doubled_comes_twice() -> None:
    way, left = sent(Fault(duplicate=0.2))
    found = numbers(left)
    twice = sorted({number for number in found if found.count(number) == 2})
    assert len(twice) == way.counts.duplicated > 100
    assert sorted(set(found)) == list(range(COUNT))


def test_what_is_out_of_order_comes_behind_so_many_others() -> None:
    way, left = sent(Fault(reorder=0.05, depth=3))
    found = numbers(left)
    assert sorted(found) == list(range(COUNT))
    late = [number for place, number in enumerate(found) if place and number < max(found[:place])]
    assert len(late) == pytest.approx(way.counts.reordered, abs=1)
    assert all(sum(other > number for other in found[: found.index(number)]) <= 4 for number in late)


def test_delay_and_jitter_are_bounded() -> None:
    _, left = sent(Fault(delay_s=0.5, jitter_s=0.1))
    late_ns = [each.at_ns - number * NS_PER_S // 100 for number, each in enumerate(left)]
    assert min(late_ns) >= NS_PER_S // 2
    assert max(late_ns) <= 6 * NS_PER_S // 10
    assert len(set(late_ns)) > COUNT // 2


def test_cut_messages_are_not_whole_and_garbage_comes_besides() -> None:
    way, left = sent(Fault(short=0.1, garbage=0.1))
    assert way.counts.cut > 50
    assert way.counts.garbage > 50
    assert len(left) == COUNT + way.counts.garbage
    assert sum(len(each.data) < 4 for each in left) == way.counts.cut
    assert sum(len(each.data) == 64 for each in left) == way.counts.garbage


def test_a_burst_comes_at_once_and_the_rest_at_the_end() -> None:
    _, left = sent(Fault(burst=300))
    assert numbers(left) == list(range(COUNT))
    assert sorted({each.at_ns for each in left}) == [299 * 10**7, 599 * 10**7, 899 * 10**7, COUNT * 10**7]


def test_a_seed_gives_the_same_and_another_one_others() -> None:
    fault = Fault(loss=0.1, duplicate=0.1, reorder=0.1, jitter_s=1, short=0.1, garbage=0.1)
    assert sent(fault)[1] == sent(fault)[1]
    assert sent(fault)[1] != sent(fault, seed="2")[1]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(at_s=10, clock_step_s=5), [1000, 1009, 1016, 1025]),
        (Fault(at_s=10, clock_step_s=-5, for_s=1), [1000, 1009, 1006, 1015]),
        (Fault(at_s=10, clock_reset=True), [1000, 1009, 1, 10]),
        (Fault(at_s=10, drift_ppm=1e6), [1000, 1009, 1012, 1030]),
        (Fault(at_s=30), [1000, 1009, 1011, 1020]),
    ],
)
def test_clocks(fault: Fault, expected: list[int]) -> None:
    clock = Clock(1000 * NS_PER_S)
    moments = range(21)
    read = {at_s: clock.read(at_s * NS_PER_S, [fault]) for at_s in moments}
    assert [read[at_s] // NS_PER_S for at_s in (0, 9, 11, 20)] == expected


def test_a_drift_that_ends_leaves_what_it_has_gained() -> None:
    clock = Clock(0)
    fault = Fault(at_s=0, for_s=10, drift_ppm=500_000)
    read = [clock.read(at_s * NS_PER_S, [fault]) for at_s in range(21)]
    assert (read[9], read[10], read[20]) == (13_500_000_000, 15 * NS_PER_S, 25 * NS_PER_S)


def test_of_very_many_ranges_the_first_are_kept() -> None:
    many = Numbers()
    for number in range(0, 400_000, 2):
        many.add(number)
    assert many.text().startswith("0,2,4")
    assert many.text().endswith("199998,...")
