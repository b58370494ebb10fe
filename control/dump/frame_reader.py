"""Reads frames from a PULL or a SUB socket until a limit, a signal, or the end of the time."""

import threading
import time
from collections.abc import Callable

import zmq

from rawdaq.control.dump.frames import Arrival, FrameStats, arrival
from rawdaq.protocols.array import HeaderForm
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.sockets.zeromq.socket import check_zmq_address, set_common_options, watched

_POLL_MS = 100  # how late a signal or the end of the time may be


class FrameReader:
    """A consumer of frames.

    Args:
        address: where it connects, or binds.
        binds: whether it binds.
        subscribes: whether it is a SUB socket.
        form: how headers are written.
        header_part: which part of a message is the header.

    Raises:
        ValueError: *address* is not one of ZMQ.
    """

    def __init__(self, address: str, *, binds: bool, subscribes: bool, form: HeaderForm, header_part: int) -> None:
        self._address = check_zmq_address(address)
        self._binds, self._subscribes = binds, subscribes
        self._form, self._header_part = form, header_part
        self.stats = FrameStats()

    def read(
        self, stop: threading.Event, count: int | None, seconds: float | None, show: Callable[[Arrival], None]
    ) -> None:
        """Give frames to *show* until *count* have come, *seconds* are over, or *stop* is set.

        Raises:
            ComponentError: the address cannot be used.
        """
        stats, end_s = self.stats, None if seconds is None else time.monotonic() + seconds
        with zmq.Context() as context, context.socket(zmq.SUB if self._subscribes else zmq.PULL) as opened:
            set_common_options(opened)
            if self._subscribes:
                opened.setsockopt(zmq.SUBSCRIBE, b"")
            with watched(opened, self._address, self._binds) as monitor:
                while not stop.is_set() and (count is None or stats.frames < count):
                    left_ms = _POLL_MS if end_s is None else min(_POLL_MS, round(1000 * (end_s - time.monotonic())))
                    if left_ms <= 0:
                        return
                    if opened.poll(left_ms):
                        self._take(opened.recv_multipart(), show)
                    monitor.read()

    def _take(self, parts: list[bytes], show: Callable[[Arrival], None]) -> None:
        try:
            came = arrival(parts, self._form, self._header_part)
        except MessageMalformed as error:
            self.stats.malformed[error.reason] += 1
            return
        self.stats.add(came, time.monotonic_ns())
        show(came)
