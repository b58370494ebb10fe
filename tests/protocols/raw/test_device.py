from typing import Any

import numpy as np
import pytest

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.packet import Samples
from rawdaq.protocols import raw
from rawdaq.protocols.raw import (
    ChannelFormat,
    ChannelRequested,
    Endianness,
    RawDevice,
    RawVersion,
    SampleType,
    StartRequested,
    VersionRequested,
)
from tests.protocols.raw_wire import receive

CHANNELS = {
    1: ChannelFormat(100, Endianness.BIG, SampleType.INT16),
    2: ChannelFormat(62.5, Endianness.LITTLE, SampleType.FLOAT32),
    70_000: ChannelFormat(1, Endianness.LITTLE, SampleType.INT8),
}
FIRST = b"SAMPLING RATE\n100\nSAMPLE ENDIANNESS\nbig\nSAMPLE TYPE\nint16\n"
SECOND = b"SAMPLING RATE\n62.5\nSAMPLE ENDIANNESS\nlittle\nSAMPLE TYPE\nfloat32\n"


def started() -> RawDevice:
    device = RawDevice(CHANNELS)
    receive(device, b"RAW 2.0\nCHANNEL\n1\nSTART\n")
    device.data_to_send()
    return device


@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_pipelined_handshake_is_answered_however_it_is_cut(size: int) -> None:
    device = RawDevice(CHANNELS)

    events = receive(device, b"RAW 2.0\nCHANNEL\n2\nCHANNEL\n1\nCHANNEL\n2\nSTART\n", size)

    assert events == [
        VersionRequested(RawVersion.V2_0),
        ChannelRequested(2),
        ChannelRequested(1),
        ChannelRequested(2),
        StartRequested((2, 1)),
    ]
    assert device.data_to_send() == b"RAW 2.0\n" + SECOND + FIRST + SECOND + b"STARTING\n"
    assert device.data_to_send() == b""
    assert device.buffered_bytes == 0
    device.receive_eof()


def test_blanks_around_a_channel_id_mean_nothing() -> None:
    device = RawDevice(CHANNELS)
    events = receive(device, b"RAW 2.0\nCHANNEL\n 2\t\nCHANNEL\n1 \nSTART\n")
    assert events[-1] == StartRequested((2, 1))


def test_each_answer_is_ready_as_soon_as_its_question_is_whole() -> None:
    device = RawDevice(CHANNELS)

    assert device.version is None
    assert receive(device, b"RAW 1.1") == []
    assert device.buffered_bytes == 7
    assert receive(device, b"\n") == [VersionRequested(RawVersion.V1_1)]
    assert device.data_to_send() == b"RAW 1.1\n"
    assert receive(device, b"CHANNEL\n70000\n") == [ChannelRequested(70_000)]


@pytest.mark.parametrize(
    ("wire", "error", "values"),
    [
        (b"RAW 3.0\n", raw.UnexpectedLine, {"line": "RAW 3.0"}),
        (b"RAW 2.0\r\n", raw.UnexpectedLine, {"line": "RAW 2.0\\r"}),
        (b"GET / HTTP/1.1\n", raw.UnexpectedLine, {"expected": "the version line (RAW 1.0 or RAW 1.1 or RAW 2.0)"}),
        (b"x" * 300, raw.LineTooLong, {"limit_bytes": 256}),
        (b"RAW 2.0\nSTART\n", raw.UnexpectedLine, {"line": "START", "expected": "CHANNEL, then START"}),
        (b"RAW 2.0\nCHANNEL\n1\nSTOP\n", raw.UnexpectedLine, {"line": "STOP", "expected": "CHANNEL or START"}),
        (b"RAW 2.0\nCHANNEL\n9\n", raw.ChannelRefused, {"channel": "9", "reason": "there are 1, 2, 70000"}),
        (b"RAW 2.0\nCHANNEL\n+1\n", raw.ChannelRefused, {"channel": "+1"}),
        (b"RAW 2.0\nCHANNEL\n11111111111\n", raw.ChannelRefused, {"channel": "11111111111"}),
        (b"RAW 2.0\nCHANNEL\n\xb2\n", raw.UnexpectedLine, {"line": "\\xb2"}),
        (b"RAW 2.0\nCHANNEL\n70000\n", raw.ChannelRefused, {"channel": "70000"}),
        (b"RAW 1.0\nCHANNEL\n2\n", raw.ChannelRefused, {"channel": "2"}),
        (b"RAW 2.0\nCHANNEL\n1\nSTART\nmore", raw.UnexpectedLine, {"expected": "nothing after START"}),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 3])
def test_what_a_client_does_wrong_is_told_with_its_values(
    wire: bytes, error: type[RemoteProtocolError], values: dict[str, Any], size: int
) -> None:
    device = RawDevice(CHANNELS)

    with pytest.raises(error) as caught:
        receive(device, wire, size)

    assert {name: getattr(caught.value, name) for name in values} == values
    with pytest.raises(error):
        receive(device, b"RAW 2.0\n")
    with pytest.raises(error):
        device.receive_eof()


@pytest.mark.parametrize(("wire", "where"), [(b"RAW 2.0\n", "before START"), (b"RA", "in the middle of the line 'RA'")])
def test_a_client_that_closes_in_the_handshake_is_told(wire: bytes, where: str) -> None:
    device = RawDevice(CHANNELS)
    receive(device, wire)

    with pytest.raises(raw.ConnectionCut) as caught:
        device.receive_eof()

    assert caught.value.where == where


def test_a_device_speaks_only_the_versions_that_it_was_given() -> None:
    device = RawDevice(CHANNELS, [RawVersion.V1_1])

    with pytest.raises(raw.UnexpectedLine, match=r"the version line \(RAW 1.1\) was expected"):
        receive(device, b"RAW 2.0\n")


def test_a_packet_goes_out_in_the_clients_version() -> None:
    device = started()

    device.send_samples(1, 0, 99, np.array([1, -1], ">i2"))

    assert device.data_to_send() == bytes.fromhex("07b2 0001 00 00 00 00000000 63 0001 00000002 0001 ffff")


@pytest.mark.parametrize(
    ("channel", "quality", "samples", "text"),
    [
        (2, 100, np.zeros(1, "<f4"), "channel 2 was not requested, only 1"),
        (1, 100, np.zeros(1, "<i2"), "samples of channel 1 are 1-dimensional <i2, not one dimension of >i2"),
        (1, 100, np.zeros((1, 1), ">i2"), "samples of channel 1 are 2-dimensional"),
        (1, 101, np.zeros(1, ">i2"), "timing quality 101 is not in 0-100"),
        (1, 100, np.zeros(1_000_001, ">i2"), "packet of 1000001 samples"),
    ],
)
def test_a_packet_that_cannot_be_sent_is_refused_and_not_queued(
    channel: int, quality: int, samples: Samples, text: str
) -> None:
    device = started()

    with pytest.raises(LocalProtocolError, match=text):
        device.send_samples(channel, 0, quality, samples)

    assert device.data_to_send() == b""


@pytest.mark.parametrize("wire", [b"", b"RAW 2.0\nCHANNEL\n1\n"])
def test_samples_before_start_are_refused(wire: bytes) -> None:
    device = RawDevice(CHANNELS)
    receive(device, wire)

    with pytest.raises(LocalProtocolError, match="the client has not sent START"):
        device.send_samples(1, 0, 100, np.zeros(1, ">i2"))
