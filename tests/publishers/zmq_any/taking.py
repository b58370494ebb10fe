"""What tests of ZMQPublisher share: an open publisher, and real ZMQ sockets that take what it sends."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.auth

from rawdaq.errors import ComponentError
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols.message import decode
from rawdaq.publishers.zmq_any import ZMQPublisher
from tests.helpers import until
from tests.makers import STREAM, packet

ANY_PORT = "tcp://127.0.0.1:*"


@contextlib.asynccontextmanager
async def publishing(**options: Any) -> AsyncGenerator[ZMQPublisher]:
    """Give an open publisher that is watched, and close it."""
    publisher = ZMQPublisher(**options)
    await publisher.open()
    watching = asyncio.ensure_future(publisher.watch())
    try:
        yield publisher
    finally:
        watching.cancel()
        publisher.close_timeout_s = 0.1
        await publisher.aclose()
        await publisher.aclose()


def connected(
    context: Any, kind: int, address: str, curve: tuple[Path, Path] | None = None, high_water_mark: int = 1000
) -> Any:
    """Give a socket that is connected to *address*, with its own secret and the server's public key file if named."""
    made = context.socket(kind)
    made.rcvhwm = high_water_mark
    made.setsockopt(zmq.IPV6, 1)
    if kind == zmq.SUB:
        made.subscribe(b"")
    if curve is not None:
        made.curve_publickey, made.curve_secretkey = zmq.auth.load_certificate(curve[0])
        made.curve_serverkey = zmq.auth.load_certificate(curve[1])[0]
    made.connect(address)
    return made


async def subscribed(publisher: ZMQPublisher, subscriber: Any) -> None:
    """Return when what is published arrives at *subscriber*, and all that was published for that has been taken."""
    while not subscriber.poll(10):
        await publisher.deliver([b"?"])
        await asyncio.sleep(0)
    await publisher.deliver([b"last"])
    await until(lambda: subscriber.poll(0) and subscriber.recv_multipart()[-1] == b"last")


async def received(taker: Any, count: int) -> list[Packet]:
    """Return the packets of the next *count* messages."""
    packets: list[Packet] = []
    while len(packets) < count:
        await until(lambda: taker.poll(0))
        packets.append(decode(taker.recv_multipart()))
    return packets


def peers(publisher: ZMQPublisher) -> Any:
    return publisher.status()["peers"]


PACKETS = [packet(index, sequence=index) for index in range(5)]
RUN = PacketRun(STREAM, [each.start_ns for each in PACKETS], 100.0, np.stack([each.samples for each in PACKETS]))


async def refusal(**options: Any) -> str:
    """Return why a publisher with these options cannot be opened."""
    publisher = ZMQPublisher(**options)
    with pytest.raises(ComponentError) as raised:
        await publisher.open()
    await publisher.aclose()
    assert "\n" not in str(raised.value)
    return str(raised.value)
