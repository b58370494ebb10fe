import pickle

import pytest

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols import raw
from rawdaq.protocols.raw.errors import listed

CASES: list[tuple[RemoteProtocolError, str]] = [
    (raw.VersionRefused("2.0", None), "the device was asked for RAW 2.0 and closed the connection"),
    (raw.VersionRefused("2.0", "RAW 1.1"), "the device was asked for RAW 2.0 and answered 'RAW 1.1'"),
    (raw.UnexpectedLine("HELLO", "'STARTING'"), "the peer sent 'HELLO' where 'STARTING' was expected"),
    (raw.LineTooLong(256, "xxx"), "the peer sent a line of more than 256 bytes that begins 'xxx'"),
    (raw.BadSamplingRate(7, "nan", "a number"), "sampling rate 'nan' of channel 7 is not a number"),
    (
        raw.UnknownEndianness(7, "middle", "big or little"),
        "sample endianness 'middle' of channel 7 is not big or little",
    ),
    (raw.UnknownSampleType(7, "int64", "one of int8"), "sample type 'int64' of channel 7 is not one of int8"),
    (raw.ChannelNotRequested(9, (1, 2)), "packet of channel 9, requested were 1, 2"),
    (raw.PacketTooLarge(7, 1_000_001, 1_000_000), "packet of 1000001 samples of channel 7, limit is 1000000"),
    (raw.ChannelRefused("9", "there are 1, 2"), "the client asked for channel '9': there are 1, 2"),
    (raw.ConnectionCut("before START"), "the peer closed the connection before START"),
    (raw.ConnectionCut("in a packet", 5), "the peer closed the connection in a packet, 5 bytes missing"),
]


@pytest.mark.parametrize(("error", "text"), CASES)
def test_an_error_says_its_numbers_and_survives_pickling(error: RemoteProtocolError, text: str) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error) == text


def test_one_except_catches_them_all() -> None:
    assert all(isinstance(error, RemoteProtocolError) for error, _ in CASES)


def test_a_short_list_of_channels_is_shown_whole() -> None:
    assert listed([3, 1]) == "1, 3"
