"""A value in a header that cannot be costs that record only, wherever records are read, and is told with its place."""

from pathlib import Path

import pytest

from rawdaq.datalink.payloads import PayloadUnreadable, waveform_of
from rawdaq.errors import InvalidValue
from rawdaq.miniseed.format import MAX_RATE_HZ, MIN_RATE_HZ, Record, RecordFormat
from rawdaq.miniseed.reader import RecordUnreadable, read_record, to_packet
from rawdaq.packet import Packet
from rawdaq.protocols.datalink.packets import DataPacket
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.receivers.file_replayer import FileReplayer
from rawdaq.replay.merge import Merge
from rawdaq.replay.names import StreamNames
from rawdaq.replay.sources import Problems, open_source
from rawdaq.times import MAX_YEAR, from_calendar
from tests.archive.archives import opened, sds
from tests.impossible_records import CASES, made_impossible
from tests.makers import START_NS, STREAM
from tests.record_makers import NOISE, as_runs, make, packets
from tests.replays import STATION

#: What is still read: nothing else contradicts it, or libmseed knows better.
STILL_READ = {
    *((2, f"fraction {each}") for each in (10_000, 65_535)),
    *((2, f"rate {each}") for each in (-1, float("nan"), float("inf"))),
    *((2, each) for each in ("flags", "255 blockettes", "time correction", "blockettes in a circle", "byte order 7")),
    *((2, each) for each in ("length exponent 255", "timing quality 255")),
    *((3, each) for each in ("flags", "publication version 0")),
}
#: What says that there are fewer samples, or that the record is longer.
PARTLY_READ = {(3, "7 samples"), (2, "length exponent 10")}
#: What nobody need be told.
QUIET = {
    *((2, each) for each in ("flags", "time correction", "byte order 7", "timing quality 255")),
    *((2, each) for each in ("length exponent 10", "length exponent 255")),
    *((3, each) for each in ("flags", "publication version 0")),
}
GOOD = {version: make(packets(NOISE[:3000]), RecordFormat(version)) for version in (2, 3)}


def others(version: int, bad: int) -> list[int]:
    """Return the samples of all records but *bad*."""
    return [value for index, record in enumerate(GOOD[version]) if index != bad for value in decoded(record)]


def decoded(record: Record) -> list[int]:
    samples = read_record(record.data)[1].samples
    assert samples is not None
    found: list[int] = samples.tolist()
    return found


@pytest.mark.parametrize(("version", "name"), CASES)
def test_the_reader_returns_what_can_be_or_refuses(version: int, name: str) -> None:
    data = made_impossible(GOOD[version][2], version, name)
    try:
        info, content = read_record(data)
    except RecordUnreadable:
        assert (version, name) not in STILL_READ
        return
    assert info.start_ns <= info.end_ns <= from_calendar(MAX_YEAR, 365, 0, 0, 0)
    assert info.rate_hz == 0 or MIN_RATE_HZ <= info.rate_hz <= MAX_RATE_HZ
    try:
        packet = to_packet(info, content)
    except InvalidValue:
        return
    assert packet is None or packet.next_ns > packet.start_ns


@pytest.mark.parametrize(("version", "name"), CASES)
def test_a_datalink_packet_with_it_is_read_or_refused(version: int, name: str) -> None:
    data = made_impossible(GOOD[version][2], version, name)
    kind = "MSEED" if version == 2 else "MSEED3"
    try:
        assert waveform_of(DataPacket(f"XX_DEMO_00_HHZ/{kind}", 7, 0, 0, 0, data)).size
    except PayloadUnreadable as error:
        assert "packet 7" in str(error)  # noqa: PT017 - both are right


@pytest.mark.parametrize(("version", "name"), CASES)
def test_a_file_with_it_is_played(tmp_path: Path, version: int, name: str) -> None:
    for bad in (0, 2, len(GOOD[version]) - 1):
        data = [record.data for record in GOOD[version]]
        data[bad] = made_impossible(GOOD[version][bad], version, name)
        path, told = tmp_path / "day", list[str]()
        path.write_bytes(b"".join(data))
        values = played(path, told)
        if (version, name) in PARTLY_READ:
            assert 0 <= 3000 - len(values) <= max(record.sample_count for record in GOOD[version])
        elif (version, name) in STILL_READ:
            assert sorted(values) == sorted(NOISE[:3000].tolist())
        else:
            assert values == others(version, bad)
        assert told or (version, name) in QUIET
        assert all(str(path) in line for line in told)


def played(path: Path, told: list[str]) -> list[int]:
    """Return the samples that a replay of *path* brings; what is wrong is appended to *told*."""
    source = open_source(path, StreamNames(network="XX", station="DEMO"), Problems(told.append))
    packets = [item for item in Merge([source], 1.0) if isinstance(item, Packet)] if source else []
    return [value for packet in packets if packet.stream == STREAM for value in packet.samples.tolist()]


@pytest.mark.parametrize(("version", "name"), CASES)
def test_a_file_of_nothing_else_is_no_more_than_told(tmp_path: Path, version: int, name: str) -> None:
    path, told = tmp_path / "one", list[str]()
    path.write_bytes(made_impossible(GOOD[version][2], version, name))
    assert played(path, told) or told or (version, name) in QUIET


@pytest.mark.parametrize("version", [2, 3])
async def test_a_replay_of_all_of_them_archives_what_is_good(tmp_path: Path, version: int) -> None:
    names = [name for kind, name in CASES if kind == version and (kind, name) not in STILL_READ | PARTLY_READ]
    bad = [made_impossible(GOOD[version][2], version, name) for name in names]
    good = [record.data for record in GOOD[version]]
    (tmp_path / "day").write_bytes(
        b"".join([*good[:2], *[part for each in bad for part in (each, good[2])], *good[2:]])
    )
    archive = MiniSeedPublisher(tmp_path / "archive", version=version)  # type: ignore[arg-type]  # 2 or 3
    replay = FileReplayer([archive], STATION, files=str(tmp_path / "day"), speed="max")
    await replay.serve()
    assert replay.problems.damages > 10
    values = played(sds(tmp_path / "archive", STREAM), [])
    assert sorted(set(values)) == sorted(set(NOISE[:3000].tolist()))
    assert len(values) == 3000  # what came again and again is there once


@pytest.mark.parametrize(("version", "name"), CASES)
def test_an_archive_goes_on_behind_it(tmp_path: Path, version: int, name: str) -> None:
    new = make(packets(NOISE[3000:3500], start_ns=START_NS + 60 * 10**9), RecordFormat(version))
    for bad in range(0, len(GOOD[version]), 5):
        data = [record.data for record in GOOD[version]]
        good = data[:bad] + data[bad + 1 :]
        data[bad] = made_impossible(GOOD[version][bad], version, name)
        path = sds(tmp_path / str(bad), STREAM)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"".join(data))
        archive = opened(tmp_path / str(bad))
        archive.write(as_runs(new))
        archive.close()
        kept = path.read_bytes()
        assert kept.endswith(b"".join(record.data for record in new))
        assert (version, name) in PARTLY_READ or all(record in kept for record in good)
