"""Station files together: what only one can have, folders of them, and where they are looked for."""

from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.config import ConfigError
from tests.config_classes import GOOD, problems_of, register, station_file


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def _with_publishers(*components: tuple[str, str]) -> str:
    """Return a station file with components that have these receivers and publishers."""
    lines = ["station: {network: XX, code: A}"]
    for number, (receiver, publishers) in enumerate(components):
        lines.append(f"M{number}: {{Receiver: {{{receiver}}}, Publishers: {{{publishers}}}}}")
    return "\n".join(lines)


ONE = "class: Receiver, host: h, channels: {1: HHZ}"
TWO = "class: Receiver, host: h, channels: {1: HHN}"
UNKNOWN = "class: Ssdaq, ip: a, port: 1"


def test_what_only_one_publisher_of_a_file_can_have_is_given_once(tmp_path: Path) -> None:
    text = _with_publishers(
        (ONE, "a: {class: Publisher, port: 5}, b: {class: Publisher, port: 6}, c: {class: Publisher}"),
        (UNKNOWN, "a: {class: Publisher, port: 6}, b: {class: Publisher, port: 7}, c: {class: Publisher}"),
    )
    assert problems_of(tmp_path, text) == [
        "3: M1.Publishers.a: port 6 is what M0.Publishers.b has already; give each its own"
    ]


def test_what_only_one_component_can_have_may_be_a_receivers(tmp_path: Path) -> None:
    text = _with_publishers(
        (f'{ONE}, names: ["5", "6"]', "a: {class: Publisher, port: 7}"),
        (f'{TWO}, names: ["7", "8", "6"]', "a: {class: Publisher, port: 8}"),
    )
    assert problems_of(tmp_path, text) == [
        "3: M1.Receiver: port 7 is what M0.Publishers.a has already; give each its own",
        "3: M1.Receiver: port 6 is what M0.Receiver has already; give each its own",
        "3: M1.Publishers.a: port 8 is what M1.Receiver has already; give each its own",
    ]


@pytest.mark.parametrize(
    ("components", "problems"),
    [
        ([(ONE, "a: {class: Publisher, archive: x}"), (TWO, "a: {class: Publisher, archive: x}")], []),
        ([(ONE, "a: {class: Publisher, archive: x}"), (ONE, "a: {class: Publisher, archive: y}")], []),
        ([(UNKNOWN, "a: {class: Publisher, archive: x}"), (UNKNOWN, "a: {class: Publisher, archive: x}")], []),
        (
            [(ONE, "a: {class: Publisher, archive: x}"), (ONE, "a: {class: Publisher, archive: x}")],
            ["3: M1.Publishers.a: archive x is what M0.Publishers.a has already; give each its own"],
        ),
        (
            [(UNKNOWN, "a: {class: Publisher, archive: x}, b: {class: Publisher, archive: x}")],
            ["2: M0.Publishers.b: archive x is what M0.Publishers.a has already; give each its own"],
        ),
    ],
)
def test_an_archive_may_be_shared_by_components_of_different_streams(
    components: list[tuple[str, str]], problems: list[str], tmp_path: Path
) -> None:
    text = _with_publishers(*components)
    if problems:
        assert problems_of(tmp_path, text) == problems
    else:
        assert len(config.load(station_file(tmp_path, text)).components) == len(components)


def test_a_publisher_may_refuse_options_that_do_not_go_together(tmp_path: Path) -> None:
    text = _with_publishers((UNKNOWN, "a: {class: Publisher, bad: 1}, b: {class: Publisher, bad: 1, worse: 2}"))
    assert problems_of(tmp_path, text) == ["2: M0.Publishers.b: bad goes not with worse"]


def test_a_folder_gives_all_its_stations_by_name(tmp_path: Path) -> None:
    station_file(tmp_path, GOOD.replace("DEMO", "BBB"), "b.yml")
    station_file(tmp_path, GOOD.replace("DEMO", "AAA"), "a.yaml")
    station_file(tmp_path, "not a station", "notes.txt")
    assert [str(station.station) for station in config.load_all(tmp_path)] == ["XX.AAA", "XX.BBB"]
    assert [str(station.station) for station in config.load_all(tmp_path / "a.yaml")] == ["XX.AAA"]


def test_a_folder_has_the_mistakes_of_all_its_files_and_components_that_are_there_twice(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        station_file(tmp_path, GOOD, name)
    station_file(tmp_path, "", "c.yaml")
    with pytest.raises(ConfigError) as caught:
        config.load_all(tmp_path)
    assert [(problem.file.name, problem.key) for problem in caught.value.problems] == [
        ("c.yaml", ""),
        ("b.yaml", "Main"),
        ("b.yaml", "Other"),
    ]


def test_the_good_files_of_a_folder_are_there_in_spite_of_the_others(tmp_path: Path) -> None:
    for name, code in (("a.yaml", "AAA"), ("b.yaml", "BBB"), ("c.yaml", "BBB"), ("d.yaml", "")):
        station_file(tmp_path, GOOD.replace("DEMO", code), name)
    good, problems = config.load_good(tmp_path)
    assert [file.path.name for file in good] == ["a.yaml"], "nobody can tell which of b and c is meant"
    assert {problem.file.name for problem in problems} == {"c.yaml", "d.yaml"}
    assert config.load_good(tmp_path / "a.yaml") == (good, ())


def test_files_of_a_folder_share_an_archive_unless_they_have_a_stream_in_common(tmp_path: Path) -> None:
    archive = _with_publishers((ONE, f"a: {{class: Publisher, archive: {tmp_path}/x}}"))
    for name in ("A", "B"):
        station_file(tmp_path, archive.replace("code: A", f"code: {name}"), f"{name}.yaml")
    assert len(config.load_all(tmp_path)) == 2
    station_file(tmp_path, archive.replace("M0", "Again"), "C.yaml")
    _, problems = config.load_good(tmp_path)
    assert [(problem.file.name, problem.key) for problem in problems] == [("C.yaml", "Again.Publishers.a")]
    assert f"is what M0.Publishers.a of {tmp_path}/A.yaml:2 has already; give each its own" in problems[0].text


def test_a_folder_without_a_station_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no station file"):
        config.load_all(tmp_path)


def test_the_configuration_is_the_option_else_the_variable_else_the_users_folder_else_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("RAWDAQ_CONFIG", raising=False)
    assert config.find_config(None) == config.DEMO_FILE
    users = tmp_path / "rawdaq"
    users.mkdir()
    assert config.find_config(None) == config.DEMO_FILE
    station_file(users, GOOD)
    assert config.find_config(None) == users
    monkeypatch.setenv("RAWDAQ_CONFIG", str(users / "station.yaml"))
    assert config.find_config(None) == users / "station.yaml"
    assert config.find_config(tmp_path) == tmp_path
    monkeypatch.setenv("RAWDAQ_CONFIG", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=r"gone: does not exist \(named by \$RAWDAQ_CONFIG\)"):
        config.find_config(None)
    with pytest.raises(ConfigError, match=r"nope: does not exist$"):
        config.find_config(tmp_path / "nope")
