"""Channel codes by rate and kind of sensor."""

import pytest

from rawdaq.control.setup.codes import SENSORS, misfit, propose
from rawdaq.control.setup.given import by_channel, parse_ids
from rawdaq.errors import InvalidValue


@pytest.mark.parametrize(
    ("kind", "rates_hz", "codes"),
    [
        ("broadband", [100, 100, 100], ["HHZ", "HHN", "HHE"]),
        ("broadband", [100] * 6, ["HHZ", "HHN", "HHE", "10.HHZ", "10.HHN", "10.HHE"]),
        ("broadband", [100, 20, 100, 20, 100, 20], ["HHZ", "BHZ", "HHN", "BHN", "HHE", "BHE"]),
        ("broadband", [1, 0.1], ["LHZ", "VHZ"]),
        ("broadband", [100, 200], ["HHZ", "10.HHZ"]),
        ("short-period", [50, 50], ["SHZ", "10.SHZ"]),
        ("geophone", [500], ["DPZ"]),
        ("low-gain", [250], ["CLZ"]),
        ("accelerometer", [200, 200, 200], ["HNZ", "HNN", "HNE"]),
        ("infrasound", [100, 100, 100], ["HDF", "10.HDF", "20.HDF"]),
        ("hydrophone", [1000], ["FDH"]),
        ("acoustic-emission", [1e6, 1e6], ["JHZ", "10.JHZ"]),
    ],
)
def test_codes_follow_rate_and_sensor(kind: str, rates_hz: list[float], codes: list[str]) -> None:
    rates = dict(enumerate(rates_hz))
    assert list(propose(rates, dict.fromkeys(rates, kind), {}).values()) == codes
    assert all(misfit(code, rate_hz) is None for code, rate_hz in zip(codes, rates_hz, strict=True))


def test_codes_that_are_given_stay_and_are_kept_clear_of() -> None:
    rates, kinds = dict.fromkeys(range(1, 4), 100.0), dict.fromkeys(range(1, 4), "broadband")
    assert propose(rates, kinds, {2: "HH1"}) == {1: "HHZ", 2: "HH1", 3: "HHE"}
    assert propose(rates, kinds, {2: "HHZ"}) == {1: "10.HHZ", 2: "HHZ", 3: "10.HHE"}


def test_three_hundred_sensors_have_a_name_each() -> None:
    rates = dict.fromkeys(range(300), 100.0)
    assert len(set(propose(rates, dict.fromkeys(rates, "infrasound"), {}).values())) == 300


@pytest.mark.parametrize(
    ("code", "rate_hz", "band"),
    [("BHZ", 100, "H, or E"), ("20.HHZ", 250, "C, or D"), ("H_RAW_Z", 20, "B, or S"), ("HHZ", 1, "L")],
)
def test_a_band_code_of_another_rate_is_told(code: str, rate_hz: float, band: str) -> None:
    assert f"its band code would be {band}" in str(misfit(code, rate_hz))


def test_ids_are_lists_of_ranges() -> None:
    assert parse_ids("1-3,7,2") == [1, 2, 3, 7]
    for wrong in ("", "1-", "1,,2", "4294967296", "0-9999,10000"):
        with pytest.raises(InvalidValue, match="channel ids"):
            parse_ids(wrong)


def test_a_value_for_a_channel_counts_more_than_one_for_all() -> None:
    assert by_channel([([2], "b"), (None, "a"), ([3], "c"), ([3], "d")], [1, 2, 3]) == {1: "a", 2: "b", 3: "d"}


def test_every_kind_of_sensor_has_a_unit() -> None:
    assert {sensor.unit for sensor in SENSORS.values()} == {"M/S", "M/S**2", "PA"}
