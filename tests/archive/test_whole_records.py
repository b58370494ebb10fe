"""Where the records of a file begin and end, whatever stands around them."""

import os
import random
from pathlib import Path

import numpy as np
import pytest

from rawdaq.archive.whole_records import whole_records
from rawdaq.miniseed.maker import RecordFormat
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from tests.archive.made_records import joined, records
from tests.record_makers import RecordMaker


def extent_of(path: Path, content: bytes) -> tuple[int, int]:
    path.write_bytes(content)
    with path.open("rb") as file:
        return whole_records(file.fileno(), len(content))


def end_of(path: Path, content: bytes) -> int:
    begin, end = extent_of(path, content)
    assert begin == 0
    return end


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("cut", [0, 1, 39, 63, 100, 127])
def test_the_end_of_the_last_whole_record_is_found(tmp_path: Path, version: int, cut: int) -> None:
    made = records(version, 20)
    whole = joined(made[:-1]) if cut else joined(made)
    assert end_of(tmp_path / "day", joined(made)[: len(joined(made)) - cut]) == len(whole)


@pytest.mark.parametrize("version", [2, 3])
def test_zeros_that_a_crash_left_are_no_record(tmp_path: Path, version: int) -> None:
    whole = joined(records(version, 5))
    assert end_of(tmp_path / "day", whole + bytes(1024)) == len(whole)


def test_records_of_different_lengths_are_walked(tmp_path: Path) -> None:
    mixed = joined(records(2, 3)) + joined(records(2, 2, 4096)) + joined(records(2, 1, 128))
    assert end_of(tmp_path / "day", mixed) == len(mixed)
    assert end_of(tmp_path / "day", mixed + b"torn") == len(mixed)


@pytest.mark.parametrize("version", [2, 3])
def test_a_long_file_is_not_read_whole(tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = joined(records(version, 90)) * 100
    read: list[int] = []
    pread = os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        read.append(size)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    assert end_of(tmp_path / "day", whole) == len(whole)
    assert sum(read) < len(whole) / 2


def test_samples_that_look_like_a_header_do_not_deceive(tmp_path: Path) -> None:
    maker = RecordMaker(RecordFormat(3, 100_000, "int32"))
    liar = np.full(500_000, int.from_bytes(b"MS\x03\0", "little"), np.int32)
    made = maker.add([Packet(StreamId.parse("XX.DEMO.00.HHZ"), 0, 100.0, liar)], 0)
    content = joined(made)
    assert end_of(tmp_path / "day", content) == len(content) > 1 << 20
    assert end_of(tmp_path / "day", content[:-1]) == len(joined(made[:-1]))


def test_records_too_long_for_the_tail_are_walked(tmp_path: Path) -> None:
    samples = np.frombuffer(random.Random(1).randbytes(8 * 100_000), np.int64).astype(np.float64)
    maker = RecordMaker(RecordFormat(3, 1_000_000))
    maker.add([Packet(StreamId.parse("XX.DEMO.00.HHZ"), 0, 100.0, samples)], 0)
    content = joined(maker.flush())
    assert len(content) > 700_000
    assert end_of(tmp_path / "day", content) == len(content)


DAMAGE = [bytes(512), b"\xff" * 512, b"\n", b"000001D " * 3, b"MS\x03" * 50, bytes(1 << 20), bytes((1 << 20) - 3)]


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
@pytest.mark.parametrize("version", [2, 3])
def test_bytes_before_the_first_record_are_passed_over(tmp_path: Path, version: int, damage: bytes) -> None:
    whole = damage + joined(records(version, 20))
    assert extent_of(tmp_path / "day", whole) == (len(damage), len(whole))
    assert extent_of(tmp_path / "day", whole + b"torn") == (len(damage), len(whole))


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
@pytest.mark.parametrize("version", [2, 3])
def test_bytes_between_records_are_passed_over(tmp_path: Path, version: int, damage: bytes) -> None:
    made = records(version, 20)
    whole = joined(made[:5]) + damage + joined(made[5:])
    assert end_of(tmp_path / "day", whole) == len(whole)
    assert end_of(tmp_path / "day", whole + bytes(77)) == len(whole)


@pytest.mark.parametrize("version", [2, 3])
def test_records_behind_a_torn_one_are_found(tmp_path: Path, version: int) -> None:
    made = records(version, 20)
    whole = joined(made[:5]) + made[5].data[:90] + joined(made[6:])
    assert end_of(tmp_path / "day", whole + b"torn") == len(whole)


def test_a_file_without_a_record_has_none(tmp_path: Path) -> None:
    for content in (b"", b"notes", *DAMAGE, records(2, 1)[0].data[:-1]):
        assert extent_of(tmp_path / "day", content) == (0, 0)
