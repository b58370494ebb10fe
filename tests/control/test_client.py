import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from rawdaq.control import client
from rawdaq.errors import CommandError
from rawdaq.protocols.command import Request, Result, decode_request, encode_error, encode_reply


@contextmanager
def _component(address: str, answer: Callable[[Request], list[bytes]]) -> Generator[None]:
    """Be a component that answers one command."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.linger = 1000
        socket.bind(address)

        def serve() -> None:
            if socket.poll(30_000):
                peer, empty, *frames = socket.recv_multipart()
                socket.send_multipart([peer, empty, *answer(decode_request(frames))])

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.fixture
def address(runtime_dir: Path) -> str:
    return f"ipc://{runtime_dir}/a.sock"


@pytest.mark.parametrize("result", ["pong", b"\x00\xff", {"rate": 1.5}, None])
def test_a_command_gets_its_answer(address: str, result: Result) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> list[bytes]:
        asked.append(request)
        return encode_reply(result)

    with _component(address, answer):
        assert client.send("DEMO/Main", address, "do", ["this", "ä"], timeout_s=30) == result
    assert asked == [Request("do", ["this", "ä"])]


def test_a_refusal_is_reported_in_the_components_words(address: str) -> None:
    with (
        _component(address, lambda _: encode_error("no command 'x'")),
        pytest.raises(CommandError, match=r"^DEMO/Main: no command 'x'$"),
    ):
        client.send("DEMO/Main", address, "x", timeout_s=30)


def test_an_invalid_answer_is_reported(address: str) -> None:
    with (
        _component(address, lambda _: [b"hello"]),
        pytest.raises(CommandError, match=r"DEMO/Main sent an invalid reply: .* another version"),
    ):
        client.send("DEMO/Main", address, "x", timeout_s=30)


def test_silence_ends(address: str) -> None:
    with pytest.raises(CommandError, match=r"DEMO/Main did not answer 'ping' within 0.05 s; its log may say why"):
        client.send("DEMO/Main", address, "ping", timeout_s=0.05)


def test_an_address_that_cannot_be_is_reported() -> None:
    with pytest.raises(CommandError, match="DEMO/Main cannot be asked at nowhere: Invalid argument"):
        client.send("DEMO/Main", "nowhere", "ping")


def test_a_call_waits_for_a_component_that_is_only_starting(address: str) -> None:
    with client.call(address, "ping") as wait:
        assert wait(0.01) is None
        with _component(address, lambda _: encode_reply("pong")):
            assert wait(30) == encode_reply("pong")
