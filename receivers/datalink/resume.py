"""Where a reader begins: behind the packet that it read last, or where a ring that has changed allows it."""

import contextlib
import logging
import math
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from rawdaq.datalink import DataLink, DataPacket, ServerRefused
from rawdaq.receivers.datalink.state import Mark, ReaderState
from rawdaq.times import to_iso


class Start(StrEnum):
    """Where a reader begins that has no state; any other start is a time."""

    RESUME = "resume"
    EARLIEST = "earliest"
    LATEST = "latest"


def check_expression(text: str) -> str:
    """Return *text* when it is a regular expression.

    Raises:
        ValueError: it is not one.
    """
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}; it should be like 'XX_.*/MSEED'") from None
    return text


class Policy(StrEnum):
    """What matters after an outage: that nothing is missing, or that what comes is new."""

    MIN_GAP = "min_gap"
    MIN_DELAY = "min_delay"


class AlreadyRead:
    """Separates packets that were read before from new ones, while a ring is read again from an older place.

    Args:
        ends: of each stream the time of the last sample that was read.
        until_ns: what the server took later is new; infinity: it is another ring, whose times say nothing.
    """

    def __init__(self, ends: dict[str, int], until_ns: float) -> None:
        self._ends = dict(ends)
        self._until_ns = until_ns

    def has(self, packet: DataPacket) -> bool:
        """Whether *packet* was read before; the first new one of a stream ends that for the stream."""
        name = packet.stream_id
        end_ns = self._ends.get(name)
        if end_ns is None:
            return False
        if packet.packet_time_ns <= self._until_ns and packet.end_ns <= end_ns:
            return True
        del self._ends[name]
        return False


class Beginning(NamedTuple):
    """How it began.

    Attributes:
        first: packets that come before all others.
        read: a packet that counts as read, so that the next connection can go on behind it.
        next_id: the id of the next packet, when none is missing; None when that is not known.
        already: what was read already of the packets that come; None: nothing.
        lost: packets that the server had and overwrote before they were read.
    """

    first: Sequence[DataPacket] = ()
    read: DataPacket | None = None
    next_id: int | None = None
    already: AlreadyRead | None = None
    lost: int = 0


async def begin(link: DataLink, state: ReaderState, start: str | int, policy: Policy, log: logging.Logger) -> Beginning:
    """Let packets come from where they are wanted.

    Args:
        link: it is connected, with its expressions set.
        state: what was read before.
        start: a `Start`, or a time in nanoseconds, for a reader without a state.
        policy: whether to go on where it stopped, or with the newest.
        log: where gaps are reported.

    Raises:
        DataLinkError: the connection has ended.
    """
    if not state.marks:
        return await _begin_anew(link, start)
    if policy is Policy.MIN_DELAY:
        log.warning("goes on with the newest packet, not behind %s (policy min_delay)", _named(state.marks[0]))
        return await _begin_latest(link)
    return await _resume(link, state, log)


async def _begin_anew(link: DataLink, start: str | int) -> Beginning:
    if start == Start.LATEST:
        return await _begin_latest(link)
    if isinstance(start, int):
        return await _begin_after(link, start)
    await link.begin_stream("earliest")
    return Beginning()


async def _begin_latest(link: DataLink) -> Beginning:
    packet_id = await link.position_latest()
    if packet_id:
        with contextlib.suppress(ServerRefused):  # it is overwritten by now
            return Beginning(read=await link.stream_from(packet_id), next_id=packet_id + 1)
    await link.begin_stream("latest")
    return Beginning()


async def _begin_after(link: DataLink, time_ns: int) -> Beginning:
    """Begin with the first packet whose data end after *time_ns*; a position would leave it out, so it is read."""
    try:
        packet = await link.stream_from(await link.position_after(time_ns))
    except ServerRefused:  # the ring is empty, or that packet is overwritten by now
        await link.begin_stream("earliest")
        return Beginning()
    # When nothing is that new the server names its newest packet, whatever it is.
    if packet.end_ns > time_ns and link.passes(packet):
        return Beginning([packet])
    return Beginning(read=packet)


async def _resume(link: DataLink, state: ReaderState, log: logging.Logger) -> Beginning:
    """Go on behind the newest packet of those that were read that the server still has."""
    newest = state.marks[0]
    for mark in state.marks:
        try:
            packet = await link.stream_from(mark.packet_id)
        except ServerRefused:
            continue
        if Mark.of(packet) == newest:
            return Beginning(next_id=newest.packet_id + 1)
        if Mark.of(packet) == mark:
            log.warning(
                "the server no longer has %s: it goes on behind %s, and leaves out what was read before",
                _named(newest),
                _named(mark),
            )
            return Beginning(already=AlreadyRead(state.ends, newest.packet_time_ns))
        await link.leave()
    lost = await _log_missing(link, newest, log)
    await link.begin_stream("earliest")
    return Beginning(already=AlreadyRead(state.ends, math.inf), lost=lost)


async def _log_missing(link: DataLink, newest: Mark, log: logging.Logger) -> int:
    """Log why *newest* and all before it are not in the ring; return how many packets were overwritten."""
    status = (await link.info()).status
    earliest_id, since_ns = status.earliest_packet_id or 0, status.earliest_packet_creation_time_ns
    if earliest_id <= newest.packet_id + 1:
        log.warning(
            "the server has none of the packets that were read, such as %s: its ring began anew, or it is another "
            "server; all of it is read, without what was read before",
            _named(newest),
        )
        return 0
    log.warning(
        "the server has overwritten packets %d to %d, of %s to %s, before they were read: they are missing",
        newest.packet_id + 1,
        earliest_id - 1,
        to_iso(newest.packet_time_ns),
        "?" if since_ns is None else to_iso(since_ns),
    )
    return earliest_id - 1 - newest.packet_id


def _named(mark: Mark) -> str:
    return f"packet {mark.packet_id} of {to_iso(mark.packet_time_ns)}"
