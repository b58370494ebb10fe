"""The rules one by one."""

from dataclasses import replace

import pytest

from rawdaq.streams.assembly.assembly import Assembly
from rawdaq.streams.assembly.values import Part, Readout, Reason, Rules
from rawdaq.times import NS_PER_S
from tests.streams.assembly.networks import MS, check_identity

TWO = Rules(slots=2)
HEARD_NS = 1_000 * MS


def part(slot: int, time_ns: int, data: bytes = b"") -> Part:
    return Part(slot, time_ns, time_ns, data or b"%d@%d" % (slot, time_ns), 77)


def heard(rules: Rules, at_ns: int = 0) -> Assembly:
    """Return an assembly that has made one full readout."""
    assembly = Assembly(rules)
    made = [each for slot in range(rules.slots) for each in assembly.add(part(slot, at_ns), HEARD_NS)]
    assert [each.reason for each in made] == [Reason.COMPLETE]
    return assembly


def slots(readouts: list[Readout]) -> list[list[int]]:
    return [list(each.slots) for each in readouts]


@pytest.mark.parametrize(("distance_ns", "joins"), [(99, True), (100, False), (-99, True), (-100, False)])
def test_the_window_is_strict_on_both_sides(distance_ns: int, joins: bool) -> None:
    assembly = Assembly(replace(TWO, window_ns=100))
    assembly.add(part(0, 1000), 0)
    made = assembly.add(part(1, 1000 + distance_ns), 1)
    assert bool(made) is joins
    if joins:
        assert (made[0].time_ns, made[0].received_ns) == (min(1000, 1000 + distance_ns), 77)
    check_identity(assembly)


@pytest.mark.parametrize(("time_ns", "group"), [(1060, 1000), (1075, 1000), (1076, 1150), (1149, 1150)])
def test_a_part_joins_the_nearest_group_and_of_equal_ones_the_earlier(time_ns: int, group: int) -> None:
    assembly = Assembly(replace(TWO, window_ns=100))
    assembly.add(part(0, 1000), 0)
    assembly.add(part(0, 1150), 0)
    made = assembly.add(part(1, time_ns), 1)
    (full,) = [each for each in made + assembly.flush() if len(each.slots) == 2]
    assert full.rows[0] == b"0@%d" % group


@pytest.mark.parametrize("keeps_last", [False, True])
def test_a_part_that_comes_twice_is_a_copy_or_a_conflict_and_never_two_rows(keeps_last: bool) -> None:
    assembly = Assembly(replace(TWO, keeps_last=keeps_last))
    for data in (b"first", b"first", b"other"):
        assembly.add(part(0, 1000, data), 0)
    (readout,) = assembly.add(part(1, 1000), 1)
    assert slots([readout]) == [[0, 1]]
    assert readout.rows[0] == (b"other" if keeps_last else b"first")
    assert (assembly.senders[0].copies, assembly.senders[0].conflicts) == (1, 1)
    check_identity(assembly)


def test_a_later_part_that_stays_brings_its_time() -> None:
    assembly = Assembly(replace(TWO, keeps_last=True))
    assembly.add(part(0, 1000), 0)
    assembly.add(part(0, 1005), 0)
    (readout,) = assembly.add(part(1, 1010), 1)
    assert readout.time_ns == 1005


def test_a_copy_of_what_has_left_is_late() -> None:
    assembly = heard(TWO)
    assert assembly.add(part(0, 0), HEARD_NS + 1) == []
    assert assembly.senders[0].late == 1
    check_identity(assembly)


def test_late_parts_can_be_readouts_of_their_own() -> None:
    assembly = heard(replace(TWO, publishes_late=True))
    (late,) = assembly.add(part(1, 50, b"late"), HEARD_NS + 1)
    assert (late.number, late.late, late.time_ns) == (2, True, 50)
    assert (late.slots, late.rows) == ([1], [b"late"])
    assert (assembly.late_readouts, assembly.senders[1].late) == (1, 0)
    check_identity(assembly)


def test_a_group_can_open_before_others_while_these_have_not_left() -> None:
    assembly = heard(TWO)
    assembly.add(part(0, 50 * MS), HEARD_NS + 1)
    assembly.add(part(0, 20 * MS), HEARD_NS + 2)  # the network swapped them
    made = assembly.add(part(1, 20 * MS), HEARD_NS + 3)
    made += assembly.add(part(1, 50 * MS), HEARD_NS + 4)
    assert [each.time_ns for each in made] == [20 * MS, 50 * MS]


@pytest.mark.parametrize("ordered", [True, False])
def test_complete_readouts_wait_for_earlier_ones_only_when_they_are_ordered(ordered: bool) -> None:
    assembly = heard(replace(TWO, ordered=ordered))
    assembly.add(part(0, 20 * MS), HEARD_NS)
    assembly.add(part(0, 30 * MS), HEARD_NS)
    made = assembly.add(part(1, 30 * MS), HEARD_NS)
    assert [each.time_ns for each in made] == ([] if ordered else [30 * MS])
    made += assembly.add(part(1, 20 * MS), HEARD_NS)
    assert [each.time_ns for each in made] == ([20 * MS, 30 * MS] if ordered else [30 * MS, 20 * MS])
    assert [each.number for each in made] == [2, 3]
    check_identity(assembly)


def test_a_readout_that_waits_for_earlier_ones_still_takes_its_parts() -> None:
    rules = replace(Rules(slots=3), max_wait_ns=100 * MS)
    assembly = heard(rules)
    for slot in (0, 1):
        assembly.add(part(slot, 20 * MS), HEARD_NS)
    for slot in (0, 1):
        assembly.add(part(slot, 10 * MS), HEARD_NS + 50 * MS)  # its time is not over when that of the other is
    assert assembly.due(HEARD_NS + 100 * MS) == []
    assembly.add(part(2, 20 * MS), HEARD_NS + 101 * MS)
    made = assembly.add(part(2, 10 * MS), HEARD_NS + 102 * MS)
    assert [each.reason.value for each in made] == ["complete", "complete"]


def test_newer_data_finish_a_group() -> None:
    assembly = heard(replace(TWO, span_ns=NS_PER_S, max_wait_ns=9 * NS_PER_S))
    assembly.add(part(0, 10 * MS), HEARD_NS)
    made: list[Readout] = []
    for count in range(1, 103):
        time_ns = (count + 1) * 10 * MS
        made += assembly.add(part(0, time_ns), HEARD_NS + time_ns)
        made += assembly.add(part(1, time_ns), HEARD_NS + time_ns)
    assert made[0].reason is Reason.NEWER
    assert slots(made[:2]) == [[0], [0, 1]]
    assert made[0].time_ns == 10 * MS
    assert assembly.open_groups == 0


def test_without_span_only_time_finishes_a_group() -> None:
    rules = replace(TWO, span_ns=None, max_wait_ns=9 * NS_PER_S)
    assembly = heard(rules)
    assembly.add(part(0, 10 * MS), HEARD_NS)
    for count in range(1, 500):
        time_ns = (count + 1) * 10 * MS
        for slot in (0, 1):
            assert assembly.add(part(slot, time_ns), HEARD_NS + time_ns) == []
    made = assembly.due(HEARD_NS + 20 * MS + 9 * NS_PER_S)
    assert [each.reason.value for each in made] == ["timer"] + ["complete"] * 499


@pytest.mark.parametrize("bound", [{"max_open": 3}, {"max_open_bytes": 3 * len(b"0@10000000")}])
def test_too_many_open_readouts_leave_early_and_are_not_lost(bound: dict[str, int]) -> None:
    assembly = heard(
        replace(TWO, max_open=bound.get("max_open", 4096), max_open_bytes=bound.get("max_open_bytes", 256))
    )
    made = [each for at in range(1, 6) for each in assembly.add(part(0, at * 10 * MS), HEARD_NS + at * 10 * MS)]
    assert [each.reason.value for each in made] == ["full", "full"]
    assert [each.time_ns for each in made] == [10 * MS, 20 * MS]
    assert len(assembly.flush()) == 3
    check_identity(assembly)


def test_a_sender_that_drifts_away_from_all_others_is_astray() -> None:
    rules = Rules(slots=3, absent_ns=2 * NS_PER_S)
    assembly = heard(rules)
    made: list[Readout] = []
    for count in range(1, 800):
        now_ns = HEARD_NS + count * 10 * MS
        while (due_ns := assembly.due_ns) is not None and due_ns <= now_ns:
            made += assembly.due(due_ns)
        for slot in range(3):
            made += assembly.add(part(slot, count * 10 * MS * (2 if slot == 2 else 1)), now_ns)
    made += assembly.flush()
    check_identity(assembly)
    assert assembly.senders[2].astray > 0
    assert assembly.senders[0].late == assembly.senders[1].late == 0
    assert len([each for each in made if {0, 1} <= {*each.slots}]) == 799


def test_numbers_go_on_over_epochs_and_can_be_set() -> None:
    assembly = heard(replace(TWO, slots=1))
    assembly.next_number = 41
    made = [
        each for count in range(3) for each in assembly.add(part(0, -9 * NS_PER_S + count * MS), HEARD_NS + count * MS)
    ]
    assert [(each.number, each.epoch) for each in made] == [(41, 1), (42, 1), (43, 1)]


def test_a_majority_is_needed_for_an_epoch_and_it_must_agree() -> None:
    assembly = heard(Rules(slots=4))
    for count in range(5):
        for slot, off_s in ((0, 100), (1, 100), (2, 200)):
            assembly.add(part(slot, off_s * NS_PER_S + count * MS), HEARD_NS + count * MS)
    assert assembly.epoch == 0
    assert assembly.totals()["set_aside"] == 15
    made = [
        each for count in range(5) for each in assembly.add(part(3, 100 * NS_PER_S + count * MS), HEARD_NS + count * MS)
    ]
    made += assembly.flush()
    assert assembly.epoch == 1
    assert [(each.epoch, list(each.slots)) for each in made] == [(1, [0, 1, 3])] * 5
    check_identity(assembly)


def test_parts_that_do_not_rise_are_no_reset() -> None:
    assembly = heard(Rules(slots=1))
    for count in range(10):
        assembly.add(part(0, 100 * NS_PER_S - count * MS), HEARD_NS + count * MS)
    assert (assembly.epoch, assembly.totals()["set_aside"]) == (0, 10)
    assert assembly.due(HEARD_NS + 6 * NS_PER_S) == []
    assert assembly.totals()["set_aside"] == 3  # the last ones, which might be the first of a reset
    assembly.due(HEARD_NS + 11 * NS_PER_S)
    assert assembly.totals()["set_aside"] == 0
    assert assembly.senders[0].astray == 10


def test_what_was_kept_of_a_sender_that_is_right_again_is_counted_soon() -> None:
    assembly = heard(TWO)
    for count in range(2):
        assembly.add(part(0, 100 * NS_PER_S + count), HEARD_NS + count)
    assembly.due(HEARD_NS + 5 * NS_PER_S + 1)
    assert assembly.totals()["set_aside"] == 2
    assembly.add(part(0, 6 * NS_PER_S), HEARD_NS + 6 * NS_PER_S)
    assembly.due(HEARD_NS + 11 * NS_PER_S)
    assert assembly.totals()["set_aside"] == 0
    check_identity(assembly)


@pytest.mark.parametrize(("size_bytes", "limit"), [(1, 1000), (1_000_000, 256)])
def test_what_is_set_aside_is_bounded(size_bytes: int, limit: int) -> None:
    assembly = heard(TWO)
    data = bytes(size_bytes)
    for count in range(1500):
        assembly.add(part(0, 100 * NS_PER_S + count, data), HEARD_NS + count)
    assert assembly.totals()["set_aside"] == limit
    assert assembly.senders[0].astray == 1500 - limit
    check_identity(assembly)


def test_a_million_parts_leave_nothing_behind() -> None:
    """Not a million here: what does not grow from 2000 to 20 000 does not grow."""
    assembly = Assembly(Rules(slots=4))
    sizes: list[tuple[int, ...]] = []
    for count in range(5000):
        for slot in range(4):
            if (count + slot) % 7:
                assembly.add(part(slot, count * 10 * MS), count * 10 * MS + slot)
        assembly.due(count * 10 * MS + 5 * MS)
        assembly.changes()
        if count in (500, 4999):
            state = (assembly._groups, assembly._resets, assembly._clocks)
            sizes.append(
                tuple(
                    len(value) for each in state for _, value in sorted(vars(each).items()) if hasattr(value, "__len__")
                )
            )
    assert all(after <= before + 4 for before, after in zip(*sizes, strict=True)), sizes
    check_identity(assembly)
