"""What loses data if one does not know it: positions, overwritten slots, ids given twice, resets over answers."""

import asyncio

import pytest

from rawdaq.datalink import DataLink, DataLinkError, ServerRefused, Write, WriteInterrupted
from rawdaq.errors import LocalProtocolError
from tests.datalink_links import SID, fill, serving, streamed
from tests.datalink_server import Cut
from tests.helpers import until


async def test_earliest_gives_the_earliest_packet_too() -> None:
    with serving(capacity=89) as (server, url):
        fill(server, 300)
        async with DataLink(url) as link:
            got = [each.packet_id for each in await streamed(link, 89, "earliest")]
        assert got == list(range(212, 301))


async def test_a_slot_that_is_overwritten_between_position_and_stream_loses_nothing_else() -> None:
    """ringserver would go on behind the newest packet; one that asks in two steps gets 0 of 89."""
    with serving(capacity=89) as (server, url):
        fill(server, 89)
        async with DataLink(url) as link:
            original = link.connection.ask
            overwritten = 0

            async def ask(command: object) -> object:
                nonlocal overwritten
                reply = await original(command)  # type: ignore[arg-type]
                if type(command).__name__ == "PositionSet" and overwritten < 2:
                    overwritten += 1
                    fill(server, 1, first=88 + overwritten)
                return reply

            link.connection.ask = ask  # type: ignore[method-assign,assignment]
            got: list[int] = []
            async for packet in link.stream("earliest"):
                got.append(int(packet.data))
                if got[-1] >= 90:
                    break
        assert got == list(range(got[0], 91))
        assert got[0] <= 3
        assert any("not found in ring" in error for error in server.errors)


async def test_a_ring_that_is_written_faster_than_it_is_read_is_told() -> None:
    with serving(capacity=5) as (server, url):
        fill(server, 5)
        async with DataLink(url) as link:
            original = link.connection.ask

            async def ask(command: object) -> object:
                reply = await original(command)  # type: ignore[arg-type]
                if type(command).__name__ == "PositionSet":
                    fill(server, 5000)
                return reply

            link.connection.ask = ask  # type: ignore[method-assign,assignment]
            with pytest.raises(ServerRefused, match="overwritten before it can be read"):
                await link.begin_stream("earliest")
            with pytest.raises(ServerRefused, match="overwritten before it can be read"):
                await link.read_earliest()


async def test_an_empty_ring_loses_nothing_that_is_written_while_we_ask() -> None:
    with serving() as (server, url):
        async with DataLink(url) as link:
            reading = asyncio.create_task(_first(link, 3))
            await until(lambda: server.sessions[0].is_streaming)
            fill(server, 3)
            assert await reading == [0, 1, 2]
        async with DataLink(url) as link:
            server.ring.packets.clear()
            original = link.connection.answer
            is_first = True

            async def answer(future: object, name: str) -> object:
                nonlocal is_first
                if name == "POSITION" and is_first:  # the second look finds a packet
                    is_first = False
                return await original(future, name)  # type: ignore[arg-type]

            link.connection.answer = answer  # type: ignore[method-assign,assignment]
            asking = link.connection.ask

            async def ask(command: object) -> object:
                reply = await asking(command)  # type: ignore[arg-type]
                if is_first:
                    fill(server, 1, first=3)
                return reply

            link.connection.ask = ask  # type: ignore[method-assign,assignment]
            assert await _first(link, 1) == [3]


async def _first(link: DataLink, count: int) -> list[int]:
    got: list[int] = []
    async for packet in link.stream("earliest"):
        got.append(int(packet.data))
        if len(got) == count:
            break
    return got


async def test_the_same_id_may_be_another_packet_after_a_crash() -> None:
    with serving() as (server, url):
        fill(server, 10)
        old = server.packets[9]
        server.ring.crash(lost=1)
        assert server.put(SID, 0, 0, b"other").id == old.id
        server.ring.packets[9] = server.ring.packets[9]._replace(time_us=old.time_us + 5_000_000)
        async with DataLink(url) as link:
            with pytest.raises(ServerRefused, match="Packet not found"):
                await link.position_set(10, old.time_us * 1000)


async def test_a_packet_without_data_is_never_written() -> None:
    with serving() as (server, url):
        async with DataLink(url) as link:
            with pytest.raises(LocalProtocolError, match="has no data; servers disconnect who reads"):
                await link.write(SID, 0, 0, b"")
        assert server.packets == []


@pytest.mark.parametrize("transport", ["tcp", "ws"])
async def test_only_what_was_acknowledged_counts_as_stored_behind_a_reset(transport: str) -> None:
    with serving(transport) as (server, url):
        server.next_cuts.append(Cut(received=300_000, with_reset=True))
        async with DataLink(url) as link:
            with pytest.raises(WriteInterrupted, match=r"\d+ packets are acknowledged, then: ") as raised:
                await link.write_many(Write(SID, number, number, b"x" * 100) for number in range(10_000))
        packet_ids = raised.value.packet_ids
        assert packet_ids == list(range(1, len(packet_ids) + 1))
        assert len(packet_ids) <= server.ring.written < 10_000


async def test_a_refused_packet_that_is_not_acknowledged_is_told_by_the_next_call() -> None:
    with serving(writable=b"^FDSN") as (server, url):
        async with DataLink(url) as link:
            for number in range(200):
                await link.write("b/JSON" if number == 100 else SID, 0, 0, b"x", acknowledge=False)
            with pytest.raises(DataLinkError, match="permission denied for WRITE of stream ID: b/JSON"):
                await link.flush()
        assert server.ring.written == 100
