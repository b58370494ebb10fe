"""Configurations: what can be is kept, what cannot be is refused with what would be right, all of it at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from rawdaq.control.repeater.config import Config, Mistaken
from rawdaq.control.repeater.config_file import MAX_FILE_BYTES, FileReader
from tests.control.repeater.repeaters import file_content

GOOD: dict[str, Any] = {
    "in_address": "tcp://192.0.2.5:9609",
    "stream_names": ["store", "preview"],
    "send_output_mode": ["send_every_nth", "strides"],
    "send_output_param": [1, 10],
    "stream_ports": [9610, 9612],
    "zmq_modes": [8, 1],
}
WHOLE = "is not a whole number of at least 1"


def mistakes(changes: dict[str, Any]) -> list[str]:
    with pytest.raises(Mistaken) as caught:
        Config().changed(GOOD | changes)
    assert str(caught.value) == "; ".join(caught.value.mistakes)
    return caught.value.mistakes


def test_a_good_configuration_is_shown_with_the_keys_of_the_original_and_ours() -> None:
    shown = Config().changed(GOOD).shown()
    assert {key: shown[key] for key in GOOD} == GOOD
    assert [shown[key] for key in ("in_zmq_mode", "io_threads", "buffer_size", "frame_block")] == ["PULL", 1, 5000, 15]
    assert (shown["n_output_streams"], shown["config_file"], shown["mode_metadata"]) == (2, None, "file")


@pytest.mark.parametrize(
    ("changes", "key", "kept"),
    [
        ({"in_zmq_mode": "sub"}, "in_zmq_mode", "SUB"),
        ({"zmq_modes": ["push", "PUB"]}, "zmq_modes", [8, 1]),
        ({"zmq_modes": ["8", None]}, "zmq_modes", [8, 8]),
        ({"send_output_param": [2.0, 3]}, "send_output_param", [2, 3]),
        ({"mode_metadata": "testmetadata"}, "mode_metadata", "TestMetadata"),
        ({"frame_block": [3, 4]}, "frame_block", [3, 4]),
        ({"in_address": ["tcp://a:1", "ipc:///tmp/x"]}, "in_address", ["tcp://a:1", "ipc:///tmp/x"]),
        ({"in_address": "tcp://localhost:9990"}, "in_address", "tcp://localhost:9990"),
        ({"in_address": "tcp://[::1]:9990"}, "in_address", "tcp://[::1]:9990"),
        ({"in_address": "tcp://*:9990", "in_bind": True}, "in_bind", True),
        ({"stream_ports": [0, 0]}, "stream_ports", [0, 0]),
        ({"n_output_streams": 2}, "n_output_streams", 2),
        ({"in_zmq_mode": "SUB", "topics": ["XX."]}, "topics", ["XX."]),
        ({"stream_ports": [9610, None], "address": [None, "tcp://store:1"]}, "address", [None, "tcp://store:1"]),
        ({"out_ip": "0.0.0.0"}, "out_ip", "0.0.0.0"),
    ],
)
def test_what_can_be_is_kept(changes: dict[str, Any], key: str, kept: Any) -> None:
    assert Config().changed(GOOD | changes).shown()[key] == kept


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"in_address": None}, "in_address None is not a text, or empty"),
    ({"in_address": "192.0.2.5"}, "in_address: '192.0.2.5' is not a zmq address"),
    ({"in_address": ["tcp://a:1"] * 2}, "in_address ['tcp://a:1', 'tcp://a:1'] has an address twice"),
    ({"in_address": "tcp://*:9990"}, "in_address 'tcp://*:9990' names no machine"),
    ({"in_zmq_mode": "PUB"}, "in_zmq_mode 'PUB' is not PULL or SUB"),
    ({"io_threads": 17}, "io_threads 17 is not a whole number from 1 to 16"),
    ({"io_threads": True}, "io_threads True is not a whole number from 1 to 16"),
    ({"buffer_size": "5000"}, "buffer_size '5000' is not a whole number from 1 to 1000000"),
    ({"n_output_streams": 3}, "n_output_streams 3 is not the number of entries of the lists, 2"),
    ({"stream_names": ["a", "a"]}, "stream_names 'a' of output output_1 is there twice"),
    ({"stream_names": ["a b", "c"]}, "stream_names 'a b' of output output_0 is not 1-48 letters"),
    ({"send_output_mode": ["nth", "strides"]}, "send_output_mode 'nth' of output store is not send_every_nth or"),
    ({"send_output_mode": "strides"}, "send_output_mode 'strides' is not a list"),
    ({"send_output_param": [1, 0]}, f"send_output_param 0 of output preview {WHOLE}"),
    ({"send_output_param": [1, 1.5]}, f"send_output_param 1.5 of output preview {WHOLE}"),
    ({"send_output_param": [1, "x"]}, "send_output_param 'x' of output preview is not a number"),
    ({"send_output_param": [1, None]}, "send_output_param None of output preview is not a number"),
    ({"send_output_param": [1, float("inf")]}, "send_output_param inf of output preview is not a number"),
    ({"send_output_param": [1]}, "send_output_param has 1 entries, another list 2"),
    ({"stream_ports": [9610, 9610]}, "stream_ports 9610 of output preview is what another output has"),
    ({"stream_ports": [9610, 65536]}, "stream_ports 65536 of output preview is not a whole number from 0 to 65535"),
    ({"stream_ports": [9610, "9611"]}, "stream_ports '9611' of output preview is not a whole number"),
    ({"zmq_modes": [8, 2]}, "zmq_modes: 2 is not PUSH (8) or PUB (1)"),
    ({"zmq_modes": [8, {}]}, "zmq_modes {} of output preview is not PUSH (8) or PUB (1)"),
    ({"frame_block": 0}, "frame_block 0 is not a whole number from 1 to 1000000000"),
    ({"mode_metadata": "gff"}, "mode_metadata 'gff' is not file or gf or TestMetadata"),
    ({"origin": ["last", None]}, "origin 'last' of output store is not zero or first"),
    ({"overflow": ["drop", None]}, "overflow 'drop' of output store is not block or drop_oldest or drop_newest"),
    ({"address": ["tcp://a:1", None]}, "stream_ports 9610 of output store has an address too"),
    ({"address": ["tcp://a", None]}, "address: 'tcp://a' is not the address of a consumer"),
    ({"buffer_mb": 0}, "buffer_mb 0 is not a number above 0"),
    ({"in_bind": 1}, "in_bind 1 is not true or false"),
    ({"topics": "XX"}, "topics 'XX' is not a list of texts"),
    ({"topics": ["XX"]}, "topics are what SUB subscribes to"),
    ({"out_ip": ""}, "out_ip '' is not the address of an interface"),
    ({"bufer_size": 1}, "bufer_size is not a key of the configuration; did you mean 'buffer_size'?"),
    ({"config_folder": "/"}, "config_folder is not a key of the configuration"),
]


@pytest.mark.parametrize(("changes", "expected"), WRONG)
def test_each_wrong_value_is_named_with_what_would_be_right(changes: dict[str, Any], expected: str) -> None:
    found = mistakes(changes)
    assert any(mistake.startswith(expected) for mistake in found), found


def test_a_parameter_above_its_block_says_that_the_original_had_them_exchanged() -> None:
    (mistake,) = mistakes({"send_output_mode": ["send_every_nth_frame", "strides"], "send_output_param": [20, 1]})
    assert "is above frame_block 15" in mistake
    assert "the original had the two exchanged" in mistake


def test_all_mistakes_are_reported_at_once() -> None:
    assert len(mistakes({"io_threads": 0, "stream_ports": [1, "x"], "zmq_modes": [3, 4], "foo": 1})) == 5


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Mistaken) as caught:
        Config().changed({})
    assert [mistake.partition(":")[0] for mistake in caught.value.mistakes] == [
        "there is no output",
        "in_address is missing; it should look like tcp",
    ]
    with pytest.raises(Mistaken, match="send_output_param is missing"):
        Config().changed({"in_address": "tcp://a:1", "send_output_mode": ["strides"]})
    with pytest.raises(Mistaken, match="stream_ports is missing"):
        Config().changed({key: GOOD[key] for key in ("in_address", "send_output_mode", "send_output_param")})


def test_outputs_without_names_are_numbered_and_share_the_buffer() -> None:
    made = Config().changed({key: value for key, value in GOOD.items() if key != "stream_names"})
    assert [output.name for output in made.outputs()] == ["output_0", "output_1"]
    assert [output.options["buffer_mb"] for output in made.outputs()] == [128, 128]


def write(folder: Path, content: object) -> FileReader:
    (folder / "beam.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return FileReader(folder)


EXAMPLE = {
    "in-stream": {"name": "camera", "zmq_mode": "PULL", "address": "tcp://192.0.2.5:9609"},
    "frame_block": 15,
    "out-streams": {
        "store": {"zmq_mode": "PUSH", "port": 9610, "send_output_mode": "send_every_nth", "send_output_param": 1},
        "std-det-writer": {
            "zmq_mode": "PUB",
            "port": 9611,
            "send_output_mode": "send_every_nth",
            "send_output_param": 1,
        },
        "preview": {"zmq_mode": "PUB", "port": 9612, "send_output_mode": "send_every_sec", "send_output_param": 0.5},
    },
}


def test_a_file_says_outputs_in_the_order_of_all_lists(tmp_path: Path) -> None:
    shown = write(tmp_path, EXAMPLE).read("beam.json").shown()
    assert shown["stream_names"] == ["store", "std-det-writer", "preview"]
    assert (shown["stream_ports"], shown["zmq_modes"]) == ([9610, 9611, 9612], [8, 1, 1])
    assert (shown["send_output_param"], shown["n_output_streams"]) == ([1, 1, 0.5], 3)
    assert [output.has_writer_header for output in FileReader(tmp_path).read("beam.json").outputs()] == [
        False,
        True,
        False,
    ]


def test_our_own_keys_stand_at_the_output_or_at_the_top(tmp_path: Path) -> None:
    own = {"origin": "first", "overflow": "block", "frame_block": 3, "header": "std-det-writer"}
    store = {"zmq_mode": "PUSH", "send_output_mode": "strides", "send_output_param": 2, "address": "tcp://a:1", **own}
    made = write(tmp_path, file_content(store=store) | {"buffer_mb": 10}).read("beam.json")
    (output,) = made.outputs()
    assert (output.port, output.overflow, output.has_writer_header) == (0, "block", True)
    assert [output.options[key] for key in ("origin", "frame_block", "address", "buffer_mb")] == [
        "first",
        3,
        "tcp://a:1",
        10,
    ]


def changed(**changes: Any) -> dict[str, Any]:
    store = {"zmq_mode": "PUSH", "port": 1, "send_output_mode": "strides", "send_output_param": 2}
    return file_content(store={key: value for key, value in (store | changes).items() if value is not None})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{\n # old\n}", "beam.json, line 2, column 2: not JSON"),
        ("{\n # old\n}", "older forms, with lists or comments, are not read"),
        ("[]", "beam.json is not a JSON object"),
        (" " * (MAX_FILE_BYTES + 1), "beam.json has more than"),
        ({}, "in-stream is missing"),
        ({}, "out-streams is missing"),
        ({"in-stream": {}, "out-streams": []}, "out-streams is not an object; older forms"),
        ({"in-stream": {"zmq_mode": "PULL"}, "out-streams": {}}, "in-stream.address is missing"),
        ({"in-stream": {"address": "tcp://a:1"}, "out-streams": {}}, "in-stream.zmq_mode is missing"),
        ({"in-stream": {"address": "a", "zmq_mode": "x"}}, "in-stream.zmq_mode 'x' is not PULL or SUB"),
        ({"in-stream": {"address": "a", "zmq_mode": "x"}}, "in-stream.address 'a' is not a zmq address"),
        (changed(port=None), "out-streams.store.port is missing"),
        (changed(port="x"), "out-streams.store.port 'x' is not a whole number from 0 to 65535"),
        (changed(send_output_mode="sometimes"), "out-streams.store.send_output_mode 'sometimes' is not send_every_nth"),
        (changed(send_output_param=0), "out-streams.store.send_output_param 0 is not a whole number of at least 1"),
        (changed(colour=1), "out-streams.store.colour is not a key"),
        (changed() | {"colour": 1}, "colour is not a key"),
        (changed() | {"io_threads": 0}, "io_threads 0 is not a whole number"),
        (file_content(**{"a b": changed()["out-streams"]["store"]}), "out-streams.a b is not 1-48 letters"),
        (file_content(store=1), "out-streams.store is not an object"),
    ],
)
def test_mistakes_of_a_file_are_named_with_their_path(content: Any, expected: str, tmp_path: Path) -> None:
    with pytest.raises(Mistaken) as caught:
        write(tmp_path, content).read("beam.json")
    assert any(expected in mistake for mistake in caught.value.mistakes), caught.value.mistakes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("absent.json", "there is no such file"),
        ("../beam.json", "is outside of"),
        ("/etc/passwd", "is outside of"),
        (".", "there is no such file"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ],
)
def test_only_files_of_the_folder_are_read(name: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    write(tmp_path, EXAMPLE)
    with pytest.raises(Mistaken, match=expected):
        FileReader(tmp_path / "inside").read(name)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "beam.json").write_bytes(b"\xff\xfe")
    with pytest.raises(Mistaken, match="cannot be read"):
        FileReader(tmp_path).read("beam.json")


def test_unknown_keys_of_a_file_can_be_ignored_as_the_original_does(tmp_path: Path) -> None:
    write(tmp_path, changed(colour=1) | {"old": 1})
    reader = FileReader(tmp_path, ignores_unknown=True)
    assert reader.read("beam.json").count == 1
    assert reader.ignored == ["old", "out-streams.store.colour"]
