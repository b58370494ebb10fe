"""Parts of packets and runs hold the samples, times and indices that they had in the whole."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.journal.pieces import nothing_of, parts, rest
from rawdaq.packet import Packet, PacketRun
from rawdaq.times import sample_time
from tests.makers import START_NS, STREAM, message


def made(count: int, size: int) -> Packet | PacketRun:
    samples = np.arange(count * size, dtype="<i4").reshape(count, size)
    if count == 1:
        return Packet(STREAM, START_NS, 100.0, samples[0], 50, 7, 9)
    starts_ns = [sample_time(START_NS, index * size, 100.0) for index in range(count)]
    return PacketRun(STREAM, starts_ns, 100.0, samples, 50, 7, 9)


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_a_part_is_what_it_was_in_the_whole(count: int, size: int, data: st.DataObject) -> None:
    item = made(count, size)
    begin = data.draw(st.integers(0, item.size))
    end = data.draw(st.integers(begin, item.size))
    found = parts(item, begin, end)
    values = [value for _, part in found for value in part.samples.ravel().tolist()]
    assert values == list(range(begin, end))
    for index, part in found:
        if part.size:
            assert part.start_ns == sample_time(START_NS, index, 100.0)
            assert part.samples.ravel()[0] == index
            assert part.sequence == 7 + index // size
            assert (part.timing_quality, part.received_ns) == (50, 9)


def test_the_whole_is_itself_and_whole_packets_of_a_run_stay_a_run() -> None:
    packet, run = made(1, 5), made(4, 5)
    assert parts(packet, 0, 5) == [(0, packet)]
    (index, part), *_ = parts(run, 0, 20)
    assert (index, isinstance(part, PacketRun), part.count) == (0, True, 4)
    kinds = [(index, type(part).__name__, part.size) for index, part in parts(run, 3, 18)]
    assert kinds == [(3, "Packet", 2), (5, "PacketRun", 10), (15, "Packet", 3)]


def test_nothing_of_an_item_is_an_empty_packet_where_it_ends() -> None:
    for item in (made(1, 5), made(4, 5)):
        nothing = nothing_of(item)
        assert (nothing.size, nothing.start_ns, nothing.dtype) == (0, item.next_ns, item.dtype)


def test_the_rest_of_an_item_begins_with_its_first_packet_that_is_not_known() -> None:
    run = made(4, 5)
    asked: list[int] = []

    def is_known(packet: object) -> bool:
        assert isinstance(packet, Packet)
        asked.append(packet.sequence)
        return packet.sequence != 8

    ((index, part),) = rest(run, is_known)
    assert isinstance(part, PacketRun)
    assert (index, part.samples.ravel().tolist()) == (5, list(range(5, 20)))
    assert asked == [7, 8]  # an order ends where it is broken: what comes behind is not looked for
    assert rest(run, lambda _: True) == []
    for item in (made(1, 5), message(), b"bytes"):
        assert rest(item, lambda _: False) == [(0, item)]
        assert rest(item, lambda _: True) == []
