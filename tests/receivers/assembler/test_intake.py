"""Whose datagram it is, and what becomes of one that is wrong."""

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.protocols.raw import RawVersion, encode_packet
from rawdaq.receivers.assembler.intake import Intake
from rawdaq.receivers.assembler.options import SlotSettings, as_slots, check_slots
from rawdaq.receivers.assembler.raw_format import RawFormat
from rawdaq.sockets.networks import Networks
from rawdaq.sockets.refusals import Refusals
from rawdaq.streams.assembly.readout_format import DatagramRefused, ReadoutFormat, Row, Section


class Words(ReadoutFormat):
    """Datagrams of ``TIME:NUMBER`` words."""

    row = Row(np.dtype("u1"), (1,))
    numbers = 2

    def sections(self, datagram: bytes) -> Sequence[Section]:
        fields = [word.split(b":") for word in datagram.split()]
        return [Section(int(time), b"x", int(number)) for time, number in fields]


def intake(slots: Any, senders: Sequence[str] = (), numbers: int = 2) -> Intake:
    words = Words()
    words.numbers = numbers
    settings = SlotSettings.model_validate(as_slots(slots))
    assert settings.mistakes() == []
    return Intake(words, settings, Networks(senders).has, Refusals(logging.getLogger("rawdaq.test")))


@pytest.mark.parametrize(
    ("slots", "host", "port", "slot"),
    [
        ({"192.0.2.1": 0, "192.0.2.1:9000": 1}, "192.0.2.1", 9000, 2),
        ({"192.0.2.1": 0, "192.0.2.1:9000": 1}, "192.0.2.1", 9001, 0),
        ({"2001:DB8::1": 3}, "2001:db8::1", 1, 6),
        ({"[2001:db8:0::1]:7": 3}, "2001:db8::1", 7, 6),
        ({"192.0.2.1": 0}, "192.0.2.2", 1, None),
        ({"192.0.2.1": 4}, "::ffff:192.0.2.1", 1, 8),
        ({"by": "octet", "first": 100, "count": 32}, "198.51.100.120", 1, 40),
        ({"by": "octet", "first": 100, "count": 32}, "198.51.100.132", 1, None),
        ({"by": "octet", "first": 100, "count": 32}, "198.51.100.99", 1, None),
        ({"by": "octet", "first": 100, "count": 32}, "2001:db8::64", 1, 0),
        ({"by": "field", "count": 32}, "198.51.100.99", 1, 0),
    ],
)
def test_a_sender_has_the_slot_of_its_address(slots: Any, host: str, port: int, slot: int | None) -> None:
    assert intake(slots).origin(host, port).slot == slot


def test_senders_that_are_not_ours_have_no_slot() -> None:
    made = intake({"by": "octet", "count": 256}, ["198.51.100.0/24"])
    assert made.origin("198.51.100.5", 1).slot == 10
    assert made.origin("192.0.2.5", 1).slot is None
    assert list(made.parts(made.origin("192.0.2.5", 1), b"1:0", 0)) == []
    assert made.refusals.table() == {"192.0.2.5": {"foreign sender": 1}}


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"5:0 6:2", "unknown slot"),
        (b"5:-1", "unknown slot"),
        (b"9223372036854775808:0", "time out of range"),
        (b"-1:0", "time out of range"),
    ],
)
def test_a_datagram_counts_as_a_whole_or_not_at_all(datagram: bytes, reason: str) -> None:
    made = intake({"192.0.2.1": 0})
    origin = made.origin("192.0.2.1", 1)
    assert list(made.parts(origin, datagram, 0)) == []
    assert made.refusals.table() == {"192.0.2.1": {reason: 1}}
    assert (origin.packets, origin.malformed) == (1, 1)
    assert [part.slot for part in made.parts(origin, b"1:0 1:1", 7)] == [0, 1]
    assert origin.delay_ns == 6


def test_a_slot_is_named_with_its_sender() -> None:
    made = intake({"192.0.2.1": 0, "192.0.2.2": 2})
    assert [made.name(slot) for slot in (1, 2, 4)] == ["slot 1 (192.0.2.1)", "slot 2", "slot 4 (192.0.2.2)"]
    list(made.parts(made.origin("192.0.2.1", 5), b"1:1", 0))
    assert made.name(1) == "slot 1 (192.0.2.1)"


def test_forged_senders_do_not_fill_the_memory() -> None:
    made = intake({"by": "field", "count": 3}, numbers=1)
    for port in range(10_001):
        made.origin("192.0.2.1", port)
    assert len(made._origins) == 1


def test_what_does_not_go_with_a_format_is_told() -> None:
    words = Words()
    assert "do not say who sends them" in check_slots(SlotSettings(by="field", count=3), words, has_addresses=True)[0]
    assert (
        "more than 4096 slots" in check_slots(SlotSettings(senders={"192.0.2.1": 4000}), words, has_addresses=True)[0]
    )
    with pytest.raises(DatagramRefused, match="TCP cannot carry them"):
        words.length(memoryview(b"1:0"))


@pytest.mark.parametrize("version", ["2.0", "1.1"])
@given(data=st.data())
def test_no_bytes_break_the_format_raw(version: Any, data: st.DataObject) -> None:
    """Whatever comes is sections or a refusal, and a connection that sends it is cut in whole messages."""
    chosen = RawFormat(channels=[0, 1], type="int16", version=version)
    packet = encode_packet(RawVersion(version), 1, 1_790_000_000_000_000_000, 100, bytes(8), 4)
    pieces = data.draw(st.lists(st.one_of(st.just(packet), st.binary(max_size=40)), max_size=4))
    datagram = b"".join(pieces)
    with contextlib.suppress(DatagramRefused):
        assert all(len(section.data) == chosen.row.size_bytes for section in chosen.sections(datagram))
    with contextlib.suppress(DatagramRefused):
        size = chosen.length(memoryview(datagram))
        assert size is None or size > 0
