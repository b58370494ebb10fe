"""From the messages of publishers to packets: decoded, selected by name, and counted where they are missing."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rawdaq.packet import Packet
from rawdaq.protocols.message import decode, is_waveform
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.sockets.refusals import Refusals
from rawdaq.stream_id import StreamId

_MAX_CACHED = 10_000  # topics for which it is remembered whether a pattern selects them


class Loss(NamedTuple):
    """Messages of a stream that were published and did not arrive: the publisher or the network dropped them.

    Attributes:
        stream: whose packets are missing.
        missing: how many.
        next_packet: the packet that came after them.
        address: the publisher they are missing from.
    """

    stream: StreamId
    missing: int
    next_packet: Packet
    address: str


class LiveMessages:
    """Reads the messages of one or more publishers; malformed ones are skipped, counted and logged at a bounded rate.

    Args:
        streams: shell-style patterns of ``NET.STA.LOC.CHA``; none means all streams.
        log: where malformed messages are logged.
        on_loss: called for every jump in a stream's numbering.
        refusals: counts malformed messages; by default it has its own.

    Attributes:
        lost: messages that a jump in the numbering shows to be missing, by stream.
        refusals: the malformed messages.
    """

    def __init__(
        self,
        streams: Iterable[str],
        log: logging.Logger,
        on_loss: Callable[[Loss], None] | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self.lost: Counter[StreamId] = Counter()
        self.refusals = Refusals(log, what="message") if refusals is None else refusals
        self._streams = tuple(streams)
        self._on_loss = on_loss
        self._selected: dict[bytes, bool] = {}
        self._next_sequence: dict[tuple[str, StreamId], int] = {}

    @property
    def passed_over(self) -> list[str]:
        """Names of streams that came though no pattern selects them."""
        return sorted(topic.decode() for topic, is_selected in tuple(self._selected.items()) if not is_selected)

    def packet(self, address: str, frames: Sequence[bytes]) -> Packet | None:
        """Return the packet of a message from *address*; None when it holds none, is malformed, or is not selected."""
        topic = frames[0]
        if not is_waveform(topic):
            return None
        try:
            packet = decode(frames)
        except MessageMalformed as error:
            self.refuse(address, error)
            return None
        is_selected = self._selected.get(topic)
        if is_selected is None:
            is_selected = packet.stream.matches(self._streams)
            if len(self._selected) < _MAX_CACHED:
                self._selected[topic] = is_selected
        if not is_selected:
            return None
        self._count_loss(packet, address)
        return packet

    def refuse(self, address: str, error: MessageMalformed) -> None:
        """Count a malformed message from *address*."""
        self.refusals.count(error.reason, address, error)

    def _count_loss(self, packet: Packet, address: str) -> None:
        # The numbering of a stream holds for one publisher.
        key = (address, packet.stream)
        missing = packet.sequence - self._next_sequence.get(key, packet.sequence)
        self._next_sequence[key] = packet.sequence + 1
        if missing > 0:  # below zero: the publisher was started again
            self.lost[packet.stream] += missing
            if self._on_loss is not None:
                self._on_loss(Loss(packet.stream, missing, packet, address))
