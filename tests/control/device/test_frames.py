"""The fake detector sends what was asked for, and the faults that were asked for."""

import json
import signal
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from click.testing import CliRunner

from rawdaq.control.device.frames import Detector, Faults, Image, from_folder, header, made_up, sent_numbers
from rawdaq.control.device.frames_command import frames
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.protocols.array import BinaryHeader, HeaderForm, decode, read_frame_header
from tests.helpers import start_cli, wait_for
from tests.names import NAME, Names


@pytest.mark.parametrize(
    ("first", "count", "faults", "expected"),
    [
        (0, 4, Faults(), [0, 1, 2, 3]),
        (7, 2, Faults(), [7, 8]),
        (0, 5, Faults(lose=frozenset({0, 3})), [1, 2, 4]),
        (0, 5, Faults(swap=frozenset({1})), [0, 2, 1, 3, 4]),
        (0, 3, Faults(swap=frozenset({2})), [0, 1, 2]),
        (0, 3, Faults(duplicate=frozenset({1})), [0, 1, 1, 2]),
        (3, 7, Faults(restart_after=3), [3, 4, 5, 3, 4, 5, 3]),
        (0, 4, Faults(frozenset({1}), frozenset({1})), [0, 2, 3]),
    ],
)
def test_numbers_and_what_goes_wrong_with_them(first: int, count: int, faults: Faults, expected: list[int]) -> None:
    assert list(sent_numbers(first, count, faults)) == expected


def test_without_a_count_there_is_no_end() -> None:
    assert list(islice(sent_numbers(0, 0, Faults()), 1000)) == list(range(1000))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float64"])
def test_made_up_frames_are_arrays(dtype: str) -> None:
    image = next(made_up((4, 5), dtype))
    head = header(image, 41, HeaderForm.FILE, is_minimal=False, now_ns=7)
    assert decode([head, image.data]).array.shape == (4, 5)
    keys = json.loads(head)
    assert (keys["frame"], keys["image_attributes"]["image_number"], keys["time_ns"]) == (41, 41, 7)
    assert keys["type"] == dtype


def test_other_forms_of_the_header() -> None:
    image = Image({}, b"data")
    assert header(image, 3, HeaderForm.GF, is_minimal=True, now_ns=0) == b'{"frame":3}'
    binary = header(image, 3, HeaderForm.BINARY, is_minimal=False, now_ns=0)
    assert BinaryHeader.decode(binary) == BinaryHeader(3, shape=4)


@pytest.mark.parametrize(("shape", "dtype"), [((2,), "nonsense"), ((1 << 40, 1 << 40), "uint8")])
def test_an_array_that_cannot_be_is_refused(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(InvalidValue, match="no array has the shape"):
        next(made_up(shape, dtype))


def test_files_are_sent_again_and_again(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6, dtype="<u2").reshape(2, 3))
    np.save(tmp_path / "b.npy", np.zeros((2, 2, 3), "<i4"))
    (tmp_path / "c_000.raw").write_text('{"frame": 9, "source": "file", "image_attributes": {"image_number": 9}}')
    (tmp_path / "c_001.raw").write_bytes(b"data")
    images = list(islice(from_folder(tmp_path), 8))
    assert [len(image.data) for image in images] == [12, 24, 24, 4] * 2
    keys = json.loads(header(images[3], 5, HeaderForm.FILE, is_minimal=False, now_ns=0))
    assert (keys["frame"], keys["source"], keys["image_attributes"]["image_number"]) == (5, "file", 5)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({}, "has neither .npy files nor pairs"),
        ({"a.npy": b"nonsense"}, "is not an .npy file"),
        ({"a_000.raw": b"{}"}, "are not a frame"),
        ({"a_000.raw": b"[]", "a_001.raw": b""}, "its header is not a JSON object"),
    ],
)
def test_files_that_are_no_frames_are_named(files: dict[str, bytes], text: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidValue, match=text):
        next(from_folder(tmp_path))


def _images() -> Iterator[Image]:
    while True:
        yield Image({}, b"data")


def _minimal(_: Image, number: int) -> bytes:
    return b'{"frame":%d}' % number


@pytest.mark.parametrize(("mode", "kind"), [("push", zmq.PULL), ("pub", zmq.SUB)])
def test_frames_reach_a_consumer_with_malformed_ones_between_them(mode: str, kind: int) -> None:
    with Detector("tcp://127.0.0.1:*", mode, False, threading.Event()) as detector, zmq.Context() as context:
        with context.socket(kind) as taker:
            taker.linger, taker.rcvtimeo = 0, 30_000
            if kind == zmq.SUB:
                taker.subscribe(b"")
            taker.connect(detector.address)
            detector.wait_for_consumer()
            detector.play(range(6), _images(), _minimal, 1e6, malformed=2)
            came = [taker.recv_multipart() for _ in range(9)]
            assert (detector.frames, detector.size_bytes) == (6, sum(len(part) for message in came for part in message))
    assert [read_frame_header(came[index]).frame for index in (0, 1, 3, 4, 6, 7)] == list(range(6))
    assert came[2] == [b"not JSON", b"data"]


def test_it_can_connect_and_ends_when_it_is_stopped() -> None:
    stop = threading.Event()
    with zmq.Context() as context, context.socket(zmq.PULL) as taker:
        taker.linger, taker.rcvtimeo = 0, 30_000
        taker.bind("tcp://127.0.0.1:*")
        with Detector(taker.getsockopt_string(zmq.LAST_ENDPOINT), "push", True, stop) as detector:
            detector.play([1], _images(), _minimal, None)
            assert taker.recv_multipart() == [b'{"frame":1}', b"data"]
            stop.set()
            detector.play(range(10), _images(), _minimal, 0.001)
            assert detector.frames == 2


def test_without_a_consumer_it_waits_until_it_is_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with Detector("tcp://127.0.0.1:*", "push", False, stop) as detector:
        detector.wait_for_consumer()
        detector.play(range(10), _images(), _minimal, None)
        assert detector.frames == 0


def test_an_address_in_use_is_an_error() -> None:
    with Detector("tcp://127.0.0.1:*", "push", False, threading.Event()) as detector:
        with pytest.raises(ComponentError, match="cannot bind ZMQ tcp:"):
            Detector(detector.address, "push", False, threading.Event()).__enter__()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--lose", "x"], "'x' is not a list of frame numbers"),
        (["--shape", "4by5"], "'4by5' is not a shape"),
        (["--shape", "4x-5"], "is not a shape"),
        (["-a", "localhost"], "is not a zmq address"),
        (["--type", "nonsense", "--no-wait"], "no array has the shape"),
    ],
)
def test_wrong_options_are_named(args: list[str], text: str) -> None:
    result = CliRunner().invoke(frames, ["-a", "tcp://127.0.0.1:*", *args])
    assert (result.exit_code, text in result.output) == (2, True), result.output


def test_device_and_dump_talk_as_commands(tmp_path: Path) -> None:
    options = ["-a", "tcp://127.0.0.1:*", "-i", "12", "--max", "--shape", "3x2", "--lose", "4", "--duplicate", "6"]
    device = start_cli(["rawdaq-device", "--frames", *options])
    try:
        assert device.stdout is not None
        address = device.stdout.readline().split()[-1]
        words = ["-a", address, "-n", "12", "--json", "--write", str(tmp_path / "a.npy"), "--seconds", "60"]
        dump = start_cli(["rawdaq-dump", *words, "--frames"])
        output, totals = dump.communicate(timeout=60)
        assert device.wait(30) == 0
        assert "sent 12 frames" in device.stdout.read()
    finally:
        device.send_signal(signal.SIGTERM)
        device.communicate()
    lines: list[Any] = [json.loads(line) for line in output.splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 5, 6, 6, 7, 8, 9, 10, 11]
    assert (lines[0]["bytes"], lines[0]["parts"]) == (
        12 + len(json.dumps(lines[0]["header"], separators=(",", ":"))),
        2,
    )
    assert "12 frames" in totals
    assert "1 missing, 1 doubled, 0 out of order" in totals
    assert "latency" in totals
    assert dump.returncode == 0
    assert np.load(tmp_path / "a.npy").shape == (12, 3, 2)


def test_a_signal_ends_it() -> None:
    device = start_cli(["rawdaq-device", "-a", "tcp://127.0.0.1:*", "--frames", "-i", "0", "--no-wait"])
    assert device.stdout is not None
    assert "frames from" in device.stdout.readline()
    device.send_signal(signal.SIGTERM)
    wait_for(lambda: device.poll() is not None)
    output, _ = device.communicate()
    assert (device.returncode, "sent 0 frames" in output) == (0, True)


def test_a_consumer_is_found_at_any_address_of_its_name(names: Names) -> None:
    with zmq.Context() as context, context.socket(zmq.PULL) as taker:
        taker.linger, taker.rcvtimeo = 0, 30_000
        taker.bind("tcp://127.0.0.1:*")
        address = taker.getsockopt_string(zmq.LAST_ENDPOINT).replace("127.0.0.1", NAME)
        with Detector(address, "push", True, threading.Event()) as detector:
            detector.wait_for_consumer()
            detector.play(range(3), _images(), _minimal, 1e6)
            assert [taker.recv_multipart()[0] for _ in range(3)] == [b'{"frame":%d}' % number for number in range(3)]
