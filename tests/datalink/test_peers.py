"""Clients that others wrote against our codec's server side, and beside our client at the strict server."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import datalink_client
import pytest
import simpledali  # type: ignore[import-untyped]

from rawdaq.datalink import DataLink, DataPacket, Write, json_of
from rawdaq.times import from_datetime
from tests.datalink.codec_server import serving_codec
from tests.datalink_links import SID, serving

# What other projects bring has no types.
DALI: Any = simpledali
CLIENT: Any = datalink_client
WHEN = datetime(2026, 3, 1, tzinfo=UTC)


async def test_simpledali_gets_on_with_our_server_side() -> None:
    async with serving_codec() as (server, port):
        async with DALI.SocketDataLink("127.0.0.1", port) as dali:
            identified = await dali.id("prog", "me", 1, "pc")
            assert (identified.type, dali.packet_size, dali.dlproto) == ("ID", 512, "1.1")
            acknowledged = await dali.writeAck(SID, 1000, 2000, b"one")
            assert (acknowledged.type, acknowledged.value) == ("OK", "1")
            await dali.write(SID, 3000, 4000, "N", b"two")
            await dali.writeJSON("XX_A/JSON", 0, 1, {"a": 1})
            read = await dali.read(2)
            assert (read.streamId, read.packetId, read.dataStartTime, read.data) == (SID, "2", "3000", b"two")
            assert (await dali.match(".*")).value == "1"
            assert (await dali.positionEarliest()).value == "1"
            got: list[Any] = []
            async for packet in dali.stream():
                got.append(packet.data)
                if len(got) == 2:
                    break
            assert got == [b"two", b'{"a": 1}']
        assert server.packets[0] == DataPacket(SID, 1, 10**15, 1_000_000, 2_000_000, b"one")


async def test_simpledali_reads_our_info() -> None:
    async with serving_codec() as (_, port):
        async with DALI.SocketDataLink("127.0.0.1", port) as dali:
            await dali.id("prog", "me", 1, "pc")
            await dali.writeAck(SID, 1000, 2000, b"one")
            status = await dali.parsedInfoStatus()
            assert (status["ServerID"], status["Status"]["LatestPacketID"]) == ("s", 1)
            streams = await dali.parsedInfoStreams()
            assert [each["Name"] for each in streams["StreamList"]["Stream"]] == [SID]
            with pytest.raises(DALI.DaliException, match="Packet 9 not found in ring"):
                await dali.read(9)


async def test_datalink_client_gets_on_with_our_server_side() -> None:
    async with serving_codec() as (server, port):

        def talk() -> list[bytes]:
            with CLIENT.DataLink("127.0.0.1", port) as link:
                link.identify("prog:me:1:pc")
                link.auth_userpass("me", "secret")
                link.write(SID, 1000, 2000, b"one", ack=True)
                assert link.read(1).data == b"one"
                assert link.server_capabilities["PACKETSIZE"] == "512"
                link.position_set(1)
                link.match("XX")
                return [link.read(1).data]

        assert await asyncio.to_thread(talk) == [b"one"]
        assert server.packets[0].start_ns == 1_000_000


async def test_what_simpledali_writes_our_client_reads_and_the_reverse() -> None:
    with serving() as (server, url):
        async with DALI.SocketDataLink("127.0.0.1", server.port) as dali, DataLink(url) as link:
            await dali.id("prog", "me", 1, "pc")
            start_us = int(WHEN.timestamp() * 1_000_000)
            await dali.writeBZ2JSON("XX_A_00_LOG/BZJSON", start_us, start_us + 1, {"level": 1})
            packet = await link.read_latest()
            assert (json_of(packet), packet.start_ns) == ({"level": 1}, from_datetime(WHEN))
            await link.write_many(Write(SID, number * 1000, number * 1000, b"%d" % number) for number in range(100))
            assert (await dali.positionSet(2)).value == "2"
            got: list[Any] = []
            async for each in dali.stream():
                got.append(int(each.data))
                if len(got) == 99:
                    break
            assert got == list(range(1, 100))
