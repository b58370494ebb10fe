"""The words of both versions: commands, error codes, the answer to HELLO and the other replies."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from rawdaq.errors import LocalProtocolError, RawdaqError, error_text
from rawdaq.protocols.elided import elided
from rawdaq.protocols.seedlink.errors import NotSeedLink

LINE_END: Final = b"\r\n"
OK: Final = b"OK" + LINE_END
END: Final = b"END"  # of a dial-up transfer or a time window; no line end follows

_GREETING = re.compile(r"SeedLink v(\d{1,3}\.\d{1,3})(?:\s|$)", re.ASCII)


class SeedLinkVersion(StrEnum):
    """The versions of the protocol; a client that does not ask for one speaks 3.1."""

    V3 = "3.1"
    V4 = "4.0"


class Word(StrEnum):
    """What a line begins with; the case of a received word does not matter."""

    HELLO = "HELLO"
    SLPROTO = "SLPROTO"
    USERAGENT = "USERAGENT"
    AUTH = "AUTH"
    STATION = "STATION"
    SELECT = "SELECT"
    DATA = "DATA"
    END = "END"
    ENDFETCH = "ENDFETCH"
    INFO = "INFO"
    BYE = "BYE"
    # Version 3 only.
    FETCH = "FETCH"
    TIME = "TIME"
    BATCH = "BATCH"
    CAT = "CAT"
    CAPABILITIES = "CAPABILITIES"


class ErrorCode(StrEnum):
    """Why the server refuses a command."""

    UNSUPPORTED = "UNSUPPORTED"
    UNEXPECTED = "UNEXPECTED"
    UNAUTHORIZED = "UNAUTHORIZED"
    LIMIT = "LIMIT"
    ARGUMENTS = "ARGUMENTS"
    AUTH = "AUTH"
    INTERNAL = "INTERNAL"


class AuthMethod(StrEnum):
    """How a client of version 4 says who it is."""

    USERPASS = "USERPASS"
    JWT = "JWT"

    @property
    def word_count(self) -> int:
        """How many words follow: user and password, or the token."""
        return 2 if self is AuthMethod.USERPASS else 1


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a client is.

    Attributes:
        method: how it says so.
        words: user and password, or the token.

    Raises:
        LocalProtocolError: a word that no command can hold.
    """

    method: AuthMethod
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.words) != self.method.word_count or any(len(word.split()) != 1 for word in self.words):
            raise LocalProtocolError(f"AUTH {self.method} takes {self.method.word_count} words without blanks")

    def __repr__(self) -> str:
        return f"Credentials({self.method.value!r})"


@error_text("{code} {text}")
class Refusal(RawdaqError):
    """A command that is answered with ERROR.

    Args:
        code: the reason in the words of version 4.
        text: the reason for a person.
    """

    code: ErrorCode
    text: str


def error_reply(version: SeedLinkVersion, refusal: Refusal, *, is_extended: bool = False) -> bytes:
    r"""Return the line that refuses a command.

    Args:
        version: what the connection speaks.
        refusal: the reason.
        is_extended: whether a client of version 3 has asked for reasons (``CAPABILITIES EXTREPLY``).

    >>> error_reply(SeedLinkVersion.V4, Refusal(ErrorCode.ARGUMENTS, "no such time"))
    b'ERROR ARGUMENTS no such time\r\n'
    """
    if version is SeedLinkVersion.V4:
        return f"ERROR {refusal.code} {one_line(refusal.text)}".encode() + LINE_END
    # Version 3 has only one code for its reasons.
    reason = f"\rARGUMENTS {one_line(refusal.text)}" if is_extended else ""
    return f"ERROR{reason}".encode() + LINE_END


def one_line(text: str) -> str:
    """Return *text* on one line, so that it can be part of a reply or a command."""
    return " ".join(text.split())


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server says of itself.

    Attributes:
        software: the first line, which names the newest version and, after ``::``, what the server can do.
        organization: the second line.
    """

    software: str
    organization: str

    @classmethod
    def parse(cls, software: bytes, organization: bytes) -> Self:
        """Return the answer to HELLO.

        Raises:
            NotSeedLink: it is not that of a SeedLink server.
        """
        text = software.decode("utf-8", "replace").strip()
        if not _GREETING.match(text):
            raise NotSeedLink(elided(software))
        return cls(text, organization.decode("utf-8", "replace").strip())

    @property
    def flags(self) -> tuple[str, ...]:
        """What the server can do, such as ``SLPROTO:4.0``; servers of version 3 list nothing."""
        return tuple(self.software.partition("::")[2].split())

    @property
    def speaks_v4(self) -> bool:
        """Whether a client may ask for version 4.0; a later minor version includes it."""
        return any(flag.upper().startswith("SLPROTO:4.") for flag in self.flags)

    @property
    def has_reasons(self) -> bool:
        """Whether a client of version 3 may ask for the reasons of refusals."""
        return "CAP" in self.flags or "EXTREPLY" in self.flags

    def encode(self) -> bytes:
        """Return both lines as they are sent."""
        return f"{one_line(self.software)}\r\n{one_line(self.organization)}\r\n".encode()


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What a server of ours says of itself.

    Attributes:
        program: name and version of the program, ``rawdaq/0.1.0``.
        organization: who runs it; must not be empty, clients want a second line.
        started_ns: when it started.
        has_websocket: whether it can be reached through WebSocket, too.
        has_one_sequence: whether its sequence numbers order the packets of all stations.
        auth_methods: how clients may say who they are.
        filters: names of what records can be converted to on their way out, with a description.

    Raises:
        LocalProtocolError: a text is empty.
    """

    program: str
    organization: str
    started_ns: int
    has_websocket: bool = False
    has_one_sequence: bool = False
    auth_methods: tuple[AuthMethod, ...] = ()
    filters: tuple[tuple[str, str], ...] = (("native", "as stored"),)

    def __post_init__(self) -> None:
        if not one_line(self.program) or not one_line(self.organization):
            raise LocalProtocolError("a SeedLink server needs a program name and an organization")

    @property
    def hello(self) -> Hello:
        """The answer to HELLO."""
        flags = ["SLPROTO:4.0", "SLPROTO:3.1", "CAP", *(["WS:13"] if self.has_websocket else [])]
        software = f"SeedLink v{SeedLinkVersion.V4} ({one_line(self.program)}) :: {' '.join(flags)}"
        return Hello(software, one_line(self.organization))

    @property
    def capabilities_v3(self) -> tuple[str, ...]:
        """The names in the answer to ``INFO CAPABILITIES`` of version 3."""
        names = ["dialup", "multistation", "window-extraction", *(["websocket"] if self.has_websocket else [])]
        levels = ("id", "capabilities", "stations", "streams", "gaps", "connections", "all")
        return (*names, *(f"info:{level}" for level in levels))

    @property
    def capabilities_v4(self) -> tuple[str, ...]:
        """The names in the answer to ``INFO CAPABILITIES`` of version 4."""
        optional = {"WS:13": self.has_websocket, "SEQWILDCARD": self.has_one_sequence}
        methods = (f"AUTH:{method}" for method in self.auth_methods)
        return ("SLPROTO:4.0", "SLPROTO:3.1", "TIME", *methods, *(name for name, has in optional.items() if has))
