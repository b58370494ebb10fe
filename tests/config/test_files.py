"""What is right and what is wrong in a station file."""

import pickle
from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.config import ConfigError, files, yaml_values
from rawdaq.config.options import plain, read_options
from rawdaq.publisher import OverflowPolicy
from tests.config_classes import (
    GOOD,
    Publisher,
    problems_of,
    register,
    station_file,
)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def test_a_good_file_becomes_settings(tmp_path: Path) -> None:
    station = config.load(station_file(tmp_path, GOOD))
    main, other = station.components
    assert (str(station.station), main.key, main.file) == ("XX.DEMO", "XX.DEMO.Main", tmp_path / "station.yaml")
    assert main.receiver.class_name == "Receiver"
    assert main.receiver.options["port"] == 65535
    assert main.receiver.options["channels"] == {1: "HHZ", 2: "HHN"}
    assert isinstance(main.receiver.options["rate"], float)
    live, archive = main.publishers
    assert (live.name, live.overflow, live.queue_packets, live.queue_mb) == ("live", OverflowPolicy.DROP_OLDEST, 5, 2)
    assert archive.options == {"path": tmp_path / "data/archive", "any": "thing"}
    assert (archive.overflow, archive.queue_packets, archive.queue_mb) == (None, None, None)
    assert (main.daemon.log_level, main.daemon.core_id, main.daemon.stop_timeout_s) == ("DEBUG", 0, 3.0)
    assert other.receiver.options == {"ip": "0.0.0.0", "port": 9}
    assert other.publishers == ()
    assert other.daemon == config.DaemonSettings()


def test_defaults_are_among_the_options_and_relative_paths_start_from_the_file(tmp_path: Path) -> None:
    options = config.load(station_file(tmp_path, GOOD)).components[0].receiver.options
    assert options["path"] == tmp_path / "data"
    assert options["mode"] == "a"
    assert "name" not in options


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    station = config.load(station_file(tmp_path, GOOD))
    with pytest.raises(ValueError, match="frozen"):
        station.station.code = "Y"
    with pytest.raises(AttributeError):
        station.components[0].name = "x"  # type: ignore[misc]


def test_the_packaged_demo_is_a_mapping_of_a_station_and_a_receiver_and_stays_out_of_the_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = station_file(tmp_path, GOOD, "demo.yaml")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(files, "DEMO_FILE", demo)
    assert config.load(demo).components[0].receiver.options["path"] == elsewhere / "data"


def test_all_mistakes_are_reported_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = """\
station: {network: xx, code: DEMO, locaton: "00"}
Main:
  Receiver:
    class: Receiver
    prot: 1
    port: "9004"
  Publishers:
    a b: {class: Publisher}
    live: {class: Publischer}
    more: {class: Publisher, overflow: dorp, queue_packets: 0}
    none:
  Deamon: {}
  Daemon: {log_level: LOUD, core_id: -1, monitor: here, stop_timeout_s: 0}
Other: {}
"""
    assert problems_of(tmp_path, text) == [
        "1: station.network: network 'xx' is not 1-8 characters of A-Z 0-9",
        "1: station.locaton: unknown key; did you mean 'location'? known: network, code, location, "
        "latitude_deg, longitude_deg, elevation_m",
        "3: Main.Receiver.host: is missing; it has no default",
        "5: Main.Receiver.prot: unknown key; did you mean 'port'? known: host, port, rate, fast, even, mode, path, "
        "channels, copy, names, some",
        "6: Main.Receiver.port: '9004' is wrong; it should be a valid integer (without quotes)",
        "8: Main.Publishers.a b: is not a name; it should be 1-48 characters of A-Z a-z 0-9 _ -",
        "9: Main.Publishers.live.class: no publisher is called 'Publischer'; did you mean 'Publisher'? "
        "known: Publisher",
        "10: Main.Publishers.more.overflow: 'dorp' is wrong; it should be 'block', 'drop_oldest' or 'drop_newest'",
        "10: Main.Publishers.more.queue_packets: 0 is wrong; it should be greater than or equal to 1",
        "11: Main.Publishers.none: an empty value is wrong; it should be a mapping with `class`",
        "12: Main.Deamon: unknown key; did you mean 'Daemon'? known: Receiver, Publishers, Journal, "
        "Decimation, Trigger, StateOfHealth, Daemon",
        "13: Main.Daemon.log_level: 'LOUD' is wrong; it should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'",
        "13: Main.Daemon.core_id: -1 is wrong; it should be greater than or equal to 0",
        "13: Main.Daemon.monitor: 'here' is not a zmq address; it should look like tcp://127.0.0.1:9004",
        "13: Main.Daemon.stop_timeout_s: 0 is wrong; it should be greater than 0",
        "14: Other: has no `Receiver`; add `Receiver: {class: RawReceiver, ...}`",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("port: 9", "3: Main.Receiver.host: is missing; it has no default"),
        ("host: 12", '5: Main.Receiver.host: YAML does not read 12 as text; write "12" in quotes'),
        ("host: [1]", "5: Main.Receiver.host: [1] is wrong; it should be a valid string"),
        ("host: h\n    port: 70000", "6: Main.Receiver.port: 70000 is wrong; it should be less than or equal to 65535"),
        ("host: h\n    port: true", "6: Main.Receiver.port: true is wrong; it should be a valid integer"),
        ("host: h\n    port: 1.0", "6: Main.Receiver.port: 1.0 is wrong; it should be a valid integer"),
        ("host: h\n    rate: '1'", "6: Main.Receiver.rate: '1' is wrong; it should be a valid number (without quotes)"),
        ("host: h\n    fast: 1", "6: Main.Receiver.fast: 1 is wrong; it should be a valid boolean"),
        ("host: h\n    even: 3", "6: Main.Receiver.even: 3 is odd; take an even number"),
        ("host: h\n    mode: c", "6: Main.Receiver.mode: 'c' is wrong; it should be 'a' or 'b'"),
        (
            "host: h\n    channels: {1: HHZ,\n      x: HHN}",
            "7: Main.Receiver.channels.x: 'x' is wrong; it should be a valid integer (without quotes)",
        ),
        (
            "host: h\n    channels:\n      1: HHZ\n      2: NO",
            '8: Main.Receiver.channels.2: YAML does not read NO as text; write "NO" in quotes',
        ),
        ("host: h\n    channels: {1: hhz}", "3: Main.Receiver: channel 'hhz' is not 3 characters of A-Z 0-9, or BAND_"),
        ("host: h\n    names: [a, 1]", '6: Main.Receiver.names.1: YAML does not read 1 as text; write "1" in quotes'),
        ("host: h\n    port:", "6: Main.Receiver.port: is empty; it should be a valid integer"),
        ("host: h\n    port: ''", "6: Main.Receiver.port: is empty; it should be a valid integer"),
        ("host: h\n    path:", "6: Main.Receiver.path: is empty; it should be a path"),
        ("host: h\n    path: ''", "6: Main.Receiver.path: is empty; it should be a path"),
        ("host: h\n    path: [a]", "6: Main.Receiver.path: ['a'] is wrong; it should be a path"),
        ("host: h\n    path: 26", '6: Main.Receiver.path: YAML does not read 26 as text; write "26" in quotes'),
        ("host: h\n    path: ~nobody-at-all/a", "6: Main.Receiver.path: ~nobody-at-all/a begins with a home folder"),
        ("host: h\n    some: []", "6: Main.Receiver.some: is empty; it should have at least 1 item"),
        ("host: h\n    host: i", "6: Main.Receiver.host: is there twice, first in line 5; remove one"),
        ("host: h\n    true: i", "6: Main.Receiver: key true is not text; write a word, in quotes"),
        ("host: h\n    ? [a]\n    : 1", "6: Main.Receiver: key of several values is not text; write a word, in quotes"),
        ("host: 2026-13-45", "5: Main.Receiver.host: 2026-13-45 is not what it looks like (month must be in 1..12); "),
        ("host: !!python/none x", "5: is not YAML: could not determine a constructor for the tag"),
        ("host: [a", "6: is not YAML: expected ',' or ']'"),
        ("host: &a [*a]", "5: has aliases that never end"),
        ("host: *b", "5: is not YAML: found undefined alias"),
        ("host: \x01", "5: is not YAML: it has a character that no text has (special characters are not allowed)"),
    ],
)
def test_a_mistake_is_reported_with_line_and_key_and_what_would_be_right(
    tmp_path: Path, line: str, problem: str
) -> None:
    text = f"station: {{network: XX, code: DEMO}}\nMain:\n  Receiver:\n    class: Receiver\n    {line}\n"
    problems = problems_of(tmp_path, text)
    assert problems[0].startswith(problem)


_RECEIVER = "station: {{network: XX, code: A}}\nM: {{Receiver: {{class: Receiver, host: h, {}}}}}\n"


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("port: 010", "port: YAML reads 010 as 8"),
        ("copy: -010", "copy: YAML reads -010 as -8"),
        ("port: 2026-11-20", "port: 2026-11-20 is wrong; it should be a valid integer"),
        ("port: 1:30:00", "port: YAML reads 1:30:00 as 5400"),
        ("rate: 1:30.5", "rate: YAML reads 1:30.5 as 90.5"),
        ("host: 00", 'host: YAML reads 00 as 0; write "00" in quotes'),
        ("port: 018000", "port: '018000' is wrong; it should be a valid integer (write 18000)"),
        ("rate: 1e2", "rate: '1e2' is wrong; it should be a valid number (write 100)"),
        ("rate: 5e-5", "rate: '5e-5' is wrong; it should be a valid number (write 0.00005)"),
        ('port: "10"', "port: '10' is wrong; it should be a valid integer (without quotes)"),
        ("channels: {010: HHZ}", "channels: YAML reads 010 as 8"),
    ],
)
def test_numbers_that_yaml_reads_otherwise_are_refused(tmp_path: Path, option: str, problem: str) -> None:
    text = _RECEIVER.format(option).replace("host: h, host", "host")
    (told,) = problems_of(tmp_path, text)
    assert told.startswith(f"2: M.Receiver.{problem}")


@pytest.mark.parametrize("option", ["port: 8", "copy: 0", "port: 0x10", "rate: 0.5", "rate: 1.0e+2", 'copy: "1:30"'])
def test_numbers_that_yaml_reads_as_they_look_are_taken(tmp_path: Path, option: str) -> None:
    assert config.load(station_file(tmp_path, _RECEIVER.format(option))).components


def test_a_value_of_several_types_is_reported_once_for_each(tmp_path: Path) -> None:
    text = "station: {network: XX, code: A}\nM:\n  Receiver: {class: Receiver, host: h, copy: [1]}\n"
    assert [problem.split(";")[0] for problem in problems_of(tmp_path, text)] == [
        "3: M.Receiver.copy: [1] is wrong"
    ] * 2


@pytest.mark.parametrize(
    ("station", "problem"),
    [
        ('{network: NO, code: "A"}', '1: station.network: YAML does not read NO as text; write "NO" in quotes'),
        (
            "{network: XX, code: A, location: 00}",
            '1: station.location: YAML reads 00 as 0; write "00" in quotes if it is text, else without leading zeros',
        ),
        ("{network: XX}", "1: station.code: is missing; it has no default"),
        ('{network: XX, code: A, location: "--"}', "1: station.location: location '--' is how some print"),
        ("XX.DEMO", "1: station: 'XX.DEMO' is wrong; it should be a mapping such as"),
        ("", "1: station: an empty value is wrong; it should be a mapping such as"),
    ],
)
def test_station_codes_are_checked(tmp_path: Path, station: str, problem: str) -> None:
    (told,) = problems_of(tmp_path, f"station: {station}\nM: {{Receiver: {{class: Ssdaq, ip: a, port: 1}}}}\n")
    assert told.startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty; `control-rawdaq init NET.STA` writes one"),
        ("# nothing\n", "is empty;"),
        ("- a\n", "1: ['a'] is wrong; it should be a mapping of `station` and components"),
        ("just words", "1: 'just words' is wrong;"),
        ("{}", "1: has no `station`; add `station: {network: XX, code: DEMO}`\n1: has no component; add one"),
        ("station: {network: XX, code: A}\nM: 3\n", "2: M: 3 is wrong; it should be a mapping of Receiver, Publishers"),
        (
            "station: {network: XX, code: A}\nall: {Receiver: {class: Ssdaq, ip: a, port: 1}}\n",
            "2: all: is a word of the commands; give the component another name",
        ),
        (
            "station: {network: XX, code: A}\nM: {Receiver: {class: Ssdaq, ip: a, port: 1}, Publishers: [a]}\n",
            "2: M.Publishers: ['a'] is wrong; it should be a mapping of names to publishers",
        ),
        (
            "station: {network: XX, code: A}\nM: {Receiver: {ip: a}}\n",
            "2: M.Receiver.class: is missing; it has no default",
        ),
        (
            "station: {network: XX, code: A}\nM: {Receiver: {class: Nobody}}\n",
            "2: M.Receiver.class: no receiver is called 'Nobody'; known: Receiver, Ssdaq, Unreadable",
        ),
        ("[\n" * 1500, "is nested too deeply"),
        ("[\n" * 1000 + "]" * 1000, "is nested too deeply"),
        ("[\n" * 150_000, "is nested too deeply"),
        ("a: 1\n---\nb: 2\n", "2: is not YAML: but found another document"),
        ("#" + "x" * yaml_values.MAX_FILE_BYTES, "is larger than 1048576 bytes; it is not a station file"),
    ],
)
def test_a_file_that_is_no_station_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert "\n".join(problems_of(tmp_path, text)).startswith(problem)


@pytest.mark.parametrize("has_fast_loader", [True, False])
def test_small_and_large_files_have_the_same_mistakes_in_the_same_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_fast_loader: bool
) -> None:
    if not has_fast_loader:
        monkeypatch.delattr("yaml.CSafeLoader")
    text = (
        "station: {network: XX, code: A}\nM:\n  Receiver:\n    class: Receiver\n    host: 12\n    channels: {1: NO}\n"
    )
    small, large = problems_of(tmp_path, text), problems_of(tmp_path, text + "#" * 5000)
    assert [problem.split(":")[0] for problem in small] == ["5", "6"]
    assert small == large


def test_aliases_that_explode_are_refused(tmp_path: Path) -> None:
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 9)]
    assert "has aliases that never end" in problems_of(tmp_path, "\n".join(bomb))[0]


def test_anchors_and_merges_share_settings_between_components(tmp_path: Path) -> None:
    text = """\
station: {network: XX, code: A}
One: {Receiver: &one {class: Ssdaq, ip: a, port: 1}}
Two: {Receiver: {<<: *one, port: 2}}
"""
    one, two = config.load(station_file(tmp_path, text)).components
    assert (one.receiver.options["port"], two.receiver.options) == (1, {"ip": "a", "port": 2})


def test_a_publisher_may_refuse_the_streams_of_the_receiver(tmp_path: Path) -> None:
    (told,) = problems_of(tmp_path, GOOD.replace("DEMO", "TOOLONG").replace("    archive:", "    # archive:"))
    assert told == "10: Main.Publishers.live: cannot carry XX.TOOLONG.00.HHZ, XX.TOOLONG.00.HHN"


def test_of_names_that_are_there_twice_both_are_looked_at(tmp_path: Path) -> None:
    text = """\
station: {network: XX, code: A}
M:
  Receiver: {class: Ssdaq, ip: a}
  Publishers:
    p: {class: Publisher, overflow: first}
    p: {class: Publisher, overflow: second}
M: {Receiver: {class: Ssdaq, ip: a, port: 1}, Publishers: {p: {class: Publisher, port: 9}}, Deamon: {}}
M: {Receiver: {class: Ssdaq, ip: a, port: 1}, Publishers: {p: {class: Publisher, port: 9}}}
"""
    assert [problem.split(";")[0] for problem in problems_of(tmp_path, text)] == [
        "3: M.Receiver.port: is missing",
        "5: M.Publishers.p.overflow: 'first' is wrong",
        "6: M.Publishers.p: is there twice, first in line 5",
        "6: M.Publishers.p.overflow: 'second' is wrong",
        "7: M: is there twice, first in line 2",
        "7: M.Deamon: unknown key",
        "8: M: is there twice, first in line 2",
    ]


def test_a_repeated_name_differs_from_the_first_one() -> None:
    again = yaml_values.RepeatedName("M")
    assert {"M": 1, again: 2} == {again: 2, "M": 1}
    assert not again == "M"
    assert str(again) == "M"


def test_detours_are_taken_out_of_paths_as_the_system_goes_them(tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/away")
    (tmp_path / "disk").symlink_to("far")
    assert plain(tmp_path / "link" / ".." / "disk") == tmp_path / "far" / "disk"
    assert plain(tmp_path / "disk" / "archive") == tmp_path / "disk" / "archive", "links that are no detour stay"
    options, _ = read_options(Publisher, {"path": "../disk"}, tmp_path / "far")
    assert options["path"] == tmp_path / "disk"


def test_a_class_that_is_installed_but_broken_is_left_to_the_start_of_its_component(tmp_path: Path) -> None:
    text = "station: {network: XX, code: A}\nM: {Receiver: {class: Broken, any: thing}}\n"
    (component,) = config.load(station_file(tmp_path, text)).components
    assert component.receiver.options == {"any": "thing"}


def test_a_class_whose_constructor_makes_no_schema_is_reported(tmp_path: Path) -> None:
    (told,) = problems_of(tmp_path, "station: {network: XX, code: A}\nM: {Receiver: {class: Unreadable, x: 1}}\n")
    assert told.startswith("2: M.Receiver.class: Unreadable has a constructor that makes no schema: name 'NoSuchType'")


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: cannot be read: No such file"):
        config.load(tmp_path / "missing.yaml")


def test_the_error_survives_pickling(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(station_file(tmp_path, "{}"))
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems
