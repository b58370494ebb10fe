"""Senders of readouts on this machine, and an assembler that gets them."""

import contextlib
import socket
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rawdaq.config.settings import StationSettings
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.protocols.raw import RawVersion, encode_packet
from rawdaq.publisher import Publisher
from rawdaq.receivers.assembler import ReadoutAssembler
from tests.helpers import until
from tests.makers import START_NS
from tests.servers import serving

STATION = StationSettings(network="XX", code="ARRAY", location="")
SAMPLES = 4
MS = 1_000_000


def values(slot: int, instant: int) -> npt.NDArray[np.int32]:
    """Return the samples that a sender has at an instant: each says where it belongs."""
    return (instant * 1000 + slot * 10 + np.arange(SAMPLES)).astype("<i4")


def datagram(slot: int, instant: int, channel: int = 1, interval_ns: int = 10 * MS, samples: int = SAMPLES) -> bytes:
    """Return what a sender sends at an instant."""
    data = np.resize(values(slot, instant), samples).astype("<i4").tobytes()
    return encode_packet(RawVersion.V2_0, channel, START_NS + instant * interval_ns, 100, data, samples)


class MessageKeeper(Publisher):
    """Keeps what it gets."""

    takes_messages = True

    def __init__(self) -> None:
        super().__init__("keeper")
        self.messages: list[Message] = []
        self.packets: list[Packet] = []

    async def deliver(self, batch: Sequence[Any]) -> None:
        self.messages += [each for each in batch if isinstance(each, Message)]
        self.packets += [each for each in batch if isinstance(each, Packet)]

    @property
    def headers(self) -> list[dict[str, Any]]:
        return [dict(each.header) for each in self.messages]


class Bench:
    """An assembler that serves, with senders that have addresses of their own.

    Attributes:
        receiver: the assembler.
        keeper: what it publishes.
    """

    def __init__(self, receiver: ReadoutAssembler, keeper: MessageKeeper, sockets: Sequence[socket.socket]) -> None:
        self.receiver, self.keeper = receiver, keeper
        self._sockets = sockets
        self.sent = 0

    def send(self, slot: int, *datagrams: bytes) -> None:
        for each in datagrams:
            self._sockets[slot].sendto(each, ("127.0.0.1", self.receiver.endpoints[0].port))
        self.sent += len(datagrams)

    async def taken(self) -> None:
        """Return when the assembler has read all that was sent."""
        endpoint: Any = self.receiver.endpoints[0]
        await until(lambda: endpoint.datagrams >= self.sent)

    async def published(self, count: int) -> list[dict[str, Any]]:
        await until(lambda: len(self.keeper.messages) >= count)
        return self.keeper.headers

    @property
    def status(self) -> dict[str, Any]:
        return self.receiver.receiver_status()

    def check_identity(self) -> dict[str, int]:
        totals: dict[str, int] = dict(self.status["parts"])
        assert totals["parts"] == sum(count for name, count in totals.items() if name != "parts"), totals
        return totals


@contextlib.asynccontextmanager
async def assembling(senders: int = 3, **options: Any) -> AsyncGenerator[Bench]:
    """Run an assembler with so many senders on a port of the system's choice."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(senders)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        slots = {f"127.0.0.1:{each.getsockname()[1]}": slot for slot, each in enumerate(sockets)}
        keeper = MessageKeeper()
        chosen: dict[str, Any] = {"ip": "127.0.0.1", "port": 0, "format": "raw", "slots": slots, "name": "Assembler"}
        receiver = ReadoutAssembler([keeper], STATION, **(chosen | options))
        async with serving(receiver) as task:
            yield Bench(receiver, keeper, sockets)
        await task
