"""Events of declared layouts: the layouts of a trigger board, counters, times, and declarations that do not fit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue, RemoteProtocolError
from rawdaq.protocols.events import Event, ForeignMessage
from rawdaq.protocols.events.layouts import LayoutFormat
from rawdaq.protocols.events.times import Origin, Unit
from rawdaq.protocols.layout import Layout, LengthField
from rawdaq.protocols.layout.errors import LengthImpossible, WrongSize


def board(version: int, length: str = "length8") -> Layout:
    """Return the layout of a trigger board's packets of *version* 2 or 3."""
    fields = (
        f"magic u16 = 0xCAFE, version u8 = {version}, kind u8, errors u8, source u16, {length} u8, tack u64, phase u8,"
        " count u32, pps u32, clock u32, union b512, pattern rest"
    )
    return Layout.parse(fields.split(","))


VALUES: dict[str, Any] = {
    "kind": 1,
    "errors": 2,
    "source": 0x0304,
    "length8": 1,
    "tack": 0x0102030405060708,
    "phase": 0x20,
    "count": 0x11223344,
    "pps": 0x55667788,
    "clock": 0x99AABBCC,
    "union": [0, 9],
    "pattern": "8010",
}
EXAMPLE = bytes.fromhex("feca 03 01 02 0403 01 0807060504030201 20 44332211 88776655 ccbbaa99 804000") + bytes(61)
TACK: dict[str, Any] = {"time": [("tack", Unit.NANOSECONDS)], "origin": Origin.DEVICE}


def test_a_packet_of_a_trigger_board_is_an_event() -> None:
    message = EXAMPLE + bytes.fromhex("8010")
    assert board(3).encode(VALUES) == message
    assert len(message) == 95
    (event,) = LayoutFormat(board(3), type="trigger", counter="count", **TACK).events(message)
    constants = {"magic": 0xCAFE, "version": 3}
    fields = constants | {name: value for name, value in VALUES.items() if name != "pattern"}
    assert event == Event("trigger", fields, None, 0, 0x0102030405060708, 0x11223344)


def test_only_the_published_fields_are_in_an_event() -> None:
    chosen = ["union", "source", "kind", "errors"]
    made = LayoutFormat(board(3), counter="count", publish=chosen, source="source", **TACK)
    (event,) = made.events(EXAMPLE)
    assert list(event.fields.items()) == [("kind", 1), ("errors", 2), ("source", 0x0304), ("union", [0, 9])]
    assert (event.counter, event.source) == (0x11223344, "772")
    assert LayoutFormat(board(3), publish=[]).events(EXAMPLE)[0].fields == {}
    assert LayoutFormat(board(3), publish=["pattern"]).events(EXAMPLE + b"\x80")[0].fields == {"pattern": "80"}


def test_the_time_may_be_of_several_fields() -> None:
    made = LayoutFormat(
        Layout.parse(["s u32", "ns f64"]), time=[("s", Unit.SECONDS), ("ns", Unit.NANOSECONDS)], origin=Origin.UTC
    )
    (event,) = made.events(made.layout.encode({"s": 1_790_000_000, "ns": 250.0}))
    assert (event.time_ns, event.ps, event.device_ns) == (1_790_000_000_000_000_250, 0, None)


def test_another_version_is_foreign_and_a_short_one_malformed() -> None:
    made = LayoutFormat(board(2))
    with pytest.raises(ForeignMessage, match="version is 3, not 2"):
        made.events(EXAMPLE)
    with pytest.raises(WrongSize):
        made.events(EXAMPLE[:-1])


def test_the_counter_has_the_bits_of_its_field() -> None:
    assert LayoutFormat(board(2), counter="count").counter_bits == 32
    assert LayoutFormat(board(2)).counter_bits == 64


def test_messages_are_found_in_a_stream_by_their_length() -> None:
    made = LayoutFormat(board(2), length=LengthField("length8", 512, 93))
    packets = [board(2).encode(VALUES | {"length8": each, "pattern": "00" * 512 * each}) for each in (1, 0, 16)]
    assert [len(each) for each in packets] == [605, 93, 8285]
    assert list(made.frames().receive_data(b"".join(packets))) == packets
    impossible = LayoutFormat(Layout.parse(["n u64"]), length=LengthField("n")).frames()
    with pytest.raises(LengthImpossible):
        list(impossible.receive_data(b"\xff" * 8))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"counter": "phases"}, "the layout has no field 'phases'"),
        ({"source": "from"}, "the layout has no field 'from'"),
        ({"counter": "union"}, "counter 'union' is of type b512, not an unsigned integer"),
        ({"counter": "late"}, "counter 'late' is of type i8, not an unsigned integer"),
        ({"publish": ["kind", "phases"]}, "publish: the layout has no field 'phases'"),
        ({"time": [("when", Unit.SECONDS)]}, "the layout has no field 'when'"),
        ({"time": [("union", Unit.SECONDS)]}, "time 'union' is of type b512, not a number"),
        ({"time": [("count", Unit.ISO)]}, "time 'count' is a number; its unit is s, ms, us, ns or ps"),
        ({"length": LengthField("union")}, "length 'union' is not an unsigned integer"),
        ({"length": LengthField("size")}, "the layout has no field 'size'"),
        ({"publish": ["mask"]}, "name those that you need with publish, without 'mask'"),
    ],
)
def test_what_does_not_fit_the_layout_is_refused(options: dict[str, Any], text: str) -> None:
    layout = Layout.parse(["count u8", "late i8", "kind u8", "union b512", "mask b32768", "all rest"])
    options.setdefault("publish", ["kind"])
    with pytest.raises(InvalidValue, match=text):
        LayoutFormat(layout, **options)


@given(st.integers(2, 3), st.binary(max_size=120))
def test_any_bytes_are_an_event_or_an_error_of_the_protocol(version: int, data: bytes) -> None:
    made = LayoutFormat(board(version), counter="count", **TACK)
    for message in (data, bytes.fromhex("feca") + bytes([version]) + data):
        try:
            (event,) = made.events(message)
        except RemoteProtocolError:
            continue
        assert made.layout.encode(made.layout.decode(message)) == message
        assert event.device_ns is not None
