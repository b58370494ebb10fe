"""What comes twice is dropped, whatever number it has; what is late is not."""

import logging

import pytest

from rawdaq.miniseed.format import RecordFormat
from rawdaq.protocols.seedlink import DataPacket, SeedLinkVersion, Start
from rawdaq.receivers.seedlink.feed import Feed, NumbersBegunAnew
from rawdaq.receivers.seedlink.plan import Wanted
from rawdaq.receivers.seedlink.positions import Positions
from rawdaq.sockets.refusals import Refusals
from tests.impossible_records import CASES, made_impossible
from tests.makers import packet
from tests.receivers.seedlink.running import seconds, stored
from tests.record_makers import make
from tests.waveform_makers import text_record

V3, V4 = SeedLinkVersion.V3, SeedLinkVersion.V4
LOG = logging.getLogger("rawdaq.test")
NOW_NS = 1 << 60


def new_feed(positions: Positions | None = None) -> Feed:
    feed = Feed(Wanted({"*": ()}, Start.OLDEST), False, LOG, Refusals(LOG))
    if positions is not None:
        feed.load(positions.model_copy(deep=True))
    return feed


def packets(*numbered: tuple[int, int]) -> list[DataPacket]:
    """Return a packet for each pair of second and number."""
    return [DataPacket("XX_AAA", number, stored(second).record) for second, number in numbered]


def take(feed: Feed, *numbered: tuple[int, int]) -> list[int]:
    """Return the seconds of what is new."""
    taken, again = feed.take(packets(*numbered), NOW_NS)
    assert again is None
    return seconds([each for each in taken if not isinstance(each, bytes)])


def earlier() -> Positions:
    """Return the positions of a run that received the seconds 0 to 9 as packets 100 to 109."""
    feed = new_feed()
    feed.begin(V4, None)
    take(feed, *((second, 100 + second) for second in range(10)))
    return feed.positions


def test_the_last_packet_again_is_dropped() -> None:
    feed = new_feed(earlier())
    assert [each.start for each in feed.begin(V4, None)] == [110, Start.OLDEST]
    assert take(feed, (9, 109), (10, 110), (9, 111), (10, 112)) == [10]
    assert feed.duplicates == 3


def test_what_was_forgotten_is_known_by_its_number() -> None:
    feed = new_feed(earlier())
    feed.begin(V4, None)
    assert take(feed, (5, 105), (3, 103)) == []  # of a server that does not exclude named stations
    assert take(feed, (10, 110)) == [10]


@pytest.mark.parametrize(("version", "name"), CASES)
def test_a_record_that_cannot_be_costs_itself_only(version: int, name: str) -> None:
    feed = new_feed()
    feed.begin(V4, None)
    record = make([packet(0)], RecordFormat(version))[0]
    bad = DataPacket("XX_AAA", 101, made_impossible(record, version, name))
    taken, again = feed.take([*packets((0, 100)), bad, *packets((1, 102))], NOW_NS)
    assert again is None
    assert seconds([each for each in (taken[0], taken[-1]) if not isinstance(each, bytes)]) == [0, 1]
    assert len(taken) <= 3


def test_what_is_late_is_taken() -> None:
    feed = new_feed(earlier())
    feed.begin(V4, None)
    assert take(feed, (10, 110), (-5, 111), (11, 112)) == [10, -5, 11]


def test_by_time_what_is_not_newer_is_dropped() -> None:
    feed = new_feed(earlier())
    feed.begin(V4, 1)
    feed.positions.by_time.add("XX_AAA")
    feed.begin(V4, 2)
    assert take(feed, (8, 1), (9, 2), (10, 3)) == [10]
    assert feed.positions.by_time == set()
    assert [each.start for each in feed.begin(V4, 2)] == [4, Start.OLDEST]


def test_a_cut_before_anything_new_came_leaves_the_question_open() -> None:
    feed = new_feed(earlier())
    feed.begin(V4, 1)
    feed.begin(V4, 2)
    assert take(feed, (9, 2)) == []
    again = new_feed(Positions.model_validate_json(feed.positions.model_dump_json()))
    first, _ = again.begin(V4, 2)
    assert (first.start, first.begin_ns is not None) == (Start.OLDEST, True)


@pytest.mark.parametrize("version", [V3, V4])
def test_numbers_that_begin_anew_are_noticed_at_the_first_new_record(version: SeedLinkVersion) -> None:
    positions = earlier()
    positions.stations["XX_AAA"].sequence = 5000
    positions.protocol = str(version)
    feed = new_feed(positions)
    feed.begin(version, None)
    taken, again = feed.take(packets((9, 7), (10, 8), (11, 9)), NOW_NS)
    assert taken == []
    assert isinstance(again, NumbersBegunAnew)
    assert str(again) == "the server counts XX_AAA anew: asked for packet 5001 it sent 8; it is asked by time now"
    feed.begin(version, None)
    assert take(feed, (10, 8), (11, 9)) == [10, 11]


def test_what_came_before_new_numbers_is_not_lost() -> None:
    positions = earlier()
    feed = new_feed(positions)
    feed.begin(V4, None)
    other = stored(3, name="YY.BBB.00.HHZ")
    mixed = [DataPacket("YY_BBB", 3, other.record), *packets((10, 2))]
    taken, again = feed.take(mixed, NOW_NS)
    assert len(taken) == 1
    assert again is not None


def test_texts_count_as_received_too() -> None:
    feed = new_feed()
    feed.begin(V4, None)
    text = DataPacket("XX_AAA", 7, text_record(), "2", "L")
    assert feed.take([text], NOW_NS) == ([], None)
    assert feed.positions.stations["XX_AAA"].sequence == 7
    again = new_feed(feed.positions)
    again.begin(V4, None)
    assert again.take([text], NOW_NS) == ([], None)
    assert again.duplicates == 1
    later = DataPacket("XX_AAA", 8, text_record()[:30] + b"\0\x01" + text_record()[32:], "2", "L")
    assert again.take([later], NOW_NS) == ([], None)
    assert again.duplicates == 1
