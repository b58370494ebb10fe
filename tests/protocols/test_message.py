"""The ZMQ message: what is encoded is decoded, what is malformed is refused with its numbers, nothing else happens."""

import json
import pickle
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq.packet import Packet, PacketRun, SampleType
from rawdaq.protocols.json_header import MAX_HEADER_BYTES
from rawdaq.protocols.message import decode, encode, encode_run, header, is_waveform
from rawdaq.protocols.message_errors import (
    FrameCountWrong,
    HeaderUnreadable,
    HeaderValueWrong,
    MessageMalformed,
    NotWaveform,
    SampleBytesWrong,
    UnsupportedLayout,
)
from rawdaq.protocols.zmtp import frame_message
from rawdaq.stream_id import StreamId
from rawdaq.times import from_iso
from tests.makers import START_NS, packet

GOOD = packet(3, 5, timing_quality=100, sequence=12, received_ns=START_NS + 1)

streams = st.builds(
    StreamId,
    st.from_regex("[A-Z0-9]{1,8}", fullmatch=True),
    st.from_regex("[A-Z0-9]{1,8}", fullmatch=True),
    st.from_regex("[A-Z0-9]{0,2}", fullmatch=True),
    st.from_regex("[A-Z0-9]{3}|[A-Z0-9]{0,3}_[A-Z0-9]{1,3}_[A-Z0-9]{0,3}", fullmatch=True),
)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    dtype = np.dtype(draw(st.sampled_from(list(SampleType))).value).newbyteorder(draw(st.sampled_from(["<", ">"])))
    data = draw(st.binary(max_size=80))
    samples = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
    step = draw(st.sampled_from([1, 2, -1]))
    return Packet(
        draw(streams),
        draw(st.integers(from_iso("1678-01-01T00:00:00Z"), from_iso("2200-01-01T00:00:00Z"))),
        draw(st.floats(1e-7, 1e300) | st.integers(1, 100_000)),
        samples[::step],
        draw(st.none() | st.integers(0, 100)),
        draw(st.integers(0, (1 << 63) - 1)),
        draw(st.integers(-(1 << 63), (1 << 63) - 1)),
    )


@given(packets())
def test_any_packet_comes_back_as_it_went(original: Packet) -> None:
    frames = encode(original)
    assert decode(frames) == original
    assert json.loads(bytes(frames[1])) == header(original)


def test_message_has_exactly_the_frames_of_the_specification() -> None:
    topic, head, data = encode(GOOD)
    assert topic == b"XX.DEMO.00.HHZ"
    assert json.loads(bytes(head)) == {
        "htype": "array-1.0",
        "type": "int32",
        "shape": [5],
        "encoding": "little",
        "frame": 12,
        "rawdaq": 1,
        "stream": "XX.DEMO.00.HHZ",
        "start_ns": START_NS + 150_000_000,
        "rate_hz": 100,
        "timing_quality": 100,
        "received_ns": START_NS + 1,
    }
    assert bytes(data) == np.arange(15, 20, dtype="<i4").tobytes()


@pytest.mark.parametrize(("rate_hz", "text"), [(100.0, "100"), (62.5, "62.5"), (1e18, "1e+18"), (np.float64(20), "20")])
def test_whole_rates_are_written_as_whole_numbers(rate_hz: float, text: str) -> None:
    assert f'"rate_hz":{text},'.encode() in bytes(encode(packet(rate_hz=rate_hz))[1])


def test_little_endian_samples_are_not_copied() -> None:
    samples = np.arange(10, dtype="<i4")
    frames = encode(Packet(GOOD.stream, START_NS, 100.0, samples))
    assert np.shares_memory(np.frombuffer(frames[2], "<i4"), samples)


def test_decoded_samples_are_a_read_only_view_of_the_message() -> None:
    topic, head, data = encode(GOOD)
    whole = bytes(data)
    samples = decode([topic, head, whole]).samples
    assert np.shares_memory(samples, np.frombuffer(whole, "<i4"))
    assert not samples.flags.writeable


def framed(original: Packet) -> bytes:
    return b"".join(map(bytes, frame_message(encode(original))))


def frames(without: str = "", **changed: Any) -> list[bytes]:
    """Return the good message with header keys changed or left out."""
    fields = {**header(GOOD), **changed}
    fields.pop(without, None)
    return [b"XX.DEMO.00.HHZ", json.dumps(fields).encode(), bytes(encode(GOOD)[2])]


def test_keys_that_nobody_knows_are_ignored() -> None:
    assert decode(frames(colour="blue", rawdaq=1)) == GOOD


@pytest.mark.parametrize("key", sorted(header(GOOD)))
def test_every_key_must_be_there(key: str) -> None:
    with pytest.raises(HeaderValueWrong, match=f"'{key}' is missing") as caught:
        decode(frames(without=key))
    assert caught.value.args[0] == key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("htype", "array-2.0"),
        ("htype", 1),
        ("type", "complex64"),
        ("type", ["int32"]),
        ("encoding", "big"),
        ("shape", [5, 1]),
        ("shape", 5),
        ("shape", [True]),
        ("shape", [-1]),
        ("shape", [1 << 63]),
        ("shape", []),
        ("frame", -1),
        ("frame", 1.0),
        ("frame", True),
        ("rawdaq", 0),
        ("rawdaq", "1"),
        ("stream", "XX.DEMO.00.HHN"),
        ("stream", None),
        ("stream", "\ud800"),
        ("start_ns", 1e18),
        ("start_ns", 1 << 63),
        ("start_ns", None),
        ("rate_hz", 0),
        ("rate_hz", -1.0),
        ("rate_hz", True),
        ("rate_hz", "100"),
        ("rate_hz", float("inf")),
        ("rate_hz", float("nan")),
        ("rate_hz", 10**400),
        ("rate_hz", sys.float_info.min / 2),
        ("timing_quality", 101),
        ("timing_quality", -1),
        ("timing_quality", 50.0),
        ("received_ns", "now"),
    ],
)
def test_value_that_cannot_be_is_refused_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(HeaderValueWrong) as caught:
        decode(frames(**{key: value}))
    assert caught.value.args[0] == key


def test_topic_that_is_no_stream_is_refused() -> None:
    message = [b"nonsense", *frames(stream="nonsense")[1:]]
    with pytest.raises(HeaderValueWrong, match=r"not NET\.STA\.LOC\.CHA"):
        decode(message)


def test_long_value_is_shortened_in_the_error() -> None:
    with pytest.raises(HeaderValueWrong) as caught:
        decode(frames(type="x" * 1000))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_message_has_three_frames(count: int) -> None:
    with pytest.raises(FrameCountWrong, match=str(count)):
        decode([b"XX.DEMO.00.HHZ"] * count)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"[" * 60_000, "not JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
        (b" " * (MAX_HEADER_BYTES + 1), "limit is 65536"),
    ],
)
def test_header_that_is_no_json_object_is_refused(head: bytes, reason: str) -> None:
    with pytest.raises(HeaderUnreadable, match=reason) as caught:
        decode([b"XX.DEMO.00.HHZ", head, b""])
    assert caught.value.args[0] == len(head)


def test_later_layout_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedLayout, match=r"rawdaq=2, this program reads up to 1") as caught:
        decode(frames(without="shape", rawdaq=2))
    assert caught.value.args == (2, 1)


@pytest.mark.parametrize("size", [0, 19, 21])
def test_samples_of_another_size_than_announced_are_refused(size: int) -> None:
    with pytest.raises(SampleBytesWrong, match="announces 20") as caught:
        decode([*frames()[:2], bytes(size)])
    assert caught.value.args[0] == size


def test_topic_with_a_tilde_is_no_waveform() -> None:
    assert is_waveform(b"XX.DEMO.00.HHZ")
    assert not is_waveform(b"~log")
    with pytest.raises(NotWaveform, match="~log"):
        decode([b"~log", b"{}"])


@pytest.mark.parametrize(
    "error",
    [
        FrameCountWrong(2),
        NotWaveform("~log"),
        HeaderUnreadable(3, "not JSON"),
        HeaderValueWrong("type", "1", "int8"),
        UnsupportedLayout(2, 1),
        SampleBytesWrong(3, 4),
    ],
)
def test_errors_survive_pickling(error: MessageMalformed) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.args) == (type(error), str(error), error.args)


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_arbitrary_frames_raise_nothing_but_a_protocol_error(frames: list[bytes]) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(frames)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(header(GOOD))), json_values, max_size=3), st.binary(max_size=24))
def test_mutated_header_gives_a_packet_or_a_protocol_error(changed: dict[str, Any], data: bytes) -> None:
    topic, head, _ = frames(**changed)
    try:
        packet = decode([topic, head, data])
    except RemoteProtocolError:
        return
    assert packet.samples.nbytes == len(data)
    assert isinstance(packet.end_ns, int)
    assert isinstance(packet.next_ns, int)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("quality", [None, 80])
def test_the_messages_of_a_run_are_those_of_its_packets(order: str, quality: int | None) -> None:
    samples = np.arange(12, dtype=f"{order}i4").reshape(4, 3)[:, :2]
    stream = StreamId("XX", "DEMO", "", "HHZ")
    run = PacketRun(stream, [0, 20_000_000, 40_000_000, 60_000_000], 100.0, samples, quality, 7, 5)
    at_once = [[bytes(frame) for frame in frames] for frames in encode_run(run)]
    assert at_once == [[bytes(frame) for frame in encode(packet)] for packet in run]
