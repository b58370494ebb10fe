"""Receivers of events in tests: run one, keep what it publishes, and send to it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from rawdaq.config.options import read_options
from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.messages import Message
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from tests.helpers import until

STATION = StationSettings(network="XX", code="DEMO", location="00")


class EventKeeper(Publisher):
    """Keeps messages and packets."""

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
        """The headers as readers get them."""
        return [json.loads(each.head) for each in self.messages]


def options_of(cls: type[ReceiverServer], **options: Any) -> dict[str, Any]:
    """Return *options* as a station file gives them to a receiver, complete and checked."""
    made, mistakes = read_options(cls, options, Path("/base"))
    assert mistakes == []
    return made


def problems(cls: type[ReceiverServer], **options: Any) -> str:
    """Return what `control-rawdaq check` would say."""
    made, mistakes = read_options(cls, options, Path("/base"))
    if mistakes:
        return "; ".join(f"{'.'.join(map(str, mistake.where))}: {mistake.text}" for mistake in mistakes)
    try:
        cls.streams(STATION, made)
    except InvalidValue as error:
        return str(error)
    return ""


@contextlib.asynccontextmanager
async def serving(receiver: Any) -> AsyncGenerator[Any]:
    """Run *receiver* until the block ends."""
    task = asyncio.ensure_future(receiver.serve())
    await until(lambda: receiver._state == "running" or task.done())
    try:
        yield receiver
    finally:
        receiver.stop()
        await task


@contextlib.asynccontextmanager
async def receiving(cls: Any, **options: Any) -> AsyncGenerator[tuple[Any, EventKeeper]]:
    """Run a receiver that a station file describes with *options*; yield it and what it publishes."""
    keeper = EventKeeper()
    name = options.pop("name", cls.__name__)
    async with serving(cls([keeper], STATION, name=name, **options_of(cls, **options))) as receiver:
        yield receiver, keeper


@contextlib.contextmanager
def _udp() -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        yield made


def send_datagrams(receiver: ReceiverServer, *datagrams: bytes, source: str = "127.0.0.1") -> None:
    """Send *datagrams* to the receiver's first port from an address of this machine."""
    with _udp() as made:
        made.bind((source, 0))
        for each in datagrams:
            made.sendto(each, ("127.0.0.1", receiver.endpoints[0].port))
