"""The packets and the answers to INFO of the tests' SeedLink server, in both versions of the protocol."""

import json
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.seedlink_peer import SeedLinkPeer


def frame(kind: str, sequence: int, station: str, payload: bytes) -> bytes:
    head = b"SE" + kind.encode() + struct.pack("<IQB", len(payload), sequence, len(station))
    return head + station.encode() + payload


def info(peer: "SeedLinkPeer", version: int, item: str) -> bytes:
    """Return what *peer* answers to INFO in a version of the protocol."""
    if item in peer.refused_infos:
        return b"ERROR\r\n"
    is_detailed = item == "STREAMS" or item in peer.as_streams
    names = sorted({each.station for each in peer.store}) if is_detailed or item == "STATIONS" else []
    if version == 4:
        answer: dict[str, object] = {
            "software": "peer/1",
            "organization": "The institute",
            "server_start": peer.started,
        }
        answer |= peer.more.get(item, {})
        stations = [{"id": name, "description": "Hill", "start_seq": 1, "end_seq": 2} for name in names]
        payload = json.dumps(answer | ({"station": stations} if stations else {})).encode()
        return frame("JE" if "error" in answer else "JI", 0, "", payload)
    inside = "".join(
        f'<station name="{name[3:]}" network="{name[:2]}" description="Hill" begin_seq="000000" end_seq="000000">'
        f"{_streams(peer, name) if is_detailed else ''}</station>"
        for name in names
    )
    text = f'<?xml version="1.0"?><seedlink software="peer/1" organization="x" started="{peer.started}">'
    return _records((text + inside + "</seedlink>").encode())


def _streams(peer: "SeedLinkPeer", station: str) -> str:
    keys = {(each.location, each.channel) for each in peer.store if each.station == station}
    return "".join(
        f'<stream location="{location}" seedname="{channel}" type="D" begin_time="2026/11/29 09:00:00.0000" '
        'end_time="2026/11/29 10:00:00.0000"><gap begin_time="2026/11/29 09:10:00.0000" '
        'end_time="2026/11/29 09:11:00.0000"/></stream>'
        for location, channel in sorted(keys)
    )


def _records(text: bytes) -> bytes:
    """Return a text as ringserver packs it: 456 bytes in each record."""
    out = b""
    for at in range(0, len(text), 456):
        part = text[at : at + 456]
        head = b"000001D INFO   INFXX" + struct.pack(">HHBBBBH", 2026, 1, 0, 0, 0, 0, 0)
        head += struct.pack(">HhhBBBBiHH", len(part), 0, 0, 0, 0, 0, 1, 0, 56, 48)
        head += struct.pack(">HHBBBB", 1000, 0, 0, 1, 9, 0)
        more = b"*" if at + 456 < len(text) else b" "
        out += b"SLINFO " + more + head.ljust(56, b"\0") + part.ljust(456, b"\0")
    return out
