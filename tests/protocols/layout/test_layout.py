"""Declared layouts: every type both ways, what no message and no value can be, and what no declaration can say."""

import math
import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue, LocalProtocolError, RemoteProtocolError
from rawdaq.protocols.layout import ByteOrder, ConstantDiffers, FieldUnknown, FieldValue, Layout
from rawdaq.protocols.layout.errors import (
    ConstantGiven,
    FieldMissing,
    LengthImpossible,
    MessageCut,
    ValueUnfit,
    WrongSize,
)

#: Type, value, and how it looks in big-endian; little-endian is that backwards for numbers.
CASES: list[tuple[str, FieldValue, str]] = [
    ("u8", 255, "ff"),
    ("u16", 0x0102, "0102"),
    ("u32", 0x01020304, "01020304"),
    ("u64", 0x0102030405060708, "0102030405060708"),
    ("i8", -2, "fe"),
    ("i16", -2, "fffe"),
    ("i32", -(1 << 31), "80000000"),
    ("i64", -1, "ffffffffffffffff"),
    ("f32", 0.5, "3f000000"),
    ("f64", -0.25, "bfd0000000000000"),
]
SAME_IN_BOTH: list[tuple[str, FieldValue, str]] = [
    ("b8", [0, 7], "81"),
    ("b16", [], "0000"),
    ("b16", [1, 8, 15], "4081"),
    ("b512", list(range(512)), "ff" * 64),
    ("x3", "0a0b0c", "0a0b0c"),
    ("rest", "", ""),
    ("rest", "ff00", "ff00"),
]


@pytest.mark.parametrize(("kind", "value", "wire"), CASES)
def test_numbers_are_read_and_written_in_both_byte_orders(kind: str, value: FieldValue, wire: str) -> None:
    big, little = Layout.parse([f"a {kind}"], ByteOrder.BIG), Layout.parse([f"a {kind}"], ByteOrder.LITTLE)
    data = bytes.fromhex(wire)
    assert (big.encode({"a": value}), little.encode({"a": value})) == (data, data[::-1])
    assert big.decode(data) == little.decode(data[::-1]) == {"a": value}


@pytest.mark.parametrize(("kind", "value", "wire"), SAME_IN_BOTH)
@pytest.mark.parametrize("byte_order", ByteOrder)
def test_bits_and_bytes_have_no_byte_order(kind: str, value: FieldValue, wire: str, byte_order: ByteOrder) -> None:
    layout, data = Layout.parse([f"a {kind}"], byte_order), bytes.fromhex(wire)
    assert layout.encode({"a": value}) == data
    assert layout.decode(data) == layout.decode(memoryview(data)) == {"a": value}


def test_neighbouring_bits_share_bytes() -> None:
    layout = Layout.parse(["busy b1", "phase b10", "_ b5", "end u8"])
    values: dict[str, FieldValue] = {"busy": [0], "phase": [0, 9], "_": [4], "end": 7}
    assert layout.encode(values).hex() == "c02107"
    assert layout.decode(bytes.fromhex("c02107")) == values
    assert [layout.offset_bytes(name) for name in layout.names] == [0, 0, 1, 2]


def test_only_the_values_asked_for_are_made_in_the_order_of_the_layout() -> None:
    layout = Layout.parse(["a u8", "b u8", "c x1", "d rest"])
    assert list(layout.decoder(["c", "a"])(b"\1\2\3\4").items()) == [("a", 1), ("c", "03")]
    assert layout.decoder(["d"])(b"\1\2\3\4\5") == {"d": "0405"}
    with pytest.raises(FieldUnknown, match="the layout has no field 'e', only a, b, c, d"):
        layout.decoder(["e"])


@pytest.mark.parametrize(
    ("declared", "right", "wrong", "text"),
    [
        ("a u16 = 0xCAFE", "feca", "fecb", "a is 0xcbfe, not 0xcafe"),
        ("a u8 = 2", "02", "03", "a is 3, not 2"),
        ("a i8=-1", "ff", "01", "a is 1, not -1"),
        ("a f32 = 0.1", "cdcccc3d", "00000000", "a is 0.0, not 0.10000000149011612"),
        ("a x4 = DEADbeef", "deadbeef", "deadbee0", "a is 'deadbee0', not 'deadbeef'"),
        ("a x2 = 0x4142", "4142", "0000", "a is '0000', not '4142'"),
    ],
)
def test_a_constant_must_match_and_need_not_be_given(declared: str, right: str, wrong: str, text: str) -> None:
    layout = Layout.parse([declared])
    value = layout.decode(bytes.fromhex(right))["a"]
    assert layout.encode({}).hex() == layout.encode({"a": value}).hex() == right
    with pytest.raises(ConstantDiffers, match=text):
        layout.decode(bytes.fromhex(wrong))


def test_a_message_has_exactly_its_size_unless_there_is_a_rest() -> None:
    layout = Layout.parse(["a u16", "b u8"])
    for size in (0, 2, 4):
        with pytest.raises(WrongSize, match=f"message of {size} bytes, its layout has 3"):
            layout.decode(bytes(size))
    with pytest.raises(WrongSize, match="its layout has at least 3"):
        Layout.parse(["a u16", "b u8", "c rest"]).decode(b"ab")


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        ({}, FieldMissing, "n has no value"),
        ({"n": 1, "bits": [0], "data": "00", "other": 1}, FieldUnknown, "no field 'other', only magic, n, bits, data"),
        ({"n": 1, "bits": [], "data": "00", "magic": 8}, ConstantGiven, "magic is always 7, not 8"),
        ({"n": 256, "bits": [], "data": "00"}, ValueUnfit, "0x100 is no value for n of type u8"),
        ({"n": -1, "bits": [], "data": "00"}, ValueUnfit, "-1 is no value for n of type u8"),
        ({"n": 1.5, "bits": [], "data": "00"}, ValueUnfit, "1.5 is no value for n of type u8"),
        ({"n": 1, "bits": [8], "data": "00"}, ValueUnfit, r"\[8\] is no value for bits of type b8"),
        ({"n": 1, "bits": 3, "data": "00"}, ValueUnfit, "3 is no value for bits of type b8"),
        ({"n": 1, "bits": [], "data": "0"}, ValueUnfit, "'0' is no value for data of type x1"),
        ({"n": 1, "bits": [], "data": "0011"}, ValueUnfit, "'0011' is no value for data of type x1"),
        ({"n": 1, "bits": [], "data": 5}, ValueUnfit, "5 is no value for data of type x1"),
        ({"n": 1, "bits": [], "data": "g" * 80}, ValueUnfit, r"'g{73}… is no value"),
    ],
)
def test_values_that_make_no_message_are_refused(
    values: dict[str, FieldValue], error: type[LocalProtocolError], text: str
) -> None:
    with pytest.raises(error, match=text):
        Layout.parse(["magic u8 = 7", "n u8", "bits b8", "data x1"]).encode(values)


def test_a_float_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueUnfit):
        Layout.parse(["a f32"]).encode({"a": 1e300})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([], "a layout has 1 to 1000 fields, not 0"),
        ([f"a{index} u8" for index in range(1001)], "not 1001"),
        (["a"], "field 'a' is not NAME TYPE or NAME TYPE = VALUE"),
        (["1a u8"], "is not NAME TYPE"),
        (["a u8 = 1 2"], "is not NAME TYPE"),
        (["a u24"], "field 'a' has type 'u24'; there are u8 u16 .* and rest"),
        (["a b"], "has type 'b'; there are"),
        (["a float"], "has type 'float'; there are"),
        (["a b0"], "has type 'b0'; b1 to b524280 are possible"),
        (["a x65536"], "has type 'x65536'; x1 to x65535 are possible"),
        ([f"a x{10**20}"], "x1 to x65535 are possible"),
        (["a u8 = 256"], "field 'a' of type u8 can never be 256"),
        (["a u8 = two"], "can never be two"),
        (["a f32 = 1e300"], "can never be 1e300"),
        (["a f64 = nan"], "can never be nan"),
        (["a f64 = x"], "can never be x"),
        (["a x2 = 00"], "field 'a' of type x2 can never be 00"),
        (["a x2 = hello"], "can never be hello"),
        (["a b8 = 1"], "field 'a' of type b8 can have no constant"),
        (["a rest = 00"], "field 'a' of type rest can have no constant"),
        (["a u8", "a u16"], "field 'a' is there twice"),
        (["a rest", "b u8"], "field 'a' is the rest, so nothing can follow it"),
        (["a b3", "b b4", "c u8"], "bits a, b end 7 bits after the begin of a byte; add a field b1"),
    ],
)
def test_a_declaration_that_makes_no_layout_says_why(fields: list[str], text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        Layout.parse(fields)


@pytest.mark.parametrize(
    "error",
    [
        WrongSize(1, 2, True),
        ConstantDiffers("a", 1, 2),
        LengthImpossible(1, 2, 3),
        MessageCut(1, None),
        FieldMissing("a"),
        FieldUnknown("a", ("b",)),
        ConstantGiven("a", 1, 2),
        ValueUnfit("a", "u8", 256),
    ],
)
def test_errors_survive_pickling(error: RemoteProtocolError | LocalProtocolError) -> None:
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_nan_is_read_as_one() -> None:
    value = Layout.parse(["a f64"]).decode(struct.pack("<d", math.nan))["a"]
    assert isinstance(value, float)
    assert math.isnan(value)


FIELDS = st.lists(st.sampled_from(["u8", "u64", "i16", "f64", "b8", "b24", "x5"]), min_size=1, max_size=8).map(
    lambda kinds: [f"f{index} {kind}" for index, kind in enumerate(kinds)]
)


@given(FIELDS, st.binary(min_size=80, max_size=80), st.sampled_from(ByteOrder))
def test_what_was_decoded_is_encoded_to_the_same_bytes(fields: list[str], data: bytes, byte_order: ByteOrder) -> None:
    layout = Layout.parse([*fields, "end rest"], byte_order)
    values = layout.decode(data)
    if all(value == value for value in values.values()):  # the bits of a NaN are not its value
        assert layout.encode(values) == data
