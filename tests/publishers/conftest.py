"""A server's end of a plugin pipe, and a context of ZMQ sockets."""

from collections.abc import Generator, Iterator

import pytest
import zmq

from tests.pipe_server import PipeServer


@pytest.fixture
def server() -> Iterator[PipeServer]:
    with PipeServer() as server:
        yield server


@pytest.fixture
def context() -> Generator["zmq.Context[zmq.Socket[bytes]]"]:
    with zmq.Context() as made:
        yield made
        made.destroy(linger=0)
