"""Samples that an archive has beyond what the journal knows of are recognised, however records are cut."""

import logging
from pathlib import Path

import numpy as np
import pytest

from rawdaq.archive.found import FoundSamples
from rawdaq.miniseed.maker import RecordFormat
from rawdaq.packet import Packet, PacketRun, Samples
from rawdaq.stream_id import StreamId
from rawdaq.times import sample_time
from tests.archive.archives import LOG, START_NS, N, Z
from tests.record_makers import RecordMaker

VALUES = np.random.default_rng(3).integers(-(10**6), 10**6, 5000).astype("<i4")


def packet(first: int, count: int, stream: StreamId = Z, values: Samples = VALUES, rate_hz: float = 100.0) -> Packet:
    return Packet(stream, sample_time(START_NS, first, rate_hz), rate_hz, values[first : first + count])


def records(*packets: Packet, form: RecordFormat | None = None) -> bytes:
    maker = RecordMaker(form or RecordFormat())
    return b"".join(record.data for record in [*maker.add(packets, 0), *maker.flush()])


def found(folder: Path, content: bytes, begin: int = 0, name: str = "file") -> FoundSamples:
    (folder / name).write_bytes(content)
    return FoundSamples.read(folder, {name: begin}, LOG)


def rest(found: FoundSamples, item: Packet | PacketRun, is_new: bool = False) -> list[tuple[int, int]]:
    """Return the parts that are not there, as (first, end)."""
    return [(index, index + part.size) for index, part in found.rest(item, is_new) if not isinstance(part, bytes)]


@pytest.mark.parametrize("size", [1, 7, 100, 999])
def test_samples_are_recognised_however_packets_are_cut(tmp_path: Path, size: int) -> None:
    there = found(tmp_path, records(packet(0, 1000)))
    assert there.ends == {"file": (tmp_path / "file").stat().st_size}
    for first in range(0, 1000, size):
        assert not there.is_over
        assert rest(there, packet(first, min(size, 1000 - first))) == []
    assert there.is_over
    assert there.unsettled == {}
    assert rest(there, packet(0, 10)) == [(0, 10)]


def test_what_follows_is_not_there(tmp_path: Path) -> None:
    there = found(tmp_path, records(packet(0, 250)))
    assert rest(there, packet(0, 200)) == []
    assert rest(there, packet(200, 100)) == [(50, 100)]
    assert there.is_over


def test_only_what_stands_beyond_the_size_counts(tmp_path: Path) -> None:
    before = records(packet(0, 100))
    there = found(tmp_path, before + records(packet(100, 100)), len(before))
    assert rest(there, packet(0, 100)) == [(0, 100)]
    assert rest(there, packet(100, 100)) == []
    assert found(tmp_path, before, len(before)).is_over
    assert FoundSamples.read(tmp_path, {"none": 0}, LOG).is_over


def test_runs_are_recognised_packet_by_packet(tmp_path: Path) -> None:
    there = found(tmp_path, records(packet(0, 150)))
    starts = [sample_time(START_NS, index * 40, 100.0) for index in range(5)]
    run = PacketRun(Z, starts, 100.0, VALUES[:200].reshape(5, 40))
    assert rest(there, run) == [(150, 160), (160, 200)]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("another time", packet(300, 100).replace(samples=VALUES[:100])),
        ("other values", packet(0, 100, values=VALUES + 1)),
        ("one other value", packet(0, 100, values=np.where(np.arange(5000) == 99, 0, VALUES))),
        ("another rate", packet(0, 100, rate_hz=50.0)),
        ("another stream", packet(0, 100, N)),
    ],
)
def test_what_differs_is_not_taken_for_it(tmp_path: Path, name: str, other: Packet) -> None:
    there = found(tmp_path, records(packet(0, 100)))
    assert rest(there, other) == [(0, 100)], name
    assert rest(there, packet(0, 100)) == []


def test_foreign_records_are_passed_over_stay_and_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    foreign = records(packet(3000, 100, values=VALUES + 5))
    there = found(tmp_path, records(packet(0, 100)) + foreign + records(packet(100, 100)))
    with caplog.at_level(logging.INFO):
        assert rest(there, packet(0, 200)) == []
    assert "file: 1 of its last records are not what the journal has; they stay there" in caplog.text
    assert "200 samples were written before the last end, and not once more" in caplog.text


def test_a_hole_is_written_and_what_stands_behind_it_is_not(tmp_path: Path) -> None:
    there = found(tmp_path, records(packet(0, 50)) + records(packet(80, 50)))
    assert rest(there, packet(0, 100)) == [(50, 80)]
    assert rest(there, packet(100, 100)) == [(30, 100)]


def test_what_the_journal_had_not_is_recognised_until_something_new_differs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = found(tmp_path, records(packet(0, 100)) + records(packet(100, 100)) + records(packet(200, 100)))
    assert rest(there, packet(0, 100)) == []
    assert rest(there, packet(100, 100), is_new=True) == []
    assert there.unsettled == {"file": 0}
    assert rest(there, packet(1000, 100), is_new=True) == [(0, 100)]
    assert there.is_over
    assert "1 of its last records" in caplog.text
    assert rest(there, packet(200, 100), is_new=True) == [(0, 100)]


def test_an_equal_pass_over_one_time_is_recognised_once(tmp_path: Path) -> None:
    zeros = np.zeros(1000, "<i4")
    there = found(tmp_path, records(packet(0, 100, values=zeros)))
    assert rest(there, packet(0, 100, values=zeros)) == []
    assert rest(there, packet(0, 100, values=zeros)) == [(0, 100)]


def test_of_a_time_in_two_files_what_comes_next_goes_first(tmp_path: Path) -> None:
    zeros = np.zeros(1000, "<i4")
    first, second, third = (packet(index * 100, 100, values=zeros) for index in (0, 1, 2))
    (tmp_path / "a").write_bytes(records(first) + records(third) + records(second))
    (tmp_path / "b").write_bytes(records(second))
    there = FoundSamples.read(tmp_path, {"a": 0, "b": 0}, LOG)
    for each in (first, second, third, second):
        assert rest(there, each) == []
    assert there.is_over


def test_packets_may_be_up_to_half_an_interval_off(tmp_path: Path) -> None:
    late = packet(100, 100).replace(start_ns=START_NS + 10**9 + 4_990_000)
    early = packet(200, 100).replace(start_ns=START_NS + 2 * 10**9 - 4_990_000)
    there = found(tmp_path, records(packet(0, 100), late, early))
    for each in (packet(0, 100), late, early):
        assert rest(there, each) == []
    assert there.is_over


@pytest.mark.parametrize("dtype", ["|i1", "<i2", ">i4", "<f4", ">f8"])
@pytest.mark.parametrize("version", [2, 3])
def test_every_type_is_recognised(tmp_path: Path, dtype: str, version: int) -> None:
    values = (VALUES % 100).astype(dtype)
    if values.dtype.kind == "f":
        values[3] = np.nan
    there = found(tmp_path, records(packet(0, 300, values=values), form=RecordFormat(version)))
    assert rest(there, packet(0, 300, values=values)) == []
    assert there.is_over


def test_a_torn_end_and_a_damaged_record_are_written_again(tmp_path: Path) -> None:
    form = RecordFormat(3)
    first, second, torn = (records(packet(index * 50, 50), form=form) for index in range(3))
    damaged = second[:-1] + bytes([second[-1] ^ 1])
    there = found(tmp_path, first + damaged + torn[:-9])
    assert there.ends == {"file": len(first + damaged)}
    assert [rest(there, packet(index * 50, 50)) for index in range(3)] == [[], [(0, 50)], [(0, 50)]]
