"""Where a stream begins that was never received: as wished, or, when it is new, with its first packet."""

import pytest

from rawdaq.protocols.isi import IsiName, Place, Policy, Window
from rawdaq.receivers.isi.plan import Wanted, plan
from rawdaq.receivers.isi.positions import Positions
from rawdaq.times import NS_PER_S

AAK = IsiName("aak", "bhz", "00")
LISTED_NS = 1 << 60
MINUTE_BEFORE_NS = LISTED_NS - 60 * NS_PER_S

BEGINS: list[tuple[Place | int, Policy, int | None, bool, Place | int]] = [
    (Place.NEWEST, Policy.MIN_GAP, None, False, Place.NEWEST),  # nothing was ever listed
    (Place.NEWEST, Policy.MIN_GAP, LISTED_NS, False, MINUTE_BEFORE_NS),
    (Place.NEWEST, Policy.MIN_DELAY, LISTED_NS, False, Place.NEWEST),
    (Place.NEWEST, Policy.MIN_DELAY, LISTED_NS, True, MINUTE_BEFORE_NS),
    (Place.OLDEST, Policy.MIN_GAP, LISTED_NS, True, Place.OLDEST),
    (123, Policy.MIN_GAP, LISTED_NS, True, 123),
]


@pytest.mark.parametrize(("start", "policy", "listed_ns", "goes_on", "begin"), BEGINS)
def test_a_stream_that_was_never_received_begins(
    start: Place | int, policy: Policy, listed_ns: int | None, goes_on: bool, begin: Place | int
) -> None:
    wanted = Wanted((AAK,), "II", start, policy)
    names = wanted.streams([AAK])
    assert plan(wanted, names, Positions(listed_ns=listed_ns), goes_on=goes_on) == (Window(AAK, begin),)
