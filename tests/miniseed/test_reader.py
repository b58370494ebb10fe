"""Records are read as they were made, by us and by others; what is none is refused with libmseed's reason."""

import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymseed import DataEncoding, MS3Record

from rawdaq.errors import InvalidValue
from rawdaq.miniseed.header import find_record
from rawdaq.miniseed.reader import (
    RecordUnreadable,
    is_control_header,
    is_miniseed,
    read_content,
    read_info,
    read_record,
    record_length,
    to_packet,
)
from rawdaq.times import from_iso
from tests.makers import START_NS, STREAM
from tests.waveform_makers import noise, records, text_record


def theirs(version: int, *, extra: str | None = None, name: str = "FDSN:XX_DEMO_00_H_H_Z", **more: Any) -> bytes:
    """Return a record that pymseed's own interface makes."""
    record = MS3Record(reclen=512, encoding=DataEncoding.INT32)
    record.sourceid, record.starttime, record.samprate = name, START_NS, more.get("rate", 100.0)
    record.formatversion = version
    if extra is not None:
        record.extra = extra
    values: Any = np.arange(10, dtype="int32")
    return next(iter(record.generate(data_samples=values, sample_type="i")))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("dtype", "encoding"),
    [
        ("int32", "steim1"),
        ("int32", "steim2"),
        ("int32", "int32"),
        ("int32", "int16"),
        ("float32", "float32"),
        ("float64", "float64"),
    ],
)
def test_every_encoding_comes_back(version: int, dtype: str, encoding: str) -> None:
    packet = noise(size=40, dtype=dtype)
    (record,) = records([packet], version, encoding=encoding)
    info, content = read_info(record), read_content(record)
    assert info == (str(STREAM), START_NS, packet.end_ns, 100.0, 40, len(record))
    assert content.samples is not None
    assert content.samples.dtype == np.dtype(dtype)
    assert content.samples.tolist() == packet.samples.tolist()
    assert not content.samples.flags.writeable
    assert (content.timing_quality, content.warning) == (90, None)


@pytest.mark.parametrize("rate_hz", [1 / 60, 0.01, 62.5, 333.25])
def test_every_rate_comes_back(rate_hz: float) -> None:
    (record,) = records([noise(size=10, rate_hz=rate_hz)], 3)
    assert read_info(record).rate_hz == pytest.approx(rate_hz, rel=1e-12)


def test_nanoseconds_of_miniseed_3_come_back() -> None:
    (record,) = records([noise(start_ns=START_NS + 123_456_789, size=5)], 3)
    assert read_info(record).start_ns == START_NS + 123_456_789


def test_text_is_a_record_without_a_waveform() -> None:
    record = text_record()
    assert read_info(record).name == "XX.DEMO.00.LOG"
    assert read_content(record).samples is None


def test_record_without_samples_has_no_rate() -> None:
    (record,) = records([noise(size=5)], 2)
    empty = record[:30] + b"\0\0" + record[32:]
    assert (read_info(empty).rate_hz, read_info(empty).sample_count) == (0.0, 0)
    assert read_content(empty).samples is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("FDSN:XX_DEMO_00_H_H_Z", "XX.DEMO.00.HHZ"),
        ("FDSN:XX_DEMO__H_H_Z", "XX.DEMO..HHZ"),
        ("FDSN:XX_DEMO_00_BAND_S_SUB", "XX.DEMO.00.BAND_S_SUB"),
        ("XFDSN:nobody knows", "XFDSN:nobody knows..."),
    ],
)
def test_any_source_identifier_becomes_a_name(name: str, expected: str) -> None:
    assert read_info(theirs(3, name=name)).name == expected


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (None, None),
        ('{"FDSN":{"Time":{"Quality":0}}}', 0),
        ('{"FDSN": {"Time": {"Quality": 99.6}}}', 100),
        ('{"FDSN":{"Time":{"Quality":101}}}', None),
        ('{"FDSN":{"Time":{"Quality":"good"}}}', None),
        ('{"FDSN":{"Time":7}}', None),
        ('{"other":1}', None),
    ],
)
def test_timing_quality_is_what_the_extra_headers_say(extra: str | None, expected: int | None) -> None:
    assert read_content(theirs(3, extra=extra)).timing_quality == expected


def sealed(record: bytearray) -> bytes:
    """Return a miniSEED 3 record with the checksum (CRC-32C) that it deserves."""
    record[28:32] = bytes(4)
    crc = 0xFFFF_FFFF
    for byte in record:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F6_3B78 if crc & 1 else 0)
    record[28:32] = struct.pack("<I", crc ^ 0xFFFF_FFFF)
    return bytes(record)


def test_extra_headers_that_are_no_json_say_nothing() -> None:
    record = bytearray(theirs(3, extra='{"FDSN":{"Time":{"Quality":50}}}'))
    record[record.index(b'{"FDSN"')] = ord("x")
    assert read_content(sealed(record)).timing_quality is None


def test_damage_is_refused_with_its_reason() -> None:
    version_3 = bytearray(theirs(3))
    version_3[-1] ^= 1
    with pytest.raises(RecordUnreadable, match=r"^its checksum is wrong$"):
        read_content(bytes(version_3))
    version_2 = bytearray(theirs(2))
    version_2[46:48] = struct.pack(">H", 40)
    with pytest.raises(RecordUnreadable, match=r"^FDSN:XX_DEMO_00_H_H_Z: Blockette offset .40. is within"):
        read_info(bytes(version_2))
    version_2[46:48], version_2[52] = struct.pack(">H", 48), 77
    with pytest.raises(RecordUnreadable, match=r"encoding"):
        read_content(bytes(version_2))


def test_a_record_that_is_cut_says_how_much_is_missing() -> None:
    with pytest.raises(RecordUnreadable, match=r"^200 bytes are missing at its end$"):
        read_info(records([noise(size=200)])[0][:-200])


def test_a_time_that_no_program_can_hold_is_refused() -> None:
    record = bytearray(theirs(3))
    record[8:12] = struct.pack("<HH", 2262, 1)
    with pytest.raises(RecordUnreadable, match=r"its time is not in the years 1678-2261"):
        read_info(bytes(record))


def test_what_libmseed_finds_odd_is_told_beside_the_samples() -> None:
    (record,) = records([noise(size=100)], encoding="steim2")
    odd = bytearray(record)
    odd[64 + 8 : 64 + 12] = struct.pack(">i", 12345)  # the last sample that the record announces
    content = read_content(bytes(odd))
    assert content.samples is not None
    assert content.samples.tolist() == noise(size=100).samples.tolist()
    assert content.warning is not None
    assert "integrity" in content.warning


@pytest.mark.parametrize(
    ("start", "fraction", "carried"),
    [
        ("2026-03-01T00:00:59Z", 10_000, "2026-03-01T00:01:00Z"),
        ("2026-12-31T23:59:59Z", 10_001, "2027-01-01T00:00:00.0001Z"),
        ("2028-02-28T23:59:58Z", 65_535, "2028-02-29T00:00:04.5535Z"),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_a_fraction_of_a_second_or_more_is_carried_over_and_told(
    start: str, fraction: int, carried: str, order: str
) -> None:
    (made,) = records([noise(size=60, start_ns=from_iso(start), quality=None)], encoding="int32")
    record = bytearray(made)
    when = struct.unpack_from(">HHBBBx", made, 20)
    record[20:30] = struct.pack(f"{order}HHBBBxH", *when, fraction)
    if order == "<":
        for begin, end in ((30, 32), (32, 34), (34, 36), (44, 46), (46, 48), (48, 50), (50, 52)):
            record[begin:end] = record[begin:end][::-1]
    info, content = read_record(bytes(record))
    assert info.start_ns == read_info(bytes(record)).start_ns == from_iso(carried)
    assert content.warning is not None
    assert "fraction" in content.warning


def test_a_record_without_its_length_is_measured_by_the_next_one() -> None:
    record = bytearray(theirs(2))
    record[39], record[46:48] = 0, bytes(2)  # no blockettes
    assert record_length(bytes(record), 0) == 0
    assert record_length(bytes(record + record), 0) == len(record)


def test_a_length_beyond_all_limits_is_none() -> None:
    record = bytearray(theirs(3))
    record[36:40] = struct.pack("<I", 20_000_000)
    assert record_length(bytes(record), 0) is None


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"MS\x03rest of it", True),
        (b"000001D XXDEM", True),
        (b"      M\0", True),
        (b"000001V 0100", True),
        (b"000001X ", False),
        (b"hello, world", False),
        (b"", False),
    ],
)
def test_miniseed_is_known_by_how_it_begins(head: bytes, expected: bool) -> None:
    assert is_miniseed(head) is expected


def test_control_headers_are_told_from_records() -> None:
    assert is_control_header(b"000002S*more")
    assert not is_control_header(b"000002D more")


@given(st.binary(max_size=200), st.sampled_from([b"MS\x03", b"000001D ", b"      R\0"]))
def test_records_are_found_in_any_bytes(noise_before: bytes, mark: bytes) -> None:
    found = find_record(noise_before + mark, 0)
    assert found is not None
    assert found <= len(noise_before)
    assert find_record(b"", 0) is None


@given(st.binary(max_size=300), st.sampled_from([b"", b"MS\x03", b"000001D XXDEM", theirs(2)[:60], theirs(3)[:60]]))
def test_no_bytes_whatsoever_break_the_reader(data: bytes, start: bytes) -> None:
    length = record_length(start + data, 0)
    assert length is None or 0 <= length <= 10_485_760
    for read in (read_info, read_content):
        with suppress(RecordUnreadable):
            read(start + data)


@pytest.mark.parametrize("version", [2, 3])
def test_a_record_is_read_at_once_and_becomes_the_packet_that_it_was_made_of(version: int) -> None:
    packet = noise(size=40)
    (record,) = records([packet], version)
    info, content = read_record(record)
    assert info == read_info(record)
    again = to_packet(info, content, 7)
    assert again is not None
    assert again.received_ns == 7
    assert (again.stream, again.start_ns, again.rate_hz) == (packet.stream, packet.start_ns, packet.rate_hz)
    assert again.samples.tolist() == packet.samples.tolist()


def test_what_is_no_packet() -> None:
    assert to_packet(*read_record(text_record())) is None
    (record,) = records([noise(size=40)])
    with pytest.raises(InvalidValue, match="channel 'H-Z'"):
        to_packet(*read_record(record.replace(b"HHZ", b"H-Z", 1)))
    with pytest.raises(RecordUnreadable):
        read_record(bytes(512))
