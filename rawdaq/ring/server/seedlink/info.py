"""What INFO of SeedLink says of a ring: its stations and its clients."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from rawdaq.miniseed.header import read_header
from rawdaq.protocols.seedlink import ConnectionDescription, InfoItem, StationDescription, StreamDescription
from rawdaq.ring.names import SeedName, seed_name
from rawdaq.ring.reading import RingReader
from rawdaq.ring.server.connection import ServerConnection
from rawdaq.ring.server.session import Serving
from rawdaq.ring.streams import StreamState
from rawdaq.times import NS_PER_S

_TOLERANCE = 1.5  # sampling intervals without a sample that are no gap
_WITH_STREAMS = (InfoItem.STREAMS, InfoItem.GAPS, InfoItem.ALL)
_WITH_GAPS = (InfoItem.GAPS, InfoItem.ALL)


async def stations(reader: RingReader, item: InfoItem | None) -> list[StationDescription]:
    """Return all stations of a ring.

    Args:
        reader: of the ring.
        item: what is asked for; None: a list of the stations.

    Raises:
        StoreError: the disk cannot be read.
    """
    states = await reader.streams.states()
    by_station: dict[tuple[str, str], list[tuple[str, SeedName]]] = {}
    for name in states:
        seed = seed_name(name)
        if seed is not None:
            by_station.setdefault((seed.network, seed.station), []).append((name, seed))
    return [
        StationDescription(
            network,
            station,
            begin_sequence=min(states[name].first.position for name, _ in named),
            end_sequence=max(states[name].last.position for name, _ in named) + 1,
            streams=tuple(await _streams(reader, states, named, item)) if item in _WITH_STREAMS else (),
        )
        for (network, station), named in sorted(by_station.items())
    ]


async def _streams(
    reader: RingReader, states: Mapping[str, StreamState], named: Sequence[tuple[str, SeedName]], item: InfoItem | None
) -> list[StreamDescription]:
    streams: list[StreamDescription] = []
    for name, seed in sorted(named, key=lambda each: each[1]):
        state = states[name]
        newest = reader.tail.at(state.last.position)
        head = newest.head if newest is not None else None
        streams.append(
            StreamDescription(
                seed.location,
                seed.channel,
                state.first.start_ns,
                state.end_ns,
                seed.format,
                head.subformat if head is not None else "D",
                await _gaps(reader, name, state.last.position) if item in _WITH_GAPS else (),
            )
        )
    return streams


async def _gaps(reader: RingReader, name: str, last: int) -> tuple[tuple[int, int], ...]:
    """Return the stretches of time without data, from the last sample before to the first behind."""
    newest = await reader.get(last)
    header = read_header(newest.data) if newest is not None else None
    rate_hz = header.rate_hz if header is not None and header.rate_hz > 0 else 1.0
    ranges = await reader.ranges(name, round(_TOLERANCE * NS_PER_S / rate_hz))
    return tuple((before[1], behind[0]) for before, behind in pairwise(ranges))


def connections(serving: Serving) -> list[ConnectionDescription]:
    """Return all clients of the servers."""
    return [_connection(peer, serving) for peer in sorted(serving.peers, key=lambda peer: peer.connected_ns)]


def _connection(peer: ServerConnection, serving: Serving) -> ConnectionDescription:
    session = peer.session
    follower = session.follower if session is not None else None
    return ConnectionDescription(
        peer.host,
        peer.port,
        peer.connected_ns,
        peer.name,
        peer.kind,
        current_sequence=None if follower is None else max(follower.position - 1, 0),
        sent_packets=session.sent_packets if session is not None else 0,
        sent_bytes=peer.sent_bytes,
        received_bytes=peer.received_bytes,
        lag_s=None if follower is None else lag_s(serving, follower.position),
        is_dial_up=bool(getattr(session, "is_dial_up", False)),
        has_ended=bool(getattr(session, "has_ended", False)),
    )


def lag_s(serving: Serving, position: int) -> float | None:
    """Return how much older than now the packet is that a client gets next; 0 when it has all, None: not known."""
    reader = serving.ring.reader
    if position >= reader.end:
        return 0.0
    waiting = reader.tail.since(position, 1) if position >= reader.tail.first else ()
    return max(0.0, (serving.clock() - waiting[0].time_ns) / NS_PER_S) if waiting else None
