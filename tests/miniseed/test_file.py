"""Files of miniSEED: every record once, whatever lies between; sections and times are found without reading all."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from rawdaq.miniseed import file as record_file
from rawdaq.miniseed.file import Extent, RecordFile
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from tests.makers import START_NS, STREAM
from tests.waveform_makers import EAST, NORTH, noise, records, text_record, write

S = 10**9


class Told(list[str]):
    """Remembers what is told."""

    def __call__(self, path: Path, text: str) -> None:
        self.append(text)


def opened(path: Path, content: bytes | None = None) -> tuple[RecordFile, Told]:
    if content is not None:
        path.write_bytes(content)
    told = Told()
    return RecordFile(path, told), told


def walk(file: RecordFile) -> list[int]:
    return [record.offset for record in file.records(0, file.size_bytes)]


def minutes(stream: StreamId, count: int, start_ns: int = START_NS) -> list[Packet]:
    """Return *count* minutes of noise."""
    return [noise(stream, start_ns + minute * 60 * S, 6000) for minute in range(count)]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("length", [128, 512, 4096])
def test_every_record_is_met_once_in_its_order(tmp_path: Path, version: int, length: int) -> None:
    made = records([noise(size=20_000)], version, length_bytes=length)
    file, told = opened(tmp_path / "a", b"".join(made))
    assert [record.data for record in file.records(0, file.size_bytes)] == made
    assert told == []


def test_lengths_and_versions_may_change_from_record_to_record(tmp_path: Path) -> None:
    parts = [
        records([noise(size=300)], version, length_bytes=length) for version in (2, 3) for length in (256, 4096, 512)
    ]
    made = [record for part in parts for record in part]
    file, told = opened(tmp_path / "a", b"".join(made))
    assert [record.data for record in file.records(0, file.size_bytes)] == made
    assert told == []


def test_records_longer_than_one_read_are_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_file, "_CHUNK_BYTES", 600)
    made = records([noise(size=20_000)], length_bytes=4096) + records([noise(NORTH, size=500)])
    file, told = opened(tmp_path / "a", b"".join(made))
    assert [record.data for record in file.records(0, file.size_bytes)] == made
    assert told == []


@pytest.mark.parametrize(
    ("layout", "skipped"),
    [
        ("J12", "200 bytes at offset 0 are skipped: no miniSEED record"),
        ("1J2", "200 bytes at offset 512 are skipped: no miniSEED record"),
        ("102", "1000 bytes at offset 512 are skipped: no miniSEED record"),
        ("12J", "200 bytes at offset 1024 are skipped: no miniSEED record"),
        (
            "1C2",
            "100 bytes at offset 512 are skipped: a record of 512 bytes, in the middle of which another one begins",
        ),
        ("12C", "100 bytes at offset 1024 are skipped: a record of 512 bytes, of which 100 are there"),
    ],
)
def test_what_is_no_record_is_told_and_skipped(tmp_path: Path, layout: str, skipped: str) -> None:
    one, two = (records([noise(stream, size=100)], encoding="steim2")[0] for stream in (STREAM, NORTH))
    pieces = {"1": one, "2": two, "J": b"junk" * 50, "0": bytes(1000), "C": one[:100]}
    file, told = opened(tmp_path / "a", b"".join(pieces[letter] for letter in layout))
    assert [record.data for record in file.records(0, file.size_bytes)] == [one, two]
    assert told == [skipped]


def test_junk_of_more_than_one_read_is_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_file, "_CHUNK_BYTES", 1000)
    (one,) = records([noise(size=100)])
    file, told = opened(tmp_path / "a", one + b"?" * 12_345 + one)
    assert walk(file) == [0, 512 + 12_345]
    assert told == ["12345 bytes at offset 512 are skipped: no miniSEED record"]


def test_headers_of_a_seed_volume_are_no_damage(tmp_path: Path) -> None:
    (one,) = records([noise(size=100)])
    volume = b"000001V 0100087 02.4".ljust(4096) + b"000002S 0500093XDEMO".ljust(4096)
    file, told = opened(tmp_path / "a", volume + one)
    assert walk(file) == [8192]
    assert told == []


def test_records_that_do_not_tell_their_length_are_met(tmp_path: Path) -> None:
    bare = bytearray(records([noise(size=60)], encoding="int32")[0])
    bare[39], bare[46:48] = 0, bytes(2)  # no blockettes
    file, told = opened(tmp_path / "a", bytes(bare) * 3)
    found = list(file.records(0, file.size_bytes))
    assert [record.offset for record in found] == [0, 512, 1024]
    assert [record.info.length_bytes for record in found] == [512, 512, 512]
    assert told == []


def test_one_record_that_does_not_tell_its_length_is_as_long_as_the_file(tmp_path: Path) -> None:
    bare = bytearray(records([noise(size=60)], encoding="int32")[0])
    bare[39], bare[46:48] = 0, bytes(2)  # no blockettes
    file, told = opened(tmp_path / "a", bytes(bare))
    assert file.extent() == Extent(START_NS, START_NS + 590_000_000)
    assert walk(file) == [0]
    assert told == []


def test_file_that_shrinks_while_it_is_read_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [noise(size=100)])
    file, told = opened(path)
    path.write_bytes(b"")
    assert walk(file) == []
    assert told == ["512 bytes at offset 0 are skipped: no miniSEED record"]


def test_extent_reaches_from_the_first_sample_to_about_the_last(tmp_path: Path) -> None:
    made = records(minutes(STREAM, 10)) + records([noise(NORTH, START_NS - 5 * S, 100)])
    file, _ = opened(tmp_path / "a", b"".join(made) + b"trailer")
    extent = file.extent()
    assert extent is not None
    assert extent.start_ns == START_NS - 5 * S
    assert START_NS + 540 * S < extent.end_ns < START_NS + 600 * S


def test_extent_of_a_small_file_is_exact(tmp_path: Path) -> None:
    given = [noise(STREAM, START_NS, 2000), noise(NORTH, START_NS + 3 * S, 5000), noise(EAST, START_NS, 100)]
    path = tmp_path / "a"
    path.write_bytes(b"".join(record for packet in given for record in records([packet])))
    assert opened(path)[0].extent() == Extent(START_NS, START_NS + 53 * S - 10_000_000)


def test_extent_of_one_record_and_of_none(tmp_path: Path) -> None:
    packet = noise(size=100)
    assert opened(write(tmp_path / "a", [packet]))[0].extent() == Extent(START_NS, packet.end_ns)
    assert opened(tmp_path / "b", b"MS\x03 but no more than that")[0].extent() is None


def test_extent_begins_at_the_first_record_that_can_be_read(tmp_path: Path) -> None:
    (damaged,) = records([noise(NORTH, START_NS - 5 * S, 100)])
    packet = noise(size=100)
    content = damaged[:46] + b"\0\x28" + damaged[48:] + records([packet])[0]
    assert opened(tmp_path / "a", content)[0].extent() == Extent(START_NS, packet.end_ns)


def test_long_records_are_looked_at_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [noise(size=100_000)], length_bytes=131_072)
    assert opened(path)[0].extent() == Extent(START_NS, noise(size=100_000).end_ns)


def test_file_in_order_of_time_is_one_section(tmp_path: Path) -> None:
    made = sorted(
        (each for stream in (STREAM, NORTH, EAST) for packet in minutes(stream, 5) for each in records([packet])),
        key=lambda record: record[20:30],
    )
    file, _ = opened(tmp_path / "a", b"".join(made))
    assert file.sections() == [(0, file.size_bytes)]


@pytest.mark.parametrize("counts", [(5, 5, 5), (1, 20, 1), (30, 1)])
def test_streams_one_after_the_other_are_a_section_each(tmp_path: Path, counts: Sequence[int]) -> None:
    parts = [
        b"".join(records(minutes(stream, count))) for stream, count in zip((STREAM, NORTH, EAST), counts, strict=False)
    ]
    file, _ = opened(tmp_path / "a", b"".join(parts))
    sections = file.sections()
    assert [end - begin for begin, end in sections] == [len(part) for part in parts]
    assert [begin for begin, _ in sections][1:] == [end for _, end in sections][:-1]


def test_sections_are_found_although_junk_lies_between_them(tmp_path: Path) -> None:
    first, second = (b"".join(records(minutes(stream, 4))) for stream in (STREAM, NORTH))
    file, _ = opened(tmp_path / "a", first + bytes(30_000) + second)
    (_, end), (begin, _) = file.sections()
    assert begin == end
    assert len(first) <= begin <= len(first) + 30_000


def test_nothing_that_is_a_record_makes_one_section(tmp_path: Path) -> None:
    file, _ = opened(tmp_path / "a", b"MS\x03" * 100)
    assert file.sections() == [(0, 300)]


def test_a_look_reads_little_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _ = opened(write(tmp_path / "a", [noise(size=2_000_000)]))
    read, real = [0], file.read

    def counted(offset: int, size: int) -> bytes:
        read[0] += size
        return real(offset, size)

    monkeypatch.setattr(file, "read", counted)
    file.extent()
    file.sections()
    file.find_time((0, file.size_bytes), START_NS + 5000 * S)
    assert file.size_bytes > 2_400_000
    assert read[0] < 900_000


@pytest.mark.parametrize("second", [-10, 0, 1, 60, 299, 600, 1000])
def test_a_time_is_found_with_nothing_missed_and_little_too_much(tmp_path: Path, second: int) -> None:
    path = write(tmp_path / "a", minutes(STREAM, 10))
    file, _ = opened(path)
    time_ns = START_NS + second * S
    offset = file.find_time((0, file.size_bytes), time_ns)
    every = list(file.records(0, file.size_bytes))
    assert offset in [record.offset for record in every]
    assert all(record.offset >= offset for record in every if record.info.end_ns >= time_ns)


def test_a_time_in_a_long_file_is_found_near_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_file, "_CHUNK_BYTES", 2048)
    file, _ = opened(write(tmp_path / "a", minutes(STREAM, 30)))
    time_ns = START_NS + 900 * S
    offset = file.find_time((0, file.size_bytes), time_ns)
    first = next(record for record in file.records(offset, file.size_bytes) if record.info.end_ns >= time_ns)
    assert 0 < first.offset - offset < 40_000


def test_a_time_is_found_beyond_junk(tmp_path: Path) -> None:
    made = b"".join(records(minutes(STREAM, 3)))
    file, _ = opened(tmp_path / "a", bytes(100_000) + made + text_record())
    offset = file.find_time((0, file.size_bytes), START_NS)
    assert next(file.records(offset, file.size_bytes)).info.start_ns == START_NS
