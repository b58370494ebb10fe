"""What came before is known by its time, whatever a server sends again; what is late is not."""

import json
import logging
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.packet import Packet
from rawdaq.protocols.isi import IsiName, IsiPacket, Place, Policy, Window
from rawdaq.receivers.isi.feed import Feed
from rawdaq.receivers.isi.plan import NoSuchStream, Wanted
from rawdaq.receivers.isi.positions import Positions
from rawdaq.sockets.refusals import Refusals
from rawdaq.times import NS_PER_S
from tests.makers import START_NS
from tests.receivers.isi.running import NAME, seconds

LOG = logging.getLogger("rawdaq.test")
AAK = IsiName("aak", "bhz", "00")
NOW_NS = 1 << 60
RATE_HZ = 20.0
STEP_NS = round(NS_PER_S / RATE_HZ)


def new_feed(positions: Positions | None = None, policy: Policy = Policy.MIN_GAP) -> Feed:
    feed = Feed(Wanted((IsiName("*", "*", "*"),), "II", Place.OLDEST, policy), LOG, Refusals(LOG))
    if positions is not None:
        feed.load(Positions.model_validate_json(positions.model_dump_json()))
    return feed


def run(first: int, size: int, value: int | None = None) -> IsiPacket:
    """Return the samples from number *first* on; each says its number, unless there is a *value*."""
    data = np.arange(first, first + size, dtype="<i4") if value is None else np.full(size, value, "<i4")
    start_ns = START_NS + first * STEP_NS
    return IsiPacket(AAK, RATE_HZ, start_ns, start_ns + (size - 1) * STEP_NS, data, 1)


def second(*numbers: int) -> list[IsiPacket]:
    return [run(number * 20, 20) for number in numbers]


def take(feed: Feed, *numbers: int) -> list[int]:
    """Return which of these seconds are new."""
    return seconds(feed.take(second(*numbers), NOW_NS))


def asked(feed: Feed) -> int | Place:
    """Return from where the stream is asked for now."""
    (window,) = feed.begin([AAK])
    return window.begin


def at(number: int) -> int:
    return START_NS + number * NS_PER_S


def test_the_same_packet_again_is_dropped_at_any_time() -> None:
    feed = new_feed()
    assert asked(feed) is Place.OLDEST
    assert take(feed, 0, 1, 0, 2, 1, 2) == [0, 1, 2]
    assert (feed.packets, feed.duplicates) == (6, 3)


def test_other_samples_at_the_same_time_are_published() -> None:
    feed = new_feed()
    assert len(feed.take([run(0, 20), run(0, 20, 7), run(0, 20)], NOW_NS)) == 2


def test_a_restart_knows_what_came_before_and_takes_what_is_new() -> None:
    feed = new_feed()
    take(feed, 0, 1, 2)
    again = new_feed(feed.positions)
    assert asked(again) == at(3)
    assert take(again, 0, 1, 2, 3, 2, 4) == [3, 2, 4]  # once something newer came, the rest is late


def test_a_restart_after_a_late_packet_repeats_nothing_and_misses_nothing() -> None:
    feed = new_feed()
    assert take(feed, 0, 2, 3, 4, 1) == [0, 2, 3, 4, 1]
    again = new_feed(feed.positions)
    assert asked(again) == at(2)
    assert take(again, 2, 3, 4, 1, 5) == [5]


def test_a_restart_repeats_nothing_after_what_the_server_had_left_out_first() -> None:
    feed = new_feed()
    take(feed, 2, 3)
    feed.begin([AAK])
    assert take(feed, 4, 1) == [4, 1]  # without 0, which was late, and older than what was asked for
    again = new_feed(feed.positions)
    assert asked(again) == at(2)
    assert take(again, 2, 3, 0, 4, 1, 5) == [0, 5]


def test_live_packets_between_late_ones_are_one_piece() -> None:
    feed = new_feed()
    assert take(feed, 0, 10, 1, 11, 2, 12, 3) == [0, 10, 1, 11, 2, 12, 3]
    position = feed.positions.streams[NAME]
    assert (position.next_ns, position.pieces) == (at(4), ((at(0), at(4)), (at(10), at(13))))
    again = new_feed(feed.positions)
    assert asked(again) == at(4)
    assert take(again, 10, 11, 12, 3, 13, 4) == [13, 4]


def test_a_clock_that_was_set_back_is_followed() -> None:
    feed = new_feed()
    feed.take([run(1000, 20), run(1020, 20), run(0, 20, 5)], NOW_NS)
    assert asked(feed) == at(1)
    assert len(feed.take([run(20, 20, 5)], NOW_NS)) == 1


def test_packets_that_are_cut_elsewhere_give_what_is_new_in_them(caplog: pytest.LogCaptureFixture) -> None:
    feed = new_feed()
    take(feed, 0)
    again = new_feed(feed.positions)
    asked(again)
    (packet,) = again.take([run(0, 15), run(15, 15)], NOW_NS)
    assert (packet.start_ns, packet.samples.tolist()) == (at(1), list(range(20, 30)))
    assert again.duplicates == 1
    assert "are missing" not in caplog.text


@pytest.mark.parametrize("off_ns", [-1000, 1000])
@pytest.mark.parametrize("rate_hz", [62.5, 1000.0])
def test_times_that_are_a_microsecond_off_cost_and_repeat_no_sample(rate_hz: float, off_ns: int) -> None:
    def run_at(first: int, size: int, off_ns: int = 0) -> IsiPacket:
        start_ns = START_NS + round(first * NS_PER_S / rate_hz) + off_ns
        data = np.arange(first, first + size, dtype="<i4")
        return IsiPacket(AAK, rate_hz, start_ns, start_ns + round((size - 1) * NS_PER_S / rate_hz), data, 1)

    feed = new_feed()
    feed.take([run_at(0, 20)], NOW_NS)
    again = new_feed(feed.positions)
    asked(again)
    (packet,) = again.take([run_at(0, 20, off_ns), run_at(5, 15, off_ns), run_at(20, 20, off_ns)], NOW_NS)
    assert packet.samples.tolist() == list(range(20, 40))


def test_after_an_end_by_ourselves_what_is_missing_is_logged_also_for_less_delay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    feed = new_feed(policy=Policy.MIN_DELAY)
    for goes_on, lines in ((False, 0), (True, 1)):
        take(feed, 4 * goes_on)
        feed.begin([AAK], goes_on=goes_on)
        take(feed, 4 * goes_on + 2)
        assert caplog.text.count("are missing") == lines


def test_after_an_end_by_ourselves_nothing_is_left_out_for_less_delay() -> None:
    feed = new_feed(policy=Policy.MIN_DELAY)
    take(feed, 0)
    assert asked(feed) is Place.NEWEST
    assert feed.begin([AAK], goes_on=True) == (Window(AAK, at(1)),)


def test_only_what_no_late_packet_filled_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    feed = new_feed()
    take(feed, 0, 2, 1)
    again = new_feed(feed.positions)
    asked(again)
    take(again, 2, 5)
    assert [each for each in caplog.messages if "missing" in each] == [
        f"{NAME}: 2.000 s are missing after 2026-11-21T00:00:03.000000Z: the server does not have them"
    ]


def test_memory_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.receivers.isi.feed._REMEMBERED", 2)
    monkeypatch.setattr("rawdaq.receivers.isi.feed._MAX_PIECES", 2)
    monkeypatch.setattr("rawdaq.receivers.isi.feed._MAX_STREAMS", 1)
    feed = new_feed()
    take(feed, 90, 80, 70, 60, 50)
    assert feed.positions.streams[NAME].pieces == ((at(80), at(81)), (at(90), at(91)))
    assert take(feed, 50, 90, 60) == [90, 60]
    other = second(0)[0]._replace(name=IsiName("pfo", "bhz", "00"))
    assert feed.take([other], NOW_NS) == []
    assert "too many streams" in json.dumps(feed._refusals.report())


def test_a_packet_that_cannot_be_costs_itself_only() -> None:
    feed = new_feed()
    bad = second(0)[0]._replace(rate_hz=float("inf"))
    assert seconds(feed.take([bad, *second(1)], NOW_NS)) == [1]
    assert feed.positions.streams[NAME].pieces == ((at(1), at(2)),)


def test_nothing_to_ask_for_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(NoSuchStream, match=r"the server has no stream \*\.\*\.\*: real servers .* --info soh"):
        new_feed().begin([IsiName("a_k", "bhz")])


class Server:
    """A server's stream: packets in the order in which they came, served as isid does.

    It leaves out what is late, before the first packet that reaches the time that was asked for.
    """

    def __init__(self, packets: Sequence[IsiPacket]) -> None:
        self.packets = packets

    def served(self, begin: int | Place, stored: int) -> list[IsiPacket]:
        """Return what a client gets who asks when *stored* packets are there."""
        if begin is Place.OLDEST:
            return [*self.packets]
        if begin is Place.NEWEST:
            return [*self.packets[max(stored - 1, 0) :]]
        assert isinstance(begin, int)
        first = next((place for place, each in enumerate(self.packets) if each.end_ns >= begin), len(self.packets))
        return [*self.packets[first:]]


@st.composite
def histories(draw: st.DrawFn) -> list[IsiPacket]:
    """Return packets of one stream, each sample once, with gaps; some of them come late."""
    first, packets = 0, list[IsiPacket]()
    for size, gap in draw(st.lists(st.tuples(st.integers(1, 30), st.sampled_from([0, 0, 0, 1, 50])), max_size=30)):
        packets.append(run(first + gap, size))
        first += gap + size
    late = draw(st.lists(st.integers(0, len(packets)), max_size=4))
    for place in late:
        if place < len(packets):
            packets.insert(draw(st.integers(place, len(packets))), packets.pop(place))
    return packets


@given(histories(), st.integers(0, 1 << 32), st.lists(st.sampled_from(["cut", "restart"]), max_size=12))
def test_each_sample_is_published_once_and_in_the_order_in_which_it_came(
    packets: list[IsiPacket], seed: int, ends: list[str]
) -> None:
    chance, server, feed = random.Random(seed), Server(packets), new_feed()
    published: list[Packet] = []
    received: dict[int, IsiPacket] = {}  # in the order in which they came first
    for end in [*ends, "at last"]:
        came = server.served(asked(feed), len(packets))
        kept = came if end == "at last" else came[: chance.randint(0, len(came))]
        for each in kept:
            received.setdefault(id(each), each)
        while kept:
            size = chance.randint(1, len(kept))
            published += feed.take(kept[:size], NOW_NS)
            kept = kept[size:]
        if end == "restart":
            feed = new_feed(feed.positions)
    assert [value for each in published for value in each.samples.tolist()] == [
        value for each in received.values() for value in each.samples.tolist()
    ]


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=20))
def test_servers_that_cut_their_packets_each_in_its_way_give_each_sample_once(ways: list[tuple[int, bool]]) -> None:
    feed = new_feed()
    published: list[Packet] = []
    for size, is_restart in [*ways, (40, False)]:
        whole = Server([run(first, min(size, 400 - first)) for first in range(0, 400, size)])
        came = whole.served(asked(feed), len(whole.packets))
        published += feed.take(came if (size, is_restart) == (40, False) else came[: 1 + len(came) // 5], NOW_NS)
        if is_restart:
            feed = new_feed(feed.positions)
    assert [value for each in published for value in each.samples.tolist()] == list(range(400))
