"""What is written in large groups is joined in memory that is used again, and is what it was."""

from pathlib import Path

import pytest

from rawdaq.store.durability import Durability
from rawdaq.store.folder import File
from rawdaq.store.store import Store
from rawdaq.store.values import Entry

LARGE = 40_000


def entries(number: int) -> list[Entry]:
    """Return a group that is large, of contents that no other has."""
    return [Entry("s", number, number, bytes([number]) * LARGE, head=bytes([number + 1, at])) for at in range(3)]


def bodies(path: Path) -> list[bytes]:
    with Store(path) as store:
        return [stored.body for stored in store.reader(store.oldest_position).read(10_000_000).entries]


def test_groups_come_back_as_they_were_over_many_syncs(tmp_path: Path) -> None:
    with Store(tmp_path / "log") as store:
        for number in range(20):
            store.append(entries(number))
            if number % 3 == 2:
                store.sync()
    expected = [entry.head + bytes(entry.body) for number in range(20) for entry in entries(number)]
    assert bodies(tmp_path / "log") == expected


def test_what_a_failed_sync_held_is_written_again_though_more_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path / "log") as store:
        store.append(entries(0))
        store.sync()
        store.append(entries(1))
        with monkeypatch.context() as broken:
            broken.setattr(File, "sync", _refuse)
            with pytest.raises(Exception, match="Input/output"):
                store.sync()
        store.append(entries(2))
        rewritten = list[int]()
        write = File.write

        def note(self: File, data: bytes | memoryview, offset: int) -> None:
            rewritten.append(len(data))
            write(self, data, offset)

        monkeypatch.setattr(File, "write", note)
        store.sync()
    assert [size for size in rewritten if size > LARGE] == [3 * (LARGE + 2 + 44)] * 2
    assert len(bodies(tmp_path / "log")) == 9


def test_memory_of_a_flood_is_let_go_when_it_is_over(tmp_path: Path) -> None:
    with Store(tmp_path / "log") as store:
        durability: Durability = store._parts.durability
        for number in range(5):
            store.append(entries(number))
        assert durability._chunk.size
        store.sync()
        assert not durability._chunk.size


def _refuse(self: File) -> None:
    raise OSError(5, "Input/output error")
