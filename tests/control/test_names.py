"""Which components the words of a command mean, and what they are called."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from rawdaq.config.settings import ComponentSettings, StationFile, StationSettings
from rawdaq.control import names
from rawdaq.process.runs import Running
from rawdaq.process.runtime_files import RuntimeFiles


def _target(key: str, state: str = "stopped") -> names.Target:
    running = None if state == "stopped" else Running(1, Path("a"), 0, 1, is_alive=state == "running")
    return names.Target(key, "/".join(key.split(".")[1:]), None, running)


A, B, C = _target("XX.AAA.Raw"), _target("XX.BBB.Raw"), _target("XX.BBB.Other")


@pytest.mark.parametrize(
    ("word", "target"),
    [("Other", C), ("AAA/Raw", A), ("XX.BBB/Raw", B), ("XX.BBB.Raw", B), ("O", C), ("AAA", A), ("BBB/O", C)],
)
def test_a_word_names_the_one_component_that_it_can_mean(word: str, target: names.Target) -> None:
    assert names.resolve(word, [A, B, C]) == target


def test_a_word_that_names_several_or_none_is_answered_with_the_candidates() -> None:
    with pytest.raises(names.NoSuchComponent, match="'Raw' can be any of AAA/Raw, BBB/Raw; give more of the name"):
        names.resolve("Raw", [A, B, C])
    with pytest.raises(
        names.NoSuchComponent, match=r"called 'BBB/Othr'; did you mean 'BBB/Other'\? known: AAA/Raw"
    ) as no:
        names.resolve("BBB/Othr", [A, B, C])
    assert str(pickle.loads(pickle.dumps(no.value))) == str(no.value)
    with pytest.raises(names.NoSuchComponent, match="known: none"):
        names.resolve("x", [])


def test_of_several_the_one_that_runs_is_meant() -> None:
    alive = _target("XX.BBB.Raw", "running")
    assert names.resolve("Raw", [A, alive, C]) == alive


def test_all_means_all_and_each_only_once() -> None:
    assert names.resolve_all(["all"], [A, B]) == [A, B]
    assert names.resolve_all(["AAA", "AAA/Raw"], [A, B]) == [A]


def test_others_are_meant_only_by_a_name_that_none_of_the_known_has() -> None:
    alive = _target("XX.BBB.Raw", "running")
    assert names.resolve_all(["all"], [A], [alive]) == [A]
    assert names.resolve_all(["Raw"], [A], [alive]) == [A]
    assert names.resolve_all(["BBB"], [A], [alive]) == [alive]
    with pytest.raises(names.NoSuchComponent, match="'Raw' can be any of AAA/Raw, BBB/Raw"):
        names.resolve_all(["Raw"], [A, B], [_target("XX.CCC.Raw", "running")])
    with pytest.raises(names.NoSuchComponent, match="no component is called 'x'; known: AAA/Raw"):
        names.resolve_all(["x"], [A], [alive])


def test_a_shared_process_means_all_that_it_runs() -> None:
    def sharing(target: names.Target, group: str | None, is_alive: bool = True) -> names.Target:
        return replace(target, running=Running(1, Path("a"), 0, 1, group, is_alive=is_alive))

    a, b, c = sharing(A, "group.1"), sharing(B, "group.2"), sharing(C, "group.1")
    assert names.resolve_all(["group.1"], [a, b, c]) == [a, c]
    assert names.resolve_all(["group.1", "AAA", "BBB/Raw"], [a, b, c]) == [a, c, b]
    for known in ([A, b], [sharing(A, "group.1", is_alive=False), b]):
        with pytest.raises(names.NoSuchComponent, match=r"no component is called 'group\.1'"):
            names.resolve_all(["group.1"], known)


def test_a_shared_process_is_that_of_the_configuration() -> None:
    def sharing(target: names.Target, configuration: str) -> names.Target:
        running = Running(1, Path("a"), 0, 1, "group.1", Path(configuration))
        return replace(target, running=running)

    def found(known: list[names.Target], configuration: str, is_named: bool) -> list[names.Target]:
        return names.resolve_all(["group.1"], known[:1], known[1:], names.GroupOf(Path(configuration), is_named))

    a, b, c = sharing(A, "/one"), sharing(B, "/two"), sharing(C, "/one")
    for is_named in (True, False):
        assert found([a, b, c], "/one", is_named) == [a, c]
        assert found([a, b, c], "/two", is_named) == [b]
        with pytest.raises(names.NoSuchGroup, match=r"group\.1 is a process of /one and of /two: name its config.* -c"):
            found([a, b, c], "/three", is_named)
    assert found([b], "/three", False) == [b], "no other can be meant"
    with pytest.raises(names.NoSuchGroup, match=r"group\.1 is a process of /two: name its configuration with -c"):
        found([b], "/three", True)


def test_titles_have_the_network_only_where_stations_share_a_code(tmp_path: Path) -> None:
    settings = [
        ComponentSettings("Raw", StationSettings(network=network, code=code), None, (), None, Path("a"))  # type: ignore[arg-type]
        for network, code in (("XX", "AAA"), ("YY", "AAA"), ("YY", "BBB"))
    ]
    file = StationFile(Path("a"), settings[0].station, tuple(settings))
    files = RuntimeFiles(tmp_path, tmp_path)
    (tmp_path / "ZZ.Z.Raw.pid").touch()
    (tmp_path / "else.pid").touch()
    (tmp_path / "ZZ.Y.Raw.end").write_text('{"pid": 5, "config": "a", "error": "it broke"}')
    found = names.targets([file], files)
    assert [target.title for target in found] == ["XX.AAA/Raw", "YY.AAA/Raw", "BBB/Raw", "Y/Raw", "Z/Raw"]
    assert [target.state for target in found] == ["stopped", "stopped", "stopped", "failed", "dead"]
    assert replace(found[0], key="AA.B.C").station == "AA.B"
