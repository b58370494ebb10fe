import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.protocols.seedlink import Selector, Start, StationRequest
from rawdaq.protocols.seedlink.errors import PacketWrong
from rawdaq.protocols.seedlink.v3 import (
    SEQUENCES,
    distance,
    following,
    full_sequence,
    packet_header,
    parse_sequence,
    read_sequence,
    request_lines,
)
from rawdaq.times import from_calendar

NINE_NS = from_calendar(2026, 333, 9, 0, 0)
LATER_NS = from_calendar(2026, 333, 9, 52, 41, 500_000_000)
HHZ = Selector.parse("00HHZ")

# What each request is in lines, None when version 3 cannot say it.
LINES: list[tuple[StationRequest, list[str] | None]] = [
    (StationRequest("XX_AAA"), ["STATION AAA XX", "DATA"]),
    (StationRequest("XX_AAA", (HHZ,)), ["STATION AAA XX", "SELECT 00HHZ", "DATA"]),
    (StationRequest("XX_AAA", start=0xBEEF), ["STATION AAA XX", "DATA 00BEEF"]),
    (StationRequest("XX_AAA", start=0x1000000), ["STATION AAA XX", "DATA 000000"]),
    (
        StationRequest("XX_AAA", start=0xD0, last_packet_ns=LATER_NS),
        ["STATION AAA XX", "DATA 0000D0 2026,11,29,09,52,41"],
    ),
    (StationRequest("XX_AAA", start=0xD0, is_dial_up=True), ["STATION AAA XX", "FETCH 0000D0"]),
    (StationRequest("XX_AAA", is_dial_up=True), ["STATION AAA XX", "FETCH"]),
    (StationRequest("XX_AAA", begin_ns=NINE_NS), ["STATION AAA XX", "TIME 2026,11,29,09,00,00"]),
    (
        StationRequest("XX_AAA", begin_ns=NINE_NS, end_ns=LATER_NS),
        ["STATION AAA XX", "TIME 2026,11,29,09,00,00 2026,11,29,09,52,41"],
    ),
    (StationRequest("XX_AAA", start=Start.OLDEST), ["STATION AAA XX", "TIME 1970,01,01,00,00,00"]),
    (StationRequest("XX_*"), ["STATION * XX", "DATA"]),
    (StationRequest("*"), ["STATION * *", "DATA"]),
    (StationRequest("AAA"), None),
    (StationRequest("XX_AAA", (Selector.parse("*.3"),)), None),
    (StationRequest("XX_AAA", start=1, begin_ns=NINE_NS), None),
    (StationRequest("XX_AAA", begin_ns=NINE_NS, is_dial_up=True), None),
]


@pytest.mark.parametrize(("request_", "lines"), LINES)
def test_a_request_in_the_words_of_version_3(request_: StationRequest, lines: list[str] | None) -> None:
    if lines is None:
        with pytest.raises(LocalProtocolError):
            list(request_lines(request_))
    else:
        assert list(request_lines(request_)) == lines


def test_a_header_is_six_upper_case_digits() -> None:
    assert packet_header(0x00BEEF).hex(" ") == "53 4c 30 30 42 45 45 46"
    assert packet_header(0x1_00BEEF) == packet_header(0x00BEEF)
    assert read_sequence(b"SL00beef") == 0x00BEEF


@pytest.mark.parametrize("header", [b"SL00BEE ", b"SL+0BEEF", b"SL0x0BEE", b"SLGHIJKL"])
def test_a_header_without_a_number_is_refused(header: bytes) -> None:
    with pytest.raises(PacketWrong, match="sequence number"):
        read_sequence(header)


ASKED = {"0": 0, "BEEF": 0xBEEF, "00beef": 0xBEEF, "0x2b": 0x2B, "0X2B": 0x2B, "0x1000000": 0, "FFFFFFFF": 0xFFFFFF}


@pytest.mark.parametrize("text", ASKED)
def test_clients_write_sequence_numbers_in_several_ways(text: str) -> None:
    assert parse_sequence(text) == ASKED[text]


@pytest.mark.parametrize("text", ["", "-1", "XYZ", "0x", "123456789", "1 2", "+1", "1_0"])
def test_what_is_no_sequence_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="hexadecimal"):
        parse_sequence(text)


# What was asked for, the oldest stored and the next number, and where the transfer begins.
POSITIONS = [
    (0x20, 0x10, 0x30, 0x20),
    (0x10, 0x10, 0x30, 0x10),  # the oldest itself
    (0x30, 0x10, 0x30, 0x30),  # the next to come
    (0x31, 0x10, 0x30, 0x30),  # in the future
    (0x0F, 0x10, 0x30, 0x10),  # overwritten
    (0xFFF000, 0x10, 0x30, 0x10),  # before the numbers began: overwritten
    (0xFFFFFE, 0xFFFF00, 0x1000007, 0xFFFFFE),  # across the wrap
    (0x000006, 0xFFFF00, 0x1000007, 0x1000006),
    (0x000007, 0xFFFF00, 0x1000007, 0x1000007),
    (0xFFFEFF, 0xFFFF00, 0x1000007, 0xFFFF00),
    (0x000005, 0, 0, 0),  # an empty store
    (0xABCDEF, 0x3ABCDEF, 0x4ABCDEF, 0x4ABCDEF),  # more than 24 bits are stored: the next to come
    (0xABCDEE, 0x3ABCDEF, 0x4ABCDEF, 0x4ABCDEE),
]


@pytest.mark.parametrize(("asked", "oldest", "next_", "position"), POSITIONS)
def test_24_bits_name_a_stored_number(asked: int, oldest: int, next_: int, position: int) -> None:
    assert full_sequence(asked, oldest, next_) == position


@given(st.integers(0, 2**40), st.integers(0, SEQUENCES // 2 - 1), st.data())
def test_every_stored_number_is_found_again(oldest: int, stored: int, data: st.DataObject) -> None:
    sequence = oldest + data.draw(st.integers(0, stored))
    assert full_sequence(sequence % SEQUENCES, oldest, oldest + stored) == sequence


@given(st.integers(0, SEQUENCES - 1), st.integers(-SEQUENCES // 2, SEQUENCES // 2 - 1))
def test_distances_go_the_shorter_way_round(sequence: int, far: int) -> None:
    assert distance(sequence, (sequence + far) % SEQUENCES) == far
    assert distance(sequence, following(sequence)) == 1
