"""Many readers of one store while it is written, trimmed and damaged, in this process and in another."""

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.store.errors import DiskGone, StoreClosed
from rawdaq.store.format.frames import HEADER_BYTES
from rawdaq.store.inspect import StoreView
from rawdaq.store.retention import Retention
from rawdaq.store.segments import catalog
from tests.helpers import ROOT, environment
from tests.store import logs

ENTRIES = 1500

OpenView = Callable[..., StoreView]


class Follower(threading.Thread):
    """Reads all that is written, from the beginning, from a place in time, or from the end, and looks things up."""

    def __init__(self, store: logs.Store, first: int, kind: str) -> None:
        super().__init__(name=f"follower {kind}")
        self.error: BaseException | None = None
        self.found: list[int] = []
        self.skipped = 0
        self._store, self._first, self._kind = store, first, kind

    def run(self) -> None:
        try:
            self._follow()
        except BaseException as error:
            self.error = error

    def _follow(self) -> None:
        store, chance = self._store, random.Random(self._kind)
        position = store.end_position if self._kind == "newest" else None
        if self._kind == "time":
            position = store.find(logs.STREAMS[0], logs.START_NS)
        reader = store.reader(position)
        end = self._first + ENTRIES
        while reader.position < end:
            batch = reader.read(chance.randrange(1, 3000))
            self.skipped += batch.skipped
            assert not batch.losses
            for each in batch.entries:
                assert logs.content(each) == logs.entry(each.position - self._first)
            self.found += logs.positions(batch.entries)
            if chance.random() < 0.8:
                continue
            stream = chance.choice(logs.STREAMS)
            newest = store.newest(stream)
            assert newest is None or (newest - self._first) % 3 == logs.STREAMS.index(stream)
            assert len(store.ranges(stream, 3 * logs.NS_PER_S)) <= 1
            self._find(stream)

    def _find(self, stream: str) -> None:
        """Find what is there at least from before to after the call."""
        number = logs.STREAMS.index(stream)
        oldest = self._store.oldest_position
        found = self._store.find(stream, logs.START_NS)
        newest = self._store.end_position
        if found is not None:
            assert oldest <= found < newest
            assert (found - self._first) % 3 == number


@pytest.mark.parametrize("max_bytes", [None, 10 * logs.SEGMENT_BYTES])
def test_readers_in_threads_get_everything_in_order_while_it_is_written_and_trimmed(
    tmp_path: Path, no_sync: None, max_bytes: int | None
) -> None:
    with logs.store(tmp_path / "log", retention=Retention(max_bytes)) as store:
        first, chance = store.append(logs.entries(0, 3)).start, random.Random(1)
        followers = [Follower(store, first, kind) for kind in ("oldest", "oldest 2", "time", "time 2", "newest", "n")]
        for follower in followers:
            follower.start()
        while (number := store.next_position - first) < ENTRIES:
            store.append(logs.entries(number, chance.randrange(1, 9)))
            if chance.random() < 0.1:
                store.sync()
                store.maintain()
        for follower in followers:
            follower.join(60)
            assert follower.error is None, follower.error
            assert not follower.is_alive()
            assert follower.found == sorted(set(follower.found))
            assert follower.found[-1] >= first + ENTRIES - 1
            if max_bytes is None:
                assert follower.skipped == 0
                assert follower.found == list(range(follower.found[0], follower.found[-1] + 1))


def test_a_view_follows_another_process_that_writes_and_is_killed(
    tmp_path: Path, no_sync: None, open_view: OpenView
) -> None:
    folder = tmp_path / "log"
    store = logs.store(folder)
    store.open()
    first = store.append(logs.entries(0, 3)).start
    view = open_view(folder)
    reader, chance, found = view.reader(), random.Random(2), list[logs.Stored]()
    while (number := store.next_position - first) < 600:
        store.append(logs.entries(number, chance.randrange(1, 9)))
        if chance.random() < 0.2:
            store.sync()
            store.maintain()
        found += view.read(reader).entries
        view.refresh()
        assert view.end_position == store.end_position
    assert view.newest(logs.STREAMS[0]) == store.newest(logs.STREAMS[0])
    logs.kill(store)
    while batch := view.read(reader).entries:
        found += batch
    assert logs.contents(found) == logs.entries(0, len(found))
    assert len(found) >= 600


def test_a_view_that_is_overtaken_jumps(tmp_path: Path, no_sync: None, open_view: OpenView) -> None:
    folder, reports = tmp_path / "log", logs.Reports()
    with logs.store(folder, retention=Retention(5 * logs.SEGMENT_BYTES)) as store:
        first = store.append(logs.entries(0, 3)).start
        view = open_view(folder, reports.append)
        reader = view.reader()
        view.read(reader, 1)
        for count in (1, 600):
            end = store.next_position + count
            while store.oldest_position == view.oldest_position or store.next_position < end:
                store.append(logs.entries(store.next_position - first, 7))
                store.sync()
                store.maintain()
            behind = reader.position
            batch = view.read(reader)
            skipped = batch.skipped
            while not batch.entries:
                batch = view.read(reader)
                skipped += batch.skipped
            assert skipped == store.oldest_position - behind
            assert batch.entries[0].position == store.oldest_position
            assert logs.content(batch.entries[0]) == logs.entry(store.oldest_position - first)
    assert not reports


def test_a_view_sees_no_group_that_is_not_complete(tmp_path: Path, no_sync: None, open_view: OpenView) -> None:
    folder = tmp_path / "log"
    store = logs.store(folder)
    store.open()
    first = store.append(logs.entries(0, 3))
    (path,) = logs.segment_files(folder)
    begin = path.stat().st_size
    store.append(logs.entries(3, 3))
    logs.kill(store)
    whole = path.read_bytes()
    path.write_bytes(whole[:begin])
    view = open_view(folder)
    for size in range(begin, len(whole)):
        path.write_bytes(whole[:size])
        view.refresh()
        assert view.end_position == first.stop
    path.write_bytes(whole)
    view.refresh()
    assert view.end_position == first.stop + 3
    assert logs.contents(logs.read_all(view.reader())[0]) == logs.entries(0, 6)


def test_a_view_of_a_damaged_last_segment_goes_on_behind_it(tmp_path: Path, no_sync: None, open_view: OpenView) -> None:
    folder, reports = tmp_path / "log", logs.Reports()
    with logs.store(folder) as store:
        first = store.append(logs.entries(0, 3)).start
        view = open_view(folder, reports.append)
        store.append(logs.entries(3, 3))
        store.append(logs.entries(6, 3))
        (path,) = logs.segment_files(folder)
        header = path.read_bytes().index(logs.entry(3).body) - HEADER_BYTES
        with path.open("r+b") as file:
            os.pwrite(file.fileno(), bytes(20), header)
        found, lost = logs.read_all(view.reader())
        assert logs.contents(found) == logs.entries(0, 3)
        view.refresh()
        found, lost = logs.read_all(view.reader(first + 3))
        assert logs.contents(found) == logs.entries(4, 5)
        assert [(loss.first, loss.last) for loss in lost] == [(first + 3, first + 3)]
        assert reports == lost


def test_a_view_of_nothing_is_empty_and_one_of_no_folder_fails(
    tmp_path: Path, no_sync: None, open_view: OpenView
) -> None:
    with pytest.raises(DiskGone):
        open_view(tmp_path / "none")
    (tmp_path / "log").mkdir()
    view = open_view(tmp_path / "log")
    assert (view.oldest_position, view.end_position, view.cursors(), view.extents()) == (0, 0, {}, {})
    with logs.store(tmp_path / "log") as store:
        first = store.append(logs.entries(0, 3)).start
        reader = view.reader()
        found = view.read(reader).entries
        assert logs.positions(found) == [first, first + 1, first + 2]
        assert view.read(reader).entries == []


def test_a_dump_in_another_process_reads_what_is_being_written(tmp_path: Path, no_sync: None) -> None:
    code = (
        "import sys; from pathlib import Path; from rawdaq.store.inspect import StoreView\n"
        "view = StoreView.of(Path(sys.argv[1])); print(*view.reader().read().entries, sep='\\n')"
    )
    with logs.store(tmp_path / "log") as store:
        given = store.append(logs.entries(0, 5))
        command = [sys.executable, "-c", code, str(tmp_path / "log")]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True, timeout=60
        )
        assert [f"Stored(position={each}, " in done.stdout for each in given] == [True] * 5


def test_few_files_are_open_however_many_there_are(
    tmp_path: Path, no_sync: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "_LOADED", 5)
    with logs.store(tmp_path / "log") as store:
        first = store.append(logs.entries(0, 5)).start
        while store.status().segments < 20:
            store.append(logs.entries(store.next_position - first, 5))
        store.sync()
        store.maintain()
        for _ in range(2):
            found, lost = logs.read_all(store.reader(), 1 << 20)
            assert logs.contents(found) == logs.entries(0, len(found))
            assert not lost
            for number in range(0, len(found), 7):
                each = logs.entry(number)
                assert store.find(each.stream, each.end_ns) == first + number
            open_files = sorted(os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists())
            assert sum("/log/" in path for path in open_files) < 15, open_files
        assert sum(segment.is_loaded for segment in store._catalog.segments) <= 5


def test_a_reader_of_a_closed_store_is_told_so(tmp_path: Path, no_sync: None) -> None:
    store = logs.store(tmp_path / "log")
    with pytest.raises(StoreClosed):
        store.append(logs.entries(0, 1))
    store.close()
    with store:
        assert store.find("none", 0) is None
        given = store.append(logs.entries(0, 1))
        reader = store.reader()
        with pytest.raises(InvalidValue, match=f"the next one is {given.stop}"):
            store.reader(given.stop + 1).read()
    for ask in (reader.read, store.sync, lambda: store.find("a", 0), lambda: store.extents()):
        with pytest.raises(StoreClosed):
            ask()
