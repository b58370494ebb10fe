"""Relays from a socket to a ZMQ PUB stream, ours and plain ones: ``python -m benchmarks.programs.relay KIND NAME``.

A relay reports where it reads and where it publishes, counts its processor time from the first line on its standard
input to the second, and reports that.
"""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import zmq
import zmq.asyncio

from benchmarks.processes import report, until
from rawdaq.config import StationSettings
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.raw_udp.receiver import RawUDPReceiver
from rawdaq.receivers.zmq_in.receiver import ZMQReceiver

_STATION = StationSettings(network="XX", code="BENCH")
_PIECE = 256

#: Where a relay reads, and where it publishes.
Addresses = tuple[str, str]
Relay = Callable[[], AbstractAsyncContextManager[Addresses]]


@asynccontextmanager
async def _served(receiver: ReceiverServer, publisher: ZMQTCPPublisher) -> AsyncGenerator[Addresses]:
    task = asyncio.create_task(receiver.serve())
    await until(lambda: publisher.port and not receiver.endpoints[0].address.endswith((":0", ":*")))
    try:
        yield receiver.endpoints[0].address, publisher.address
    finally:
        receiver.stop()
        await task


def rawdaq_udp() -> AbstractAsyncContextManager[Addresses]:
    """Return ours: `RawUDPReceiver` with ``raw: true``."""
    publisher = ZMQTCPPublisher("127.0.0.1", 0)
    return _served(RawUDPReceiver([publisher], _STATION, ip="127.0.0.1", ports=[0], raw=True), publisher)


def rawdaq_zmq() -> AbstractAsyncContextManager[Addresses]:
    """Return ours: `ZMQReceiver` with ``raw: true``."""
    publisher = ZMQTCPPublisher("127.0.0.1", 0)
    endpoints = ["tcp://127.0.0.1:*"]
    receiver = ZMQReceiver([publisher], _STATION, endpoints=endpoints, pattern="pull", bind=True, raw=True)
    return _served(receiver, publisher)


@asynccontextmanager
async def plain_udp() -> AsyncGenerator[Addresses]:
    """Relay as ssdaq does: an asyncio protocol, an item in a queue for each datagram, a coroutine that publishes it."""
    datagrams: asyncio.Queue[bytes] = asyncio.Queue()

    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            datagrams.put_nowait(data)

    async def relay() -> None:
        while True:
            await publisher.send(await datagrams.get())

    with zmq.asyncio.Context() as context, context.socket(zmq.PUB) as publisher:
        publisher.sndhwm, publisher.linger = 0, 0
        publisher.bind("tcp://127.0.0.1:*")
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
        task = asyncio.create_task(relay())
        try:
            host, port = transport.get_extra_info("sockname")
            yield f"{host}:{port}", publisher.getsockopt_string(zmq.LAST_ENDPOINT)
        finally:
            transport.close()
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def plain_zmq() -> AsyncGenerator[Addresses]:
    """Relay with `zmq.asyncio`: a future for each message."""

    async def relay() -> None:
        while True:
            await publisher.send(await puller.recv())

    with (
        zmq.asyncio.Context() as context,
        context.socket(zmq.PUB) as publisher,
        context.socket(zmq.PULL) as puller,
    ):
        publisher.sndhwm = puller.linger = publisher.linger = 0
        publisher.bind("tcp://127.0.0.1:*")
        puller.bind("tcp://127.0.0.1:*")
        task = asyncio.create_task(relay())
        try:
            yield puller.getsockopt_string(zmq.LAST_ENDPOINT), publisher.getsockopt_string(zmq.LAST_ENDPOINT)
        finally:
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def drained_zmq() -> AsyncGenerator[Addresses]:
    """Relay with plain ZMQ sockets: nothing but receiving and sending, as little as Python can do."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher, puller = context.socket(zmq.PUB), context.socket(zmq.PULL)
    publisher.sndhwm = puller.linger = publisher.linger = 0
    publisher.bind("tcp://127.0.0.1:*")
    puller.bind("tcp://127.0.0.1:*")
    loop = asyncio.get_running_loop()

    def relay() -> None:
        with contextlib.suppress(zmq.Again):
            for _ in range(_PIECE):
                publisher.send(puller.recv(zmq.NOBLOCK))
            loop.call_soon(relay)

    loop.add_reader(puller.fileno(), relay)
    relay()
    try:
        yield puller.getsockopt_string(zmq.LAST_ENDPOINT), publisher.getsockopt_string(zmq.LAST_ENDPOINT)
    finally:
        loop.remove_reader(puller.fileno())
        await asyncio.sleep(0)
        publisher.close()
        puller.close()
        context.term()


#: By what they read and by name.
RELAYS: dict[str, dict[str, Relay]] = {
    "udp": {"RawUDPReceiver": rawdaq_udp, "a queue item each": plain_udp},
    "zmq": {"ZMQReceiver": rawdaq_zmq, "a future each": plain_zmq, "drained socket": drained_zmq},
}


async def main(kind: str, name: str) -> None:
    """Run one."""
    async with RELAYS[kind][name]() as (source, published):
        report(source=source, published=published)
        await asyncio.to_thread(sys.stdin.readline)
        began_s = time.process_time()
        await asyncio.to_thread(sys.stdin.readline)
        report(cpu_s=time.process_time() - began_s)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(main(*sys.argv[1:]))
