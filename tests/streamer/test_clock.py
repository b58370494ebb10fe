"""The sample clock: jitter of a busy computer, a wrong crystal, a clock that is set, a digitizer that stops."""

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.streamer import SampleClock
from rawdaq.times import NS_PER_S

BEGIN_NS = 1_795_219_200 * NS_PER_S


class Computer:
    """Reads blocks of a digitizer of 100 Hz, at times that a test says."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self.running_ns = 5 * NS_PER_S
        self.set_ns = BEGIN_NS - self.running_ns
        self.clock = SampleClock(100, latency_s, lambda: self.running_ns + self.set_ns, lambda: self.running_ns)

    def read(self, late_ns: Iterable[float], block_s: float = 1.0) -> list[float]:
        """Return where the clock puts blocks of 100 samples, in ns after they began, when each is read so late."""
        wrong: list[float] = []
        for late in late_ns:
            began_ns, self.running_ns = self.running_ns, self.running_ns + round(block_s * NS_PER_S)
            true_ns, kept_ns = began_ns + self.set_ns + 10_000_000, self.running_ns
            self.running_ns += round(late)
            wrong.append(self.clock.start_ns(100) - true_ns)
            self.running_ns = kept_ns
        return wrong


def busy(count: int, mean_ms: float = 2.0) -> list[float]:
    chance = random.Random(3)
    return [min(chance.expovariate(1 / mean_ms), 80) * 1e6 for _ in range(count)]


def steps(wrong: list[float]) -> list[float]:
    """Return by how much each block departs from where the one before it ended, in samples."""
    return [abs(after - before) / 1e7 for before, after in pairwise(wrong)]


def test_samples_are_counted() -> None:
    assert set(Computer().read([0] * 1000)) == {0}


def test_the_jitter_of_a_busy_computer_is_not_in_the_times() -> None:
    late = busy(1000)
    wrong = Computer().read(late)
    assert max(steps(wrong)) <= 0.25
    assert max(abs(each) for each in wrong[20:]) < 3e6 < max(late[20:]) / 4
    assert sum(steps(wrong)) / len(wrong) < 0.05


def test_a_block_that_is_read_seconds_late_shifts_nothing() -> None:
    late: list[float] = [0.0] * 100
    late[50:53] = [3e9, 2e9, 1e9]
    computer = Computer()
    wrong = computer.read(late)
    assert max(map(abs, wrong)) <= 1.5e6
    assert computer.clock.restarts == 0


@pytest.mark.parametrize("drift", [-100e-6, -20e-6, 20e-6, 100e-6, 150e-6])
def test_a_wrong_crystal_is_followed(drift: float) -> None:
    computer = Computer()
    wrong = computer.read(busy(3000, 0.2), 1 + drift)
    assert max(steps(wrong)) <= 0.25
    assert max(abs(each) for each in wrong[20:]) < 2e6
    assert computer.clock.restarts == 0


def test_a_first_block_that_is_read_late_is_corrected_without_a_gap() -> None:
    wrong = Computer().read([60e6] + [0] * 50)
    assert wrong[0] == 60e6
    assert max(steps(wrong)) <= 0.25
    assert abs(wrong[-1]) < 1


@pytest.mark.parametrize("by_s", [-3600, -0.2, 0.005, 1, 86_400])
def test_when_the_computers_clock_is_set_it_is_followed_at_once(by_s: float) -> None:
    computer = Computer()
    computer.read([0] * 10)
    computer.set_ns += round(by_s * NS_PER_S)
    assert set(computer.read([0] * 10)) == {0}
    assert computer.clock.restarts == 1


def test_samples_that_the_digitizer_lost_are_a_gap_after_ten_seconds() -> None:
    computer = Computer()
    computer.read([0] * 10)
    computer.running_ns += 2 * NS_PER_S
    wrong = computer.read([0] * 20)
    assert wrong[0] == -2e9
    assert set(wrong[11:]) == {0}
    assert computer.clock.restarts == 1


def test_blocks_that_are_late_now_and_then_lose_nothing() -> None:
    computer = Computer()
    wrong = computer.read([0, 0, 0.5e9] * 20)
    assert computer.clock.restarts == 0
    assert max(map(abs, wrong)) < 5e6


def test_a_first_block_that_is_read_far_too_late_is_begun_anew() -> None:
    computer = Computer()
    assert computer.read([0.5e9, 0, 0, 0]) == [0.5e9, 0, 0, 0]
    assert computer.clock.restarts == 1


def test_a_restart_begins_at_the_clock() -> None:
    computer = Computer()
    computer.read([0] * 10)
    computer.running_ns += 2 * NS_PER_S
    computer.clock.restart()
    assert set(computer.read([0] * 10)) == {0}
    assert computer.clock.restarts == 0


def test_what_a_digitizers_filter_delays_is_taken_off() -> None:
    assert set(Computer(latency_s=0.25).read([0.25e9] * 10)) == {0}


def test_odd_rates_do_not_add_up() -> None:
    now_ns = BEGIN_NS
    clock = SampleClock(300, clock_ns=lambda: now_ns, running_ns=lambda: now_ns)
    for index in range(100_000):
        now_ns = BEGIN_NS + round((index * 7 + 6) * NS_PER_S / 300)
        assert abs(clock.start_ns(7) - (BEGIN_NS + round(index * 7 * NS_PER_S / 300))) <= 2


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_wrong_rate_is_refused(rate: float) -> None:
    with pytest.raises(InvalidValue, match="such as 100"):
        SampleClock(rate)
    with pytest.raises(InvalidValue, match="0 samples"):
        SampleClock(100).start_ns(0)
