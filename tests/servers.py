"""Servers and publishers that do what the tests of `ReceiverServer` need."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import zmq
import zmq.asyncio

from rawdaq.packet import Packet
from rawdaq.protocols import command
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.mon_sender import ReceiverMonSender
from tests.helpers import until


class Keeper(Publisher):
    def __init__(self) -> None:
        super().__init__("keeper")
        self.kept: list[Packet | bytes] = []
        self.closed = 0

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        self.kept += batch

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()


class Idle(ReceiverServer):
    """Waits for what the tests do to it."""

    def __init__(self, publishers: Sequence[Publisher] = ()) -> None:
        super().__init__("127.0.0.1", 0, publishers, "Idle")
        self._setup = True

    async def cmd_slow_sum(self, args: list[str]) -> int:
        """Add numbers.

        This line is not part of the help.
        """
        await asyncio.sleep(0)
        return sum(map(int, args))

    def cmd_bytes(self) -> bytes:
        return b"\x00\xff"


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.buffer: asyncio.Queue[bytes] = asyncio.Queue(1000)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.buffer.put_nowait(data)


class UdpRelay(ReceiverServer):
    """Relays datagrams of two ports, in the manner of ssdaq's receivers."""

    def __init__(self, ip: str, port: int, publishers: Sequence[Publisher]) -> None:
        super().__init__(ip, port, publishers, "UdpRelay")
        self.first, self.first_protocol = self.setup_udp(Datagrams)
        self.second, self.second_protocol = self.setup_udp(Datagrams, port=0)
        self.mon = ReceiverMonSender("UdpRelay", self.loop, self._context)

    async def ct_relay(self) -> None:
        await self._relay(self.first_protocol)

    async def ct_relay_second(self) -> None:
        await self._relay(self.second_protocol)

    async def _relay(self, protocol: Datagrams) -> None:
        while True:
            data = await protocol.buffer.get()
            self.mon.register_data_packet()
            await self.publish(data)


class PullRelay(ReceiverServer):
    """Relays what its own zmq socket gets."""

    def __init__(self, publishers: Sequence[Publisher]) -> None:
        super().__init__("127.0.0.1", 0, publishers, "PullRelay")
        self.receiver = self._context.socket(zmq.PULL)
        self.bound_port = self.receiver.bind_to_random_port("tcp://127.0.0.1")
        self._setup = True

    async def ct_pull(self) -> None:
        while True:
            await self.publish(await self.receiver.recv())


@contextlib.asynccontextmanager
async def serving(server: ReceiverServer) -> AsyncGenerator[asyncio.Task[None]]:
    task = asyncio.ensure_future(server.serve())
    await until(lambda: task.done() or server.cmd_status()["state"] == "running")
    try:
        yield task
    finally:
        server.stop()
        await asyncio.wait([task])


def shown_publisher(server: ReceiverServer, name: str) -> dict[str, Any]:
    """Return what `status` shows of a publisher."""
    shown: Any = server.cmd_status()["publishers"]
    return dict(shown[name])


async def ask(address: str, *words: str) -> Any:
    context = zmq.asyncio.Context()
    try:
        requester = context.socket(zmq.REQ)
        requester.connect(address)
        await requester.send_multipart(command.encode_request(words[0], words[1:]))
        async with asyncio.timeout(20):
            return command.decode_reply(await requester.recv_multipart())
    finally:
        context.destroy(linger=0)
