"""``control-rawdaq init --device`` finds out what a device offers and writes a station file that fits it."""

import json
from pathlib import Path

import pytest

from rawdaq import config
from tests.control.cli_words import Said
from tests.control.setup.devices import THREE, playing
from tests.fake_device import Described, Session, device


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime_dir: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_device_is_shown_with_its_rates_and_proposed_codes(said: Said, tmp_path: Path) -> None:
    channels = {**THREE, 7: Described("20", "big", "float32")}
    with device(playing(channels)) as port:
        status, out, err = said.run("init", "--device", f"127.0.0.1:{port}", "--channels", "0-8")
    lines = [line.split() for line in out.splitlines()]
    assert (status, err) == (0, "")
    assert out.startswith(f"The device at 127.0.0.1:{port} speaks RAW 2.0.\n")
    assert lines[2] == ["1", "HHZ", "broadband", "100", "100", "int32", "5", "0", "49"]
    assert [line[:5] for line in lines[3:6]] == [
        ["2", "HHN", "broadband", "100", "100"],
        ["3", "HHE", "broadband", "100", "100"],
        ["7", "BHZ", "broadband", "20", "20"],
    ]
    assert "!" not in out
    assert list(tmp_path.glob("*.yaml")) == []


def test_the_station_file_that_is_written_fits_the_device(said: Said, tmp_path: Path) -> None:
    with device(playing(THREE)) as port:
        status, out, err = said.run("init", "NO.HERE", "--device", f"127.0.0.1:{port}", "--channels", "1-3")
    assert (status, err) == (0, "")
    assert "NO.HERE.yaml: the station file is written." in out
    text = (tmp_path / "NO.HERE.yaml").read_text()
    assert '      1: "HHZ"  # 100 Hz int32, measured 100 Hz\n' in text
    (component,) = config.load(tmp_path / "NO.HERE.yaml").components
    assert component.key == "NO.HERE.RawReceiver"
    options = component.receiver.options
    assert (options["host"], options["port"], options["channels"]) == (
        "127.0.0.1",
        port,
        {1: "HHZ", 2: "HHN", 3: "HHE"},
    )
    assert [publisher.name for publisher in component.publishers] == ["live", "archive"]


def test_the_station_file_says_where_the_station_is(said: Said, tmp_path: Path) -> None:
    place = ["--latitude", "-47.5", "--longitude", "8.25", "--elevation", "512"]
    with device(playing(THREE)) as port:
        assert said.run("init", "XX.A", "--device", f"127.0.0.1:{port}", "--channels", "1-3", *place)[0] == 0
    station = config.load(tmp_path / "XX.A.yaml").station
    assert (station.latitude_deg, station.longitude_deg, station.elevation_m) == (-47.5, 8.25, 512)
    assert station.location == "00"


def test_two_sensors_of_one_device_are_named_by_their_kinds(said: Said) -> None:
    channels = {number: Described("200") for number in range(1, 8)}
    words = ["--sensor", "short-period", "--sensor", "4-6=accelerometer", "--sensor", "7=infrasound"]
    with device(playing(channels)) as port:
        status, out, _ = said.run("init", "--device", f"localhost:{port}", "--channels", "1-7", *words, "--json")
    shown = json.loads(out)
    assert status == 0
    assert [each["code"] for each in shown["channels"]] == ["EHZ", "EHN", "EHE", "HNZ", "HNN", "HNE", "HDF"]
    assert (shown["version"], shown["warnings"], shown["files"]) == ("2.0", [], [])


def test_old_devices_are_asked_in_their_own_version(said: Said) -> None:
    with device(playing({1: Described(), 3: Described()}, version="1.0")) as port:
        status, out, _ = said.run("init", "--device", f"127.0.0.1:{port}", "--channels", "1,3")
    assert status == 0
    assert "speaks RAW 1.0." in out
    assert [line.split()[1] for line in out.splitlines()[2:4]] == ["HHZ", "10.HHZ"]


@pytest.mark.parametrize(
    ("play", "words", "warning"),
    [
        (playing(THREE), ["--code", "1=BHZ"], "channel 1: BHZ does not fit 100 Hz: its band code would be H, or E"),
        (playing(THREE, true_hz=125), [], "channel 2: the device states 100 Hz, but its time stamps mean 125 Hz"),
        (playing(THREE, late_s=90), [], "channel 3: its time stamps are 1 min 30 s behind this machine's clock"),
        (playing(THREE, late_s=-90), [], "ahead of this machine's clock"),
        (playing(THREE, quality=0), [], "channel 1: it sends a timing quality of 0 %: is its clock locked?"),
        (playing(THREE, quality=200), [], "channel 1: it sends no timing quality"),
        (playing(THREE, value=7), [], "channel 1: all its samples are 7: is its sensor connected?"),
    ],
)
def test_what_is_wrong_or_unlikely_is_said(said: Said, play: object, words: list[str], warning: str) -> None:
    with device(play) as port:  # type: ignore[arg-type]
        status, out, _ = said.run("init", "--device", f"127.0.0.1:{port}", "--channels", "1-3", *words)
    assert status == 0
    assert f"! {warning}" in out or warning in out


def test_a_channel_that_sends_nothing_is_named_by_the_rate_that_is_stated(said: Said) -> None:
    async def silent(session: Session) -> None:
        if await session.handshake(THREE):
            await session.until_closed()

    with device(silent) as port:
        status, out, _ = said.run("init", "--device", f"127.0.0.1:{port}", "--channels", "1-3", "--seconds", "0.1")
    assert status == 0
    assert "! channel 1: sent nothing; its rate is as the device states it" in out
    assert ["1", "HHZ", "broadband", "100", "-", "int32", "0", "-", "-"] == out.splitlines()[2].split()


async def _hangs_up(session: Session) -> None:
    await session.line()


async def _web_server(session: Session) -> None:
    await session.line()
    await session.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def _babbles(session: Session) -> None:
    await session.line()
    await session.send(b"RAW 2.0\nHELLO\n")
    await session.until_closed()


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        (_hangs_up, "the device was asked for RAW 1.0 and closed the connection; no version that we speak"),
        (_web_server, "the device was asked for RAW 1.0 and answered 'HTTP/1.1 400 Bad Request\\r'"),
        (_babbles, "the peer sent 'HELLO' where 'SAMPLING RATE' was expected; is it a RAW device?"),
        (playing({99: Described()}), "knows none of the channels 1, 2; name its channels: --channels 100-103"),
    ],
)
def test_what_is_no_device_of_ours_ends_with_1_and_the_reason(
    said: Said, play: object, reason: str, tmp_path: Path
) -> None:
    with device(play) as port:  # type: ignore[arg-type]
        status, out, err = said.run("init", "XX.A", "--device", f"127.0.0.1:{port}", "--channels", "1-2")
    assert (status, out) == (1, "")
    assert reason in err
    assert list(tmp_path.glob("*.yaml")) == []


def test_an_address_where_nothing_listens_is_named(said: Said) -> None:
    with device(playing(THREE)) as port:
        pass
    status, _, err = said.run("init", "--device", f"127.0.0.1:{port}")
    assert (status, f"the device at 127.0.0.1:{port}: Connection refused" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--device", "1.2.3.4:70000"], "'70000' is no port; it should be 1 to 65535"),
        (["--device", "http://a"], "'http://a' is no host name or address"),
        (["--device", "a", "--channels", "3-1"], "3-1 is no range of channel ids"),
        (["--device", "a", "--channels", "0-99999"], "0-99999 is no range of channel ids: at most 10000"),
        (["--device", "a", "--channels", "x"], "'x' is no list of channel ids, such as 1-3,7"),
        (["--device", "a", "--sensor", "broadbend"], "did you mean 'broadband'?"),
        (["--device", "a", "--code", "HHZ"], "'HHZ' names no channel; write ID=CODE, such as 4=10.HNZ"),
        (["--device", "a", "--code", "1=hhz"], "'hhz' is not [location.]channel"),
        (["--device", "a", "--sensor-sensitivity", "-1"], "'-1' is no sensitivity"),
        (["--device", "a", "--sensor-response", "none.resp"], "none.resp is no file"),
        (["--device", "a", "--stationxml", "a.xml"], "metadata need the station's codes: init NET.STA"),
        (["XX.A", "--device", "a", "--scml", "a.xml"], "metadata need --latitude, --longitude, --elevation"),
        (["XX.A", "--device", "a", "--site", "Here"], "add --stationxml FILE or --scml FILE"),
        (["XX.A", "--device", "a", "--latitude", "1"], "--latitude and --longitude belong together"),
        (["XX", "--device", "a"], "'XX' is not NET.STA"),
        (["XX.A", "--sensor", "geophone"], "--sensor needs --device HOST:PORT."),
        ([], "Missing argument '[NET.STA]', or --device HOST:PORT."),
    ],
)
def test_wrong_words_are_refused_before_a_device_is_asked(said: Said, words: list[str], reason: str) -> None:
    status, out, err = said.run("init", *words)
    assert (status, out) == (2, "")
    assert reason in " ".join(err.split())


def test_a_file_that_is_there_is_never_written_over(said: Said, tmp_path: Path) -> None:
    (tmp_path / "XX.A.yaml").write_text("mine")
    status, _, err = said.run("init", "XX.A", "--device", "127.0.0.1:1")
    assert (status, "XX.A.yaml is there already" in err) == (1, True)
    assert (tmp_path / "XX.A.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--code", "1=HHZ", "--code", "2=HHZ"], "two channels cannot be one stream (XX.A.00.HHZ)"),
        (["--code", "5=HHZ"], "the device has no channel 5; it has 1, 2, 3"),
    ],
)
def test_codes_that_cannot_be_are_refused(said: Said, words: list[str], reason: str, tmp_path: Path) -> None:
    with device(playing(THREE)) as port:
        status, _, err = said.run("init", "XX.A", "--device", f"127.0.0.1:{port}", "--channels", "1-3", *words)
    assert (status, reason in err) == (2, True)
    assert list(tmp_path.glob("*.yaml")) == []
