"""A DataLink server read like a live stream, for a person who looks, from now on.

What must not miss a record is the work of ``DataLinkReceiver``.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from rawdaq.datalink import (
    BlockingDataLink,
    DataLink,
    DataLinkError,
    DataPacket,
    PayloadUnreadable,
    is_waveform,
    waveform_of,
)
from rawdaq.errors import ProtocolError
from rawdaq.packet import Packet
from rawdaq.subscriber.records import RecordReader

_TURN_S: Final = 0.2  # by which a `close` of another thread may be late


def expression_for(patterns: Sequence[str]) -> str:
    """Return an expression of stream ids that lets through all that shell-style *patterns* can name.

    >>> expression_for(["XX.DEMO.*.HH?", "YY.*"]), expression_for(["*HHZ"])
    ('^(FDSN:)?(XX|YY)_.*/MSEED3?$', '/MSEED3?$')
    """
    networks = [pattern.partition(".")[0] for pattern in patterns]
    if not networks or not all(re.fullmatch("[A-Z0-9]+", network) for network in networks):
        return "/MSEED3?$"
    return f"^(FDSN:)?({'|'.join(dict.fromkeys(networks))})_.*/MSEED3?$"


class DataLinkReader(RecordReader):
    """Reads the records that a server gets from now on; ends when the connection does.

    Args:
        url: the server, as `DataLink` has it.
        streams: shell-style patterns of ``NET.STA.LOC.CHA``; none means all streams.
        timeout_s: an iteration ends when no packet came for so long; None waits until `close`.
        logger: where the end of the connection is logged.

    Raises:
        InvalidValue: a pattern that can name no stream, or *url* is no address.
    """

    def __init__(
        self,
        url: str,
        streams: str | Iterable[str] = (),
        timeout_s: float | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(streams, timeout_s, logger)
        self._link: BlockingDataLink | None = None
        self._settings = DataLink(url)

    def open(self) -> None:
        """Connect; a second time does nothing.

        Raises:
            DataLinkError: there is no connection.
            ProtocolError: the other side is no DataLink server.
        """
        if self._link is None and not self._is_closed:
            _away_from_loops(self._open)

    def _open(self) -> None:
        link = BlockingDataLink(self._settings)
        link.open()
        self._link = link
        link.match(expression_for(self.streams))
        link.begin_stream("latest")

    def receive(self, timeout_s: float | None = None) -> Packet | None:
        """Return the next packet, or None when none came within *timeout_s*, at the end, or after `close`."""
        self._begin()
        try:
            self.open()
            end_s = None if timeout_s is None else time.monotonic() + timeout_s
            left_s = _TURN_S
            while left_s >= 0 and not (self.has_ended or self._is_closed):
                if (packet := self._next(min(left_s, _TURN_S))) is not None:
                    return packet
                left_s = _TURN_S if end_s is None else end_s - time.monotonic()
            return None
        finally:
            self._end()

    def _next(self, timeout_s: float) -> Packet | None:
        if self._link is None:
            return None
        try:
            received = self._link.next_packet(timeout_s)
        except (DataLinkError, ProtocolError) as error:
            self.has_ended = True
            self._log.warning("%s", error)
            return None
        return None if received is None else self._packet(received)

    def _packet(self, received: DataPacket) -> Packet | None:
        self.size_bytes += len(received.data)
        try:
            packet = waveform_of(received) if is_waveform(received) else None
        except PayloadUnreadable:
            packet = None
        return self._selected(packet)

    def _release(self) -> None:
        if self._link is not None:
            _away_from_loops(self._link.close)
            self._link = None


def _away_from_loops(function: Callable[[], None]) -> None:
    """Call *function* in another thread, as this one may run an event loop, in which no other can run."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()
