"""Files of ssdaq: the documented bytes, truncated and damaged ones, and those that we write."""

import bz2
import logging
import struct
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.container import BlockDamaged, ContainerError, SofReader
from rawdaq.container import sof as module
from rawdaq.container.errors import ContainerTooNew, NotContainer
from rawdaq.container.sof import write_sof

#: Made by ssdaq itself: three objects, no compression, an extension of 8 bytes.
EXAMPLE = (
    b"SOF\0" + bytes(4) + struct.pack("<IQHH", 1, 1_790_000_000, 0, 8) + struct.pack("<HHB", 1, 0, 3) + b"1.0"
    b"hellowonderfulworlds!"
    + bytes.fromhex("86a61036 29f51ef9 d72e46b8 05000000 09000000 07000000")
    + struct.pack("<QQQIIH", 77, 45, 77, 0, 3, 0)
)
OBJECTS = [b"object %d " % number * (number % 7) for number in range(400)]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "rawdaq.container")


def test_the_documented_file_is_read_and_written_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.sof"
    path.write_bytes(EXAMPLE)
    with SofReader(path) as reader:
        assert list(reader) == [b"hello", b"wonderful", b"worlds!"]
        assert (reader[-1], reader[0:2], reader.stored(1)) == (
            b"worlds!",
            [b"hello", b"wonderful"],
            (1, None, b"wonderful"),
        )
        assert reader.info == (path, len(EXAMPLE), 1, 1_790_000_000 * 10**9, False, 1, 3, 0, 0)
    other = tmp_path / "b.sof"
    assert write_sof(other, [b"hello", b"wonderful", b"worlds!"], 1_790_000_000, "1.0", is_compressed=False) == 3
    assert other.read_bytes() == EXAMPLE


@pytest.fixture(params=[True, False], ids=["bz2", "plain"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file with OBJECTS in several bunches."""
    monkeypatch.setattr(module, "BUNCH_BYTES", 1000)
    path = tmp_path / "several.sof"
    assert write_sof(path, OBJECTS, 1_790_000_000, "rawdaq", is_compressed=request.param) == 400
    return path


def test_all_objects_of_several_bunches_are_read(path: Path) -> None:
    with SofReader(path) as reader:
        assert list(reader) == OBJECTS
        assert reader[[399, 0, -5]] == [OBJECTS[399], OBJECTS[0], OBJECTS[-5]]
        assert reader.info.blocks > 5
        assert not reader.check()


def test_of_a_truncated_file_all_whole_bunches_are_read(path: Path, tmp_path: Path) -> None:
    data, cut = path.read_bytes(), tmp_path / "cut.sof"
    with SofReader(path) as reader:
        ends = [each.end for each in reader._bunches]
        counts = [each.objects for each in reader._bunches]
    for size in [*range(32, len(data), 97), *ends, *(end - 1 for end in ends)]:
        cut.write_bytes(data[:size])
        whole = sum(end <= size for end in ends)
        with SofReader(cut) as reader:
            assert list(reader) == OBJECTS[: sum(counts[:whole])]
            assert reader.info.torn_bytes == size - (ends[whole - 1] if whole else _begin(data))


def _begin(data: bytes) -> int:
    return 24 + int.from_bytes(data[22:24], "little")


def test_damages_cost_their_own_objects_only(path: Path) -> None:
    data = bytearray(path.read_bytes())
    with SofReader(path) as reader:
        first, second, third = reader._bunches[:3]
        is_compressed = reader.info.is_compressed
    data[first.data + 20] ^= 1
    data[second.trailer + 16] ^= 1  # its own position
    path.write_bytes(data)
    with SofReader(path) as reader:
        found = list(reader)
        assert found[-third.objects :] == OBJECTS[-third.objects :]
        assert not {*found} - {*OBJECTS}
        lost = second.objects + (first.objects if is_compressed else 1)
        assert len(found) == 400 - lost
        assert [each.number for each in reader.damaged] == [1, 0]
        place = next(index for index, text in enumerate(OBJECTS) if text)
        with pytest.raises(BlockDamaged):
            reader[[*range(place, first.objects)]]


def test_a_file_of_version_0_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    objects = [b"one", b"", b"three"]
    data = struct.pack("<QI12x", 99, 0) + b"".join(
        struct.pack("<II", len(each), crc32(each)) + each for each in objects
    )
    path = tmp_path / "a.sof"
    path.write_bytes(data)
    with SofReader(path) as reader:
        assert list(reader) == objects
        assert reader.info == (path, len(data), 0, None, False, 1, 3, 0, 0)
    path.write_bytes(data[:-1])
    with SofReader(path) as reader:
        assert (list(reader), reader.info.torn_bytes) == ([b"one", b""], 12)
    path.write_bytes(data[:-1] + b"x")
    with SofReader(path) as reader:
        assert list(reader) == [b"one", b""]
        assert reader.damaged[0].reason == "the crc of an object does not fit"
    path.write_bytes(data[:24])
    with SofReader(path) as reader:
        assert (len(reader), list(reader)) == (0, [])


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        (b"", NotContainer, "shorter"),
        (b"PK\3\4" + bytes([1] * 40), NotContainer, "does not begin"),
        (EXAMPLE[:8] + struct.pack("<I", 2) + EXAMPLE[12:], ContainerTooNew, "version 2"),
        (EXAMPLE[:20] + b"\7\0" + EXAMPLE[22:], BlockDamaged, "compression 7"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, data: bytes, error: type[Exception], reason: str) -> None:
    path = tmp_path / "a.sof"
    path.write_bytes(data)
    with pytest.raises(error, match=reason):
        SofReader(path)


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (69, b"\x08", "have 21 bytes, not 20"),
        (69, struct.pack("<I", 1 << 31), "limit is"),
        (32, b"j", "crc of an object"),
    ],
)
def test_a_wrong_index_is_told(tmp_path: Path, at: int, value: bytes, reason: str) -> None:
    path = tmp_path / "a.sof"
    path.write_bytes(EXAMPLE[:at] + value + EXAMPLE[at + len(value) :])
    with SofReader(path) as reader:
        list(reader)
        assert reason in reader.damaged[0].reason


def test_a_bunch_that_is_no_bz2_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.sof"
    path.write_bytes(EXAMPLE[:20] + b"\1" + EXAMPLE[21:])
    with SofReader(path) as reader:
        assert list(reader) == []
        assert "cannot be decompressed" in reader.damaged[0].reason
    short = bz2.compress(b"hello")
    trailer = struct.pack("<QQQIIH", 32 + len(short) + 8, len(short) + 8, 32 + len(short) + 8, 0, 1, 0)
    path.write_bytes(EXAMPLE[:20] + b"\1" + EXAMPLE[21:32] + short + struct.pack("<II", 0, 9) + trailer)
    with SofReader(path) as reader:
        assert list(reader) == []
        assert reader.damaged[0].reason == "its objects have 5 bytes, not 9"


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_header_are_read_or_passed_over(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.sof"
    path.write_bytes(EXAMPLE[:32] + data)
    with SofReader(path) as reader:
        assert all(isinstance(each, bytes) for each in reader)


def test_a_file_that_exists_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.sof"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_sof(path, [], 0, "")
    assert path.read_bytes() == b"mine"
    monkeypatch.setattr(module, "BUNCH_BYTES", 0)
    monkeypatch.setattr(module, "MAX_BUNCHES", 2)
    with pytest.raises(ContainerError, match="export a part"):
        write_sof(tmp_path / "b.sof", [b"1", b"2", b"3"], 0, "")
