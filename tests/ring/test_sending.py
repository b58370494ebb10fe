"""Sending: those who keep up get one write together, others are served from the disk; each gets all in order."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rawdaq.ring.packets import RingPacket
from rawdaq.ring.sending import Follower, Sender, View
from rawdaq.store.errors import DiskFailed
from tests.helpers import until
from tests.ring.records import STREAMS, name, packet, packets
from tests.ring.rings import SMALL_BYTES, ring


class Numbers(View):
    """Shows each packet as its number, and counts how often it is asked."""

    def __init__(self, every: int = 1) -> None:
        self.every, self.asked = every, 0
        self.without: set[str] = set()

    def may_send(self, name: str) -> bool:
        return name not in self.without

    def frame(self, packet: RingPacket) -> bytes:
        self.asked += 1
        return b"" if packet.position % self.every else b"%d\n" % packet.position


class Reader:
    """A client in memory that may stop reading."""

    def __init__(self) -> None:
        self.is_full = False
        self.writes: list[bytes] = []
        self.failures: list[str] = []
        self.lapses: list[tuple[int, int]] = []
        self.fills_at = 0

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.is_full = self.is_full or len(self.writes) == self.fills_at

    def fail(self, reason: str) -> None:
        self.failures.append(reason)

    def lapse(self, first: int, end: int) -> None:
        self.lapses.append((first, end))

    @property
    def got(self) -> list[int]:
        return [int(line) for line in b"".join(self.writes).split()]


async def test_followers_with_one_view_get_one_write_that_is_made_once(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        sender, view, readers = Sender(one.reader), Numbers(), [Reader() for _ in range(200)]
        one.written.append(sender.written)
        for reader in readers:
            sender.add(Follower(reader, view, one.reader.end))
        first = one.reader.end
        await one.append(packets(0, 30))
        await until(lambda: all(reader.writes for reader in readers))
        assert all(reader.got == list(range(first, first + 30)) for reader in readers)
        assert {len(reader.writes) for reader in readers} == {1}
        assert view.asked <= 30 * 4  # once for each turn of 64 sends
        sender.close()


async def test_one_that_does_not_read_holds_nobody_up_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        sender, slow, fast = Sender(one.reader), Reader(), Reader()
        one.written.append(sender.written)
        slow.fills_at = 1
        first, view = one.reader.end, Numbers()
        followers = [Follower(reader, view, first) for reader in (slow, fast)]
        for follower in followers:
            sender.add(follower)
        for at in range(10):
            await one.append(packets(at * 10, 10))
        await until(lambda: len(fast.got) == 100)
        assert len(slow.writes) == 1
        slow.is_full = False
        sender.resume(followers[0])
        await until(lambda: len(slow.got) == 100)
        assert slow.got == fast.got == list(range(first, first + 100))
        sender.close()


async def test_one_that_is_behind_gets_all_from_the_disk_and_changes_over_without_a_hole(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        await one.append(packets(0, 3000))
    async with ring(tmp_path / "ring") as one:  # nothing in memory
        sender = Sender(one.reader)
        one.written.append(sender.written)
        readers = [Reader() for _ in range(20)]
        first = one.reader.oldest
        for at, reader in enumerate(readers):
            sender.add(Follower(reader, Numbers(), first + at * 100))
        for at in range(20):
            await one.append(packets(3000 + at, 1))
            await asyncio.sleep(0)
        end = one.reader.end
        await until(lambda: all(reader.got and reader.got[-1] == end - 1 for reader in readers))
        for at, reader in enumerate(readers):
            assert reader.got == list(range(first + at * 100, end))
        assert max(len(write) for write in readers[0].writes) < 64 << 10
        sender.close()


async def test_what_lies_where_nothing_is_for_a_client_is_not_read(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring", SMALL_BYTES, sync_s=0) as one:
        await one.append([packet(number, STREAMS[0]) for number in range(10)])
        for at in range(10):
            await one.append([packet(number, STREAMS[1]) for number in range(at * 300, at * 300 + 300)])
        await one.append([packet(number, STREAMS[0]) for number in range(10)])
    async with ring(tmp_path / "ring", SMALL_BYTES) as one:
        sender, reader, view = Sender(one.reader), Reader(), Numbers()
        view.without = {name(STREAMS[1])}
        first, end = one.reader.oldest, one.reader.end
        sender.add(Follower(reader, view, first))
        await until(lambda: reader.got and reader.got[-1] == end - 1)
        assert set(reader.got) >= {*range(first, first + 10), *range(end - 10, end)}
        assert view.asked < 1500
        sender.close()


async def test_what_the_ring_has_no_more_is_jumped_counted_and_told(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring", SMALL_BYTES, sync_s=0) as one:
        sender, reader = Sender(one.reader), Reader()
        one.written.append(sender.written)
        first = one.reader.end
        await one.append(packets(0, 10))
        reader.is_full = True
        follower = Follower(reader, Numbers(), first)
        sender.add(follower)
        one.reader.tail._clock = lambda: 1e9
        for at in range(40):
            await one.append(packets(at * 300, 300))
        oldest = one.reader.oldest
        assert oldest > first
        reader.is_full = False
        sender.resume(follower)
        await until(lambda: reader.got and reader.got[-1] == one.reader.end - 1)
        assert reader.got == list(range(oldest, one.reader.end))
        assert reader.lapses == [(first, oldest)]
        assert follower.missed == oldest - first
        sender.close()


@pytest.mark.parametrize("step", ["skip", "from_"])
async def test_what_makes_room_while_it_is_looked_for_is_counted_and_logged_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    async with ring(tmp_path / "ring", SMALL_BYTES, sync_s=0) as one:
        one.reader.tail._clock = iter(range(0, 10**6, 60)).__next__  # all but the newest has to be read
        sender, reader, first = Sender(one.reader), Reader(), one.reader.end
        for at in range(2):
            await one.append(packets(at * 10, 10))
        found = getattr(one.reader, step)

        async def find_late(*arguments: Any) -> Any:
            monkeypatch.setattr(one.reader, step, found)
            for at in range(40):
                await one.append(packets(20 + at * 300, 300))
            return await found(*arguments)

        monkeypatch.setattr(one.reader, step, find_late)
        follower = Follower(reader, Numbers(), first)
        sender.add(follower)
        await until(lambda: reader.got and reader.got[-1] == one.reader.end - 1)
        oldest = one.reader.oldest
        assert oldest > first
        assert reader.got == list(range(oldest, one.reader.end))
        assert reader.lapses == [(first, oldest)]
        assert follower.missed == oldest - first
        sender.close()


async def test_one_that_was_removed_gets_nothing_more(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        sender, gone, other = Sender(one.reader), Reader(), Reader()
        one.written.append(sender.written)
        followers = [Follower(reader, Numbers(2), one.reader.end) for reader in (gone, other)]
        for follower in followers:
            sender.add(follower)
        await one.append(packets(0, 4))
        await until(lambda: len(other.got) == 2)
        sender.remove(followers[0])
        await one.append(packets(4, 4))
        await until(lambda: len(other.got) == 4)
        assert len(gone.got) == 2
        sender.close()


async def test_a_disk_that_cannot_be_read_ends_those_who_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ring(tmp_path / "ring") as one:
        await one.append(packets(0, 100))
    async with ring(tmp_path / "ring") as one:

        async def fail(position: int) -> None:
            raise DiskFailed("ring", "Input/output error")

        monkeypatch.setattr(one.reader, "from_", fail)
        sender, reader = Sender(one.reader), Reader()
        sender.add(Follower(reader, Numbers(), one.reader.oldest))
        await until(lambda: reader.failures)
        assert "Input/output error" in reader.failures[0]
        sender.close()
