"""What a digitizer's program imports to serve its samples; needs the standard library and numpy only.

::

    with Streamer([Channel(1, 100, samptype="int32")]) as streamer:
        while True:
            when, samples = my_digitizer.read()
            streamer.feed_data(1, when, 100, samples)
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.packet import Samples
from rawdaq.streamer.feed import Channel, SampleFeed
from rawdaq.streamer.server import Counters, Limits, RawServer

__all__ = ["Channel", "Counters", "Streamer"]

_BYTES_PER_MB = 1_000_000


class Streamer(SampleFeed):
    """Serves the samples of a device to any number of clients, in whatever version of RAW each speaks.

    A background thread does all that has to do with the network: `feed_data` only queues and returns. The protocol has
    no memory: what is fed while no client has started a channel is gone (and counted). Times go out in microseconds.

    `start` and `stop` may be called twice; after `stop`, `start` listens again. A process that forks must start it
    afterwards, in the process that feeds: threads do not follow a fork.

    Args:
        channels: what the device has.
        host: the address to listen on, "0.0.0.0" for all of this machine.
        port: the port to listen on, 0 for any free one (then see `port`).
        max_client_mb: a client for which more than this waits is dropped. Clients share the waiting bytes, so this is
            about what all of them together cost in memory, too.
        max_clients: further ones are refused.
        handshake_s: a client that has not sent START within this time is dropped.
        flush_s: how long `stop` lets clients read what still waits for them.
        logger: where clients are logged that come, leave and are dropped; "rawdaq.streamer" when not given.

    Raises:
        InvalidValue: no channel, two with one id, or an invalid limit.
    """

    def __init__(
        self,
        channels: Collection[Channel],
        host: str = "127.0.0.1",
        port: int = 65535,
        *,
        max_client_mb: float = 64,
        max_clients: int = 256,
        handshake_s: float = 60,
        flush_s: float = 2,
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(channels)
        if type(port) is not int or not 0 <= port <= 65535:
            raise InvalidValue(f"port {port!r} is not a number in 0-65535")
        if max_client_mb <= 0 or max_clients < 1 or handshake_s <= 0 or flush_s < 0:
            raise InvalidValue("max_client_mb, max_clients and handshake_s must be above zero, flush_s not below")
        self._asked_address = (host, port)
        self._limits = Limits(int(max_client_mb * _BYTES_PER_MB), max_clients, handshake_s)
        self._flush_s = flush_s
        self._counters = Counters()
        self._log = logger or logging.getLogger("rawdaq.streamer")
        self._server: RawServer | None = None

    @property
    def is_started(self) -> bool:
        """Whether it listens, and samples can be fed."""
        return self._server is not None

    def start(self) -> None:
        """Listen and serve; return at once. Does nothing when it is started.

        Raises:
            ComponentError: the address cannot be used; the text names the cause and the remedy.
        """
        if self._server is None:
            server = RawServer(self._formats, self._limits, self._counters, self._log)
            server.open(*self._asked_address)
            self._server = server

    def stop(self) -> None:
        """Let clients read what waits for them, for a short time, and close. Does nothing when it is stopped."""
        server, self._server = self._server, None
        if server is not None:
            server.close(self._flush_s)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: the real address when started, else the one asked for."""
        return self._asked_address if self._server is None else self._server.address

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self.address[1]

    @property
    def clients(self) -> int:
        """How many clients have started, and get samples."""
        return 0 if self._server is None else self._server.clients

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait for the slowest client; a program that plays faster than real time waits while it is high."""
        return 0 if self._server is None else self._server.backlog_bytes

    @property
    def counters(self) -> Counters:
        """A copy of what has been counted since this was built."""
        return replace(self._counters)

    def wait_for_client(self, timeout_s: float | None = None) -> bool:
        """Wait until a client has started; return whether one has.

        Raises:
            ComponentError: it is not started.
        """
        return self._running().has_client.wait(timeout_s)

    def _feed(self, channel_id: int, quality: int, parts: Sequence[tuple[int, Samples]]) -> None:
        server = self._running()
        for start_ns, part in parts:
            server.feed(channel_id, start_ns, quality, part.data, part.size)

    def _running(self) -> RawServer:
        if self._server is None:
            raise ComponentError("the streamer is not started: call start(), or use it in a with statement")
        return self._server
