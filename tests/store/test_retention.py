"""Retention removes whole old segments, and nothing that a cursor needs without saying so."""

import itertools
from pathlib import Path

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.store.errors import StoreFull
from rawdaq.store.retention import Retention
from rawdaq.store.values import Entry, Extent, Trimmed
from tests.store import logs

MAX_BYTES = 6 * logs.SEGMENT_BYTES


def fill(store: logs.Store, segments: int, number: int = 0) -> int:
    """Append until so many more segments have begun; return the number of the next entry."""
    firsts = {store._catalog.segments[-1].first if store._catalog.segments else store.next_position}
    while len(firsts) <= segments:
        store.append(logs.entries(number, 5))
        number += 5
        firsts.add(store._catalog.segments[-1].first)
        store.sync()
        store.maintain()
    return number


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_the_oldest_goes_when_there_is_too_much(tmp_path: Path, no_sync: None) -> None:
    folder, reports = tmp_path / "log", logs.Reports()
    with logs.store(folder, reports, retention=Retention(MAX_BYTES)) as store:
        number = fill(store, 20)
        assert size_of(folder) <= MAX_BYTES
        assert size_of(folder) > MAX_BYTES - 2 * logs.SEGMENT_BYTES
        trimmed = [report for report in reports if isinstance(report, Trimmed)]
        assert len(trimmed) == len(reports)
        assert all(a.last + 1 == b.first for a, b in itertools.pairwise(trimmed))
        assert trimmed[-1].last + 1 == store.oldest_position
        assert str(trimmed[0]) == f"removed positions {trimmed[0].first} to {trimmed[0].last}"
        kept = store.next_position - store.oldest_position
        assert logs.contents(logs.read_all(store.reader())[0]) == logs.entries(number - kept, kept)
        assert not list(folder.glob("spare-*"))


def test_a_file_that_was_removed_is_used_again_and_its_old_entries_are_not_found(tmp_path: Path, no_sync: None) -> None:
    folder = tmp_path / "log"
    store = logs.store(folder, retention=Retention(MAX_BYTES))
    store.open()
    number = fill(store, 8)
    files = {path.stat().st_ino for path in folder.iterdir()}
    number = fill(store, 1, number)
    assert logs.segment_files(folder)[-1].stat().st_ino in files
    expected = logs.contents(logs.read_all(store.reader())[0])
    logs.kill(store)
    for identity in (logs.BOOT, "another boot"):
        with logs.store(folder, identity=identity) as again:
            assert logs.read_all(again.reader())[1] == []
            assert logs.contents(logs.read_all(again.reader())[0]) == expected


def test_what_a_cursor_needs_stays_and_the_store_is_full(tmp_path: Path, no_sync: None) -> None:
    folder, reports = tmp_path / "log", logs.Reports()
    with logs.store(folder, reports, retention=Retention(MAX_BYTES)) as store:
        given = store.append(logs.entries(0, 5))
        store.move_cursor("archive", given[1])
        store.move_cursor("elsewhere", None)
        with pytest.raises(StoreFull, match="archive") as raised:
            fill(store, 20, 5)
        assert raised.value.cursors == ("archive",)
        assert size_of(folder) <= MAX_BYTES
        assert not reports
        assert logs.read_all(store.reader(given[1]))[0][0].position == given[1]
        before = store.next_position
        with pytest.raises(StoreFull):
            store.append(logs.entries(0, 5))
        assert store.next_position == before
        store.move_cursor("archive", store.end_position)
        number = before - given[0]
        assert store.append(logs.entries(number, 5)).start == before
        assert [report.undelivered for report in reports if isinstance(report, Trimmed)] == [{}]
        del raised


def test_a_full_store_still_writes_how_cursors_move(tmp_path: Path, no_sync: None) -> None:
    folder = tmp_path / "log"
    with logs.store(folder, retention=Retention(MAX_BYTES)) as store:
        store.move_cursor("archive", store.append(logs.entries(0, 5)).start)
        with pytest.raises(StoreFull):
            fill(store, 20, 5)
        for number in range(60):
            store.move_cursor("archive", store.oldest_position, {b"file": b"%d" % number * 60})
            store.sync()
    with logs.store(folder) as store:
        assert store.cursors()["archive"].marks == {b"file": b"59" * 60}


def test_what_is_dropped_though_a_cursor_needs_it_is_counted_by_stream(tmp_path: Path, no_sync: None) -> None:
    reports = logs.Reports()
    rules = Retention(MAX_BYTES, drops_needed=True)
    with logs.store(tmp_path / "log", reports, retention=rules) as store:
        given = store.append(logs.entries(0, 5))
        store.move_cursor("archive", given[2])
        store.move_cursor("done", store.next_position + 10_000)
        number = fill(store, 12, 5)
        trimmed = [report for report in reports if isinstance(report, Trimmed)]
        assert len(trimmed) == len(reports)
        lost = logs.entries(2, store.oldest_position - given[2])
        for stream in logs.STREAMS:
            counts = [report.undelivered["archive"][stream].entries for report in trimmed]
            assert sum(counts) == sum(each.stream == stream for each in lost)
            assert store.status().dropped["archive"][stream] == sum(counts)
        assert list(store.status().dropped) == ["archive"]
        first = trimmed[0].undelivered["archive"][logs.STREAMS[2]]
        assert first.start_ns == logs.entry(2).start_ns
        assert f"archive had not read {logs.STREAMS[2]}: {first}" in str(trimmed[0])
        assert number > 100


def test_what_was_written_too_long_ago_goes_unless_a_cursor_needs_it(tmp_path: Path, no_sync: None) -> None:
    now_ns = logs.START_NS
    rules = Retention(max_age_ns=100 * logs.NS_PER_S)
    with logs.store(tmp_path / "log", retention=rules, clock=lambda: now_ns) as store:
        number, begins = 0, list[int]()
        for _ in range(6):
            begins.append(store.next_position)
            number = fill(store, 1, number)
            now_ns += 30 * logs.NS_PER_S
        store.move_cursor("archive", store._catalog.segments[1].first)
        oldest = store.oldest_position
        now_ns += 20 * logs.NS_PER_S
        store.maintain()
        assert store.oldest_position == store._catalog.segments[0].first > oldest
        assert store.oldest_position <= (store.cursors()["archive"].position or 0)
        store.move_cursor("archive", store.end_position)
        store.maintain()
        head = store._catalog.segments[1].head()
        assert head is not None
        assert now_ns - head.created_ns <= 100 * logs.NS_PER_S
        now_ns += 1000 * logs.NS_PER_S
        store.maintain()
        assert store.status().segments == 1


def test_what_was_written_without_a_clock_is_not_taken_for_old(tmp_path: Path, no_sync: None) -> None:
    now_ns = 1_000 * logs.NS_PER_S
    rules = Retention(max_age_ns=100 * logs.NS_PER_S)
    with logs.store(tmp_path / "log", retention=rules, clock=lambda: now_ns) as store:
        fill(store, 3)
        oldest = store.oldest_position
        now_ns = logs.START_NS
        store.maintain()
        assert store.oldest_position == oldest


def test_what_is_not_on_the_disk_yet_stays(tmp_path: Path, no_sync: None) -> None:
    with logs.store(tmp_path / "log", retention=Retention(max_age_ns=0)) as store:
        first = store.append(logs.entries(0, 5)).start
        while store.status().segments < 3:
            store.append(logs.entries(0, 5))
        store.maintain()
        assert store.oldest_position == first
        store.sync()
        store.maintain()
        assert store.status().segments == 1


def test_a_reader_that_is_overtaken_jumps_and_says_so(tmp_path: Path, no_sync: None) -> None:
    with logs.store(tmp_path / "log", retention=Retention(MAX_BYTES)) as store:
        store.append(logs.entries(0, 5))
        reader = store.reader()
        batch = reader.read(1)
        fill(store, 12, 5)
        behind = reader.position
        batch = reader.read()
        assert batch.skipped == store.oldest_position - behind > 0
        assert batch.entries[0].position == store.oldest_position


def test_an_entry_may_be_larger_than_a_segment(tmp_path: Path, no_sync: None) -> None:
    with logs.store(tmp_path / "log", retention=Retention(MAX_BYTES)) as store:
        store.append(logs.entries(0, 5))
        large = Entry("large", 1, 2, bytes(3 * logs.SEGMENT_BYTES))
        given = store.append([large, large])
        store.append(logs.entries(5, 5))
        assert logs.contents(logs.read_all(store.reader(given.start), 100)[0])[:2] == [large, large]
        assert store.find("large", 0) == given.start
        assert store.extents()["large"] == Extent(2, 1, 2)


def test_settings_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="four segments"):
        logs.store(tmp_path, retention=Retention(3 * logs.SEGMENT_BYTES))
    with pytest.raises(InvalidValue, match="segment_bytes"):
        logs.store(tmp_path, segment_bytes=10)
