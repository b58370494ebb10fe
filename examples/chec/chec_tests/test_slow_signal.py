"""Slow signals: the documented codes, several sub-readouts, and what no datagram is."""

import struct
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.streams.assembly.readout_format import DatagramRefused, Section
from rawdaq_chec.slow_signal import CHANNELS, SUB_READOUT_BYTES, SlowSignal

BEGIN = bytes.fromhex("000000003b9aca00 8001 8002")


def encode(sections: Sequence[tuple[int, Sequence[int]]]) -> bytes:
    """Return a datagram of times and the converter's codes of 64 channels each."""
    return b"".join(struct.pack(">Q32HQ32H", tack, *codes[:32], tack, *codes[32:]) for tack, codes in sections)


def millivolts(data: bytes) -> list[float]:
    made = SlowSignal()
    values: list[float] = made.row.scaled(np.frombuffer(data, made.row.dtype)).tolist()
    return values


def test_the_documented_beginning_is_read() -> None:
    codes = [0x8001, 0x8002, *([0x8000] * 62)]
    datagram = encode([(1_000_000_000, codes)])
    assert datagram.startswith(BEGIN)
    assert len(datagram) == SUB_READOUT_BYTES
    (section,) = SlowSignal().sections(datagram)
    assert section.time_ns == 1_000_000_000
    assert millivolts(section.data) == pytest.approx([0.0763, 0.1526, *([0.0] * 62)])


@pytest.mark.parametrize(
    ("code", "mv"), [(0x8000, 0), (0x8001, 0.0763), (0xFFFF, 2500.1221), (0, 2500.1984), (0x7FFF, 5000.3205)]
)
def test_codes_count_from_the_middle_and_around_the_end(code: int, mv: float) -> None:
    (section,) = SlowSignal().sections(encode([(0, [code] * CHANNELS)]))
    assert millivolts(section.data) == pytest.approx([mv] * CHANNELS)


def test_both_halves_are_in_order_and_each_sub_readout_is_one() -> None:
    rows = [[0x8000 + 100 * number + channel for channel in range(CHANNELS)] for number in range(10)]
    found = SlowSignal().sections(encode([(number * 10**8, row) for number, row in enumerate(rows)]))
    assert [section.time_ns for section in found] == [number * 10**8 for number in range(10)]
    for number, section in enumerate(found):
        assert millivolts(section.data) == pytest.approx([(100 * number + each) * 0.0763 for each in range(CHANNELS)])


def test_what_a_simulator_writes_is_what_is_read() -> None:
    made = SlowSignal()
    datagram = encode([(number, [number + each for each in range(CHANNELS)]) for number in range(3)])
    assert made.datagram(made.sections(datagram)) == datagram


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ([], "0 sub-readouts"),
        ([Section(0, bytes(128))] * 456, "456 sub-readouts"),
        ([Section(-1, bytes(128))], "at -1 ns"),
        ([Section(0, bytes(127))], "127 bytes"),
    ],
)
def test_what_cannot_be_written_is_an_error(sections: list[Section], reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        SlowSignal().datagram(sections)


@given(st.binary(max_size=1500))
def test_any_bytes_are_sections_or_refused(data: bytes) -> None:
    try:
        found = SlowSignal().sections(data)
    except DatagramRefused as refused:
        assert refused.reason == "wrong length"  # noqa: PT017 - it need not be refused
    else:
        assert len(found) * SUB_READOUT_BYTES == len(data) > 0


@pytest.mark.parametrize(("data", "reason"), [(b"", "wrong length"), (bytes(143), "wrong length")])
def test_what_is_no_datagram_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DatagramRefused) as caught:
        SlowSignal().sections(data)
    assert caught.value.reason.startswith(reason)
