"""Hdf5Publisher: readouts are in files that can be read while they are written, after a crash, and for good."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rawdaq.container import readout_file
from rawdaq.container.errors import ContainerError
from rawdaq.container.format.readouts import read_readout
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.messages.message import Message
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.hdf5 import Hdf5Publisher
from tests import forks
from tests.disks import file_size_limit
from tests.helpers import wait_for
from tests.makers import packet

H5PY = readout_file.load_h5py()  # of any type: its own hints do not know what a name leads to
TOPIC = "~readout.XX.ARRAY.Assembler"


def readout(
    of: int, slots: Sequence[int] = (0, 2), *, expected: int = 3, channels: int = 4, topic: str = TOPIC, **more: Any
) -> Message:
    """Return a readout whose every value says where it belongs: number * 1000 + slot * 10 + channel."""
    values = [[of * 1000 + slot * 10 + channel for channel in range(channels)] for slot in slots]
    header = {
        "type": "float32", "shape": [len(slots), channels], "encoding": "little", "number": of, "epoch": 0,
        "time_ns": of * 10**9, "received_ns": of * 10**9 + 5, "slots": list(slots), "expected": expected,
        "reason": "timer", "unit": "mV", "scale": 1, "offset": 0,
    }  # fmt: skip
    return Message(topic, header | more, np.array(values, more.get("type", "<f4")).tobytes())


async def opened(path: Path, **options: Any) -> Hdf5Publisher:
    defaults: dict[str, Any] = {"suffix": "order", "prefix": "Run", "flush_s": 0.0}
    publisher = Hdf5Publisher(path, **defaults | options)
    await publisher.open()
    return publisher


def numbers(folder: Path) -> list[list[int]]:
    """Return the numbers of the readouts of each finished file, all of whose values are right."""
    found: list[list[int]] = []
    for path in sorted(folder.glob("*.h5")):
        with H5PY.File(path, "r") as file:
            group = file["readouts"]
            found.append(group["number"][:].tolist())
            assert {len(dataset) for dataset in group.values()} == {len(found[-1])}
            check(group["data"][:], found[-1])
    return found


def check(data: npt.NDArray[Any], of: Sequence[int]) -> None:
    """Check that each value that is there is the one that belongs there."""
    _, slots, channels = data.shape
    within = np.array([[slot * 10 + channel for channel in range(channels)] for slot in range(slots)])
    for values, number in zip(data, of, strict=True):
        right = number * 1000 + within
        assert ((values == right) | np.isnan(values)).all()


async def test_all_of_a_readout_is_in_the_file(tmp_path: Path) -> None:
    publisher = await opened(tmp_path)
    await publisher.deliver([readout(7), packet(0, 3), Message("~log", {}), readout(8, (1,), reason="?", late=True)])
    assert publisher.status()["not_readouts"] == 2
    await publisher.aclose()
    with H5PY.File(tmp_path / "Run_001.h5", "r") as file:
        group = file["readouts"]
        assert {name: dataset[:].tolist() for name, dataset in group.items() if name != "data"} == {
            "number": [7, 8],
            "epoch": [0, 0],
            "time_ns": [7 * 10**9, 8 * 10**9],
            "received_ns": [7 * 10**9 + 5, 8 * 10**9 + 5],
            "reason": [2, 7 + 128],
            "present": [[0b101], [0b010]],
        }
        assert group["data"].dtype == np.dtype("<f4")
        assert np.isnan(group["data"][:]).any(axis=2).tolist() == [[False, True, False], [True, False, True]]
        check(group["data"][:], [7, 8])
        attributes = {name: value for name, value in group.attrs.items() if name != "rawdaq"}
        assert list(attributes.pop("slots")) == ["0", "1", "2"]
        assert list(attributes.pop("reasons"))[attributes.pop("layout")] == "active"
        assert attributes == {"topic": TOPIC, "station": "XX.ARRAY", "component": "Assembler", "unit": "mV",
                              "scale": 1.0, "offset": 0.0, "publisher": "Hdf5Publisher"}  # fmt: skip


@pytest.mark.parametrize("compression", ["gzip", "lzf", "none"])
async def test_a_file_is_read_while_it_is_written_and_has_no_holes_in_the_end(tmp_path: Path, compression: str) -> None:
    publisher = await opened(tmp_path, compression=compression)
    for number in range(1, 41):
        await publisher.deliver([readout(number, range(8), expected=8, channels=64)])
        if number % 20 == 0:
            with H5PY.File(tmp_path / "Run_001.h5.part", "r", swmr=True) as file:
                assert file["readouts/number"][:].tolist() == [*range(1, number + 1)]
                check(file["readouts/data"][:], range(1, number + 1))
    await publisher.aclose()
    assert numbers(tmp_path) == [[*range(1, 41)]]
    assert (
        tmp_path / "Run_001.h5"
    ).stat().st_size < 300_000  # a chunk and a little; at one readout each time they would be ten
    assert [path.name for path in tmp_path.iterdir()] == ["Run_001.h5"]


async def test_a_new_file_begins_by_size_count_number_1_and_another_shape(tmp_path: Path) -> None:
    publisher = await opened(tmp_path / "count", rotate_count=2)
    await publisher.deliver([readout(number) for number in (2, 3, 4, 1, 2)])
    await publisher.deliver([readout(3, channels=5), readout(4, channels=5), readout(5, (7,), channels=5)])
    await publisher.deliver([readout(6, channels=5), readout(7, channels=5, unit="V")])
    await publisher.aclose()
    assert numbers(tmp_path / "count") == [[2, 3], [4], [1, 2], [3, 4], [5, 6], [7]]
    publisher = await opened(tmp_path / "size", rotate_mb=0.05, compression="none")
    await publisher.deliver([readout(number, range(8), expected=8, channels=64) for number in range(2, 60)])
    await publisher.aclose()
    files = numbers(tmp_path / "size")
    assert [number for file in files for number in file] == [*range(2, 60)]
    assert [len(file) for file in files[:-1]] == [len(files[0])] * (len(files) - 1)
    assert len(files) > 2


async def test_rows_of_absent_slots_names_and_samples_are_understood(tmp_path: Path) -> None:
    full = readout(1, (0, 1, 2), streams=["A", "B", "C"], type="int16")
    blocks = Message(full.topic, {**full.header, "shape": [3, 2, 2], "slots": [0, 2], "type": "int16"}, full.payload)
    publisher = await opened(tmp_path)
    await publisher.deliver([blocks])
    await publisher.aclose()
    with H5PY.File(tmp_path / "Run_001.h5", "r") as file:
        assert file["readouts/data"][:].tolist() == [[[[1000, 1001], [1002, 1003]], [[0, 0], [0, 0]],
                                                      [[1020, 1021], [1022, 1023]]]]  # fmt: skip
        assert list(file["readouts"].attrs["slots"]) == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "text"}, "values of type 'text'"),
        ({"shape": [2]}, "are not .rows, channels"),
        ({"shape": 5}, "no list"),
        ({"shape": [2, 5]}, "32 bytes of values, 40 are needed"),
        ({"shape": [1 << 30, 1 << 30]}, "are needed, at most"),
        ({"slots": [1, 0]}, "rising numbers"),
        ({"slots": [0, -1]}, "no whole number"),
        ({"slots": [2]}, "2 rows have no slot 2"),
        ({"number": "x"}, "number 'x'"),
        ({"epoch": True}, "epoch 'True'"),
        ({"time_ns": 1 << 63}, "time_ns"),
        ({"expected": None}, "expected 'None'"),
    ],
)
def test_a_readout_that_cannot_be_is_refused(changes: dict[str, Any], reason: str) -> None:
    good = readout(1)
    with pytest.raises(InvalidValue, match=reason):
        read_readout(Message(good.topic, {**good.header, **changes}, good.payload))
    with pytest.raises(InvalidValue, match="is no readout"):
        read_readout(Message("~log", {}))


async def test_what_cannot_be_stored_is_counted_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    publisher = await opened(tmp_path)
    other = readout(2, topic="~readout.XX.ARRAY.Other")
    await publisher.deliver([readout(1), other, readout(2, number=-1), readout(3)])
    await publisher.aclose()
    assert numbers(tmp_path) == [[1, 3]]
    assert publisher.status()["refused"] == 2
    assert caplog.text.count("left out") == 1
    assert "the readouts of two assemblers do not fit into one file" in caplog.text


async def test_a_full_disk_pauses_before_hdf5_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = await opened(tmp_path)
    await publisher.deliver([readout(1)])

    class Full:
        f_bavail, f_frsize = 10, 1024

    def statvfs(_: int) -> type[Full]:
        return Full

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstatvfs", statvfs)
        with pytest.raises(PublisherUnavailable, match="free space on that disk") as caught:
            await publisher.deliver([readout(2), readout(3)])
        assert caught.value.delivered == 0
        with pytest.raises(PublisherUnavailable, match="free space on that disk"):
            await publisher.deliver([readout(2)])
    await publisher.deliver([readout(2), readout(3)])
    await publisher.aclose()
    assert [number for file in numbers(tmp_path) for number in file] == [1, 2, 3]


def in_process(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *test* in a process of its own: HDF5 does not forget a file that it could not close, and may end badly."""

    def main() -> int:
        asyncio.run(test())
        return 0

    done = forks.run(main)
    assert done.returncode == 0, done.stderr


def large(number: int) -> Message:
    return readout(number, range(8), expected=8, channels=64)


async def test_a_disk_that_refuses_what_hdf5_writes_costs_no_readout(tmp_path: Path) -> None:
    async def fill() -> None:
        publisher = await opened(tmp_path, compression="none")
        number = 2
        with file_size_limit(700_000):
            while number < 1000:
                try:
                    await publisher.deliver([large(number + index) for index in range(5)])
                except PublisherUnavailable:
                    break
                number += 5
        (tmp_path / "number").write_text(str(number))
        await publisher.deliver([large(number + index) for index in range(3)])
        await publisher.aclose()
        assert (tmp_path / "Run_001.h5.part").exists()

    in_process(fill)
    await (await opened(tmp_path)).aclose()
    number = int((tmp_path / "number").read_text())
    assert 200 < number < 1000
    files = numbers(tmp_path)
    assert sorted({each for file in files for each in file}) == [*range(2, number + 3)]
    assert files[1] == [*range(files[1][0], number + 3)]
    assert len(files) == 2


async def test_what_goes_into_another_file_after_a_failure_is_recognised_by_its_number(tmp_path: Path) -> None:
    kept: dict[bytes, bytes] = {}

    async def fill() -> None:
        publisher = await opened(tmp_path, compression="none")
        await publisher.recover({}, kept.update)
        (tmp_path / "marks").write_bytes(kept[b"objects"])
        await publisher.deliver([large(number) for number in range(2, 102)])
        with file_size_limit(20_000), pytest.raises(PublisherUnavailable):
            await publisher.deliver([large(number) for number in range(102, 400)])
        await publisher.deliver([large(number) for number in range(102, 105)])
        await publisher.aclose()

    in_process(fill)
    publisher = await opened(tmp_path)
    known = await publisher.recover({b"objects": (tmp_path / "marks").read_bytes()}, kept.update)
    await publisher.aclose()
    assert known is not None
    assert len(numbers(tmp_path)) == 2
    assert [number for number in range(2, 110) if not known.rest(large(number), is_new=False)] == [*range(2, 105)]


async def test_a_file_that_cannot_be_finished_is_made_whole_at_the_next_start(tmp_path: Path) -> None:
    async def fill() -> None:
        publisher = await opened(tmp_path, compression="none")
        await publisher.deliver([large(number) for number in range(2, 102)])
        with file_size_limit(20_000):
            with pytest.raises(PublisherUnavailable):
                await publisher.deliver([large(number) for number in range(102, 400)])
            await publisher.aclose()
        assert [path.name for path in tmp_path.iterdir()] == ["Run_001.h5.part"]

    in_process(fill)
    await (await opened(tmp_path)).aclose()
    [found] = numbers(tmp_path)
    assert found == [*range(2, 102)]


@pytest.mark.parametrize("after", [1, 30])
def test_a_killed_process_loses_nothing_that_was_delivered(tmp_path: Path, after: int) -> None:
    folder, told = tmp_path / "data", tmp_path / "told"

    async def deliver() -> None:
        publisher = await opened(folder, rotate_count=20)
        log = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in range(2, 1 << 30, 3):
            await publisher.deliver([readout(number + index) for index in range(3)])
            os.write(log, b".")

    def main() -> int:
        asyncio.run(deliver())
        return 0

    with forks.Process(main) as process:
        wait_for(lambda: told.exists() and told.stat().st_size > after)
        process.kill()
        process.wait()

    async def restart() -> None:
        await (await opened(folder)).aclose()

    asyncio.run(restart())
    found = [number for file in numbers(folder) for number in file]
    assert len(found) >= 3 * told.stat().st_size
    assert found == [*range(2, 2 + len(found))]
    assert not [path for path in folder.iterdir() if path.suffix != ".h5"]


@pytest.mark.parametrize("name", ["number", "epoch", "time_ns", "received_ns", "reason", "present", "data"])
async def test_a_chunk_of_which_a_kill_has_cut_the_last_write_short_is_read_even_so(tmp_path: Path, name: str) -> None:
    async def fill() -> None:
        publisher = await opened(tmp_path, compression="none")
        await publisher.deliver([readout(number) for number in range(2, 12)])
        os._exit(0)

    in_process(fill)
    with H5PY.File(tmp_path / "Run_001.h5.part", "r", swmr=True) as file:
        dataset = file["readouts"][name]
        where = dataset.id.get_chunk_info_by_coord((0,) * dataset.ndim)
    with (tmp_path / "Run_001.h5.part").open("r+b") as part:
        part.seek(where.byte_offset + where.size - 4)
        part.write(b"sums")
    await (await opened(tmp_path)).aclose()
    assert numbers(tmp_path) == [[*range(2, 12)]]


async def test_unfinished_files_without_readouts_are_removed_and_others_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "Run_001.h5.part").touch()
    (tmp_path / "Run_002.h5.part").write_bytes(b"no HDF5")
    layout = read_readout(readout(1)).layout
    begun = H5PY.File(tmp_path / "Run_004.h5.part", "w", libver=("v110", "v110"))
    begun.flush()  # as a process leaves it that is killed before it has written a readout
    (tmp_path / "Run_005.h5.part").write_bytes((tmp_path / "Run_004.h5.part").read_bytes())
    begun.close()
    (tmp_path / "Run_004.h5.part").unlink()
    empty = readout_file.ReadoutFile(tmp_path / "x", layout, [], readout_file.Hdf5Compression.NONE, {})
    empty.finish()
    empty.finish()
    (tmp_path / "x").rename(tmp_path / "Run_003.h5.part")
    await (await opened(tmp_path)).aclose()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Run_002.h5.part"]
    assert "Run_002.h5.part was not finished by the last run, and stays as it is" in caplog.text
    with pytest.raises(ContainerError, match="cannot be read as HDF5"):
        readout_file.copied(tmp_path / "Run_002.h5.part")


async def test_without_h5py_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"path": "a", "prefix": "", "suffix": "date"}
    options |= {"rotate_mb": None, "rotate_s": None, "rotate_count": None}
    assert Hdf5Publisher.check_options(options) is None
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    assert "pip install 'rawdaq[hdf5]'" in str(Hdf5Publisher.check_options(options))
    publisher = await opened(tmp_path)
    with pytest.raises(PublisherUnavailable, match="pip install"):
        await publisher.deliver([readout(1)])
    with pytest.raises(ComponentError, match="no readout"):
        Hdf5Publisher(tmp_path).create(tmp_path / "x")
    await publisher.aclose()
