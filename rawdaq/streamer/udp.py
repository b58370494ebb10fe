"""What a digitizer's program imports to push its samples as datagrams; needs the standard library and numpy only.

::

    with UDPStreamer([Channel(1, 100, samptype="int32")], "192.0.2.10", 9000) as streamer:
        while True:
            when, samples = my_digitizer.read()
            streamer.feed_data(1, when, 100, samples)

There are no answers: what is lost on the way is not known here, and `RawUDPReceiver` must have the channels in its
station file.
"""

import contextlib
import errno
import ipaddress
import logging
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rawdaq.errors import ComponentError, InvalidValue, LocalProtocolError
from rawdaq.outage import Outage
from rawdaq.packet import Samples
from rawdaq.protocols.raw import RawVersion, encode_packet
from rawdaq.protocols.raw.datagram import samples_that_fit
from rawdaq.streamer.feed import Channel, SampleFeed

__all__ = ["Channel", "UDPStreamer", "UdpCounters"]

#: What Ethernet carries in one piece, less what IPv6, UDP and the usual tunnels need.
DATAGRAM_BYTES = 1400

_SEND_BUFFER_BYTES = 4_000_000
_LOG_S = 10.0
_LOGGED_REASONS = 5
_RECOVER_S = 1.0  # a broken socket is made again at most this often


@dataclass(slots=True)
class UdpCounters:
    """What happened since the `UDPStreamer` was built.

    Attributes:
        samples: that were fed.
        datagrams: that the operating system took.
        sent_bytes: in these.
        lost_datagrams: that it did not take: no network, no route, or a send buffer that was full.
        refused: how often the other machine answered that no program listens there.
    """

    samples: int = 0
    datagrams: int = 0
    sent_bytes: int = 0
    lost_datagrams: int = 0
    refused: int = 0


class UDPStreamer(SampleFeed):
    """Pushes the samples of a device to one receiver, or to a multicast group, as RAW packets in datagrams.

    `feed_data` sends at once and never waits: what the operating system does not take is counted and logged, and the
    next call tries again, also after the network was away. Where a name has several addresses, and one answers that no
    program listens there, the next one is taken. `start` and `stop` may be called twice.

    Args:
        channels: what the device has.
        host: where the samples go: a machine, or a multicast group.
        port: the receiver's port.
        version: whose packet header is written: "2.0", "1.1" or "1.0"; the receiver must have the same.
        datagram_bytes: the largest datagram; longer runs of samples go out as several packets. What is larger than
            the network carries in one piece (1472 on Ethernet with IPv4) is lost as a whole when a piece of it is.
        interface: name of the network interface for multicast; the system chooses when there is none.
        hops: how many routers multicast may pass, plus one.
        logger: where losses are logged; "rawdaq.udp_streamer" when not given.

    Raises:
        InvalidValue: an invalid value; the text names what is valid.
    """

    def __init__(
        self,
        channels: Collection[Channel],
        host: str = "127.0.0.1",
        port: int = 65535,
        *,
        version: str = "2.0",
        datagram_bytes: int = DATAGRAM_BYTES,
        interface: str | None = None,
        hops: int = 1,
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(channels)
        if not 1 <= port <= 65535:
            raise InvalidValue(f"port {port} is not in 1-65535")
        if not 0 <= hops <= 255:
            raise InvalidValue(f"hops {hops} is not in 0-255")
        if version not in tuple(RawVersion):
            raise InvalidValue(f"version {version!r} is not one of {', '.join(RawVersion)}")
        self._version = RawVersion(version)
        self._fitting = {number: self._samples_of_a_datagram(number, datagram_bytes) for number in self._formats}
        self._host, self._port, self._interface, self._hops = host, port, interface, hops
        self._counters = UdpCounters()
        self._log = logger or logging.getLogger("rawdaq.udp_streamer")
        self._lock = threading.Lock()
        self._targets: deque[tuple[int, Any]] = deque()  # families and addresses, first the one in use
        self._sock: socket.socket | None = None
        self._retry_s = 0.0
        self._outage = Outage(self._log, _LOG_S)

    def _samples_of_a_datagram(self, number: int, datagram_bytes: int) -> int:
        described = self._formats[number]
        if number > self._version.max_channel or described.sample_type not in self._version.sample_types:
            raise InvalidValue(
                f"RAW {self._version} cannot carry channel {number} or its {described.sample_type} samples"
            )
        try:
            return samples_that_fit(self._version, described.sample_type, datagram_bytes)
        except LocalProtocolError as error:
            raise InvalidValue(f"datagram_bytes: {error}") from None

    @property
    def is_started(self) -> bool:
        """Whether samples can be fed."""
        return bool(self._targets)

    def start(self) -> None:
        """Find the address, and get ready to send. Does nothing when it is started.

        Raises:
            ComponentError: the host's name cannot be resolved, or there is no such interface.
        """
        if self._targets:
            return
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
            if self._interface is not None:
                socket.if_nametoindex(self._interface)
        except socket.gaierror as error:
            raise ComponentError(
                f"cannot send to {self.address}: {error.strerror}; check the name, or give the address itself"
            ) from error
        except OSError as error:
            raise ComponentError(f"there is no network interface {self._interface}; see `ip link`") from error
        self._targets.extend(dict.fromkeys((family, address) for family, _, _, _, address in found))

    def stop(self) -> None:
        """Close. What was fed is on its way. Does nothing when it is stopped."""
        with self._lock:
            self._targets.clear()
            self._retry_s = 0.0
            self._close()
            self._log_losses()

    @property
    def address(self) -> str:
        """``HOST:PORT`` of the receiver."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    @property
    def counters(self) -> UdpCounters:
        """A copy of what has been counted since this was built."""
        return replace(self._counters)

    def _feed(self, channel_id: int, quality: int, parts: Sequence[tuple[int, Samples]]) -> None:
        with self._lock:
            for start_ns, part in parts:
                self._counters.samples += part.size
                self._send(encode_packet(self._version, channel_id, start_ns, quality, part.data, part.size))

    def _send(self, datagram: bytes) -> None:
        """Send *datagram*, or count it as lost."""
        try:
            sock = self._sock or self._open()
            try:
                sock.send(datagram)
            except ConnectionRefusedError:  # the answer to an earlier one; this one has not been sent yet
                self._counters.refused += 1
                self._note("answered that no program listens there")
                if len(self._targets) > 1:
                    self._close()
                    self._targets.rotate(-1)
                    sock = self._sock = self._connected()
                sock.send(datagram)
            self._counters.datagrams += 1
            self._counters.sent_bytes += len(datagram)
        except (BlockingIOError, ConnectionRefusedError):
            self._lose("lost, because they are fed faster than the network takes them")
        except OSError as error:
            self._lose(f"lost: {error.strerror}")
            self._close()  # the network may have changed: begin anew with what it is then

    def _open(self) -> socket.socket:
        """Return a new socket that sends to the target.

        Raises:
            OSError: the network does not allow it now, or did not a moment ago.
        """
        if time.monotonic() < self._retry_s or not self._targets:
            raise OSError(errno.ENETDOWN, "the network was away a moment ago")
        self._retry_s = time.monotonic() + _RECOVER_S
        self._sock = self._connected()
        return self._sock

    def _connected(self) -> socket.socket:
        """Return a socket that sends to the first address that the network knows a way to.

        Raises:
            OSError: it knows none.
        """
        for _ in range(len(self._targets) - 1):
            with contextlib.suppress(OSError):
                return self._connected_to(*self._targets[0])
            self._targets.rotate(-1)
        return self._connected_to(*self._targets[0])

    def _connected_to(self, family: int, address: Any) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self._prepare_for_groups(sock, address[0])
            sock.connect(address)  # so that the answer that no program listens comes back to us
        except OSError:
            sock.close()
            raise
        return sock

    def _prepare_for_groups(self, sock: socket.socket, host: str) -> None:
        if not ipaddress.ip_address(host.partition("%")[0]).is_multicast:
            return
        index = socket.if_nametoindex(self._interface) if self._interface else 0
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, self._hops)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, self._hops)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), bytes(4), index))

    def _close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def _lose(self, reason: str) -> None:
        self._counters.lost_datagrams += 1
        self._note(reason)

    def _note(self, reason: str) -> None:
        self._outage.counts[reason] += 1
        if self._outage.is_due:
            self._log_losses()

    def _log_losses(self) -> None:
        """Log what went wrong since the last line, if anything did."""
        if self._outage.counts:
            reasons = self._outage.counts.most_common(_LOGGED_REASONS)
            text = "; ".join(f"{count} {reason}" for reason, count in reasons)
            self._outage.log("datagrams to %s: %s", self.address, text)
