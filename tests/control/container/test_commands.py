"""``control-rawdaq container``: what operators do with container files."""

import json
import os
import threading
from pathlib import Path

import pytest

from rawdaq.container import ContainerReader, ContainerWriter, SofReader
from rawdaq.container.sof import write_sof
from rawdaq.control.container import commands
from tests.container.files import CREATED_NS, Clock, event, written
from tests.control.cli_words import Said
from tests.helpers import wait_for


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys, "container")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "a.rdc", [[b"one", event(1)], [event(2)], [b"four"]])


@pytest.fixture
def damaged(file: Path) -> Path:
    data = bytearray(file.read_bytes())
    data[data.index(b"BLK1", data.index(b"BLK1") + 1) + 50] ^= 1  # the body of block 1
    file.write_bytes(data)
    return file


def test_info_says_what_a_file_is(said: Said, file: Path, tmp_path: Path) -> None:
    status, out, err = said.run("info", str(file))
    assert (status, err) == (0, "")
    assert "blocks: 3\nobjects: 4\n" in out
    assert "created: 2026-09-21T14:13:20.000000000Z\n" in out
    assert 'about: {"station": "XX.DEMO"}\n' in out
    found = json.loads(said.run("info", str(file), "--json")[1])
    assert (found["objects"], found["is_finished"], found["created_ns"]) == (4, True, CREATED_NS)
    empty = written(tmp_path / "empty.rdc", [], is_finished=False)
    assert "first: -\n" in said.run("info", str(empty))[1]


def test_check_ends_with_1_when_something_is_damaged(said: Said, damaged: Path, tmp_path: Path) -> None:
    good = written(tmp_path / "good.rdc", [[b"one"]])
    assert said.run("check", str(good)) == (0, f"{good}: 1 objects in 1 blocks are good\n", "")
    status, out, err = said.run("check", str(damaged))
    assert status == 1
    assert f"{damaged}: block 1 (" in out
    assert f"{damaged}: 3 objects in 3 blocks are good" in out
    assert f"container recover {damaged} saves what is good" in err
    os.truncate(good, good.stat().st_size - 1)
    status, out, _ = said.run("check", str(good))
    assert (status, "its footer is damaged" in out) == (1, True)
    torn = written(tmp_path / "torn.rdc.part", [[b"one"], [b"two"]], is_finished=False)
    os.truncate(torn, torn.stat().st_size - 1)
    status, out, _ = said.run("check", str(torn))
    assert (status, "bytes are no whole block" in out) == (1, True)


def test_recover_saves_what_is_good_and_touches_nothing(said: Said, damaged: Path, tmp_path: Path) -> None:
    before = damaged.read_bytes()
    status, out, _ = said.run("recover", str(damaged))
    target = damaged.with_name("a.rdc.recovered.rdc")
    assert status == 0
    assert f"{target}: 3 objects are saved" in out
    with ContainerReader(target) as reader:
        assert list(reader) == [b"one", event(1), b"four"]
        assert reader.stored(0).time_ns == CREATED_NS + 1
        assert reader.info.about == {"station": "XX.DEMO", "recovered_from": "a.rdc"}
    assert damaged.read_bytes() == before
    assert said.run("recover", str(damaged)) == (
        1, "", f"control-rawdaq: {target} exists, and is not written over: give another name\n"
    )  # fmt: skip
    write_sof(tmp_path / "old.sof", [b"x", b"y"], 5, "")
    assert said.run("recover", str(tmp_path / "old.sof"), "-o", str(tmp_path / "new.rdc"))[0] == 0
    with ContainerReader(tmp_path / "new.rdc") as reader:
        assert (list(reader), reader.stored(0).time_ns) == ([b"x", b"y"], 5_000_000_000)
    assert said.run("recover", str(written(tmp_path / "empty.rdc", [])))[0] == 1
    status, _, err = said.run("recover", str(tmp_path / "new.rdc"), "-o", str(tmp_path / "no" / "x.rdc"))
    assert (status, "create the folder" in err) == (1, True)


@pytest.mark.parametrize(
    ("args", "numbers"),
    [
        ([], [0, 1, 2, 3]),
        (["--start", "2"], [2, 3]),
        (["--start", "-1"], [3]),
        (["--start", "-9", "-n", "2"], [0, 1]),
        (["--from", "2026-09-21T14:13:21Z"], [1, 2]),
        (["--to", "2026-09-21T14:13:22Z"], [0, 1, 3]),
        (["--from", "2026-09-21T14:13:21Z", "--to", "2026-09-21T14:13:22Z", "-f"], [1]),
    ],
)
def test_cat_prints_objects_as_json(said: Said, file: Path, args: list[str], numbers: list[int]) -> None:
    status, out, err = said.run("cat", str(file), *args)
    assert (status, err) == (0, "")
    assert [json.loads(line)["number"] for line in out.splitlines()] == numbers


def test_cat_follows_a_file_until_it_is_finished(said: Said, tmp_path: Path) -> None:
    path = tmp_path / "a.rdc.part"
    writer = ContainerWriter(path, clock_ns=Clock())
    writer.write(b"one")
    writer.flush()
    seen: list[tuple[int, str, str]] = []
    following = threading.Thread(target=lambda: seen.append(said.run("cat", "-f", str(path))))
    following.start()
    writer.write(b"two")
    writer.close()
    wait_for(lambda: seen)
    following.join()
    assert [json.loads(line)["payload"] for line in seen[0][1].splitlines()] == ["one", "two"]


def test_export_writes_lines_of_json_and_files_of_ssdaq(said: Said, file: Path, tmp_path: Path) -> None:
    lines, sof = tmp_path / "a.jsonl", tmp_path / "a.sof"
    assert said.run("export", str(file), str(lines)) == (0, f"{lines}: 4 objects\n", "")
    assert [json.loads(line)["kind"] for line in lines.read_text().splitlines()] == ["bytes", "event", "event", "bytes"]
    assert said.run("export", str(file), str(sof), "--content", "trigger") == (0, f"{sof}: 4 objects\n", "")
    with SofReader(sof) as reader:
        assert list(reader) == [b"one", b"\1\2", b"\1\2", b"four"]
    assert sof.read_bytes()[24:28] == b"\1\0\3\0"
    assert said.run("export", str(file), str(sof))[0] == 1
    status, _, err = said.run("export", str(file), str(tmp_path / "a.txt"))
    assert (status, "give --format" in err) == (2, True)
    assert said.run("export", str(file), str(tmp_path / "a.txt"), "--format", "jsonl")[0] == 0


def test_export_of_a_damaged_file_ends_with_1(said: Said, damaged: Path, tmp_path: Path) -> None:
    status, out, err = said.run("export", str(damaged), str(tmp_path / "a.jsonl"))
    assert (status, out.endswith("3 objects\n"), "1 parts of it are left out" in err) == (1, True, True)


def test_what_cannot_be_read_is_told_in_a_line(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text").write_text("text")
    status, _, err = said.run("info", str(tmp_path / "text"))
    assert (status, err.count("\n"), "is no container file" in err) == (1, 1, True)
    status, _, err = said.run("cat", str(tmp_path / "text"), "--from", "noon")
    assert status == 2
    assert "is not a UTC time" in err
    assert said.run("info", str(tmp_path / "none"))[0] == 2

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("rawdaq.container.export.open_container", refuse)
    assert said.run("info", str(tmp_path / "text"))[2] == (
        f"control-rawdaq: cannot read {tmp_path / 'text'}: Permission denied; let this user write there\n"
    )


def test_a_closed_pipe_and_ctrl_c_end_cat_quietly(said: Said, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "_lines", interrupt)
    assert said.run("cat", "-f", str(file))[0] == 0
    assert said.run("cat", str(file))[0] == 130
