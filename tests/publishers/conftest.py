"""A server's end of a plugin pipe."""

from collections.abc import Iterator

import pytest

from tests.pipe_server import PipeServer


@pytest.fixture
def server() -> Iterator[PipeServer]:
    with PipeServer() as server:
        yield server
