"""Limits of a server: too many, too slow, silent and talkative clients, each counted and told; others are served."""

import asyncio
import socket
from pathlib import Path
from typing import Any, cast

import pytest

from rawdaq.publishers.ring import RingPublisher
from rawdaq.ring.server import service
from tests.helpers import DEADLINE_S, until
from tests.ring.datalink_wire import datalink, framed, write
from tests.ring.records import packets
from tests.ring.rings import feed, serving
from tests.ring.seedlink_wire import seedlink, wanting


def port(publisher: RingPublisher) -> int:
    return publisher.service.ports["seedlink"]


def clients(publisher: RingPublisher) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", publisher.status()["clients"])


@pytest.fixture(autouse=True)
def _checked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_CHECK_S", 0.02)


async def test_no_more_clients_than_may_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tmp_path / "ring", max_clients=2) as publisher:
        async with seedlink(port(publisher)) as one, seedlink(port(publisher)) as two:
            for wire in (one, two):
                wire.send("HELLO")
                await wire.line()
            async with seedlink(port(publisher)) as three:
                assert await three.is_closed() == b""
        assert "max_clients" in caplog.text
        await until(lambda: not publisher.status()["client_count"])
        async with seedlink(port(publisher)) as again:
            again.send("HELLO")
            assert await again.line()


async def test_no_more_clients_of_one_address_than_may_be(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", max_per_address=1) as publisher, seedlink(port(publisher)) as one:
        one.send("HELLO")
        await one.line()
        async with seedlink(port(publisher)) as two:
            assert await two.is_closed() == b""
        assert "max_per_address" in str(publisher.status()["turned_away"])


async def test_only_those_who_may_read_are_let_in(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", read=["192.0.2.0/24"]) as publisher, seedlink(port(publisher)) as one:
        assert await one.is_closed() == b""
        assert "(option `read`)" in str(publisher.status()["turned_away"])


async def test_silence_and_half_commands_end_a_connection_but_not_silence_behind_a_whole_one(tmp_path: Path) -> None:
    options = {"first_command_s": 1.5, "command_s": 1.5}  # a busy machine sends whole commands in less
    async with serving(tmp_path / "ring", change=options) as publisher:
        async with seedlink(port(publisher)) as whole, datalink(port(publisher)) as reader:
            whole.send("HELLO")
            await whole.line()
            await whole.line()
            reader.send(framed("ID x"), framed("STREAM"))
            await reader.hear()
            write_of_a_packet = write("a/b", 0, 0, b"x" * 99)
            begun = (b"", b"HEL", b"HELLO\r\nSTAT", b"DL\x20ID half", write_of_a_packet[:-1], b"GET / HT")

            async def end_of(begun: bytes) -> bytes:
                async with datalink(port(publisher)) as wire:
                    wire.writer.write(begun)
                    return await wire.is_closed()

            for each, said in zip(begun, await asyncio.gather(*map(end_of, begun)), strict=True):
                assert (b"did not come in time" in said) == (b"DL" in each)
            whole.send("STATION AAA XX")
            assert "SeedLink" not in await whole.line()
            await feed(publisher, packets(0, 1))
            await reader.packets(1)


async def test_a_command_in_pieces_is_in_time_when_each_is_followed_by_the_next(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", change={"command_s": 1.5}) as publisher, datalink(port(publisher)) as wire:
        data = b"".join(write("a/b", at, at, b"x" * 100) for at in range(30))
        for at in range(0, len(data), 97):
            wire.writer.write(data[at : at + 97])
            await asyncio.sleep(0.05)
        assert [(await wire.hear()).kind for _ in range(30)] == ["OK"] * 30


async def test_a_client_that_does_not_read_is_cut_with_a_line_and_others_get_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path / "ring", change={"slow_s": 1.5}) as publisher:
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(stuck, ("127.0.0.1", port(publisher)))
        await loop.sock_sendall(stuck, b"STATION * *\r\nDATA\r\nEND\r\n")
        async with seedlink(port(publisher), 4) as good:
            await wanting(good, "STATION *", "DATA")
            await until(lambda: publisher.status()["streaming_count"] == 2)
            for at in range(60):
                await feed(publisher, packets(at * 200, 200))
                assert await good.numbers(200) == list(range(at * 200, at * 200 + 200))
            await until(lambda: publisher.status()["cut"] == 1)
        stuck.close()
        assert "is cut: it has read nothing for" in caplog.text


QUESTIONS = (b"INFO STREAMS\r\n", b"INFO ID\r\n", b"HELLO\r\n", framed("INFO STREAMS"), framed("ID"))


@pytest.mark.parametrize("question", QUESTIONS)
async def test_one_that_asks_for_ever_and_reads_nothing_is_read_no_more_then_cut(
    tmp_path: Path, question: bytes
) -> None:
    async with serving(tmp_path / "ring", change={"slow_s": 0.1}) as publisher:
        await feed(publisher, packets(0, 4))
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        stuck.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(stuck, ("127.0.0.1", port(publisher)))
        held: list[int] = [0]

        async def ask() -> None:
            while True:
                await loop.sock_sendall(stuck, question * 20_000)

        def is_cut() -> bool:
            served = publisher.service._serving
            assert served is not None
            peers: Any = served.peers
            held.extend(peer._transport.get_write_buffer_size() for peer in peers)
            return bool(publisher.status()["cut"])

        asking = asyncio.create_task(ask())
        await until(is_cut)
        asking.cancel()
        await asyncio.wait([asking])
        stuck.close()
        assert max(held) < 350_000


async def test_a_writer_is_read_no_faster_than_the_disk_makes_its_packets_safe(tmp_path: Path) -> None:
    may_wait = (1 << 20) + (256 << 10)  # bytes on the way to the disk, and what one read of asyncio brings
    packet, count = write("a/b", 0, 0, b"x" * 500), 10_000
    async with serving(tmp_path / "ring", sync_s=0) as publisher, datalink(port(publisher)) as wire:
        served: Any = publisher.service._serving
        store, disk = served.ring._store, asyncio.Event()
        synced = store.synced

        async def slow(position: int) -> None:
            await disk.wait()
            await synced(position)

        store.synced = slow

        def is_held() -> bool:
            return any(not peer._transport.is_reading() for peer in served.peers)

        wire.send(packet * count)
        await until(lambda: is_held() or served.received_packets == count)
        assert served.received_bytes <= may_wait
        disk.set()
        assert [(await wire.hear()).kind for _ in range(count)] == ["OK"] * count


async def test_commands_that_are_none_and_lines_without_end_are_ended(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        async with seedlink(port(publisher)) as wire:
            wire.send(*["FROBNICATE"] * 200)
            assert (await wire.is_closed()).count(b"ERROR") == 101
        async with datalink(port(publisher)) as dali:
            dali.send(*[framed("FROBNICATE")] * 200)
            assert (await dali.is_closed()).count(b"ERROR") == 101
        async with seedlink(port(publisher)) as wire:
            wire.writer.write(b"x" * 100_000)
            assert await wire.is_closed() == b""
        async with seedlink(port(publisher), 4) as wire:
            wire.send(*[f"STATION XX_{at}*" for at in range(600)], "END")
            assert (await wire.is_closed()).count(b"OK") == 600


async def test_hundreds_of_useless_clients_do_not_keep_anything_from_others(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        loop = asyncio.get_running_loop()
        useless: list[socket.socket] = []
        for at in range(200):
            one = socket.socket()
            one.setblocking(False)
            await loop.sock_connect(one, ("127.0.0.1", port(publisher)))
            said = (b"", bytes(range(1, 256)) * 4, b"STAT", b"STATION * *\r\nDATA\r\nEND\r\n")[at % 4]
            await loop.sock_sendall(one, said)
            useless.append(one)
        async with seedlink(port(publisher), 4) as good, datalink(port(publisher)) as writer:
            await wanting(good, "STATION *", "DATA")
            await until(lambda: publisher.status()["streaming_count"] == 51)
            await feed(publisher, packets(0, 2000))
            assert await good.numbers(2000) == list(range(2000))
            await writer.write("a/b", 0, 0, b"x")
            assert len(clients(publisher)) >= 100
        for one in useless:
            one.close()


async def test_status_names_ports_ring_clients_and_the_slowest(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher, seedlink(port(publisher), 4) as wire:
        await wire.ok("USERAGENT tester/1")
        await wanting(wire, "STATION *", "DATA")
        await until(lambda: publisher.status()["streaming_count"] == 1)
        await feed(publisher, packets(0, 4))
        await wire.numbers(4)
        status = publisher.status()
        ring = publisher.service.ring.reader
        assert status["addresses"] == dict.fromkeys(("SeedLink", "DataLink"), f"127.0.0.1:{port(publisher)}")
        shown = cast("dict[str, object]", status["ring"])
        assert (shown["oldest"], shown["next"], shown["streams"]) == (ring.oldest, ring.end, 4)
        assert (status["client_count"], status["sent"], status["lag_packets"]) == (1, 4, 0)
        (client,) = clients(publisher)
        assert (client["name"], client["kind"], status["slowest"]) == ("tester/1", "SeedLink", client["address"])


async def test_a_client_that_connects_while_the_server_stops_is_ended(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", change={"first_command_s": 3600}) as publisher:
        listener = publisher.service._ports[0].listener
        with socket.create_connection(("127.0.0.1", port(publisher)), DEADLINE_S) as client:
            while not listener._making:  # noqa: ASYNC110 - before it is connected
                await asyncio.sleep(0)
            await publisher.service.stop()
            assert await asyncio.to_thread(client.recv, 1) == b""
