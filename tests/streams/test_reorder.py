"""Packets that a network mixed up, doubled or lost come out once, in order, and no later than they must."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawdaq.packet import Packet, PacketRun
from rawdaq.stream_id import StreamId
from rawdaq.streams import reorder
from rawdaq.streams.reorder import Reorder
from rawdaq.streams.stats import Stats
from rawdaq.times import NS_PER_S, sample_time
from tests.makers import START_NS, STREAM, packet

OTHER = StreamId("XX", "DEMO", "00", "HHN")
MS = 1_000_000


def run(first: int, count: int, size: int = 100, rate_hz: float = 100.0) -> PacketRun:
    """Return packets *first* to *first + count* of `tests.makers.packet` as a run."""
    samples = np.arange(first * size, (first + count) * size, dtype="<i4").reshape(count, size)
    samples.flags.writeable = False
    starts_ns = [sample_time(START_NS, index * size, rate_hz) for index in range(first, first + count)]
    return PacketRun(STREAM, starts_ns, rate_hz, samples)


def singles(items: list[Packet | PacketRun]) -> list[Packet]:
    return [each for item in items for each in ([item] if isinstance(item, Packet) else item)]


def numbers(items: list[Packet | PacketRun]) -> list[int]:
    """Return the index of each packet, by its first sample."""
    return [int(each.samples[0]) // 100 for each in singles(items)]


def begun(wait_s: float = 0.5) -> Reorder:
    """Return an order whose stream has begun: packet 0 was published."""
    order = Reorder(wait_s)
    order.add([packet(0)], -NS_PER_S)
    order.release(0)
    return order


def counts(order: Reorder) -> dict[str, int]:
    return {name: count for name, count in order.report().get(str(STREAM), {}).items() if count}


def test_nothing_waits_as_long_as_nothing_is_missing() -> None:
    order = begun()
    first, second, third = packet(1), run(2, 3), packet(5)
    assert order.add([first], 0) == [first]
    assert order.add([second, third], 0) == [second, third]
    assert order.due_ns is None
    assert order.waiting_bytes == 0
    assert counts(order) == {}


def test_the_beginning_waits_for_what_may_come_before_it() -> None:
    order = Reorder(0.5)
    assert order.add([packet(2)], 0) == []
    assert order.add([packet(1)], 100 * MS) == []
    assert order.due_ns == 500 * MS
    assert order.release(499 * MS) == []
    assert numbers(order.release(500 * MS)) == [1, 2]
    assert counts(order) == {"reordered": 1}


def test_a_late_packet_is_put_where_it_belongs_and_frees_what_waits() -> None:
    order = begun()
    assert order.add([packet(2), packet(3)], 0) == []
    assert counts(order) == {"waiting": 2}
    assert numbers(order.add([packet(1)], 400 * MS)) == [1, 2, 3]
    assert order.due_ns is None
    assert counts(order) == {"reordered": 1}


def test_what_is_missing_is_waited_for_no_longer_than_said() -> None:
    order = begun()
    assert order.add([packet(2)], 0) == []
    assert order.add([packet(4)], 200 * MS) == []
    assert order.due_ns == 500 * MS
    assert numbers(order.release(500 * MS)) == [2]
    assert order.due_ns == 700 * MS
    assert numbers(order.release(700 * MS)) == [4]
    assert counts(order) == {"given_up": 2}
    assert order.add([packet(1), packet(3)], 710 * MS) == []
    assert numbers(order.add([packet(5)], 720 * MS)) == [5]
    assert counts(order) == {"given_up": 2, "too_late": 2}


def test_no_packet_waits_longer_because_another_came_before_it_in_time() -> None:
    order = begun()
    assert order.add([packet(9)], 0) == []
    assert order.add([packet(5)], 400 * MS) == []
    assert numbers(order.release(500 * MS)) == [5, 9]


def test_a_copy_is_dropped_whether_the_first_one_was_published_or_waits() -> None:
    order = begun()
    assert order.add([packet(0)], 0) == []
    assert order.add([packet(2)], 0) == []
    assert order.add([packet(2)], 0) == []
    assert numbers(order.add([packet(1), packet(1), packet(2)], 0)) == [1, 2]
    assert counts(order) == {"duplicates": 4, "reordered": 1}


def test_copies_are_known_in_runs_and_of_runs() -> None:
    order = begun()
    assert numbers(order.add([run(1, 5)], 0)) == [1, 2, 3, 4, 5]
    assert numbers(order.add([run(1, 5), packet(3), run(4, 4)], 0)) == [6, 7]
    assert counts(order) == {"duplicates": 8}


def test_runs_wait_and_are_freed_as_runs() -> None:
    order = begun()
    assert order.add([run(3, 4)], 0) == []
    assert counts(order) == {"waiting": 4}
    out = order.add([run(1, 2)], 0)
    assert [type(item) for item in out] == [PacketRun, PacketRun]
    assert numbers(out) == [1, 2, 3, 4, 5, 6]
    assert not any(item.samples.flags.writeable for item in out)
    assert counts(order) == {"reordered": 2}


def test_what_waits_keeps_nothing_else_in_memory() -> None:
    order = begun()
    burst = run(0, 1000)
    datagram_of_many = bytes(60_000)
    single = Packet(STREAM, packet(900).start_ns, 100.0, np.frombuffer(datagram_of_many, "<i4", 100, 400))
    assert order.add([burst[500:502], single], 0) == []
    waited, alone = order.flush()
    assert waited.samples.base is None
    assert isinstance(alone, Packet)
    assert type(alone.data.obj) is bytes


def test_streams_do_not_wait_for_each_other() -> None:
    order = begun()
    assert order.add([packet(3), packet(0, stream=OTHER)], 0) == []
    assert len(order.release(500 * MS)) == 2
    assert order.add([packet(7), packet(1, stream=OTHER)], 600 * MS) == [packet(1, stream=OTHER)]


def test_a_gap_without_room_for_a_packet_is_not_waited_for() -> None:
    order = begun()
    late = Packet(STREAM, packet(1).start_ns + 90 * MS, 100.0, packet(1).samples)  # nine samples: no packet is so small
    assert order.add([late], 0) == [late]
    small = Packet(STREAM, late.next_ns, 100.0, packet(2).samples[:5])
    assert order.add([small], 0) == [small]
    again = Packet(STREAM, small.next_ns + 90 * MS, 100.0, packet(3).samples)
    assert order.add([again], 0) == []


@pytest.mark.parametrize("late_ms", [-60, -6, -4, 4, 6])
def test_stamps_that_jitter_are_published_at_once(late_ms: int) -> None:
    order = begun()
    jittering = Packet(STREAM, packet(1).start_ns + late_ms * MS, 100.0, packet(1).samples)
    assert order.add([jittering], 0) == [jittering]


def test_without_waiting_packets_pass_as_they_come_and_copies_are_dropped() -> None:
    order = Reorder(0)
    assert numbers(order.add([packet(1), packet(0), packet(1), packet(5), run(3, 4)], 0)) == [1, 0, 5, 3, 4, 6]
    assert numbers(order.add([run(10, 3), run(7, 2)], 0)) == [10, 11, 12, 7, 8]
    assert order.due_ns is None
    assert counts(order) == {"duplicates": 2, "reordered": 5}


def test_flush_gives_all_that_waits() -> None:
    order = begun()
    order.add([packet(9), packet(5), packet(0, stream=OTHER)], 0)
    assert sorted(numbers(order.flush())) == [0, 5, 9]
    assert order.due_ns is None
    assert order.waiting_bytes == 0


def test_what_may_wait_is_bounded_and_the_largest_stream_gives_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reorder, "MAX_WAITING_BYTES", 4900)
    order = begun()
    assert order.add([packet(0, stream=OTHER), packet(2), packet(4)], 0) == []
    assert numbers(order.add([packet(6), packet(8)], 0)) == [2]
    assert order.waiting_bytes == 4800
    assert counts(order) == {"given_up": 1, "waiting": 3}
    assert numbers(order.release(500 * MS)) == [0, 4, 6, 8]


def test_old_packets_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reorder, "MAX_WAITING_BYTES", 4000)
    order = begun()
    assert order.add([packet(30)], 0) == []
    order.release(500 * MS)
    assert order.add([packet(index) for index in (1, 3, 5, 7)], 0) == []
    assert order.waiting_bytes == 0
    assert counts(order) == {"given_up": 1, "too_late": 4}


def test_packets_of_other_lengths_that_cover_the_same_time_come_once() -> None:
    order = begun()
    half = Packet(STREAM, packet(2).start_ns, 100.0, packet(2).samples[:50])
    tail = Packet(STREAM, packet(2).start_ns + 500 * MS, 100.0, packet(2).samples[50:])
    assert order.add([packet(2), half, tail], 0) == []
    assert numbers(order.add([packet(1)], 0)) == [1, 2]
    assert order.due_ns is None
    assert counts(order) == {"duplicates": 2, "reordered": 1}


# --- a clock that is set back --------------------------------------------------------------------------------------


def back(index: int) -> Packet:
    """Return packet *index* of a device whose clock was set back by an hour."""
    whole = packet(index)
    return Packet(STREAM, whole.start_ns - 3600 * NS_PER_S, 100.0, whole.samples)


def test_a_clock_that_was_set_back_is_followed_and_nothing_is_lost() -> None:
    order = begun()
    order.add([run(1, 5), packet(7)], 0)
    out: list[Packet | PacketRun] = []
    for index in range(8, 14):
        out += order.add([back(index), back(index)], index * 200 * MS)
    out += order.release(order.due_ns or 0)
    assert numbers(out) == [7, 8, 9, 10, 11, 12, 13]
    assert numbers(order.add([back(14)], 14 * 200 * MS)) == [14]
    assert counts(order)["restarts"] == 1
    assert "too_late" not in counts(order)


def test_stragglers_are_no_clock_that_was_set_back() -> None:
    order = begun()
    order.add([packet(30)], 0)
    order.release(500 * MS)
    for index in (3, 7, 5, 1, 9, 11):  # none follows another
        assert order.add([packet(index)], index * NS_PER_S) == []
    assert numbers(order.add([packet(31)], 12 * NS_PER_S)) == [31]
    assert counts(order) == {"given_up": 1, "too_late": 6}


def test_old_packets_that_come_between_others_stay_too_late() -> None:
    order = begun()
    order.add([packet(30)], 0)
    order.release(500 * MS)
    for index in range(1, 10):
        assert numbers(order.add([packet(index), packet(30 + index)], index * NS_PER_S)) == [30 + index]
    assert counts(order) == {"given_up": 1, "too_late": 9}
    assert order.waiting_bytes == 0


# --- all of it together --------------------------------------------------------------------------------------------


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reorder, "_KNOWN_PACKETS", 10)
    order = begun()
    for index in range(1, 100):
        order.add([packet(index)], 0)
    order.add([packet(98)], 0)
    assert counts(order) == {"duplicates": 1}
    order.add([packet(1), packet(100)], 0)
    assert counts(order) == {"duplicates": 1, "too_late": 1}


@st.composite
def networks(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Draw when which packet arrives, in order of arrival: late by less than is waited, lost, or several times."""
    arrivals = [(0, 0)]
    for index in range(1, draw(st.integers(1, 60))):
        copies = draw(st.sampled_from([0, 1, 1, 1, 1, 1, 1, 2, 3]))
        arrivals += [(index * 50 * MS + draw(st.integers(0, 490)) * MS, index) for _ in range(copies)]
    return sorted(arrivals)


@settings(max_examples=75, deadline=None)
@given(networks(), st.booleans())
def test_each_received_packet_comes_out_once_in_order_and_in_time(
    arrivals: list[tuple[int, int]], in_runs: bool
) -> None:
    order = Reorder(0.5)
    out: list[Packet | PacketRun] = []
    pending = list(arrivals)
    while pending:
        now_ns, index = pending.pop(0)
        item: Packet | PacketRun = packet(index)
        if in_runs:
            count = 1
            while pending and pending[0][1] == index + count:
                pending.pop(0)  # a run comes at once, in time for its first packet
                count += 1
            item = run(index, count)
        while order.due_ns is not None and order.due_ns <= now_ns:
            out += order.release(order.due_ns)
        out += order.add([item], now_ns)
    out += order.flush()
    received = sorted({index for _, index in arrivals})
    assert numbers(out) == received
    assert order.waiting_bytes == 0
    stats = Stats()
    stats.add([*out])
    assert stats.streams[STREAM].gaps == sum(later - index > 1 for index, later in pairwise(received))
    assert stats.streams[STREAM].overlaps == 0


def test_another_packet_of_the_same_time_is_no_copy() -> None:
    order = Reorder(0)
    first = packet(1)
    other = first.replace(samples=first.samples[::-1].copy())
    assert order.add([first, other, first, other], 0) == [first, other]
    assert counts(order) == {"duplicates": 2}


def test_a_leap_second_loses_nothing_and_its_overlap_is_seen() -> None:
    """Second 60 and the second after it are one POSIX time, and two packets."""
    times_s = [58, 59, 60, 60, 61]
    sent = [
        Packet(STREAM, START_NS + second * 10**9, 1.0, np.array([index], "<i4")) for index, second in enumerate(times_s)
    ]
    order = Reorder(0)
    assert [int(each.samples[0]) for each in order.add(sent, 0) if isinstance(each, Packet)] == [0, 1, 2, 3, 4]
