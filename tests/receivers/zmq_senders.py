"""What the tests of ZMQReceiver share."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any

import zmq

from rawdaq.config.settings import StationSettings
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.receivers.zmq_in.receiver import ZMQReceiver
from tests.helpers import until

STATION = StationSettings(network="XX", code="DEMO", location="00")
ANY_PORT = "tcp://127.0.0.1:*"
Item = Packet | bytes


class Keeper(Publisher):
    def __init__(self) -> None:
        super().__init__("keeper")
        self.items: list[Any] = []
        self.door = asyncio.Event()
        self.door.set()

    async def deliver(self, batch: Sequence[Item]) -> None:
        await self.door.wait()
        self.items += batch


Sender = Any


@contextlib.contextmanager
def sending(context: "zmq.Context[zmq.Socket[bytes]]", kind: int, address: str = ANY_PORT) -> Generator[Sender]:
    """Give a socket that is bound, or that is connected where the address has a port."""
    with context.socket(kind) as made:
        made.linger = 0
        made.sndhwm = 0
        (made.bind if address.endswith("*") else made.connect)(address)
        yield made


def address_of(sender: Sender) -> str:
    return str(sender.getsockopt_string(zmq.LAST_ENDPOINT))


@contextlib.asynccontextmanager
async def receiving(
    *endpoints: str, keeper: Keeper | None = None, **options: Any
) -> AsyncGenerator[tuple[ZMQReceiver, list[Any]]]:
    """Run a receiver; yield it and what it publishes."""
    keeper = keeper or Keeper()
    receiver = ZMQReceiver([keeper], STATION, endpoints=list(endpoints), **options)
    task = asyncio.ensure_future(receiver.serve())
    await until(lambda: receiver._state == "running" or task.done())
    try:
        yield receiver, keeper.items
    finally:
        receiver.stop()
        await task


async def subscribed(sender: Sender) -> None:
    """Return when a subscription has arrived at an XPUB socket."""
    await until(lambda: sender.poll(0))
    sender.recv()


def is_bound(publisher: "zmq.Socket[bytes]", address: str) -> bool:
    """Bind *publisher*, if whoever was there has left; ZMQ does that in a thread of its own."""
    with contextlib.suppress(zmq.ZMQError):
        publisher.bind(address)
        return True
    return False
