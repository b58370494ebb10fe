"""INFO answers of version 4: one JSON object with ``software``, ``organization`` and what was asked for."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from rawdaq.errors import InvalidValue
from rawdaq.protocols.seedlink.errors import InfoUnreadable
from rawdaq.protocols.seedlink.info.values import (
    ConnectionDescription,
    InfoDocument,
    InfoItem,
    StationDescription,
    StreamDescription,
)
from rawdaq.protocols.seedlink.times import parse_time
from rawdaq.times import NS_PER_S, to_iso

_Object = Mapping[str, Any]

#: What `InfoDocument.formats` of a server that sends miniSEED holds.
MINISEED_FORMATS = (
    (
        "2",
        "application/vnd.fdsn.mseed",
        (
            ("D", "data"),
            ("E", "event detection"),
            ("C", "calibration"),
            ("T", "timing"),
            ("L", "log"),
            ("O", "opaque"),
        ),
    ),
    ("3", "application/vnd.fdsn.mseed3", (("D", "data"),)),
)


def write_json(item: InfoItem, document: InfoDocument, now_ns: int = 0) -> str:
    """Return *document* as the answer to *item*; what was not asked for is left out.

    Args:
        item: what was asked for.
        document: what there is; one with an error says nothing else.
        now_ns: the time at which it is asked, for the rates of connections.
    """
    answer: dict[str, Any] = {"software": document.software, "organization": document.organization}
    if document.error is not None:
        code, text = document.error
        return _text(answer | {"error": {"code": code, "message": text}})
    match item:
        case InfoItem.ID:
            if document.started_ns is not None:
                answer["server_start"] = to_iso(document.started_ns)
        case InfoItem.FORMATS:
            answer["format"] = {name: _format(kind, subformats) for name, kind, subformats in document.formats}
            answer["filter"] = dict(document.filters)
        case InfoItem.CAPABILITIES:
            answer["capability"] = list(document.capabilities)
        case InfoItem.CONNECTIONS:
            clients = [_connection(each, now_ns) for each in document.connections]
            answer["connections"] = {"client_count": len(clients), "client": clients}
        case _:
            answer["station"] = [_station(each, item is InfoItem.STREAMS) for each in document.stations]
    return _text(answer)


def _text(answer: _Object) -> str:
    return json.dumps(answer, separators=(",", ":"))


def _format(kind: str, subformats: Sequence[tuple[str, str]]) -> _Object:
    return {"mimetype": kind, "subformat": dict(subformats)}


def _station(station: StationDescription, has_streams: bool) -> _Object:
    shown: dict[str, Any] = {
        "id": station.station_id,
        "description": station.description or f"Station ID {station.station_id}",
        "start_seq": station.begin_sequence or 0,
        "end_seq": station.end_sequence or 0,
    }
    return shown | {"stream": list(map(_stream, station.streams))} if has_streams else shown


def _stream(stream: StreamDescription) -> _Object:
    times = {"start_time": stream.begin_ns, "end_time": stream.end_ns}
    return {
        "id": stream.key.stream_id,
        "format": stream.format,
        "subformat": stream.subformat,
        **{name: to_iso(time_ns) for name, time_ns in times.items() if time_ns is not None},
    }


def _connection(client: ConnectionDescription, now_ns: int) -> _Object:
    duration_s = (now_ns - client.connected_ns) / NS_PER_S
    counts = {
        "transmit_packets": client.sent_packets,
        "transmit_bytes": client.sent_bytes,
        "receive_packets": client.received_packets,
        "receive_bytes": client.received_bytes,
    }
    rates = {f"{name}_rate": round(count / duration_s, 1) if duration_s > 0 else 0.0 for name, count in counts.items()}
    shown: dict[str, Any] = {
        "host": client.host,
        "ip_address": client.host,
        "client_port": str(client.port),
        "type": "SeedLink",
        "client_id": client.client,
        "connect_time": to_iso(client.connected_ns),
        **counts,
        **rates,
        "stream_count": client.stream_count,
        "protocol_version": client.protocol,
        "dialup_mode": client.is_dial_up,
    }
    optional = {"lag_seconds": client.lag_s, "packet_current_id": client.current_sequence}
    return shown | {name: value for name, value in optional.items() if value is not None}


def read_json(text: str | bytes) -> InfoDocument:
    """Return what an answer says; keys that are missing or of another type are read as empty.

    Raises:
        InfoUnreadable: it is no such document.
    """
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InfoUnreadable(str(error)) from None
    if not isinstance(root, dict):
        raise InfoUnreadable("it is no JSON object")
    answer = cast("_Object", root)
    refusal = _object(answer.get("error"))
    started = next((answer[key] for key in ("server_start", "started") if key in answer), None)
    return InfoDocument(
        _word(answer.get("software")),
        _word(answer.get("organization")),
        _read_time(started),
        tuple(_word(each) for each in _list(answer.get("capability"))),
        tuple(_read_station(_object(each)) for each in _list(answer.get("station"))),
        tuple(_read_connection(_object(each)) for each in _list(_object(answer.get("connections")).get("client"))),
        tuple(_read_format(name, _object(each)) for name, each in _object(answer.get("format")).items()),
        tuple((name, _word(each)) for name, each in _object(answer.get("filter")).items()),
        (_word(refusal.get("code")), _word(refusal.get("message"))) if refusal else None,
    )


def _object(value: Any) -> _Object:
    return cast("_Object", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return [*cast("Sequence[Any]", value)] if isinstance(value, list) else []


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    return value if type(value) is int and abs(value) < 1 << 64 else None


def _read_time(value: Any) -> int | None:
    try:
        return parse_time(_word(value))
    except InvalidValue:
        return None


def _read_format(name: str, value: _Object) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    subformats = tuple((letter, _word(each)) for letter, each in _object(value.get("subformat")).items())
    return name, _word(value.get("mimetype")), subformats


def _read_station(value: _Object) -> StationDescription:
    network, _, station = _word(value.get("id")).partition("_")
    return StationDescription(
        network,
        station,
        _word(value.get("description")),
        _whole(value.get("start_seq")),
        _whole(value.get("end_seq")),
        tuple(_read_stream(_object(each)) for each in _list(value.get("stream"))),
    )


def _read_stream(value: _Object) -> StreamDescription:
    location, _, letters = _word(value.get("id")).partition("_")
    is_seed = len(letters) == 5 and letters.count("_") == 2 and letters[1] == letters[3] == "_"
    return StreamDescription(
        location,
        letters.replace("_", "") if is_seed else letters,
        _read_time(value.get("start_time")),
        _read_time(value.get("end_time")),
        _word(value.get("format")),
        _word(value.get("subformat")),
    )


def _read_connection(value: _Object) -> ConnectionDescription:
    lag_s = value.get("lag_seconds")
    return ConnectionDescription(
        _word(value.get("host")) or _word(value.get("ip_address")),
        _port(value.get("client_port")),
        _read_time(value.get("connect_time")) or 0,
        _word(value.get("client_id")),
        _word(value.get("protocol_version")),
        _whole(value.get("packet_current_id")),
        _whole(value.get("transmit_packets")) or 0,
        _whole(value.get("transmit_bytes")) or 0,
        _whole(value.get("receive_packets")) or 0,
        _whole(value.get("receive_bytes")) or 0,
        _whole(value.get("stream_count")) or 0,
        lag_s if isinstance(lag_s, float) else _whole(lag_s),
        value.get("dialup_mode") is True,
    )


def _port(value: Any) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else 0
