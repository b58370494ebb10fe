"""Senders may come by TCP and by ZMQ instead of datagrams."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator

import pytest
import zmq

from rawdaq.receivers.assembler import ReadoutAssembler
from rawdaq.receivers.assembler.options import SlotSettings
from tests.helpers import until
from tests.receivers.assembler.senders import (
    STATION,
    Bench,
    MessageKeeper,
    assembling,
    datagram,
)
from tests.servers import serving


@contextlib.asynccontextmanager
async def by_tcp(slots: int) -> AsyncGenerator[tuple[Bench, list[asyncio.StreamWriter]]]:
    """Run an assembler to which so many senders have connected."""
    async with contextlib.AsyncExitStack() as stack:
        with contextlib.ExitStack() as sockets:
            made = [sockets.enter_context(socket.socket()) for _ in range(slots)]
            for each in made:
                each.bind(("127.0.0.1", 0))
            names = {f"127.0.0.1:{each.getsockname()[1]}": slot for slot, each in enumerate(made)}
            bench = await stack.enter_async_context(assembling(0, slots=names, transport="tcp"))
            writers: list[asyncio.StreamWriter] = []
            for each in made:
                each.setblocking(False)
                address = ("127.0.0.1", bench.receiver.endpoints[0].port)
                await asyncio.get_running_loop().sock_connect(each, address)
                _, writer = await asyncio.open_connection(sock=each)
                writers.append(writer)
            yield bench, writers
            for writer in writers:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()


async def test_senders_may_come_by_tcp_in_any_pieces() -> None:
    async with by_tcp(2) as (bench, writers):
        streams = [b"".join(datagram(slot, instant) for instant in range(20)) for slot in range(2)]
        for at in range(0, len(streams[0]), 37):
            for writer, stream in zip(writers, streams, strict=True):
                writer.write(stream[at : at + 37])
                await writer.drain()
        headers = await bench.published(20)
        assert all(header["slots"] == [0, 1] for header in headers)


async def test_a_tcp_sender_that_sends_something_else_is_cut_off_and_the_others_go_on() -> None:
    async with by_tcp(2) as (bench, writers):
        writers[0].write(datagram(0, 0) + b"no packet, whatever it says" * 3)
        writers[1].write(datagram(1, 0) + datagram(1, 1)[:-3])
        await bench.published(1)
        await until(lambda: bench.status["refused_by_reason"].get("unknown channel or size") == 1)
        writers[1].close()
        await until(lambda: bench.status["refused_by_reason"].get("cut") == 1)
        with socket.socket() as stranger:
            await asyncio.to_thread(stranger.connect, ("127.0.0.1", bench.receiver.endpoints[0].port))
            await asyncio.to_thread(stranger.sendall, b"hello")
            await until(lambda: bench.status["refused_by_reason"].get("foreign sender") == 1)


@pytest.mark.parametrize(("pattern", "kind"), [("pull", zmq.PUSH), ("sub", zmq.PUB)])
async def test_senders_may_come_by_zmq(pattern: str, kind: int) -> None:
    with zmq.Context() as context, contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(contextlib.closing(context.socket(kind))) for _ in range(2)]
        ports = [each.bind_to_random_port("tcp://127.0.0.1") for each in sockets]
        for each in sockets:
            each.linger = 0
        names = [f"tcp://127.0.0.1:{port}" for port in ports]
        keeper = MessageKeeper()
        receiver = ReadoutAssembler(
            [keeper],
            STATION,
            format="raw",
            slots=SlotSettings(senders={name: slot for slot, name in enumerate(names)}),
            endpoints=names,
            pattern=pattern,  # type: ignore[arg-type]  # one of them
            max_wait_s=60,
            absent_s=60,
        )
        async with serving(receiver):
            instant = 0
            while not any(header["slots"] == [0, 1] for header in keeper.headers):
                for slot, each in enumerate(sockets):
                    each.send(datagram(slot, instant))
                instant += 1
                await asyncio.sleep(0.001)
