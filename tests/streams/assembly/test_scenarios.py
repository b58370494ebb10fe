"""What happens in the middle of a run, and what has to come of it: 8 senders of 100 Hz in made-up time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rawdaq.streams.assembly.values import Rules
from rawdaq.times import NS_PER_S
from tests.streams.assembly.networks import MS, Fate, Outcome, instant_of, normal, run

HZ100 = 10 * MS
RULES = Rules(slots=8, window_ns=MS, max_wait_ns=NS_PER_S // 2)
T = 5 * NS_PER_S  # when it happens


def said(shift_ns: int, slots: Callable[[int], bool] = lambda slot: True, begin: int = T, end: int = 1 << 62) -> Fate:
    """Return senders whose clocks are wrong by *shift_ns* for a time."""

    def fate(slot: int, sent_ns: int) -> tuple[int, int]:
        arrival_ns, time_ns = normal(slot, sent_ns)
        return arrival_ns, time_ns + shift_ns * (slots(slot) and begin <= sent_ns < end)

    return fate


def alone(slot: int) -> bool:
    return slot == 3


def lost(outcome: Outcome) -> dict[str, int]:
    totals = outcome.assembly.totals()
    return {name: totals[name] for name in ("late", "astray", "set_aside", "copies", "conflicts", "open")}


NOTHING = {"late": 0, "astray": 0, "set_aside": 0, "copies": 0, "conflicts": 0, "open": 0}


def delays(outcome: Outcome) -> list[int]:
    """Return how long after its last arrival in time each readout left; those of the stop are left out."""
    return [left_ns - instant_of(readout.rows[0]) * HZ100 for left_ns, readout in outcome.left_ns if left_ns >= 0]


@pytest.mark.parametrize("slots", [8, 1])
@pytest.mark.parametrize("shift_s", [-5000 - T // NS_PER_S, -5, 3])
def test_a_step_of_all_clocks_is_an_epoch_and_loses_nothing(slots: int, shift_s: int) -> None:
    rules = replace(RULES, slots=slots)

    outcome = run(rules, range(1000), HZ100, said(shift_s * NS_PER_S))

    assert len(outcome.readouts) == len(outcome.full()) == 1000
    assert lost(outcome) == NOTHING
    assert outcome.assembly.epoch == 1
    assert [readout.epoch for readout in outcome.readouts] == [0] * 500 + [1] * 500
    assert [instant_of(readout.rows[0]) for readout in outcome.readouts] == list(range(1000))
    assert [readout.number for readout in outcome.readouts] == list(range(1, 1001))


@pytest.mark.parametrize("shift_s", [-5010, -5, 3])
def test_a_step_of_one_slow_sender_is_an_epoch_too(shift_s: int) -> None:
    outcome = run(replace(RULES, slots=1), range(30), NS_PER_S, said(shift_s * NS_PER_S, begin=10 * NS_PER_S))

    assert (len(outcome.readouts), outcome.assembly.epoch, lost(outcome)) == (30, 1, NOTHING)


def test_a_step_of_one_sender_every_eight_seconds_is_an_epoch_too() -> None:
    rules = replace(RULES, slots=1, absent_ns=30 * NS_PER_S)
    outcome = run(rules, range(30), 8 * NS_PER_S, said(-500 * NS_PER_S, begin=80 * NS_PER_S))

    assert (len(outcome.readouts), outcome.assembly.epoch, lost(outcome)) == (30, 1, NOTHING)


def test_a_small_step_back_is_late_and_no_epoch() -> None:
    outcome = run(RULES, range(1000), HZ100, said(-NS_PER_S // 2))

    assert outcome.assembly.epoch == 0
    assert [sender.late for sender in outcome.assembly.senders] == [50] * 8
    assert len(outcome.full()) == len(outcome.readouts) == 950


@pytest.mark.parametrize(("slots", "wrong"), [(8, 3), (2, 0), (2, 1)])
@pytest.mark.parametrize("shift_s", [-3600, 3600])
@pytest.mark.parametrize("for_s", [5, 1 << 30])
def test_a_sender_whose_clock_is_an_hour_wrong_delays_nothing(slots: int, wrong: int, shift_s: int, for_s: int) -> None:
    fate = said(shift_s * NS_PER_S, lambda slot: slot == wrong, end=T + for_s * NS_PER_S)

    outcome = run(replace(RULES, slots=slots), range(1500), HZ100, fate)

    count = min(for_s, 10) * 100
    # The first part of one that is right again may find that its readout has left: nobody waited for it.
    again = 1 if wrong == slots - 1 and for_s == 5 else 0
    assert len(outcome.readouts) == 1500
    assert len(outcome.full()) == 1500 - count - again
    assert max(delays(outcome)) < 1 * MS
    assert outcome.assembly.epoch == 0
    late, astray = (count, 0) if shift_s < 0 else (0, count)
    assert lost(outcome) == NOTHING | {"late": late + again, "astray": astray}
    assert [slot for slot, _ in outcome.texts] == [wrong] * (2 if for_s == 5 else 1)


def test_a_sender_a_little_ahead_makes_all_wait_for_the_others() -> None:
    outcome = run(RULES, range(1000), HZ100, said(7 * NS_PER_S // 10, alone))

    assert len(outcome.full()) == 930
    short = [readout for readout in outcome.readouts if len(readout.slots) < 8]
    assert [list(readout.slots) for readout in short] == [[0, 1, 2, 4, 5, 6, 7]] * 70 + [[3]] * 70
    assert lost(outcome) == NOTHING
    full = set(map(id, outcome.full()))
    ahead = [
        left_ns - readout.received_ns
        for left_ns, readout in outcome.left_ns
        if id(readout) in full and instant_of(readout.rows[0]) >= 640
    ]
    assert max(ahead) < 701 * MS


def test_a_sender_whose_packets_come_late_is_late_and_the_others_are_whole() -> None:
    def fate(slot: int, sent_ns: int) -> tuple[int, int]:
        arrival_ns, time_ns = normal(slot, sent_ns)
        return arrival_ns + 5 * NS_PER_S * (slot == 3 and sent_ns >= T), time_ns

    outcome = run(RULES, range(1500), HZ100, fate)

    assert lost(outcome) == NOTHING | {"late": outcome.assembly.senders[3].late}
    assert outcome.assembly.senders[3].late == 1000
    assert len(outcome.readouts) == 1500
    assert {len(readout.slots) for readout in outcome.readouts} == {7, 8}
    assert max(delays(outcome)) <= RULES.max_wait_ns + MS


def test_a_sender_that_dies_is_waited_for_until_it_is_absent() -> None:
    def fate(slot: int, sent_ns: int) -> tuple[int, int] | None:
        return None if slot == 3 and T <= sent_ns < T + 15 * NS_PER_S else normal(slot, sent_ns)

    outcome = run(RULES, range(3000), HZ100, fate)

    assert len(outcome.readouts) == 3000
    assert len(outcome.full()) in (1499, 1500)  # nobody waits for the first part of one that comes back
    assert lost(outcome)["late"] == 1500 - len(outcome.full())
    waited = [delay for delay in delays(outcome) if delay > MS]
    assert 950 < len(waited) <= 1000
    assert max(waited) <= RULES.max_wait_ns + MS
    reasons = outcome.reasons()
    assert reasons["timer"] in range(900, 1001)
    assert reasons["active"] + reasons["timer"] + reasons["complete"] == 3000
    assert [text for _, text in outcome.texts] == ["is absent: nothing came for 10.0 s", "is there again"]


def test_all_but_one_die_and_nothing_of_the_last_is_lost() -> None:
    def fate(slot: int, sent_ns: int) -> tuple[int, int] | None:
        return None if slot != 3 and sent_ns >= T else normal(slot, sent_ns)

    outcome = run(RULES, range(3000), HZ100, fate)

    assert len(outcome.readouts) == 3000
    assert lost(outcome) == NOTHING
    held = [delay for delay in delays(outcome) if delay > MS]
    assert len(held) in range(990, 1010)
    assert 9.9 * NS_PER_S < max(held) < 10.1 * NS_PER_S


def test_those_that_die_one_after_the_other_lose_nothing() -> None:
    def fate(slot: int, sent_ns: int) -> tuple[int, int] | None:
        return None if slot != 3 and sent_ns >= T + slot * 1_300 * MS else normal(slot, sent_ns)

    outcome = run(RULES, range(3000), HZ100, fate)

    assert len(outcome.readouts) == 3000
    assert lost(outcome) == NOTHING


def test_a_slot_that_never_sends_is_waited_for_at_the_start_only() -> None:
    def fate(slot: int, sent_ns: int) -> tuple[int, int] | None:
        return None if slot == 3 else normal(slot, sent_ns)

    outcome = run(RULES, range(2000), HZ100, fate)

    assert len(outcome.readouts) == 2000
    reasons = outcome.reasons()
    assert reasons["timer"] in range(940, 1001)
    assert reasons["active"] == 2000 - reasons["timer"]
    assert max(delays(outcome)) <= RULES.max_wait_ns + MS


@pytest.mark.parametrize("kept_s", [0, 2, 5])
def test_a_network_that_was_away_is_no_epoch(kept_s: int) -> None:
    """What it keeps comes in a burst afterwards: nothing, the first part, or all."""

    def fate(slot: int, sent_ns: int) -> tuple[int, int] | None:
        arrival_ns, time_ns = normal(slot, sent_ns)
        if T <= sent_ns < T + 5 * NS_PER_S:
            is_kept = sent_ns < T + kept_s * NS_PER_S
            return (T + 5 * NS_PER_S - 6 * MS + (sent_ns - T) // 1000 + slot, time_ns) if is_kept else None
        return arrival_ns, time_ns

    outcome = run(RULES, range(1500), HZ100, fate)

    assert outcome.assembly.epoch == 0
    assert len(outcome.full()) == len(outcome.readouts) == 1000 + kept_s * 100
    assert lost(outcome) == NOTHING


def test_after_a_long_silence_of_all_the_first_readout_is_full() -> None:
    def fate(slot: int, sent_ns: int) -> tuple[int, int] | None:
        return None if T <= sent_ns < T + 30 * NS_PER_S else normal(slot, sent_ns)

    outcome = run(RULES, range(3600), HZ100, fate)

    assert len(outcome.full()) == len(outcome.readouts) == 600
    assert lost(outcome) == NOTHING


def test_a_tail_is_published_after_max_wait() -> None:
    def fate(slot: int, sent_ns: int) -> tuple[int, int] | None:
        return None if slot == 3 and sent_ns >= 15 * HZ100 else normal(slot, sent_ns)

    outcome = run(RULES, range(20), HZ100, fate, after_ns=RULES.max_wait_ns, stop=False)

    assert len(outcome.readouts) == 20
    assert max(left_ns for left_ns, _ in outcome.left_ns) <= 19 * HZ100 + RULES.max_wait_ns + MS
    assert outcome.reasons() == {"complete": 15, "timer": 5}


def test_a_stop_publishes_all() -> None:
    def fate(slot: int, sent_ns: int) -> tuple[int, int] | None:
        return None if slot == 3 and sent_ns >= 15 * HZ100 else normal(slot, sent_ns)

    outcome = run(RULES, range(20), HZ100, fate)

    assert outcome.reasons() == {"complete": 15, "stop": 5}
    assert outcome.assembly.open_groups == 0


def test_rate_times_wait_is_no_limit() -> None:
    """The original lost all above 1000 groups without a word."""

    def fate(slot: int, sent_ns: int) -> tuple[int, int]:
        arrival_ns, time_ns = normal(slot, sent_ns)
        return arrival_ns + 9 * NS_PER_S * (slot == 3), time_ns  # all 1800 readouts of 9 s are open

    rules = Rules(
        slots=4, span_ns=10 * NS_PER_S, max_wait_ns=10 * NS_PER_S, absent_ns=20 * NS_PER_S, step_ns=10 * NS_PER_S
    )
    outcome = run(rules, range(3000), NS_PER_S // 200, fate)

    assert len(outcome.full()) == len(outcome.readouts) == 3000
    assert [instant_of(readout.rows[3]) for readout in outcome.readouts] == list(range(3000))
