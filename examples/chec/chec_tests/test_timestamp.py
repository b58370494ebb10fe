"""Bunches of timestamps: the documented bytes, unknown fields, missing ones, and what is truncated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq_chec.protobuf import bytes_field, fields, fixed64_field, number_field, varint, varint_at
from rawdaq_chec.timestamp import ChecTimestamp

EXAMPLE = bytes.fromhex(
    "08031009 1a24 0803 1029 1864 2007 2a0d 0880f7c4d506 108088a5a9a307 3001 3805 41ff00000000000000"
)
TIME_NS = 1_790_000_000_250_000_000


def trigger(event: int = 41, picoseconds: int = 250_000_000_000, status: int = 5, kind: int = 1) -> bytes:
    stamp = number_field(1, 1_790_000_000) + number_field(2, picoseconds)
    counters = number_field(1, 3) + number_field(2, event) + number_field(3, 100) + number_field(4, 7)
    ends = number_field(6, kind) + number_field(7, status) + fixed64_field(8, 255)
    return counters + bytes_field(5, stamp) + ends


def bunch(number: int, *triggers: bytes) -> bytes:
    return number_field(1, 3) + number_field(2, number) + b"".join(bytes_field(3, each) for each in triggers)


def test_the_documented_bunch_is_read() -> None:
    assert len(EXAMPLE) == 42
    assert bunch(9, trigger()) == EXAMPLE
    (event,) = ChecTimestamp().events(EXAMPLE)
    assert (event.type, event.time_ns, event.ps, event.counter, event.quality) == ("readout", TIME_NS, 0, 41, 100)
    assert (event.source, event.payload) == ("3", EXAMPLE[6:])
    assert event.fields == {
        "telescope": 3,
        "pps": 100,
        "clock": 7,
        "status": "track_phase",
        "pattern": 255,
        "bunch": 9,
        "arrival": None,
    }


def test_each_trigger_of_a_bunch_is_an_event_with_its_picoseconds() -> None:
    triggers = [trigger(41), trigger(42, 1_999, 2, 8), trigger(44, 0, 99, 99)]
    arrival = bytes_field(4, number_field(1, 5) + number_field(2, 6000))
    events = ChecTimestamp().events(bunch(9, *triggers) + arrival)
    assert [(each.type, each.counter, each.ps, each.quality) for each in events] == [
        ("readout", 41, 0, 100),
        ("muon", 42, 999, 40),
        ("type_99", 44, 0, 0),
    ]
    assert events[1].time_ns == 1_790_000_000_000_000_001
    assert events[0].fields["arrival"] == {"time_ns": 5_000_000_006, "ps": 0}
    assert events[2].fields["status"] == "status_99"


def test_jumps_of_the_bunch_counter_are_counted() -> None:
    made = ChecTimestamp()
    for number in (9, 10, 13, 12, 0):
        made.events(bunch(number, trigger()))
    assert made.status() == {"bunches": 5, "bunches_missed": 2, "bunches_backwards": 1}


def test_unknown_fields_are_skipped_and_missing_ones_have_their_defaults() -> None:
    unknown = number_field(15, 7) + bytes_field(16, b"x") + fixed64_field(17, 1) + bytes.fromhex("950100000000")
    (event,) = ChecTimestamp().events(unknown + bytes_field(3, unknown))
    assert (event.type, event.time_ns, event.counter, event.quality) == ("readout", None, 0, 100)
    stamp = bytes_field(5, number_field(1, 1) + number_field(3, 4) + number_field(8, 5) + unknown)
    (event,) = ChecTimestamp().events(bytes_field(3, stamp))
    assert event.fields["stamp"] == {"index": 4, "tdc_lo": 5}
    assert ChecTimestamp().events(b"") == []


@pytest.mark.parametrize("size", [size for size in range(1, 42) if size not in (2, 4)])
def test_every_truncation_is_an_error(size: int) -> None:
    with pytest.raises(RemoteProtocolError):
        ChecTimestamp().events(EXAMPLE[:size])


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("00", "a field has number 0"),
        ("0b", "field 1 has wire type 3"),
        ("0a0161", "telescope is no number"),
        ("1801", "trigger is not bytes"),
        ("1a03420161", "pattern is not 8 bytes"),
        ("08" + "ff" * 10, "a number has more than 64 bits"),
        ("08" + "ff" * 9 + "7f", "a number has more than 64 bits"),
        (bytes_field(3, bytes_field(5, number_field(1, 1 << 40))).hex(), "cannot be"),
        (bytes_field(3, bytes_field(5, number_field(2, 10**12))).hex(), "cannot be"),
    ],
)
def test_what_is_no_bunch_says_why(message: str, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        ChecTimestamp().events(bytes.fromhex(message))


@given(st.integers(0, 2**64 - 1))
def test_numbers_come_back_as_they_were(value: int) -> None:
    assert varint_at(varint(value), 0) == (value, len(varint(value)))


@given(st.binary(max_size=100))
def test_any_bytes_are_events_or_an_error_of_the_protocol(data: bytes) -> None:
    for message in (data, bytes_field(3, data), bytes_field(3, bytes_field(5, data))):
        try:
            ChecTimestamp().events(message)
            list(fields(message))
        except RemoteProtocolError:
            pass
