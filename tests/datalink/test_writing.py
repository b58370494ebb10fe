"""Writing: windows, kinds of payload, silence, and what a server refuses."""

import asyncio
import bz2
import json

import pytest

from rawdaq.datalink import (
    DataLink,
    DataPacket,
    PayloadUnreadable,
    ServerRefused,
    Write,
    WriteInterrupted,
    json_of,
    waveform_of,
)
from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.miniseed.format import RecordFormat
from tests.datalink_links import SID, serving, streamed
from tests.helpers import until
from tests.makers import packet
from tests.record_makers import make


@pytest.mark.parametrize("transport", ["tcp", "ws"])
async def test_many_packets_are_written_in_order_with_a_window(transport: str) -> None:
    with serving(transport, capacity=10_000) as (server, url):
        async with DataLink(url) as link:
            writes = [Write(SID, number * 1000, 0, b"%d" % number, number % 3 > 0) for number in range(5000)]
            packet_ids = await link.write_many(writes)
        assert packet_ids == [number + 1 for number in range(5000) if number % 3 > 0]
        assert [int(each.data) for each in server.packets] == list(range(5000))


async def test_large_packets_are_a_window_of_bytes() -> None:
    with serving(packet_size=100_000) as (server, url):
        async with DataLink(url) as link:
            assert await link.write_many(Write(SID, 0, 0, bytes([1]) * 100_000) for _ in range(30)) == list(
                range(1, 31)
            )
        assert server.ring.written == 30


async def test_what_is_not_acknowledged_arrives_with_what_follows() -> None:
    with serving(capacity=10_000) as (server, url):
        async with DataLink(url) as link:
            for number in range(1000):
                assert await link.write(SID, 0, 0, b"%d" % number, acknowledge=False) is None
            await link.flush()
            assert server.ring.written == 1000
            await link.write(SID, 0, 0, b"alone", acknowledge=False)
            await until(lambda: server.ring.written == 1001)
            await link.write(SID, 0, 0, b"last", acknowledge=False)
        await until(lambda: server.ring.written == 1002)


async def test_a_packet_may_have_an_id_of_its_own() -> None:
    with serving() as (_, url):
        async with DataLink(url) as link:
            assert await link.write(SID, 0, 0, b"x", packet_id=4711) == 4711
            assert await link.write(SID, 0, 0, b"x") == 4712


@pytest.mark.parametrize(
    ("protocol", "version", "name"),
    [
        ("1.1", 2, "FDSN:XX_DEMO_00_H_H_Z/MSEED"),
        ("1.1", 3, "FDSN:XX_DEMO_00_H_H_Z/MSEED3"),
        ("1.0", 2, "XX_DEMO_00_HHZ/MSEED"),
    ],
)
async def test_a_record_is_written_under_its_own_name_and_times(protocol: str, version: int, name: str) -> None:
    (record,) = make([packet()], RecordFormat(version=version))
    with serving(protocol=protocol) as (_, url):
        async with DataLink(url) as link:
            await link.write_record(record.data)
            read = await link.read_latest()
            assert (read.stream_id, read.start_ns, read.end_ns) == (name, record.start_ns, record.end_ns)
            samples = waveform_of(read, received_ns=7)
            assert samples.samples.tolist() == packet().samples.tolist()
            assert samples.received_ns == 7
            assert waveform_of(read).received_ns > 0
            with pytest.raises(InvalidValue, match="this is no miniSEED record"):
                await link.write_record(b"garbage")


async def test_json_is_written_and_read() -> None:
    value = {"level": 1, "text": "ü"}
    with serving() as (_, url):
        async with DataLink(url) as link:
            await link.write_json("XX_A_00_LOG/JSON", 0, 1000, value)
            await link.write_json("XX_A_00_LOG/BZJSON", 0, 1000, value, is_packed=True)
            first, second = await streamed(link, 2, "earliest")
        assert (json.loads(first.data), json.loads(bz2.decompress(second.data))) == (value, value)
        assert json_of(first) == json_of(second) == value


def test_payloads_that_are_not_what_their_id_says_are_errors() -> None:
    def made(name: str, data: bytes) -> DataPacket:
        return DataPacket(name, 7, 0, 0, 0, data)

    for name, data in (("a/JSON", b"{"), ("a/BZJSON", b"{}"), ("a/JSON", b"[" * 100_000)):
        with pytest.raises(PayloadUnreadable, match=f"packet 7 of {name}: no JSON"):
            json_of(made(name, data))
    with pytest.raises(PayloadUnreadable, match="packet 7 of a/MSEED: "):
        waveform_of(made("a/MSEED", b"garbage"))
    (record,) = make([packet()])
    nameless = record.data[:8] + b"de_mo" + record.data[13:]
    with pytest.raises(PayloadUnreadable, match="station"):
        waveform_of(made("a/MSEED", nameless))


async def test_a_writer_that_pauses_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """ringserver cuts one whose data it had to wait for, after 10 s of silence; here after 1.5 s."""
    monkeypatch.setattr("rawdaq.datalink.session.KEEP_ALIVE_S", 0.05)
    with serving(timeout_s=1.5) as (server, url):
        async with DataLink(url) as link:
            await link.write_many(Write(SID, 0, 0, b"x" * 512) for _ in range(100))  # more than its buffer holds
            identified = sum(each.startswith(b"ID") for each in server.sessions[0].commands)
            await until(lambda: sum(each.startswith(b"ID") for each in server.sessions[0].commands) > identified + 30)
            assert await link.write(SID, 0, 0, b"x") == 101
        assert (server.cut_late, server.connections) == (0, 1)


async def test_a_server_that_is_gone_is_noticed_by_the_keep_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.datalink.session.KEEP_ALIVE_S", 0.05)
    with serving() as (server, url):
        async with DataLink(url) as link:
            await link.write(SID, 0, 0, b"x")
            link.connection._timeout_s = 0.2
            server.is_deaf = True
            await until(lambda: not link.is_connected)


@pytest.mark.parametrize(
    ("rules", "name", "text"),
    [
        ({"writable": b"^YY"}, SID, "the server refused WRITE: Error, permission denied for WRITE of stream ID"),
        ({"packet_size": 100}, SID, r"has 101 bytes, the server takes 100"),
        ({}, "a" * 64, "has 64 bytes, the server keeps 63"),
    ],
)
async def test_what_the_server_refuses_is_told(rules: dict[str, object], name: str, text: str) -> None:
    with serving(**rules) as (_, url):  # type: ignore[arg-type]
        async with DataLink(url) as link:
            with pytest.raises((ServerRefused, LocalProtocolError), match=text):
                await link.write(name, 0, 0, b"x" * 101)
        async with DataLink(url) as link:
            with pytest.raises(WriteInterrupted, match=text):
                await link.write_many([Write(SID, 0, 0, b"x"), Write(name, 0, 0, b"x" * 101), Write(SID, 0, 0, b"x")])


async def test_a_permission_that_is_taken_away_is_told() -> None:
    with serving() as (server, url):
        async with DataLink(url) as link:
            server.do(lambda: setattr(server.sessions[0], "may_write", False))
            with pytest.raises(ServerRefused, match="no soup for you"):
                await link.write(SID, 0, 0, b"x")
            await until(lambda: not link.is_connected)
            with pytest.raises(ServerRefused, match="no soup for you"):
                await link.write(SID, 0, 0, b"x")


async def test_a_server_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(packet_size=100_000) as (server, url):
        async with DataLink(url) as link:
            link.timeout_s = link.connection._timeout_s = 0.3
            server.is_deaf = True
            with pytest.raises(WriteInterrupted, match=r"no room for what is written within 0.3 s|no acknowledgement"):
                await link.write_many(Write(SID, 0, 0, b"x" * 100_000) for _ in range(1000))


async def test_a_task_that_is_cancelled_leaves_the_connection_in_step() -> None:
    with serving() as (server, url):
        async with DataLink(url) as link:
            with server.lock:  # the server cannot answer meanwhile
                asking = [asyncio.create_task(link.write(SID, 0, 0, b"x")), asyncio.create_task(link.identify())]
                await asyncio.sleep(0)
                for each in asking:
                    each.cancel()
                await asyncio.wait(asking)
            assert await link.write(SID, 0, 0, b"x") == 2
            assert (await link.info()).status.latest_packet_id == 2
