import pytest

from rawdaq.protocols.seedlink import Choice, Selector, StationRequest, StreamKey, choose, request_of

Z = StreamKey("00", "HHZ")

# The place of the request that XX_AAA belongs to.
PLACES: list[tuple[list[str], int | None]] = [
    ([], None),
    (["XX_AAA"], 0),
    (["XX_BBB", "XX_AAA"], 1),
    (["XX_AAA", "*"], 0),
    (["*", "XX_AAA"], 0),
    (["YY_*", "XX_???", "*"], 1),
    (["*_AAA"], 0),
    (["XX_AA"], None),
]


@pytest.mark.parametrize(("stations", "place"), PLACES)
def test_a_station_belongs_to_the_first_request_that_names_it(stations: list[str], place: int | None) -> None:
    assert request_of([StationRequest(station) for station in stations], "XX_AAA") == place


def test_a_station_that_is_named_first_keeps_its_own_selectors() -> None:
    requests = [StationRequest("XX_AAA", (Selector.parse("HHN"),)), StationRequest("*", (Selector.parse("HHZ:3"),))]
    assert choose(requests, "XX_AAA", Z) is None
    assert choose(requests, "XX_AAA", StreamKey("00", "HHN")) == Choice(0, "native")
    assert choose(requests, "XX_BBB", Z) == Choice(1, "3")
    assert choose(requests[:1], "XX_BBB", Z) is None
