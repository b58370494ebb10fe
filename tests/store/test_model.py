"""A store does what a list in memory does, whatever is done to it in whatever order."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rawdaq.store.cursors import CursorMove
from rawdaq.store.retention import Retention
from rawdaq.store.values import Burnt, Entry, LossReason, Trimmed
from tests.store import logs

TIMES = st.integers(0, 40)
STREAMS = st.sampled_from(["a", "b", "c"])


def entry(stream: str, start: int, length: int, size: int) -> Entry:
    return Entry(stream, start, start + length, bytes([start]) * size, size % 3)


ENTRIES = st.lists(st.builds(entry, STREAMS, TIMES, st.integers(0, 5), st.integers(0, 300)), max_size=6)
CURSORS = st.sampled_from(["one", "two"])
MARKS = st.dictionaries(st.sampled_from([b"x", b"y"]), st.sampled_from([b"", b"1", b"22"]))


class StoreMachine(RuleBasedStateMachine):
    @initialize(drops_needed=st.booleans(), max_segments=st.sampled_from([None, 4, 6]))
    def begin(self, drops_needed: bool, max_segments: int | None) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.patches = contextlib.ExitStack()
        for name in ("fsync", "fdatasync"):
            self.patches.enter_context(mock.patch.object(os, name, return_value=None))
        max_bytes = None if max_segments is None else max_segments * logs.SEGMENT_BYTES
        self.retention = Retention(max_bytes, drops_needed=drops_needed)
        self.boot = 0
        self.model: dict[int, Entry] = {}
        self.cursors: dict[str, tuple[int | None, dict[bytes, bytes]]] = {}
        self.highest = 0
        self.reports = logs.Reports()
        self.open()

    def open(self) -> None:
        self.store = logs.store(self.folder / "log", self.reports, f"boot {self.boot}", retention=self.retention)
        self.store.open()
        assert self.store.next_position > self.highest

    @rule(new=ENTRIES, moved=st.none() | CURSORS, marks=MARKS, back=st.integers(0, 9))
    def append(self, new: list[Entry], moved: str | None, marks: dict[bytes, bytes], back: int) -> None:
        position = max(self.store.oldest_position, self.store.end_position - back)
        moves = [CursorMove(moved, position, marks)] if moved is not None else []
        given, full = self.try_to_append(new, moves)
        if full is not None:
            assert not self.retention.drops_needed
            assert set(full.cursors) <= set(self.cursors)
            self.cursors.clear()
            for name in self.store.cursors():
                self.store.drop_cursor(name)
            return
        assert not given or given.start > self.highest
        self.highest = max(self.highest, *given) if given else self.highest
        self.model |= zip(given, new, strict=True)
        for name, at, changed in moves:
            self.move(name, at, dict(changed))

    def try_to_append(self, new: list[Entry], moves: list[CursorMove]) -> tuple[range, logs.StoreFull | None]:
        try:
            return self.store.append(new, moves), None
        except logs.StoreFull as error:
            return range(0), error

    def move(self, name: str, position: int | None, marks: dict[bytes, bytes]) -> None:
        merged = {**self.cursors.get(name, (None, {}))[1], **marks}
        self.cursors[name] = (position, {key: value for key, value in merged.items() if value})

    @rule(name=CURSORS, back=st.none() | st.integers(0, 9), marks=MARKS)
    def move_cursor(self, name: str, back: int | None, marks: dict[bytes, bytes]) -> None:
        position = None if back is None else max(self.store.oldest_position, self.store.end_position - back)
        self.store.move_cursor(name, position, marks)
        self.move(name, position, marks)

    @rule(name=CURSORS)
    def drop_cursor(self, name: str) -> None:
        self.store.drop_cursor(name)
        self.cursors.pop(name, None)

    @rule()
    def sync_and_maintain(self) -> None:
        self.store.sync()
        self.store.maintain()

    @rule(is_clean=st.booleans(), is_other_boot=st.booleans())
    def reopen(self, is_clean: bool, is_other_boot: bool) -> None:
        self.store.sync()  # what is moved only in memory is not there after a kill
        if is_clean:
            self.store.close()
        else:
            logs.kill(self.store)
        self.boot += is_other_boot
        self.open()

    @rule(new=ENTRIES, share=st.floats(0, 0.999), is_other_boot=st.booleans())
    @precondition(lambda self: not self.cursors)
    def tear(self, new: list[Entry], share: float, is_other_boot: bool) -> None:
        self.store.sync()
        before = {path: path.stat().st_size for path in (self.folder / "log").glob("*.seg")}
        if not new or len(before) < 1:
            return
        given = self.store.append(new)
        logs.kill(self.store)
        after = {path: path.stat().st_size for path in (self.folder / "log").glob("*.seg")}
        grown = [path for path, size in after.items() if before.get(path) != size]
        self.highest = max(self.highest, *given)
        if len(grown) == 1 and grown[0] in before:
            old = before[grown[0]]
            os.truncate(grown[0], old + int((after[grown[0]] - old) * share))
        else:
            self.model |= zip(given, new, strict=True)
        self.highest = max(self.model, default=0)
        self.boot += is_other_boot
        self.open()

    @invariant()
    def same_entries(self) -> None:
        if not hasattr(self, "store"):
            return
        removed = [report for report in self.reports if isinstance(report, Trimmed)]
        for report in removed:
            assert not report.undelivered or self.retention.drops_needed
            for position in range(report.first, report.last + 1):
                self.model.pop(position, None)
        assert all(loss.reason is LossReason.TORN for loss in self.reports.losses())
        assert all(isinstance(report, Burnt | Trimmed | logs.Loss) for report in self.reports)
        self.reports.clear()
        found, lost = logs.read_all(self.store.reader())
        assert not lost
        assert dict(zip(logs.positions(found), logs.contents(found), strict=True)) == self.model
        assert logs.positions(found) == sorted(self.model)

    @invariant()
    def same_cursors(self) -> None:
        if hasattr(self, "store"):
            found = {name: (each.position, dict(each.marks)) for name, each in self.store.cursors().items()}
            assert found == self.cursors

    @rule(stream=STREAMS, time_ns=TIMES)
    def find(self, stream: str, time_ns: int) -> None:
        fits = [at for at, each in self.model.items() if each.stream == stream and each.end_ns >= time_ns]
        assert self.store.find(stream, time_ns) == min(fits, default=None)
        of_stream = [at for at, each in self.model.items() if each.stream == stream]
        assert self.store.newest(stream) == max(of_stream, default=None)

    @rule(stream=STREAMS, tolerance=st.integers(0, 3))
    def ranges(self, stream: str, tolerance: int) -> None:
        held: list[tuple[int, int]] = []
        for start, end in sorted((each.start_ns, each.end_ns) for each in self.model.values() if each.stream == stream):
            if held and start <= held[-1][1] + tolerance:
                held[-1] = (held[-1][0], max(held[-1][1], end))
            else:
                held.append((start, end))
        assert self.store.ranges(stream, tolerance) == held
        extents = self.store.extents()
        counts = {name: sum(each.stream == name for each in self.model.values()) for name in "abc"}
        assert {name: each.entries for name, each in extents.items()} == {k: v for k, v in counts.items() if v}

    @rule(back=st.integers(0, 30), max_bytes=st.integers(1, 500))
    def read_from(self, back: int, max_bytes: int) -> None:
        begin = max(self.store.end_position - back, 0)
        found, _ = logs.read_all(self.store.reader(begin), max_bytes)
        assert logs.positions(found) == sorted(at for at in self.model if at >= begin)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.patches.close()
            shutil.rmtree(self.folder)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
