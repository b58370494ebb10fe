"""The compiled encoder gives the bytes that libmseed gives, and refuses what it cannot take."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given

from rawdaq.miniseed.maker import RecordFormat, RecordMaker
from rawdaq.miniseed.packer import STEIM2, Packer
from rawdaq.native import steim2
from rawdaq.packet import Packet
from tests.makers import START_NS, STREAM
from tests.walks import LENGTHS, SEEDS, STRETCHES, Samples, walk


def by_libmseed(samples: Samples, length_bytes: int, rate_hz: float = 100.0) -> list[bytes]:
    """Return records as libmseed alone makes them, the last one perhaps not full."""
    packer = Packer(RecordFormat(length_bytes=length_bytes), STREAM)
    packer.set_run(b"i", rate_hz)
    packer.pin(samples)
    packer.begin(0, STEIM2, START_NS, 1, None)
    try:
        return packer.records(1 << 20)
    finally:
        packer.end()


def encoded(samples: Samples, length_bytes: int = 512, is_last: bool = True) -> tuple[list[bytes], list[int], bool]:
    """Return the frames of the records, how many samples each holds, and whether all could be made."""
    room = np.full((samples.size // 10 + 2, length_bytes), 0xEE, np.uint8)
    counts, fits = steim2.encode(samples, room, length_bytes, 64, is_last)
    assert (room[:, :64] == 0xEE).all()
    return [row.tobytes()[64:] for row in room[: len(counts)]], counts, fits


@given(STRETCHES, SEEDS, LENGTHS)
@example([(5000, 0)], 1, 512)
@example([(1, 5)], 1, 128)
@example([(2100, 28)], 3, 512)
def test_frames_are_those_of_libmseed(stretches: list[tuple[int, int]], seed: int, length_bytes: int) -> None:
    samples = walk(stretches, seed)
    frames, counts, fits = encoded(samples, length_bytes)
    assert fits
    assert frames == [record[64:] for record in by_libmseed(samples, length_bytes)]
    assert sum(counts) == samples.size


@pytest.mark.parametrize("bits", range(30))
@pytest.mark.parametrize("offset", [-1, 0])
def test_the_largest_and_the_smallest_step_of_each_size_are_those_of_libmseed(bits: int, offset: int) -> None:
    steps = np.tile([(1 << bits) + offset, -(1 << bits) - offset, 0, 1], 150)
    steps[0] = 0
    samples = np.cumsum(steps).astype("i4")
    frames, _, fits = encoded(samples)
    theirs = by_libmseed(samples, 512)
    assert fits == (sum(int.from_bytes(record[30:32]) for record in theirs) == samples.size)
    assert frames == [record[64:] for record in theirs]


@pytest.mark.parametrize("step", [1 << 29, -(1 << 29) - 1, (1 << 32) - 1, 1 - (1 << 32), 1 << 31])
@pytest.mark.parametrize("place", [1, 7, 300, 2000])
def test_a_step_of_more_than_30_bits_ends_the_series_before_its_record(step: int, place: int) -> None:
    samples = walk([(3000, 5)], 1) - 2000
    low, high = (-(1 << 31), -(1 << 31) + step) if step > 0 else ((1 << 31) - 1, (1 << 31) - 1 + step)
    samples[place - 1 : place + 1] = max(low, -(1 << 31)), min(high, (1 << 31) - 1)
    frames, counts, fits = encoded(samples)
    assert not fits
    assert sum(counts) < place
    assert len(frames) == len(counts)
    rest = samples[sum(counts) :]
    assert encoded(rest)[1:] == ([], False)


def stamped(**changes: Any) -> npt.NDArray[np.uint8]:
    arguments: dict[str, Any] = {
        "records": np.zeros((3, 512), np.uint8),
        "record_bytes": 512,
        "header": bytes(64),
        "sequence": 999_998,
        "timing_quality": -1,
        "starts_ns": [0, 37_000, 0],
        "counts": [1, 2, 65_535],
    }
    arguments |= changes
    steim2.stamp(*arguments.values())
    records: npt.NDArray[np.uint8] = arguments["records"]
    return records


def test_numbers_begin_again_after_the_last() -> None:
    assert [row[:6].tobytes() for row in stamped()] == [b"999998", b"999999", b"000001"]


def test_a_blockette_that_would_say_nothing_is_left_out() -> None:
    header = (
        RecordMaker(RecordFormat(flush_after_s=0))
        .add([Packet(STREAM, 37_000, 100.0, np.arange(9, dtype=np.int32), 80)], 0)[0]
        .data[:64]
    )
    first, second, _ = stamped(header=header)
    assert (first[39], bytes(first[50:52]), bytes(first[56:64])) == (1, bytes(2), bytes(8))
    assert (second[39], bytes(second[50:52]), bytes(second[56:62])) == (2, b"\0\x38", b"\x03\xe9\0\0\0\x25")


@pytest.mark.parametrize(
    "changes",
    [
        {"header": bytes(63)},
        {"header": bytes(1024)},
        {"counts": [1, 2]},
        {"starts_ns": [0]},
        {"records": np.zeros((2, 512), np.uint8)},
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one header, one start and one count"):
        stamped(**changes)


@pytest.mark.parametrize("changes", [{"starts_ns": [0, 1 << 64, 0]}, {"counts": [1, 2, 1 << 70]}])
def test_numbers_beyond_64_bits_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(OverflowError):
        stamped(**changes)


@pytest.mark.parametrize("changes", [{"sequence": 0}, {"sequence": 1_000_000}, {"timing_quality": 101}])
def test_impossible_numbers_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="numbers are 1 to 999999"):
        stamped(**changes)


@pytest.mark.parametrize("start_ns", [-(1 << 63), (1 << 63) - 1])
def test_the_ends_of_time_are_no_accident(start_ns: int) -> None:
    year = int.from_bytes(stamped(starts_ns=[start_ns] * 3)[0, 20:22].tobytes())
    assert year == (1677 if start_ns < 0 else 2262)


@pytest.mark.parametrize("place", ["starts_ns", "counts"])
def test_what_is_no_number_is_refused(place: str) -> None:
    with pytest.raises(TypeError):
        stamped(**{place: [0, "1", 0]})


@pytest.mark.parametrize(
    ("record_bytes", "header_bytes"), [(65_536, 64), (500, 64), (512, 0), (512, 100), (512, 512), (-512, 64), (64, 64)]
)
def test_impossible_lengths_are_refused(record_bytes: int, header_bytes: int) -> None:
    with pytest.raises(ValueError, match="multiples of 64"):
        steim2.encode(np.zeros(9, np.int32), bytearray(65_536), record_bytes, header_bytes, True)


def test_bytes_that_are_no_int32_are_refused() -> None:
    data = np.zeros(40, np.uint8)
    for part in (data[:39], data[1:37]):
        with pytest.raises(ValueError, match="aligned int32"):
            steim2.encode(part, bytearray(512), 512, 64, True)


def test_room_that_cannot_be_written_is_refused() -> None:
    with pytest.raises((TypeError, BufferError)):
        steim2.encode(np.zeros(9, np.int32), bytes(512), 512, 64, True)


def test_there_are_no_more_records_than_room() -> None:
    samples = walk([(5000, 9)], 1)
    counts, fits = steim2.encode(samples, bytearray(1100), 512, 64, True)
    assert (len(counts), fits) == (2, True)
    assert steim2.encode(samples, bytearray(500), 512, 64, True) == ([], True)
    assert steim2.encode(samples[:0], bytearray(512), 512, 64, True) == ([], True)
