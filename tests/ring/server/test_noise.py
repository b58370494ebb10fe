"""Noise on every port: whatever comes, in whatever pieces, harms nobody, and is no traceback."""

import asyncio
import logging
import random
from pathlib import Path

import pytest

from tests.helpers import DEADLINE_S, until
from tests.ring.datalink_wire import datalink, framed, write
from tests.ring.records import packets
from tests.ring.rings import feed, serving
from tests.ring.seedlink_wire import seedlink, wanting
from tests.ring.server.test_ports import TLS

WORDS = (
    *(b"HELLO\r\n", b"SLPROTO 4.0\r\n", b"STATION * *\r\n", b"STATION XX_*\r", b"SELECT ???\r\n", b"SELECT *:3\r"),
    *(b"DATA 0\r\n", b"DATA ALL\r", b"FETCH 000000\r\n", b"TIME 2026,11,21,0,0,0\r\n", b"END\r\n", b"ENDFETCH\r\n"),
    *(
        b"INFO ALL\r\n",
        b"INFO STREAMS\r\n",
        b"INFO CONNECTIONS\r\n",
        b"CAT\r\n",
        b"BATCH\r\n",
        b"BYE\r\n",
        b"\xff\xfe\r\n",
    ),
    *(framed("ID x"), framed("STREAM"), framed("ENDSTREAM"), framed("POSITION SET EARLIEST"), framed("INFO STREAMS")),
    *(framed("MATCH 5", b"(a+)+"), framed("REJECT"), framed("READ 7"), framed("POSITION AFTER 0"), framed("BYE")),
    *(write("a/b", 1, 0, b"x"), write("XX_A__HHZ/MSEED", 0, 0, b"no record", "N"), write("a/b", 0, 0, b"", "IA", 9)),
    *(
        b"GET /datalink HTTP/1.1\r\n",
        b"GET /streams HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"DL\x01",
        b"DL\xff",
    ),
)


@pytest.mark.parametrize("seed", range(3))
async def test_noise_harms_nobody(tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    chance = random.Random(seed)
    async with serving(tmp_path / "ring", tls=TLS) as publisher:
        port = publisher.service.ports["seedlink"]
        await feed(publisher, packets(0, 100))

        async def talk(said: list[bytes]) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for part in said:
                    writer.write(part)
                    await asyncio.sleep(0)
                async with asyncio.timeout(0.02):
                    await reader.read(1 << 20)
            except (OSError, TimeoutError):
                pass
            finally:
                writer.close()

        for _ in range(30):
            said = [chance.choice(WORDS) for _ in range(chance.randrange(1, 12))]
            whole = b"".join(said)
            if chance.random() < 0.4:
                whole = bytes(byte ^ (chance.random() < 0.02) * chance.randrange(256) for byte in whole)
            step = chance.choice((1, 7, 4096))
            await asyncio.gather(talk([whole[at : at + step] for at in range(0, len(whole), step)]), talk(said))
        await until(lambda: not publisher.status()["client_count"])
        async with seedlink(port, 4) as wire, datalink(port) as dali:
            await wanting(wire, "STATION XX_*", "SELECT *_H_H_Z.2D", "DATA 0")
            assert await wire.numbers(10) == list(range(0, 20, 2))
            async with asyncio.timeout(DEADLINE_S):
                assert await dali.write("a/b", 0, 0, b"x") > 0
    assert not caplog.records
