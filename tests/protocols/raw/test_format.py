import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.protocols.raw import (
    EARLIEST_NS,
    LATEST_NS,
    MAX_SAMPLES,
    ChannelFormat,
    Endianness,
    RawVersion,
    SampleType,
    encode_header,
    encode_packet,
)
from rawdaq.protocols.raw.format import parse_rate
from rawdaq.times import from_calendar

NOON_NS = from_calendar(2026, 325, 12, 34, 56, 789_012_000)


def test_headers_have_the_sizes_of_the_specification() -> None:
    assert [version.header.size for version in RawVersion] == [19, 19, 18]


def test_a_header_is_laid_out_as_the_specification_has_it() -> None:
    old = "07ea 0145 0c 22 38 000c0a14 00010000 00000003"
    new = "07ea 0145 0c 22 38 000c0a14 5a ffff 00000003"

    assert encode_header(RawVersion.V1_0, 0x10000, NOON_NS, 90, 3) == bytes.fromhex(old)
    assert encode_header(RawVersion.V1_1, 0x10000, NOON_NS, 90, 3) == bytes.fromhex(old)
    assert encode_header(RawVersion.V2_0, 0xFFFF, NOON_NS, 90, 3) == bytes.fromhex(new)


def test_a_time_is_rounded_to_the_microsecond() -> None:
    exact = encode_header(RawVersion.V2_0, 1, NOON_NS, 100, 0)

    assert encode_header(RawVersion.V2_0, 1, NOON_NS + 499, 100, 0) == exact
    assert encode_header(RawVersion.V2_0, 1, NOON_NS - 500, 100, 0) == exact
    assert encode_header(RawVersion.V2_0, 1, NOON_NS + 500, 100, 0) != exact


def test_the_first_and_the_last_time_can_be_said() -> None:
    assert encode_header(RawVersion.V2_0, 1, EARLIEST_NS, 100, 0).startswith(b"\x06\x8e\x00\x01")
    assert encode_header(RawVersion.V2_0, 1, LATEST_NS, 100, 0).startswith(b"\x08\xd5\x01\x6d\x17\x3b\x3b")


def test_a_packet_is_its_header_and_its_samples() -> None:
    samples = np.array([1, -2], ">i2")
    header = encode_header(RawVersion.V2_0, 1, NOON_NS, 100, 2)

    assert encode_packet(RawVersion.V2_0, 1, NOON_NS, 100, samples.data, 2) == header + b"\x00\x01\xff\xfe"


@pytest.mark.parametrize(
    ("version", "channel", "start_ns", "quality", "count", "text"),
    [
        (RawVersion.V2_0, 65536, NOON_NS, 100, 1, "channel 65536 is not in 0-65535 of RAW 2.0"),
        (RawVersion.V1_1, 2**32, NOON_NS, 100, 1, "channel 4294967296 is not in 0-4294967295 of RAW 1.1"),
        (RawVersion.V2_0, 1, LATEST_NS + 1, 100, 1, "is not in the years 1678-2261"),
        (RawVersion.V2_0, 1, EARLIEST_NS - 1, 100, 1, "is not in the years 1678-2261"),
        (RawVersion.V2_0, 1, NOON_NS, 101, 1, "timing quality 101 is not in 0-100"),
        (RawVersion.V2_0, 1, NOON_NS, 100, MAX_SAMPLES + 1, "packet of 1000001 samples, limit is 1000000"),
    ],
)
def test_what_a_version_cannot_say_is_refused(
    version: RawVersion, channel: int, start_ns: int, quality: int, count: int, text: str
) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        encode_header(version, channel, start_ns, quality, count)


@pytest.mark.parametrize(
    ("rate_hz", "line"), [(100, b"100\n"), (100.0, b"100\n"), (62.5, b"62.5\n"), (np.float64(62.5), b"62.5\n")]
)
def test_a_whole_rate_is_described_without_a_decimal_point(rate_hz: float, line: bytes) -> None:
    described = ChannelFormat(rate_hz, Endianness.BIG, SampleType.INT8).description

    assert described == b"SAMPLING RATE\n" + line + b"SAMPLE ENDIANNESS\nbig\nSAMPLE TYPE\nint8\n"


@pytest.mark.parametrize("rate_hz", [0, -1, 1e10, 1e-10, float("nan"), float("inf")])
def test_a_rate_that_no_record_can_say_is_refused(rate_hz: float) -> None:
    with pytest.raises(InvalidValue, match="sampling rate"):
        ChannelFormat(rate_hz, Endianness.BIG, SampleType.INT8)


@pytest.mark.parametrize(
    "text", ["", "abc", "nan", "inf", "-1", "+1", "1_0", " 1", "1 ", "0", "1e99999", "1e-99999", "٣", "0x10", "."]
)
def test_a_text_that_is_no_possible_rate_is_none(text: str) -> None:
    assert parse_rate(text) is None


@given(st.floats(1e-9, 1e9))
def test_a_rate_that_is_printed_is_read_back(rate_hz: float) -> None:
    assert parse_rate(repr(rate_hz)) == rate_hz
