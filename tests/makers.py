"""Packets and messages for tests, made in one line."""

from typing import Any

import numpy as np

from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import from_iso, sample_time

STREAM = StreamId("XX", "DEMO", "00", "HHZ")
START_NS = from_iso("2026-11-21T00:00:00Z")


def packet(
    index: int = 0, size: int = 100, *, rate_hz: float = 100.0, stream: StreamId = STREAM, **more: Any
) -> Packet:
    """Return packet number *index* of a contiguous run, whose samples count up through the whole run."""
    samples = np.arange(index * size, (index + 1) * size, dtype="<i4")
    return Packet(stream, sample_time(START_NS, index * size, rate_hz), rate_hz, samples, **more)


def message(
    index: int = 0, topic: str = "~event.XX.DEMO.Triggers", payload: bytes | memoryview = b"", **header: Any
) -> Message:
    """Return a message, not yet published, that says which one it is."""
    return Message(topic, {"index": index, **header}, payload)
