import pytest

from rawdaq.config.decimation import band_code, decimated_name
from rawdaq.stream_id import StreamId

SOURCE = StreamId("XX", "AE", "00", "JHZ")


@pytest.mark.parametrize(
    ("rate_hz", "broadband", "short_period"),
    [
        (5000, "J", "J"),
        (4999, "F", "G"),
        (1000, "F", "G"),
        (999, "C", "D"),
        (250, "C", "D"),
        (249, "H", "E"),
        (80, "H", "E"),
        (79, "B", "S"),
        (10, "B", "S"),
        (9.9, "M", "M"),
        (1.1, "M", "M"),
        (1, "L", "L"),
        (0.9, "V", "V"),
        (0.1, "V", "V"),
        (0.01, "U", "U"),
        (0.001, "W", "W"),
        (0.0001, "R", "R"),
        (0.00001, "P", "P"),
        (0.000001, "T", "T"),
        (0.0000001, "Q", "Q"),
    ],
)
def test_the_band_code_is_that_of_the_table_for_the_kind_of_sensor(
    rate_hz: float, broadband: str, short_period: str
) -> None:
    for letter in "FCHB":
        assert band_code(rate_hz, letter) == broadband
    for letter in ("G", "D", "E", "S", "J", "X", ""):
        assert band_code(rate_hz, letter) == short_period


@pytest.mark.parametrize(
    ("channel", "decimated"),
    [
        ("JHZ", "EHZ"),
        ("HH1", "HH1"),
        ("H_RAW_Z", "H_RAW_Z"),
        ("J_RAW_", "E_RAW_"),
        ("_Q_", "E_Q_"),
        ("FDSN_H_Z", "EHZ"),
    ],
)
def test_only_the_band_code_of_a_channel_changes(channel: str, decimated: str) -> None:
    named = decimated_name(StreamId("XX", "AE", "00", channel), 100)
    assert named == StreamId("XX", "AE", "00", decimated)


def test_band_and_location_can_be_others() -> None:
    assert str(decimated_name(SOURCE, 100, band="X")) == "XX.AE.00.XHZ"
    assert str(decimated_name(SOURCE, 100, location="D0")) == "XX.AE.D0.EHZ"
    assert str(decimated_name(SOURCE, 100, location="")) == "XX.AE..EHZ"
