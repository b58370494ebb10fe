"""The frames of the SeedLink plugin pipe: as the C structure has them, and as a server reads them."""

import ctypes
from typing import Any

import numpy as np
import pytest

from rawdaq.errors import LocalProtocolError
from rawdaq.protocols.plugin_pipe.writer import HEADER, FrameType, PipeWriter
from rawdaq.times import from_iso
from tests import pipe_server
from tests.pipe_server import Frame, whole

START_NS = from_iso("2026-11-21T01:02:03.000004Z")
DAY = (2026, 325)


class CTime(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("year", "yday", "hour", "minute", "second", "usec")]


class CHeader(ctypes.Structure):
    _fields_ = [
        ("packtype", ctypes.c_int),
        ("station", ctypes.c_char * 10),
        ("channel", ctypes.c_char * 10),
        ("pt", CTime),
        ("usec_correction", ctypes.c_int),
        ("timing_quality", ctypes.c_int),
        ("data_size", ctypes.c_int),
    ]


def ints(*values: int, dtype: str = "=i4") -> Any:
    return np.array(values, dtype)


def test_the_header_is_the_c_structure() -> None:
    assert HEADER.size == ctypes.sizeof(CHeader) == 60
    offsets = [getattr(CHeader, name).offset for name, _ in CHeader._fields_]  # type: ignore[misc]  # all have a type
    assert offsets == [0, 4, 14, 24, 48, 52, 56]
    writer = PipeWriter()
    writer.send_samples("XX.DEMO", "HHZ", START_NS, ints(1, -2), 77)
    header = CHeader.from_buffer_copy(writer.data_to_send())
    assert (header.packtype, header.station, header.channel) == (8, b"XX.DEMO", b"HHZ")
    when = header.pt
    assert (when.year, when.yday, when.hour, when.minute, when.second, when.usec) == (*DAY, 1, 2, 3, 4)
    assert (header.usec_correction, header.timing_quality, header.data_size) == (0, 77, 2)


ZEROS = np.zeros(2000, "=i4")


def written(send: str, *args: Any) -> bytes:
    writer = PipeWriter()
    getattr(writer, send)(*args)
    return writer.data_to_send()


#: As `whole` has it, of 2026-11-21T01:02:03.000004.
WHEN = (*DAY, 1, 2, 3, 4)
NO_TIME = (0, 0, 0, 0, 0, 0)

CASES: list[tuple[str, tuple[Any, ...], Frame]] = [
    (
        "send_samples",
        ("XX.DEMO", "HHZ", START_NS, ints(1, -2, 3), 100),
        Frame(8, "XX.DEMO", "HHZ", WHEN, 0, 100, 3, ints(1, -2, 3).tobytes()),
    ),
    (
        "send_samples",
        ("TENLETTERS", "ALSOTENLET", START_NS, ints(5)),
        Frame(8, "TENLETTERS", "ALSOTENLET", WHEN, 0, -1, 1, ints(5).tobytes()),
    ),
    ("send_gap", ("XX.DEMO", "HHZ", 2**31 - 1), Frame(10, "XX.DEMO", "HHZ", NO_TIME, 0, 0, 2**31 - 1, b"")),
    ("send_flush", ("XX.DEMO", "HHZ"), Frame(11, "XX.DEMO", "HHZ", NO_TIME, 0, 0, 0, b"")),
    ("send_log", ("XX.DEMO", START_NS, "door open"), Frame(12, "XX.DEMO", "", WHEN, 0, 0, 11, b"door open\r\n")),
    (
        "send_mseed",
        ("XX.DEMO", bytes(range(256)) * 2),
        Frame(13, "XX.DEMO", "", NO_TIME, 0, 0, 512, bytes(range(256)) * 2),
    ),
]


@pytest.mark.parametrize(("send", "args", "frame"), CASES)
def test_a_server_reads_what_was_sent(send: str, args: tuple[Any, ...], frame: Frame) -> None:
    assert whole(written(send, *args) * 2) == [frame, frame]


@pytest.mark.parametrize("dtype", ["<i4", ">i4", "<i2", ">i2", "i1", "<i8", "<u4", "u1"])
def test_integers_of_every_type_become_int32(dtype: str) -> None:
    (frame,) = whole(written("send_samples", "S", "C", START_NS, ints(1, 2, 127, dtype=dtype)))
    assert frame.samples == [1, 2, 127]


def test_many_samples_with_a_rate_bear_the_computed_time_in_every_frame() -> None:
    samples = np.arange(2500, dtype="=i4")
    frames = whole(written("send_samples", "S", "C", START_NS, samples, 50, 300.0))
    assert [(frame.kind, frame.size, frame.quality) for frame in frames] == [(8, 1000, 50), (8, 1000, 50), (8, 500, 50)]
    assert [frame.time[2:] for frame in frames] == [(1, 2, 3, 4), (1, 2, 6, 333337), (1, 2, 9, 666671)]
    assert [value for frame in frames for value in frame.samples] == samples.tolist()


def test_many_samples_without_a_rate_continue_the_first_frame() -> None:
    frames = whole(written("send_samples", "S", "C", START_NS, np.arange(2001, dtype="=i4")))
    assert [(frame.kind, frame.size) for frame in frames] == [(8, 1000), (9, 1000), (9, 1)]


def test_times_are_rounded_to_microseconds_and_carry_over() -> None:
    last_ns = from_iso("2026-12-31T23:59:59.999999500Z")
    (frame,) = whole(written("send_samples", "S", "C", last_ns, ints(1)))
    assert frame.time == (2027, 1, 0, 0, 0, 0)
    (frame,) = whole(written("send_samples", "S", "C", last_ns - 1, ints(1)))
    assert frame.time == (2026, 365, 23, 59, 59, 999999)


def test_no_samples_make_no_frame() -> None:
    assert written("send_samples", "S", "C", START_NS, np.array([])) == b""


def test_a_long_log_is_split_at_the_limit_and_at_its_lines() -> None:
    frames = whole(written("send_log", "S", START_NS, "x" * 900 + "\nsecond\r\n"))
    assert [frame.size for frame in frames] == [448, 448, 10, 8]
    assert all(frame.payload.endswith(b"\r\n") for frame in frames)
    assert b"".join(frame.payload[:-2] for frame in frames) == b"x" * 900 + b"second"
    assert whole(written("send_log", "S", START_NS, ""))[0].payload == b"\r\n"
    assert whole(written("send_log", "S", START_NS, "Tür"))[0].payload == b"T\\xfcr\r\n"


@pytest.mark.parametrize(
    ("send", "args", "text"),
    [
        ("send_flush", ("XX.STATION1", "C"), r"station 'XX.STATION1' has 11 characters, the pipe has room for 10"),
        ("send_flush", ("S", "LONGCHANNEL"), r"channel 'LONGCHANNEL' has 11 characters"),
        ("send_mseed", ("XX.STATION1", b"x" * 512), "11 characters"),
        ("send_log", ("XX.STÄ", START_NS, "t"), "'XX.STÄ' is not ASCII"),
        ("send_gap", ("S", "a\0b", 1), "is not ASCII text"),
        ("send_gap", ("S", "C", 0), "gap of 0 samples is not in 1-2147483647"),
        ("send_gap", ("S", "C", 2**31), "gap of 2147483648 samples"),
        ("send_mseed", ("S", b"x" * 4096), "record of 4096 bytes: the pipe takes miniSEED of 512 bytes"),
        ("send_samples", ("S", "C", START_NS, ints(1), 101), "timing quality 101"),
        ("send_samples", ("S", "C", 2**63, ints(1)), "not in the years"),
        ("send_samples", ("S", "C", START_NS, np.array([1.0])), "1-dimensional float64"),
        ("send_samples", ("S", "C", START_NS, np.array([[1]])), "2-dimensional int64"),
        ("send_samples", ("S", "C", START_NS, np.array([0, 2**31])), "samples from 0 to 2147483648 are not in 32 bits"),
        ("send_samples", ("S", "C", START_NS, np.array([-(2**31) - 1])), "not in 32 bits"),
    ],
)
def test_what_no_frame_can_say_is_refused_and_nothing_of_it_is_queued(
    send: str, args: tuple[Any, ...], text: str
) -> None:
    writer = PipeWriter()
    writer.send_flush("S", "C")
    with pytest.raises(LocalProtocolError, match=text):
        getattr(writer, send)(*args)
    assert writer.queued_bytes == 60
    assert len(writer.data_to_send()) == 60
    assert writer.data_to_send() == b""


def test_writes_are_whole_frames_that_a_pipe_takes_at_once() -> None:
    writer = PipeWriter()
    for _ in range(20):
        writer.send_mseed("S", b"r" * 512)
    writer.send_samples("S", "C", START_NS, np.zeros(2000, "=i4"), rate_hz=100.0)
    assert writer.queued_bytes == 20 * 572 + 2 * 4060
    writes = writer.writes_to_send()
    assert [(len(write.data), write.frames) for write in writes] == [
        (4004, 7),
        (4004, 7),
        (3432, 6),
        (4060, 1),
        (4060, 1),
    ]
    assert [len(whole(bytes(write.data))) for write in writes] == [7, 7, 6, 1, 1]
    assert writer.queued_bytes == 0
    assert writer.writes_to_send() == []


@pytest.mark.parametrize("limit", [1, 572, 1143, 4096, 9000, 1 << 20])
def test_what_is_taken_holds_as_many_whole_frames_as_the_limit_allows(limit: int) -> None:
    writer, expected = PipeWriter(), b""
    for index in range(20):
        expected += written("send_mseed", "S", bytes([index]) * 512)
    expected += written("send_flush", "S", "C") + written("send_samples", "S", "C", START_NS, ZEROS, None, 100.0)
    writer.send_mseed_records("S", b"".join(bytes([index]) * 512 for index in range(20)))
    writer.send_flush("S", "C")
    writer.send_samples("S", "C", START_NS, ZEROS, None, 100.0)
    taken = b""
    while write := writer.take(limit):
        taken += write.data
        assert len(whole(bytes(write.data))) == write.frames
        assert len(write.data) <= limit or write.frames == 1
        assert len(taken) + writer.queued_bytes == len(expected)
    assert taken == expected
    assert writer.queued_frames == 0


def test_the_types_are_those_of_the_server() -> None:
    kinds = [pipe_server.RAW_TIME, pipe_server.RAW, pipe_server.GAP, pipe_server.FLUSH, pipe_server.LOG]
    assert list(FrameType) == [*kinds, pipe_server.MSEED]


@pytest.mark.parametrize("count", [1, 7, 8, 20])
def test_many_records_at_once_are_the_frames_of_each(count: int) -> None:
    records = [bytes([index]) * 512 for index in range(count)]
    one_by_one, at_once = PipeWriter(), PipeWriter()
    for record in records:
        one_by_one.send_mseed("XX.DEMO", record)
    at_once.send_mseed_records("XX.DEMO", b"".join(records))
    assert at_once.queued_bytes == one_by_one.queued_bytes
    assert at_once.writes_to_send() == one_by_one.writes_to_send()


@pytest.mark.parametrize("size", [0, 511, 513, 1000])
def test_what_are_no_whole_records_is_refused(size: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"{size} bytes are no records"):
        PipeWriter().send_mseed_records("XX.DEMO", bytes(size))
