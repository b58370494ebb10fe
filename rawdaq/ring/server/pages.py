"""What HTTP gets: the WebSockets of both protocols, and a few pages that say what there is, also as JSON."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from rawdaq.errors import InvalidValue
from rawdaq.protocols.datalink.expressions import Expression
from rawdaq.ring.server.datalink.info import software
from rawdaq.ring.server.recognition import Spoken
from rawdaq.ring.server.session import Serving
from rawdaq.ring.streams import StreamState
from rawdaq.times import to_iso

#: Of each WebSocket its path, in any case of letters.
WEBSOCKETS: Final = {"/seedlink": Spoken.SEEDLINK, "/datalink": Spoken.DATALINK}
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_INDEX: Final = """This is the server of a ring of records.

/id           who this is             /id/json
/streamids    names of all streams    ?match=EXPRESSION selects some
/streams      with their times        /streams/json

WebSockets: /seedlink (SeedLink4.0, SeedLink3.1), /datalink (DataLink1.1, DataLink1.0)
"""

Page = tuple[int, str, str]


async def page(serving: Serving, target: str) -> Page:
    """Return status, type and text of the page that a request asks for.

    Raises:
        StoreError: the disk cannot be read.
    """
    parts = urlsplit(target)
    make = _PAGES.get(parts.path.rstrip("/") or "/")
    if make is None:
        return 404, _TEXT, f"There is no page {parts.path[:100]} here.\n\n{_INDEX}"
    match = parse_qs(parts.query).get("match", [""])[0]
    try:
        expression = Expression(match)
    except InvalidValue as error:
        return 400, _TEXT, f"match: {error}\n"
    states = await serving.ring.reader.streams.states()
    return 200, *make(serving, {name: state for name, state in sorted(states.items()) if expression.selects(name)})


def _index(serving: Serving, states: Mapping[str, StreamState]) -> tuple[str, str]:
    return _TEXT, _INDEX


def _id(serving: Serving, states: Mapping[str, StreamState]) -> tuple[str, str]:
    lines = "".join(f"{key}: {value}\n" for key, value in _identity(serving).items() if isinstance(value, str))
    return _TEXT, lines


def _id_json(serving: Serving, states: Mapping[str, StreamState]) -> tuple[str, str]:
    return _JSON, json.dumps(_identity(serving), indent=1)


def _identity(serving: Serving) -> dict[str, Any]:
    return {
        "software": serving.identity.program,
        "organization": serving.identity.organization,
        "server_start": to_iso(serving.identity.started_ns),
        "seedlink": serving.identity.hello.software,
        "datalink": software(serving),
        "seedlink_protocol": ["3.1", "4.0"],
        "datalink_protocol": ["1.0", "1.1"],
        "stream_id_style": "FDSN",
    }


def _ids(serving: Serving, states: Mapping[str, StreamState]) -> tuple[str, str]:
    return _TEXT, "".join(f"{name}\n" for name in states)


def _streams(serving: Serving, states: Mapping[str, StreamState]) -> tuple[str, str]:
    lines = (f"{each['id']}  {each['start_time']}  {each['end_time']}\n" for each in _described(states))
    return _TEXT, "".join(lines)


def _streams_json(serving: Serving, states: Mapping[str, StreamState]) -> tuple[str, str]:
    streams = _described(states)
    return _JSON, json.dumps({**_identity(serving), "stream_count": len(streams), "stream": streams}, indent=1)


def _described(states: Mapping[str, StreamState]) -> list[dict[str, Any]]:
    return [
        {
            "id": name,
            "start_time": to_iso(state.first.start_ns),
            "end_time": to_iso(state.end_ns),
            "earliest_packet_id": state.first.position,
            "latest_packet_id": state.last.position,
        }
        for name, state in states.items()
    ]


_PAGES: Final[dict[str, Callable[[Serving, Mapping[str, StreamState]], tuple[str, str]]]] = {
    "/": _index,
    "/id": _id,
    "/id/json": _id_json,
    "/streamids": _ids,
    "/streams": _streams,
    "/streams/json": _streams_json,
}
