"""A SeedLink server in ``rawdaq-dump``: its records as packets, and what it says of itself as tables."""

import logging
from collections.abc import Callable, Iterator, Sequence

from rawdaq.control.dump.run import ReportHandler
from rawdaq.control.dump.servers import Server
from rawdaq.protocols.seedlink import InfoDocument, InfoItem, StationDescription, StreamDescription
from rawdaq.subscriber.seedlink import SeedLinkAddress, SeedLinkReader, ask
from rawdaq.times import to_iso


def _reader(address: str, streams: Sequence[str]) -> SeedLinkReader:
    logger = logging.getLogger("rawdaq.dump")
    logger.handlers = [ReportHandler()]
    return SeedLinkReader(SeedLinkAddress.parse(address), streams, logger=logger)


def _info(address: str, item: str, as_it_came: bool) -> list[str]:
    document, text = ask(SeedLinkAddress.parse(address), InfoItem(item.upper()))
    lines = None if as_it_came else _LINES.get(InfoItem(item.upper()))
    return [text] if lines is None else list(lines(document))


def _time(time_ns: int | None) -> str:
    return "-" if time_ns is None else to_iso(time_ns)


def _id_lines(document: InfoDocument) -> Iterator[str]:
    yield f"{document.software}"
    yield f"{document.organization}"
    if document.started_ns is not None:
        yield f"started {_time(document.started_ns)}"


def _station_lines(document: InfoDocument) -> Iterator[str]:
    for station in document.stations:
        yield f"{station.station_id:<10} {station.description}"


def _stream_name(station: StationDescription, stream: StreamDescription) -> str:
    return f"{station.station_id:<10} {stream.location + '_' + stream.channel:<8} {stream.format}{stream.subformat}"


def _stream_lines(document: InfoDocument) -> Iterator[str]:
    for station in document.stations:
        for stream in station.streams:
            yield f"{_stream_name(station, stream)}  {_time(stream.begin_ns)} - {_time(stream.end_ns)}"


def _gap_lines(document: InfoDocument) -> Iterator[str]:
    for station in document.stations:
        for stream in station.streams:
            for begin_ns, end_ns in stream.gaps:
                yield f"{_stream_name(station, stream)}  {_time(begin_ns)} - {_time(end_ns)}"


def _connection_lines(document: InfoDocument) -> Iterator[str]:
    for client in document.connections:
        sent = f"{client.sent_packets} packets" + (f", {client.sent_bytes} bytes" if client.sent_bytes else "")
        yield f"{client.host}:{client.port}  since {_time(client.connected_ns)}  {client.client or '-'}  {sent}"


def _capability_lines(document: InfoDocument) -> Iterator[str]:
    yield from document.capabilities


def _format_lines(document: InfoDocument) -> Iterator[str]:
    for name, kind, subformats in document.formats:
        yield f"format {name}  {kind}  ({', '.join(f'{letter}: {text}' for letter, text in subformats)})"
    for name, text in document.filters:
        yield f"filter {name}  {text}"


_LINES: dict[InfoItem, Callable[[InfoDocument], Iterator[str]]] = {
    InfoItem.ID: _id_lines,
    InfoItem.STATIONS: _station_lines,
    InfoItem.STREAMS: _stream_lines,
    InfoItem.GAPS: _gap_lines,
    InfoItem.CONNECTIONS: _connection_lines,
    InfoItem.CAPABILITIES: _capability_lines,
    InfoItem.FORMATS: _format_lines,
}

SERVER = Server(_reader, _info, [item.lower() for item in InfoItem])
