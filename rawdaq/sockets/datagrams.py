"""A UDP socket for any rate: read in bursts, with a verified buffer, multicast groups, and a count of what was lost."""

import asyncio
import contextlib
import ipaddress
import itertools
import logging
import socket
import struct
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rawdaq.outage import Outage
from rawdaq.sockets.endpoint import Endpoint, host_port
from rawdaq.sockets.remedies import cannot_listen

#: As many are read before others on the event loop get their turn.
BURST_DATAGRAMS = 256

_LARGEST_BYTES = 65_536  # more than UDP can carry, so nothing is ever cut
_BUFFER_BYTES = 1 << 20

_CHECK_S = 1.0  # how often the drops of the system are read
_LOG_S = 10.0  # and logged at most
_LAST_READS_S = 1.0  # on stop, for what has arrived by then

# Linux; Python's socket module does not name them.
_SO_RCVBUFFORCE, _SO_MEMINFO, _IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 33, 55, 49, 29
_MEMINFO: Final = struct.Struct("=9I")  # the first is what waits, the last what was dropped
_IS_LINUX = sys.platform == "linux"


@dataclass(frozen=True, slots=True)
class Burst:
    """Datagrams that were read together; valid until the next ones are read.

    Attributes:
        data: their bytes, one after the other.
        sizes: how many bytes each has.
        origins: the socket addresses that they came from.
    """

    data: memoryview
    sizes: Sequence[int]
    origins: Sequence[Any]

    def sender(self, index: int) -> str:
        """Return the address that a datagram came from."""
        return plain_address(self.origins[index][0])

    def peer(self, index: int) -> str:
        """Return ``HOST:PORT`` of the sender of a datagram."""
        return host_port(self.sender(index), self.origins[index][1])

    def groups(self, without: Collection[int] = ()) -> Iterator[tuple[range, bytes]]:
        """Yield indices and bytes of each group of neighbours that have one size, leaving out those of *without*."""
        marks = list(self.sizes)
        for index in without:
            marks[index] = ~marks[index]  # below zero, so that they make groups of their own
        begin = at = 0
        for mark, group in itertools.groupby(marks):
            indices = range(begin, begin + len(list(group)))
            begin, end = indices.stop, at + len(indices) * max(mark, ~mark)
            if mark >= 0:
                yield indices, bytes(self.data[at:end])
            at = end


def read_burst(sock: socket.socket, buffer: memoryview) -> Burst | None:
    """Return the datagrams that wait in *sock*, at most `BURST_DATAGRAMS`; None when there are none.

    Args:
        sock: a socket that does not block.
        buffer: where they are read to, one after the other.

    Raises:
        OSError: the system reports an error of the socket.
    """
    sizes: list[int] = []
    origins: list[Any] = []
    end, last = 0, len(buffer) - _LARGEST_BYTES
    try:
        while len(sizes) < BURST_DATAGRAMS and end <= last:
            size, origin = sock.recvfrom_into(buffer[end:])
            sizes.append(size)
            origins.append(origin)
            end += size
    except BlockingIOError:
        pass
    except OSError:
        if not sizes:
            raise
    return Burst(buffer[:end], sizes, origins) if sizes else None


def plain_address(text: str) -> str:
    """Return *text* without its zone; an IPv4 address that came through an IPv6 socket as what it is.

    >>> plain_address("::ffff:192.0.2.1"), plain_address("fe80::1%eth0")
    ('192.0.2.1', 'fe80::1')
    """
    address = text.partition("%")[0]
    return address.removeprefix("::ffff:") if "." in address else address


@dataclass(frozen=True, slots=True)
class DatagramOptions:
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
        options: buffer and groups.
        take: gets every burst, and must have copied what it needs when it returns.
        log: where drops and a buffer that is too small are logged.

    Attributes:
        datagrams: how many were read.
        bytes: their size.
        buffer_bytes: what the system granted; None before it is open.
    """

    def __init__(
        self,
        host: str,
        port: int,
        options: DatagramOptions,
        take: Callable[["DatagramEndpoint", Burst], None],
        log: logging.Logger,
    ) -> None:
        super().__init__(host, port)
        self.options = options
        self.datagrams = 0
        self.bytes = 0
        self.buffer_bytes: int | None = None
        self._take = take
        self._log = log
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._sock: socket.socket | None = None
        self._drops = 0
        self._logged_drops = 0
        self._outage = Outage(log, _LOG_S)

    async def open(self) -> None:
        """Bind the socket, enlarge its buffer, join the groups, and read.

        Raises:
            ComponentError: the address cannot be used; the text names the cause and the remedy.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
            self._sock = self._bound(found[0][0], found[0][4])
        except OSError as error:
            raise cannot_listen(f"UDP {self.address}", error) from error
        self.port = self._sock.getsockname()[1]
        self._apply_holds()
        self._log_buffer()

    def _bound(self, family: int, address: Any) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if family == socket.AF_INET6:  # :: takes IPv4 too, whatever the system's default is
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            if self.options.groups:  # others on this machine may listen to the same group
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.buffer_bytes = enlarge_buffer(sock, self.options.buffer_bytes)
            sock.bind(address)
            for group in self.options.groups:
                join(sock, group, self.options.interface)
        except OSError:
            sock.close()
            raise
        return sock

    def _log_buffer(self) -> None:
        asked, granted = self.options.buffer_bytes, self.buffer_bytes or 0
        if granted >= asked:
            self._log.info("listening on UDP %s with a buffer of %.1f MB", self.address, granted / 1e6)
            return
        setting = f"net.core.rmem_max={asked}" if _IS_LINUX else f"kern.ipc.maxsockbuf={2 * asked}"
        self._log.warning(
            "listening on UDP %s: the system granted a buffer of %.3f MB instead of %.3f MB; bursts may be lost. "
            "Raise the limit with `sysctl -w %s`, and write that into /etc/sysctl.conf; or ask for less",
            self.address,
            granted / 1e6,
            asked / 1e6,
            setting,
        )

    def _apply_holds(self) -> None:
        if self._sock is not None:
            loop = asyncio.get_running_loop()
            if self._holds:
                loop.remove_reader(self._sock)
            else:
                loop.add_reader(self._sock, self._read, self._sock)

    def _read(self, sock: socket.socket) -> bool:
        """Take one burst; return whether there was one."""
        try:
            burst = read_burst(sock, self._buffer)
        except OSError as error:  # such as an interface that went down; the socket stays
            self._log.warning("UDP %s: %s", self.address, error.strerror or error)
            return False
        if burst is None:
            return False
        self.datagrams += len(burst.sizes)
        self.bytes += len(burst.data)
        self._take(self, burst)
        return True

    async def run(self) -> None:
        """Watch what the system drops."""
        while True:
            await asyncio.sleep(_CHECK_S)
            if self._outage.is_due:
                self.log_drops()

    def kernel_drops(self) -> int | None:
        """Return how many datagrams the system dropped at this socket so far; None where it does not count them."""
        if self._sock is not None:
            self._drops = _meminfo(self._sock)[-1]
        return self._drops if _IS_LINUX else None

    def log_drops(self) -> None:
        """Log what the system dropped since the last line, if it dropped anything."""
        new = (self.kernel_drops() or 0) - self._logged_drops
        if new > 0:
            self._logged_drops += new
            self._outage.log(
                "the system dropped %d datagrams at UDP %s: its buffer of %.3f MB was full; raise receive_buffer_mb, "
                "or give this component a processor of its own (core_id)",
                new,
                self.address,
                (self.buffer_bytes or 0) / 1e6,
            )

    async def aclose(self) -> None:
        """Take what has arrived by now (unless reading is held), and close."""
        sock = self._sock
        if sock is None:
            return
        asyncio.get_running_loop().remove_reader(sock)
        end_s = time.monotonic() + _LAST_READS_S
        while not self._holds and time.monotonic() < end_s and self._read(sock):
            pass
        self.log_drops()
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


def enlarge_buffer(sock: socket.socket, asked_bytes: int) -> int:
    """Ask the system for a receive buffer of *asked_bytes*, and return how much it granted."""
    for halvings in range(10):  # some systems refuse what is too large, others grant less
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, asked_bytes >> halvings)
            break
    if _IS_LINUX:
        with contextlib.suppress(PermissionError):  # only an administrator may go beyond the limit
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, asked_bytes)
    factor = 2 if _IS_LINUX else 1  # Linux doubles what is asked for, to have room for its own records
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // factor


def join(sock: socket.socket, group: str, interface: str | None) -> None:
    """Let *sock* get what is sent to *group*, and nothing of groups that it has not joined.

    Raises:
        OSError: the system cannot, or has no such interface.
    """
    index = socket.if_nametoindex(interface) if interface else 0
    address = ipaddress.ip_address(group)
    if address.version == 6:
        request = address.packed + struct.pack("@I", index)
        _leave_out_other_groups(sock, socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    else:
        request = address.packed + bytes(4) + struct.pack("@i", index)
        _leave_out_other_groups(sock, socket.IPPROTO_IP, _IP_MULTICAST_ALL)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)


def _leave_out_other_groups(sock: socket.socket, level: int, option: int) -> None:
    if _IS_LINUX:
        with contextlib.suppress(OSError):  # a kernel before 4.20 has not both options
            sock.setsockopt(level, option, 0)


def _meminfo(sock: socket.socket) -> tuple[int, ...]:
    """Return Linux's account of a socket's memory; zeros elsewhere."""
    if not _IS_LINUX:
        return (0,) * 9
    values: tuple[int, ...] = _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))
    return values
