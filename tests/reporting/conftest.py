"""A context of ZMQ sockets."""

from collections.abc import Generator

import pytest
import zmq


@pytest.fixture
def context() -> Generator["zmq.Context[zmq.Socket[bytes]]"]:
    with zmq.Context() as made:
        yield made
        made.destroy(linger=0)
