"""The test device as one that pushes datagrams: what the player feeds goes to one receiver, which never answers."""

from typing import TYPE_CHECKING

from rawdaq.errors import InvalidValue
from rawdaq.packet import Samples
from rawdaq.streamer.udp import UDPStreamer

if TYPE_CHECKING:
    from rawdaq.control.device.signals import Programme


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, or of ``[HOST]:PORT`` as IPv6 needs it.

    Raises:
        InvalidValue: the text is of another form.

    >>> parse_address("192.0.2.7:9000"), parse_address("[ff15::7]:9000")
    (('192.0.2.7', 9000), ('ff15::7', 9000))
    """
    host, _, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not host or not port.isdecimal() or (":" in host) != is_bracketed or not 1 <= int(port) <= 65535:
        raise InvalidValue(f"{text!r} is not HOST:PORT such as 192.0.2.7:9000 or [ff15::7]:9000")
    return host.strip("[]"), int(port)


def streamer_of(programme: "Programme", target: str) -> UDPStreamer:
    """Return what sends the channels of *programme* to *target*.

    Raises:
        InvalidValue: *target* is not ``HOST:PORT``.
    """
    host, port = parse_address(target)
    return UDPStreamer(programme.channels(), host, port)


class UdpSink:
    """A sink of the player over a `UDPStreamer`: it always has a receiver, and nothing waits in it."""

    clients = 1
    backlog_bytes = 0

    def __init__(self, streamer: UDPStreamer) -> None:
        self._streamer = streamer

    def feed_data(self, channel_id: int, samptime: int, timing_quality: int, samples: Samples, /) -> None:
        """Send *samples*."""
        self._streamer.feed_data(channel_id, samptime, timing_quality, samples)

    def summary(self) -> str:
        """Return what became of the datagrams."""
        counters = self._streamer.counters
        return (
            f"datagrams: {counters.datagrams}, not taken by the network: {counters.lost_datagrams}, "
            f"refused by the receiver's machine: {counters.refused}"
        )
