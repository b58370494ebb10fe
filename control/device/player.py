"""Feeds a streamer with blocks of samples at their time, or as fast as its clients take them."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from rawdaq.control.device.signals import Block
from rawdaq.packet import Samples
from rawdaq.times import NS_PER_S

MAX_BACKLOG_BYTES = 4 << 20  # of the slowest client, at full speed: far below where a streamer drops it
DRAIN_S = 10.0  # how long the last samples may take to their clients

_POLL_S = 0.005


class Sink(Protocol):
    """The part of a `rawdaq.streamer.tcp.Streamer` that the player uses."""

    @property
    def clients(self) -> int:
        """How many clients have started."""
        ...

    @property
    def backlog_bytes(self) -> int:
        """How many bytes wait for the slowest client."""
        ...

    def feed_data(self, channel_id: int, samptime: int, timing_quality: int, samples: Samples, /) -> None:
        """Send *samples* to every client that has asked for the channel."""
        ...


class Player:
    """Plays blocks into a sink until they end or *stop* is set.

    Args:
        sink: what sends them.
        speed: data seconds a second; None: as fast as the clients take them.
        stop: ends the play when set, also from a signal handler.
        monotonic_ns: the clock that paces it.
    """

    def __init__(
        self,
        sink: Sink,
        speed: float | None,
        stop: threading.Event,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.packets = 0
        self.samples = 0
        self._sink = sink
        self._speed = speed
        self._stop = stop
        self._monotonic_ns = monotonic_ns

    def wait_for_client(self) -> None:
        """Return when a client has asked for samples, or when the play is to end."""
        while not self._sink.clients and not self._stop.wait(_POLL_S):
            pass

    def play(self, blocks: Iterable[Block], start_ns: int, late_ns: int = 0) -> None:
        """Send *blocks*, whose time begins at *start_ns*, *late_ns* ago."""
        began_ns = self._monotonic_ns() - late_ns
        for block in blocks:
            self._wait_until_due(block, began_ns)
            if self._stop.is_set():
                return
            self._sink.feed_data(block.channel, start_ns + block.offset_ns, 100, block.samples)
            self.packets += 1
            self.samples += block.samples.size

    def drain(self, deadline_s: float = DRAIN_S) -> None:
        """Return when every client has all that was sent, at the latest after *deadline_s*."""
        end_ns = self._monotonic_ns() + round(deadline_s * NS_PER_S)
        while self._sink.backlog_bytes and self._monotonic_ns() < end_ns and not self._stop.wait(_POLL_S):
            pass

    def _wait_until_due(self, block: Block, began_ns: int) -> None:
        if self._speed is None:
            while self._sink.backlog_bytes > MAX_BACKLOG_BYTES and not self._stop.wait(_POLL_S):
                pass
            return
        # From the block's own offset, so that delays do not add up.
        left_ns = began_ns + round(block.due_ns / self._speed) - self._monotonic_ns()
        if left_ns > 0:
            self._stop.wait(left_ns / NS_PER_S)
