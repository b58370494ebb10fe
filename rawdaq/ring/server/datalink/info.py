"""What INFO of DataLink says of a ring: its state, its streams and its clients."""

from collections.abc import Mapping

from rawdaq.protocols.datalink import ConnectionInfo, Info, InfoType, ServerInfo, ServerThread, Status, StreamInfo
from rawdaq.protocols.datalink.expressions import Expression
from rawdaq.ring.server.connection import ServerConnection
from rawdaq.ring.server.datalink.view import DataLinkView
from rawdaq.ring.server.seedlink.info import lag_s
from rawdaq.ring.server.session import Serving
from rawdaq.ring.streams import StreamState
from rawdaq.times import NS_PER_S

_FORMAT = "rawdaq-1"
_FULL_PERCENT = 100


def software(serving: Serving) -> str:
    """Return what the server calls itself."""
    return f"DataLink v1.1 ({serving.identity.program})"


def capabilities(serving: Serving, may_write: bool) -> str:
    """Return what a client may do here."""
    return f"DLPROTO:1.1 PACKETSIZE:{serving.rules.packet_bytes}{' WRITE' if may_write else ''}"


async def server_info(
    serving: Serving, asked: Info, view: DataLinkView, may_write: bool, ports: list[ServerThread]
) -> ServerInfo:
    """Return the answer to INFO.

    Args:
        serving: the server.
        asked: what is asked for.
        view: what the client has selected.
        may_write: whether it may write.
        ports: where the server listens; shown to trusted clients.

    Raises:
        InvalidValue: the expression is invalid.
        StoreError: the disk cannot be read.
    """
    states = await serving.ring.reader.streams.states()
    own = Expression(asked.expression) if asked.expression else None
    info = ServerInfo(
        version=f"{software(serving)} :: {capabilities(serving, may_write)}",
        server_id=serving.identity.organization,
        capabilities=capabilities(serving, may_write),
        status=await _status(serving, len(states)),
        threads=ports if asked.kind is InfoType.STATUS else (),
        total_streams=len(states),
        streams=_streams(states, view, own, serving.clock()) if asked.kind is InfoType.STREAMS else (),
        total_connections=len(serving.peers),
        connections=_connections(serving, own) if asked.kind is InfoType.CONNECTIONS else (),
    )
    return info


async def _status(serving: Serving, stream_count: int) -> Status:
    reader, ring = serving.ring.reader, serving.ring
    first, newest = await reader.first(), await reader.newest()
    now_ns = serving.clock()
    peers = serving.peers
    sent_packets = serving.sent_packets + sum(peer.session.sent_packets for peer in peers if peer.session)
    return Status(
        start_time_ns=serving.identity.started_ns,
        ring_version=_FORMAT,
        ring_size=ring.max_bytes,
        packet_size=serving.rules.packet_bytes,
        maximum_packets=ring.count_of(serving.rules.packet_bytes),
        memory_mapped_ring=False,
        volatile_ring=False,
        total_connections=len(peers),
        total_streams=stream_count,
        tx_packet_rate=_rate(sent_packets, serving.identity.started_ns, now_ns),
        tx_byte_rate=_rate(sum(peer.sent_bytes for peer in peers), serving.identity.started_ns, now_ns),
        rx_packet_rate=_rate(serving.received_packets, serving.identity.started_ns, now_ns),
        rx_byte_rate=_rate(serving.received_bytes, serving.identity.started_ns, now_ns),
        earliest_packet_id=first.position if first is not None else None,
        earliest_packet_creation_time_ns=first.time_ns if first is not None else None,
        earliest_packet_data_start_time_ns=first.start_ns if first is not None else None,
        earliest_packet_data_end_time_ns=first.end_ns if first is not None else None,
        latest_packet_id=newest.position if newest is not None else None,
        latest_packet_creation_time_ns=newest.time_ns if newest is not None else None,
        latest_packet_data_start_time_ns=newest.start_ns if newest is not None else None,
        latest_packet_data_end_time_ns=newest.end_ns if newest is not None else None,
    )


def _rate(count: int, since_ns: int, now_ns: int) -> float:
    return count * NS_PER_S / max(now_ns - since_ns, NS_PER_S)


def _streams(
    states: Mapping[str, StreamState], view: DataLinkView, own: Expression | None, now_ns: int
) -> list[StreamInfo]:
    wants = view.may_send if own is None else own.selects
    return [
        StreamInfo(
            name=name,
            earliest_packet_id=state.first.position,
            earliest_packet_data_start_time_ns=state.first.start_ns,
            earliest_packet_data_end_time_ns=state.first.end_ns,
            latest_packet_id=state.last.position,
            latest_packet_data_start_time_ns=state.last.start_ns,
            latest_packet_data_end_time_ns=state.last.end_ns,
            data_latency=(now_ns - state.end_ns) / NS_PER_S,
        )
        for name, state in sorted(states.items())
        if wants(name)
    ]


def _connections(serving: Serving, own: Expression | None) -> list[ConnectionInfo]:
    shown = (_connection(peer, serving) for peer in sorted(serving.peers, key=lambda peer: peer.connected_ns))
    return [
        each for each in shown if own is None or any(own.selects(text or "") for text in (each.client_id, each.host))
    ]


def _connection(peer: ServerConnection, serving: Serving) -> ConnectionInfo:
    session, now_ns = peer.session, serving.clock()
    follower = session.follower if session is not None else None
    sent = session.sent_packets if session is not None else 0
    received = getattr(session, "received_packets", 0)
    view = follower.view if follower is not None else getattr(session, "view", None)
    expressions = (view.match, view.reject) if isinstance(view, DataLinkView) else (None, None)
    return ConnectionInfo(
        type=peer.kind,
        host=peer.host,
        ip=peer.host,
        port=peer.port,
        client_id=peer.name,
        connection_time_ns=peer.connected_ns,
        match=expressions[0].text if expressions[0] is not None else None,
        reject=expressions[1].text if expressions[1] is not None else None,
        packet_id=follower.position - 1 if follower is not None else None,
        tx_packet_count=sent,
        tx_packet_rate=_rate(sent, peer.connected_ns, now_ns),
        tx_byte_count=peer.sent_bytes,
        tx_byte_rate=_rate(peer.sent_bytes, peer.connected_ns, now_ns),
        rx_packet_count=received,
        rx_packet_rate=_rate(received, peer.connected_ns, now_ns),
        rx_byte_count=peer.received_bytes,
        rx_byte_rate=_rate(peer.received_bytes, peer.connected_ns, now_ns),
        latency=None if follower is None else lag_s(serving, follower.position),
        percent_lag=None if follower is None else _percent(serving, follower.position),
    )


def _percent(serving: Serving, position: int) -> int:
    """Return how much of the ring a reader is behind."""
    reader = serving.ring.reader
    return _FULL_PERCENT * max(reader.end - position, 0) // max(reader.end - reader.oldest, 1)
