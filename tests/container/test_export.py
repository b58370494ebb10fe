"""What is in a container for other programs."""

import json
from pathlib import Path

import pytest

from rawdaq.container.errors import NotContainer
from rawdaq.container.export import as_bytes, as_json, open_container, write_json_lines
from rawdaq.container.reader import ContainerReader
from rawdaq.container.sequence import Stored
from rawdaq.container.sof import SofReader, write_sof
from tests.container.files import ITEMS, MULTIPART, event, written
from tests.makers import START_NS, packet


def test_each_kind_of_object_is_json() -> None:
    given = packet(0, 3)
    assert as_json(Stored(4, START_NS, given)) == {
        "number": 4,
        "time_ns": START_NS,
        "time": "2026-11-21T00:00:00.000000000Z",
        "kind": "packet",
        "header": {
            "htype": "array-1.0", "type": "int32", "encoding": "little", "rawdaq": 1, "stream": "XX.DEMO.00.HHZ",
            "rate_hz": 100, "shape": [3], "frame": 0, "start_ns": START_NS, "timing_quality": None, "received_ns": 0,
        },
        "samples": [0, 1, 2],
    }  # fmt: skip
    assert as_json(Stored(0, None, b"text")) == {"number": 0, "kind": "bytes", "payload": "text"}
    assert as_json(Stored(0, None, b"\xff")) == {"number": 0, "kind": "bytes", "payload": {"base64": "/w=="}}
    found = as_json(Stored(0, None, event(1, b"")))
    assert (found["kind"], found["topic"], found["header"]["source"]) == ("event", "~event.XX.DEMO.Trig", 1)
    assert "payload" not in found
    assert as_json(Stored(0, None, event(1, b"x")))["payload"] == "x"
    assert as_json(Stored(0, None, MULTIPART))["parts"] == ['{"frame":3}', "pixels"]


def test_each_kind_of_object_is_bytes() -> None:
    assert as_bytes(b"x") == b"x"
    assert as_bytes(packet(0, 2)) == b"\0\0\0\0\1\0\0\0"
    assert as_bytes(event(1, b"datagram")) == b"datagram"
    assert json.loads(as_bytes(event(1, b"")))["source"] == 1
    assert as_bytes(MULTIPART) == b'{"frame":3}pixels'


def test_lines_of_json_are_written_once(tmp_path: Path) -> None:
    with ContainerReader(written(tmp_path / "a.rdc", [ITEMS])) as reader:
        assert write_json_lines(tmp_path / "a.jsonl", reader) == len(ITEMS)
        with pytest.raises(FileExistsError):
            write_json_lines(tmp_path / "a.jsonl", reader)
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [*range(len(ITEMS))]


def test_a_file_is_opened_by_what_it_is(tmp_path: Path) -> None:
    write_sof(tmp_path / "new.dat", [b"x"], 0, "")
    (tmp_path / "old.prt").write_bytes(bytes(24))
    (tmp_path / "text.txt").write_bytes(b"text")
    with open_container(written(tmp_path / "a.rdc", [ITEMS])) as reader:
        assert isinstance(reader, ContainerReader)
    for name in ("new.dat", "old.prt"):
        with open_container(tmp_path / name) as reader:
            assert isinstance(reader, SofReader)
    with pytest.raises(NotContainer, match=r"text.txt is no container file: it does not begin"):
        open_container(tmp_path / "text.txt")
