"""A datagram is right to its last byte, or nothing of it counts."""

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.packet import SampleType
from rawdaq.protocols.raw import (
    ChannelFormat,
    Endianness,
    PacketEvent,
    PacketProblem,
    ProblemKind,
    RawVersion,
    SampleBlock,
    SampleRun,
    encode_packet,
)
from rawdaq.protocols.raw import datagram as raw_datagram
from rawdaq.protocols.raw.datagram import REASONS, DatagramReader, samples_that_fit
from rawdaq.times import from_iso, sample_time

START_NS = from_iso("2026-12-31T23:59:50Z")
LITTLE, BIG = Endianness.LITTLE, Endianness.BIG
INT32 = ChannelFormat(100.0, LITTLE, SampleType.INT32)
FORMATS = {1: INT32, 2: INT32, 3: ChannelFormat(50.0, BIG, SampleType.INT16)}
READER = DatagramReader(FORMATS)

Packets = list[tuple[int, int, int | None, list[Any]]]


def wire(
    channel: int = 1,
    index: int = 0,
    size: int = 10,
    *,
    quality: int = 100,
    version: RawVersion = RawVersion.V2_0,
    formats: dict[int, ChannelFormat] = FORMATS,
) -> bytes:
    described = formats[channel]
    samples = np.arange(index * size, (index + 1) * size).astype(described.dtype)
    start_ns = sample_time(START_NS, index * size, described.rate_hz)
    return encode_packet(version, channel, start_ns, quality, samples.tobytes(), size)


def packets(events: list[PacketEvent]) -> Packets:
    """Return the packets of *events*, those of a run one by one, in order of channel and time."""
    found: Packets = []
    for event in events:
        if isinstance(event, SampleBlock):
            assert not event.samples.flags.writeable
            found.append((event.channel, event.start_ns, event.timing_quality, event.samples.tolist()))
        elif isinstance(event, SampleRun):
            channel, starts_ns, quality, samples = event
            found += [(channel, each, quality, row) for each, row in zip(starts_ns, samples.tolist(), strict=True)]
    return sorted(found)


def one_by_one(datagrams: list[bytes]) -> Packets:
    return packets([block for datagram in datagrams for block in READER.decode(datagram)])


KINDS = [(kind, order) for kind in SampleType for order in Endianness]


@pytest.mark.parametrize(("kind", "order"), KINDS)
@pytest.mark.parametrize("version", [RawVersion.V2_0, RawVersion.V1_1])
def test_a_packet_is_read_as_it_was_written(kind: SampleType, order: Endianness, version: RawVersion) -> None:
    described = ChannelFormat(62.5, order, kind)
    samples = np.array([-3, 0, 7]).astype(described.dtype)
    datagram = encode_packet(version, 7, START_NS + 1000, 90, samples.tobytes(), 3)
    (block,) = DatagramReader({7: described}, version).decode(datagram)
    assert isinstance(block, SampleBlock)
    assert block.samples.dtype == described.dtype
    assert packets([block]) == [(7, START_NS + 1000, 90 if version.has_quality else 100, samples.tolist())]


def test_a_datagram_of_several_packets_gives_all_of_them_in_its_order() -> None:
    datagram = wire(3, 1) + wire(1, 0, size=0) + wire(1, 4, quality=7) + wire(1, 5)
    assert [block[:3:2] for block in READER.decode(datagram)] == [(3, 100), (1, 7), (1, 100)]


@pytest.mark.parametrize(
    ("datagram", "kind", "value"),
    [
        (wire()[:11] + b"\x65" + wire()[12:], ProblemKind.QUALITY, "101"),
        (wire()[:4] + b"\x18" + wire()[5:], ProblemKind.DATE, "2026, day 365, 24:59:50.000000"),
        (wire()[:2] + b"\x00\x00" + wire()[4:], ProblemKind.DATE, "2026, day 0, 23:59:50.000000"),
    ],
)
def test_a_value_that_cannot_be_costs_at_most_its_packet(datagram: bytes, kind: ProblemKind, value: str) -> None:
    before, problem, *rest = READER.decode(wire(2) + datagram + wire(3))
    assert isinstance(before, SampleBlock)
    assert problem == PacketProblem(1, kind, value)
    assert [event[0] for event in rest] == ([1, 3] if kind is ProblemKind.QUALITY else [3])
    if kind is ProblemKind.QUALITY:
        assert rest[0][2] is None


BAD: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "the datagram is empty", "empty"),
    "part of a header": (wire()[:17], "the header at byte 0 has 17 of 18 bytes", "header cut"),
    "a packet and part of a header": (wire() + b"\x07", "datagram of 59 bytes: the header at byte 58", "header cut"),
    "part of a packet": (wire()[:-1], "packet of 10 samples of channel 1 lacks 1 bytes", "packet cut"),
    "more samples than any datagram": (
        encode_packet(RawVersion.V2_0, 1, START_NS, 100, b"", 1_000_000),
        "packet of 1000000 samples of channel 1 lacks 4000000 bytes",
        "packet cut",
    ),
    "more samples than any packet": (
        wire()[:14] + b"\xff" * 4,
        "samples of channel 1, limit is 1000000",
        "packet too large",
    ),
    "unknown channel": (
        encode_packet(RawVersion.V2_0, 9, START_NS, 100, bytes(4), 1),
        "packet of channel 9, known are 1, 2, 3",
        "unknown channel",
    ),
    "garbage": (b"\xff" * 400, "packet of channel 65535", "unknown channel"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_told_with_its_numbers_and_a_reason(name: str) -> None:
    datagram, text, reason = BAD[name]
    with pytest.raises(RemoteProtocolError, match=text) as raised:
        READER.decode(datagram)
    assert REASONS[type(raised.value)] == reason
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again), vars(again)) == (type(raised.value), str(raised.value), vars(raised.value))


SIZES = {"int8": 1, "int16": 2, "int32 or float32": 4, "float64": 8}


def sent(channel: int, sample_bytes: int, fill: bytes, count: int = 10) -> bytes:
    """Return a packet whose samples have so many bytes, whatever is declared."""
    return encode_packet(RawVersion.V2_0, channel, START_NS, 100, fill * (count * sample_bytes), count)


@pytest.mark.parametrize("fill", [b"\x00", b"\x01", b"\x37", b"\xff"])
@pytest.mark.parametrize("fitting", SIZES)
@pytest.mark.parametrize("declared", SampleType)
@pytest.mark.parametrize("place", range(4))
def test_samples_of_another_size_than_declared_are_told_as_that(
    declared: SampleType, fitting: str, fill: bytes, place: int
) -> None:
    if declared in fitting:
        return
    described = ChannelFormat(100, Endianness.BIG, declared)
    reader = DatagramReader({0: described, 1: ChannelFormat(100, Endianness.LITTLE, SampleType.INT32)})
    right = encode_packet(RawVersion.V2_0, 1, START_NS, 100, bytes(20), 5)
    wrong = sent(0, SIZES[fitting], fill)
    datagram = [wrong, right + wrong, wrong + right, wrong + right + wrong][place]
    expected = f"channel 0 is declared {declared} big, the packet's length fits {fitting}"
    with pytest.raises(RemoteProtocolError, match=expected) as raised:
        reader.decode(datagram)
    assert REASONS[type(raised.value)] == "other sample type"
    assert pickle.loads(pickle.dumps(raised.value)).fitting == fitting


def test_what_fits_no_type_is_told_as_before() -> None:
    with pytest.raises(RemoteProtocolError, match="packet of 10 samples of channel 1 lacks 9 bytes"):
        READER.decode(wire()[:-9])


def test_a_type_that_the_version_does_not_have_is_no_explanation() -> None:
    described = ChannelFormat(100, Endianness.LITTLE, SampleType.INT32)
    reader = DatagramReader({1: described}, RawVersion.V1_0)
    with pytest.raises(RemoteProtocolError, match=r"known are|header at|lacks"):
        reader.decode(encode_packet(RawVersion.V1_0, 1, START_NS, 100, bytes(80), 10))


def test_a_wrong_datagram_of_thousands_of_packets_is_not_looked_at_for_long() -> None:
    datagram = wire(3, 1, size=1) * 3000 + b"\x00"
    with pytest.raises(RemoteProtocolError, match="header at byte"):
        READER.decode(datagram)


def test_an_explanation_is_not_sought_in_more_than_the_first_packets() -> None:
    reader = DatagramReader({0: ChannelFormat(100, Endianness.BIG, SampleType.INT32)})
    for count, is_explained in ((60, True), (70, False)):
        with pytest.raises(RemoteProtocolError) as raised:
            reader.decode(sent(0, 2, b"\x01") * count)
        assert (REASONS[type(raised.value)] == "other sample type") == is_explained


@given(
    st.binary(max_size=200) | st.integers(0, 58).flatmap(lambda cut: st.binary().map(lambda tail: wire()[:cut] + tail))
)
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        blocks = READER.decode(data)
    except tuple(REASONS):
        return
    assert sum(18 + len(block.data) for block in blocks if isinstance(block, SampleBlock)) <= len(data)


# --- many at once --------------------------------------------------------------------------------------------------


def read_many(datagrams: list[bytes], reader: DatagramReader = READER) -> tuple[Packets, int, int]:
    blocks, done = reader.decode_many(b"".join(datagrams), len(datagrams[0]))
    return packets(blocks), done, sum(isinstance(block, SampleRun) for block in blocks)


def test_contiguous_equal_datagrams_become_a_run() -> None:
    datagrams = [wire(1, index) for index in range(200)]
    found, done, runs = read_many(datagrams)
    assert (done, runs) == (200, 1)
    assert found == one_by_one(datagrams)


def test_channels_that_take_turns_become_a_run_each() -> None:
    datagrams = [wire(1 + index % 2, index // 2) for index in range(200)]
    found, done, runs = read_many(datagrams)
    assert (done, runs) == (200, 2)
    assert found == one_by_one(datagrams)


def test_several_packets_a_datagram_are_read_at_once_too() -> None:
    datagrams = [wire(1, index) + wire(2, index) for index in range(100)]
    found, done, runs = read_many(datagrams)
    assert (done, runs) == (100, 2)
    assert found == one_by_one(datagrams)


@pytest.mark.parametrize("at", [30, 31, 50, 99])
@pytest.mark.parametrize("where", [0, 58])
@pytest.mark.parametrize("field", [(12, b"\x00\x09"), (14, b"\x00\x00\x00\x09"), (14, b"\xff\x00\x00\x09")])
def test_what_comes_before_a_wrong_datagram_is_read_and_nothing_of_that_one(
    at: int, where: int, field: tuple[int, bytes]
) -> None:
    datagrams = [wire(1, index) + wire(2, index) for index in range(100)]
    begin = where + field[0]
    datagrams[at] = datagrams[at][:begin] + field[1] + datagrams[at][begin + len(field[1]) :]
    found, done, _ = read_many(datagrams)
    assert done == at
    assert found == one_by_one(datagrams[:at])
    with pytest.raises(RemoteProtocolError):
        READER.decode(datagrams[at])


FOR_ONE_BY_ONE = {
    "few": [wire(1, index) for index in range(15)],
    "the first one wrong": [b"\xff" * 58] * 100,
    "too short for a header": [b"\xff"] * 100,
    "no samples": [wire(1, index, size=0) for index in range(100)],
    "packets of different sizes": [wire(1, index) + wire(1, 7, size=5) for index in range(100)],
    "wrong in the second half of the first one": [wire(1, index) + b"\xff" * 58 for index in range(100)],
}


@pytest.mark.parametrize("name", FOR_ONE_BY_ONE)
def test_what_is_not_plainly_alike_is_left_to_reading_one_by_one(name: str) -> None:
    assert read_many(FOR_ONE_BY_ONE[name]) == ([], 0, 0)


# --- what both sides must not ask for ------------------------------------------------------------------------------


def test_channels_that_a_version_cannot_say_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="no channel"):
        DatagramReader({})
    with pytest.raises(LocalProtocolError, match=r"channel 70000 is not in 0-65535 of RAW 2\.0"):
        DatagramReader({70_000: INT32})
    assert len(DatagramReader({70_000: INT32}, RawVersion.V1_1).decode(wire_1())) == 1
    with pytest.raises(LocalProtocolError, match=r"RAW 1\.0 has no float32 samples \(channel 7\)"):
        DatagramReader({7: ChannelFormat(1, LITTLE, SampleType.FLOAT32)}, RawVersion.V1_0)


def wire_1() -> bytes:
    return encode_packet(RawVersion.V1_1, 70_000, START_NS, 100, bytes(4), 1)


def test_a_packet_is_made_as_long_as_fits_into_a_datagram() -> None:
    assert samples_that_fit(RawVersion.V2_0, SampleType.INT32, 1018) == 250
    assert samples_that_fit(RawVersion.V1_1, SampleType.INT32, 1018) == 249
    assert samples_that_fit(RawVersion.V2_0, SampleType.FLOAT64, 26) == 1
    for size_bytes in (25, 0, -1, raw_datagram.MAX_DATAGRAM_BYTES + 1):
        with pytest.raises(LocalProtocolError, match=f"datagram of {size_bytes} bytes is not in 26-65507"):
            samples_that_fit(RawVersion.V2_0, SampleType.FLOAT64, size_bytes)
