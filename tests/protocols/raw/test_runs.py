"""Reading many packets at once must give what reading them one by one gives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq.packet import SampleType
from rawdaq.protocols.raw import (
    ChannelFormat,
    Endianness,
    PacketProblem,
    RawPlugin,
    RawVersion,
    SampleBlock,
    SampleRun,
    encode_packet,
)
from rawdaq.times import from_iso, sample_time

START_NS = from_iso("2026-12-31T23:59:59Z")  # the second packet lies in the next year
LITTLE, BIG = Endianness.LITTLE, Endianness.BIG
INT32 = ChannelFormat(100.0, LITTLE, SampleType.INT32)


@dataclass
class Result:
    """What a plugin yielded, packet by packet and channel by channel, and how many runs were among it."""

    packets: dict[int, list[tuple[int, int | None, list[Any]]]]
    runs: int
    error: str


def described(formats: dict[int, ChannelFormat], version: RawVersion) -> bytes:
    return version.line + b"".join(each.description for each in formats.values()) + b"STARTING\n"


def read(
    data: bytes, formats: dict[int, ChannelFormat], version: RawVersion = RawVersion.V2_0, *, joins_packets: bool
) -> Result:
    plugin = RawPlugin(formats, version, joins_packets=joins_packets)
    list(plugin.receive_data(described(formats, version)))
    result = Result({channel: [] for channel in formats}, 0, "")
    try:
        for event in plugin.receive_data(data):
            if isinstance(event, SampleBlock):
                result.packets[event.channel].append((event.start_ns, event.timing_quality, event.samples.tolist()))
            elif isinstance(event, PacketProblem):
                result.packets[event.channel] += [(0, None, [event.value])] * event.packets
            elif isinstance(event, SampleRun):
                result.runs += 1
                assert not event.samples.flags.writeable
                for start_ns, row in zip(event.starts_ns, event.samples.tolist(), strict=True):
                    result.packets[event.channel].append((start_ns, event.timing_quality, row))
        plugin.receive_eof()
    except RemoteProtocolError as error:
        result.error = str(error)
    return result


def packet(
    channel: int, start_ns: int, size: int = 10, *, quality: int = 100, version: RawVersion = RawVersion.V2_0
) -> bytes:
    samples = np.arange(size, dtype="<i4") + start_ns % 1000
    return encode_packet(version, channel, start_ns, quality, samples.tobytes(), size)


def contiguous(channel: int, count: int, rate_hz: float = 100.0, size: int = 10, **more: Any) -> list[bytes]:
    return [packet(channel, sample_time(START_NS, index * size, rate_hz), size, **more) for index in range(count)]


def interleaved(*channels: list[bytes]) -> bytes:
    return b"".join(each for turn in zip(*channels, strict=True) for each in turn)


def both(data: bytes, formats: dict[int, ChannelFormat], version: RawVersion = RawVersion.V2_0) -> Result:
    """Return what joining gives, after comparing it with what reading one by one gives."""
    joined, single = (read(data, formats, version, joins_packets=joins) for joins in (True, False))
    assert (joined.packets, joined.error) == (single.packets, single.error)
    assert single.runs == 0
    return joined


@pytest.mark.parametrize("version", RawVersion)
@pytest.mark.parametrize("channels", [1, 3])
def test_equal_packets_of_a_channel_are_one_run(version: RawVersion, channels: int) -> None:
    formats = dict.fromkeys(range(channels), INT32)
    data = interleaved(*(contiguous(channel, 50, version=version) for channel in formats))
    assert both(data, formats, version).runs == channels


def test_an_incomplete_packet_after_a_run_is_held() -> None:
    data = b"".join(contiguous(1, 50))
    assert "missing" in both(data[:-3], {1: INT32}).error


def test_few_packets_are_not_joined() -> None:
    assert both(b"".join(contiguous(1, 15)), {1: INT32}).runs == 0


def test_channels_of_several_types_of_one_size_are_told_apart() -> None:
    formats = {
        1: INT32,
        2: ChannelFormat(100.0, BIG, SampleType.INT32),
        3: ChannelFormat(100.0, LITTLE, SampleType.FLOAT32),
    }
    assert both(interleaved(*(contiguous(channel, 40) for channel in formats)), formats).runs == 3


def test_channels_of_another_size_end_the_run_and_are_read_one_by_one() -> None:
    formats = {1: INT32, 2: ChannelFormat(100.0, LITTLE, SampleType.INT16)}
    small = encode_packet(RawVersion.V2_0, 2, START_NS, 100, np.zeros(10, "<i2").tobytes(), 10)
    data = b"".join(contiguous(1, 40)) + small + b"".join(contiguous(1, 40))
    assert both(data, formats).runs == 1


def test_channels_that_come_in_no_order_keep_their_own() -> None:
    order = np.random.default_rng(1).permutation(np.repeat([1, 2, 3], 40))
    streams = {channel: iter(contiguous(channel, 40)) for channel in (1, 2, 3)}
    data = b"".join(next(streams[int(channel)]) for channel in order)
    assert both(data, dict.fromkeys((1, 2, 3), INT32)).runs == 3


def test_a_gap_or_another_timing_quality_cuts_a_run() -> None:
    late = [packet(1, START_NS + 100 * 10**9 + index * 10**8, quality=90 + (index >= 10)) for index in range(30)]
    assert both(b"".join(contiguous(1, 20) + late), {1: INT32}).runs == 3


@pytest.mark.parametrize("rate_hz", [300.0, 333.333, 62.5, 4000.0])
def test_stamps_cut_to_microseconds_are_one_run(rate_hz: float) -> None:
    data = b"".join(contiguous(1, 200, rate_hz))
    assert both(data, {1: ChannelFormat(rate_hz, LITTLE, SampleType.INT32)}).runs == 1


def test_a_clock_that_drifts_is_followed_within_two_microseconds() -> None:
    data = b"".join(packet(1, START_NS + index * 100_001_000) for index in range(200))
    plugin = RawPlugin([1], joins_packets=True)
    list(plugin.receive_data(described({1: INT32}, RawVersion.V2_0)))
    for run in plugin.receive_data(data):
        assert isinstance(run, SampleRun)
        planned = [sample_time(run.starts_ns[0], index * 10, 100.0) for index in range(len(run.starts_ns))]
        assert all(abs(start - plan) <= 2000 for start, plan in zip(run.starts_ns, planned, strict=True))


FAULTS: dict[str, bytes] = {
    "unknown channel": packet(9, START_NS),
    "another size": packet(1, START_NS, 11),
    "no samples": packet(1, START_NS, 0),
    "hour 24": bytes.fromhex("07ea 0001 18 00 00 00000000 64 0001 0000000a") + bytes(40),
    "second 61": bytes.fromhex("07ea 0001 00 00 3d 00000000 64 0001 0000000a") + bytes(40),
    "minute 60": bytes.fromhex("07ea 0001 00 3c 00 00000000 64 0001 0000000a") + bytes(40),
    "microsecond": bytes.fromhex("07ea 0001 00 00 00 000f4240 64 0001 0000000a") + bytes(40),
    "quality 101": bytes.fromhex("07ea 0001 00 00 00 00000000 65 0001 0000000a") + bytes(40),
    "day 0": bytes.fromhex("07ea 0000 00 00 00 00000000 64 0001 0000000a") + bytes(40),
    "day 366": bytes.fromhex("07ea 016e 00 00 00 00000000 64 0001 0000000a") + bytes(40),
    "leap second": bytes.fromhex("07ea 0001 17 3b 3c 00000000 64 0001 0000000a") + bytes(40),
    "a million and one": bytes.fromhex("07ea 0001 00 00 00 00000000 64 0001 000f4241"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("before", [0, 1, 3, 15, 16, 40])
def test_what_is_not_like_the_others_is_read_as_if_it_were_alone(name: str, before: int) -> None:
    packets = contiguous(1, 80)
    both(b"".join([*packets[:before], FAULTS[name], *packets[before:]]), {1: INT32})


@given(st.data())
def test_any_session_reads_the_same_both_ways(data: st.DataObject) -> None:
    formats = dict.fromkeys(range(data.draw(st.integers(1, 4))), INT32)
    wire = bytearray(interleaved(*(contiguous(channel, 30) for channel in formats)))
    for _ in range(data.draw(st.integers(0, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    both(bytes(wire), formats)
