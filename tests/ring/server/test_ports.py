"""What one port recognises: both protocols, plain, by TLS and by WebSocket, pages, and what is none of these."""

import asyncio
import base64
import hashlib
import json
import os
import ssl
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import simpledali  # type: ignore[import-untyped]

from rawdaq.errors import ComponentError
from rawdaq.publishers.ring import RingPublisher
from rawdaq.ring.server.recognition import Spoken, recognise
from rawdaq.ring.server.settings import ListenSettings, TlsSettings
from tests.helpers import DEADLINE_S, until
from tests.ring.datalink_wire import datalink, framed, write
from tests.ring.records import number_of, packets
from tests.ring.rings import feed, serving
from tests.ring.seedlink_wire import seedlink, wanting

CERTIFICATE = Path(__file__).parents[2] / "datalink_server" / "localhost.pem"
TLS = TlsSettings(certificate=CERTIFICATE, key=CERTIFICATE)
DALI: Any = simpledali
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def port(publisher: RingPublisher) -> int:
    assert publisher.service.ports["seedlink"] == publisher.service.ports["datalink"]
    return publisher.service.ports["seedlink"]


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATE)


class Ws:
    """A WebSocket client made by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, path: str, protocol: str | None) -> tuple[int, dict[str, str]]:
        key = base64.b64encode(os.urandom(16))
        lines = [f"GET {path} HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key.decode()}", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(DEADLINE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head[1:] if line}
        status = int(head[0].split()[1])
        if status == 101:
            accepted = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
            assert headers["sec-websocket-accept"] == accepted
        return status, headers

    def send(self, payload: bytes, opcode: int = 2, fin: bool = True) -> None:
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([(0x80 if fin else 0) | opcode])
        head += bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + struct.pack(">H", size)
        self.writer.write(head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)))

    async def hear(self) -> tuple[int, bytes]:
        async with asyncio.timeout(DEADLINE_S):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack(">H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
            return first, await self.reader.readexactly(size)


@asynccontextmanager
async def ws(port_: int, context: ssl.SSLContext | None = None) -> AsyncGenerator[Ws]:
    reader, writer = await asyncio.open_connection("localhost" if context else "127.0.0.1", port_, ssl=context)
    try:
        yield Ws(reader, writer)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("head", "spoken"),
    [
        (b"H", None),
        (b"HE", None),
        (b"HEL", Spoken.SEEDLINK),
        (b"HEA", Spoken.HTTP),
        (b"D", None),
        (b"DA", Spoken.SEEDLINK),
    ],
)
def test_what_is_spoken_is_told_by_as_few_bytes_as_it_takes(head: bytes, spoken: Spoken | None) -> None:
    assert recognise(head, list(Spoken)) is spoken


@pytest.mark.parametrize("encrypted", [False, True])
async def test_one_port_speaks_both_protocols_and_both_by_websocket(tmp_path: Path, encrypted: bool) -> None:
    context = client_context() if encrypted else None
    async with serving(tmp_path / "ring", tls=TLS) as publisher:
        await feed(publisher, packets(0, 4))
        first = publisher.service.ring.reader.oldest
        async with seedlink(port(publisher), 4, context) as wire:
            await wanting(wire, "STATION XX_BBB", "DATA ALL")
            assert await wire.numbers(1) == [2]
        async with datalink(port(publisher), context) as dali:
            assert await dali.ok("POSITION SET EARLIEST") == first
        async with ws(port(publisher), context) as one:
            assert await one.ask("/SeedLink?x=1", "SeedLink4.0") == (101, one_of("SeedLink4.0"))
            one.send(b"HELLO", 1)
            opcode, hello = await one.hear()
            assert (opcode, hello.count(b"\r\n")) == (0x82, 2)
            for command in (b"SLPROTO 4.0", b"STATION XX_AAA", b"DATA ALL\r\n"):
                one.send(command, 1)
                assert await one.hear() == (0x82, b"OK\r\n")
            one.send(b"END", 1)
            for expected in (0, 1):
                _, data = await one.hear()
                assert data[:4] == b"SE2D"
                assert number_of(data[-512:]) == expected
        async with ws(port(publisher), context) as one:
            assert (await one.ask("/datalink", "DataLink1.0, DataLink1.1"))[1][
                "sec-websocket-protocol"
            ] == "DataLink1.1"
            one.send(write("a/b", 0, 0, b"x"))
            assert await one.hear() == (0x82, framed(f"OK {first + 4} 0"))
        await until(lambda: not publisher.status()["client_count"])


def one_of(protocol: str) -> Any:
    class HasProtocol:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, dict) and other.get("sec-websocket-protocol") == protocol

        def __hash__(self) -> int:
            return 0

    return HasProtocol()


async def test_messages_in_pieces_pings_and_two_commands_in_one_message(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher, ws(port(publisher)) as one:
        assert (await one.ask("/datalink", None))[0] == 101
        one.send(b"ping", 9)
        assert await one.hear() == (0x8A, b"ping")
        command = framed("ID in:pieces:1:x")
        one.send(command[:4], 2, fin=False)
        one.send(b"", 9)
        assert await one.hear() == (0x8A, b"")
        one.send(command[4:], 0)
        assert (await one.hear())[1][3:5] == b"ID"
        one.send(command + command)
        assert [(await one.hear())[0] for _ in range(2)] == [0x82, 0x82]
        one.send(framed("INFO NONSENSE"))
        assert b"ERROR" in (await one.hear())[1]
        assert (await one.hear())[0] == 0x88
        await until(lambda: not publisher.status()["client_count"])


async def test_a_stream_by_websocket_is_the_same_as_without(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        await feed(publisher, packets(0, 2000))
        async with ws(port(publisher)) as one, datalink(port(publisher)) as two:
            await one.ask("/datalink", "DataLink1.1")
            one.send(framed("POSITION SET EARLIEST"))
            await one.hear()
            one.send(framed("STREAM"))
            await two.ok("POSITION SET EARLIEST")
            two.send(framed("STREAM"))
            for said in await two.packets(1999):
                assert (await one.hear())[1] == framed(" ".join(said.words), said.data)


async def test_pages_say_what_there_is(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", organization="Testing") as publisher:
        await feed(publisher, packets(0, 8))

        async def page(path: str) -> tuple[int, str]:
            async with ws(port(publisher)) as one:
                one.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                async with asyncio.timeout(DEADLINE_S):
                    head, _, body = (await one.reader.read()).partition(b"\r\n\r\n")
                return int(head.split()[1]), body.decode()

        assert "Testing" in (await page("/id"))[1]
        assert json.loads((await page("/id/json"))[1])["organization"] == "Testing"
        assert (await page("/streamids?match=BBB|CCC"))[1].split() == [
            "FDSN:XX_BBB__H_H_Z/MSEED",
            "FDSN:YY_CCC__B_H_Z/MSEED",
        ]
        streams = json.loads((await page("/streams/json"))[1])["stream"]
        assert [each["end_time"] for each in streams][:2] == [
            "2026-11-21T00:00:05.990000Z",
            "2026-11-21T00:00:04.990000Z",
        ]
        assert len((await page("/streams"))[1].splitlines()) == 4
        assert (await page("/nothing"))[0] == 404
        assert (await page("/streamids?match=("))[0] == 400
        assert "/streamids" in (await page("/"))[1]
        await until(lambda: not publisher.status()["client_count"])


async def test_a_port_of_one_protocol_serves_no_other(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", datalink=None) as publisher:
        only = publisher.service.ports["seedlink"]
        async with datalink(only) as wire:
            wire.send(framed("ID x") + b"\r\n")
            assert (await wire.is_closed() if await wire.reader.readexactly(5) != b"ERROR" else b"") == b""
        async with ws(only) as one:
            assert (await one.ask("/datalink", None))[0] == 400
        async with seedlink(only) as three:
            three.send("HELLO")
            assert "rawdaq" in await three.line()


async def test_where_tls_is_required_nothing_else_is_taken(tmp_path: Path) -> None:
    required = TLS.model_copy(update={"required": True})
    async with serving(tmp_path / "ring", tls=required) as publisher:
        async with seedlink(port(publisher)) as wire:
            wire.send("HELLO")
            assert await wire.is_closed() == b""
        async with seedlink(port(publisher), 4, client_context()) as wire:
            wire.send("HELLO")
            assert "rawdaq" in await wire.line()
        assert publisher.status()["turned_away"] == {"it does not use TLS, which is required": 1}


async def test_broken_tls_and_broken_http_are_ended_and_counted(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", tls=TLS) as publisher:
        for bytes_ in (b"\x16\x03\x01\x00\x05hello" * 10, b"GET nonsense\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"):
            async with ws(port(publisher)) as one:
                one.writer.write(bytes_)
                async with asyncio.timeout(DEADLINE_S):
                    await one.reader.read()
        await until(lambda: not publisher.status()["client_count"])


async def test_a_certificate_that_cannot_be_used_is_said_with_its_remedy(tmp_path: Path) -> None:
    publisher = RingPublisher(
        tmp_path / "ring",
        seedlink=ListenSettings(port=0),
        tls=TlsSettings(certificate=tmp_path / "none.pem", key=CERTIFICATE),
    )
    with pytest.raises(ComponentError, match=r"none\.pem.*No such file.*PEM"):
        await publisher.open()
    await publisher.aclose()


async def test_simpledali_writes_and_reads_by_socket_and_websocket(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        url = f"ws://127.0.0.1:{port(publisher)}/datalink"
        links: list[Any] = [DALI.SocketDataLink("127.0.0.1", port(publisher)), DALI.WebSocketDataLink(url)]
        for link in links:
            async with link as dali:
                await dali.id("test", "me", "1", "python")
                written = await dali.writeAck("a/JSON", 1, 2, b"{}")
                assert written.type == "OK"
                got = await dali.read(int(written.value))
                assert (got.streamId, got.data) == ("a/JSON", b"{}")
