"""LogReceiver: every record once and in its sender's order, and nothing that is sent harms others."""

import asyncio
import json
import logging
import logging.handlers
import random
import resource
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Sequence
from typing import Any

import pytest
import zmq

from rawdaq.log import SocketLogHandler
from rawdaq.messages.frames import encode
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Message
from rawdaq.publisher import Publisher
from rawdaq.receivers.logs import LogReceiver
from tests.helpers import environment, until
from tests.makers import message
from tests.servers import serving


class Keeper(Publisher):
    takes_messages = True

    def __init__(self) -> None:
        super().__init__("keeper")
        self.kept: list[Message] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def deliver(self, batch: Sequence[Any]) -> None:
        await self.gate.wait()
        self.kept += batch

    @property
    def records(self) -> list[LogRecord]:
        return [LogRecord.from_message(each) for each in self.kept]


def receiver(keeper: Publisher, **options: Any) -> LogReceiver:
    return LogReceiver([keeper], port=0, **options)


def refused(server: LogReceiver) -> dict[str, int]:
    return dict(server.receiver_status()["refused_by_reason"])  # type: ignore[call-overload, no-any-return]


async def send(server: LogReceiver, *chunks: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.endpoint.port)
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_records_of_20_senders_in_random_chunks_come_each_once_and_in_order() -> None:
    async def sender(number: int) -> None:
        chance = random.Random(number)
        lines = b"".join(json.dumps({"message": f"{each}", "pid": number}).encode() + b"\n" for each in range(500))
        _, writer = await asyncio.open_connection("127.0.0.1", server.endpoint.port)
        at = 0
        while at < len(lines):
            size = chance.randrange(1, 3000)
            writer.write(lines[at : at + size])
            await writer.drain()
            await asyncio.sleep(0)
            at += size
        writer.close()
        await writer.wait_closed()

    keeper = Keeper()
    async with serving(server := receiver(keeper)):
        await asyncio.gather(*map(sender, range(20)))
        await until(lambda: len(keeper.kept) == 10_000)
        await until(lambda: server.receiver_status()["connections"] == 0)
    by_sender: dict[int, list[str]] = defaultdict(list)
    for record in keeper.records:
        by_sender[record.pid].append(record.message)
    assert by_sender == {number: [str(each) for each in range(500)] for number in range(20)}
    assert [each.frame for each in keeper.kept] == list(range(10_000))


PROGRAM = """
import logging, sys
from rawdaq.log import SocketLogHandler
handler = SocketLogHandler("127.0.0.1", int(sys.argv[1]), sys.argv[2])
log = logging.getLogger("daq.x")
log.addHandler(handler)
log.setLevel(1)
log.log(17, "%d of %s", 3, "four")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
"""


async def test_time_arguments_level_and_exception_are_right_in_new_york() -> None:
    keeper = Keeper()
    async with serving(server := receiver(keeper)):
        before_ns = time.time_ns()
        command = [sys.executable, "-c", PROGRAM, str(server.endpoint.port), "XX.DEMO.T"]
        program = await asyncio.create_subprocess_exec(*command, env=environment({"TZ": "America/New_York"}))
        assert await program.wait() == 0
        await until(lambda: len(keeper.kept) == 2)
        after_ns = time.time_ns()
    first, second = keeper.records
    assert (first.level, first.message, first.name, first.component) == (17, "3 of four", "daq.x", "XX.DEMO.T")
    assert before_ns - 1_000_000 <= first.time_ns <= second.time_ns <= after_ns
    assert (first.pid, first.line) == (program.pid, 8)
    assert (second.level, second.message) == (40, "it failed")
    assert second.exception.endswith("ZeroDivisionError: division by zero")


async def test_the_receiver_may_be_away_and_comes_back() -> None:
    first, second = Keeper(), Keeper()
    async with serving(server := receiver(first)):
        port = server.endpoint.port
        target = SocketLogHandler("127.0.0.1", port)
        log = logging.Logger("daq.x")  # noqa: LOG001 - of its own
        log.addHandler(target)
        log.warning("before")
        await until(lambda: first.kept)
    log.warning("meanwhile")
    async with serving(LogReceiver([second], port=port)):
        log.warning("after")
        await until(lambda: len(second.kept) == 2)
        await asyncio.to_thread(target.close)
    assert [each.message for each in (*first.records, *second.records)] == ["before", "meanwhile", "after"]


async def test_garbage_and_endless_lines_are_counted_and_good_lines_go_on() -> None:
    keeper = Keeper()
    async with serving(server := receiver(keeper)):
        await send(server, b"GET / HTTP/1.0\r\n", b"\xff\xfe\n", b'{"message": "good"}\n', b'{"message": "cut')
        await send(server, b"x" * 1_000_000, b'\n{"message": "good too"}\n')
        await until(lambda: len(keeper.kept) == 2 and refused(server).get("cut line"))
        assert refused(server) == {"unreadable header": 2, "cut line": 1, "line too long": 1}


async def test_pythons_pickle_handler_is_refused_with_a_text(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Keeper()
    async with serving(server := receiver(keeper)):
        target = logging.handlers.SocketHandler("127.0.0.1", server.endpoint.port)
        await asyncio.to_thread(target.handle, logging.LogRecord("x", 20, "f", 1, "pickled", (), None))
        await until(lambda: refused(server))
        assert target.sock is not None
        told = await asyncio.to_thread(target.sock.recv, 1000)
        target.close()
    assert b"use rawdaq.log.SocketLogHandler(host, port)" in told
    assert refused(server) == {"a pickle": 1}
    assert "not pickles: use rawdaq.log.SocketLogHandler" in caplog.text
    assert not keeper.kept


@pytest.fixture
def many_files() -> Generator[None]:
    """Both ends of a thousand connections are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_connections_are_served_and_more_than_the_limit_refused() -> None:
    count = 1000
    keeper = Keeper()
    sockets: list[socket.socket] = []
    async with serving(server := receiver(keeper, max_connections=count)):
        try:
            for number in range(count):
                sockets.append(socket.create_connection(("127.0.0.1", server.endpoint.port)))
                sockets[-1].sendall(b'{"message": "%d"}\n' % number)
                await asyncio.sleep(0)
            await until(lambda: len(keeper.kept) == count)
            assert server.receiver_status()["connections"] == count
            with socket.create_connection(("127.0.0.1", server.endpoint.port)) as late:
                late.settimeout(10)
                await until(lambda: refused(server))
            assert refused(server) == {"too many connections": 1}
        finally:
            for each in sockets:
                each.close()
        await until(lambda: server.receiver_status()["connections"] == 0)


async def test_a_publisher_that_is_full_makes_senders_wait_and_loses_nothing() -> None:
    keeper = Keeper()
    keeper.queue_packets = 10
    keeper.gate.clear()
    lines = [b'{"message": "%d %s"}\n' % (number, b"x" * 1000) for number in range(5000)]
    async with serving(server := receiver(keeper)):
        sending = asyncio.ensure_future(send(server, *lines))
        await until(lambda: server.endpoint.status()["held"])
        assert not sending.done()
        keeper.gate.set()
        await sending
        await until(lambda: len(keeper.kept) == 5000)
    assert [each.message.split()[0] for each in keeper.records] == [str(number) for number in range(5000)]


async def test_what_senders_had_sent_before_a_stop_is_published() -> None:
    keeper = Keeper()
    async with serving(server := receiver(keeper)):
        with socket.create_connection(("127.0.0.1", server.endpoint.port)) as sender:
            sender.sendall(b'{"message": "first"}\n')
            await until(lambda: keeper.kept)
            sender.sendall(b'{"message": "last"}\n' * 1000)
            server.stop()
            await until(lambda: server.cmd_status()["state"] == "stopped")
    assert len(keeper.kept) == 1001


async def test_records_come_by_zmq_too(context: Any) -> None:
    keeper = Keeper()
    async with serving(server := receiver(keeper, endpoints=["tcp://127.0.0.1:*"])):
        address = server.endpoints[1].address
        with context.socket(zmq.PUSH) as pusher:
            pusher.linger = 1000
            pusher.connect(address)
            record = LogRecord(5, 17, "daq", "whole", "XX.DEMO.T")
            pusher.send_multipart(encode(record.message_of().published(0, "T", 5)))
            pusher.send_multipart([b"~log", b'{"message": "plain"}'])
            later = json.dumps({**record.message_of().header, "rawdaq": 2}).encode()
            for parts in ([b"~log"], encode(message().published(0, "T", 1)), [b"~log", later], [b"~log", b"{}"]):
                pusher.send_multipart(parts)
            pusher.send_multipart([b"~log", b'{"message": "last"}'])
            await until(lambda: len(keeper.kept) == 3)
        assert server.receiver_status()["records_by_level"] == {"DEBUG": 1, "INFO": 2}
        assert refused(server) == {"wrong number of frames": 1, "wrong header": 2, "later layout": 1}
    assert keeper.records[0] == record
    assert [each.message for each in keeper.records] == ["whole", "plain", "last"]


def test_its_addresses_are_its_own() -> None:
    options = {"ip": "127.0.0.1", "port": 10001, "endpoints": ["tcp://127.0.0.1:10011"]}
    assert LogReceiver.exclusive(options) == ["tcp://127.0.0.1:10001", "tcp://127.0.0.1:10011"]
    assert LogReceiver.exclusive(options | {"port": 0, "endpoints": []}) == []
