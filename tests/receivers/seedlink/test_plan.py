import pytest

from rawdaq.protocols.seedlink import SeedLinkVersion, Selector, Start, StationRequest
from rawdaq.receivers.seedlink.plan import Policy, Wanted, distance, plan
from rawdaq.receivers.seedlink.positions import LastRecord, Positions, StationPosition
from rawdaq.times import NS_PER_S
from tests.makers import START_NS

V3, V4 = SeedLinkVersion.V3, SeedLinkVersion.V4
HHZ = (Selector.parse("HHZ"),)
MINUTE_NS, HOUR_NS = 60 * NS_PER_S, 3600 * NS_PER_S


def at(sequence: int, **streams: int) -> StationPosition:
    """Return a position; of each stream the last record begins so many seconds after the start."""
    lasts = {
        name: LastRecord(
            start_ns=START_NS + second * NS_PER_S, next_ns=START_NS + (second + 1) * NS_PER_S, samples=100, version=68
        )
        for name, second in streams.items()
    }
    return StationPosition(sequence=sequence, start_ns=START_NS, streams=lasts)


KNOWN = Positions(contact_ns=START_NS, stations={"XX_AAA": at(0xFFFFFF, a=0, b=5), "ZZ_OLD": at(3, a=0)})
BOTH = Wanted({"XX_AAA": HHZ, "XX_*": ()})

OLDEST, SINCE = Start.OLDEST, START_NS - MINUTE_NS
PLANS: dict[str, tuple[list[StationRequest], list[StationRequest]]] = {
    "the first time, from the newest packet on": (
        plan(BOTH, Positions(), V4),
        [StationRequest("XX_AAA", HHZ), StationRequest("XX_*")],
    ),
    "the first time, all that is stored": (
        plan(Wanted({"*": ()}, OLDEST), Positions(), V4),
        [StationRequest("*", start=OLDEST)],
    ),
    "the first time, from a time on": (
        plan(Wanted({"*": ()}, START_NS), Positions(), V4),
        [StationRequest("*", start=OLDEST, begin_ns=START_NS)],
    ),
    "version 4 resumes by numbers of 64 bits": (
        plan(BOTH, KNOWN, V4),
        [StationRequest("XX_AAA", HHZ, start=1 << 24), StationRequest("XX_*", start=OLDEST, begin_ns=SINCE)],
    ),
    "version 3 resumes by numbers of 24 bits and the time of the last packet": (
        plan(BOTH, KNOWN, V3, known=["XX_AAA", "XX_BBB", "YY_CCC"]),
        [
            StationRequest("XX_AAA", HHZ, start=0, last_packet_ns=START_NS),
            StationRequest("XX_BBB", start=OLDEST, begin_ns=SINCE),
        ],
    ),
    "a server that lists no stations is given the patterns": (
        plan(Wanted({"XX_*": ()}), Positions(), V3),
        [StationRequest("XX_*")],
    ),
    "what is left of a stored past is asked for again until live data came": (
        plan(Wanted({"*": ()}, OLDEST), Positions(contact_ns=START_NS), V4),
        [StationRequest("*", start=OLDEST)],
    ),
    "then what began since": (
        plan(Wanted({"*": ()}, OLDEST), Positions(contact_ns=START_NS, has_caught_up=True), V4),
        [StationRequest("*", start=OLDEST, begin_ns=SINCE)],
    ),
    "min_delay goes on at the newest packet": (
        plan(Wanted(BOTH.stations, Start.NEXT, Policy.MIN_DELAY), KNOWN, V4),
        [StationRequest("XX_AAA", HHZ), StationRequest("XX_*")],
    ),
    "numbers of another run are not used": (
        plan(Wanted({"XX_AAA": ()}), KNOWN, V4, by_time=["XX_AAA"]),
        [StationRequest("XX_AAA", start=OLDEST, begin_ns=START_NS)],
    ),
    "a stream that ended long ago does not matter then": (
        plan(Wanted({"*": ()}), Positions(stations={"XX_AAA": at(1, a=0, b=7200)}), V4, by_time=["XX_AAA"])[:1],
        [StationRequest("XX_AAA", start=OLDEST, begin_ns=START_NS + HOUR_NS + NS_PER_S)],
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_what_is_asked_for(name: str) -> None:
    planned, expected = PLANS[name]
    assert planned == expected


def test_distances_are_those_of_the_version() -> None:
    assert distance(1 << 24, 5, V3) == 5
    assert distance(1 << 24, 5, V4) == 5 - (1 << 24)
