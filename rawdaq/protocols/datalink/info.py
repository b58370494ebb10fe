"""The XML of INFO, both ways: attributes as typed fields, all optional, because servers leave some out.

A field is called as its attribute (``TotalStreams``: ``total_streams``), times with the ending ``_ns``. An attribute
that is not known here is left out; a field without an attribute is None.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

from rawdaq.errors import InvalidValue
from rawdaq.protocols.datalink.commands import InfoType
from rawdaq.protocols.datalink.errors import InfoUnreadable
from rawdaq.times import from_iso, to_iso

_MISSING = "-"
_NEVER_IN_INFO = (b"<!DOCTYPE", b"<!ENTITY")  # a document type could make a small answer fill the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The server as a whole."""

    start_time_ns: int | None = None
    ring_version: str | None = None
    ring_size: int | None = None
    packet_size: int | None = None
    maximum_packets: int | None = None
    memory_mapped_ring: bool | None = None
    volatile_ring: bool | None = None
    total_connections: int | None = None
    total_streams: int | None = None
    tx_packet_rate: float | None = None
    tx_byte_rate: float | None = None
    rx_packet_rate: float | None = None
    rx_byte_rate: float | None = None
    earliest_packet_id: int | None = None
    earliest_packet_creation_time_ns: int | None = None
    earliest_packet_data_start_time_ns: int | None = None
    earliest_packet_data_end_time_ns: int | None = None
    latest_packet_id: int | None = None
    latest_packet_creation_time_ns: int | None = None
    latest_packet_data_start_time_ns: int | None = None
    latest_packet_data_end_time_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerThread:
    """A port that the server listens to, or a folder that it scans; only trusted clients see them."""

    flags: str | None = None
    type: str | None = None
    port: int | None = None
    directory: str | None = None
    max_recursion: int | None = None
    state_file: str | None = None
    match: str | None = None
    reject: str | None = None
    scan_time: float | None = None
    packet_rate: float | None = None
    byte_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """A stream of the ring."""

    name: str | None = None
    earliest_packet_id: int | None = None
    earliest_packet_data_start_time_ns: int | None = None
    earliest_packet_data_end_time_ns: int | None = None
    latest_packet_id: int | None = None
    latest_packet_data_start_time_ns: int | None = None
    latest_packet_data_end_time_ns: int | None = None
    data_latency: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInfo:
    """A client of the server."""

    type: str | None = None
    host: str | None = None
    ip: str | None = None
    port: int | None = None
    client_id: str | None = None
    connection_time_ns: int | None = None
    match: str | None = None
    reject: str | None = None
    stream_count: int | None = None
    packet_id: int | None = None
    packet_data_start_time_ns: int | None = None
    packet_creation_time_ns: int | None = None
    tx_packet_count: int | None = None
    tx_packet_rate: float | None = None
    tx_byte_count: int | None = None
    tx_byte_rate: float | None = None
    rx_packet_count: int | None = None
    rx_packet_rate: float | None = None
    rx_byte_count: int | None = None
    rx_byte_rate: float | None = None
    latency: float | None = None
    percent_lag: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """An answer to INFO.

    Attributes:
        version: the server's software.
        server_id: its name.
        capabilities: what it can, as in the reply to ID.
        status: the server as a whole; in every answer.
        threads: its ports; empty unless STATUS was asked by a trusted client.
        total_streams: how many streams it has; None unless STREAMS was asked.
        streams: those that were selected.
        total_connections: how many clients it has; None unless CONNECTIONS was asked.
        connections: those that were selected.
    """

    version: str = ""
    server_id: str = ""
    capabilities: str = ""
    status: Status = Status()
    threads: Sequence[ServerThread] = ()
    total_streams: int | None = None
    streams: Sequence[StreamInfo] = ()
    total_connections: int | None = None
    connections: Sequence[ConnectionInfo] = ()


def _is_true(text: str) -> bool:
    return text.upper() == "TRUE"


def _count(text: str) -> int:
    return int(text.removesuffix("%"))


def _bool_text(value: bool) -> str:
    return "TRUE" if value else "FALSE"


def _rate_text(value: float) -> str:
    return f"{value:.1f}"


#: By the type of a field: from text, and to text.
_KINDS: Final[dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]]] = {
    "str": (str, str),
    "int": (_count, str),
    "float": (float, _rate_text),
    "bool": (_is_true, _bool_text),
    "time": (from_iso, to_iso),
}
_SHORT: Final = {"id": "ID", "ip": "IP", "tx": "TX", "rx": "RX"}

_Value = Status | ServerThread | StreamInfo | ConnectionInfo
Element = TypeVar("Element", Status, ServerThread, StreamInfo, ConnectionInfo)


def _attribute(name: str) -> str:
    """Return the attribute of a field.

    >>> _attribute("earliest_packet_id"), _attribute("start_time_ns"), _attribute("tx_packet_rate")
    ('EarliestPacketID', 'StartTime', 'TXPacketRate')
    """
    words = name.removesuffix("_ns").split("_")
    return "".join(_SHORT.get(word, word.capitalize()) for word in words)


def _table(kind: type[Any]) -> list[tuple[str, str, Callable[[str], Any], Callable[[Any], str]]]:
    table: list[tuple[str, str, Callable[[str], Any], Callable[[Any], str]]] = []
    for field in fields(kind):
        (word,) = re.findall(r"str|int|float|bool", str(field.type))
        table.append((field.name, _attribute(field.name), *_KINDS["time" if field.name.endswith("_ns") else word]))
    return table


_TABLES: Final = {kind: _table(kind) for kind in (Status, ServerThread, StreamInfo, ConnectionInfo)}


def _read(kind: type[Element], element: ET.Element) -> Element:
    values: dict[str, Any] = {}
    for name, attribute, read, _ in _TABLES[kind]:
        text = element.get(attribute, _MISSING)
        if text != _MISSING:
            try:
                values[name] = read(text)
            except (ValueError, InvalidValue):
                raise InfoUnreadable(f"{attribute} of {element.tag} is {text[:50]!r}") from None
    return kind(**values)


def read_info(xml: bytes) -> ServerInfo:
    """Return what an answer to INFO says.

    Raises:
        InfoUnreadable: it is no such XML document.
    """
    if any(word in xml for word in _NEVER_IN_INFO):
        raise InfoUnreadable("it has a document type, which no server sends")
    try:
        root = ET.fromstring(xml)
    except (ET.ParseError, LookupError, ValueError) as error:  # the second and third: unknown or wrong encodings
        raise InfoUnreadable(str(error)) from None
    if root.tag != "DataLink":
        raise InfoUnreadable(f"its first element is {root.tag[:50]}, not DataLink")
    return ServerInfo(
        version=root.get("Version", ""),
        server_id=root.get("ServerID", ""),
        capabilities=root.get("Capabilities", ""),
        status=_read(Status, _found(root, "Status")),
        threads=[_read(ServerThread, each) for each in root.iterfind("ServerThreads/Thread")],
        total_streams=_total(root, "StreamList", "TotalStreams"),
        streams=[_read(StreamInfo, each) for each in root.iterfind("StreamList/Stream")],
        total_connections=_total(root, "ConnectionList", "TotalConnections"),
        connections=[_read(ConnectionInfo, each) for each in root.iterfind("ConnectionList/Connection")],
    )


def _found(root: ET.Element, tag: str) -> ET.Element:
    found = root.find(tag)
    return ET.Element(tag) if found is None else found


def _total(root: ET.Element, tag: str, attribute: str) -> int | None:
    text = _found(root, tag).get(attribute, _MISSING)
    if text == _MISSING:
        return None
    if not (text.isascii() and text.isdigit()):
        raise InfoUnreadable(f"{attribute} of {tag} is {text[:50]!r}")
    return int(text)


def write_info(info: ServerInfo, kind: InfoType) -> bytes:
    """Return the answer to INFO *kind*."""
    root = ET.Element("DataLink", Version=info.version, ServerID=info.server_id, Capabilities=info.capabilities)
    _write(root, "Status", info.status)
    if kind is InfoType.STATUS and info.threads:
        _write_list(root, "ServerThreads", {"TotalServerThreads": str(len(info.threads))}, "Thread", info.threads)
    elif kind is InfoType.STREAMS:
        counts = {"TotalStreams": str(info.total_streams), "SelectedStreams": str(len(info.streams))}
        _write_list(root, "StreamList", counts, "Stream", info.streams)
    elif kind is InfoType.CONNECTIONS:
        counts = {"TotalConnections": str(info.total_connections), "SelectedConnections": str(len(info.connections))}
        _write_list(root, "ConnectionList", counts, "Connection", info.connections)
    text: bytes = ET.tostring(root, "utf-8", xml_declaration=False)
    return text


def _write_list(root: ET.Element, tag: str, counts: dict[str, str], each: str, values: Sequence[_Value]) -> None:
    element = ET.SubElement(root, tag, counts)
    for value in values:
        _write(element, each, value)


def _write(parent: ET.Element, tag: str, value: _Value) -> None:
    attributes: dict[str, str] = {}
    for name, attribute, _, write in _TABLES[type(value)]:
        field = getattr(value, name)
        if field is not None:
            attributes[attribute] = write(field)
        elif not isinstance(value, ServerThread):  # whose kinds have other attributes
            attributes[attribute] = "0" if attribute.endswith("PacketID") else _MISSING
    ET.SubElement(parent, tag, attributes)
