"""IDA's compression: worked examples, a slow twin in plain Python, what is damaged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.protocols.isi.ida import compress, decompress
from tests.protocols.isi_wire import SAMPLES

LARGEST = 2**31 - 1
INT32 = st.integers(-(2**31), LARGEST)
SMALL = st.integers(-300, 300)

#: Samples, and what the original compressor makes of them.
EXAMPLES: list[tuple[list[int], str]] = [
    (SAMPLES, "c8 01 02 05 7e 81 01 95 11 90 aa 0c 00"),
    ([100], "c8 01"),
    ([0], "00"),
    ([63], "7e"),
    ([64], "80 01"),
    ([8191], "fe 7f"),
    ([8192], "80 80 01"),
    ([1048575], "fe ff 7f"),
    ([1048576], "80 80 80 01"),
    ([2**27 - 1], "fe ff ff 7f"),
    ([2**27], "80 80 80 80 01"),
    ([LARGEST], "fe ff ff ff 0f"),
    ([-1], "03"),
    ([-63], "7f"),
    ([-64], "81 01"),
    ([-LARGEST, LARGEST], "ff ff ff ff 0f 05"),
    ([LARGEST, -LARGEST], "fe ff ff ff 0f 04"),
    ([], ""),
]


def wrapped(value: int) -> int:
    """Return *value* as 32 bits hold it."""
    return (value + 2**31) % 2**32 - 2**31


def slow_compress(samples: list[int]) -> bytes | None:
    """Compress as the rule is written, a byte at a time."""
    out = bytearray()
    last = 0
    for sample in samples:
        difference = wrapped(sample - last)
        last = sample
        size = abs(difference)
        if size == 2**31:
            return None
        out.append((difference < 0) | (size & 63) << 1)
        size >>= 6
        while size:
            out[-1] |= 0x80
            out.append(size & 127)
            size >>= 7
    return bytes(out)


def slow_decompress(data: bytes, count: int) -> list[int]:
    """Expand as the rule is written, a byte at a time."""
    samples: list[int] = []
    at = value = 0
    for _ in range(count):
        size, shift = data[at] >> 1 & 63, 6
        is_negative, has_more = data[at] & 1, data[at] & 0x80
        at += 1
        while has_more:
            size |= (data[at] & 127) << shift
            has_more = data[at] & 0x80
            shift += 7
            at += 1
        value = wrapped(value - size if is_negative else value + size)
        samples.append(value)
    assert at == len(data)
    return samples


@pytest.mark.parametrize(("samples", "text"), EXAMPLES)
def test_a_worked_example_is_the_same_both_ways(samples: list[int], text: str) -> None:
    data = bytes.fromhex(text)
    assert compress(np.array(samples, np.int32)) == data == slow_compress(samples)
    expanded = decompress(data, len(samples))
    assert expanded.dtype == np.int32
    assert expanded.tolist() == samples
    assert decompress(memoryview(data), len(samples)).tolist() == slow_decompress(data, len(samples))


@pytest.mark.parametrize("samples", [[-(2**31)], [0, -(2**31)], [2**30, -(2**30)], [5, -1, LARGEST, 5]])
def test_a_difference_of_2_to_31_has_no_code(samples: list[int]) -> None:
    assert compress(np.array(samples, np.int32)) is None
    assert slow_compress(samples) is None


@given(st.lists(INT32 | SMALL, max_size=60))
def test_it_is_what_the_slow_way_makes_even_where_differences_wrap(samples: list[int]) -> None:
    data = slow_compress(samples)
    assert compress(np.array(samples, np.int32)) == data
    assert compress(np.array(samples, ">i4")) == data
    if data is not None:
        assert decompress(data, len(samples)).tolist() == samples == slow_decompress(data, len(samples))


@given(st.lists(st.sampled_from([-LARGEST, LARGEST, 0, 1, -1, 2**30, -(2**30) - 1]), min_size=1, max_size=200))
def test_large_steps_wrap_as_32_bits_do(samples: list[int]) -> None:
    data = slow_compress(samples)
    assert compress(np.array(samples, np.int32)) == data
    if data is not None:
        assert decompress(data, len(samples)).tolist() == samples


def test_many_samples_in_a_row_are_added_without_an_error() -> None:
    samples = np.cumsum(np.full(8000, LARGEST - 5), dtype=np.int64).astype(np.int32)
    data = compress(samples)
    assert data is not None
    assert decompress(data, 8000).tolist() == samples.tolist()


@pytest.mark.parametrize(
    ("text", "count", "reason"),
    [
        ("00 00", 3, "2 samples where 3 are announced"),
        ("00 00", 1, "2 samples where 1 are announced"),
        ("00", 2**32 - 1, "1 samples where 4294967295 are announced"),
        ("", 1, "0 samples where 1"),
        ("00", 0, "1 samples where 0"),
        ("80", 0, "the last sample is cut"),
        ("00 80", 1, "the last sample is cut"),
        ("80 80 80 80 80 00", 1, "a sample of 6 bytes; the longest has 5"),
        ("00 80 80 80 80 80 80 00 00", 3, "a sample of 7 bytes"),
        ("80 80 80 80 10", 1, "a difference of more than 31 bits"),
        ("ff ff ff ff 7f", 1, "a difference of more than 31 bits"),
    ],
)
def test_what_is_damaged_is_an_error(text: str, count: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decompress(bytes.fromhex(text), count)


@given(st.binary(max_size=40), st.integers(0, 40))
def test_whatever_comes_is_samples_or_an_error(data: bytes, count: int) -> None:
    try:
        samples = decompress(data, count)
    except ValueError:
        return
    assert samples.tolist() == slow_decompress(data, count)
