"""Strict clients of ISI for rings of tests, and what packets of `tests.ring.records` hold."""

from collections.abc import Sequence
from typing import Any

from rawdaq.publishers.ring import RingPublisher
from rawdaq.ring.server.connection import ServerConnection
from rawdaq.ring.server.settings import ListenSettings
from rawdaq.stream_id import StreamId
from tests.isi.client_peer import IsiClientPeer
from tests.isi.entries import NO_STATUS, Packet
from tests.isi.wire import (
    Rate,
)
from tests.ring.records import SAMPLES, START_S

ISI: dict[str, Any] = {"isi": ListenSettings(port=0)}
Z = "aaa.hhz.00"
STREAM = StreamId("XX", "AAA", "00", "HHZ")


def client(publisher: RingPublisher, timeout_ms: int = 30_000) -> IsiClientPeer:
    return IsiClientPeer(publisher.service.ports["isi"], timeout_ms=timeout_ms)


def peers_of(publisher: RingPublisher) -> list[ServerConnection]:
    """Return the connections of all clients."""
    return list(publisher.service._served().peers)


def numbers(got: Sequence[Packet]) -> list[int]:
    """Return which records packets are, each of which must hold what its record does."""
    found: list[int] = []
    for each in got:
        number = round(each.tofs) - START_S
        assert each.samples == tuple(range(number * SAMPLES, (number + 1) * SAMPLES))
        assert (each.rate, each.statuses) == (Rate(100, 1), (NO_STATUS, NO_STATUS))
        found.append(number)
    return found
