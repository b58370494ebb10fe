"""Both sides against each other, and against whatever comes."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rawdaq.errors import RemoteProtocolError
from rawdaq.packet import Samples
from rawdaq.protocols import raw
from rawdaq.protocols.raw import (
    EARLIEST_NS,
    LATEST_NS,
    ChannelDescribed,
    ChannelFormat,
    ChannelRequested,
    Endianness,
    RawDevice,
    RawPlugin,
    RawVersion,
    SampleBlock,
    SampleType,
    Started,
    StartRequested,
    VersionAgreed,
    VersionRequested,
)
from tests.protocols.raw_wire import ConnectionPair, as_block, pieces, receive, same

#: One header and a million float64, and a little for the growth of what holds them.
HOLDING_LIMIT = 18 + 8_000_000

ANY_FORMAT = st.builds(
    ChannelFormat,
    st.one_of(st.integers(1, 10_000), st.floats(1e-9, 1e9)),
    st.sampled_from(Endianness),
    st.sampled_from(SampleType),
)
ANY_TIME_US = st.integers(math.ceil(EARLIEST_NS / 1000), LATEST_NS // 1000)


def samples_of(described: ChannelFormat) -> st.SearchStrategy[Samples]:
    return hnp.arrays(described.dtype, st.integers(0, 20))


def session(packets: int) -> tuple[bytes, bytes]:
    """Return the bytes that a plugin and a device with two channels exchange."""
    pair = ConnectionPair(
        {
            1: ChannelFormat(100, Endianness.BIG, SampleType.INT16),
            300: ChannelFormat(62.5, Endianness.LITTLE, SampleType.FLOAT64),
        }
    )
    asked, answered = b"", b""
    for _ in range(3):
        asked += (words := pair.plugin.data_to_send())
        list(pair.device.receive_data(words))
        answered += (words := pair.device.data_to_send())
        list(pair.plugin.receive_data(words))
    for number in range(packets):
        pair.device.send_samples(1, number * 10**9, 100, np.arange(number, dtype=">i2"))
        pair.device.send_samples(300, number * 10**9, 50, np.arange(number, dtype="<f8"))
    return asked, answered + pair.device.data_to_send()


def test_every_name_of_the_protocol_is_there() -> None:
    assert all(hasattr(raw, name) for name in raw.__all__)


@pytest.mark.parametrize("version", RawVersion)
@pytest.mark.parametrize("size", [0, 1, 3])
def test_both_sides_agree_on_every_version_however_the_bytes_are_cut(version: RawVersion, size: int) -> None:
    channels = {
        max(0, version.max_channel - number): ChannelFormat(number + 0.5, endianness, sample_type)
        for number, (endianness, sample_type) in enumerate(
            (endianness, sample_type) for endianness in Endianness for sample_type in version.sample_types
        )
    }
    pair = ConnectionPair(channels, version)

    pair.exchange(size)

    assert pair.device_events == [
        VersionRequested(version),
        *map(ChannelRequested, channels),
        StartRequested(tuple(channels)),
    ]
    assert pair.plugin_events == [
        VersionAgreed(version),
        *(ChannelDescribed(channel, described) for channel, described in channels.items()),
        Started(),
    ]
    assert pair.plugin.version is pair.device.version is version
    for channel, described in channels.items():
        samples = np.array([-128, 0, 127], described.dtype)
        quality = 42 if version.has_quality else 100
        assert same(pair.send(channel, 10**18, 42, samples, size), [as_block(channel, 10**18, quality, samples)])


@given(data=st.data())
def test_what_a_device_sends_is_what_the_plugin_gets(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(RawVersion))
    formats = ANY_FORMAT.filter(lambda described: described.sample_type in version.sample_types)
    channels = data.draw(st.dictionaries(st.integers(0, version.max_channel), formats, min_size=1, max_size=4))
    pair = ConnectionPair(channels, version)
    pair.exchange()
    sent: list[SampleBlock] = []
    for _ in range(data.draw(st.integers(0, 4))):
        channel = data.draw(st.sampled_from(sorted(channels)))
        quality = data.draw(st.integers(0, 100)) if version.has_quality else 100
        samples: Any = data.draw(samples_of(channels[channel]))
        block = as_block(channel, data.draw(ANY_TIME_US) * 1000, quality, samples)
        pair.device.send_samples(*block[:2], quality, samples)
        sent.append(block)

    received = receive(pair.plugin, pair.device.data_to_send(), data.draw(st.integers(0, 50)))

    assert same(received, [block for block in sent if block.samples.size])
    assert pair.plugin.buffered_bytes == 0
    pair.plugin.receive_eof()


def survive(peer: RawPlugin | RawDevice, data: bytes, size: int) -> None:
    """Give *peer* all of *data*; only a `RemoteProtocolError` may come, and it must hold little."""
    try:
        for piece in pieces(data, size):
            for _ in peer.receive_data(piece):
                pass
            assert peer.buffered_bytes <= min(HOLDING_LIMIT, len(data))
        peer.receive_eof()
    except RemoteProtocolError as error:
        with pytest.raises(type(error)):
            list(peer.receive_data(b"x"))
        with pytest.raises(type(error)):
            peer.receive_eof()


SESSION = session(4)
ANY_CUT = st.sampled_from([0, 1, 7])


@given(st.binary(max_size=300), ANY_CUT, st.sampled_from(RawVersion))
def test_arbitrary_bytes_raise_nothing_but_a_remote_error(data: bytes, size: int, version: RawVersion) -> None:
    survive(RawPlugin([1], version), data, size)
    survive(RawPlugin([1], version), version.line + data, size)
    survive(RawDevice({1: ChannelFormat(1, Endianness.BIG, SampleType.INT8)}), data, size)
    survive(RawDevice({1: ChannelFormat(1, Endianness.BIG, SampleType.INT8)}), version.line + data, size)


@given(data=st.data(), size=ANY_CUT)
def test_a_mutated_session_raises_nothing_but_a_remote_error(data: st.DataObject, size: int) -> None:
    to_device, is_plugin = SESSION[0], data.draw(st.booleans())
    wire = bytearray(SESSION[1] if is_plugin else to_device)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(wire)))
        wire[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))

    plugin = RawPlugin([1, 300])
    device = RawDevice({number: ChannelFormat(1, Endianness.BIG, SampleType.INT8) for number in (1, 300)})
    survive(plugin if is_plugin else device, bytes(wire), size)


@given(st.binary(max_size=400), ANY_CUT)
def test_arbitrary_packets_raise_nothing_but_a_remote_error(data: bytes, size: int) -> None:
    start = SESSION[1][: SESSION[1].index(b"STARTING\n") + 9]
    plausible = b"\x07\xea\x00\x01\x00\x00\x00\x00\x00\x00\x00\x64\x00\x01\x00\x00"

    survive(RawPlugin([1, 300]), start + data, size)
    survive(RawPlugin([1, 300]), start + plausible + data, size)
