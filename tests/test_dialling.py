import asyncio
import errno
import logging
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq import dialling
from rawdaq.dialling import DialEndpoint, DialledProtocol, Reconnect
from tests.helpers import until

LOG = logging.getLogger("rawdaq.test")


@given(st.integers(1, 10_000))
def test_the_pause_between_attempts_doubles_with_jitter_up_to_its_maximum(failures: int) -> None:
    delay_s = Reconnect(0.5, 30.0).delay_s(failures)
    planned_s = min(30.0, 0.5 * 2.0 ** min(failures - 1, 60))
    assert 0.8 * planned_s <= delay_s <= min(30.0, 1.2 * planned_s)


async def test_a_connection_is_not_read_while_anything_holds_it() -> None:
    got: list[bytes] = []

    class Reader(DialledProtocol):
        def received(self, chunk: memoryview) -> None:
            got.append(bytes(chunk))

    peers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: peers.append(writer), "127.0.0.1", 0)
    endpoint = DialEndpoint(Reader, "127.0.0.1", server.sockets[0].getsockname()[1], Reconnect(0.01, 0.02), LOG)
    endpoint.hold("full")
    endpoint.hold("paused")
    task = asyncio.ensure_future(endpoint.run())
    await until(lambda: peers and endpoint.protocol)
    peers[0].write(b"data")
    await peers[0].drain()
    endpoint.release("full")
    for _ in range(10):
        await asyncio.sleep(0)
    assert got == []
    endpoint.release("paused")
    await until(lambda: got == [b"data"])
    await endpoint.aclose()
    task.cancel()
    for peer in peers:
        peer.close()
    server.close()
    await asyncio.gather(task, *(peer.wait_closed() for peer in peers), return_exceptions=True)


async def test_a_held_connection_is_not_blamed_for_its_silence() -> None:
    class Reader(DialledProtocol):
        def __init__(self) -> None:
            super().__init__(timeout_s=0.05)

    peers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: peers.append(writer), "127.0.0.1", 0)
    endpoint = DialEndpoint(Reader, "127.0.0.1", server.sockets[0].getsockname()[1], Reconnect(60.0, 60.0), LOG)
    endpoint.hold("full")
    task = asyncio.ensure_future(endpoint.run())
    await until(lambda: endpoint.protocol)
    end_s = asyncio.get_running_loop().time() + 0.2
    await until(lambda: asyncio.get_running_loop().time() > end_s)
    assert endpoint.last_failure is None
    endpoint.release("full")
    await until(lambda: endpoint.last_failure == "sent nothing for 0.05 s")
    task.cancel()
    for peer in peers:
        peer.close()
    server.close()
    await asyncio.gather(task, *(peer.wait_closed() for peer in peers), return_exceptions=True)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (None, "the device closed the connection"),
        (TimeoutError(), "no answer within 10 s"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved (Name or service not known)"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to it"),
        (OSError(errno.EPIPE, "Broken pipe"), "Broken pipe"),
        (OSError("Multiple exceptions"), "Multiple exceptions"),
        (ValueError("what the codec says"), "what the codec says"),
    ],
)
def test_a_failure_is_told_in_an_operators_words(failure: Exception | None, words: str) -> None:
    assert words in dialling._reason(failure)
