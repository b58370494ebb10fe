"""An ISI server read like a live stream, and asked for what it has: for a person who looks, from now on.

What must not miss a packet is the work of ``ISIReceiver``.
"""

import logging
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from rawdaq.errors import InvalidValue
from rawdaq.protocols.isi import (
    Accepted,
    ClientEvent,
    DataRequest,
    Ended,
    Entry,
    IsiClient,
    IsiName,
    IsiPacket,
    NameInvalid,
    Report,
    StreamConfiguration,
    StreamHealth,
    Unreadable,
    Window,
)
from rawdaq.protocols.isi.waveform import stream_of, waveform_of
from rawdaq.stream_id import StreamId
from rawdaq.subscriber.link import LinkReader, ServerLink, ServerSocket, ServerUnreachable

DEFAULT_PORT = 39136

_ADDRESS = re.compile(
    r"isi://(?P<host>\[[^\]/]+\]|[^\s/:\[\]]+)(?::(?P<port>\d{1,5}))?(?:/(?:(?P<network>\w+)/)?(?P<streams>[^\s/]*))?",
    re.ASCII,
)
_LIKE = "isi://HOST:PORT/NET/STA.CHN.LOC,..."
_NETWORK = "XX"  # where none is given
_ALL = (IsiName("*", "*", "*"),)
_REPLY_S = 30.0


@dataclass(frozen=True, slots=True)
class IsiAddress:
    """A server, and what is wanted of it.

    >>> address = IsiAddress.parse("isi://192.0.2.7/II/aak.bhz.00,*.lhz.*")
    >>> address.host, address.port, address.network, [str(name) for name in address.names]
    ('192.0.2.7', 39136, 'II', ['aak.bhz.00', '*.lhz.*'])

    Attributes:
        host: where the server is.
        port: its port.
        network: of its streams, for ISI knows none.
        names: of streams, as the server writes them.
    """

    host: str
    port: int
    network: str = _NETWORK
    names: tuple[IsiName, ...] = _ALL

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that *text* is.

        Raises:
            InvalidValue: it is no address.
        """
        match = _ADDRESS.fullmatch(text)
        port = int(match["port"] or DEFAULT_PORT) if match else 0
        if match is None or not 1 <= port <= 65535:
            raise InvalidValue(f"{text!r} is not an address like {_LIKE}")
        try:
            names = tuple(IsiName.parse(each) for each in (match["streams"] or "").split(",") if each)
        except NameInvalid as error:
            raise InvalidValue(f"{error}; an address is like {_LIKE}") from error
        network = StreamId(match["network"] or _NETWORK, "A", "", "HHZ").network
        return cls(match["host"].strip("[]"), port, network, names or _ALL)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class IsiLink(ServerLink[ClientEvent]):
    """A connection to a server with one request, for a program that waits.

    Args:
        address: the server.
        request: what is wanted of it.

    Raises:
        ServerUnreachable: there is no connection to it.
    """

    def __init__(self, address: IsiAddress, request: DataRequest | Report) -> None:
        client = IsiClient()
        if isinstance(request, Report):
            client.send_report_request(request)
        else:
            client.send_data_request(request)
        super().__init__(client, ServerSocket("ISI server", address.host, address.port, address), address)
        self._is_ready = False  # whether the handshake was answered
        self._answers_until_s = time.monotonic() + _REPLY_S

    def read(self, timeout_s: float) -> Iterator[ClientEvent]:
        """Yield what comes within *timeout_s*, at the first sign of anything.

        Raises:
            ProtocolError: the server broke the protocol, or refuses the request.
            ServerUnreachable: the connection has ended, or the server does not answer the handshake.
        """
        if not self._is_ready:
            timeout_s = min(timeout_s, max(0.0, self._answers_until_s - time.monotonic()))
        for event in super().read(timeout_s):
            self._is_ready = True
            yield event
        if not self._is_ready and time.monotonic() >= self._answers_until_s:
            raise ServerUnreachable(f"{self._address} does not answer within {_REPLY_S:g} s: is it an ISI server?")


class IsiReader(LinkReader[ClientEvent]):
    """Reads what a server sends from now on; ends when the server does.

    Args:
        address: the server and its streams.
        streams: shell-style patterns of ``NET.STA.LOC.CHA``; none means all streams.
        timeout_s: an iteration ends when no packet came for so long; None waits until `close`.
        logger: where the end of the connection is logged.

    Raises:
        InvalidValue: a pattern that can name no stream.
    """

    def __init__(
        self,
        address: IsiAddress,
        streams: str | Iterable[str] = (),
        timeout_s: float | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(streams, timeout_s, logger)
        self.address = address

    def _connect(self) -> IsiLink:
        return IsiLink(self.address, DataRequest(tuple(map(Window, self.address.names))))

    def _take(self, event: ClientEvent) -> None:
        match event:
            case IsiPacket():
                self._take_packet(event)
            case Unreadable():
                self._unusable += 1
            case Accepted(windows) if not windows:
                self.has_ended = True
                self._log.warning("%s has no stream %s", self.address, " or ".join(map(str, self.address.names)))
            case Ended() if not self.has_ended:
                self.has_ended = True
                self._log.warning("%s ended the connection: %s", self.address, event)
            case _:
                return

    def _take_packet(self, packet: IsiPacket) -> None:
        self.size_bytes += packet.samples.nbytes
        try:
            made = waveform_of(packet, stream_of(packet.name, self.address.network), time.time_ns())
        except InvalidValue:
            made = None
        if (selected := self._selected(made)) is not None:
            self._queue.append(selected)


def ask(address: IsiAddress, report: Report) -> list[Entry]:
    """Return what a server says in a report.

    Raises:
        RawdaqError: there is no server, or it does not answer.
    """
    link = IsiLink(address, report)
    entries: list[Entry] = []
    try:
        end_s = time.monotonic() + _REPLY_S
        while (left_s := end_s - time.monotonic()) > 0:
            for event in link.read(left_s):
                match event:
                    case StreamHealth() | StreamConfiguration() | str():
                        entries.append(event)
                        end_s = time.monotonic() + _REPLY_S
                    case Ended():
                        return entries
                    case _:
                        continue
        raise ServerUnreachable(f"{address} does not answer within {_REPLY_S:g} s")
    finally:
        link.close()
