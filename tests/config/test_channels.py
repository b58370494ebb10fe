import pytest

from rawdaq.config.channels import check_distinct, station_stream, station_streams
from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.stream_id import StreamId

STATION = StationSettings(network="XX", code="DEMO", location="00")


@pytest.mark.parametrize(
    ("code", "name"), [("HHZ", "XX.DEMO.00.HHZ"), ("10.HHZ", "XX.DEMO.10.HHZ"), (".HHZ", "XX.DEMO..HHZ")]
)
def test_a_code_may_have_a_location_of_its_own(code: str, name: str) -> None:
    assert station_stream(STATION, code) == StreamId.parse(name)


def test_channels_have_the_streams_of_their_codes() -> None:
    assert station_streams(STATION, {7: "HHZ", 8: "10.HHZ"}) == {
        7: StreamId("XX", "DEMO", "00", "HHZ"),
        8: StreamId("XX", "DEMO", "10", "HHZ"),
    }


def test_two_channels_of_one_stream_are_refused_by_its_name() -> None:
    with pytest.raises(
        InvalidValue, match=r"two channels cannot be one stream \(XX\.DEMO\.00\.HHZ\): give one of them"
    ):
        station_streams(STATION, {1: "HHZ", 2: "00.HHZ", 3: "HHN"})
    check_distinct([StreamId("XX", "A", "", "HHZ"), StreamId("XX", "B", "", "HHZ")], "channels")
