import pytest

from rawdaq.protocols.seedlink import StationDescription, StreamDescription
from rawdaq.protocols.seedlink.info.values import selected_stations

STATIONS = (
    StationDescription(
        "XX", "AAA", streams=(StreamDescription("00", "HHZ"), StreamDescription("10", "HNZ", format="3"))
    ),
    StationDescription("YY", "BBB", streams=(StreamDescription("", "LOG", subformat="L"),)),
)

# The streams that are left of each station.
CHOSEN: list[tuple[str, str, dict[str, list[str]]]] = [
    ("*", "*", {"XX_AAA": ["00_H_H_Z", "10_H_N_Z"], "YY_BBB": ["_L_O_G"]}),
    ("XX_*", "00_*", {"XX_AAA": ["00_H_H_Z"]}),
    ("YY_B?B", "*.2L", {"YY_BBB": ["_L_O_G"]}),
    ("*", "*.3", {"XX_AAA": ["10_H_N_Z"], "YY_BBB": []}),
    ("ZZ_*", "*", {}),
]


@pytest.mark.parametrize(("station", "stream", "chosen"), CHOSEN)
def test_patterns_choose_stations_and_streams(station: str, stream: str, chosen: dict[str, list[str]]) -> None:
    found = selected_stations(STATIONS, station, stream)
    assert {each.station_id: [one.key.stream_id for one in each.streams] for each in found} == chosen
