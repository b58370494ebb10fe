"""Packets of samples: all types and orders, rates that only the times tell, and what cannot be read."""

import pickle
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.protocols.isi import (
    MAX_DATA_BYTES,
    Compression,
    IsiName,
    IsiPacket,
    NameInvalid,
    PacketTooLarge,
    PacketUnreadable,
    TimeStatus,
    decode_packet,
    encode_packet,
)
from rawdaq.protocols.isi.packets import HEADER_BYTES, DatumType
from tests.protocols import isi_wire as wire

NAME = IsiName("coco", "bhz", "20")
START_NS, END_NS = wire.START_NS, wire.END_NS
PACKET = IsiPacket(NAME, 40.0, START_NS, END_NS, np.array(wire.SAMPLES, np.int32), TimeStatus.LOCKED)
UNDEFINED = -1.0


def payload(
    data: bytes,
    *,
    name: bytes = b"coco\0\0\0bhz20",
    rate: tuple[int, int] = (40, 1),
    begin: float = 1_069_190_000.0,
    end: float = 1_069_190_000.175,
    count: int = 8,
    size: int | None = None,
    datum: tuple[int, int, int, int] = (1, 3, 0, 4),
) -> bytes:
    """Return the payload of a packet, made without the codec."""
    times = struct.pack(">dHdH", begin, 1, end, 1)
    tail = struct.pack(">2I4B", count, len(data) if size is None else size, *datum)
    return name + struct.pack(">2h", *rate) + times + bytes(16) + tail + data


def samples_of(data: bytes, **fields: Any) -> object:
    return decode_packet(payload(data, **fields)).samples.tolist()


@pytest.mark.parametrize("data", [wire.PLAIN_PACKET, wire.IDA_PACKET])
def test_a_packet_is_read_as_it_was_captured(data: bytes) -> None:
    packet = decode_packet(data)
    assert packet[:4] == (NAME, 40.0, START_NS, END_NS)
    assert packet.status == TimeStatus.LOCKED
    assert packet.samples.tolist() == wire.SAMPLES
    assert packet.samples.dtype in (np.int32, np.dtype(">i4"))
    assert not packet.samples.flags.writeable
    assert packet.next_ns == START_NS + 200_000_000


def test_a_packet_is_written_as_it_was_captured_but_for_the_order() -> None:
    little = wire.PACKET_HEAD + wire.hexed("00 00 00 08 00 00 00 20 01 03 00 04") + PACKET.samples.tobytes()
    assert encode_packet(PACKET, Compression.NONE) == little
    ida = bytearray(wire.IDA_PACKET)
    ida[62] = 0
    assert encode_packet(PACKET, Compression.IDA) == ida
    assert HEADER_BYTES == 64


@pytest.mark.parametrize("compression", [0, 2, 3, 4, 5, 99])
def test_every_number_but_one_means_ida(compression: int) -> None:
    assert encode_packet(PACKET, compression) == encode_packet(PACKET, Compression.IDA)


@pytest.mark.parametrize(
    "samples", [np.array([-(2**31)], np.int32), np.array([2**31 - 1, -3, 2**31 - 5], np.int32), np.zeros(0, np.int32)]
)
def test_what_compression_does_not_make_smaller_is_sent_as_it_is(samples: npt.NDArray[np.int32]) -> None:
    data = encode_packet(PACKET._replace(samples=samples), Compression.IDA)
    assert data[60:64] == bytes([1, 3, 0, 4])
    assert data[64:] == samples.astype("<i4").tobytes()


def test_four_bytes_for_a_sample_are_not_smaller() -> None:
    samples = np.array([2**20], np.int32)
    assert encode_packet(PACKET._replace(samples=samples), Compression.IDA)[60] == Compression.NONE
    assert encode_packet(PACKET._replace(samples=samples - 1), Compression.IDA)[60] == Compression.IDA


TYPES = [("int8", 1, 1), ("int16", 2, 2), ("int32", 3, 4), ("float32", 5, 4), ("float64", 6, 8)]


@pytest.mark.parametrize(("dtype", "code", "size"), TYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_samples_of_each_type_are_sent_little_endian_and_labelled_so(
    dtype: str, code: int, size: int, order: str
) -> None:
    samples = np.arange(-4, 4).astype(np.dtype(dtype).newbyteorder("<" if order == "<" else ">"))
    data = encode_packet(PACKET._replace(samples=samples), Compression.NONE)
    assert data[52:64] == struct.pack(">2I4B", 8, 8 * size, 1, code, 0, size)
    assert data[64:] == samples.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    again = decode_packet(data)
    assert again.samples.tolist() == samples.tolist()
    assert again.samples.dtype == np.dtype(dtype)
    assert again[:4] == PACKET[:4]


@pytest.mark.parametrize(("dtype", "code", "size"), TYPES)
@pytest.mark.parametrize("label", [0, 1])
def test_samples_are_in_the_order_that_the_packet_says(dtype: str, code: int, size: int, label: int) -> None:
    samples = np.arange(-4, 4).astype(np.dtype(dtype).newbyteorder(">" if label else "<"))
    packet = decode_packet(payload(samples.tobytes(), datum=(1, code, label, size)))
    assert packet.samples.tolist() == samples.tolist()
    assert not packet.samples.flags.writeable


def test_a_server_that_mislabels_is_overruled() -> None:
    little = np.array(wire.SAMPLES, "<i4").tobytes()
    mislabelled = payload(little, datum=(1, 3, 1, 4))
    assert decode_packet(mislabelled).samples.tolist() != wire.SAMPLES
    assert decode_packet(mislabelled, "<").samples.tolist() == wire.SAMPLES
    assert decode_packet(payload(little), ">").samples.tolist() != wire.SAMPLES
    assert decode_packet(wire.IDA_PACKET, "<").samples.tolist() == wire.SAMPLES
    assert decode_packet(wire.IDA_PACKET, ">").samples.tolist() == wire.SAMPLES


@pytest.mark.parametrize("label", [2, 255])
def test_one_byte_has_no_order_and_more_need_one(label: int) -> None:
    assert samples_of(b"\0\1\xff", count=3, datum=(1, 1, label, 1)) == [0, 1, -1]
    with pytest.raises(PacketUnreadable, match=r"coco\.bhz\.20 does not say its byte order"):
        samples_of(bytes(6), count=3, datum=(1, 2, label, 2))
    little = payload(np.array([5], "<i4").tobytes(), count=1, datum=(1, 3, label, 4))
    assert decode_packet(little, "<").samples.tolist() == [5]


@pytest.mark.parametrize("order", ["<", ">"])
def test_samples_of_64_bits_that_need_32_are_taken(order: str) -> None:
    narrow = [-(2**31), 2**31 - 1, 0]
    packet = decode_packet(
        payload(np.array(narrow, f"{order}i8").tobytes(), count=3, datum=(1, 4, int(order == ">"), 8))
    )
    assert packet.samples.dtype == np.int32
    assert packet.samples.tolist() == narrow
    assert not packet.samples.flags.writeable
    for wide in (2**31, -(2**31) - 1, 2**40):
        with pytest.raises(PacketUnreadable, match="has samples of more than 32 bits"):
            samples_of(struct.pack("<q", wide), count=1, datum=(1, 4, 0, 8))


EIGHT = bytes(32)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"a packet of \? has 0 bytes; the header alone has 64"),
        (payload(EIGHT)[:63], "has 63 bytes"),
        (payload(EIGHT)[:-1], r"coco\.bhz\.20 announces 32 bytes of data and has 31"),
        (payload(EIGHT) + b"x", "announces 32 bytes of data and has 33"),
        (payload(EIGHT, size=2**32 - 1), "announces 4294967295 bytes of data and has 32"),
        (payload(b"", size=4), "announces 4 bytes of data and has 0"),
        (payload(EIGHT, begin=float("nan")), "has a wrong time: nan is no time"),
        (payload(EIGHT, end=1e300), r"has a wrong time: 1e\+300 is no time"),
        (payload(EIGHT, begin=UNDEFINED), "has no time"),
        (payload(EIGHT, end=UNDEFINED), "has no time"),
        (payload(b"", count=0), "has no samples"),
        (payload(b"", count=0, datum=(2, 3, 0, 4)), "has no samples"),
        (payload(EIGHT, count=7), "has 32 bytes for 7 samples of 4"),
        (payload(EIGHT, count=2**32 - 1), "has 32 bytes for 4294967295 samples of 4"),
        (payload(EIGHT, datum=(1, 5, 0, 8)), ""),
        (payload(EIGHT, datum=(1, 6, 0, 8)), "has 32 bytes for 8 samples of 8"),
        (payload(EIGHT, datum=(2, 3, 0, 4)), "is damaged: 32 samples where 8 are announced"),
        (payload(b"\x80", datum=(2, 3, 0, 4)), "is damaged: 0 samples where 8"),
        (payload(b"\0\x80", count=1, datum=(2, 3, 0, 4)), "is damaged: the last sample is cut"),
        *((payload(EIGHT, datum=(2, kind, 0, 4)), f"of type {kind} in compression 2") for kind in (1, 2, 4, 5, 6)),
        *((payload(EIGHT, datum=(code, 3, 0, 4)), f"in compression {code}, which is") for code in (0, 3, 4, 5, 6, 255)),
        *((payload(EIGHT, datum=(1, kind, 0, 4)), f"of type {kind}; ask for format 1") for kind in (0, 7, 11, 18, 255)),
        (payload(EIGHT, end=1_069_190_000.0), "has no rate: 8 samples in 0 ns"),
        (payload(EIGHT, end=1_069_189_999.0), "has no rate: 8 samples in -1000000000 ns"),
        (payload(bytes(4), count=1, rate=(-1, -1), end=1_069_190_000.0), "has no rate: 1 samples in 0 ns"),
    ],
)
def test_what_cannot_be_read_is_an_error(data: bytes, reason: str) -> None:
    if not reason:  # the size of a sample is that of its type, whatever the packet says
        assert decode_packet(data).samples.tolist() == 8 * [0.0]
        return
    with pytest.raises(PacketUnreadable, match=reason) as raised:
        decode_packet(data)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_an_error_shows_a_name_that_is_printable() -> None:
    with pytest.raises(PacketUnreadable, match=r"^a packet of a\\nb\\x1b\[\.\\xff has no samples$"):
        decode_packet(payload(b"", name=b"a\nb\x1b[\0\0\xff\0\0\0\0", count=0))


def test_one_sample_has_the_rate_of_the_header() -> None:
    one = payload(struct.pack("<i", 7), count=1, end=1_069_190_000.0)
    assert decode_packet(one)[:4] == (NAME, 40.0, START_NS, START_NS)
    assert decode_packet(payload(b"\1", count=1, rate=(-10, 1), datum=(1, 1, 0, 1))).rate_hz == 0.1


def header_rate(true_hz: float, rate: tuple[int, int], count: int, begin: float = 1_069_190_000.0) -> float:
    """Return the rate that is read where a header says *rate* and the times are those of *true_hz*."""
    end = begin + (count - 1) / true_hz
    return decode_packet(
        payload(bytes(count), rate=rate, begin=begin, end=end, count=count, datum=(1, 1, 0, 1))
    ).rate_hz


BEGINS = [1_069_190_000.0, 1_700_000_000.123456, 1_700_000_000.0000004, 1_700_000_000.9999996, -86_400.33]


@pytest.mark.parametrize(
    ("true_hz", "rate"),
    [
        (62.5, (63, 1)),
        (62.5, (62, 1)),
        (62.5, (-1, -1)),
        (62.5, (0, 0)),
        (100 / 3, (33, 1)),
        (1 / 10.5, (-10, 1)),
        (1 / 1.5, (1, 1)),
        (1 / 600.25, (-600, 1)),
        (40.0, (-1, -1)),
        (99.9, (100, 1)),
        (0.1, (-1, -1)),
        (1.0, (-1, -1)),
    ],
)
@pytest.mark.parametrize("count", [8, 50, 400])
@pytest.mark.parametrize("begin", BEGINS)
def test_the_times_say_what_the_header_cannot(true_hz: float, rate: tuple[int, int], count: int, begin: float) -> None:
    assert header_rate(true_hz, rate, count, begin) == pytest.approx(true_hz, rel=1e-15)


@pytest.mark.parametrize(
    ("true_hz", "rate", "read_hz"),
    [
        (40.0, (40, 1), 40.0),
        (40.0039, (40, 1), 40.0),
        (39.9961, (40, 1), 40.0),
        (1 / 10.0009, (-10, 1), 0.1),
        (125.0, (250, -2), 125.0),
    ],
)
def test_a_clock_that_is_a_little_off_has_the_rate_of_the_header(
    true_hz: float, rate: tuple[int, int], read_hz: float
) -> None:
    assert header_rate(true_hz, rate, 30_000) == read_hz


@pytest.mark.parametrize(("true_hz", "rate"), [(40.0041, (40, 1)), (39.9959, (40, 1)), (1 / 10.0011, (-10, 1))])
def test_a_rate_that_is_further_off_is_measured(true_hz: float, rate: tuple[int, int]) -> None:
    assert header_rate(true_hz, rate, 30_000) == pytest.approx(true_hz, rel=1e-8)


def test_the_times_of_two_samples_are_vague() -> None:
    assert header_rate(1000.0, (1001, 1), 2) == 1001.0
    assert header_rate(1000.0, (1010, 1), 2) == 1000.0
    assert header_rate(1e6 / 700, (1000, 1), 2) == 1429.0
    assert header_rate(30_000.0, (30_000, 1), 2) == 30_000.0


@pytest.mark.parametrize(("true_hz", "rate"), [(62.5, (63, 1)), (100 / 3, (33, 1)), (1 / 600.25, (-600, 1))])
@pytest.mark.parametrize("off_us", [-1, 0, 1])
def test_a_microsecond_more_or_less_does_not_change_a_rate(true_hz: float, rate: tuple[int, int], off_us: int) -> None:
    end = 1_069_190_000 + 7 / true_hz + off_us / 1e6
    packet = decode_packet(payload(bytes(8), rate=rate, end=end, datum=(1, 1, 0, 1)))
    assert packet.rate_hz == true_hz


def test_what_no_short_fraction_is_stays_as_it_was_measured() -> None:
    assert header_rate(62.501937, (60, 1), 30_000) == pytest.approx(62.501937, rel=1e-8)
    assert header_rate(1 / 62.501937, (60, 1), 30_000) == pytest.approx(1 / 62.501937, rel=1e-8)


def test_the_largest_packet_is_the_size_of_a_payload() -> None:
    largest = PACKET._replace(samples=np.random.default_rng(0).normal(size=MAX_DATA_BYTES // 8))
    assert MAX_DATA_BYTES == 32704
    assert len(encode_packet(largest, Compression.IDA)) == 32768
    more = np.full(8177, 2**30, np.int32)
    more[::2] = -(2**30) + 1
    with pytest.raises(PacketTooLarge, match=r"a packet of coco\.bhz\.20 with 32708 bytes; a frame holds 32704"):
        encode_packet(PACKET._replace(samples=more), Compression.IDA)
    assert len(encode_packet(PACKET._replace(samples=more[1:]), Compression.NONE)) == 32768
    flat = PACKET._replace(samples=np.zeros(32704, np.int32))
    assert len(encode_packet(flat, Compression.IDA)) == 32768
    with pytest.raises(PacketTooLarge):
        encode_packet(flat, Compression.NONE)


def test_a_name_that_isi_has_not_is_refused() -> None:
    with pytest.raises(NameInvalid):
        encode_packet(PACKET._replace(name=IsiName("eightlet", "bhz")), Compression.IDA)


def test_codes_have_their_numbers() -> None:
    assert [(each.name, each.value) for each in Compression] == [
        ("UNDEFINED", 0),
        ("NONE", 1),
        ("IDA", 2),
        ("STEIM1", 3),
        ("STEIM2", 4),
        ("GZIP", 5),
    ]
    assert [each.name for each in DatumType] == ["INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64"]


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-99, 99), min_size=1, max_size=200),
    st.sampled_from([1, 2, 5]),
    st.integers(-(10**15), 4 * 10**15).filter(lambda time_us: time_us != -1_000_000),
    st.sampled_from([0.1, 1.0, 20.0, 62.5, 100.0]),
    st.integers(0, 0xFFFF),
)
def test_a_packet_is_the_same_after_the_way(
    values: list[int], compression: int, start_us: int, rate_hz: float, status: int
) -> None:
    start_ns = start_us * 1000
    end_ns = start_ns + round((len(values) - 1) / rate_hz * 1e6) * 1000
    packet = IsiPacket(NAME, rate_hz, start_ns, end_ns, np.array(values, np.int32), status)
    again = decode_packet(encode_packet(packet, compression))
    assert again.samples.tolist() == values
    if end_ns != -1_000_000_000:
        assert again._replace(samples=packet.samples) == packet


@given(st.binary(max_size=200), st.integers(0, 300), st.tuples(*(4 * [st.integers(0, 8)])))
def test_whatever_comes_is_a_packet_or_an_error(data: bytes, count: int, datum: tuple[int, int, int, int]) -> None:
    for whole in (data, payload(data, count=count, datum=datum)):
        try:
            assert len(decode_packet(whole).samples) == (count if whole is not data else len(data))
        except PacketUnreadable:
            continue
