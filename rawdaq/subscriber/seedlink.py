"""A SeedLink server read like a live stream, and asked for what it has: for a person who looks, from now on.

What must not miss a record is the work of ``SeedLinkReceiver``.
"""

import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from rawdaq import __version__
from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.miniseed.reader import RecordUnreadable, read_record, to_packet
from rawdaq.protocols.seedlink import (
    ClientEvent,
    DataPacket,
    InfoDocument,
    InfoItem,
    InfoReceived,
    InfoRefused,
    Ready,
    RequestRefused,
    SeedLinkClient,
    SeedLinkVersion,
    Selector,
    StationRequest,
    TransferEnded,
)
from rawdaq.protocols.seedlink.info.v3 import read_xml
from rawdaq.protocols.seedlink.info.v4 import read_json
from rawdaq.subscriber.link import LinkReader, ServerLink, ServerSocket, ServerUnreachable

DEFAULT_PORT = 18000

_ADDRESS = re.compile(
    r"seedlink://(?P<host>\[[^\]/]+\]|[^\s/:\[\]]+)(?::(?P<port>\d{1,5}))?(?:/(?P<stations>\S*))?", re.ASCII
)
_STATION = re.compile(r"[A-Za-z0-9*?]{1,8}_[A-Za-z0-9*?-]{1,8}|\*", re.ASCII)
_LIKE = "seedlink://HOST:PORT/NET_STA:SELECT,..."
_REPLY_S = 30.0


@dataclass(frozen=True, slots=True)
class SeedLinkAddress:
    """A server, and what is wanted of it.

    >>> address = SeedLinkAddress.parse("seedlink://192.0.2.7/XX_ABC:00HHZ+HN?,YY_*")
    >>> address.host, address.port, [each.station for each in address.requests]
    ('192.0.2.7', 18000, ['XX_ABC', 'YY_*'])

    Attributes:
        host: where the server is.
        port: its port.
        requests: the stations; none means all.
    """

    host: str
    port: int
    requests: tuple[StationRequest, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that *text* is; several selectors of a station are joined by ``+``.

        Raises:
            InvalidValue: it is no address.
        """
        match = _ADDRESS.fullmatch(text)
        port = int(match["port"] or DEFAULT_PORT) if match else 0
        if match is None or not 1 <= port <= 65535:
            raise InvalidValue(f"{text!r} is not an address like {_LIKE}")
        requests = tuple(_request(part) for part in (match["stations"] or "").split(",") if part)
        return cls(match["host"].strip("[]"), port, requests)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _request(text: str) -> StationRequest:
    station, _, selectors = text.partition(":")
    if not _STATION.fullmatch(station):
        raise InvalidValue(f"{station!r} is not a station like XX_ABC or XX_*; an address is like {_LIKE}")
    return StationRequest(station.upper(), tuple(Selector.parse(each) for each in selectors.split("+") if each))


class SeedLinkLink(ServerLink[ClientEvent]):
    """A connection to a server, for a program that waits.

    Args:
        address: the server.

    Raises:
        ServerUnreachable: there is no connection to it.
    """

    def __init__(self, address: SeedLinkAddress) -> None:
        self._client = SeedLinkClient(agent=f"rawdaq/{__version__}")
        super().__init__(self._client, ServerSocket("SeedLink server", address.host, address.port, address), address)

    @property
    def version(self) -> SeedLinkVersion:
        """What is spoken."""
        return self._client.version

    def request(self, requests: Iterable[StationRequest]) -> None:
        """Ask for stations, or for all; `Ready` must have come.

        Raises:
            LocalProtocolError: the version cannot say it.
        """
        wanted = list(requests)
        if wanted or self.version is SeedLinkVersion.V4:
            self._client.send_requests(wanted or [StationRequest("*")])
        else:
            self._client.send_uni_station(StationRequest("*"))

    def ask(self, item: InfoItem) -> None:
        """Ask what the server has; `Ready` must have come.

        Raises:
            LocalProtocolError: the version has no such item.
        """
        self._client.send_info(item)


class SeedLinkReader(LinkReader[ClientEvent]):
    """Reads what a server sends from now on; ends when the server does.

    Args:
        address: the server and its stations.
        streams: shell-style patterns of ``NET.STA.LOC.CHA``; none means all streams.
        timeout_s: an iteration ends when no packet came for so long; None waits until `close`.
        logger: where refused stations and the end of the connection are logged.

    Raises:
        InvalidValue: a pattern that can name no stream.
    """

    def __init__(
        self,
        address: SeedLinkAddress,
        streams: str | Iterable[str] = (),
        timeout_s: float | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(streams, timeout_s, logger)
        self.address = address

    def _connect(self) -> SeedLinkLink:
        return SeedLinkLink(self.address)

    def _take(self, event: ClientEvent) -> None:
        match event:
            case DataPacket():
                self._take_record(event)
            case Ready() if isinstance(self._link, SeedLinkLink):
                self._link.request(self.address.requests)
            case RequestRefused():
                self._log.warning("the server refuses %s: %r to %s", event.station, event.answer, event.command)
            case TransferEnded():
                self.has_ended = True
            case _:
                return

    def _take_record(self, record: DataPacket) -> None:
        self.size_bytes += len(record.payload)
        try:
            packet = to_packet(*read_record(record.payload), time.time_ns())
        except (RecordUnreadable, InvalidValue):
            packet = None
        if (selected := self._selected(packet)) is not None:
            self._queue.append(selected)


def ask(address: SeedLinkAddress, item: InfoItem) -> tuple[InfoDocument, str]:
    """Return what a server says to INFO, as a value and as it came.

    Raises:
        RawdaqError: there is no server, or it does not answer.
    """
    link = SeedLinkLink(address)
    try:
        end_s = time.monotonic() + _REPLY_S
        while (left_s := end_s - time.monotonic()) > 0:
            for event in link.read(left_s):
                match event:
                    case Ready():
                        link.ask(item)
                    case InfoReceived(text=text):
                        read = read_json if link.version is SeedLinkVersion.V4 else read_xml
                        document = read(text)
                        if event.is_error:
                            raise _refused(address, item, document.error)
                        return document, text.decode("utf-8", "replace")
                    case InfoRefused(answer=answer):
                        raise _refused(address, item, ("", answer))
                    case _:
                        continue
        raise ServerUnreachable(f"{address} does not answer INFO {item} within {_REPLY_S:g} s")
    finally:
        link.close()


def _refused(address: SeedLinkAddress, item: InfoItem, error: tuple[str, str] | None) -> RawdaqError:
    reason = " ".join(filter(None, error)) if error else "it does not know that"
    return ServerUnreachable(f"{address} does not answer INFO {item}: {reason}")
