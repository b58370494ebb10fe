"""A host name whose addresses a test chooses."""

import socket
import threading
from typing import Any

import pytest

NAME = "dual.test"


class Names:
    """Answers for `NAME`; every other name is looked up as always.

    Attributes:
        addresses: what the name has; none: it cannot be resolved.
        asked: how often it was looked up.
        delay: looking up waits until it is set.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses = ["::1", "127.0.0.1"]
        self.asked = 0
        self.delay = threading.Event()
        self.delay.set()
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(self, host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        if host != NAME:
            return self._real(host, port, *args, **options)
        self.delay.wait(60)
        self.asked += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [info for address in self.addresses for info in self._real(address, port, *args, **options)]
