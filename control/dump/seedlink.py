"""A SeedLink server in ``rawdaq-dump``: its records as packets, and what it says of itself as tables."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from rawdaq.control.dump.run import reporting_logger
from rawdaq.control.dump.servers import Server, time_text
from rawdaq.protocols.seedlink import InfoDocument, InfoItem, StationDescription, StreamDescription
from rawdaq.subscriber.seedlink import SeedLinkAddress, SeedLinkReader, ask


def _reader(address: str, streams: Sequence[str]) -> SeedLinkReader:
    return SeedLinkReader(SeedLinkAddress.parse(address), streams, logger=reporting_logger())


def _info(address: str, item: str, as_it_came: bool) -> list[str]:
    document, text = ask(SeedLinkAddress.parse(address), InfoItem(item.upper()))
    lines = None if as_it_came else _LINES.get(InfoItem(item.upper()))
    return [text] if lines is None else list(lines(document))


def _id_lines(document: InfoDocument) -> Iterator[str]:
    yield f"{document.software}"
    yield f"{document.organization}"
    if document.started_ns is not None:
        yield f"started {time_text(document.started_ns)}"


def _station_lines(document: InfoDocument) -> Iterator[str]:
    for station in document.stations:
        yield f"{station.station_id:<10} {station.description}"


def _stream_name(station: StationDescription, stream: StreamDescription) -> str:
    return f"{station.station_id:<10} {stream.location + '_' + stream.channel:<8} {stream.format}{stream.subformat}"


def _stream_lines(document: InfoDocument) -> Iterator[str]:
    for station in document.stations:
        for stream in station.streams:
            yield f"{_stream_name(station, stream)}  {time_text(stream.begin_ns)} - {time_text(stream.end_ns)}"


def _gap_lines(document: InfoDocument) -> Iterator[str]:
    for station in document.stations:
        for stream in station.streams:
            for begin_ns, end_ns in stream.gaps:
                yield f"{_stream_name(station, stream)}  {time_text(begin_ns)} - {time_text(end_ns)}"


def _connection_lines(document: InfoDocument) -> Iterator[str]:
    for client in document.connections:
        sent = f"{client.sent_packets} packets" + (f", {client.sent_bytes} bytes" if client.sent_bytes else "")
        yield f"{client.host}:{client.port}  since {time_text(client.connected_ns)}  {client.client or '-'}  {sent}"


def _format_lines(document: InfoDocument) -> Iterator[str]:
    for name, kind, subformats in document.formats:
        yield f"format {name}  {kind}  ({', '.join(f'{letter}: {text}' for letter, text in subformats)})"
    for name, text in document.filters:
        yield f"filter {name}  {text}"


_LINES: dict[InfoItem, Callable[[InfoDocument], Iterable[str]]] = {
    InfoItem.ID: _id_lines,
    InfoItem.STATIONS: _station_lines,
    InfoItem.STREAMS: _stream_lines,
    InfoItem.GAPS: _gap_lines,
    InfoItem.CONNECTIONS: _connection_lines,
    InfoItem.CAPABILITIES: lambda document: document.capabilities,
    InfoItem.FORMATS: _format_lines,
}

SERVER = Server(_reader, _info, [item.lower() for item in InfoItem])
