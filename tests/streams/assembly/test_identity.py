"""Whatever comes in whatever order: every part is in exactly one readout or counter."""

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rawdaq.streams.assembly.assembly import Assembly
from rawdaq.streams.assembly.values import Part, Readout, Rules
from rawdaq.times import NS_PER_S
from tests.streams.assembly.networks import MS, check_identity

_RULES = st.builds(
    Rules,
    slots=st.integers(1, 4),
    window_ns=st.sampled_from([1, MS, 4 * MS]),
    max_wait_ns=st.sampled_from([1, 20 * MS, NS_PER_S]),
    span_ns=st.sampled_from([None, 0, 50 * MS, NS_PER_S]),
    absent_ns=st.sampled_from([100 * MS, 10 * NS_PER_S]),
    max_open=st.sampled_from([1, 3, 4096]),
    max_open_bytes=st.sampled_from([1, 40, 256_000_000]),
    ordered=st.booleans(),
    keeps_last=st.booleans(),
    publishes_late=st.booleans(),
    step_ns=st.sampled_from([50 * MS, NS_PER_S]),
    reset_parts=st.integers(1, 3),
)
_WAIT_NS = st.sampled_from([0, 0, 1, 100_000, 5 * MS, 10 * MS, 200 * MS, 6 * NS_PER_S, 20 * NS_PER_S])
_JITTER_NS = st.sampled_from([0, 0, 0, 50_000, -50_000, 3 * MS, 20 * MS, -20 * MS, -600 * MS, 700 * MS])
_STEP_NS = st.sampled_from([0] * 8 + [-5 * NS_PER_S, 3 * NS_PER_S, 3600 * NS_PER_S])
#: Slot, wait before it, jitter of its time, step of its sender's clock, of all clocks, is it a repetition, which data.
_EVENT = st.tuples(st.integers(0, 3), _WAIT_NS, _JITTER_NS, _STEP_NS, _STEP_NS, st.booleans(), st.integers(0, 1))


@settings(max_examples=200, deadline=None)
@given(_RULES, st.lists(_EVENT, max_size=60), st.booleans())
def test_every_part_is_in_one_place(rules: Rules, events: list[tuple[int, ...]], has_turns: bool) -> None:
    assembly = Assembly(rules)
    now_ns, clocks = 0, [0] * 4
    sent: Counter[tuple[int, bytes]] = Counter()
    readouts: list[Readout] = []
    last: Part | None = None
    for number, (slot, wait_ns, jitter_ns, step_ns, all_ns, repeats, same) in enumerate(events):
        now_ns += wait_ns
        clocks = [clock + all_ns for clock in clocks]
        clocks[slot] += step_ns
        time_ns = now_ns + clocks[slot] + jitter_ns
        part = Part(slot % rules.slots, time_ns, time_ns, b"%d" % (0 if same else number))
        part = last if repeats and last else part
        last = part
        sent[part.slot, part.data] += 1
        while has_turns and (due_ns := assembly.due_ns) is not None and due_ns <= now_ns:
            readouts += assembly.due(due_ns)
        readouts += assembly.add(part, now_ns)
        check_identity(assembly)
        assert rules.max_open >= assembly.open_groups
    readouts += assembly.flush()
    check_identity(assembly)

    totals = assembly.totals()
    assert (totals["open"], totals["set_aside"]) == (0, 0)
    assert [each.number for each in readouts] == list(range(1, len(readouts) + 1))
    assert totals["in_readouts"] == sum(len(each.slots) for each in readouts)
    assert assembly.readouts == len(readouts) == sum(assembly.by_reason.values()) + assembly.late_readouts
    for each in readouts:
        assert list(each.slots) == sorted(set(each.slots))
    left = Counter((slot, row) for each in readouts for slot, row in zip(each.slots, each.rows, strict=True))
    assert left <= sent, "a row was published that nobody sent, or twice"
    times = [(each.epoch, each.time_ns) for each in readouts if not each.late]
    if rules.ordered:
        assert all(after[0] > before[0] or after[1] > before[1] - rules.window_ns for before, after in pairwise(times))
