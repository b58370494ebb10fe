"""What the server answers to each word."""

from collections.abc import Callable, Sequence
from typing import Final

from rawdaq.protocols.elided import elided
from rawdaq.protocols.seedlink.info.values import ITEMS, InfoItem
from rawdaq.protocols.seedlink.lines import CommandLine
from rawdaq.protocols.seedlink.selectors import NATIVE
from rawdaq.protocols.seedlink.server.answers import Answers
from rawdaq.protocols.seedlink.server.events import (
    AgentNamed,
    AuthRequested,
    CatalogRequested,
    CommandRefused,
    Goodbye,
    InfoRequested,
    ServerEvent,
    TransferRequested,
    VersionChosen,
)
from rawdaq.protocols.seedlink.server.handshake import HandshakeV3, HandshakeV4
from rawdaq.protocols.seedlink.words import (
    OK,
    Credentials,
    ErrorCode,
    Refusal,
    SeedLinkVersion,
    ServerIdentity,
    Word,
    error_reply,
)

#: What belongs in a log of a command whose arguments are secret.
_SECRET: Final = (Word.AUTH,)
_IN_TRANSFER: Final = (Word.INFO, Word.BYE)

_Handler = Callable[[Sequence[str]], ServerEvent | None]


class Conversation:
    """The state of one client's connection, moved by its commands.

    Attributes:
        version: what the client speaks.
        replies: what is to be sent, one element for each reply or packet.
        is_transferring: whether the handshake is over.
        is_closed: whether the client said BYE.
    """

    def __init__(self, identity: ServerIdentity, answers: Answers) -> None:
        self.version = SeedLinkVersion.V3
        self.replies: list[bytes] = []
        self.is_transferring = False
        self.is_closed = False
        self._identity = identity
        self._answers = answers
        self._v3 = HandshakeV3((NATIVE,))
        self._v4 = HandshakeV4([name for name, _ in identity.filters])
        self._is_quiet = False  # after BATCH
        self._is_extended = False  # after CAPABILITIES EXTREPLY
        both: dict[Word, _Handler] = {
            Word.HELLO: self._hello,
            Word.SLPROTO: self._slproto,
            Word.USERAGENT: self._useragent,
            Word.INFO: self._info,
            Word.END: self._end,
            Word.BYE: self._bye,
        }
        self._handlers: dict[SeedLinkVersion, dict[Word, _Handler]] = {
            SeedLinkVersion.V3: both
            | {
                Word.STATION: self._accepted(self._v3.station),
                Word.SELECT: self._accepted(self._v3.select),
                Word.DATA: self._starting(self._v3.data),
                Word.FETCH: self._starting(self._v3.fetch),
                Word.TIME: self._starting(self._v3.time),
                Word.BATCH: self._batch,
                Word.CAT: self._cat,
                Word.CAPABILITIES: self._capabilities,
            },
            SeedLinkVersion.V4: both
            | {
                Word.STATION: self._accepted(self._v4.station),
                Word.SELECT: self._accepted(self._v4.select),
                Word.DATA: self._accepted(self._v4.data),
                Word.ENDFETCH: self._endfetch,
                Word.AUTH: self._auth,
            },
        }

    def take(self, line: CommandLine) -> ServerEvent | None:
        """Answer one command; return what it means to the program."""
        word, *arguments = line.text.decode("ascii", "replace").split() or [""]
        word = word.upper()
        if not word:  # a line of blanks
            return None
        try:
            return self._handler(word, line)(arguments)
        except Refusal as refusal:
            self._refuse(word, refusal)
            shown = word if word in _SECRET else elided(line.text)
            return CommandRefused(shown, refusal)

    def _handler(self, word: str, line: CommandLine) -> _Handler:
        if self.is_transferring and word not in _IN_TRANSFER:
            raise Refusal(ErrorCode.UNEXPECTED, "packets are being sent")
        if not line.is_whole:
            raise Refusal(ErrorCode.LIMIT, "the line is too long")
        handler = self._handlers[self.version].get(Word(word)) if word in Word.__members__ else None
        if handler is None:
            raise Refusal(ErrorCode.UNSUPPORTED, f"SeedLink {self.version} has no such command")
        return handler

    def _refuse(self, word: str, refusal: Refusal) -> None:
        if word == Word.INFO:
            self.replies += self._answers.error(self.version, refusal)
        elif word == Word.SLPROTO:
            # In the words of version 4: a client of it that asks without HELLO does not know the others.
            self.reply(error_reply(SeedLinkVersion.V4, refusal))
        elif not self.is_transferring:  # where a line would stand in the middle of the packets
            self.reply(error_reply(self.version, refusal, is_extended=self._is_extended))

    def reply(self, reply: bytes) -> None:
        """Queue a reply, unless the client wants none."""
        if not self._is_quiet:
            self.replies.append(reply)

    # ------------------------------------------------------------------ words of both versions

    def _hello(self, arguments: Sequence[str]) -> None:
        self.replies.append(self._identity.hello.encode())

    def _slproto(self, arguments: Sequence[str]) -> ServerEvent:
        if self._v3.has_begun or self._v4.has_begun:
            raise Refusal(ErrorCode.UNEXPECTED, "SLPROTO comes before the first station")
        if list(arguments) not in (["3.0"], ["3.1"], ["4.0"]):
            raise Refusal(ErrorCode.UNSUPPORTED, "versions are 3.1 and 4.0")
        self.version = SeedLinkVersion.V4 if arguments[0] == "4.0" else SeedLinkVersion.V3
        self.reply(OK)
        return VersionChosen(self.version)

    def _useragent(self, arguments: Sequence[str]) -> ServerEvent:
        self.reply(OK)
        return AgentNamed(" ".join(arguments))

    def _info(self, arguments: Sequence[str]) -> ServerEvent | None:
        name = arguments[0].upper() if arguments else ""
        item = InfoItem(name) if name in InfoItem.__members__ else None
        if item is None or item not in ITEMS[self.version]:
            raise Refusal(ErrorCode.ARGUMENTS, f"INFO has {', '.join(sorted(ITEMS[self.version]))}")
        if len(arguments) > (3 if self.version is SeedLinkVersion.V4 else 1):
            raise Refusal(ErrorCode.ARGUMENTS, "INFO has too many arguments")
        if item in (InfoItem.ID, InfoItem.CAPABILITIES, InfoItem.FORMATS):
            self.replies += self._answers.packets(self.version, item, self._answers.document(self.version))
            return None
        return InfoRequested(item, *(pattern.upper() for pattern in arguments[1:]))

    def _end(self, arguments: Sequence[str]) -> ServerEvent:
        self._is_quiet = False
        self.is_transferring = True
        if self.version is SeedLinkVersion.V4:
            return TransferRequested(self._v4.requests(), is_dial_up=False)
        return TransferRequested(self._v3.requests(), self._v3.is_dial_up)

    def _bye(self, arguments: Sequence[str]) -> ServerEvent:
        self.is_closed = True
        return Goodbye()

    def _accepted(self, take: Callable[[Sequence[str]], None]) -> _Handler:
        def handler(arguments: Sequence[str]) -> None:
            take(arguments)
            self.reply(OK)

        return handler

    # ------------------------------------------------------------------ words of version 3

    def _starting(self, take: Callable[[Sequence[str]], None]) -> _Handler:
        """Return what handles a word that starts a station; without a station it starts the transfer, unanswered."""

        def handler(arguments: Sequence[str]) -> ServerEvent | None:
            take(arguments)
            if self._v3.is_multi_station:
                self.reply(OK)
                return None
            self.is_transferring = True
            return TransferRequested(self._v3.requests(), self._v3.is_dial_up, is_multi_station=False)

        return handler

    def _batch(self, arguments: Sequence[str]) -> None:
        self.reply(OK)
        self._is_quiet = True

    def _cat(self, arguments: Sequence[str]) -> ServerEvent:
        return CatalogRequested()

    def _capabilities(self, arguments: Sequence[str]) -> None:
        if [each.upper() for each in arguments] != ["EXTREPLY"]:
            raise Refusal(ErrorCode.UNSUPPORTED, "the only capability is EXTREPLY")
        self._is_extended = True
        self.reply(OK)

    # ------------------------------------------------------------------ words of version 4

    def _endfetch(self, arguments: Sequence[str]) -> ServerEvent:
        self.is_transferring = True
        return TransferRequested(self._v4.requests(is_dial_up=True), is_dial_up=True)

    def _auth(self, arguments: Sequence[str]) -> ServerEvent:
        name, *credentials = arguments or [""]
        method = next((each for each in self._identity.auth_methods if each == name.upper()), None)
        if method is None:
            raise Refusal(ErrorCode.UNSUPPORTED, "no such way to say who you are")
        if len(credentials) != method.word_count:
            raise Refusal(ErrorCode.ARGUMENTS, "AUTH USERPASS needs a user and a password, AUTH JWT a token")
        return AuthRequested(Credentials(method, tuple(credentials)))
