"""What is missing from a restart: the last sample in the archive is compared with the first new one."""

import logging
from pathlib import Path

import pytest

from rawdaq.archive.archive import Archive
from rawdaq.archive.layout import ArchiveLayout
from rawdaq.miniseed.format import RecordFormat
from rawdaq.publisher import LastEnd
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_DAY, NS_PER_S
from tests.archive.archives import LOG, START_NS, E, N, Z, opened, records, sds
from tests.record_makers import as_runs

SAMPLES = 20  # of a record, at 100 Hz
LAST_NS = START_NS + (SAMPLES - 1) * NS_PER_S // 100
HOUR_NS = 3600 * NS_PER_S


def _restarted(root: Path, layout: str, started_ns: int, last_end: LastEnd | None = LastEnd.STOPPED) -> Archive:
    archive = Archive(root, ArchiveLayout(layout), RecordFormat(), 10, LOG, lambda: started_ns)
    archive.open()
    archive.restart.begin(last_end)
    return archive


def _write_and_close(archive: Archive, *streams: StreamId, start_ns: int) -> None:
    archive.write(as_runs(records(*streams, start_ns=start_ns)))
    archive.close()


LAYOUTS = ["sds", "%n.%s.%Y.%j", "%n/%s.%c.%Y.%j.%H.%q.#M", "%n.%s.%c.%D", "all.%n"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("later_ns", [60 * NS_PER_S, 26 * HOUR_NS, 30 * NS_PER_DAY])
def test_a_gap_from_a_restart_is_found_whatever_the_layout_and_the_day(
    tmp_path: Path, layout: str, version: int, later_ns: int, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened(tmp_path, layout)
    first.write(as_runs(records(Z, N, count=3, version=version)))
    first.close()
    last_ns = LAST_NS + 2 * NS_PER_S
    archive = _restarted(tmp_path, layout, START_NS + later_ns)
    _write_and_close(archive, Z, E, start_ns=START_NS + later_ns)
    assert archive.status()["restart_gaps"] == {"stopped": 1}
    assert archive.status()["restart_gap_s"] == round((START_NS + later_ns - last_ns) / NS_PER_S - 0.01, 3)
    (line,) = [record.getMessage() for record in caplog.records if "gap from the restart" in record.getMessage()]
    assert f"in {Z} of " in line
    assert " from 2026-11-21T00:00:02.200Z to 2026-" in line
    assert "the component was stopped, and started again at 2026-" in line


@pytest.mark.parametrize(
    ("last_end", "started_s", "first_s", "cause", "text"),
    [
        (LastEnd.STOPPED, 60, 61, "stopped", "the component was stopped, and started again at 2026-11-21T00:01:00Z"),
        (LastEnd.KILLED, 60, 61, "killed", "the component was killed, and started again"),
        (LastEnd.FAILED, 60, 61, "failed", "the component ended with an error, and started again"),
        (LastEnd.KILLED, 60, 121, "device away", "the device was away, the component runs since 2026-11-21T00:01:00Z"),
        (LastEnd.KILLED, 60, 119, "killed", "the component was killed"),
        (LastEnd.STOPPED, 1, 9, "stopped", "the component was stopped"),
        (LastEnd.STOPPED, 1, 12, "device away", "the device was away"),
    ],
)
def test_the_cause_is_told(
    tmp_path: Path,
    last_end: LastEnd,
    started_s: int,
    first_s: int,
    cause: str,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _write_and_close(opened(tmp_path), Z, start_ns=START_NS)
    archive = _restarted(tmp_path, "sds", START_NS + started_s * NS_PER_S, last_end)
    _write_and_close(archive, Z, start_ns=START_NS + first_s * NS_PER_S)
    assert archive.restart.counts == {cause: 1}
    assert text in caplog.text


@pytest.mark.parametrize(
    ("start_ns", "last_end"),
    [
        (LAST_NS + NS_PER_S // 100, LastEnd.KILLED),  # it goes on there
        (LAST_NS + NS_PER_S // 100 + 4_000_000, LastEnd.KILLED),  # to half a sample
        (START_NS - HOUR_NS, LastEnd.KILLED),  # a device that buffers sends more than what was missing
        (START_NS + HOUR_NS, None),  # a file that is played
        (START_NS + 40 * NS_PER_DAY, LastEnd.KILLED),  # too long ago to be a restart
    ],
)
def test_what_goes_on_or_begins_anew_is_no_gap(tmp_path: Path, start_ns: int, last_end: LastEnd | None) -> None:
    _write_and_close(opened(tmp_path), Z, start_ns=START_NS)
    archive = _restarted(tmp_path, "sds", START_NS, last_end)
    _write_and_close(archive, Z, N, start_ns=start_ns)
    assert archive.status()["restart_gaps"] == {}


def test_each_stream_is_looked_at_once_and_those_of_a_batch_are_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    many = [StreamId("XX", "DEMO", f"{number:02d}", "HHZ") for number in range(5)]
    _write_and_close(opened(tmp_path, "%n.%Y.%j"), *many, start_ns=START_NS)
    archive = _restarted(tmp_path, "%n.%Y.%j", START_NS + HOUR_NS)
    archive.write(as_runs(records(*many, start_ns=START_NS + HOUR_NS)))
    _write_and_close(archive, *many, start_ns=START_NS + 2 * HOUR_NS)
    assert archive.restart.counts == {"stopped": 5}
    assert caplog.text.count("gap from the restart") == 1
    assert "XX.DEMO.02.HHZ of 59 min 59 s from " in caplog.text
    assert " and 2 more streams: the component was stopped" in caplog.text


def test_a_stream_that_is_far_from_the_end_of_a_file_is_found(tmp_path: Path) -> None:
    archive = opened(tmp_path, "%n.%Y.%j")
    archive.write(as_runs(records(Z, start_ns=START_NS)))
    archive.write(as_runs(records(N, start_ns=START_NS, count=600)))
    archive.close()
    archive = _restarted(tmp_path, "%n.%Y.%j", START_NS + HOUR_NS)
    _write_and_close(archive, Z, start_ns=START_NS + HOUR_NS)
    assert archive.restart.seconds == 3599.8


def test_an_archive_that_is_not_there_yet_is_looked_at_when_it_is(tmp_path: Path) -> None:
    root = tmp_path / "disk"
    _write_and_close(opened(root), Z, start_ns=START_NS)
    archive = _restarted(root, "sds", START_NS + HOUR_NS)
    root.rename(tmp_path / "away")
    made = as_runs(records(Z, start_ns=START_NS + HOUR_NS))
    with pytest.raises(Exception, match="create the folder, or mount its disk"):
        archive.write(made)
    (tmp_path / "away").rename(root)
    archive.write(made)
    archive.close()
    assert archive.restart.counts == {"stopped": 1}


def test_a_file_that_cannot_be_read_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    yesterday = sds(tmp_path, Z, "2026.324")
    yesterday.mkdir(parents=True)
    archive = _restarted(tmp_path, "sds", START_NS)
    with caplog.at_level(logging.WARNING):
        _write_and_close(archive, Z, start_ns=START_NS)
    assert "is not compared with what is in the archive" in caplog.text
    assert sds(tmp_path, Z).exists()


def test_behind_a_journal_the_gap_follows_what_came_before_the_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The journal gives again what the archive has, then what it has not, all from before; then new samples come."""
    first = opened(tmp_path)
    first.write(as_runs(records(Z, count=1)))
    first.close()
    archive = _restarted(tmp_path, "sds", START_NS + 60 * NS_PER_S, LastEnd.KILLED)
    archive.is_repeated = True
    interval_ns = NS_PER_S // 100
    for start_ns in (START_NS, LAST_NS + interval_ns, START_NS + 61 * NS_PER_S, START_NS + 90 * NS_PER_S):
        archive.write(as_runs(records(Z, start_ns=start_ns)))
    archive.close()
    assert archive.status()["restart_gaps"] == {"killed": 1}
    (line,) = [record.getMessage() for record in caplog.records if "gap from the restart" in record.getMessage()]
    assert " from 2026-11-21T00:00:00.400Z to 2026-11-21T00:01:01.000Z" in line
