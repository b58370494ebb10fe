"""INFO answers of version 3: one XML document with the root ``seedlink``.

It is written as ringserver writes it, with sequence numbers in six hexadecimal digits, as clients expect them; it is
read as ringserver and SeisComP write it.
"""

import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

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
from rawdaq.protocols.seedlink.v3 import SEQUENCES
from rawdaq.protocols.seedlink.words import one_line
from rawdaq.times import to_iso

_HEADER = '<?xml version="1.0"?>'
_WITH_STATIONS = (InfoItem.STATIONS, InfoItem.STREAMS, InfoItem.GAPS, InfoItem.ALL)
_WITH_STREAMS = (InfoItem.STREAMS, InfoItem.GAPS, InfoItem.ALL)
_WITH_GAPS = (InfoItem.GAPS, InfoItem.ALL)
_WITH_CONNECTIONS = (InfoItem.CONNECTIONS, InfoItem.ALL)
_NOT_XML = re.compile(r"[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECIMAL, _HEXADECIMAL = re.compile(r"\d{1,20}", re.ASCII), re.compile(r"[0-9A-Fa-f]{6}", re.ASCII)


def write_xml(item: InfoItem, document: InfoDocument) -> str:
    """Return *document* as the answer to *item*; what was not asked for is left out. All of it is ASCII.

    >>> print(write_xml(InfoItem.ID, InfoDocument("SeedLink v4.0 (x/1)", "Institute", 0)))
    <?xml version="1.0"?><seedlink software="SeedLink v4.0 (x/1)" organization="Institute" started="1970-01-01T00:00:00.000000Z"/>
    """  # noqa: E501 - one line on the wire
    children: list[str] = []
    if item in (InfoItem.CAPABILITIES, InfoItem.ALL):
        children += (_element("capability", [("name", name)]) for name in document.capabilities)
    if item in _WITH_STATIONS:
        children += (_station(item, station) for station in document.stations)
    if item in _WITH_CONNECTIONS:
        children += map(_connection, document.connections)
    attributes = [("software", document.software), ("organization", document.organization)]
    text = _HEADER + _element("seedlink", [*attributes, ("started", _time(document.started_ns))], children)
    return text.encode("ascii", "xmlcharrefreplace").decode()


def _element(name: str, attributes: Iterable[tuple[str, str]], children: Iterable[str] = ()) -> str:
    start = f"<{name} " + " ".join(f"{key}={quoteattr(_NOT_XML.sub('?', one_line(text)))}" for key, text in attributes)
    inside = "".join(children)
    return f"{start}>{inside}</{name}>" if inside else f"{start}/>"


def _time(time_ns: int | None) -> str:
    return "" if time_ns is None else to_iso(time_ns)


def _sequence(number: int | None) -> str:
    return f"{(number or 0) % SEQUENCES:06X}"


def _station(item: InfoItem, station: StationDescription) -> str:
    attributes = [
        ("name", station.station),
        ("network", station.network),
        ("description", station.description or f"Station ID {station.station_id}"),
        ("begin_seq", _sequence(station.begin_sequence)),
        ("end_seq", _sequence(station.end_sequence)),
        ("stream_check", "enabled"),
    ]
    streams = (_stream(item, stream) for stream in station.streams) if item in _WITH_STREAMS else ()
    return _element("station", attributes, streams)


def _stream(item: InfoItem, stream: StreamDescription) -> str:
    attributes = [
        ("location", stream.location),
        ("seedname", stream.channel),
        ("type", stream.subformat),
        ("begin_time", _time(stream.begin_ns)),
        ("end_time", _time(stream.end_ns)),
    ]
    gaps = stream.gaps if item in _WITH_GAPS else ()
    written = (_element("gap", [("begin_time", _time(begin)), ("end_time", _time(end))]) for begin, end in gaps)
    return _element("stream", attributes, written)


def _connection(client: ConnectionDescription) -> str:
    """Return a client as ringserver writes it: as a station that is called CLIENT."""
    sequence = client.current_sequence
    attributes = [
        ("host", client.host),
        ("port", str(client.port)),
        ("ctime", _time(client.connected_ns)),
        ("begin_seq", "unset"),
        ("current_seq", "unset" if sequence is None else _sequence(sequence)),
        ("sequence_gaps", "0"),
        ("txcount", str(client.sent_packets)),
        ("begin_seq_valid", "yes"),
        ("realtime", "no" if client.is_dial_up else "yes"),
        ("end_of_data", "yes" if client.has_ended else "no"),
    ]
    station = [("name", "CLIENT"), ("network", "SL"), ("description", client.client or "unknown client")]
    station += [("begin_seq", "000000"), ("end_seq", "000000"), ("stream_check", "enabled")]
    return _element("station", station, [_element("connection", attributes)])


def read_xml(text: str | bytes) -> InfoDocument:
    """Return what an answer says, also one of ringserver's or SeisComP's.

    Sequence numbers are read as hexadecimal where they have six digits, as SeisComP's have, else as decimal, as
    ringserver's are: one of ringserver's with six digits is read wrongly. Attributes that make no sense are left out.

    Raises:
        InfoUnreadable: it is no such document.
    """
    text = text if isinstance(text, str) else text.decode("utf-8", "replace")
    if "<!DOCTYPE" in text:  # where entities are defined, which can grow without bound
        raise InfoUnreadable("it declares a document type")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise InfoUnreadable(str(error)) from None
    if root.tag != "seedlink":
        raise InfoUnreadable(f"its root is {root.tag[:40]!r}, not 'seedlink'")
    return InfoDocument(
        root.get("software", ""),
        root.get("organization", ""),
        _read_time(root.get("started")),
        tuple(each.get("name", "") for each in root.findall("capability")),
        tuple(_read_station(each) for each in root.findall("station") if not _is_client(each)),
        tuple(_read_connections(root)),
    )


def _is_client(station: ElementTree.Element) -> bool:
    return (station.get("network"), station.get("name")) == ("SL", "CLIENT")


def _read_time(text: str | None) -> int | None:
    try:
        return parse_time(text or "")
    except InvalidValue:
        return None


def _read_sequence(text: str | None) -> int | None:
    if text is None or not (_HEXADECIMAL.fullmatch(text) or _DECIMAL.fullmatch(text)):
        return None
    return int(text, 16 if len(text) == 6 else 10)


def _read_count(text: str | None) -> int:
    return int(text) if text and _DECIMAL.fullmatch(text) else 0


def _read_station(element: ElementTree.Element) -> StationDescription:
    return StationDescription(
        element.get("network", "").strip(),
        element.get("name", "").strip(),
        element.get("description", ""),
        _read_sequence(element.get("begin_seq")),
        _read_sequence(element.get("end_seq")),
        tuple(map(_read_stream, element.findall("stream"))),
    )


def _read_stream(element: ElementTree.Element) -> StreamDescription:
    gaps = ((_read_time(each.get("begin_time")), _read_time(each.get("end_time"))) for each in element.findall("gap"))
    return StreamDescription(
        element.get("location", "").strip(),
        element.get("seedname", "").strip(),
        _read_time(element.get("begin_time")),
        _read_time(element.get("end_time")),
        subformat=element.get("type", "D"),
        gaps=tuple((begin, end) for begin, end in gaps if begin is not None and end is not None),
    )


def _read_connections(root: ElementTree.Element) -> Iterator[ConnectionDescription]:
    for station in root.findall("station"):
        for element in station.findall("connection"):
            yield ConnectionDescription(
                element.get("host", ""),
                _read_count(element.get("port")),
                _read_time(element.get("ctime")) or 0,
                station.get("description", "") if _is_client(station) else "",
                current_sequence=_read_sequence(element.get("current_seq")),
                sent_packets=_read_count(element.get("txcount")),
                is_dial_up=element.get("realtime") == "no",
                has_ended=element.get("end_of_data") == "yes",
            )
