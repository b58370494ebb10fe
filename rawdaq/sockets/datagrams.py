"""A UDP socket for any rate: drained in bursts, with a verified buffer, multicast groups, and a watch on lost ones."""

import asyncio
import errno
import ipaddress
import logging
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rawdaq.errors import ComponentError
from rawdaq.sockets.datagram_drain import Burst, Drain, drain_of
from rawdaq.sockets.endpoint import Endpoint

_CHECK_S = 1.0  # how often the drops of the system are read
_TELL_S = 10.0  # and told at most
_LAST_READS_S = 1.0  # on stop, for what has arrived by then

# Linux; Python's socket module does not name them.
_SO_RCVBUFFORCE, _SO_MEMINFO, _IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 33, 55, 49, 29
_MEMINFO: Final = struct.Struct("=9I")  # the first is what waits, the last what was dropped
_IS_LINUX = sys.platform == "linux"

_REMEDIES: Final = {
    errno.EADDRINUSE: "another program uses it; `ss -lunp` names it: stop it, or take another port",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address; take one that has, or 0.0.0.0 (or ::) for all",
    errno.EACCES: "ports below 1024 need privileges; take a higher one",
    errno.ENODEV: "there is no such interface; `ip link` names those that there are",
}


@dataclass(frozen=True, slots=True)
class Listening:
    """How to listen for datagrams.

    Attributes:
        buffer_bytes: what the system shall keep while we do not read.
        groups: multicast groups to join, of the family of the address that is listened on.
        interface: the name of the interface on which to join them; None leaves it to the system.
    """

    buffer_bytes: int = 32_000_000
    groups: Sequence[str] = ()
    interface: str | None = None


class DatagramEndpoint(Endpoint):
    """A UDP socket that hands on whole bursts of datagrams, without a task or an object for each.

    Args:
        host: the address to listen on; ``::`` is every address of both families.
        port: the port; 0 lets the system choose.
        listening: buffer and groups.
        take: gets every burst, and must have copied what it needs when it returns.
        log: where drops and a buffer that is too small are told.
    """

    def __init__(
        self,
        host: str,
        port: int,
        listening: Listening,
        take: Callable[["DatagramEndpoint", Burst], None],
        log: logging.Logger,
    ) -> None:
        super().__init__(host, port)
        self.listening = listening
        self.datagrams = 0
        self.bytes = 0
        self.buffer_bytes: int | None = None
        self._take = take
        self._log = log
        self._sock: socket.socket | None = None
        self._drain: Drain | None = None
        self._drops = 0
        self._told_drops = 0
        self._told_s: float | None = None

    async def open(self) -> None:
        """Bind the socket, enlarge its buffer, join the groups, and read.

        Raises:
            ComponentError: impossible; the text says why and what to do.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
            self._sock = self._bound(found[0][0], found[0][4])
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, "see that the address exists on this machine and may be used")
            raise ComponentError(f"cannot listen on UDP {self.address}: {error.strerror or error}; {remedy}") from error
        self.port = self._sock.getsockname()[1]
        self._drain = drain_of(self._sock)
        self._apply_holds()
        self._tell_buffer()

    def _bound(self, family: int, address: Any) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if family == socket.AF_INET6:  # :: takes IPv4 too, whatever the system's default is
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            if self.listening.groups:  # others on this machine may listen to the same group
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.buffer_bytes = enlarge_buffer(sock, self.listening.buffer_bytes)
            sock.bind(address)
            for group in self.listening.groups:
                join(sock, group, self.listening.interface)
        except OSError:
            sock.close()
            raise
        return sock

    def _tell_buffer(self) -> None:
        wanted, granted = self.listening.buffer_bytes, self.buffer_bytes or 0
        if granted >= wanted:
            self._log.info("listening on UDP %s with a buffer of %.1f MB", self.address, granted / 1e6)
            return
        setting = f"net.core.rmem_max={wanted}" if _IS_LINUX else f"kern.ipc.maxsockbuf={2 * wanted}"
        self._log.warning(
            "listening on UDP %s: the system granted a buffer of %.3f MB, asked for were %.3f MB; bursts may be lost. "
            "Raise the limit with `sysctl -w %s`, and write that into /etc/sysctl.conf; or ask for less",
            self.address,
            granted / 1e6,
            wanted / 1e6,
            setting,
        )

    def _apply_holds(self) -> None:
        if self._sock is not None:
            loop = asyncio.get_running_loop()
            if self._holds:
                loop.remove_reader(self._sock)
            else:
                loop.add_reader(self._sock, self._read)

    def _read(self) -> bool:
        """Take one burst; return whether there was one."""
        assert self._drain is not None  # noqa: S101 - it lives as long as the socket
        try:
            burst = self._drain.read()
        except OSError as error:  # such as an interface that went down; the socket stays
            self._log.warning("UDP %s: %s", self.address, error.strerror or error)
            return False
        if burst is None:
            return False
        self.datagrams += len(burst)
        self.bytes += int(burst.sizes.sum())
        self._take(self, burst)
        return True

    async def run(self) -> None:
        """Watch what the system drops."""
        while True:
            await asyncio.sleep(_CHECK_S)
            self.tell_drops(asyncio.get_running_loop().time())

    def kernel_drops(self) -> int | None:
        """Return how many datagrams the system dropped at this socket so far; None where it does not tell."""
        if self._sock is not None:
            self._drops = _meminfo(self._sock)[-1]
        return self._drops if _IS_LINUX else None

    def tell_drops(self, now_s: float | None = None) -> None:
        """Log new drops of the system, at *now_s* at most once in ten seconds, without it at once."""
        new = (self.kernel_drops() or 0) - self._told_drops
        is_due = now_s is None or self._told_s is None or now_s - self._told_s >= _TELL_S
        if new > 0 and is_due:
            self._told_drops += new
            self._told_s = now_s
            self._log.warning(
                "the system dropped %d datagrams at UDP %s: its buffer of %.3f MB was full; raise receive_buffer_mb, "
                "or give this component a processor of its own (core_id)",
                new,
                self.address,
                (self.buffer_bytes or 0) / 1e6,
            )

    def transports(self) -> list[Any]:
        """Return none: there is no transport between us and the socket."""
        return []

    async def aclose(self) -> None:
        """Take what has arrived by now (unless reading is held), and close."""
        sock = self._sock
        if sock is None:
            return
        asyncio.get_running_loop().remove_reader(sock)
        end_s = time.monotonic() + _LAST_READS_S
        while not self._holds and time.monotonic() < end_s and self._read():
            pass
        self.tell_drops()
        if left_bytes := _meminfo(sock)[0]:
            self._log.error(
                "UDP %s closes while %d bytes still wait in its buffer: they are lost", self.address, left_bytes
            )
        self._sock = None
        sock.close()

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this endpoint."""
        return super().status() | {
            "datagrams": self.datagrams,
            "bytes": self.bytes,
            "receive_buffer_bytes": self.buffer_bytes,
            "kernel_drops": self.kernel_drops(),
        }


def enlarge_buffer(sock: socket.socket, wanted_bytes: int) -> int:
    """Ask the system for a receive buffer of *wanted_bytes*, and return how much it granted."""
    factor = 2 if _IS_LINUX else 1  # Linux doubles what is asked for, to have room for its own records
    if _IS_LINUX:
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, wanted_bytes)
        except PermissionError:  # only an administrator may go beyond the limit
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted_bytes)
    else:
        _ask_for_less(sock, wanted_bytes)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // factor


def _ask_for_less(sock: socket.socket, wanted_bytes: int) -> None:
    """Ask for ever smaller buffers until one is granted, where the system refuses what is too large."""
    while True:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted_bytes)
            return
        except OSError:
            if wanted_bytes < 1 << 16:
                return
            wanted_bytes //= 2


def join(sock: socket.socket, group: str, interface: str | None) -> None:
    """Let *sock* get what is sent to *group*, and of all groups only those that it has joined.

    Raises:
        OSError: the system cannot, or has no such interface.
    """
    index = socket.if_nametoindex(interface) if interface else 0
    address = ipaddress.ip_address(group)
    if address.version == 6:
        request = address.packed + struct.pack("@I", index)
        _set_if_there(sock, socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    else:
        request = address.packed + bytes(4) + struct.pack("@i", index)
        _set_if_there(sock, socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)


def _set_if_there(sock: socket.socket, level: int, option: int, value: int) -> None:
    if _IS_LINUX:
        try:
            sock.setsockopt(level, option, value)
        except OSError:  # a kernel before 4.20 has not both of them; then it is a convenience less
            pass


def _meminfo(sock: socket.socket) -> tuple[int, ...]:
    """Return what Linux tells of a socket's memory; zeros elsewhere."""
    if not _IS_LINUX:
        return (0,) * 9
    values: tuple[int, ...] = _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))
    return values
