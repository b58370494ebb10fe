"""A consumer of frames counts what came, shows it, and writes it."""

import json
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zmq
from click.testing import CliRunner

from rawdaq.control.dump.frame_files import frame_file
from rawdaq.control.dump.frame_reader import FrameReader
from rawdaq.control.dump.frames import Arrival, FrameStats, arrival, parse_numbers
from rawdaq.control.dump.frames_command import frames
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.protocols.array import BinaryHeader, HeaderForm, encode_header
from rawdaq.protocols.message import encode
from tests.makers import packet
from tests.names import NAME, Names

MS = 1_000_000


def came(number: int, latency_ns: int | None = None) -> Arrival:
    return Arrival(number, {"frame": number}, 2, 100, b"", latency_ns)


def counted(*numbers: int) -> FrameStats:
    stats = FrameStats()
    for index, number in enumerate(numbers):
        stats.add(came(number), index * 10 * MS)
    return stats


@pytest.mark.parametrize(
    ("numbers", "missing", "doubled", "out_of_order"),
    [
        ([], 0, 0, 0),
        ([5], 0, 0, 0),
        ([0, 1, 2, 3], 0, 0, 0),
        ([0, 3, 4], 2, 0, 0),
        ([0, 2, 1, 3], 0, 0, 1),
        ([0, 1, 1, 2], 0, 1, 0),
        ([3, 4, 0, 1, 3], 1, 1, 1),
    ],
)
def test_what_is_missing_doubled_and_out_of_order(
    numbers: list[int], missing: int, doubled: int, out_of_order: int
) -> None:
    stats = counted(*numbers)
    assert (stats.missing, stats.doubled, stats.out_of_order) == (missing, doubled, out_of_order)
    assert (stats.frames, stats.order) == (len(numbers), numbers)


def test_the_totals_say_rate_and_latency() -> None:
    stats = counted(0, 1, 2)
    for number, latency_ns in enumerate([2 * MS, MS, 6 * MS]):
        stats.add(came(3 + number, latency_ns), (3 + number) * 10 * MS)
    stats.malformed["no header"] += 2
    assert stats.summary() == (
        "6 frames, 0.001 MB, 100.0 frames/s; 0 missing, 0 doubled, 0 out of order, 2 malformed (no header); "
        "latency 1.000 / 3.000 / 6.000 ms (least, mean, most)"
    )


def test_a_frame_is_shown_in_one_line_as_json_or_with_its_header() -> None:
    array = np.arange(6, dtype="<u2").reshape(2, 3)
    shown = arrival([encode_header(4, array), array.tobytes(), b"more"], HeaderForm.FILE, 0)
    size = len(encode_header(4, array)) + 16
    assert shown.line() == f"frame 4 uint16 2x3 {size} bytes in 3 parts"
    assert json.loads(shown.json()) | {"header": None} == {"frame": 4, "bytes": size, "parts": 3, "header": None}
    assert json.loads(shown.header())["shape"] == [2, 3]
    binary = arrival([BinaryHeader(7).encode()], HeaderForm.BINARY, 0)
    assert (binary.line(), json.loads(binary.json())["header"]) == ("frame 7 56 bytes in 1 parts", None)


def test_our_own_messages_have_a_latency() -> None:
    parts = encode(packet(sequence=3, received_ns=5))
    shown = arrival(parts, HeaderForm.FILE, 1)
    assert (shown.frame, (shown.latency_ns or 0) > 0, "latency_s" in shown.json()) == (3, True, True)
    assert " lat=" in shown.line()


@pytest.mark.parametrize(("text", "numbers"), [("1", [1]), ("0-3,7,9-9", [0, 1, 2, 3, 7, 9])])
def test_numbers_are_listed_with_ranges(text: str, numbers: list[int]) -> None:
    assert parse_numbers(text) == numbers


def arrivals(dtype: str) -> list[Arrival]:
    arrays = [np.full((2, 3), index).astype(dtype) for index in range(12)]
    return [
        arrival([encode_header(5 + i, array), array.tobytes()], HeaderForm.FILE, 0) for i, array in enumerate(arrays)
    ]


@pytest.mark.parametrize("dtype", ["<u2", ">i4", "u1", "<f8"])
def test_frames_are_written_as_one_array(dtype: str, tmp_path: Path) -> None:
    for name in "a.npy", "a.h5":
        file = frame_file(tmp_path / name)
        for each in arrivals(dtype):
            file.write(each)
        file.close()
    kept = np.load(tmp_path / "a.npy")
    assert (kept.dtype, kept.shape, kept[:, 0, 0].tolist()) == (np.dtype(dtype), (12, 2, 3), list(range(12)))
    with h5py.File(tmp_path / "a.h5") as opened:
        data: Any = opened["data"]
        assert np.array_equal(data[:], kept)
        number: Any = opened["frame"]
        assert number[:].tolist() == list(range(5, 17))


def test_frames_of_another_kind_and_those_that_are_no_array_are_refused(tmp_path: Path) -> None:
    file = frame_file(tmp_path / "a.npy")
    file.write(arrivals("<u2")[0])
    with pytest.raises(InvalidValue, match="a file has one kind"):
        file.write(arrivals("<i4")[0])
    with pytest.raises(InvalidValue, match="frame 1 cannot be written"):
        file.write(Arrival(1, {"frame": 1}, 2, 10, b"", None))
    file.write(arrivals("<u2")[1])
    file.close()
    assert len(np.load(tmp_path / "a.npy")) == 2
    binary = frame_file(tmp_path / "b.npy")
    binary.write(Arrival(1, None, 2, 10, b"abc", None))
    binary.close()
    assert np.load(tmp_path / "b.npy").tolist() == [[97, 98, 99]]


def test_a_file_without_frames_is_closed(tmp_path: Path) -> None:
    frame_file(tmp_path / "a.npy").close()
    frame_file(tmp_path / "a.h5").close()


def test_hdf5_that_is_not_installed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ComponentError, match=r"pip install 'rawdaq\[hdf5\]'"):
        frame_file(tmp_path / "a.h5")


@pytest.mark.parametrize("mode", ["pull", "sub"])
def test_a_consumer_binds_and_counts_what_is_no_frame(mode: str) -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH if mode == "pull" else zmq.XPUB) as sender:
        sender.linger = 0
        sender.bind("tcp://127.0.0.1:*")
        address = sender.getsockopt_string(zmq.LAST_ENDPOINT)
        reader = FrameReader(address, binds=False, subscribes=mode == "sub", form=HeaderForm.FILE, header_part=0)
        shown: list[int] = []

        def show(each: Arrival) -> None:
            shown.append(each.frame)

        reading = threading.Thread(target=reader.read, args=(threading.Event(), 2, 60, show))
        reading.start()
        if mode == "sub":
            assert sender.poll(30_000)
            sender.recv()
        for header in b'{"frame":1}', b"{}", b'{"frame":2}':
            sender.send_multipart([header, b"data"])
        reading.join(60)
    assert (shown, dict(reader.stats.malformed)) == ([1, 2], {"no frame number": 1})


def test_a_consumer_can_bind() -> None:
    reader = FrameReader("tcp://127.0.0.1:*", binds=True, subscribes=False, form=HeaderForm.FILE, header_part=0)
    reader.read(threading.Event(), None, 0.001, print)
    assert reader.stats.frames == 0


@pytest.mark.parametrize(
    ("args", "status", "text"),
    [
        (["-a", "localhost"], 2, "is not a zmq address"),
        (["--write", "a.txt"], 2, "is neither .npy nor .h5"),
        (["--expect", "x"], 2, "is not a list of frame numbers"),
        (["--write", "/nonexistent/a.npy"], 1, "No such file"),
        (["-a", "tcp://192.0.2.1:1", "--bind"], 1, "cannot bind ZMQ tcp://192.0.2.1:1"),
        (["-a", "tcp://127.0.0.1:*", "--bind", "--seconds", "0.001"], 1, "0 frames"),
    ],
)
def test_what_cannot_be_is_one_line_with_its_status(args: list[str], status: int, text: str) -> None:
    result = CliRunner().invoke(frames, args)
    assert (result.exit_code, text in result.output) == (status, True), result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("expect", "status"), [("0-2", 0), ("0,2,1", 1)])
def test_the_exit_status_says_whether_the_expected_frames_came(expect: str, status: int) -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender:
        sender.linger = 0
        sender.bind("tcp://127.0.0.1:*")
        address = sender.getsockopt_string(zmq.LAST_ENDPOINT)
        sending = threading.Thread(
            target=lambda: [sender.send_multipart([b'{"frame":%d}' % number]) for number in range(3)]
        )
        sending.start()
        result = CliRunner().invoke(frames, ["-a", address, "--expect", expect, "--headers", "--seconds", "60"])
        sending.join(60)
    assert result.exit_code == status, result.output
    assert '"frame": 2' in result.output


def test_a_consumer_tries_all_addresses_of_a_name(names: Names) -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender:
        sender.linger = 0
        sender.bind("tcp://127.0.0.1:*")
        address = sender.getsockopt_string(zmq.LAST_ENDPOINT).replace("127.0.0.1", NAME)
        reader = FrameReader(address, binds=False, subscribes=False, form=HeaderForm.FILE, header_part=0)
        reading = threading.Thread(target=reader.read, args=(threading.Event(), 1, 60, print))
        reading.start()
        sender.send_multipart([b'{"frame":1}', b"data"])
        reading.join(60)
    assert reader.stats.frames == 1
