"""Messages that are framed from a device's bytes must be those of the packets that are read from them."""

from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from rawdaq import single_packets
from rawdaq.packet import Packet, StreamId
from rawdaq.protocols.message import Head, encode_framed, head_of
from rawdaq.protocols.raw import RawPlugin, RawVersion, SampleBlock, encode_packet
from rawdaq.stats import StreamStats
from tests.makers import START_NS
from tests.protocols.test_raw_few import FORMATS, started, wires
from tests.protocols.test_raw_runs import FAULTS, contiguous, packet

RECEIVED_NS = START_NS + 123_456_789
STREAMS = {channel: StreamId("XX", "DEMO", f"{channel:02d}", "HHZ") for channel in FORMATS}


def heads() -> dict[int, Head]:
    """Return the heads of all channels that can have one, whose next packets have the numbers 70 and 90."""
    made: dict[int, Head] = {}
    for channel, described in FORMATS.items():
        numbers = StreamStats(STREAMS[channel])
        numbers.next_sequence = 60 + 10 * channel
        if head := head_of(STREAMS[channel], described.rate_hz, described.dtype, numbers):
            made[channel] = head
    return made


def usual(blocks: list[SampleBlock]) -> list[tuple[StreamId, bytes]]:
    """Return streams and messages of *blocks* as they are made of packets."""
    numbers = {channel: 60 + 10 * channel for channel in FORMATS}
    made: list[tuple[StreamId, bytes]] = []
    for channel, start_ns, quality, samples in blocks:
        rate_hz, number = FORMATS[channel].rate_hz, numbers[channel]
        numbers[channel] += 1
        whole = encode_framed(Packet(STREAMS[channel], start_ns, rate_hz, samples, quality, number, RECEIVED_NS))
        assert whole
        made.append((STREAMS[channel], whole[1]))
    return made


def both(data: bytes, version: RawVersion = RawVersion.V2_0) -> list[tuple[StreamId, bytes]] | None:
    """Return what is ahead of the packets in *data*, after comparing it with what they become."""
    plugin = started(version)
    ahead = plugin.frame_few(memoryview(data), heads(), RECEIVED_NS)
    few = plugin.receive_few(memoryview(data))
    if ahead is None:
        is_plain = few is not None and all(each.channel in heads() for each in few)
        assert not is_plain or len(few or ()) > 64 or len(data) > 15_000
        return None
    whole, said, sizes = ahead
    ends = list(accumulate(sizes, initial=0))
    parts = [(head.stream, whole[begin:end]) for head, begin, end in zip(said, ends, ends[1:], strict=False)]
    assert few is not None
    assert (parts, ends[-1]) == (usual(few), len(whole))
    return parts


@given(wires())
def test_any_bytes_become_the_messages_of_their_packets(wire: tuple[RawVersion, bytes]) -> None:
    version, data = wire
    both(data, version)


@pytest.mark.parametrize("version", RawVersion)
def test_packets_of_several_channels_become_one_piece_in_their_order(version: RawVersion) -> None:
    sizes = {1: 4, 3: 1}  # of samples
    data = b"".join(
        encode_packet(version, channel, START_NS + index * 10**9, 100, bytes(range(10 * sizes[channel])), 10)
        for index in range(2)
        for channel in (1, 3, 1)
    )
    parts = both(data, version)
    assert parts is not None
    assert [stream.location for stream, _ in parts] == ["01", "03", "01"] * 2
    assert [int(message.split(b'"frame":')[1].split(b",")[0]) for _, message in parts] == [70, 90, 71, 72, 91, 73]


def test_what_is_not_as_messages_have_it_is_left() -> None:
    assert both(packet(2, 0)) is None  # its samples are big-endian
    assert both(packet(1, 0) + packet(2, 0)) is None


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_not_plainly_right_is_left(name: str) -> None:
    assert (both(packet(1, 0) + FAULTS[name]) is None) == (name not in {"another size", "leap second"})


def test_what_is_not_whole_or_has_begun_is_left() -> None:
    plugin, (first, second) = started(), contiguous(1, 2)
    assert plugin.frame_few(memoryview(first[:-1]), heads(), 0) is None
    assert list(plugin.receive_data(first[:20])) == []
    assert plugin.frame_few(memoryview(second), heads(), 0) is None
    assert RawPlugin(FORMATS).frame_few(memoryview(first), heads(), 0) is None


@pytest.mark.parametrize(
    ("count", "size", "is_made"), [(64, 1, True), (65, 1, False), (1, 8000, True), (1, 8192, False)]
)
def test_only_few_and_small_messages_are_made_so(count: int, size: int, is_made: bool) -> None:
    large = encode_packet(RawVersion.V2_0, 1, START_NS, 50, np.arange(size, dtype="<i4").tobytes(), size)
    ahead = single_packets.frame_few(large * count, True, heads(), 1000, 0)
    assert (ahead is not None) == is_made


def test_without_a_compiler_nothing_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.protocols.raw_plugin.single_packets", None)
    assert started().frame_few(memoryview(packet(1, 0)), heads(), 0) is None


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"heads": []}, TypeError, "dict"),
        ({"heads": {1: (b"", 4)}}, TypeError, "head is a tuple"),
        ({"heads": {1: (b"", 4, "text", SimpleNamespace(next_sequence=0))}}, TypeError, "bytes"),
        ({"heads": {1: (b"", 4, b"", object())}}, AttributeError, "next_sequence"),
        ({"heads": {1: (b"", 4, b"", SimpleNamespace(next_sequence="0"))}}, TypeError, "int"),
        ({"received_ns": 1 << 63}, OverflowError, "too"),
        ({"most": 0}, ValueError, "at least 1"),
    ],
)
def test_arguments_that_are_none_are_refused(wrong: dict[str, Any], error: type[Exception], text: str) -> None:
    given_: dict[str, Any] = {"heads": heads(), "most": 16, "received_ns": 0, **wrong}
    with pytest.raises(error, match=text):
        single_packets.frame_few(packet(1, 0), True, given_["heads"], given_["most"], given_["received_ns"])
    with pytest.raises(TypeError, match="takes"):
        single_packets.frame_few(b"", True)  # type: ignore[call-arg]
