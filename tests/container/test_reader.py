"""Reading container files: by index and time, cut anywhere, with any byte changed, and while they grow."""

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from rawdaq.container import BlockDamaged, ContainerError, ContainerReader, ContainerWriter
from rawdaq.container.format.compression import CompressionChoice
from rawdaq.container.format.objects import Item
from tests.container.files import CREATED_NS, ITEMS, MULTIPART, Clock, event, same, written

BLOCKS: Sequence[Sequence[Item]] = [[event(0), event(1)], [event(2), event(3), event(4)], [event(5)]]
SMALL: Sequence[Sequence[Item]] = [[b"a", b"bc"], [b"d"], [b""]]
EVENTS = [item for block in BLOCKS for item in block]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "rawdaq.container")


@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize("compression", [*CompressionChoice])
def test_what_was_written_is_read(tmp_path: Path, compression: CompressionChoice, is_finished: bool) -> None:
    items = [*ITEMS, MULTIPART]
    path = written(tmp_path / "a.rdc", [items[:4], items[4:]], compression, is_finished=is_finished)
    with ContainerReader(path) as reader:
        assert len(reader) == len(items)
        assert all(same(one, other) for one, other in zip(reader, items, strict=True))
        assert not reader.check()


@pytest.mark.parametrize("is_finished", [True, False])
def test_objects_are_found_by_index_slice_and_list(tmp_path: Path, is_finished: bool) -> None:
    with ContainerReader(written(tmp_path / "a.rdc", BLOCKS, is_finished=is_finished)) as reader:
        assert [reader[index] for index in range(6)] == EVENTS
        assert [reader[index] for index in range(-6, 0)] == EVENTS
        assert reader[1:5:2] == EVENTS[1:5:2]
        assert reader[::-1] == EVENTS[::-1]
        assert reader[100:] == []
        assert reader[[5, 0, -2]] == [EVENTS[5], EVENTS[0], EVENTS[4]]
        assert reader.stored(3) == (3, CREATED_NS + 3_000_000_000, EVENTS[3])
        for index in (6, -7):
            with pytest.raises(IndexError, match="has 6 objects"):
                reader[index]


@pytest.mark.parametrize("is_finished", [True, False])
def test_objects_are_found_by_time(tmp_path: Path, is_finished: bool) -> None:
    path = written(tmp_path / "a.rdc", [[event(5), event(1)], [event(3)], [event(0)]], is_finished=is_finished)
    with ContainerReader(path) as reader:
        found = list(reader.between(CREATED_NS + 1_000_000_000, CREATED_NS + 5_000_000_000))
        assert found == [event(1), event(3)]
        assert list(reader.between(0, CREATED_NS)) == []


def test_info_says_what_the_file_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.rdc", BLOCKS)
    with ContainerReader(path) as reader:
        info = reader.info
        assert (info.path, info.size_bytes, info.created_ns) == (path, path.stat().st_size, CREATED_NS)
        assert (info.about, info.blocks, info.objects) == ({"station": "XX.DEMO"}, 3, 6)
        assert (info.first_ns, info.last_ns) == (CREATED_NS, CREATED_NS + 5_000_000_000)
        assert (info.is_finished, info.torn_bytes, info.damaged) == (True, 0, 0)
    with ContainerReader(written(tmp_path / "b.rdc", BLOCKS, is_finished=False)) as reader:
        assert (reader.info.is_finished, reader.info.last_ns) == (False, CREATED_NS + 5_000_000_000)
    with ContainerReader(written(tmp_path / "c.rdc", [])) as reader:
        assert (reader.info.first_ns, reader.info.objects, list(reader)) == (None, 0, [])


def _block_ends(path: Path) -> list[int]:
    data = path.read_bytes()
    begins = [at for at in range(len(data)) if data[at : at + 4] == b"BLK1"]
    return [*begins[1:], data.rindex(b"END1")]


def test_a_file_cut_anywhere_is_read_to_its_last_whole_block(tmp_path: Path) -> None:
    path = written(tmp_path / "a.rdc", SMALL, CompressionChoice.NONE)
    data, ends = path.read_bytes(), _block_ends(path)
    cut = tmp_path / "cut.rdc"
    for size in range(len(data) + 1):
        cut.write_bytes(data[:size])
        whole = sum(end <= size for end in ends)
        with ContainerReader(cut) as reader:
            assert list(reader) == [item for block in SMALL[:whole] for item in block]
            info = reader.info
            assert info.is_finished == (size == len(data))
            if not info.is_finished:
                assert info.torn_bytes == size - (ends[whole - 1] if whole else 57 if size >= 57 else 0)


@pytest.mark.parametrize("is_finished", [True, False])
def test_pages_that_a_power_cut_left_as_zeros_cost_their_own_blocks_only(tmp_path: Path, is_finished: bool) -> None:
    blocks = [[bytes([number]) * 700, b"%d" % number] for number in range(12)]
    path = written(tmp_path / "a.rdc", blocks, CompressionChoice.NONE, is_finished=is_finished)
    data = path.read_bytes()
    begins = [at for at in range(len(data)) if data[at : at + 4] == b"BLK1"]
    ends = [*begins[1:], data.rindex(b"END1") if is_finished else len(data)]
    page = 512
    for at in range(page, len(data), page):  # the first page was synced when the file was made
        path.write_bytes(data[:at] + bytes(len(data[at : at + page])) + data[at + page :])
        hit = [begin < at + page and end > at for begin, end in zip(begins, ends, strict=True)]
        with ContainerReader(path) as reader:
            kept = list(reader)
        assert kept == [item for block, is_hit in zip(blocks, hit, strict=True) if not is_hit for item in block]


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_file_cut_anywhere_is_repaired_and_continued(
    tmp_path: Path, is_finished: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", dict[int, None]().get)  # hundreds of files
    path = written(tmp_path / "a.rdc", SMALL[:2], CompressionChoice.NONE, is_finished=is_finished)
    data, ends = path.read_bytes(), _block_ends(written(tmp_path / "b.rdc", SMALL[:2], CompressionChoice.NONE))
    for size in range(len(data) + 1):
        cut = tmp_path / f"{size}" / "cut.rdc"
        cut.parent.mkdir()
        cut.write_bytes(data[:size])
        whole = sum(end <= size for end in ends)
        with ContainerWriter(cut, {"station": "XX.DEMO"}, CompressionChoice.NONE) as writer:
            repaired = writer.repaired
            writer.write(b"new")
        with ContainerReader(cut) as reader:
            assert list(reader) == [*[item for block in SMALL[:whole] for item in block], b"new"]
            assert not reader.check()
            assert reader.info.is_finished
            assert reader.stored(-1).number == len(reader) - 1
        kept = [file.read_bytes() for file in cut.parent.iterdir() if file != cut]
        assert kept == ([data[size - repaired.cut_bytes : size]] if repaired.cut_bytes else [])
        if not is_finished or size < len(data):
            assert repaired.cut_bytes == size - (ends[whole - 1] if whole else 57 if size >= 57 else 0)


@pytest.mark.parametrize("is_finished", [True, False])
def test_every_changed_byte_is_found_and_costs_its_own_block_only(tmp_path: Path, is_finished: bool) -> None:
    blocks = [[b"0"], [b"1"], [b"2"]]
    path = written(tmp_path / "a.rdc", blocks, CompressionChoice.NONE, is_finished=is_finished)
    data = path.read_bytes()
    begins = [at for at in range(len(data)) if data[at : at + 4] == b"BLK1"]
    ends = [*begins[1:], data.rindex(b"END1") if is_finished else len(data)]
    changed = tmp_path / "changed.rdc"
    for at in range(len(data)):
        changed.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        hit = [number for number, (begin, end) in enumerate(zip(begins, ends, strict=True)) if begin <= at < end]
        with ContainerReader(changed) as reader:
            found = list(reader)
            damages = reader.damaged
            torn = reader.info.torn_bytes
        assert found == [b"%d" % number for number in range(3) if number not in hit], at
        assert damages or (torn and hit == [2] and not is_finished), at
        assert {each.number for each in damages} <= {*hit, None}
        if hit and damages:
            assert hit[0] in {each.number for each in damages}


def test_an_object_of_a_damaged_block_is_refused_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "rawdaq.container")
    path = written(tmp_path / "a.rdc", BLOCKS, CompressionChoice.NONE)
    data = bytearray(path.read_bytes())
    data[data.index(b"BLK1", data.index(b"BLK1") + 1) + 50] ^= 1
    path.write_bytes(data)
    with ContainerReader(path) as reader:
        assert len(reader) == 6
        with pytest.raises(BlockDamaged, match="crc"):
            reader[2]
        assert [*reader] == [*reader] == [*BLOCKS[0], *BLOCKS[2]]
        assert [(each.number, each.reason) for each in reader.damaged] == [(1, "its crc does not fit")]
        assert list(reader.between(0, 1 << 62)) == [*BLOCKS[0], *BLOCKS[2]]
        with ContainerWriter(path) as writer:
            assert writer.repaired.cut_bytes == 0
    assert caplog.text.count("block 1") == 1


def test_a_damaged_block_in_an_open_file_does_not_stop_its_continuation(tmp_path: Path) -> None:
    path = written(tmp_path / "a.rdc", BLOCKS, CompressionChoice.NONE, is_finished=False)
    data = bytearray(path.read_bytes())
    data[data.index(b"BLK1") + 50] ^= 1  # the body of block 0
    data[data.index(b"BLK1", data.index(b"BLK1") + 1)] ^= 1  # the header of block 1
    path.write_bytes(data)
    with ContainerWriter(path) as writer:
        assert [each.number for each in writer.repaired.damages] == [1]
        writer.write(event(6))
    with ContainerReader(path) as reader:
        assert list(reader) == [event(5), event(6)]
        assert [stored.number for stored in reader.walk()] == [5, 6]


@pytest.mark.parametrize("data", [b"PK\3\4", b"\0" * 100, b"RDC2" + bytes(200)])
def test_what_is_no_container_is_refused_and_not_touched(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.rdc"
    path.write_bytes(data)
    for opens in (ContainerReader, ContainerWriter):
        with pytest.raises(ContainerError, match="container"):
            opens(path)
    assert path.read_bytes() == data


def test_a_reader_sees_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "a.rdc"
    writer = ContainerWriter(path, {"a": 1}, clock_ns=Clock())
    with ContainerReader(path) as reader:
        assert (len(reader), reader.refresh()) == (0, 0)
        writer.write(event(0))
        assert reader.refresh() == 0
        writer.flush()
        assert (reader.refresh(), reader[-1]) == (1, event(0))
        writer.write(event(1))
        writer.close()
        assert (reader.refresh(), reader.refresh(), reader.info.is_finished) == (1, 0, True)
        assert (list(reader), reader.info.about) == ([event(0), event(1)], {"a": 1})


def test_a_follower_gets_all_until_the_file_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "a.rdc"
    writer = ContainerWriter(path, compression=CompressionChoice.ZLIB, clock_ns=Clock())
    found: list[Item] = []
    with ContainerReader(path) as reader:
        follower = threading.Thread(target=lambda: found.extend(reader.follow()))
        follower.start()
        for number in range(50):
            writer.write(event(number))
            writer.flush()
        writer.close()
        follower.join(30)
        assert not follower.is_alive()
    assert found == [event(number) for number in range(50)]


def test_following_ends_by_its_timeout_and_by_close(tmp_path: Path) -> None:
    path = written(tmp_path / "a.rdc", BLOCKS, is_finished=False)
    with ContainerReader(path) as reader:
        assert list(reader.follow(timeout_s=0, start=4)) == EVENTS[4:]
        following = reader.follow()
        assert [next(following) for _ in EVENTS] == EVENTS
        stopping = threading.Timer(0, reader.stop)
        stopping.start()
        assert list(following) == []
        stopping.join()
