"""Sizes of files are kept before anything is appended to them, and told after it."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from rawdaq.archive.archive import Archive
from rawdaq.archive.sizes import FileSizes
from rawdaq.miniseed.format import RecordRun
from rawdaq.miniseed.maker import Record
from rawdaq.publisher import PublisherUnavailable
from tests.archive.archives import START_NS, N, Z, opened, records, sds
from tests.journals import archived

DAY_NS = 86_400 * 10**9
TODAY, TOMORROW = "2026/XX/DEMO/HHZ.D/XX.DEMO.00.HHZ.D.2026.325", "2026/XX/DEMO/HHZ.D/XX.DEMO.00.HHZ.D.2026.326"


def runs(some: list[Record]) -> list[RecordRun]:
    return [RecordRun(each.stream, [each.start_ns], [each.sample_count], 100.0, each.data) for each in some]


class Kept:
    """What was asked to be kept, and what stood in the files then."""

    def __init__(self, root: Path) -> None:
        self.calls: list[dict[str, int]] = []
        self.refuses = False
        self._root = root

    def __call__(self, sizes: Mapping[str, int]) -> None:
        if self.refuses:
            raise PublisherUnavailable("not now")
        assert all((self._root / name).stat().st_size == size for name, size in sizes.items())
        self.calls.append(dict(sizes))


def watched(root: Path, known: Mapping[str, int] | None = None) -> tuple[Archive, Kept]:
    archive, kept = opened(root), Kept(root)
    archive.sizes = FileSizes(root, known or {}, kept)
    return archive, kept


def test_new_files_are_kept_together_before_their_first_record(tmp_path: Path) -> None:
    archive, kept = watched(tmp_path)
    archive.write(runs(records(Z, N)))
    assert kept.calls == [{TODAY: 0, TODAY.replace("HHZ", "HHN"): 0}]
    archive.write(runs(records(Z)))
    assert len(kept.calls) == 1
    assert archive.sizes is not None
    assert archive.sizes.take_changed() == {TODAY: 1024, TODAY.replace("HHZ", "HHN"): 512}
    assert archive.sizes.take_changed() == {}
    archive.close()


def test_a_file_that_is_known_is_not_kept_anew_unless_it_has_become_shorter(tmp_path: Path) -> None:
    archive, _ = watched(tmp_path)
    archive.write(runs(records(Z, count=3)))
    archive.close()
    again, kept = watched(tmp_path, {TODAY: 1024})
    again.write(runs(records(Z)))
    assert kept.calls == []
    again.close()
    os.truncate(sds(tmp_path, Z), 512)
    shorter, kept = watched(tmp_path, {TODAY: 1024})
    shorter.write(runs(records(Z)))
    assert kept.calls == [{TODAY: 512}]
    shorter.close()


def test_nothing_is_written_while_it_cannot_be_kept_and_nothing_twice_later(tmp_path: Path) -> None:
    archive, kept = watched(tmp_path)
    kept.refuses = True
    batch = runs(records(Z, N))
    with pytest.raises(PublisherUnavailable, match="not now"):
        archive.write(batch)
    assert sds(tmp_path, Z).stat().st_size == 0
    kept.refuses = False
    archive.write(batch)
    archive.close()
    assert {name: len(values) for (name, _), values in archived(tmp_path).items()} == {str(Z): 20, str(N): 20}


def test_a_file_that_is_left_is_forgotten_after_a_while_and_kept_anew_when_it_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, kept = watched(tmp_path)
    assert archive.sizes is not None
    archive.write(runs(records(Z)))
    archive.write(runs(records(Z, start_ns=START_NS + DAY_NS)))
    assert archive.sizes.take_changed() == {TODAY: 512, TOMORROW: 512}
    monkeypatch.setattr("rawdaq.archive.sizes._FORGET_S", -1.0)
    assert archive.sizes.take_changed() == {TODAY: None}
    archive.write(runs(records(Z)))
    assert kept.calls == [{TODAY: 0}, {TOMORROW: 0}, {TODAY: 512}]
    assert archive.sizes.take_changed() == {TODAY: 1024, TOMORROW: None}
    archive.close()
