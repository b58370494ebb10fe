"""The frames of the SeedLink plugin pipe: as the C structure has them, and read back however they are cut."""

import ctypes
import pickle
import struct
from typing import Any

import numpy as np
import pytest

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.protocols.plugin_pipe import writer as plugin_pipe
from rawdaq.protocols.plugin_pipe.writer import (
    HEADER,
    FlushFrame,
    GapFrame,
    LogFrame,
    MseedFrame,
    PipeEvent,
    PipeReader,
    PipeWriter,
    SamplesFrame,
)
from rawdaq.times import from_iso
from tests import pipe_server
from tests.pipe_server import whole

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


CASES: list[tuple[str, tuple[Any, ...], PipeEvent]] = [
    (
        "send_samples",
        ("XX.DEMO", "HHZ", START_NS, ints(1, -2, 3), 100),
        SamplesFrame("XX.DEMO", "HHZ", START_NS, 100, 0, ints(1, -2, 3)),
    ),
    (
        "send_samples",
        ("TENLETTERS", "ALSOTENLET", START_NS, ints(5)),
        SamplesFrame("TENLETTERS", "ALSOTENLET", START_NS, None, 0, ints(5)),
    ),
    ("send_continued", ("XX.DEMO", "HHZ", ints(9, 8)), SamplesFrame("XX.DEMO", "HHZ", None, None, 0, ints(9, 8))),
    ("send_gap", ("XX.DEMO", "HHZ", 2**31 - 1), GapFrame("XX.DEMO", "HHZ", 2**31 - 1)),
    ("send_flush", ("XX.DEMO", "HHZ"), FlushFrame("XX.DEMO", "HHZ")),
    ("send_log", ("XX.DEMO", START_NS, "door open"), LogFrame("XX.DEMO", START_NS, "door open")),
    ("send_mseed", ("XX.DEMO", bytes(range(256)) * 2), MseedFrame("XX.DEMO", bytes(range(256)) * 2)),
]


def same(left: PipeEvent, right: PipeEvent) -> bool:
    """Whether two events are equal; arrays have no truth of their own."""
    if isinstance(left, SamplesFrame) and isinstance(right, SamplesFrame):
        return left[:5] == right[:5] and left.samples.tolist() == right.samples.tolist()
    return left == right


@pytest.mark.parametrize("size", [1, 3, 4096])
@pytest.mark.parametrize(("send", "args", "event"), CASES)
def test_frame_and_event_are_the_same_thing_however_it_is_cut(
    send: str, args: tuple[Any, ...], event: PipeEvent, size: int
) -> None:
    wire = written(send, *args) * 2
    reader = PipeReader()
    events = [each for first in range(0, len(wire), size) for each in reader.receive_data(wire[first : first + size])]
    assert len(events) == 2
    assert all(same(each, event) for each in events)
    assert reader.buffered_bytes == 0
    reader.receive_eof()


def test_frames_are_as_another_reader_of_the_pipe_sees_them() -> None:
    wire = b"".join(written(send, *args) for send, args, _ in CASES)
    assert [frame.kind for frame in whole(wire)] == [8, 8, 9, 10, 11, 12, 13]
    assert [frame.size for frame in whole(wire)] == [3, 1, 2, 2**31 - 1, 0, len("door open\r\n"), 512]
    assert [frame.quality for frame in whole(wire)][:2] == [100, -1]
    assert whole(wire)[5].payload == b"door open\r\n"


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
    frames = whole(written("send_continued", "S", "C", np.arange(1001, dtype="=i4")))
    assert [(frame.kind, frame.size) for frame in frames] == [(9, 1000), (9, 1)]


def test_times_are_rounded_to_microseconds_and_carry_over() -> None:
    last_ns = from_iso("2026-12-31T23:59:59.999999500Z")
    (frame,) = whole(written("send_samples", "S", "C", last_ns, ints(1)))
    assert frame.time == (2027, 1, 0, 0, 0, 0)
    (frame,) = whole(written("send_samples", "S", "C", last_ns - 1, ints(1)))
    assert frame.time == (2026, 365, 23, 59, 59, 999999)


def test_no_samples_make_no_frame() -> None:
    assert written("send_samples", "S", "C", START_NS, np.array([])) == b""
    assert written("send_continued", "S", "C", ints()) == b""


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
        ("send_continued", ("S", "C", np.array([-(2**31) - 1])), "not in 32 bits"),
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
    writer, reader, expected = PipeWriter(), PipeReader(), b""
    for index in range(20):
        expected += written("send_mseed", "S", bytes([index]) * 512)
    expected += written("send_flush", "S", "C") + written("send_samples", "S", "C", START_NS, ZEROS, None, 100.0)
    writer.send_mseed_records("S", b"".join(bytes([index]) * 512 for index in range(20)))
    writer.send_flush("S", "C")
    writer.send_samples("S", "C", START_NS, ZEROS, None, 100.0)
    taken = b""
    while write := writer.take(limit):
        taken += write.data
        assert len(list(reader.receive_data(bytes(write.data)))) == write.frames
        assert len(write.data) <= limit or write.frames == 1
        assert len(taken) + writer.queued_bytes == len(expected)
    assert taken == expected
    assert writer.queued_frames == 0


def header(kind: int, size: int, *, quality: int = 0, time: tuple[int, ...] = (*DAY, 0, 0, 0, 0)) -> bytes:
    return struct.pack("=i10s10s6i3i", kind, b"S", b"C", *time, 0, quality, size)


WRONG: list[tuple[bytes, RemoteProtocolError, str]] = [
    (header(7, 0), plugin_pipe.UnknownFrameType(7), "frame of type 7, known are 8-13"),
    (header(8, 1001), plugin_pipe.BadFrameSize(8, 1001, 0, 1000), "size 1001 of a frame of type 8 is not in 0-1000"),
    (header(9, -1), plugin_pipe.BadFrameSize(9, -1, 0, 1000), "size -1 of a frame of type 9 is not in 0-1000"),
    (
        header(10, 0),
        plugin_pipe.BadFrameSize(10, 0, 1, 2**31 - 1),
        "size 0 of a frame of type 10 is not in 1-2147483647",
    ),
    (header(12, 449), plugin_pipe.BadFrameSize(12, 449, 0, 448), "size 449 of a frame of type 12 is not in 0-448"),
    (header(13, 511), plugin_pipe.BadFrameSize(13, 511, 512, 512), "size 511 of a frame of type 13 is not in 512-512"),
    (
        header(8, 0, quality=101),
        plugin_pipe.BadFrameQuality("S", "C", 101),
        "timing quality 101 of S C is not -1 to 100",
    ),
    (
        header(8, 0, time=(2026, 366, 24, 0, 0, 1_000_000)),
        plugin_pipe.ImpossibleFrameTime(2026, 366, 24, 0, 0, 1_000_000),
        "impossible time of a frame: year 2026 day 366 24:00:00.1000000",
    ),
]


@pytest.mark.parametrize(("wire", "error", "text"), WRONG)
def test_what_is_no_frame_ends_the_reader_after_what_was_whole(
    wire: bytes, error: RemoteProtocolError, text: str
) -> None:
    reader = PipeReader()
    events: list[PipeEvent] = []
    with pytest.raises(type(error)) as caught:
        events.extend(reader.receive_data(written("send_flush", "S", "C") + wire))
    assert vars(caught.value) == vars(error)
    assert str(caught.value) == text
    with pytest.raises(type(error)):
        list(reader.receive_data(b""))
    with pytest.raises(type(error)):
        reader.receive_eof()
    reader = PipeReader()
    assert [next(reader.receive_data(written("send_flush", "S", "C") + wire))] == [FlushFrame("S", "C")]


def test_a_pipe_that_is_closed_in_a_frame_is_told() -> None:
    reader = PipeReader()
    assert list(reader.receive_data(written("send_flush", "S", "C")[:-3])) == []
    with pytest.raises(plugin_pipe.PipeCut, match="57 bytes into a frame"):
        reader.receive_eof()


@pytest.mark.parametrize("error", [*(error for _, error, _ in WRONG), plugin_pipe.PipeCut(3)])
def test_an_error_survives_pickling(error: RemoteProtocolError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), vars(again), str(again)) == (type(error), vars(error), str(error))


def test_identifiers_of_another_plugin_may_hold_anything() -> None:
    wire = bytearray(written("send_flush", "S", "C"))
    wire[4:14] = b"\xff" * 10
    assert list(PipeReader().receive_data(bytes(wire))) == [FlushFrame("\\xff" * 10, "C")]


def test_the_types_are_those_of_the_server() -> None:
    kinds = [pipe_server.RAW_TIME, pipe_server.RAW, pipe_server.GAP, pipe_server.FLUSH, pipe_server.LOG]
    assert list(plugin_pipe.FrameType) == [*kinds, pipe_server.MSEED]


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
