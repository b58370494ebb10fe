"""Connections are judged at once."""

import pytest

from rawdaq.sockets.zeromq import connection_state
from rawdaq.sockets.zeromq import dialling as zmq_dialling
from rawdaq.sockets.zeromq import socket as zmq_socket


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(connection_state, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(zmq_dialling, "_GIVEN_UP_S", 0.05)
    monkeypatch.setattr(zmq_socket, "_CHECK_S", 0.01)
    caplog.set_level("INFO", "rawdaq")
