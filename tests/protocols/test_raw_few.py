"""Reading a few packets in compiled code must give what reading them in Python gives, and leave alone all else."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq import single_packets
from rawdaq.errors import RemoteProtocolError
from rawdaq.packet import SampleType
from rawdaq.protocols.raw import ChannelFormat, Endianness, RawPlugin, RawVersion, SampleBlock, encode_packet
from rawdaq.protocols.raw_format import EARLIEST_NS, LATEST_NS
from tests.protocols.raw_wire import comparable, same
from tests.protocols.test_raw_runs import FAULTS, contiguous, described, interleaved, packet

FORMATS = {
    1: ChannelFormat(100.0, Endianness.LITTLE, SampleType.INT32),
    2: ChannelFormat(100.0, Endianness.BIG, SampleType.INT16),
    3: ChannelFormat(100.0, Endianness.LITTLE, SampleType.INT8),
}


def started(version: RawVersion = RawVersion.V2_0) -> RawPlugin:
    plugin = RawPlugin(FORMATS, version)
    list(plugin.receive_data(described(FORMATS, version)))
    return plugin


def outcome(plugin: RawPlugin, data: bytes) -> tuple[list[object], str]:
    """Return what *plugin* makes of *data* in Python, and of an end after it."""
    events: list[object] = []
    try:
        events.extend(map(comparable, plugin.receive_data(data)))
        plugin.receive_eof()
    except RemoteProtocolError as error:
        return events, repr(error)
    return events, ""


def both(data: bytes, version: RawVersion = RawVersion.V2_0) -> list[SampleBlock] | None:
    """Return what the quick way gives, after comparing it with the other one, to which it may have left *data*."""
    plugin = started(version)
    few = plugin.receive_few(memoryview(data))
    if few is None:
        assert outcome(plugin, data) == outcome(started(version), data)
    else:
        assert (list(map(comparable, few)), "") == outcome(started(version), data)
    return few


@st.composite
def wires(draw: st.DrawFn) -> tuple[RawVersion, bytes]:
    version = draw(st.sampled_from(RawVersion))
    wire = bytearray()
    for _ in range(draw(st.integers(0, 4))):
        channel, count = draw(st.sampled_from(sorted(FORMATS))), draw(st.integers(0, 5))
        start_ns = draw(st.integers(EARLIEST_NS, LATEST_NS))
        quality = draw(st.integers(0, 100))
        samples = draw(st.binary(min_size=8 * count, max_size=8 * count))[: count * FORMATS[channel].dtype.itemsize]
        wire += encode_packet(version, channel, start_ns, quality, samples, count)
    for _ in range(draw(st.integers(0, 2)) if wire else 0):
        wire[draw(st.integers(0, len(wire) - 1))] = draw(st.integers(0, 255))
    return version, bytes(wire[: len(wire) - draw(st.sampled_from([0, 0, 0, 1, 9]))])


@given(wires())
def test_any_bytes_read_the_same_both_ways(wire: tuple[RawVersion, bytes]) -> None:
    version, data = wire
    both(data, version)


@pytest.mark.parametrize("version", RawVersion)
def test_whole_packets_are_read(version: RawVersion) -> None:
    few = both(interleaved(*(contiguous(channel, 5, version=version) for channel in (1, 1))), version)
    assert few is not None
    assert [len(each.samples) for each in few] == 10 * [10]
    assert all(isinstance(each, SampleBlock) and not each.samples.flags.writeable for each in few)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_what_is_not_plainly_right_is_left_with_all_that_came_with_it(name: str, before: int) -> None:
    plain = {"another size", "day 366", "leap second"}
    assert (both(b"".join([*contiguous(1, before), FAULTS[name]])) is None) == (name not in plain - {"day 366"})


@pytest.mark.parametrize("cut", [1, 40, 41, 57])
def test_a_packet_that_is_not_whole_is_left(cut: int) -> None:
    assert both(b"".join(contiguous(1, 3))[:-cut]) is None


def test_what_follows_a_packet_that_is_not_whole_is_left() -> None:
    plugin, first, second = started(), *contiguous(1, 2)
    assert list(plugin.receive_data(first[:20])) == []
    assert plugin.receive_few(memoryview(second)) is None
    assert same(plugin.receive_data(first[20:] + second), started().receive_data(first + second))


@pytest.mark.parametrize(("count", "is_read"), [(1, True), (15, True), (16, False), (400, False)])
def test_many_packets_are_left_to_be_joined(count: int, is_read: bool) -> None:
    assert (both(b"".join(contiguous(1, count))) is not None) == is_read


def test_the_handshake_is_left() -> None:
    plugin = RawPlugin(FORMATS)
    assert plugin.receive_few(memoryview(RawVersion.V2_0.line)) is None


def test_after_an_error_all_is_left_so_that_it_is_told_again() -> None:
    plugin = started()
    with pytest.raises(RemoteProtocolError):
        list(plugin.receive_data(FAULTS["hour 24"]))
    assert plugin.receive_few(memoryview(packet(1, 0))) is None


def test_without_a_compiler_all_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.protocols.raw_plugin.single_packets", None)
    assert started().receive_few(memoryview(packet(1, 0))) is None


KINDS = {1: (np.dtype("<i4"), 4)}


def read(
    data: Any = b"", kinds: Any = KINDS, most: Any = 16, block: Any = list, samples: Any = np.frombuffer
) -> object:
    return single_packets.read_few(data, True, kinds, most, block, samples)


def test_arguments_that_are_none_are_refused() -> None:
    with pytest.raises(TypeError, match="takes"):
        single_packets.read_few(b"", True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes"):
        single_packets.frame(b"", b"")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="dict"):
        read(kinds=[])
    with pytest.raises(TypeError, match="bytes-like"):
        read("text")
    with pytest.raises(TypeError, match="integer"):
        read(most="1")
    with pytest.raises(ValueError, match="at least 1"):
        read(most=0)
    with pytest.raises(TypeError, match="tuple"):
        read(packet(1, 0), kinds={1: 4})


@pytest.mark.parametrize("broken", ["block", "samples"])
def test_what_its_helpers_raise_comes_out(broken: str) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read(packet(1, 0), **{broken: fail})
