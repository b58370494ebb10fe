"""A bit that flips costs one entry, which is counted and reported with its stream and its time."""

import os
from pathlib import Path

import pytest

from rawdaq.store.inspect import StoreView
from rawdaq.store.values import LossReason
from tests.store import logs

SEGMENT_BYTES = 1200  # so that every byte can be tried
STREAMS = ("A", "B")


def remove_indexes(folder: Path) -> None:
    for index in folder.glob("*.idx"):
        index.unlink()


def small(number: int) -> logs.Entry:
    return logs.entry(number, 8)._replace(stream=STREAMS[number % 2], facts=b"")


@pytest.fixture
def given(tmp_path: Path, no_sync: None) -> dict[int, logs.Entry]:
    """What is in a store of two segments with a cursor, which was closed."""
    with logs.store(tmp_path / "log", segment_bytes=SEGMENT_BYTES) as store:
        given: dict[int, logs.Entry] = {}
        for number in range(0, 21, 3):
            new = [small(number + each) for each in range(3)]
            given |= zip(store.append(new), new, strict=True)
        store.move_cursor("archive", min(given) + 5, {b"file": b"12"})
        store.sync()
        store.maintain()
    assert len(logs.segment_files(tmp_path / "log")) == 2
    return given


def check(found: list[logs.Stored], lost: list[logs.Loss], given: dict[int, logs.Entry]) -> None:
    """See that at most one entry is lost, and that it is reported as what it was."""
    assert all(given[each.position] == logs.content(each) for each in found)
    missing = set(given) - set(logs.positions(found))
    assert len(missing) <= 1
    assert [loss.first for loss in lost] == list(missing)
    for loss in lost:
        was = given[loss.first]
        assert loss == (loss.first, loss.first, 1, was.stream, was.start_ns, was.end_ns, LossReason.DAMAGED)
        assert was.stream in str(loss)


@pytest.mark.parametrize("has_index", [True, False])
def test_any_flipped_bit_of_the_entries_costs_one_entry_that_is_named(
    tmp_path: Path, given: dict[int, logs.Entry], has_index: bool
) -> None:
    folder = tmp_path / "log"
    if not has_index:
        remove_indexes(folder)
    for path in logs.segment_files(folder):
        # Each place in an entry comes up, with any bit, in one entry or the other.
        for byte in range(has_index, path.stat().st_size, 5):
            reports = logs.Reports()
            logs.flip(path, byte, byte % 8)
            with StoreView.of(folder, reports.append) as view:
                found, lost = logs.read_all(view.reader(), 1 << 16)
            logs.flip(path, byte, byte % 8)
            check(found, lost, given)
            assert reports == lost


def test_any_flipped_bit_of_an_index_costs_nothing(tmp_path: Path, given: dict[int, logs.Entry]) -> None:
    folder = tmp_path / "log"
    (index,) = folder.glob("*.idx")
    times = [each.end_ns for each in given.values()][::4]
    expected = [
        min((at for at, each in given.items() if each.stream == stream and each.end_ns >= time_ns), default=None)
        for stream in STREAMS
        for time_ns in times
    ]
    for byte in range(0, index.stat().st_size, 2):
        logs.flip(index, byte, byte // 2 % 8)
        with StoreView.of(folder) as view:
            assert [view.find(stream, time_ns) for stream in STREAMS for time_ns in times] == expected
            found, lost = logs.read_all(view.reader(min(given) + byte % 20), 1 << 16)
        logs.flip(index, byte, byte // 2 % 8)
        assert not lost
        assert logs.contents(found) == list(given.values())[byte % 20 :]


def test_a_writer_finds_the_same_damage_and_goes_on(tmp_path: Path, given: dict[int, logs.Entry]) -> None:
    folder = tmp_path / "log"
    last = logs.segment_files(folder)[-1]
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    for byte in range(0, last.stat().st_size, 13):
        reports = logs.Reports()
        logs.flip(last, byte, byte % 8)
        with logs.store(folder, reports) as store:
            found, lost = logs.read_all(store.reader(), 1 << 16)
            check(found, lost, given)
            assert reports.losses() == lost
            assert store.status().lost == len(lost)
            assert store.status().lost_by_stream == {loss.stream: 1 for loss in lost}
            assert store.cursors()["archive"][:2] == (min(given) + 5, {b"file": b"12"})
            assert store.append([logs.entry(1)]).start > max(given)
        for path in set(folder.iterdir()) - set(whole):
            path.unlink()
        for path, content in whole.items():
            path.write_bytes(content)


def test_every_reader_sees_a_loss_that_is_counted_once(tmp_path: Path, given: dict[int, logs.Entry]) -> None:
    path, reports = logs.segment_files(tmp_path / "log")[0], logs.Reports()
    logs.flip(path, path.read_bytes().index(given[min(given) + 4].body), 3)
    with logs.store(tmp_path / "log", reports) as store:
        readers = [store.reader() for _ in range(5)]
        losses = [logs.read_all(reader)[1] for reader in readers]
        assert losses == [reports.losses()] * 5
        assert store.status().lost == len(reports.losses()) == 1


def test_a_hole_of_many_bytes_is_reported_with_the_times_around_it(
    tmp_path: Path, given: dict[int, logs.Entry]
) -> None:
    folder, reports = tmp_path / "log", logs.Reports()
    path, first = logs.segment_files(folder)[0], min(given)
    data = path.read_bytes()
    begin, end = data.index(given[first + 3].body), data.index(given[first + 7].body)
    path.write_bytes(data[:begin] + os.urandom(end - begin - 10) + data[end - 10 :])
    remove_indexes(folder)
    with logs.store(folder, reports) as store:
        found, lost = logs.read_all(store.reader())
        assert [at for at in given if at not in logs.positions(found)] == list(range(first + 3, first + 8))
        store.maintain()
        assert logs.read_all(store.reader(first + 5))[0] == found[3:]
    damaged, hole = (loss for loss in lost if loss.entries)
    assert (damaged.first, damaged.stream) == (first + 3, given[first + 3].stream)
    assert (hole.first, hole.last, hole.entries, hole.stream) == (first + 4, first + 7, 4, None)
    assert (hole.start_ns, hole.end_ns) == (given[first + 3].end_ns, given[first + 8].start_ns)
    assert sorted(reports.losses()) == sorted(lost)
    assert store._catalog.losses.by_stream == {given[first + 3].stream: 1, "?": 4}


@pytest.mark.parametrize("has_index", [True, False])
def test_a_file_that_was_shortened_is_reported_stream_by_stream(
    tmp_path: Path, given: dict[int, logs.Entry], has_index: bool
) -> None:
    folder = tmp_path / "log"
    path = logs.segment_files(folder)[0]
    os.truncate(path, path.stat().st_size // 2)
    if not has_index:
        remove_indexes(folder)
    with logs.store(folder) as store:
        found, lost = logs.read_all(store.reader())
        missing = set(given) - set(logs.positions(found))
        assert missing
        assert sum(loss.entries for loss in lost) == len(missing)
        assert {loss.reason for loss in lost} <= {LossReason.MISSING, LossReason.DAMAGED}
        assert not has_index or {loss.stream for loss in lost} == set(STREAMS)
        assert store.append([logs.entry(1)]).start > max(given)


def test_a_segment_whose_beginning_is_lost_takes_no_cursor_with_it(tmp_path: Path, no_sync: None) -> None:
    folder = tmp_path / "log"
    store = logs.store(folder)
    store.open()
    first = store.append(logs.entries(0, 2)).start
    store.move_cursor("archive", first)
    while len(logs.segment_files(folder)) < 3:
        store.append(logs.entries(5, 5))
    next_position = store.next_position
    logs.kill(store)
    path = logs.segment_files(folder)[-1]
    path.write_bytes(bytes(250) + path.read_bytes()[250:])
    with logs.store(folder) as store:
        assert store.cursors()["archive"].position == first
        assert store.next_position >= next_position


def test_a_segment_with_nothing_in_it_is_removed_and_its_positions_are_not_used_again(
    tmp_path: Path, given: dict[int, logs.Entry]
) -> None:
    folder = tmp_path / "log"
    path = logs.segment_files(folder)[-1]
    path.write_bytes(bytes(path.stat().st_size))
    with logs.store(folder, identity="another boot") as store:
        assert store.next_position > max(given)
        assert logs.positions(logs.read_all(store.reader())[0]) == [at for at in given if at < int(path.stem, 16)]


def test_a_store_of_which_nothing_is_left_begins_above_what_it_may_have_given_out(
    tmp_path: Path, given: dict[int, logs.Entry]
) -> None:
    for path in logs.segment_files(tmp_path / "log"):
        path.write_bytes(bytes(10))
    with logs.store(tmp_path / "log", clock=lambda: 0) as store:
        assert store.append([logs.entry(1)]).start > max(given)
