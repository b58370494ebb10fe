"""Containers and HDF5 behind a journal: whatever is killed between whatever steps, each object is in a file, once."""

import asyncio
import contextlib
import os
import random
import tempfile
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rawdaq.container import ContainerReader
from rawdaq.container.format.objects import Item
from rawdaq.container.readout_file import load_h5py
from rawdaq.delivery.fanout import Fanout
from rawdaq.disk.finishing import CompleteFile
from rawdaq.file_output.rotating import RotatingPublisher
from rawdaq.messages.message import Message
from rawdaq.packet import PacketRun
from rawdaq.publishers.container import ContainerPublisher
from rawdaq.publishers.hdf5 import Hdf5Publisher
from tests import forks
from tests.container.files import event
from tests.fanouts import HHN
from tests.helpers import MEMORY, wait_for
from tests.journals import FallBehind, Settle, delivered, journalled, kill_rotating
from tests.makers import START_NS, packet

EXAMPLES = int(os.environ.get("EXACTLY_ONCE_EXAMPLES", "40"))


class Put(NamedTuple):
    """So many objects of a kind."""

    kind: str
    objects: int


class Kill(NamedTuple):
    """The process ends.

    Attributes:
        is_delivered: whether all that was put is in a file by then.
        torn: how many bytes at the end of the newest file it had not written yet.
        is_finished: whether the files that were complete had got their names.
    """

    is_delivered: bool
    torn: int = 0
    is_finished: bool = True


Step = Put | Settle | FallBehind | Kill


def readout(number: int) -> Message:
    """Return a readout, some slots of which are absent."""
    slots = [slot for slot in range(3) if (number + slot) % 4]
    values = np.full((len(slots), 2), np.nan if number % 5 == 0 else number, "<f4")
    header = {
        "type": "float32", "shape": [len(slots), 2], "number": number, "epoch": 0, "time_ns": number * 10**9,
        "slots": slots, "expected": 3, "reason": "timer",
    }  # fmt: skip
    return Message("~readout.XX.A.B", header, values.tobytes()).published(number, "B", START_NS)


class Files:
    """A publisher of files, what it is fed with, and what is in its files then.

    Attributes:
        fed: what was put, in order.
    """

    kinds: Sequence[str]

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fed: list[Any] = []
        self._count = 1

    @abstractmethod
    def publisher(self, fsync_s: float = 3600.0) -> RotatingPublisher[Any]: ...

    @abstractmethod
    def expected(self) -> list[Any]: ...

    @abstractmethod
    def stored(self, path: Path) -> list[Any]: ...

    def put(self, fanout: Fanout, put: Put) -> None:
        """Put what no other has put, except for bytes, which are always the same."""
        numbers = [*range(self._count, self._count + put.objects)]
        self._count += put.objects
        match put.kind:
            case "packet":
                self._put(fanout.put, [packet(number, 5) for number in numbers])
            case "run":
                samples = np.arange(put.objects * 2, dtype="<i4").reshape(put.objects, 2) + numbers[0]
                starts = [START_NS + number * 10**9 for number in numbers]
                run = PacketRun(HHN, starts, 100.0, samples, sequence=numbers[0])
                fanout.put([run])
                self.fed += run
            case "event":
                self._put(fanout.put_messages, [event(number) for number in numbers])
            case "readout":
                self._put(fanout.put_messages, [readout(number) for number in numbers])
            case "first":  # with which a new file begins
                self._put(fanout.put_messages, [readout(1)])
            case _:
                self._put(fanout.put, [b"always the same"] * put.objects)

    def _put(self, put: Callable[[list[Any]], object], items: list[Any]) -> None:
        put(items)
        self.fed += items

    def found(self) -> list[Any]:
        """Return what is in the files, in their order."""
        assert not [*(self.root / "files").glob("*.part")]
        paths = sorted((self.root / "files").iterdir())
        return [item for path in paths if path.suffix in (".rdc", ".h5") for item in self.stored(path)]


class Containers(Files):
    kinds = ("packet", "run", "event", "readout", "bytes", "first")

    def publisher(self, fsync_s: float = 3600.0) -> ContainerPublisher:
        return ContainerPublisher(
            self.root / "files", "E", "order", rotate_count=4, flush_s=0.0, fsync_s=fsync_s, block_kb=1.0
        )

    def expected(self) -> list[Item]:
        return self.fed

    def stored(self, path: Path) -> list[Item]:
        with ContainerReader(path) as reader:
            assert reader.info.is_finished
            return list(reader)


class Readouts(Files):
    kinds = ("packet", "event", "readout", "first")

    def publisher(self, fsync_s: float = 3600.0) -> Hdf5Publisher:
        return Hdf5Publisher(self.root / "files", "R", "order", rotate_count=4, flush_s=0.0, fsync_s=fsync_s)

    def expected(self) -> list[int]:
        return [item.header["number"] for item in self.fed if isinstance(item, Message) and "slots" in item.header]

    def stored(self, path: Path) -> list[int]:
        with load_h5py().File(path, "r") as file:
            return [int(number) for number in file["readouts/number"][:]]


@pytest.fixture(autouse=True, scope="module")
def read_little() -> Iterator[None]:
    """Let a read of a journal bring an entry or two, so that lives end in the middle of what they catch up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rawdaq.delivery.journal.queue._READ_BYTES", 300)
        yield


@contextlib.asynccontextmanager
async def life(files: Files, kill: Kill | None) -> AsyncGenerator[Fanout]:
    """Run with files until *kill*, or to the end."""
    publisher, unfinished = files.publisher(), list[CompleteFile]()
    if kill is not None and not kill.is_finished:
        publisher.files._finisher.submit = unfinished.append  # type: ignore[method-assign,assignment]
    async with journalled(files.root / "journal", [publisher], is_killed=kill is not None) as fanout:
        yield fanout
    if kill is not None:
        await kill_rotating(publisher)
        for complete in unfinished:
            complete.file.close()
        tear(files.root / "files", kill)


async def live(files: Files, steps: Sequence[Step]) -> Sequence[Step]:
    """Run until a kill, or to the end; return the steps that are left."""
    kill = next((step for step in steps if isinstance(step, Kill)), None)
    async with life(files, kill) as fanout:
        assert fanout.journal is not None
        for number, step in enumerate(steps, 1):
            match step:
                case Put():
                    files.put(fanout, step)
                case Settle(is_delivered):
                    if is_delivered:
                        await delivered(fanout)
                    await fanout.journal.settle()
                case FallBehind():
                    await fanout.journal.drain()
                    fanout.journal.outlets[0].queue.fall_behind()
                case Kill(is_delivered):
                    await fanout.journal.drain()  # what was not written was not journalled
                    if is_delivered:
                        await delivered(fanout)
                    return steps[number:]
    return []


def tear(folder: Path, kill: Kill) -> None:
    """Let the newest file end before what the kill kept from it, as far as it was not synced."""
    parts = sorted(folder.glob("*.rdc.part"))
    if parts:
        status = parts[-1].stat()
        os.truncate(parts[-1], max(DURABLE.get(status.st_ino, 0), status.st_size - kill.torn))


DURABLE: dict[int, int] = {}


@pytest.fixture(autouse=True)
def durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Note how much of each file was synced, by its inode."""
    DURABLE.clear()

    def sync(fd: int) -> None:
        status = os.fstat(fd)
        DURABLE[status.st_ino] = status.st_size

    monkeypatch.setattr(os, "fsync", sync)


def run(kind: type[Files], steps: Sequence[Step]) -> None:
    """Take *steps*, one life after the other; check what is in the files after the last one."""

    async def lives(files: Files) -> None:
        left = steps
        while left:
            left = await live(files, left)
        await live(files, [])

    DURABLE.clear()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        files = kind(Path(folder))
        asyncio.run(lives(files))
        assert files.found() == files.expected()


KINDS = pytest.mark.parametrize("kind", [Containers, Readouts])
SMALL: Sequence[Step] = [
    Put("readout", 2), Put("event", 1), Put("readout", 3), Settle(is_delivered=True), Put("readout", 1),
    Put("packet", 3), Put("readout", 2), Put("bytes", 3), Settle(is_delivered=False), Put("readout", 5),
]  # fmt: skip


@KINDS
@pytest.mark.parametrize("is_repeated", [True, False])
def test_a_kill_behind_any_step_costs_nothing_and_repeats_nothing(kind: type[Files], is_repeated: bool) -> None:
    for at in range(len(SMALL) + 1):
        kill = Kill(is_delivered=at % 2 == 0, torn=at, is_finished=at % 3 > 0)
        again: list[Step] = [kill, Put("readout", 1), kill] if is_repeated else []
        run(kind, [*SMALL[:at], kill, *again, *SMALL[at:]])


def steps_of(kind: type[Files]) -> st.SearchStrategy[list[Step]]:
    puts = st.builds(Put, st.sampled_from([each for each in Containers.kinds if each in kind.kinds]), st.integers(1, 6))
    kills = st.builds(Kill, st.booleans(), st.sampled_from([0, 0, 1, 30, 300]), st.booleans())
    settles = st.builds(Settle, st.booleans())
    return st.lists(st.one_of(puts, puts, puts, settles, st.just(FallBehind()), kills), max_size=20)


@KINDS
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_each_object_is_in_the_files_once(kind: type[Files], data: st.DataObject) -> None:
    steps = data.draw(steps_of(kind))
    note(repr(steps))
    run(kind, steps)


@KINDS
async def test_a_renamed_file_is_recognised_and_one_that_was_moved_away_is_written_again(
    kind: type[Files], tmp_path: Path
) -> None:
    files = kind(tmp_path)
    async with life(files, Kill(is_delivered=True)) as fanout:
        files.put(fanout, Put("readout", 8))
        await delivered(fanout)
    first, second = sorted((tmp_path / "files").iterdir())
    first.rename(first.with_name(f"{first.name[0]}_000_renamed{first.suffix}"))
    second.rename(tmp_path / second.name)
    async with life(files, None):
        pass
    assert files.found() == files.expected()
    assert len([*(tmp_path / "files").iterdir()]) == 2


async def feed(files: Files, log: Path) -> None:
    """Put readouts for ever, from the one that the journal has not got."""
    publisher = files.publisher(fsync_s=0.005)  # so that the cursor moves
    async with journalled(files.root / "journal", [publisher]) as fanout:
        assert fanout.journal is not None
        told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        while True:
            first = fanout.journal._number + 2
            fanout.put_messages([readout(first + index) for index in range(random.randint(1, 6))])
            await fanout.journal.drain()
            os.write(told, b".")
            await asyncio.sleep(random.choice((0, 0.002)))


@KINDS
def test_each_readout_is_in_the_files_once_whenever_the_process_is_killed(kind: type[Files], tmp_path: Path) -> None:
    files, log = kind(tmp_path), tmp_path / "told"

    def main() -> int:
        asyncio.run(feed(files, log))
        return 0

    log.touch()
    for _ in range(6):
        enough = log.stat().st_size + random.randint(1, 30)
        with forks.Process(main) as process:
            wait_for(lambda enough=enough: log.stat().st_size >= enough)  # type: ignore[misc]
            process.kill()
            process.wait()

    async def finish() -> int:
        async with life(files, None) as fanout:
            assert fanout.journal is not None
            return fanout.journal._number

    count = asyncio.run(finish())
    assert count >= log.stat().st_size
    found = [item if isinstance(item, int) else item.header["number"] for item in files.found()]
    assert found == [*range(2, count + 2)]
