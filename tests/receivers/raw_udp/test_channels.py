from typing import Any

import pytest
from pydantic import ValidationError

from rawdaq.errors import InvalidValue
from rawdaq.packet import SampleType
from rawdaq.protocols.raw import ChannelFormat, Endianness
from rawdaq.receivers.raw_udp.channels import UdpChannel, UdpDefaults, as_channel, formats


def channel(value: Any) -> UdpChannel:
    return UdpChannel.model_validate(as_channel(value))


def test_a_code_alone_is_a_channel_with_the_defaults_of_all() -> None:
    defaults = UdpDefaults(rate_hz=62.5, type="int16", endianness="big")
    assert formats({7: channel("HHZ")}, defaults) == {7: ChannelFormat(62.5, Endianness.BIG, SampleType.INT16)}


def test_what_a_channel_says_itself_holds() -> None:
    said = channel({"code": "HHZ", "rate_hz": 100, "type": "float64", "endianness": "little"})
    defaults = UdpDefaults(rate_hz=62.5, type="int16", endianness="big")
    assert formats({7: said}, defaults) == {7: ChannelFormat(100, Endianness.LITTLE, SampleType.FLOAT64)}


def test_channels_without_a_rate_are_all_named() -> None:
    with pytest.raises(InvalidValue, match=r"channel 1: HHZ has no rate_hz: write .*; channel 3: HHE has no rate_hz"):
        formats({1: channel("HHZ"), 2: channel({"code": "HHN", "rate_hz": 1}), 3: channel("HHE")}, UdpDefaults())


@pytest.mark.parametrize(
    "value",
    [
        "hhz",
        "1.2.HHZ",
        {},
        {"code": "HHZ", "rate": 100},
        {"code": "HHZ", "rate_hz": 0},
        {"code": "HHZ", "rate_hz": "100"},
        {"code": "HHZ", "type": "int64"},
        {"code": "HHZ", "endianness": "middle"},
        7,
    ],
)
def test_what_cannot_be_is_refused(value: Any) -> None:
    with pytest.raises((ValidationError, ValueError)):
        channel(value)


def test_an_unknown_key_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="unknown key gain, rate; a channel has code, rate_hz, type, endianness"):
        channel({"code": "HHZ", "rate": 100, "gain": 1})
