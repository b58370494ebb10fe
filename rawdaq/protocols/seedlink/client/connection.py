"""`SeedLinkClient`: requests in, bytes out; packets, answers and refusals out of what the server sends."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.protocols.elided import elided
from rawdaq.protocols.seedlink import v3, v4
from rawdaq.protocols.seedlink.client.commands import Command, Commands, LineHandler, StationCommands
from rawdaq.protocols.seedlink.client.events import (
    ClientEvent,
    InfoReceived,
    InfoRefused,
    Ready,
    RequestRefused,
    Streaming,
)
from rawdaq.protocols.seedlink.client.negotiation import Negotiation, is_ok
from rawdaq.protocols.seedlink.client.packets import PacketReader
from rawdaq.protocols.seedlink.errors import ReplyWrong, SeedLinkCut, StationsRefused
from rawdaq.protocols.seedlink.info.values import ITEMS, InfoItem
from rawdaq.protocols.seedlink.lines import find_reply
from rawdaq.protocols.seedlink.requests import StationRequest
from rawdaq.protocols.seedlink.words import LINE_END, Credentials, Hello, SeedLinkVersion, Word

#: INFO commands of which we remember what they asked for; ringserver leaves some unanswered while it sends packets.
MAX_UNANSWERED = 16


class SeedLinkClient:
    """Talks to one server: agrees on a version, asks for stations, reads packets.

    After `Ready`, `send_requests` asks for stations and `send_info` for what the server knows. In version 3 each
    command waits for the reply to the one before it, as SeisComP's server keeps only one; in version 4, and where the
    server takes BATCH, all leave at once.

    Args:
        version: what to speak; by default version 4 where the server has it.
        agent: name and version of our program.
        credentials: who we are; version 3 cannot say it.
        is_batch: ask a server of version 3 to send no replies. A handshake then costs one round trip, but what the
            server refuses stays unknown.
    """

    def __init__(
        self,
        version: SeedLinkVersion | None = None,
        *,
        agent: str = "rawdaq",
        credentials: Credentials | None = None,
        is_batch: bool = False,
    ) -> None:
        self._commands = Commands()
        self._events: deque[ClientEvent] = deque()
        agent = "-".join(agent.split()) or "rawdaq"
        self._negotiation = Negotiation(version, agent, credentials, is_batch, self._commands, self._events)
        self._out = bytearray(self._commands.take())
        self._held = bytearray()
        self._position = 0  # of what is read next in it
        self._packets = PacketReader()
        self._is_ready = False
        self._has_requested = False
        self._is_streaming = False
        self._stations: list[StationCommands] = []
        self._last_refusal = ""
        self._error: RemoteProtocolError | None = None

    @property
    def version(self) -> SeedLinkVersion:
        """What is spoken; final once `Ready` has come."""
        return self._negotiation.version

    @property
    def hello(self) -> Hello | None:
        """What the server said of itself, None as long as it has not."""
        return self._negotiation.hello

    @property
    def is_streaming(self) -> bool:
        """Whether packets may come."""
        return self._is_streaming

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of a reply, a packet or an INFO answer that is not whole yet."""
        return len(self._held) - self._position + self._packets.info_bytes

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now, once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    # ------------------------------------------------------------------ what the server sends

    def receive_data(self, data: bytes | bytearray | memoryview) -> Iterator[ClientEvent]:
        """Yield what *data* completes, to be taken to the end before the next call; further commands queue up.

        Raises:
            RemoteProtocolError: the server broke the protocol, or refused what cannot be done without, now or in an
                earlier call.
        """
        if self._error is not None:
            raise self._error
        self._held += data
        while True:
            while self._events:
                yield self._events.popleft()
            if self._error is not None:
                raise self._error
            if not self._advance():
                return

    def _advance(self) -> bool:
        """Read one reply or packet, or find an error; return False when there is nothing whole to read."""
        try:
            end = self._step(self._position)
        except RemoteProtocolError as error:
            self._error = error
            return True
        if end is None:
            del self._held[: self._position]
        self._position = end or 0
        return end is not None

    def _step(self, position: int) -> int | None:
        """Read what begins at *position*; return where it ends, None when it is not all here."""
        expected = self._commands.expected
        if expected and not isinstance(expected[0], InfoItem):
            return self._read_reply(position, expected[0])
        if expected or self._is_streaming:
            return self._read_packet(position)
        if position < len(self._held):
            raise ReplyWrong(elided(self._held[position:]), "nothing")
        return None

    def _read_reply(self, position: int, handle: LineHandler) -> int | None:
        end = find_reply(self._held, position)
        if end is None:
            return None
        self._commands.expected.popleft()
        handle(bytes(self._held[position:end]))
        self._go_on()
        return end + len(LINE_END)

    def _read_packet(self, position: int) -> int | None:
        found = self._packets.read(self._held, position, self.version)
        if found is None:
            return None
        event, end = found
        if isinstance(event, InfoReceived | InfoRefused):
            event = replace(event, item=self._answered_item())
            self._go_on()
        if event is not None:
            self._events.append(event)
        return end

    def _answered_item(self) -> InfoItem | None:
        """Return what was asked first of what is not answered yet."""
        item = self._commands.expected.popleft() if self._commands.expected else None
        return item if isinstance(item, InfoItem) else None

    def _go_on(self) -> None:
        """Send what waited for an answer."""
        self._out += self._commands.take()
        if self.hello is not None and not self._is_ready and self._commands.is_idle:
            self._is_ready = True
            self._events.append(Ready(self.version, self.hello))

    def receive_eof(self) -> None:
        """Take note that the server closed; between two packets that is no error.

        Raises:
            SeedLinkCut: it closed during the handshake, or in the middle of something.
        """
        if self._error is None:
            self._error = self._cut()
        if self._error is not None:
            raise self._error

    def _cut(self) -> RemoteProtocolError | None:
        if self.buffered_bytes:
            return SeedLinkCut(f"in the middle of something, {self.buffered_bytes} bytes of it are there")
        if self.hello is None:
            return SeedLinkCut("without answering HELLO: is it a SeedLink server?")
        return None if self._is_streaming else SeedLinkCut("before it sent packets")

    # ------------------------------------------------------------------ what we ask for

    def send_requests(self, requests: Sequence[StationRequest]) -> None:
        """Ask for stations; `RequestRefused` says what the server does not have, then comes `Streaming`.

        Raises:
            LocalProtocolError: not after `Ready`, for the second time, no station, or what the version cannot say.
        """
        kinds = {request.is_dial_up for request in requests}
        if len(kinds) != 1:
            raise LocalProtocolError("a connection has requests, all for what is stored or all for packets to come")
        is_v4 = self.version is SeedLinkVersion.V4
        commands: list[Command] = []
        stations: list[StationCommands] = []
        for request in requests:
            stations.append(StationCommands(request.station, len(request.selectors)))
            lines = v4.request_lines(request) if is_v4 else v3.request_lines(request)
            commands += [self._command(stations[-1], line) for line in lines]
        end = Word.ENDFETCH if is_v4 and kinds == {True} else Word.END
        self._request(stations, commands, Command(end, is_last=True, on_sent=self._begin_streaming))

    def send_uni_station(self, request: StationRequest) -> None:
        """Ask a server of version 3 for its first, or only, station, without naming it.

        Raises:
            LocalProtocolError: not after `Ready`, for the second time, or what version 3 cannot say.
        """
        if self.version is SeedLinkVersion.V4:
            raise LocalProtocolError("SeedLink 4 has no uni-station mode: name a station")
        station = StationCommands(request.station, len(request.selectors))
        *selecting, start = v3.selecting_lines(request)
        commands = [self._command(station, line) for line in selecting]
        self._request([station], commands, Command(start, is_last=True, on_sent=self._begin_streaming))

    def _request(self, stations: Sequence[StationCommands], commands: Sequence[Command], last: Command) -> None:
        if not self._is_ready or self._has_requested:
            raise LocalProtocolError("stations are asked for once, after Ready")
        self._has_requested = True
        self._stations = list(stations)
        self._say(*commands, last)

    def send_info(self, item: InfoItem, station: str = "", stream: str = "") -> None:
        """Ask for *item*: `InfoReceived` or `InfoRefused` answers, or, from some servers, nothing does.

        Args:
            item: what to ask for.
            station: pattern of stations, only in version 4.
            stream: pattern of their streams, only with *station*.

        Raises:
            LocalProtocolError: not after `Ready`, or what the version cannot say.
        """
        words = [word for word in (station, stream) if word]
        if not self._is_ready or item not in ITEMS[self.version]:
            raise LocalProtocolError(f"INFO {item} cannot be asked for now, or not in SeedLink {self.version}")
        if (words and self.version is SeedLinkVersion.V3) or (stream and not station):
            raise LocalProtocolError("INFO takes a station, and a stream of it, only in SeedLink 4")
        if self._is_streaming and len(self._commands.expected) >= MAX_UNANSWERED:
            self._commands.expected.popleft()
        self._say(Command(" ".join([Word.INFO, item, *words]), [item]))

    def send_bye(self) -> None:
        """Queue the end of the conversation, at which the server closes."""
        self._say(Command(Word.BYE))

    def _say(self, *commands: Command) -> None:
        self._commands.add(commands)
        self._out += self._commands.take()

    def _command(self, station: StationCommands, line: str) -> Command:
        """Return a command that asks for a station; when it is refused, that is an event."""

        def handle(reply: bytes) -> None:
            if not is_ok(reply):
                self._last_refusal = elided(reply)
                station.refuse(line)
                self._events.append(RequestRefused(station.station, line, self._last_refusal))

        return Command(line, [handle], station)

    def _begin_streaming(self) -> None:
        refused = tuple(each.station for each in self._stations if each.is_refused)
        if len(refused) == len(self._stations):
            raise StationsRefused(refused, self._last_refusal)
        self._is_streaming = True
        self._commands.is_pipelined = True  # not every server answers each INFO now
        self._events.append(Streaming(refused))
