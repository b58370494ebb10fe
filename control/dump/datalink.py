"""A DataLink server in ``rawdaq-dump``: its records as packets, and what it says of itself as tables."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from rawdaq.control.dump.run import reporting_logger
from rawdaq.control.dump.servers import Server, time_text
from rawdaq.datalink import DataLink, InfoType, ServerInfo
from rawdaq.subscriber.datalink import DataLinkReader


def _reader(address: str, streams: Sequence[str]) -> DataLinkReader:
    return DataLinkReader(address, streams, logger=reporting_logger())


def _info(address: str, item: str, as_json: bool) -> list[str]:
    kind = InfoType(item.upper())
    with DataLink(address) as link:
        info = link.info(kind)
    if as_json:
        return [json.dumps(dataclasses.asdict(info))]
    return list(_aligned(_ROWS[kind](info)))


def _aligned(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield *rows* as lines with columns."""
    table = [*rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _text(value: object) -> str:
    return "-" if value is None else str(value)


def _status_rows(info: ServerInfo) -> Iterator[Sequence[str]]:
    yield "server", f"{info.version} {info.server_id}".strip()
    yield "capabilities", info.capabilities
    for field in dataclasses.fields(info.status):
        value = getattr(info.status, field.name)
        if value is not None:
            is_time = field.name.endswith("_ns")
            yield field.name.removesuffix("_ns").replace("_", " "), time_text(value) if is_time else str(value)
    for thread in info.threads:
        yield "thread", " ".join(str(each) for each in dataclasses.astuple(thread) if each is not None)


def _stream_rows(info: ServerInfo) -> Iterator[Sequence[str]]:
    yield "stream", "first", "data begin", "last", "data end", "latency s"
    for each in sorted(info.streams, key=lambda stream: stream.name or ""):
        yield (
            _text(each.name),
            _text(each.earliest_packet_id),
            time_text(each.earliest_packet_data_start_time_ns),
            _text(each.latest_packet_id),
            time_text(each.latest_packet_data_end_time_ns),
            _text(each.data_latency),
        )


def _connection_rows(info: ServerInfo) -> Iterator[Sequence[str]]:
    yield "client", "type", "address", "since", "sent", "received", "packet", "match", "reject"
    for each in info.connections:
        yield (
            _text(each.client_id),
            _text(each.type),
            f"{each.host or each.ip or '-'}:{_text(each.port)}",
            time_text(each.connection_time_ns),
            _text(each.tx_packet_count),
            _text(each.rx_packet_count),
            _text(each.packet_id),
            _text(each.match),
            _text(each.reject),
        )


_ROWS: Mapping[InfoType, Callable[[ServerInfo], Iterator[Sequence[str]]]] = {
    InfoType.STATUS: _status_rows,
    InfoType.STREAMS: _stream_rows,
    InfoType.CONNECTIONS: _connection_rows,
}

SERVER = Server(_reader, _info, [item.lower() for item in InfoType])
