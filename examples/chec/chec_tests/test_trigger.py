"""Trigger packets of all versions: the documented bytes, round trips, and everything that a packet cannot be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.events import ForeignMessage, MalformedMessage
from rawdaq_chec.trigger import SUPERPIXELS, ChecTrigger, TriggerPacket, decode, encode

HEAD = bytes.fromhex("feca 03 01 02 0403 01 0807060504030201 20 44332211 88776655 ccbbaa99 804000")
EXAMPLE = HEAD + bytes(93 - len(HEAD)) + bytes.fromhex("8010")
PACKET = TriggerPacket(
    version=3,
    message_type=1,
    errors=2,
    source=0x0304,
    sample_bytes=1,
    tack=0x0102030405060708,
    phase_bits=0x20,
    counter=0x11223344,
    pps=0x55667788,
    clock=0x99AABBCC,
    union=(0, 9),
    pattern={0: b"\x80", 9: b"\x10"},
)


def test_the_documented_packet_is_read_and_written() -> None:
    assert len(EXAMPLE) == 95
    assert decode(EXAMPLE) == PACKET
    assert encode(PACKET) == EXAMPLE
    assert (PACKET.phase, PACKET.is_busy) == (2, True)


def test_it_is_an_event() -> None:
    made = ChecTrigger()
    (event,) = made.events(EXAMPLE)
    assert (event.type, event.time_ns, event.device_ns, event.counter) == ("busy", None, PACKET.tack, PACKET.counter)
    assert event.fields == {
        "version": 3,
        "message_type": 1,
        "errors": 2,
        "source": 0x0304,
        "phase": 2,
        "pps": 0x55667788,
        "clock": 0x99AABBCC,
        "samples": 8,
        "union": [0, 9],
        "pattern": {"0": "80", "9": "10"},
    }
    assert made.status() == {"odd_phases": 0}


@pytest.mark.parametrize(("version", "sample_bytes", "size"), [(1, 2, 1115), (2, 1, 605), (2, 16, 8285), (3, 1, 95)])
def test_packets_have_the_documented_lengths(version: int, sample_bytes: int, size: int) -> None:
    pattern = {0: b"\1" * sample_bytes, 9: b"\2" * sample_bytes}
    made = encode(TriggerPacket(version, 0, 1, 1, 2, 3, 4, 5, (0, 9), pattern, sample_bytes=sample_bytes))
    assert len(made) == size
    assert decode(made).pattern == pattern
    for wrong in (made[:-1], made + b"\0"):
        with pytest.raises(MalformedMessage):
            decode(wrong)


@st.composite
def packets(draw: st.DrawFn) -> TriggerPacket:
    version = draw(st.sampled_from([1, 2, 3]))
    size = 2 if version == 1 else draw(st.integers(1, 16))
    union = draw(
        st.sampled_from([(), (draw(st.integers(0, SUPERPIXELS - 1)),), tuple(range(SUPERPIXELS))])
        | st.sets(st.integers(0, SUPERPIXELS - 1), max_size=20).map(lambda found: tuple(sorted(found)))
    )
    counter, pps, clock = (draw(st.integers(0, 2**32 - 1)) for _ in range(3))
    has_bits = st.binary(min_size=size, max_size=size).filter(any)
    pattern = {number: draw(has_bits) for number in union[:4]}
    if version == 3:  # all of the union are there
        pattern |= {number: bytes(size) for number in union[4:]}
    return TriggerPacket(
        version,
        draw(st.integers(0, 1 if version == 1 else 255)),
        draw(st.integers(0, 2**64 - 1)),
        1 << draw(st.integers(0, 7)),
        counter,
        pps,
        clock,
        draw(st.integers(0, 65535)),
        union,
        pattern,
        0 if version == 1 else draw(st.integers(0, 255)),
        size,
    )


@given(packets())
def test_every_packet_comes_back_as_it_was(packet: TriggerPacket) -> None:
    assert decode(encode(packet)) == packet
    (event,) = ChecTrigger().events(encode(packet))
    assert event.fields["union"] == list(packet.union)


@pytest.mark.parametrize("phase", range(8))
def test_each_phase_is_another_one(phase: int) -> None:
    changed = bytearray(EXAMPLE)
    changed[16] = 1 << (7 - phase)
    assert decode(bytes(changed)).phase == phase


@pytest.mark.parametrize("bits", [0, 3, 255])
def test_a_phase_that_is_none_is_counted_and_the_event_published(bits: int) -> None:
    made, changed = ChecTrigger(), bytearray(EXAMPLE)
    changed[16] = bits
    (event,) = made.events(bytes(changed))
    assert event.fields["phase"] is None
    assert made.status() == {"odd_phases": 1}


@pytest.mark.parametrize("kind", range(256))
def test_every_type_is_read_or_refused(kind: int) -> None:
    changed = bytearray(EXAMPLE)
    changed[2] = kind
    if kind == 3:
        assert decode(bytes(changed)) == PACKET
        return
    with pytest.raises(MalformedMessage):
        decode(bytes(changed))


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (b"", MalformedMessage, "packet of 0 bytes"),
        (b"\xfe\xcb\3", ForeignMessage, "magic is 0xcbfe, not 0xcafe"),
        (EXAMPLE[:92], MalformedMessage, "packet of 92 bytes, at least 93 are needed"),
        (b"\xfe\xca\0\x15" + bytes(1111), MalformedMessage, "byte 3 is 21, version 1 has 22"),
        (b"\xfe\xca\1\x16" + bytes(1110), MalformedMessage, "packet of 1114 bytes, version 1 has 1115"),
    ],
)
def test_what_is_no_packet_says_why(data: bytes, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        decode(data)


@given(st.binary(max_size=1200), st.integers(0, 4))
def test_any_bytes_are_a_packet_or_an_error_of_the_protocol(data: bytes, kind: int) -> None:
    for message in (data, b"\xfe\xca" + bytes([kind]) + data):
        try:
            found: Any = decode(message)
        except RemoteProtocolError:
            continue
        assert encode(found) == message
