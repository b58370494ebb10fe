"""One connection to a SeedLink server: feed the codec, take its events, flush, dispatch."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rawdaq import __version__
from rawdaq.errors import RawdaqError, RemoteProtocolError, error_text
from rawdaq.protocols.seedlink import (
    ClientEvent,
    DataPacket,
    Hello,
    InfoDocument,
    InfoItem,
    InfoReceived,
    InfoRefused,
    Ready,
    RequestRefused,
    SeedLinkClient,
    SeedLinkVersion,
    Streaming,
    TransferEnded,
)
from rawdaq.protocols.seedlink.info.v3 import read_xml
from rawdaq.protocols.seedlink.info.v4 import read_json
from rawdaq.receivers.seedlink.feed import Feed
from rawdaq.sockets.dial_endpoint import DialledProtocol

#: How long a server may take for one reply.
_REPLY_TIMEOUT_S = 30.0
#: Stations that were refused are asked for again after so long.
_ASK_AGAIN_S = 600.0


@error_text("the server ended the connection")
class ServerClosed(RawdaqError):
    """The server closed the connection, or ended a transfer that has no end."""


@dataclass(eq=False, repr=False)
class AskingAgain(RawdaqError):
    """The connection is made again because the server refused stations."""

    stations: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.stations) - 5} more" if len(self.stations) > 5 else ""
        return f"asking again for what the server refused: {', '.join(self.stations[:5])}{more}"


class Owner(Protocol):
    """What a connection needs of its receiver.

    Attributes:
        version: what to speak; None leaves that to the server.
        feed: what to ask for.
        timeout_s: silence after which the connection is given up.
        keep_alive_s: silence after which the server is asked whether it is there.
    """

    version: SeedLinkVersion | None
    feed: Feed
    timeout_s: float
    keep_alive_s: float

    def agree(self, version: SeedLinkVersion, hello: Hello) -> None:
        """Take note of what the server is."""

    def refuse(self, refused: RequestRefused) -> None:
        """Take note that the server refused a command."""

    def begin(self, refused: Sequence[str]) -> None:
        """Take note that packets follow."""

    def take(self, packets: Sequence[DataPacket], received_ns: int) -> RawdaqError | None:
        """Publish packets; return why the connection must be made again, if so."""


class SeedLinkConnection(DialledProtocol):
    """One connection."""

    def __init__(self, receiver: Owner) -> None:
        super().__init__(min(receiver.timeout_s or _REPLY_TIMEOUT_S, _REPLY_TIMEOUT_S))
        self._receiver = receiver
        self._client = SeedLinkClient(receiver.version, agent=f"rawdaq/{__version__}")
        self._unanswered: set[InfoItem] = set()
        self._answers: dict[InfoItem, InfoDocument] = {}
        self._keep_alive_timer: asyncio.TimerHandle | None = None
        self._ask_again_timer: asyncio.TimerHandle | None = None

    def connected(self) -> None:
        """Say HELLO."""
        self._flush()

    def received(self, chunk: bytes | memoryview) -> None:
        """Publish what is whole, also when something wrong follows it."""
        received_ns = time.time_ns()
        packets: list[DataPacket] = []
        failure: Exception | None = None
        try:
            for event in self._client.receive_data(chunk):
                if isinstance(event, DataPacket):
                    packets.append(event)
                elif (failure := self._take(event)) is not None:
                    break
        except RawdaqError as error:
            failure = error
        if packets:
            failure = self._publish(packets, received_ns) or failure
        if failure is not None:
            self.fail(failure)
        else:
            self._flush()

    def _publish(self, packets: Sequence[DataPacket], received_ns: int) -> RawdaqError | None:
        self.is_useful = True
        again = self._receiver.take(packets, received_ns)
        self.redial_at_once = again is not None
        return again

    def ended(self) -> None:
        """Report what is missing when the server closed in the middle of something."""
        try:
            self._client.receive_eof()
        except RemoteProtocolError as error:
            self.fail(error)
        else:
            self.fail(ServerClosed())

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        for timer in (self._keep_alive_timer, self._ask_again_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _flush(self) -> None:
        if data := self._client.data_to_send():
            self.transport.write(data)

    def _take(self, event: ClientEvent) -> Exception | None:
        """Take one event; return why the connection ends, if it does."""
        match event:
            case Ready(version, hello):
                self._receiver.agree(version, hello)
                self._ask(InfoItem.ID)
                if version is SeedLinkVersion.V3 and self._receiver.feed.wanted.has_wildcards:
                    self._ask(InfoItem.STATIONS)
            case InfoReceived() | InfoRefused():
                self._take_answer(event)
            case RequestRefused():
                self._receiver.refuse(event)
            case Streaming(refused):
                self._begin(refused)
            case TransferEnded():
                return ServerClosed()
            case _:
                raise AssertionError(event)
        return None

    def _ask(self, item: InfoItem) -> None:
        self._unanswered.add(item)
        self._client.send_info(item)

    def _take_answer(self, event: InfoReceived | InfoRefused) -> None:
        """Take note of an answer; when it was the last one, ask for stations."""
        if event.item is None or event.item not in self._unanswered:  # of a keep-alive
            self._receiver.feed.note_contact(time.time_ns())
            return
        if isinstance(event, InfoReceived) and not event.is_error:
            read = read_json if self._client.version is SeedLinkVersion.V4 else read_xml
            self._answers[event.item] = read(event.text)
        self._unanswered.discard(event.item)
        if not self._unanswered:
            identity, stations = (self._answers.get(item) for item in (InfoItem.ID, InfoItem.STATIONS))
            started_ns = identity.started_ns if identity else None
            known = [each.station_id for each in stations.stations] if stations else []
            self._client.send_requests(self._receiver.feed.begin(self._client.version, started_ns, known))

    def _begin(self, refused: tuple[str, ...]) -> None:
        """Take note that packets follow: from now on silence is not a matter of one reply."""
        self.timeout_s = self._receiver.timeout_s
        self._receiver.begin(refused)
        if self._receiver.keep_alive_s:
            self._keep_alive_timer = self._loop.call_later(self._receiver.keep_alive_s, self._keep_alive)
        if refused:
            self._ask_again_timer = self._loop.call_later(_ASK_AGAIN_S, self.fail, AskingAgain(refused))

    def _keep_alive(self) -> None:
        """Ask the server who it is when it was silent for too long: it then answers, or is gone."""
        left_s = self._receiver.keep_alive_s - (time.monotonic() - self.last_received_s)
        if left_s <= 0:
            left_s = self._receiver.keep_alive_s
            self._client.send_info(InfoItem.ID)
            self._flush()
        self._keep_alive_timer = self._loop.call_later(left_s, self._keep_alive)
