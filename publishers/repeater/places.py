"""Where an output is: a port that it binds, or the address of a consumer that it connects to."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import NamedTuple

from rawdaq.errors import InvalidValue
from rawdaq.publishers.repeater.consumer import Consumer
from rawdaq.sockets.dialling import Backoff, Dialler
from rawdaq.sockets.endpoint import check_host

_ADDRESS = re.compile(r"tcp://(?:(?P<host>[^\s:/\[\]]+)|\[(?P<ip6>[0-9A-Fa-f:.]+)\]):(?P<port>\d{1,5})", re.ASCII)
_IPC = re.compile(r"ipc://(?P<path>[^\s*]\S*)")


class Place(NamedTuple):
    """An address.

    Attributes:
        host: an interface of this machine or, with *connects*, another machine; the path of an ipc address.
        port: its port; 0: the system chooses one. None: it is an ipc address.
        connects: whether the output connects.
    """

    host: str
    port: int | None
    connects: bool = False

    @property
    def address(self) -> str:
        """As ZMQ writes it."""
        if self.port is None:
            return f"ipc://{self.host}"
        return f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class ConsumerDialler(Dialler[Consumer]):
    """Keeps a connection to a consumer that listens.

    Args:
        factory: makes the protocol of each attempt.
        place: where it listens.
        log: where it is logged why there is no connection.
    """

    def __init__(self, factory: Callable[[], Consumer], place: Place, log: logging.Logger) -> None:
        super().__init__(factory, place.host, place.port or 0, Backoff(max_s=5.0), log)
        self._place = place

    @property
    def address(self) -> str:
        """As ZMQ writes it."""
        return self._place.address

    async def connect(self, factory: Callable[[], Consumer]) -> tuple[asyncio.BaseTransport, Consumer]:
        """Return a new connection by TCP or by ipc."""
        if self._place.port is not None:
            return await super().connect(factory)
        return await asyncio.get_running_loop().create_unix_connection(factory, self.host)


def bound_place(ip: str, port: int) -> Place:
    """Return the place of an output that binds; *ip* may be ``*``."""
    return Place({"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(ip, ip.strip("[]")), port)


def connected_place(address: str) -> Place:
    """Return the place of an output that connects to *address*.

    >>> connected_place("tcp://store.example:9610")
    Place(host='store.example', port=9610, connects=True)

    Raises:
        InvalidValue: it is no address that a consumer can listen at.
    """
    if match := _IPC.fullmatch(address):
        return Place(match["path"], None, connects=True)
    match = _ADDRESS.fullmatch(address)
    if not match or not 1 <= int(match["port"]) <= 65535 or match["host"] == "*":
        raise InvalidValue(f"{address!r} is not the address of a consumer; it should look like tcp://127.0.0.1:9610")
    try:
        check_host(match["host"] or match["ip6"])
    except ValueError as error:
        raise InvalidValue(str(error)) from None
    return Place(match["host"] or match["ip6"], int(match["port"]), connects=True)
