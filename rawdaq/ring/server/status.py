"""What `status` shows of a server: its ring, and its clients."""

from typing import Any, Final

from rawdaq.ring.server.connection import ServerConnection
from rawdaq.ring.server.seedlink.info import lag_s
from rawdaq.ring.server.session import Serving
from rawdaq.times import to_iso

_SHOWN_CLIENTS: Final = 100


def serving_status(serving: Serving) -> dict[str, object]:
    """Return what `status` shows, JSON-able."""
    clients = [_client(serving, peer) for peer in serving.peers]
    streaming = [client for client in clients if client["lag_packets"] is not None]
    streaming.sort(key=lambda client: -client["lag_packets"])
    slowest = streaming[0] if streaming else None
    return {
        "ring": _ring(serving),
        "client_count": len(clients),
        "streaming_count": len(streaming),
        "slowest": slowest["address"] if slowest else None,
        "lag_packets": slowest["lag_packets"] if slowest else 0,
        "lag_s": slowest["lag_s"] if slowest else 0.0,
        "sent": serving.sent_packets + sum(client["sent"] for client in clients),
        "missed": serving.missed + sum(client["missed"] for client in clients),
        "cut": serving.cut,
        "received": serving.received_packets,
        "received_bytes": serving.received_bytes,
        "turned_away": dict(serving.refusals.by_reason),
        "clients": (streaming + [client for client in clients if client["lag_packets"] is None])[:_SHOWN_CLIENTS],
    }


def _ring(serving: Serving) -> dict[str, object]:
    extent = serving.ring.extent()
    if extent is None:
        return {}
    return {
        "oldest": extent.oldest,
        "next": extent.end,
        "synced": extent.synced,
        "lost": extent.lost,
        "max_bytes": serving.ring.max_bytes,
        "streams": len(serving.ring.reader.streams.names),
        "sync_error": extent.sync_error,
    }


def _client(serving: Serving, peer: ServerConnection) -> dict[str, Any]:
    session = peer.session
    follower = session.follower if session is not None else None
    return {
        "address": peer.address,
        "name": peer.name,
        "kind": peer.kind,
        "connected": to_iso(peer.connected_ns),
        "sent": session.sent_packets if session is not None else 0,
        "sent_bytes": peer.sent_bytes,
        "received_bytes": peer.received_bytes,
        "missed": follower.missed if follower is not None else 0,
        "lag_packets": max(serving.ring.reader.end - follower.position, 0) if follower is not None else None,
        "lag_s": lag_s(serving, follower.position) if follower is not None else None,
    }
