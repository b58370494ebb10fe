"""kill -9 under load: what a writer was told, and what a client has got, is there afterwards, under its number."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import DEADLINE_S, ROOT, environment, until
from tests.ring.datalink_wire import DataLinkWire, datalink, write
from tests.ring.records import number_of, packet
from tests.ring.rings import contents, ring
from tests.ring.seedlink_wire import SeedLinkWire, seedlink, wanting

RUNS = int(os.environ.get("RAWDAQ_TEST_KILLS", "4"))
WINDOW = 64


@pytest.fixture
def servers() -> Iterator["subprocess.Popen[str]"]:
    command, pipe = [sys.executable, "-m", "tests.ring.killed_server"], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(DEADLINE_S)


async def write_until_killed(wire: DataLinkWire, first: int, acknowledged: dict[int, int]) -> None:
    """Write records from number *first* on, and keep which packet each became."""
    sent = told = first
    try:
        while True:
            while sent - told < WINDOW:
                new = packet(sent)
                wire.send(write(new.name, new.start_ns // 1000, new.end_ns // 1000, new.data))
                sent += 1
            said = await wire.hear()
            assert said.kind == "OK"
            acknowledged[said.value] = told
            told += 1
    except (ConnectionError, EOFError):
        return


async def read_until_killed(wire: SeedLinkWire, got: dict[int, int]) -> None:
    """Keep which packets come."""
    try:
        while True:
            one = await wire.packet()
            assert got.setdefault(one.sequence, one.number) == one.number
    except (ConnectionError, EOFError):
        return


async def load(port: int, first: int, enough: int, process: int) -> tuple[dict[int, int], dict[int, int]]:
    """Write and read until the server, after so many acknowledgements, is killed."""
    acknowledged: dict[int, int] = {}
    got: dict[int, int] = {}
    async with datalink(port) as writer, seedlink(port, 4) as reader:
        await wanting(reader, "STATION *", "DATA")
        tasks = [
            asyncio.create_task(write_until_killed(writer, first, acknowledged)),
            asyncio.create_task(read_until_killed(reader, got)),
        ]
        await until(lambda: len(acknowledged) >= enough)
        os.kill(process, signal.SIGKILL)
        await asyncio.gather(*tasks)
    return acknowledged, got


async def test_what_was_told_or_sent_is_there_after_a_kill_and_no_number_comes_twice(
    tmp_path: Path, servers: "subprocess.Popen[str]"
) -> None:
    chance, folder = random.Random(RUNS), tmp_path / "ring"
    known: dict[int, int] = {}
    assert servers.stdin is not None
    assert servers.stdout is not None
    first = 0
    for _ in range(RUNS):
        print(folder, file=servers.stdin, flush=True)
        process, port = map(int, (await asyncio.to_thread(servers.stdout.readline)).split())
        acknowledged, got = await load(port, first, chance.randrange(1, 3000), process)
        assert await asyncio.to_thread(servers.stdout.readline) == "end\n"
        for position, number in (*acknowledged.items(), *got.items()):
            assert known.setdefault(position, number) == number
        async with ring(folder, 20_000_000) as one:
            found = {each.position: number_of(each.data) for each in await contents(one)}
            assert one.reader.end > max(known)
            for position, number in known.items():
                assert position < one.reader.oldest or found[position] == number
        first += len(acknowledged) + WINDOW
