"""Samples that an archive has are not appended again; all others are."""

import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from obspy import read

from rawdaq.archive.archive import Archive
from rawdaq.archive.coverage import Coverage
from rawdaq.archive.layout import ArchiveLayout
from rawdaq.miniseed.format import Record, RecordFormat, RecordRun
from rawdaq.miniseed.text import text_record
from rawdaq.packet import Marks, Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_DAY, NS_PER_S
from tests.archive.archives import LOG, START_NS, E, N, Z, opened, sds
from tests.record_makers import RecordMaker, as_runs, make, packets

NOISE: npt.NDArray[np.int32] = np.random.default_rng(3).integers(-9999, 9999, 6000).astype(np.int32)


def write(root: Path, made: Sequence[Record], now_ns: int = START_NS, rate_hz: float = 100.0, version: int = 2) -> int:
    """Write *made* into the archive as a component does; return how many samples were there already."""
    archive = Archive(root, ArchiveLayout("sds"), RecordFormat(version), 10, LOG, lambda: now_ns)
    archive.open()
    archive.write(as_runs(made, rate_hz))
    already_there: int = archive.status()["already_there"]
    archive.close()
    return already_there


def noise(first: int = 0, end: int = 6000, version: int = 2, start_ns: int = START_NS) -> list[Record]:
    """Return records of samples *first* to *end*, with their times."""
    start_ns += first * NS_PER_S // 100
    return make(packets(NOISE[first:end], start_ns=start_ns, stream=Z), RecordFormat(version))


def archived(root: Path, stream: StreamId = Z) -> npt.NDArray[np.int32]:
    """Return the samples in the archive, when there are no gaps between them and none is there twice."""
    traces = sorted(read(sds(root, stream)), key=lambda trace: trace.stats.starttime)
    for before, after in pairwise(traces):
        assert after.stats.starttime.ns - before.stats.endtime.ns == NS_PER_S // 100
    return np.concatenate([trace.data for trace in traces])


@pytest.mark.parametrize("version", [2, 3])
def test_what_is_written_twice_is_there_once(tmp_path: Path, version: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert write(tmp_path, noise(version=version), version=version) == 0
    before = sds(tmp_path, Z).read_bytes()
    assert write(tmp_path, noise(version=version), version=version) == 6000
    assert sds(tmp_path, Z).read_bytes() == before
    assert "XX.DEMO.00.HHZ: samples from 2026-11-21T00:00:00.000000Z on are in the archive already" in caplog.text
    assert "6000 samples were in the archive already, from 2026-11-21T00:00:00.000000Z to 2026-11-21T00:00:59.99" in (
        caplog.text
    )


def test_records_with_other_boundaries_are_recognised(tmp_path: Path) -> None:
    write(tmp_path, noise())
    assert write(tmp_path, noise(137)) == 6000 - 137
    assert write(tmp_path, noise(version=3), version=3) == 6000
    assert np.array_equal(archived(tmp_path), NOISE)


@pytest.mark.parametrize(("have", "come"), [((0, 3000), (2500, 6000)), ((3000, 6000), (0, 3100))])
def test_a_part_that_is_missing_is_written(tmp_path: Path, have: tuple[int, int], come: tuple[int, int]) -> None:
    write(tmp_path, noise(*have))
    assert write(tmp_path, noise(*come)) == min(have[1], come[1]) - max(have[0], come[0])
    assert np.array_equal(archived(tmp_path), NOISE)


@pytest.mark.parametrize("first", [0, 60, 333])
def test_records_cut_elsewhere_at_midnight_are_recognised_in_the_other_file(tmp_path: Path, first: int) -> None:
    start_ns = START_NS - 15 * NS_PER_S  # midnight is after 1500 samples
    assert write(tmp_path, noise(start_ns=start_ns)) == 0
    assert write(tmp_path, noise(first, start_ns=start_ns)) == 6000 - first
    assert sum(len(trace.data) for trace in (each for path in tmp_path.rglob("*.D.*") for each in read(path))) == 6000


def test_a_hole_in_the_archive_is_filled(tmp_path: Path) -> None:
    write(tmp_path, [*noise(0, 2000), *noise(2003, 6000)])
    assert write(tmp_path, noise()) == 5997
    assert np.array_equal(archived(tmp_path), NOISE)


def test_other_samples_of_the_same_time_are_written(tmp_path: Path) -> None:
    write(tmp_path, noise())
    other = make(packets(-NOISE, stream=Z))
    assert write(tmp_path, other) == 0
    assert sds(tmp_path, Z).read_bytes() == b"".join(record.data for record in [*noise(), *other])


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_another_type_is_something_else_and_a_hole_of_nan_is_the_same(tmp_path: Path, kind: str) -> None:
    samples = np.where(NOISE > 0, NOISE, np.nan).astype(kind)
    write(tmp_path, noise())
    assert write(tmp_path, make(packets(samples, stream=Z))) == 0
    assert write(tmp_path, make(packets(samples, stream=Z))) == 6000


def test_another_rate_is_something_else(tmp_path: Path) -> None:
    write(tmp_path, noise())
    assert write(tmp_path, make(packets(NOISE, 50.0, stream=Z)), rate_hz=50.0) == 0


def test_times_that_differ_by_less_than_half_a_sample_are_the_same(tmp_path: Path) -> None:
    write(tmp_path, noise())
    assert write(tmp_path, noise(start_ns=START_NS + 4_000_000)) == 6000
    assert write(tmp_path, noise(start_ns=START_NS + 6_000_000)) == 0


def test_another_quality_or_flag_is_another_version(tmp_path: Path) -> None:
    write(tmp_path, noise())
    for marks in (Marks(3), Marks(flags=4)):
        marked = make([packet.replace(marks=marks) for packet in packets(NOISE, stream=Z)])
        assert [write(tmp_path, marked), write(tmp_path, marked)] == [0, 6000]


def test_what_comes_twice_in_one_batch_is_written_once(tmp_path: Path) -> None:
    assert write(tmp_path, noise() * 3) == 12_000
    assert np.array_equal(archived(tmp_path), NOISE)


def test_older_data_are_found_though_the_file_ends_with_older_ones(tmp_path: Path) -> None:
    later = START_NS + NS_PER_DAY
    write(tmp_path, noise())
    other = make(packets(-NOISE[:1000], stream=Z))
    write(tmp_path, other)
    assert write(tmp_path, noise(3000), later) == 3000
    assert write(tmp_path, other, later) == 1000


def test_the_present_is_told_by_the_end_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, noise(0, 5900))
    read_bytes = list[int]()
    read_at = Coverage._records

    def counted(self: Coverage, begin: int, end: int) -> object:
        read_bytes.append(end - begin)
        return read_at(self, begin, end)

    monkeypatch.setattr(Coverage, "_records", counted)
    assert write(tmp_path, noise(5800)) == 100
    assert sum(read_bytes) < 30_000 < sds(tmp_path, Z).stat().st_size * 2
    assert np.array_equal(archived(tmp_path), NOISE)


def test_a_file_is_read_back_as_far_as_need_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.archive.coverage._END_BYTES", 1024)
    write(tmp_path, noise())
    for first in (5900, 5000, 3000, 1, 0):
        assert write(tmp_path, noise(first)) == 6000 - first
    assert np.array_equal(archived(tmp_path), NOISE)


def test_of_a_huge_file_only_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, noise())
    monkeypatch.setattr("rawdaq.archive.coverage._END_BYTES", 1024)
    monkeypatch.setattr("rawdaq.archive.coverage._MOST_BYTES", 6 * 512)
    assert 500 < write(tmp_path, noise(), START_NS + NS_PER_DAY) < 2000


@pytest.mark.filterwarnings("ignore:readMSEEDBuffer")
def test_damaged_records_count_as_missing(tmp_path: Path) -> None:
    write(tmp_path, noise())
    path = sds(tmp_path, Z)
    data = bytearray(path.read_bytes())
    data[512:1024] = bytes(512)
    path.write_bytes(data)
    lost = noise()[1].sample_count
    assert write(tmp_path, noise()) == 6000 - lost
    assert np.array_equal(archived(tmp_path), NOISE)


def test_several_streams_in_one_file(tmp_path: Path) -> None:
    both = [record for pair in zip(noise(), make(packets(NOISE, stream=N)), strict=True) for record in pair]
    for expected in (0, 12_000):
        archive = opened(tmp_path, "%n.%s.%Y.%j")
        archive.write(as_runs(both))
        assert archive.status()["already_there"] == expected
        archive.close()
    assert (tmp_path / "XX.DEMO.2026.325").stat().st_size == len(both) * 512
    archive = opened(tmp_path, "%n.%s.%Y.%j")
    archive.write(as_runs(make(packets(NOISE[:2000], stream=E))))
    assert archive.status()["already_there"] == 0
    archive.close()


def test_what_another_stream_of_the_file_has_is_not_there(tmp_path: Path) -> None:
    layout, whole = "%n.%s.%Y.%j", make(packets(NOISE[:1000], stream=N))
    archive = opened(tmp_path, layout)
    archive.write(as_runs([*noise(0, 300), *whole, *noise(700, 1000)]))
    archive.close()
    archive = opened(tmp_path, layout)
    archive.write(as_runs(noise(0, 1000)))
    assert archive.status()["already_there"] == 600
    archive.close()


def test_texts_are_recognised(tmp_path: Path) -> None:
    stream = StreamId.parse("XX.DEMO.00.LOG")

    def text(words: bytes, number: int) -> RecordRun:
        data = text_record(words, "LOG", network="XX", station="DEMO", location="00", time_ns=START_NS, sequence=number)
        return RecordRun(stream, [START_NS], [len(words)], 0.0, data)

    archive = opened(tmp_path)
    for number, words in enumerate([b"GPS locked", b"GPS locked", b"GPS lost"], 1):
        archive.write([text(words, number)])
    archive.close()
    assert archive.status()["records"] == 2


def test_many_records_that_run_back_are_all_written_and_the_newest_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.archive.coverage._MAX_STRETCHES", 100)
    maker, made = RecordMaker(RecordFormat()), list[Record]()
    for index in range(150, 0, -1):
        maker.add([Packet(Z, START_NS + index * NS_PER_S, 100.0, NOISE[index : index + 50])], 0)
        made += maker.flush()
    assert write(tmp_path, made) == 0
    assert write(tmp_path, made[-50:], START_NS + NS_PER_DAY) == 2_500


@pytest.mark.parametrize("offset", [-1, 1])
def test_above_250_khz_values_tell_which_samples_come_again(tmp_path: Path, offset: int) -> None:
    """miniSEED 2 has microseconds: the same sample may be said to be one earlier or later."""
    for values, expected in ((NOISE[:2000], 2000), (np.zeros(2000, np.int32), 1999)):
        folder = tmp_path / str(expected)
        for start_ns, there in ((START_NS + NS_PER_S, 0), (START_NS + NS_PER_S + offset * 1000, expected)):
            made = make([Packet(Z, start_ns, 1e6, values)], RecordFormat(2, 4096))
            assert write(folder, made, rate_hz=1e6) == there
