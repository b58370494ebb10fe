import struct

import pytest

from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.protocols.seedlink import Selector, Start, StationRequest
from rawdaq.protocols.seedlink.errors import PacketWrong, PayloadTooLarge
from rawdaq.protocols.seedlink.v4 import (
    HEADER,
    MAX_INFO_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_SEQUENCE,
    PacketHeader,
    packet_header,
    parse_sequence,
    read_header,
    request_lines,
)
from rawdaq.times import from_calendar

NINE_NS = from_calendar(2026, 333, 9, 0, 0)
LATER_NS = from_calendar(2026, 333, 9, 52, 41, 500_000_000)
NINE, LATER = "2026-11-29T09:00:00.000000Z", "2026-11-29T09:52:41.500000Z"

LINES: list[tuple[StationRequest, list[str]]] = [
    (StationRequest("XX_AAA"), ["STATION XX_AAA", "DATA"]),
    (
        StationRequest("XX_*", (Selector.parse("HHZ"), Selector.parse("!*_H_H_N"))),
        ["STATION XX_*", "SELECT *_H_H_Z", "SELECT !*_H_H_N", "DATA"],
    ),
    (StationRequest("*", start=2**40), ["STATION *", "DATA 1099511627776"]),
    (StationRequest("*", start=Start.OLDEST), ["STATION *", "DATA ALL"]),
    (StationRequest("*", begin_ns=NINE_NS), ["STATION *", f"DATA ALL {NINE}"]),
    (StationRequest("*", start=28, begin_ns=NINE_NS), ["STATION *", f"DATA 28 {NINE}"]),
    (StationRequest("*", begin_ns=NINE_NS, end_ns=LATER_NS), ["STATION *", f"DATA ALL {NINE} {LATER}"]),
    (StationRequest("*", end_ns=LATER_NS), ["STATION *", f"DATA ALL 1970-01-01T00:00:00.000000Z {LATER}"]),
    (StationRequest("*", start=28, last_packet_ns=NINE_NS), ["STATION *", "DATA 28"]),
]


@pytest.mark.parametrize(("request_", "lines"), LINES)
def test_a_request_in_the_words_of_version_4(request_: StationRequest, lines: list[str]) -> None:
    assert list(request_lines(request_)) == lines


def test_a_header_is_as_the_specification_has_it() -> None:
    wire = bytes.fromhex("53 45 32 44 00 02 00 00 e8 03 00 00 00 00 00 00 06 58 58 5f 41 42 43".replace(" ", ""))
    assert HEADER.size == 17
    assert packet_header(1000, "XX_ABC", "2", "D", 512) == wire
    assert read_header(b"x" + wire, 1) == PacketHeader("2", "D", 512, 1000, 6)


BAD_CALLS = {
    "sequence number -1": (-1, "XX_A", "2", "D", 0),
    "sequence number": (MAX_SEQUENCE + 1, "XX_A", "2", "D", 0),
    "at most 21": (1, "X" * 22, "2", "D", 0),
    "is not ASCII": (1, "\xc4", "2", "D", 0),
    "format '22'": (1, "XX_A", "22", "D", 0),
    "format '2' 'd'": (1, "XX_A", "2", "d", 0),
    "limit is 10485760": (1, "XX_A", "2", "D", MAX_PAYLOAD_BYTES + 1),
    "limit is 33554432": (1, "", "J", "I", MAX_INFO_BYTES + 1),
}


@pytest.mark.parametrize("words", BAD_CALLS)
def test_what_no_header_can_say_is_refused(words: str) -> None:
    with pytest.raises(LocalProtocolError, match=words):
        packet_header(*BAD_CALLS[words])


BAD_HEADERS = [
    (struct.pack("<2sccIQB", b"SX", b"2", b"D", 0, 0, 0), PacketWrong, "signature"),
    (struct.pack("<2sccIQB", b"SE", b" ", b"D", 0, 0, 0), PacketWrong, "format"),
    (struct.pack("<2sccIQB", b"SE", b"2", b"d", 0, 0, 0), PacketWrong, "format"),
    (struct.pack("<2sccIQB", b"SE", b"2", b"D", 0, 2**64 - 1, 0), PacketWrong, "sequence number"),
    (struct.pack("<2sccIQB", b"SE", b"2", b"D", MAX_PAYLOAD_BYTES + 1, 0, 0), PayloadTooLarge, "limit is 10485760"),
    (struct.pack("<2sccIQB", b"SE", b"J", b"I", MAX_INFO_BYTES + 1, 0, 0), PayloadTooLarge, "limit is 33554432"),
]


@pytest.mark.parametrize(("wire", "error", "words"), BAD_HEADERS)
def test_a_header_with_what_cannot_be_is_refused(wire: bytes, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read_header(wire, 0)


def test_sequence_numbers_are_decimal() -> None:
    assert parse_sequence("18446744073709551615") == 2**64 - 1
    for text in ("", "1A", "-1", "0x1", "18446744073709551616", "1_0"):
        with pytest.raises(InvalidValue, match="decimal number of 64 bits"):
            parse_sequence(text)
