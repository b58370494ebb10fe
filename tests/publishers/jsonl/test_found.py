"""What a JsonLinesPublisher recognises of before a crash, and what it has a journal keep, step by step."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rawdaq.publisher import CursorMarks, PublisherUnavailable
from rawdaq.publishers.jsonl import JsonLinesPublisher
from rawdaq.publishers.jsonl.files import LineFiles
from rawdaq.publishers.jsonl.found import Delivered, FoundLines
from rawdaq.publishers.jsonl.layout import JsonLinesLayout
from rawdaq.publishers.jsonl.lines import LineMaker
from rawdaq.publishers.jsonl.progress import Place
from tests.disks import fail_with
from tests.makers import message
from tests.publishers.jsonl.test_publisher import item

A, B = "XX_A_00_LOG/JSON", "XX_B_00_LOG/JSON"
NOTHING: list[object] = []


def found_in(folder: Path, texts: dict[str, bytes], delivered: Delivered | None = None) -> FoundLines:
    """Return what is recognised in files that hold *texts* beyond the cursor."""
    delivered = delivered or Delivered()
    for name, text in texts.items():
        (folder / name).write_bytes(text)
        delivered.sizes.setdefault(folder / name, 0)
    found = FoundLines(delivered, LineMaker(folder, JsonLinesLayout("%s")))
    assert found.read() == {folder / name for name, text in texts.items() if text}
    return found


def test_marks_come_back_as_they_were() -> None:
    for one in (Delivered(), Delivered({Path("a/\udcff"): 1 << 40, Path("/b"): 0}, Place(-1, 1 << 80))):
        assert Delivered.unpack(one.pack()) == one


def test_a_line_that_is_missing_lets_all_others_come_again(tmp_path: Path) -> None:
    delivered = Delivered()
    found = found_in(tmp_path, {"A": b"1\n", "B": b"2\n4\n"}, delivered)
    first, second, third, fourth = item(1, b"1", A), item(2, b"2", B), item(3, b"3", A), item(4, b"4", B)
    assert found.rest(first, False) == found.rest(second, False) == NOTHING
    for _ in range(2):  # what waits is forgotten, and read once more
        assert found.rest(third, False) == [(0, third)]
        assert found.rest(fourth, False) == [(0, fourth)]
    assert found.to_cut == {tmp_path / "B": 2}
    assert (delivered.sizes, delivered.last) == ({tmp_path / "A": 2, tmp_path / "B": 2}, Place(2, 2000))


def test_a_line_that_the_journal_has_lost_stays(tmp_path: Path) -> None:
    delivered = Delivered()
    found = found_in(tmp_path, {"A": b"1\n2\n"}, delivered)
    assert found.rest(item(1, b"1", A), False) == NOTHING
    new = item(3, b"3", A)
    assert found.rest(new, True) == [(0, new)]
    assert (found.to_cut, found.is_over, delivered.sizes) == ({}, True, {tmp_path / "A": 4})


def test_messages_do_not_end_the_search_for_packets_that_come_again(tmp_path: Path) -> None:
    found = found_in(tmp_path, {"A": b"1\n"})
    found.rest(item(1, b"1", A), False)
    for again in (message(1), item(1, b"1", A), message(2)):
        assert found.rest(again, True) == [(0, again)]
        assert not found.is_over
    found.rest(item(2, b"2", A), True)
    assert (found.is_over, found.first_new) == (True, Place(2, 2000))
    only_messages = found_in(tmp_path, {})
    only_messages.rest(message(1), True)
    assert only_messages.is_over


def test_a_torn_line_is_cut_and_a_file_that_has_gone_is_none(tmp_path: Path) -> None:
    found = found_in(tmp_path, {"A": b"1\n2", "B": b"3\n"}, Delivered({tmp_path / "gone": 7}))
    assert (tmp_path / "A").read_bytes() == b"1\n"
    assert found.rest(item(1, b"1", A), False) == NOTHING


class Marks:
    """Keeps marks as a journal does."""

    def __init__(self) -> None:
        self.kept: list[dict[Path, int]] = []

    def remember(self, marks: CursorMarks) -> None:
        self.kept.append(Delivered.unpack(marks).sizes)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[JsonLinesPublisher]:
    publisher = JsonLinesPublisher("%s", folder=tmp_path, state=tmp_path / ".state")
    await publisher.open()
    yield publisher
    await publisher.aclose()


def lines(path: Path) -> list[int]:
    return [int(line) for line in path.read_bytes().splitlines()]


async def test_what_came_twice_is_written_once_though_it_all_comes_at_once(
    tmp_path: Path, one: JsonLinesPublisher
) -> None:
    found = await one.recover({}, Marks().remember)
    old = [item(number, b"%d" % number, A) for number in (1, 2)]
    new = [*old, item(3, b"3", A), item(4, b"4", A)]
    for each in old:
        assert found.rest(each, False) == [(0, each)]
    for each in new:
        assert found.rest(each, True) == [(0, each)]
        if found.is_over:
            break
    await one.deliver([*old, *new])
    assert lines(tmp_path / "A") == [1, 2, 3, 4]
    await one.deliver([item(1, b"1", A)])  # a ring that began anew, under a clock that was set back
    assert lines(tmp_path / "A") == [1, 2, 3, 4, 1]


async def test_a_batch_that_failed_is_written_once(
    tmp_path: Path, one: JsonLinesPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one.deliver([item(1, b"1", A)])
    await one.aclose()
    again = JsonLinesPublisher("%s", folder=tmp_path, state=tmp_path / ".state")
    await again.open()
    batch = [item(1, b"1", A), item(2, b"2", A)]
    with monkeypatch.context() as patch:
        patch.setattr(LineFiles, "append", fail_with(28))
        with pytest.raises(PublisherUnavailable):
            await again.deliver(batch)
    await again.deliver(batch)
    await again.aclose()
    assert lines(tmp_path / "A") == [1, 2]


async def test_where_a_file_begins_is_kept_once_and_anew_when_it_was_replaced(
    tmp_path: Path, one: JsonLinesPublisher
) -> None:
    marks = Marks()
    (tmp_path / "B").write_bytes(b"0\n")
    await one.recover({}, marks.remember)
    await one.deliver([item(1, b"1", A), item(2, b"2", B)])
    await one.deliver([item(3, b"3", A)])
    assert marks.kept == [{tmp_path / "A": 0, tmp_path / "B": 2}]
    (tmp_path / "A").unlink()
    await one.deliver([item(4, b"4", A)])
    assert marks.kept[1:] == [{tmp_path / "A": 0}]


async def test_a_journal_that_keeps_no_marks_makes_it_wait(tmp_path: Path, one: JsonLinesPublisher) -> None:
    def refuse(marks: CursorMarks) -> None:
        raise PublisherUnavailable("its place in the journal cannot be kept: full")

    await one.recover({}, refuse)
    with pytest.raises(PublisherUnavailable, match="full"):
        await one.deliver([item(1, b"1", A)])
    assert (one.status()["lines"], lines(tmp_path / "A")) == (0, [])


async def test_a_file_that_is_written_meanwhile_stays_known(tmp_path: Path, one: JsonLinesPublisher) -> None:
    marks = Marks()
    found = await one.recover({}, marks.remember)
    found.rest(item(1, b"1", A), True)
    await one.deliver([item(1, b"1", A)])
    await one.settled(at_once=True)
    settled, _ = await asyncio.gather(one.settled(at_once=True), one.deliver([item(2, b"2", A)]))
    assert Delivered.unpack(settled).sizes == {tmp_path / "A": 2}
    for known in ({tmp_path / "A": 4}, {}):
        assert Delivered.unpack(await one.settled(at_once=True)).sizes == known
    await one.deliver([item(3, b"3", A)])
    assert marks.kept == [{tmp_path / "A": 0}, {tmp_path / "A": 4}]


async def test_what_a_delivery_has_just_begun_is_kept(tmp_path: Path, one: JsonLinesPublisher) -> None:
    marks = Marks()
    await one.recover({}, marks.remember)
    await one.deliver([item(1, b"1", A)])
    (tmp_path / "A").rename(tmp_path / "moved")
    begun, can_go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def remember(kept: CursorMarks) -> None:
        marks.remember(kept)
        loop.call_soon_threadsafe(begun.set)
        assert can_go_on.wait(30)

    one._remember = remember
    delivering = asyncio.ensure_future(one.deliver([item(2, b"22", A)]))
    await begun.wait()
    settling = asyncio.ensure_future(one.settled(at_once=True))
    await asyncio.sleep(0)
    can_go_on.set()
    await delivering
    assert Delivered.unpack(await settling).sizes == {tmp_path / "A": 0}
    assert Delivered.unpack(await one.settled(at_once=True)).sizes == {tmp_path / "A": 3}


async def test_very_many_files_wait_until_those_before_are_safe(
    tmp_path: Path, one: JsonLinesPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.publishers.jsonl.publisher._MANY", 2)
    monkeypatch.setattr("rawdaq.publishers.jsonl.publisher._MARKS_BYTES", 4 * len(str(tmp_path / "A")))
    await one.recover({}, Marks().remember)
    batch = [item(number, b"1", f"XX_{name}_00_LOG/JSON") for number, name in enumerate("ABCADE", 1)]
    batch[4:4] = [b"no packet"]
    with pytest.raises(PublisherUnavailable, match="thousands of files") as raised:
        await one.deliver(batch)
    assert raised.value.delivered == 6
    assert Delivered.unpack(await one.settled(at_once=True)).sizes == {}
    await one.deliver(batch[6:])
    assert [lines(tmp_path / name) for name in "ABCDE"] == [[1, 1], [1], [1], [1], [1]]


async def test_without_a_journal_nothing_is_remembered_of_files(tmp_path: Path, one: JsonLinesPublisher) -> None:
    await one.deliver([item(1, b"1", A)])
    assert not one._delivered.sizes


async def test_a_file_that_is_moved_is_synced_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = set[int]()

    def sync(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", sync)
    files = LineFiles(2, lambda path, torn: None)
    files.append(tmp_path / "A", b"1\n")
    (tmp_path / "A").rename(tmp_path / "moved")
    files.append(tmp_path / "A", b"2\n")
    files.close()
    assert synced == {(tmp_path / "moved").stat().st_ino}
