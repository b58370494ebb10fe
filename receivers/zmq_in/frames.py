"""Frames of a detector that are passed on whole: only their number is read, and they are counted."""

import logging
import time
from collections.abc import Sequence

from rawdaq.multipart import Multipart
from rawdaq.protocols.array import HeaderForm, read_frame_header
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.zeromq.endpoint import WholeMessage
from rawdaq.streams.stats import RateMeter

_TOO_LARGE = "too large"
_REFUSED_S = 60.0  # frames that are refused for the same reason are logged this often


class FrameInput:
    """Makes messages of frames and keeps their counters.

    Args:
        form: how headers are written.
        header_part: which part of a message is the header.
        log: where it is logged what cannot be passed on.

    Attributes:
        refusals: what that was.
        received: frames that came.
        received_bytes: their size.
        lost: frames that jumps of the number show to be missing.
        restarts: how often a number was lower than the one before.
        first_frame: the number of the first frame.
        last_frame: the number of the last one.
    """

    def __init__(self, form: HeaderForm, header_part: int, log: logging.Logger) -> None:
        self.received = self.received_bytes = self.lost = self.restarts = 0
        self.first_frame: int | None = None
        self.last_frame: int | None = None
        self._form, self._header_part = form, header_part
        self.refusals = Refusals(log, what="frame", interval_s=_REFUSED_S)
        self._last: dict[str, int] = {}  # by sender
        self._cuts: dict[str, int] = {}
        self._rate = RateMeter()

    def messages(self, burst: Sequence[WholeMessage], address: str) -> list[Multipart]:
        """Return what of *burst*, which came from *address*, can be passed on; the rest is counted."""
        arrived_ns, form, header_part = time.monotonic_ns(), self._form, self._header_part
        messages: list[Multipart] = []
        last = self._last.get(address)
        for parts, size_bytes in burst:
            self.received_bytes += size_bytes
            try:
                frame, keys = read_frame_header(parts, form, header_part)
            except MessageMalformed as error:
                self.refusals.count(error.reason, address, error)
                continue
            messages.append(Multipart(parts, size_bytes, frame, keys, arrived_ns, header_part))
            if last is None:
                self.first_frame = frame if self.first_frame is None else self.first_frame
            elif frame > last:
                self.lost += frame - last - 1
            elif frame < last:
                self.restarts += 1
            last = frame
        if last is not None:
            self.last_frame = self._last[address] = last
        self.received += len(burst)
        self._rate.count(len(burst))
        return messages

    def note_cuts(self, cuts: int, address: str) -> None:
        """Count connections to *address* that were cut, *cuts* in all, as frames that were too large."""
        for _ in range(self._cuts.get(address, 0), cuts):
            self._cuts[address] = cuts
            self.received += 1
            self.refusals.count(_TOO_LARGE, address, "above max_message_mb, or against ZMQ's rules")

    def status(self) -> dict[str, object]:
        """Return the counters as `status` shows them."""
        return {
            "received": self.received,
            "received_bytes": self.received_bytes,
            "lost": self.lost,
            "restarts": self.restarts,
            "first_frame": self.first_frame,
            "last_frame": self.last_frame,
            "rate_hz": round(self._rate.per_s, 3),
        }
