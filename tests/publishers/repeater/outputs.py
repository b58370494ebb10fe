"""Outputs of a repeater, and consumers that are libzmq's."""

import contextlib
import json
from collections.abc import AsyncGenerator, Generator, Iterable
from typing import Any

import zmq

from rawdaq.multipart import Multipart
from rawdaq.publisher import OverflowPolicy
from rawdaq.publishers.repeater import Mode, RepeaterPublisher
from tests.helpers import until

CAMERA = {"htype": ["array-1.0"], "type": "uint16", "shape": [2, 3], "endianess": "little", "source": "bench"}


def frame(number: int, data: bytes = bytes(12), *more: bytes, arrived_ns: int = 0, **keys: Any) -> Multipart:
    """Return frame *number* as a receiver gives it."""
    header = {"frame": number, **CAMERA, **keys}
    parts = [json.dumps(header).encode(), data, *more]
    return Multipart(parts, sum(map(len, parts)), number, header, arrived_ns)


@contextlib.asynccontextmanager
async def opened(
    mode: Mode = Mode.EVERY_NTH,
    parameter: float = 1,
    overflow: OverflowPolicy = OverflowPolicy.DROP_OLDEST,
    **options: Any,
) -> AsyncGenerator[RepeaterPublisher]:
    """Give an output that is open; with an address it connects."""
    if "address" not in options:
        options["port"] = 0
    output = RepeaterPublisher(mode, parameter, **options)
    output.overflow = overflow
    output.close_timeout_s = 1.0
    await output.open()
    try:
        yield output
    finally:
        await output.aclose()
        assert_identity(output)


def assert_identity(output: RepeaterPublisher) -> None:
    """Nothing that was selected is without an outcome."""
    shown: Any = output.status()
    outcomes = ("sent", "dropped", "unheard", "waiting", "discarded_at_stop", "after_end")
    assert shown["selected"] == sum(shown[name] for name in outcomes), shown


@contextlib.contextmanager
def consumer(
    context: "zmq.Context[zmq.Socket[bytes]]", address: str, kind: int = zmq.PULL, *, binds: bool = False
) -> Generator[Any]:
    """Give a consumer that connects to *address*; it binds one with a ``*``, and any if it *binds*."""
    with context.socket(kind) as made:
        made.linger = 0
        if kind == zmq.SUB:
            made.subscribe(b"")
        (made.bind if binds or "*" in address else made.connect)(address)
        yield made


async def connected(output: RepeaterPublisher, count: int = 1, taker: Any = None) -> None:
    """Return when *count* consumers are connected, and those of a PUB output have subscribed.

    A SUB socket that binds subscribes when it is asked for something: *taker* is it.
    """

    def are_there() -> bool:
        if taker is not None:
            taker.poll(0)
        found = peers(output)
        return len(found) == count and (output.status()["zmq_mode"] == "PUSH" or all(each["topics"] for each in found))

    await until(are_there)


def peers(output: RepeaterPublisher) -> list[dict[str, Any]]:
    """Return what `status` shows of the consumers."""
    shown: Any = output.status()["peers"]
    return list(shown)


async def received(socket: Any, count: int) -> list[list[bytes]]:
    """Return *count* messages of *socket*."""
    messages: list[list[bytes]] = []
    while len(messages) < count:
        await until(lambda: socket.poll(0))
        messages.append(socket.recv_multipart())
    return messages


def number(message: list[bytes]) -> int:
    """Return the number of a frame."""
    return int(json.loads(message[0])["frame"])


def numbers(messages: Iterable[list[bytes]]) -> list[int]:
    """Return the numbers of frames."""
    return [number(message) for message in messages]
