"""From HELLO to the version that both sides speak, and what a client says before it asks for stations."""

from collections import deque

from rawdaq.protocols.elided import elided
from rawdaq.protocols.seedlink.client.commands import Command, Commands
from rawdaq.protocols.seedlink.client.events import AuthRefused, ClientEvent
from rawdaq.protocols.seedlink.errors import ProtocolRefused
from rawdaq.protocols.seedlink.words import OK, Credentials, Hello, SeedLinkVersion, Word


class Negotiation:
    """Begins a conversation.

    Args:
        wanted: the version to speak; None takes version 4 where the server has it.
        agent: our program, one word.
        credentials: who we are.
        is_batch: ask a server of version 3 for no replies.
        commands: where commands are queued.
        events: where events are queued.

    Attributes:
        version: what is spoken.
        hello: what the server said of itself, None as long as it has not.
    """

    def __init__(
        self,
        wanted: SeedLinkVersion | None,
        agent: str,
        credentials: Credentials | None,
        is_batch: bool,
        commands: Commands,
        events: deque[ClientEvent],
    ) -> None:
        self.version = SeedLinkVersion.V3
        self.hello: Hello | None = None
        self._wanted, self._agent, self._credentials, self._is_batch = wanted, agent, credentials, is_batch
        self._commands, self._events = commands, events
        self._software = b""
        commands.add([Command(Word.HELLO, [self._take_software, self._take_organization])])

    def _take_software(self, line: bytes) -> None:
        Hello.parse(line, b"")  # at once: what is no SeedLink server may not send a second line
        self._software = line

    def _take_organization(self, line: bytes) -> None:
        hello = self.hello = Hello.parse(self._software, line)

        def take_version(reply: bytes) -> None:
            if is_ok(reply):
                self._speak_v4()
            elif self._wanted is None:
                self._speak_v3(hello)
            else:
                raise ProtocolRefused(self._wanted, elided(reply))

        if self._wanted is SeedLinkVersion.V4 or (self._wanted is None and hello.speaks_v4):
            self._commands.add([Command(f"{Word.SLPROTO} {SeedLinkVersion.V4}", [take_version])])
        else:
            self._speak_v3(hello)

    def _speak_v4(self) -> None:
        self.version = SeedLinkVersion.V4
        self._commands.is_pipelined = True
        # Whether the server takes note of our name does not matter.
        self._commands.add([Command(f"{Word.USERAGENT} {self._agent}", [_ignore])])
        if self._credentials is not None:
            words = " ".join([Word.AUTH, self._credentials.method, *self._credentials.words])
            self._commands.add([Command(words, [self._take_auth])])

    def _speak_v3(self, hello: Hello) -> None:
        if self._credentials is not None:
            self._events.append(AuthRefused(f"SeedLink {SeedLinkVersion.V3} has no {Word.AUTH}"))
        if hello.has_reasons:
            self._commands.add([Command(f"{Word.CAPABILITIES} EXTREPLY", [_ignore])])
        if self._is_batch:
            self._commands.add([Command(Word.BATCH, [self._take_batch])])

    def _take_auth(self, line: bytes) -> None:
        if not is_ok(line):
            self._events.append(AuthRefused(elided(line)))

    def _take_batch(self, line: bytes) -> None:
        self._commands.is_quiet = self._commands.is_pipelined = is_ok(line)


def is_ok(reply: bytes) -> bool:
    """Return whether a reply says that a command was accepted."""
    return reply.strip().upper() == OK.strip()


def _ignore(reply: bytes) -> None:
    pass
