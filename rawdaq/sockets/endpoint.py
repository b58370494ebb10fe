"""What all sockets of a receiver have in common: they are opened, held while a publisher is full, read out, and closed.

Building an endpoint is free; `Endpoint.open` binds it. `Endpoint.hold` stops reading for a named reason (a full queue,
the command ``pause``) and `Endpoint.release` takes that reason back.
"""

import contextlib
import ipaddress
import re
from abc import ABC, abstractmethod
from typing import Any


def host_port(host: str, port: int) -> str:
    """Return ``HOST:PORT``, with an IPv6 address in brackets.

    >>> host_port("::1", 9004)
    '[::1]:9004'
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_host(host: str) -> str:
    """Return *host* when it can be the name or the address of a peer.

    Raises:
        ValueError: it cannot.
    """
    try:
        is_good = _is_host(host)
    except ValueError:  # of `ipaddress`, or of a name that no host can have
        is_good = False
    if not is_good:
        bare = ", without scheme and port" if re.search("[:/]", host) else ""
        raise ValueError(f"{host!r} is no host name or address, such as 192.0.2.7 or digitizer.local{bare}")
    return host


def check_listening(host: str) -> str:
    """Return *host* when it can be what a program listens on: `check_host`, or ``*`` for every interface.

    Raises:
        ValueError: it cannot.
    """
    return host if host == "*" else check_host(host)


def _is_host(host: str) -> bool:
    if not host or re.search(r"[\s\x00-\x1f/]", host):
        return False
    if ":" in host:
        return bool(ipaddress.IPv6Address(host))
    if re.fullmatch(r"[0-9.]+", host):
        return bool(ipaddress.IPv4Address(host))
    return re.fullmatch(rb"[A-Za-z0-9_][A-Za-z0-9._-]*", host.encode("idna")) is not None


class Endpoint(ABC):
    """A socket of a receiver, opened when the server starts."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._holds: set[str] = set()

    @property
    def address(self) -> str:
        """``HOST:PORT``; once open, with the port that the system chose for 0."""
        return host_port(self.host, self.port)

    @abstractmethod
    async def open(self) -> None:
        """Bind, or prepare to dial.

        Raises:
            ComponentError: the address cannot be used; the text names the cause and the remedy.
        """

    async def run(self) -> None:
        """Do what the endpoint has to do while the server runs; a listening one has nothing to do."""
        return

    def transports(self) -> list[Any]:
        """Return the open transports of asyncio; by default there are none between us and the socket."""
        return []

    async def read_out(self, timeout_s: float) -> str | None:
        """Read what has arrived by now, as publishers have room; by default `aclose` is enough.

        Returns:
            What is lost because it could not be read within *timeout_s*, in words; usually None.
        """
        return None

    @abstractmethod
    async def aclose(self) -> None:
        """Stop reading and close; may be called twice."""

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this endpoint."""
        return {"address": self.address, "held": sorted(self._holds)}

    def hold(self, reason: str) -> None:
        """Stop reading until *reason* is released; the peer's own buffers keep what it sends (TCP)."""
        self._holds.add(reason)
        self._apply_holds()

    def release(self, reason: str) -> None:
        """Read again unless another reason holds."""
        self._holds.discard(reason)
        self._apply_holds()

    def _apply_holds(self) -> None:
        for transport in self.transports():
            with contextlib.suppress(AttributeError, RuntimeError):  # datagram transports of other loops cannot pause
                (transport.pause_reading if self._holds else transport.resume_reading)()
