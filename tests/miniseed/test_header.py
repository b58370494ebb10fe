"""Headers are read as libmseed reads them, and nothing else is taken for one."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymseed import MS3Record

from rawdaq.miniseed.header import MAX_HEADER_BYTES, RecordHeader, read_header
from rawdaq.miniseed.maker import RecordFormat
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from tests.record_makers import RecordMaker

STREAM = StreamId.parse("XX.DEMO.00.HHZ")
START_NS = 1_795_219_200_000_000_000


def record(version: int, rate_hz: float = 100.0, quality: int | None = 99) -> bytes:
    """Return one record."""
    maker = RecordMaker(RecordFormat(version))
    maker.add([Packet(STREAM, START_NS, rate_hz, np.arange(50, dtype=np.int32), quality)], 0)
    return maker.flush()[0].data


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("rate_hz", [100.0, 62.5, 333.333, 44_100.0, 1.0, 1 / 60, 0.01])
def test_header_says_what_libmseed_says(version: int, rate_hz: float) -> None:
    data = record(version, rate_hz)
    header = read_header(data[:MAX_HEADER_BYTES])
    theirs = MS3Record.parse(data)
    assert header is not None
    assert header.version == theirs.formatversion == version
    assert header.length_bytes == theirs.reclen == len(data)
    assert header.rate_hz == pytest.approx(theirs.samprate, rel=1e-7)
    assert header.quality == ("D" if version == 2 else "1")


def test_little_endian_miniseed_2_is_read() -> None:
    data = bytearray(record(2))
    for at in (20, 22, 28, 30, 32, 34, 44, 46, 48, 50, 56, 58):
        data[at : at + 2] = data[at : at + 2][::-1]
    assert read_header(bytes(data)) == RecordHeader(2, 512, "D", 100.0)


@pytest.mark.parametrize(
    ("factor", "multiplier", "rate_hz"), [(33, 10, 330.0), (33, -10, 3.3), (-10, 5, 0.5), (-10, -5, 0.02), (0, 1, 0.0)]
)
def test_factor_and_multiplier_mean_what_seed_says(factor: int, multiplier: int, rate_hz: float) -> None:
    data = bytearray(record(2))
    data[32:36] = struct.pack(">hh", factor, multiplier)
    header = read_header(bytes(data))
    assert header is not None
    assert header.rate_hz == pytest.approx(rate_hz)


def broken(version: int, at: int, value: bytes) -> bytes:
    data = bytearray(record(version))
    data[at : at + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(512),
        record(2)[:63],
        record(3)[:39],
        broken(2, 0, b"A"),
        broken(2, 6, b"Z"),
        broken(2, 24, b"\x18"),
        broken(2, 46, b"\x00\x00"),
        broken(2, 48, b"\x00\x01"),
        broken(2, 54, b"\x06"),
        broken(3, 10, b"\xff\xff"),
    ],
    ids=[
        "nothing", "zeros", "short 2", "short 3", "sequence", "quality", "hour", "no blockettes", "no length", "length",
        "day",
    ],
)  # fmt: skip
def test_what_is_no_record_has_no_header(data: bytes) -> None:
    assert read_header(data) is None


def test_blockettes_in_a_circle_end() -> None:
    assert read_header(broken(2, 58, b"\x00\x30")) == RecordHeader(2, 512, "D", 100.0)


@given(st.binary(max_size=300), st.sampled_from([b"", b"MS\x03", b"000001D XXDEM"]))
def test_no_bytes_whatsoever_raise(data: bytes, start: bytes) -> None:
    header = read_header(start + data)
    assert header is None or header.length_bytes >= 40
