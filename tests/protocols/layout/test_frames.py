"""Messages of a declared layout in a byte stream, cut anywhere."""

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.protocols.layout import Layout, LayoutFrames, LengthField
from rawdaq.protocols.layout.errors import LengthImpossible, MessageCut

LAYOUT = Layout.parse(["magic u8 = 7", "size u16", "data rest"])
FIXED = Layout.parse(["magic u8", "value u16"])
MESSAGES = [bytes.fromhex(wire) for wire in ("070300", "070500abcd", "08040001")]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_messages_are_found_wherever_the_stream_is_cut(size: int) -> None:
    frames = LayoutFrames(LAYOUT, LengthField("size"))
    data = b"".join(MESSAGES)
    found = [each for at in range(0, len(data), size) for each in frames.receive_data(data[at : at + size])]
    assert found == MESSAGES
    frames.receive_eof()


def test_without_a_length_all_messages_have_the_size_of_the_layout() -> None:
    frames = LayoutFrames(FIXED, None)
    assert list(frames.receive_data(memoryview(b"abcdefg"))) == [b"abc", b"def"]
    with pytest.raises(MessageCut, match="the peer closed after 1 bytes of a message of 3"):
        frames.receive_eof()


def test_a_length_can_be_in_units_and_without_the_header() -> None:
    layout = Layout.parse(["samples8 u8", "data rest"])
    frames = LayoutFrames(layout, LengthField("samples8", times=2, plus_bytes=1))
    assert list(frames.receive_data(b"\2abcd\0\1xy")) == [b"\2abcd", b"\0", b"\1xy"]


def test_the_length_has_the_byte_order_of_the_layout() -> None:
    big = Layout.parse(["size u16", "data rest"], byte_order=LAYOUT.byte_order.BIG)
    assert list(LayoutFrames(big, LengthField("size")).receive_data(b"\0\3a")) == [b"\0\3a"]


def test_an_end_in_the_length_itself_is_reported() -> None:
    frames = LayoutFrames(LAYOUT, LengthField("size"))
    assert list(frames.receive_data(b"\7\3")) == []
    with pytest.raises(MessageCut, match=r"the peer closed after 2 bytes of a message$"):
        frames.receive_eof()


def test_an_impossible_length_ends_the_stream_after_what_was_whole() -> None:
    frames = LayoutFrames(LAYOUT, LengthField("size"))
    found: list[bytes] = []
    with pytest.raises(LengthImpossible, match="message of 2 bytes announced, possible are 3 to 65535"):
        found.extend(frames.receive_data(MESSAGES[0] + b"\7\2\0"))
    assert found == MESSAGES[:1]
    with pytest.raises(LengthImpossible):
        list(frames.receive_data(b""))
    frames.receive_eof()


@pytest.mark.parametrize(
    ("layout", "length", "text"),
    [
        (LAYOUT, None, "a layout with a rest needs length"),
        (Layout.parse(["size f32", "data rest"]), LengthField("size"), "length 'size' is not an unsigned integer"),
        (Layout.parse(["size i16", "data rest"]), LengthField("size"), "is not an unsigned integer"),
    ],
)
def test_messages_that_cannot_be_told_apart_are_refused(layout: Layout, length: LengthField, text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        LayoutFrames(layout, length)
