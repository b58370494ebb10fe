"""What a receiver asks a server for: which stations, from which packet on."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from rawdaq.protocols.seedlink import SeedLinkVersion, Selector, Start, StationRequest, request_of, v3
from rawdaq.receivers.seedlink.positions import Positions, StationPosition
from rawdaq.times import NS_PER_S

#: Where the numbers of a server cannot be used, at most the last hour of a station is asked for again by time.
_AGAIN_NS = 3600 * NS_PER_S
#: What began while we were away may have begun so much before that, by its own clock.
_MARGIN_NS = 60 * NS_PER_S


class Policy(StrEnum):
    """What matters more after an interruption."""

    MIN_GAP = "min_gap"
    MIN_DELAY = "min_delay"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the station file says.

    Attributes:
        stations: selectors by pattern of ``NET_STA``; the first pattern that names a station counts.
        start: where a station begins that was never received: `Start`, or a time.
        policy: go on where the last connection ended, or at the newest packet.
    """

    stations: Mapping[str, tuple[Selector, ...]]
    start: Start | int = Start.NEXT
    policy: Policy = Policy.MIN_GAP

    @property
    def has_wildcards(self) -> bool:
        """Whether a pattern may stand for several stations."""
        return any(map(_is_wild, self.stations))


def _is_wild(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def plan(
    wanted: Wanted,
    positions: Positions,
    version: SeedLinkVersion,
    known: Collection[str] = (),
    by_time: Collection[str] = (),
) -> list[StationRequest]:
    """Return what to ask for, with a position for each station.

    Stations that were received before are named in front of the patterns: they are then none of those that a pattern
    means. Not all servers of version 3 know patterns, so these stand for the *known* stations there.

    Args:
        wanted: what the station file says.
        positions: how far everything was received.
        version: what the server speaks.
        known: the stations that the server has, as far as it was asked for them.
        by_time: the stations whose sequence numbers the server does not know any more.
    """
    patterns = [StationRequest(pattern, selectors) for pattern, selectors in wanted.stations.items()]
    wild = [each for each in patterns if _is_wild(each.station)]
    names = [each.station for each in patterns if not _is_wild(each.station)]
    received = positions.stations if wanted.policy is Policy.MIN_GAP else {}
    requests: list[StationRequest] = []
    for station in dict.fromkeys([*received, *names, *known]):
        place = request_of(patterns, station)
        if place is None:  # of an older station file
            continue
        request = replace(patterns[place], station=station)
        if station not in received:
            requests.append(_begun(request, wanted, positions))
        elif station in by_time:
            requests.append(_by_time(request, received[station]))
        else:
            requests.append(_resumed(request, received[station], version))
    if not known:
        requests += [_begun(each, wanted, positions) for each in wild]
    return requests


def _begun(request: StationRequest, wanted: Wanted, positions: Positions) -> StationRequest:
    """Return the request of a station that was never received: as wished, or of what began since we were there."""
    if positions.contact_ns is not None and (positions.has_caught_up or wanted.start is Start.NEXT):
        if wanted.policy is Policy.MIN_DELAY:
            return request
        return replace(request, start=Start.OLDEST, begin_ns=positions.contact_ns - _MARGIN_NS)
    if isinstance(wanted.start, Start):
        return replace(request, start=wanted.start)
    return replace(request, start=Start.OLDEST, begin_ns=wanted.start)


def _resumed(request: StationRequest, position: StationPosition, version: SeedLinkVersion) -> StationRequest:
    if version is SeedLinkVersion.V4:
        return replace(request, start=position.sequence + 1)
    # With the time of the last packet a server finds the place also where its numbers have begun anew.
    return replace(request, start=v3.following(position.sequence), last_packet_ns=position.start_ns)


def _by_time(request: StationRequest, position: StationPosition) -> StationRequest:
    """Return the request that begins with the last record of each stream, except of those that ended long ago."""
    newest_ns = max(last.next_ns for last in position.streams.values())
    begin_ns = min(last.start_ns for last in position.streams.values())
    return replace(request, start=Start.OLDEST, begin_ns=max(begin_ns, newest_ns - _AGAIN_NS))


def distance(asked: int, sequence: int, version: SeedLinkVersion) -> int:
    """Return how far number *sequence* is after the one that was *asked* for, negative when it is before."""
    return sequence - asked if version is SeedLinkVersion.V4 else v3.distance(asked % v3.SEQUENCES, sequence)
