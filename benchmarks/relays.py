"""What a message costs a relay: processor time from a socket to a ZMQ PUB stream, with one subscriber.

Two tables: datagrams of 1 kB at a fixed rate, and messages of 1 kB from a PUSH socket as fast as they are taken. Below
each relay stands the same thing written plainly. All of a run is one machine: sender, relay and subscriber are
processes of their own, and only the relay's processor time counts. Run it alone on the machine.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import zmq
import zmq.asyncio

from rawdaq.config import StationSettings
from rawdaq.protocols.zmtp import SocketType, ZmtpPeer, frame_message
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.raw_udp.receiver import RawUDPReceiver
from rawdaq.receivers.zmq_in.receiver import ZMQReceiver

SIZE_BYTES = 1000
_FRAME_BYTES = sum(map(len, frame_message([bytes(SIZE_BYTES)])))
STATION = StationSettings(network="XX", code="BENCH")
QUIET_S = 1.0  # when nothing more has come for so long, the rest is lost

#: Where a relay listens, and where it publishes.
Addresses = tuple[str, str]


# --- the relays ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def served(receiver: ReceiverServer, publisher: ZMQTCPPublisher) -> AsyncGenerator[Addresses]:
    """Run *receiver*."""
    task = asyncio.create_task(receiver.serve())
    is_open = False
    while not is_open:
        await asyncio.sleep(0.01)
        is_open = bool(publisher.port) and not receiver.endpoints[0].address.endswith((":0", ":*"))
    try:
        yield receiver.endpoints[0].address, publisher.address
    finally:
        receiver.stop()
        await task


def rawdaq_udp() -> AbstractAsyncContextManager[Addresses]:
    """Return ours: `RawUDPReceiver` with ``raw: true``."""
    publisher = ZMQTCPPublisher("127.0.0.1", 0)
    return served(RawUDPReceiver([publisher], STATION, ip="127.0.0.1", ports=[0], raw=True), publisher)


def rawdaq_zmq() -> AbstractAsyncContextManager[Addresses]:
    """Return ours: `ZMQReceiver` with ``raw: true``."""
    publisher = ZMQTCPPublisher("127.0.0.1", 0)
    endpoints = ["tcp://127.0.0.1:*"]
    return served(
        ZMQReceiver([publisher], STATION, endpoints=endpoints, pattern="pull", bind=True, raw=True), publisher
    )


@asynccontextmanager
async def plain_asyncio_udp() -> AsyncGenerator[Addresses]:
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
            await ended(task)


@asynccontextmanager
async def plain_asyncio_zmq() -> AsyncGenerator[Addresses]:
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
            await ended(task)


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
            for _ in range(256):
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


async def ended(task: "asyncio.Task[None]") -> None:
    """Cancel *task* and wait for its end."""
    task.cancel()
    await asyncio.wait([task])


RELAYS: dict[str, dict[str, Callable[[], AbstractAsyncContextManager[Addresses]]]] = {
    "udp": {"RawUDPReceiver": rawdaq_udp, "asyncio, a queue item each": plain_asyncio_udp},
    "zmq": {"ZMQReceiver": rawdaq_zmq, "zmq.asyncio, a future each": plain_asyncio_zmq, "drained socket": drained_zmq},
}


async def relay(kind: str, name: str) -> None:
    """Be the relay: print the addresses, count processor time from the first line of stdin to the second."""
    async with RELAYS[kind][name]() as addresses:
        print(json.dumps(addresses), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began_s = time.process_time()
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps(time.process_time() - began_s), flush=True)


# --- the sender ----------------------------------------------------------------------------------------------------


def send(kind: str, address: str, count: int, rate: int) -> None:
    """Be the sender of *count* messages, with UDP at *rate* a second."""
    if kind == "zmq":
        with zmq.Context() as context, context.socket(zmq.PUSH) as pusher:
            pusher.connect(address)
            for index in range(count):
                pusher.send(index.to_bytes(SIZE_BYTES, "big"))
        return
    host, port = address.split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((host, int(port)))
        began_s = time.monotonic()
        for index in range(count):
            sender.send(index.to_bytes(SIZE_BYTES, "big"))
            if index % 64 == 0 and (early_s := began_s + index / rate - time.monotonic()) > 0:
                time.sleep(early_s)


# --- the measurement -----------------------------------------------------------------------------------------------


class Counting:
    """Counts on a thread what a publisher publishes, by its bytes: the machine's processors are for the relay."""

    def __init__(self, address: str) -> None:
        self._bytes = 0
        self._peer = ZmtpPeer(SocketType.SUB)
        host, port = address.removeprefix("tcp://").split(":")
        self._connection = socket.create_connection((host, int(port)))
        self._connection.sendall(self._peer.data_to_send())
        while not self._peer.is_ready:
            for _ in self._peer.receive_data(self._connection.recv(1)):  # no byte of what comes after
                pass
            self._connection.sendall(self._peer.data_to_send())
        self._peer.send_subscribe(b"")
        self._connection.sendall(self._peer.data_to_send())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        buffer = bytearray(1 << 22)
        while size_bytes := self._connection.recv_into(buffer):
            self._bytes += size_bytes

    @property
    def count(self) -> int:
        """How many messages came so far."""
        return self._bytes // _FRAME_BYTES

    def settle(self, wanted: int) -> int:
        """Return how many came, once it is *wanted* or no more come."""
        seen, quiet_since_s = self.count, time.monotonic()
        while seen < wanted and time.monotonic() - quiet_since_s < QUIET_S:
            time.sleep(0.02)
            if self.count != seen:
                seen, quiet_since_s = self.count, time.monotonic()
        return seen

    def stop(self) -> None:
        """End the thread."""
        self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()


def run(kind: str, name: str, count: int, rate: int) -> dict[str, Any]:
    """Return what one run cost and lost."""
    command = [sys.executable, __file__, "--kind", kind]
    with subprocess.Popen(
        [*command, "--relay", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        said = iter(process.stdout or ())
        source, published = json.loads(next(said))
        sending = [*command, "--send", source, "--rate", str(rate), "--count"]
        counting = Counting(published)
        while not counting.count:  # until the subscription has arrived
            subprocess.run([*sending, "1"], check=True)
            counting.settle(1)
        before = counting.settle(1 << 60)
        print("go", file=process.stdin, flush=True)
        began_s = time.monotonic()
        subprocess.run([*sending, str(count)], check=True)
        received = counting.settle(before + count) - before
        wall_s = time.monotonic() - began_s
        print("stop", file=process.stdin, flush=True)
        cpu_s = json.loads(next(said))
        counting.stop()
    return {"cpu_us": cpu_s / max(1, received) * 1e6, "received": received, "per_s": received / wall_s}


def table(kind: str, title: str, count: int, rate: int) -> None:
    """Print what each relay of *kind* costs."""
    print(f"{title:32} sent    received        lost    received/s  CPU us/message")
    for name in RELAYS[kind]:
        result = run(kind, name, count, rate)
        lost = count - result["received"]
        print(
            f"{name:28} {count:8} {result['received']:11} {lost:11} {result['per_s']:13.0f} {result['cpu_us']:15.2f}",
            flush=True,
        )


def main() -> None:
    """Print both tables, or be one side of a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=80_000, help="datagrams a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long datagrams are sent")
    parser.add_argument("--messages", type=int, default=500_000, help="how many ZMQ messages are sent")
    for hidden in ("--kind", "--relay", "--send"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if args.relay:
        asyncio.run(relay(args.kind, args.relay))
    elif args.send:
        send(args.kind, args.send, args.count, args.rate)
    else:
        table("udp", f"UDP, {args.rate} datagrams a second", round(args.rate * args.seconds), args.rate)
        print()
        table("zmq", "ZMQ PULL", args.messages, args.rate)


if __name__ == "__main__":
    main()
