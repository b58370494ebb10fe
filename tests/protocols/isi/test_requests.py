"""What a client wants: windows of time, places in a stream, settings."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.protocols.isi import DataRequest, Format, IsiName, NameInvalid, Place, Policy, Report, Window
from rawdaq.protocols.isi.errors import TimeUnreadable, WrongSize
from rawdaq.protocols.isi.frames import FrameType
from rawdaq.protocols.isi.requests import decode_number
from rawdaq.times import from_iso
from tests.protocols import isi_wire as wire

NAME = IsiName("coco", "bhz", "20")
BEGIN, END = from_iso("2003-11-18T21:00:00"), from_iso("2003-11-19T00:00:00")


def test_a_window_is_read_as_it_was_captured() -> None:
    window = Window(IsiName("coco", "*", "*"), BEGIN, END)
    assert Window.decode(wire.WINDOW) == window
    assert window.encode() == wire.WINDOW.replace(b"*\0\xe9", b"*\0\0")
    assert len(wire.WINDOW) == 28


@pytest.mark.parametrize(
    ("place", "number"),
    [
        (Place.UNDEFINED, "bf f0 00 00 00 00 00 00"),
        (Place.OLDEST, "c0 00 00 00 00 00 00 00"),
        (Place.NEWEST, "c0 08 00 00 00 00 00 00"),
        (Place.KEEP_UP, "c0 10 00 00 00 00 00 00"),
    ],
)
def test_a_place_stands_for_a_time(place: Place, number: str) -> None:
    name = NAME.encode()
    for window, data in (
        (Window(NAME, place, END), name + bytes.fromhex(number) + struct.pack(">d", END / 1e9)),
        (Window(NAME, BEGIN, place), name + struct.pack(">d", BEGIN / 1e9) + bytes.fromhex(number)),
    ):
        assert window.encode() == data
        assert Window.decode(data) == window


def test_a_window_usually_begins_with_the_newest_and_has_no_end() -> None:
    assert Window(NAME) == Window(NAME, Place.NEWEST, Place.KEEP_UP)


WHEN = st.sampled_from(Place) | st.integers(0, 4 * 10**15).map(lambda time_us: time_us * 1000)


@given(WHEN, WHEN)
def test_a_window_is_the_same_after_the_way(begin: int | Place, end: int | Place) -> None:
    for sent, got in zip(Window(NAME, begin, end), Window.decode(Window(NAME, begin, end).encode()), strict=True):
        # The number itself has steps of up to half a microsecond in these years.
        assert sent == got or (isinstance(sent, int) and isinstance(got, int) and abs(sent - got) <= 250)


@given(st.floats(1e7, 9e9) | st.floats(-9e9, -1e7) | st.sampled_from([-1.0, -2.0, -3.0, -4.0]))
def test_a_window_is_repeated_to_the_bit(seconds: float) -> None:
    data = struct.pack(">12sdd", NAME.encode(), seconds, seconds)
    assert Window.decode(data).encode() == data


@pytest.mark.parametrize("size", [0, 27, 29])
def test_a_window_has_28_bytes(size: int) -> None:
    with pytest.raises(WrongSize, match=f"a window of time has {size} bytes instead of 28"):
        Window.decode((wire.WINDOW + b"x")[:size])


@pytest.mark.parametrize("at", [12, 20])
def test_a_window_with_a_time_that_is_none_is_an_error(at: int) -> None:
    with pytest.raises(TimeUnreadable):
        Window.decode(wire.WINDOW[:at] + struct.pack(">d", float("nan")) + wire.WINDOW[at + 8 :])


def test_a_window_of_a_name_that_isi_has_not_is_refused() -> None:
    with pytest.raises(NameInvalid):
        Window(IsiName("eightlet", "bhz")).encode()


def test_settings_stand_in_the_order_of_the_original_client() -> None:
    assert DataRequest(()).settings() == [
        (FrameType.FORMAT, b"\0\0\0\1"),
        (FrameType.COMPRESSION, b"\0\0\0\2"),
        (FrameType.POLICY, b"\0\0\0\2"),
    ]
    assert DataRequest((), 3, 99, 0, 2**32 - 1).settings() == [
        (1004, b"\0\0\0\3"),
        (1005, b"\0\0\0\x63"),
        (1015, b"\xff\xff\xff\xff"),
        (1006, b"\0\0\0\0"),
    ]


def test_codes_have_their_numbers() -> None:
    assert [each.value for each in Format] == [1, 2, 3]
    assert [(each.name, each.value) for each in Policy] == [("NONE", 1), ("MIN_GAP", 2), ("MIN_DELAY", 3)]
    assert [(each.name, each.value) for each in Report] == [("HEALTH", 1001), ("CONFIGURATION", 1002), ("WFDISC", 1003)]


def test_a_number_has_four_bytes() -> None:
    assert decode_number(b"\xff\0\0\1", "the policy") == 0xFF000001
    for size in (0, 3, 5, 8):
        with pytest.raises(WrongSize, match=f"the policy has {size} bytes instead of 4"):
            decode_number(bytes(size), "the policy")
