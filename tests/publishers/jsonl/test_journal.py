"""JSON lines behind a journal: whatever ends a life between whatever steps, each line is in its file, once."""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rawdaq.delivery.fanout import Fanout
from rawdaq.messages.message import Message
from rawdaq.publishers.jsonl import JsonLinesPublisher
from rawdaq.publishers.jsonl.layout import JsonLinesLayout
from rawdaq.publishers.jsonl.lines import LineMaker
from tests.helpers import MEMORY
from tests.journals import FallBehind, Settle, delivered, journalled
from tests.makers import START_NS, message
from tests.publishers.jsonl.test_publisher import item

WRITE = "%s.%c.jsonl"
EXAMPLES = int(os.environ.get("EXACTLY_ONCE_EXAMPLES", "60"))


class Put(NamedTuple):
    """So many packets, or messages, of one station after the other."""

    objects: int
    is_packets: bool = True


class Kill(NamedTuple):
    """The process ends.

    Attributes:
        is_delivered: whether all that was put is in a file by then.
        torn: how many bytes at the end of each file a power cut takes, of those that were not synced.
        repeated: how many of the last packets a server sends once more.
    """

    is_delivered: bool
    torn: Sequence[int] = ()
    repeated: int = 0


Step = Put | Settle | FallBehind | Kill
DURABLE: dict[int, int] = {}


@pytest.fixture(autouse=True, scope="module")
def little_and_durable() -> Iterator[None]:
    """Let a read of a journal bring an entry or two; note how much of each file was synced, by its inode."""

    def sync(fd: int) -> None:
        status = os.fstat(fd)
        DURABLE[status.st_ino] = status.st_size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rawdaq.delivery.journal.queue._READ_BYTES", 300)
        patch.setattr(os, "fsync", sync)
        yield
    DURABLE.clear()


class Feed:
    """Makes what is put, and remembers it."""

    def __init__(self) -> None:
        self.items: list[bytes | Message] = []

    def put(self, fanout: Fanout, step: Put) -> None:
        for number in range(len(self.items) + 1, len(self.items) + 1 + step.objects):
            # Equal lines follow each other, too.
            payload = b'{"n": %d}' % (number // 4)
            if step.is_packets:
                packet = item(number, payload, f"XX_S{number % 3}_00_LOG/JSON")
                fanout.put([packet])
                self.items.append(packet)
            else:
                event = message(number).published(number, "T", START_NS)
                fanout.put_messages([event])
                self.items.append(event)

    def repeat(self, fanout: Fanout, count: int) -> None:
        for each in [each for each in self.items if isinstance(each, bytes)][-count:] if count else []:
            fanout.put([each])

    def expected(self, folder: Path) -> dict[Path, bytes]:
        maker, found = LineMaker(folder, JsonLinesLayout(WRITE)), dict[Path, bytes]()
        for line in map(maker.line, self.items):
            assert line.path is not None
            found[line.path] = found.get(line.path, b"") + line.data
        return found


async def kill_publisher(publisher: JsonLinesPublisher) -> None:
    publisher._late_sync.close()
    thread, publisher._thread = publisher._thread, None
    assert thread is not None
    await thread.submit(publisher._files.close)
    await thread.submit(publisher._progress.close)
    thread.give_back()


def cut_power(folder: Path, torn: Sequence[int]) -> None:
    """Let files end before what was not synced; the state is one of them."""
    for number, path in enumerate(sorted(folder.iterdir())):
        status = path.stat()
        lost = torn[number % len(torn)] if torn else 0
        os.truncate(path, max(min(DURABLE.get(status.st_ino, 0), status.st_size), status.st_size - lost))


async def live(
    root: Path, steps: Sequence[Put | Settle | FallBehind], kill: Kill | None, feed: Feed, fsync_s: float, repeated: int
) -> None:
    """Take *steps*, then end by *kill* or in order; before them a server repeats some packets."""
    publisher = JsonLinesPublisher(
        WRITE, folder=root / "files", state=root / "files" / ".state", max_open_files=2, fsync_s=fsync_s
    )
    publisher.gather_s = 0.0
    async with journalled(root / "journal", [publisher], is_killed=kill is not None) as fanout:
        assert fanout.journal is not None
        feed.repeat(fanout, repeated)
        for step in steps:
            match step:
                case Put():
                    feed.put(fanout, step)
                case Settle(is_delivered):
                    if is_delivered:
                        await delivered(fanout)
                    await fanout.journal.settle()
                case FallBehind():
                    await fanout.journal.drain()
                    fanout.journal.outlets[0].queue.fall_behind()
        await fanout.journal.drain()  # what was not written was not journalled
        if kill is not None and kill.is_delivered:
            await delivered(fanout)
    if kill is not None:
        await kill_publisher(publisher)
        cut_power(root / "files", kill.torn)


def run(steps: Sequence[Step], fsync_s: float = 3600.0) -> None:
    """Take *steps*, one life after the other; check what is in the files after the last one."""

    async def lives(root: Path, feed: Feed) -> None:
        life, repeated = list[Put | Settle | FallBehind](), 0
        for step in steps:
            if not isinstance(step, Kill):
                life.append(step)
                continue
            await live(root, life, step, feed, fsync_s, repeated)
            life, repeated = [], step.repeated
        await live(root, life, None, feed, fsync_s, repeated)
        await live(root, [], None, feed, fsync_s, 0)

    DURABLE.clear()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        root, feed = Path(folder), Feed()
        (root / "files").mkdir()
        (root / "journal").mkdir()
        asyncio.run(lives(root, feed))
        found = {path: path.read_bytes() for path in (root / "files").glob("*.jsonl") if path.stat().st_size}
        assert found == feed.expected(root / "files")
        assert not [*(root / "files").glob("*.bad")]


SMALL: Sequence[Step] = [
    Put(4), Settle(is_delivered=True), Put(3), Put(2, is_packets=False), Settle(is_delivered=False),
    Put(5), Settle(is_delivered=True), Put(2),
]  # fmt: skip


@pytest.mark.parametrize("torn", [(), (8,), (0, 8, 100), (1000, 0)])
@pytest.mark.parametrize("repeated", [0, 3])
def test_an_end_behind_any_step_costs_nothing_and_repeats_nothing(torn: Sequence[int], repeated: int) -> None:
    for at in range(len(SMALL) + 1):
        kill = Kill(is_delivered=at % 2 == 0, torn=torn, repeated=repeated)
        run([*SMALL[:at], kill, Put(1), kill, *SMALL[at:]], fsync_s=3600.0 if at % 3 else 0.0)


puts = st.builds(Put, st.integers(1, 6), st.booleans())
settles = st.builds(Settle, st.booleans())
kills = st.builds(
    Kill, st.booleans(), st.lists(st.sampled_from([0, 0, 1, 9, 20, 1000]), max_size=5), st.sampled_from([0, 0, 2, 5])
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.one_of(puts, puts, puts, settles, st.just(FallBehind()), kills), max_size=20))
def test_each_line_is_in_its_file_once(steps: Sequence[Step]) -> None:
    note(repr(steps))
    run(steps)


async def test_files_that_are_not_written_for_long_are_known_to_the_journal_no_more(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    publisher = JsonLinesPublisher(WRITE, folder=tmp_path, state=tmp_path / "state", fsync_s=0.0)
    async with journalled(tmp_path / "journal", [publisher]) as fanout:
        assert fanout.journal is not None
        fanout.put([item(1, b"1", "XX_S1_00_LOG/JSON"), item(2, b"2", "XX_S2_00_LOG/JSON")])
        for number in range(3, 6):
            await delivered(fanout)
            await fanout.journal.settle()
            fanout.put([item(number, b"3", "XX_S2_00_LOG/JSON")])
        await delivered(fanout)
        await fanout.journal.settle()
        marks = fanout.journal.store.store.cursors()[publisher.name].marks
        assert (any(b"S1.LOG" in key for key in marks), any(b"S2.LOG" in key for key in marks)) == (False, True)
        fanout.put([item(6, b"6", "XX_S1_00_LOG/JSON")])  # and then they are known again
        await delivered(fanout)
        marks = fanout.journal.store.store.cursors()[publisher.name].marks
        assert any(b"S1.LOG" in key for key in marks)


async def test_a_new_journal_repeats_nothing_that_the_state_has(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    before = JsonLinesPublisher(WRITE, folder=tmp_path, state=tmp_path / "state")
    await before.open()
    await before.deliver([item(1), item(2)])
    await before.aclose()
    after = JsonLinesPublisher(WRITE, folder=tmp_path, state=tmp_path / "state")
    async with journalled(tmp_path / "journal", [after]) as fanout:
        fanout.put([item(1), item(2), item(3)])
    assert (tmp_path / "A.LOG.jsonl").read_bytes().count(b"\n") == 3
    assert after.status()["again"] == 2
