import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq import Subscriber, config
from rawdaq.config import ConfigError
from rawdaq.control.processes import children
from rawdaq.station import build
from rawdaq.stream_id import StreamId
from rawdaq.streamer import Channel, Streamer
from rawdaq.streams.decimator import Decimator
from tests import forks
from tests.forks import run_cli
from tests.helpers import wait_for
from tests.makers import START_NS

STATION = """\
station: {network: XX, code: AE, location: "00"}
AE:
  Receiver: {class: RawReceiver, channels: {1: JHZ, 2: "01.JHZ"}, port: 65535}
  Decimation: {}
  Publishers: {}
  Daemon: {log_level: ERROR}
"""


def _file(folder: Path, decimation: str = "{}", publishers: str = "{}", **replaced: str) -> Path:
    text = STATION.replace("Decimation: {}", f"Decimation: {decimation}").replace(
        "Publishers: {}", f"Publishers: {publishers}"
    )
    for before, after in replaced.items():
        text = text.replace(before, after)
    file = folder / "station.yaml"
    file.write_text(text)
    return file


def _problems(file: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    return [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]


def test_entries_become_settings_and_reach_receiver_and_publishers(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        '{slow: {rate_hz: 1000}, more: {rate_hz: 100, streams: ["*.01.*"], band: H, location: D0, type: int32}}',
        '{all: {class: MiniSeedPublisher, path: a}, some: {class: MiniSeedPublisher, path: b, streams: ["*.GHZ"]}}',
    )
    (component,) = config.load(file).components
    slow, more = component.decimation.values()
    assert (slow.rate_hz, slow.streams, slow.band, slow.location, slow.type) == (1000.0, [], None, None, "float32")
    assert (more.streams, more.band, more.location, more.type) == (["*.01.*"], "H", "D0", "int32")
    server = build(component)
    assert list(server.decimation) == ["slow", "more"]
    assert [list(publisher.streams) for publisher in server.publishers] == [[], ["*.GHZ"]]


def test_every_mistake_of_an_entry_is_reported_with_its_line_and_key(tmp_path: Path) -> None:
    entries = """
    a b: {rate_hz: 1}
    c: {rate: 1}
    d: {rate_hz: 0, band: DD, location: "a", type: int16, streams: "*"}
    e: 7
    f: {rate_hz: .inf}"""
    publishers = '{a: {class: MiniSeedPublisher, path: x, streams: ["*.B??"]}}'  # which c might have made
    assert _problems(_file(tmp_path, entries, publishers)) == [
        "5: AE.Decimation.a b: is not a name; it should be 1-48 characters of A-Z a-z 0-9 _ -",
        "6: AE.Decimation.c.rate_hz: is missing; it has no default",
        "6: AE.Decimation.c.rate: unknown key; did you mean 'rate_hz'? known: rate_hz, streams, band, location, type",
        "7: AE.Decimation.d.rate_hz: 0 is wrong; it should be greater than 0",
        "7: AE.Decimation.d.streams: '*' is wrong; it should be a valid list",
        "7: AE.Decimation.d.band: 'DD' is not a band code; it should be one capital letter, such as D",
        "7: AE.Decimation.d.location: location 'a' is not 0-8 characters of A-Z 0-9 -",
        "7: AE.Decimation.d.type: 'int16' is wrong; it should be 'float32', 'float64' or 'int32'",
        "8: AE.Decimation.e: 7 is wrong; it should be a mapping such as {rate_hz: 100}",
        "9: AE.Decimation.f.rate_hz: inf is wrong; it should be a finite number",
    ]


def test_patterns_that_name_no_source_are_reported(tmp_path: Path) -> None:
    assert _problems(_file(tmp_path, '{g: {rate_hz: 10, streams: ["*.HHZ"]}}')) == [
        "4: AE.Decimation.g.streams: selects none of XX.AE.00.JHZ, XX.AE.01.JHZ; a pattern is like XX.*.00.HH?"
    ]


def test_the_former_name_of_the_block_works_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = _file(tmp_path, "{slow: {rate_hz: 1000}}", Decimation="Previews")
    (component,) = config.load(file).components
    assert list(component.decimation) == ["slow"]
    assert caplog.messages == [f"{file}:4: AE.Previews is called Decimation now: rename the key"]
    assert _problems(_file(tmp_path, "{e: 7}", Decimation="Previews")) == [
        "4: AE.Previews.e: 7 is wrong; it should be a mapping such as {rate_hz: 100}"
    ]


def test_both_names_of_the_block_are_a_mistake(tmp_path: Path) -> None:
    file = _file(tmp_path, **{"  Publishers:": "  Previews: {}\n  Publishers:"})
    assert _problems(file) == [
        "5: AE.Previews: is the former name of `Decimation`, which is there too; put all into one"
    ]


@pytest.mark.parametrize("decimation", ["[1]", "7"])
def test_a_block_that_is_no_mapping_is_reported(tmp_path: Path, decimation: str) -> None:
    assert _problems(_file(tmp_path, decimation)) == [
        f"4: AE.Decimation: {decimation} is wrong; it should be a mapping of names to entries"
    ]


@pytest.mark.parametrize(
    ("decimation", "problem"),
    [
        (
            '{a: {rate_hz: 10000, streams: ["*.00.*"]}}',
            "AE.Decimation.a: would make XX.AE.00.JHZ of XX.AE.00.JHZ, which the receiver publishes; ",
        ),
        (
            '{a: {rate_hz: 1000, streams: ["*.00.*"]}, b: {rate_hz: 2000, streams: ["*.00.*"]}}',
            "AE.Decimation.b: would make XX.AE.00.GHZ of XX.AE.00.JHZ, which a makes of XX.AE.00.JHZ; ",
        ),
    ],
)
def test_a_name_that_two_streams_would_have_is_a_mistake(tmp_path: Path, decimation: str, problem: str) -> None:
    (reported,) = _problems(_file(tmp_path, decimation))
    assert reported == f'4: {problem}give it a name of its own: location: "D0"'


def test_streams_of_several_sources_under_one_name_are_a_mistake_with_a_remedy(tmp_path: Path) -> None:
    told = "4: AE.Decimation.a: would make XX.AE.{} of XX.AE.{}, which a makes of XX.AE.00.JHZ; "
    remedy = "make one entry for each source, with `streams` and a `location` of its own"
    located = "{a: {rate_hz: 1, location: D0, type: int32}}"
    (problem,) = _problems(_file(tmp_path, located))
    assert problem == told.format("D0.LHZ", "01.JHZ") + f"leave `location` out, or {remedy}"
    for entry, name in (("{a: {rate_hz: 1}}", "00.LHZ"), (located, "D0.LHZ")):
        file = _file(tmp_path, entry, **{'"01.JHZ"': "GHZ"})
        assert _problems(file) == [told.format(name, "00.GHZ") + remedy]


def test_a_location_that_is_proposed_is_free(tmp_path: Path) -> None:
    entries = "a: {rate_hz: 1, location: D0}, b: {rate_hz: 1, location: D1}, c: {rate_hz: 1, location: D0}"
    file = _file(tmp_path, f"{{{entries}}}", **{', 2: "01.JHZ"': ""})
    (problem,) = _problems(file)
    assert problem.endswith('give it a name of its own: location: "D2"')


@pytest.mark.parametrize(
    "decimation",
    [
        "{a: {rate_hz: 1, type: int32}}",
        '{a: {rate_hz: 1, location: D0, streams: ["*.00.JHZ"]}, b: {rate_hz: 1, location: D1, streams: ["*.01.JHZ"]}}',
    ],
)
def test_the_remedies_for_streams_under_one_name_help(tmp_path: Path, decimation: str) -> None:
    assert config.load(_file(tmp_path, decimation)).components


def test_a_publisher_is_checked_for_the_streams_that_it_gets(tmp_path: Path) -> None:
    def carried(streams: str, **more: str) -> list[str]:
        entry = f"{{out: {{class: SeedLinkPluginPublisher, streams: [{streams}]}}}}"
        return _problems(_file(tmp_path, "{slow: {rate_hz: 100, band: H}}", entry, **more))

    assert carried('"*.*.*.B??"') == [
        "5: AE.Publishers.out.streams: selects none of XX.AE.00.JHZ, XX.AE.01.JHZ, XX.AE.00.HHZ, XX.AE.01.HHZ; "
        "a pattern is like XX.*.00.HH?"
    ]
    (told,) = carried('"*J*"', JHZ="J_RAW_Z")
    assert told.startswith("5: AE.Publishers.out: ")
    assert "J_RAW_Z" in told
    file = _file(
        tmp_path,
        '{slow: {rate_hz: 100, band: H, streams: ["*.00.*"]}}',
        '{out: {class: SeedLinkPluginPublisher, streams: ["*.HHZ"]}}',
        **{'"01.JHZ"': '"01.J_RAW_Z"'},
    )
    assert config.load(file).components, "what it cannot carry it does not get"


@pytest.mark.parametrize(
    ("first", "second", "is_refused"),
    [
        ("[]", "[]", True),
        ('["*.J??"]', "[]", True),
        ('["*.J??"]', '["*.00.*"]', True),
        ('["*.J??"]', '["*.G??"]', False),
        ('["*.00.*"]', '["*.01.*"]', False),
    ],
)
def test_two_publishers_share_an_archive_when_no_stream_goes_to_both(
    tmp_path: Path, first: str, second: str, is_refused: bool
) -> None:
    file = _file(
        tmp_path,
        "{slow: {rate_hz: 1000}}",
        f"{{a: {{class: MiniSeedPublisher, path: x, streams: {first}}}, "
        f"b: {{class: MiniSeedPublisher, path: x, streams: {second}}}}}",
    )
    if not is_refused:
        assert len(config.load(file).components[0].publishers) == 2
        return
    (told,) = _problems(file)
    assert told.startswith(f"5: AE.Publishers.b: archive {tmp_path / 'x'} (sds) is what AE.Publishers.a has already")


@pytest.mark.parametrize("streams", ["7", '"*"', "[1]"])
def test_streams_of_a_publisher_are_a_list_of_patterns(tmp_path: Path, streams: str) -> None:
    problems = _problems(
        _file(tmp_path, publishers=f"{{a: {{class: MiniSeedPublisher, path: x, streams: {streams}}}}}")
    )
    assert len(problems) == 1
    assert problems[0].startswith("5: AE.Publishers.a.streams")


RATE_HZ = 100_000
PACKET = 1000
PACKETS = 300


def _station(folder: Path, port: int) -> Path:
    return _file(
        folder,
        "{slow: {rate_hz: 1000}}",
        """
    archive: {class: MiniSeedPublisher, path: archive}
    slow: {class: MiniSeedPublisher, path: slow, streams: ["*.*.*.G??"]}""",
        **{"65535": str(port), "{1: JHZ, 2": '{1: "00.JHZ", 2'},
    )


def _archived(folder: Path) -> dict[StreamId, list[Any]]:
    streams: dict[StreamId, list[Any]] = {}
    with Subscriber.from_files([folder]) as packets:
        for packet in packets:
            streams.setdefault(packet.stream, []).append(packet)
    return streams


def test_a_running_component_archives_the_source_and_its_decimated_stream(
    tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "spawn", forks.spawn)
    samples = np.random.default_rng(1).integers(-30_000, 30_000, PACKETS * PACKET).astype("<i2")
    with Streamer([Channel(number, RATE_HZ, samptype="int16") for number in (1, 2)], port=0) as streamer:
        control = ["control-rawdaq", "-c", str(_station(tmp_path, streamer.port))]
        started = run_cli([*control, "start", "receiver", "AE"])
        try:
            assert started.returncode == 0, started.stderr
            assert streamer.wait_for_client(30.0)
            for index in range(PACKETS):
                for number in (1, 2):
                    start_ns = START_NS + index * PACKET * 1_000_000_000 // RATE_HZ
                    streamer.feed_data(number, start_ns, 100, samples[index * PACKET : (index + 1) * PACKET])
            status = wait_for(lambda: _arrived(control))
        finally:
            stopped = run_cli([*control, "stop", "AE"])
        assert stopped.returncode == 0, stopped.stderr
    decimator = Decimator(100)
    expected = decimator.push(samples).astype(np.float32)
    shown = status["decimation"]["slow"]
    assert shown["streams"] == {f"XX.AE.{at}.JHZ": f"XX.AE.{at}.GHZ" for at in ("00", "01")}
    assert (shown["refused"], status["streams"]["XX.AE.00.GHZ"]["samples"]) == (0, expected.size)
    assert {str(stream) for stream in _archived(tmp_path / "slow")} == {"XX.AE.00.GHZ", "XX.AE.01.GHZ"}
    archived = _archived(tmp_path / "archive")
    for location in ("00", "01"):
        source, slow = (archived[StreamId("XX", "AE", location, channel)] for channel in ("JHZ", "GHZ"))
        assert np.array_equal(np.concatenate([each.samples for each in source]), samples)
        assert np.array_equal(np.concatenate([each.samples for each in slow]), expected)
        assert slow[0].start_ns == source[0].start_ns + decimator.delay * 1_000_000_000 // RATE_HZ


def _arrived(control: list[str]) -> Any:
    """Return the status of the component once all samples have come, else None."""
    (row,) = json.loads(run_cli([*control, "status", "--json"]).stdout)
    counted = [row["streams"].get(f"XX.AE.{at}.JHZ", {}).get("samples") for at in ("00", "01")]
    return row if counted == [PACKETS * PACKET] * 2 else None
