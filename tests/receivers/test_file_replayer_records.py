"""What is no sample survives a replay into an archive too: texts, states of health, data quality and flags."""

import time
from pathlib import Path

import pytest

from rawdaq.miniseed.file import RawRecord, RecordFile
from rawdaq.miniseed.reader import moved, read_content
from rawdaq.miniseed.text import text_record
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.receivers.file_replayer import FileReplayer
from rawdaq.stream_id import StreamId
from tests.makers import START_NS, STREAM
from tests.replays import STATION, Keeper, S
from tests.waveform_makers import noise, records

LOG_FILE = "2026/XX/DEMO/LOG.D/XX.DEMO.00.LOG.D.2026.325"
HHZ_FILE = "2026/XX/DEMO/HHZ.D/XX.DEMO.00.HHZ.D.2026.325"


def text(words: bytes, second: int, number: int = 1, channel: str = "LOG") -> bytes:
    return text_record(
        words, channel, network="XX", station="DEMO", location="00", time_ns=START_NS + second * S, sequence=number
    )


def without_samples(second: int) -> bytes:
    """Return a record that holds nothing but its header, as digitizers write their states of health."""
    data = text(b"", second, channel="ACE")
    return data[:36] + b"\x00\x20\x00" + data[39:]


TEXTS = [text(b"GPS locked", 3), text(b"GPS lost\r\nGPS locked", 15, 2), text(b"", 16, 3), text(b"calibration", 40, 4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A day with waveforms, some of them of quality Q with flags, texts, and a state of health."""
    waveforms = records([noise(size=5000)])
    locked = [data[:6] + b"Q" + data[7:36] + b"\x44\x20\x81" + data[39:] for data in waveforms[3:9]]
    made = [*TEXTS[:2], *waveforms[:3], *locked, TEXTS[2], without_samples(20), *waveforms[9:], TEXTS[3]]
    path = tmp_path / "day.mseed"
    path.write_bytes(b"".join(made))
    return path


async def archived(path: Path, *more: Keeper, version: int = 2, **options: object) -> tuple[Path, dict[str, object]]:
    """Play *path* into an archive beside it; return that, and its status."""
    archive = MiniSeedPublisher(path.parent / "archive", version=version)  # type: ignore[arg-type]  # 2 or 3
    chosen: dict[str, object] = {"speed": "max", **options}
    await FileReplayer([archive, *more], STATION, files=str(path), **chosen).serve()  # type: ignore[arg-type]
    return path.parent / "archive", archive.status()


def read(path: Path) -> list[RawRecord]:
    return list(RecordFile(path, lambda where, what: pytest.fail(what)).records(0, path.stat().st_size))


@pytest.mark.parametrize("version", [2, 3])
async def test_texts_and_states_of_health_are_archived_byte_for_byte(path: Path, version: int) -> None:
    keeper = Keeper()
    archive, _ = await archived(path, keeper, version=version)
    assert (archive / LOG_FILE).read_bytes() == b"".join(TEXTS)
    assert (archive / LOG_FILE.replace("LOG", "ACE")).read_bytes() == without_samples(20)
    assert {packet.stream for packet in keeper.packets} == {STREAM}


@pytest.mark.parametrize("version", [2, 3])
async def test_quality_and_flags_are_archived(path: Path, version: int) -> None:
    archive, _ = await archived(path, version=version)
    given = [record for record in read(path) if record.info.name == str(STREAM)]
    kept = read(archive / HHZ_FILE)
    assert sum(each.info.sample_count for each in given) == sum(each.info.sample_count for each in kept) == 5000
    expected = {read_content(record.data).marks for record in given}
    assert len(expected) == 2
    begin, end = given[3].info.start_ns, given[8].info.end_ns
    for record in kept:
        is_marked = begin <= record.info.start_ns <= end
        assert (read_content(record.data).marks is not None) == is_marked
    assert {read_content(record.data).marks for record in kept} == expected


async def test_a_second_replay_adds_nothing(path: Path) -> None:
    archive, _ = await archived(path)
    before = {each: each.read_bytes() for each in archive.rglob("*") if each.is_file()}
    _, status = await archived(path, packet_s=7)
    assert {each: each.read_bytes() for each in archive.rglob("*") if each.is_file()} == before
    assert (status["already_there"], status["records"]) == (5000, 0)


async def test_texts_are_renamed_and_their_time_runs_with_the_waveforms(path: Path) -> None:
    before_ns = time.time_ns()
    archive, _ = await archived(path, time="now", rename={"*": "ZZ.NEW.10.*"})
    files = sorted(archive.rglob("LOG.D/*"))
    kept = [record for file in files for record in read(file)]
    shift_ns = kept[0].info.start_ns - (START_NS + 3 * S)
    assert abs(START_NS + shift_ns - before_ns) < 60 * S
    for record, data, second in zip(kept, TEXTS, [3, 15, 16, 40], strict=True):
        assert record.info.name == "ZZ.NEW.10.LOG"
        assert abs(record.info.start_ns - (START_NS + second * S + shift_ns)) <= 100_000
        assert record.data[64:] == data[64:]


async def test_texts_are_chosen_like_other_streams_and_told_where_they_go_nowhere(path: Path) -> None:
    archive, _ = await archived(path, streams=["*.HH?"])
    assert [each.name for each in (archive / "2026/XX/DEMO").iterdir()] == ["HHZ.D"]


async def test_a_file_of_texts_alone_is_played(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(TEXTS[0])
    archive, status = await archived(path)
    assert (archive / LOG_FILE).read_bytes() == TEXTS[0]
    assert status["records"] == 1


async def test_an_old_text_without_its_length_gets_one(tmp_path: Path) -> None:
    old = bytearray(TEXTS[0])
    old[39], old[46:48], old[48:56] = 0, b"\0\0", bytes(8)  # no blockettes
    (tmp_path / "log").write_bytes(old)
    archive, _ = await archived(tmp_path / "log")
    assert (archive / LOG_FILE).read_bytes() == TEXTS[0]


def test_a_record_of_miniseed_3_is_moved_too() -> None:
    given = records([noise(size=100)], 3)[0]
    name = StreamId("NEWNET", "STATION8", "10", "HHZ")
    data = moved(given, name, 5 * S + 7)
    assert len(data) == len(given) + len(name.fdsn) - len(STREAM.fdsn)
    assert read_content(data).samples is not None
