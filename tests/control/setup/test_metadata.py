"""StationXML and SeisComP's inventory of ``init``, as ObsPy reads them."""

from pathlib import Path
from typing import Any

import numpy as np
import obspy
import pytest
from obspy.io.stationxml import core

from tests.control.cli_words import Said
from tests.control.setup import responses
from tests.control.setup.devices import THREE, playing
from tests.fake_device import Described, device

PLACE = ["--latitude", "47.5", "--longitude", "8.25", "--elevation", "512", "--depth", "2", "--site", "Old mine"]
FILES = ["--stationxml", "XX.A.xml", "--scml", "XX.A.scml"]
SENSITIVITIES = ["--sensor-sensitivity", "1500", "--digitizer-sensitivity", "400000"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime_dir: Path) -> None:
    monkeypatch.chdir(tmp_path)


def init(said: Said, channels: dict[int, Described], *words: str) -> tuple[int, str]:
    """Return status and errors of ``init`` with a device that has *channels*."""
    ids = ",".join(map(str, channels))
    with device(playing(channels)) as port:
        status, _, err = said.run("init", "XX.A", "--device", f"127.0.0.1:{port}", "--channels", ids, *FILES, *words)
    return status, err


def read(name: str) -> list[Any]:
    """Return the channels in a file of metadata, in the order of their names."""
    inventory: Any = obspy.read_inventory(name)
    assert [network.code for network in inventory] == ["XX"]
    assert [station.code for station in inventory[0]] == ["A"]
    assert inventory[0][0].site.name == "Old mine"
    return sorted(inventory[0][0], key=lambda channel: (channel.location_code, channel.code))


def check_schema(name: str) -> None:
    """Fail when a file is not StationXML as its schema has it."""
    validate: Any = getattr(core, "validate_stationxml")  # noqa: B009 - ObsPy has no types
    valid, errors = validate(name)
    assert valid, errors


def amplitude(channel: Any, hz: float) -> float:
    """Return counts for one unit at a frequency."""
    found = channel.response.get_evalresp_response_for_frequencies(np.array([hz], dtype=float), output="DEF")
    return float(np.abs(found[0]))


def test_both_files_say_place_rate_direction_and_sensitivity(said: Said) -> None:
    channels = {**THREE, 4: Described("20")}
    assert init(said, channels, *PLACE, *SENSITIVITIES) == (0, "")
    check_schema("XX.A.xml")
    for name in ("XX.A.xml", "XX.A.scml"):
        found = read(name)
        assert [channel.code for channel in found] == ["BHZ", "HHE", "HHN", "HHZ"], name
        assert [channel.location_code for channel in found] == ["00"] * 4
        assert [float(channel.sample_rate) for channel in found] == [20, 100, 100, 100]
        east = found[1]
        place = [float(each) for each in (east.latitude, east.longitude, east.elevation, east.depth)]
        assert place == [47.5, 8.25, 512, 2]
        assert (float(east.azimuth), float(east.dip)) == (90, 0)
        assert (float(found[3].azimuth), float(found[3].dip)) == (0, -90)
        sensitivity = east.response.instrument_sensitivity
        assert (sensitivity.value, sensitivity.frequency, sensitivity.input_units) == (6e8, 1, "M/S")
        assert amplitude(east, 10) == pytest.approx(6e8)


def test_sensors_of_one_station_have_their_own_sensitivities_and_units(said: Said) -> None:
    channels = {1: Described(), 2: Described("50"), 3: Described("10000")}
    kinds = ["--sensor", "1=accelerometer", "--sensor", "2=infrasound", "--sensor", "3=acoustic-emission"]
    sensitivities = ["--sensor-sensitivity", "2", "--sensor-sensitivity", "2=0.02", "--digitizer-sensitivity", "1000"]
    assert init(said, channels, *PLACE, *kinds, *sensitivities) == (0, "")
    for name in ("XX.A.xml", "XX.A.scml"):
        shown = [
            (channel.code, each.input_units, float(each.value), float(each.frequency))
            for channel in read(name)
            for each in [channel.response.instrument_sensitivity]
        ]
        assert shown == [("BDF", "PA", 20, 1), ("HNZ", "M/S**2", 2000, 1), ("JHZ", "M/S", 2000, 1000)], name


def test_response_files_of_sensor_and_digitizer_become_one_response(said: Said, tmp_path: Path) -> None:
    (tmp_path / "sensor.resp").write_text(responses.sensor())
    (tmp_path / "digitizer.resp").write_text(responses.digitizer())
    words = ["--sensor-response", "sensor.resp", "--digitizer-response", "digitizer.resp"]
    assert init(said, THREE, *PLACE, *words) == (0, "")
    check_schema("XX.A.xml")
    expected = 1500 * 2 * 419430
    for name in ("XX.A.xml", "XX.A.scml"):
        channel = read(name)[2]
        assert channel.code == "HHZ"
        assert float(channel.response.instrument_sensitivity.value) == pytest.approx(expected, rel=1e-3)
        # The corner of the seismometer is at 120 s: there its amplitude is down to 0.7.
        assert amplitude(channel, 1) == pytest.approx(expected, rel=1e-3)
        assert amplitude(channel, 1 / 120) == pytest.approx(expected * 0.7071, rel=1e-2)
        assert amplitude(channel, 40) < 0.99 * expected
    stages = read("XX.A.xml")[2].response.response_stages
    assert [(stage.input_units, stage.output_units) for stage in stages] == [
        ("M/S", "V"),
        ("V", "V"),
        ("V", "COUNTS"),
        ("COUNTS", "COUNTS"),
    ]
    filtered = read("XX.A.scml")[2].response.response_stages[-1]
    assert [round(float(each), 3) for each in filtered.coefficients] == [0.1, 0.2, 0.4, 0.2, 0.1]
    assert float(filtered.decimation_delay) == pytest.approx(2 / 500)


def test_a_file_goes_with_a_sensitivity_of_the_other(said: Said, tmp_path: Path) -> None:
    (tmp_path / "sensor.resp").write_text(responses.sensor())
    words = ["--sensor-response", "sensor.resp", "--digitizer-sensitivity", "1000"]
    assert init(said, THREE, *PLACE, *words) == (0, "")
    assert amplitude(read("XX.A.xml")[0], 1) == pytest.approx(1.5e6, rel=1e-3)


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        ([], 2, "metadata of channel 1 need its sensor: --sensor-sensitivity VOLTS_PER_UNIT, or --sensor-response"),
        (["--sensor-sensitivity", "1500"], 2, "metadata of channel 1 need its digitizer"),
        (
            ["--sensor-response", "digitizer.resp", "--digitizer-sensitivity", "1"],
            1,
            "digitizer.resp is not the response of a sensor",
        ),
        (
            ["--sensor-sensitivity", "1", "--digitizer-response", "sensor.resp"],
            1,
            "sensor.resp is not the response of a digitizer",
        ),
        (
            ["--sensor-sensitivity", "1", "--digitizer-response", "slow.resp"],
            1,
            "slow.resp is for 50 Hz, the channel has 100 Hz",
        ),
        (
            ["--sensor-response", "text.resp", "--digitizer-sensitivity", "1"],
            1,
            "text.resp is no RESP or StationXML file that ObsPy reads",
        ),
    ],
)
def test_what_makes_no_response_is_refused_and_nothing_is_written(
    said: Said, tmp_path: Path, words: list[str], status: int, reason: str
) -> None:
    (tmp_path / "sensor.resp").write_text(responses.sensor())
    (tmp_path / "digitizer.resp").write_text(responses.digitizer())
    (tmp_path / "slow.resp").write_text(responses.digitizer(50))
    (tmp_path / "text.resp").write_text("a letter\n")
    found, err = init(said, THREE, *PLACE, *words)
    assert (found, reason in err) == (status, True), err
    assert list(tmp_path.glob("XX.A.*")) == []
