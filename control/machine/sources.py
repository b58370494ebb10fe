"""Where the live data of a stream come from, as the status of its component and its station file say."""

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from rawdaq.config import ComponentSettings
from rawdaq.control.health.parts import count, entries, number
from rawdaq.control.health.problem import Row
from rawdaq.errors import InvalidValue
from rawdaq.stream_id import StreamId

_NAMES = 10_000  # remembered
_EVERYWHERE = re.compile(r"^tcp://(0\.0\.0\.0|\*|\[::\]):")
_NO_LIVE = (
    "it has no live publisher; add one to its station file, such as live: "
    "{class: ZMQTCPPublisher, ip: 127.0.0.1, port: 9004}"
)
_SUBSCRIBED = {"ZMQTCPPublisher", "ZMQPublisher"}


class Source(NamedTuple):
    """Where a stream comes from.

    Attributes:
        component: the key of the component that publishes it.
        address: of a live publisher; None where it has none.
        rate_hz: samples per second; None: not known yet.
        sample_type: empty: not known yet.
        reason: why there is no address; empty where there is one.
    """

    component: str
    address: str | None
    rate_hz: float | None
    sample_type: str
    reason: str = ""


@functools.lru_cache(_NAMES)
def stream_id(name: str) -> StreamId | None:
    """Return the stream that is called *name*; None: none can be, as of a component of another version."""
    try:
        return StreamId.parse(name)
    except InvalidValue:
        return None


def said_of_streams(row: Row) -> dict[StreamId, Row]:
    """Return what a component says of its streams."""
    found = entries(row.get("streams"))
    return {stream: said for name, said in found.items() if (stream := stream_id(name)) is not None}


def live_address(said: Row, name: str, settings: ComponentSettings | None) -> str | None:
    """Return where a publisher can be subscribed to from this machine, without a key; None: nowhere.

    Args:
        said: what it says of itself.
        name: its name.
        settings: of its component.
    """
    address, kind = said.get("address"), said.get("class")
    if not isinstance(address, str) or not address or kind not in _SUBSCRIBED or said.get("state") != "running":
        return None
    options: Mapping[str, Any] = {}
    if settings is not None:
        options = next((each.options for each in settings.publishers if each.name == name), options)
    if kind == "ZMQTCPPublisher":
        is_open = said.get("mode") != "remote"
    else:
        is_open = said.get("type") == "PUB" and bool(options.get("bind")) and not options.get("curve")
    loopback = r"tcp://[::1]:" if address.startswith("tcp://[::]") else "tcp://127.0.0.1:"
    return _EVERYWHERE.sub(loopback, address) if is_open else None


def source(selected: StreamId, said: Row, row: Row, settings: ComponentSettings | None) -> Source:
    """Return where a stream comes from.

    Args:
        selected: the stream.
        said: what its component says of it.
        row: the component's entry in ``status --json``.
        settings: what the station file says of the component; None: it is not known.
    """
    patterns = {each.name: each.streams for each in settings.publishers} if settings else {}
    addresses = (
        address
        for name, each in entries(row.get("publishers")).items()
        if selected.matches(patterns.get(name, ())) and (address := live_address(each, name, settings))
    )
    address = next(addresses, None)
    rate_hz = number(said.get("rate_hz")) if count(said, "packets") else None
    kind = said.get("sample_type")
    return Source(
        str(row["component"]),
        address,
        rate_hz or None,
        kind if isinstance(kind, str) else "",
        "" if address else _why_no_live(row),
    )


def _why_no_live(row: Row) -> str:
    """Return why streams of a component cannot be shown live."""
    state, publishers = str(row.get("state")), entries(row.get("publishers"))
    if state not in ("running", "paused"):
        return f"it is {state}"
    if not publishers:
        return _NO_LIVE if "uptime_s" in row else "it has not answered yet"
    for name, said in publishers.items():
        if said.get("class") in _SUBSCRIBED and said.get("state") != "running":
            return f"its live publisher {name} is {said.get('state')}: {said.get('paused_reason')}"
    return _NO_LIVE
