"""`SeedLinkServer`: commands in, requests out; packets and answers in, bytes out."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.protocols.elided import elided
from rawdaq.protocols.seedlink.errors import SeedLinkCut, TooMuchAhead
from rawdaq.protocols.seedlink.info.values import ConnectionDescription, StationDescription, selected_stations
from rawdaq.protocols.seedlink.lines import CommandReader
from rawdaq.protocols.seedlink.packets import DataPacket, encode_packet
from rawdaq.protocols.seedlink.server.answers import Answers, TextRecords
from rawdaq.protocols.seedlink.server.conversation import Conversation
from rawdaq.protocols.seedlink.server.events import (
    QUESTIONS,
    AuthRequested,
    CatalogRequested,
    InfoRequested,
    Question,
    ServerEvent,
)
from rawdaq.protocols.seedlink.words import (
    END,
    LINE_END,
    OK,
    Refusal,
    SeedLinkVersion,
    ServerIdentity,
    error_reply,
    one_line,
)

#: Commands that may wait behind a question to the program: a whole handshake of version 4 that was sent at once.
MAX_AHEAD_BYTES = 1 << 20

Q = TypeVar("Q", AuthRequested, InfoRequested, CatalogRequested)


class SeedLinkServer:
    """Talks to one client, in the version that it chooses.

    The events `AuthRequested`, `InfoRequested` and `CatalogRequested` are questions. Commands behind one wait until it
    is answered, so that replies keep their order. Answer while the events are iterated, or later and then call
    ``receive_data(b"")``.

    Args:
        identity: what the server says of itself.
        text_records: packs the text of an INFO answer for clients of version 3.
    """

    def __init__(self, identity: ServerIdentity, text_records: TextRecords) -> None:
        self._answers = Answers(identity, text_records)
        self._talk = Conversation(identity, self._answers)
        self._lines = CommandReader()
        self._ahead = b""
        self._question: Question | None = None
        self._has_ended = False
        self._error: RemoteProtocolError | None = None

    @property
    def version(self) -> SeedLinkVersion:
        """What the client speaks; version 3 unless it asked for another one."""
        return self._talk.version

    @property
    def is_transferring(self) -> bool:
        """Whether packets may be sent."""
        return self._talk.is_transferring and not self._has_ended and not self._talk.is_closed

    @property
    def is_waiting(self) -> bool:
        """Whether a question is not answered yet; read no more from the client meanwhile."""
        return self._question is not None

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of a line that is not whole yet, and of commands that wait behind a question."""
        return len(self._lines.held) + len(self._ahead)

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now, once."""
        return b"".join(self.messages_to_send())

    def messages_to_send(self) -> list[bytes]:
        """Return the same as `data_to_send`, each reply and each packet by itself, as WebSocket carries them."""
        messages = self._talk.replies[:]
        self._talk.replies.clear()
        return messages

    def receive_data(self, data: bytes | bytearray | memoryview) -> Iterator[ServerEvent]:
        """Yield what *data* completes, to be taken to the end before the next call; replies queue up.

        Raises:
            RemoteProtocolError: the client broke the protocol, now or in an earlier call.
        """
        if self._error is not None:
            raise self._error
        chunk, position = self._ahead + bytes(data), 0
        self._ahead = b""
        try:
            while not (self.is_waiting or self._talk.is_closed):
                line, position = self._lines.take(chunk, position)
                if line is None:
                    return
                event = self._talk.take(line)
                if isinstance(event, QUESTIONS):
                    self._question = event
                if event is not None:
                    yield event
            self._keep(chunk[position:])
        except RemoteProtocolError as error:
            self._error = error
            raise

    def _keep(self, rest: bytes) -> None:
        """Keep commands behind a question; what follows BYE has no meaning."""
        if self._talk.is_closed:
            return
        if len(rest) > MAX_AHEAD_BYTES:
            raise TooMuchAhead(len(rest), MAX_AHEAD_BYTES)
        self._ahead = rest

    def receive_eof(self) -> None:
        """Take note that the client closed; between two commands that is no error.

        Raises:
            SeedLinkCut: it closed in the middle of a command.
        """
        if self._error is None and self._lines.held and not self._talk.is_closed:
            self._error = SeedLinkCut(f"in the middle of the command '{elided(self._lines.held)}'")
        if self._error is not None:
            raise self._error

    # ------------------------------------------------------------------ what the program sends

    def send_packet(self, packet: DataPacket) -> None:
        """Queue a packet.

        Raises:
            LocalProtocolError: the client does not wait for packets, or its version cannot say this one.
        """
        if not self.is_transferring:
            raise LocalProtocolError("packets are sent between TransferRequested and END")
        self._talk.replies.append(encode_packet(packet, self.version))

    def send_end(self) -> None:
        """Queue the end of a dial-up transfer or a time window; the client may still ask for INFO.

        Raises:
            LocalProtocolError: nothing is being transferred.
        """
        if not self.is_transferring:
            raise LocalProtocolError("there is no transfer to end")
        self._has_ended = True
        self._talk.replies.append(END)

    def send_auth(self, refusal: Refusal | None = None) -> None:
        """Answer `AuthRequested`: the client is who it says it is, or it is refused.

        Raises:
            LocalProtocolError: the client did not ask.
        """
        self._asked(AuthRequested)
        self._question = None
        self._talk.reply(OK if refusal is None else error_reply(self.version, refusal))

    def send_info(
        self,
        stations: Iterable[StationDescription] = (),
        connections: Iterable[ConnectionDescription] = (),
        now_ns: int = 0,
    ) -> None:
        """Answer `InfoRequested`.

        Args:
            stations: all that there are, for STATIONS, STREAMS, GAPS and ALL; those that were not asked for are left
                out here.
            connections: the clients, for CONNECTIONS and ALL.
            now_ns: the time at which it is asked, for rates of connections.

        Raises:
            LocalProtocolError: the client did not ask, or the answer is longer than any client reads.
        """
        asked = self._asked(InfoRequested)
        chosen = selected_stations(stations, asked.station, asked.stream)
        document = replace(self._answers.document(self.version), stations=chosen, connections=tuple(connections))
        self._answer(self._answers.packets(self.version, asked.item, document, now_ns))

    def send_info_error(self, refusal: Refusal) -> None:
        """Answer `InfoRequested` by a refusal, such as CONNECTIONS to a stranger.

        Raises:
            LocalProtocolError: the client did not ask.
        """
        self._asked(InfoRequested)
        self._answer(self._answers.error(self.version, refusal))

    def send_catalog(self, stations: Iterable[StationDescription]) -> None:
        """Answer `CatalogRequested`.

        Raises:
            LocalProtocolError: the client did not ask.
        """
        self._asked(CatalogRequested)
        lines = [f"{each.network:<2} {each.station:<5} {one_line(each.description)}" for each in stations]
        self._answer([LINE_END.join(line.encode() for line in [*lines, "END"]) + LINE_END])

    def _asked(self, kind: type[Q]) -> Q:
        """Return the question that is to be answered now.

        Raises:
            LocalProtocolError: there is none of this kind.
        """
        if not isinstance(self._question, kind):
            raise LocalProtocolError(f"there is no {kind.__name__} to answer")
        return self._question

    def _answer(self, messages: Iterable[bytes]) -> None:
        self._talk.replies += list(messages)  # all of them, or none
        self._question = None
