import pickle

import pytest

from rawdaq.errors import LocalProtocolError
from rawdaq.protocols.seedlink import (
    AuthMethod,
    Credentials,
    ErrorCode,
    Hello,
    Refusal,
    SeedLinkVersion,
    ServerIdentity,
)
from rawdaq.protocols.seedlink.errors import NotSeedLink
from rawdaq.protocols.seedlink.words import error_reply

REFUSAL = Refusal(ErrorCode.ARGUMENTS, "no\r\nsuch  time")

# What servers say: ringserver 4.5, SeisComP 6, an old one.
GREETINGS = [
    ("SeedLink v4.0 (RingServer/4.5.3) :: SLPROTO:4.0 SLPROTO:3.1 CAP WS:13", True, True),
    ("SeedLink v3.3 (2024.020)", False, False),
    ("SeedLink v3.1 (x) :: SLPROTO:3.1 EXTREPLY", False, True),
    ("SeedLink v4.1 :: SLPROTO:4.1", True, False),
    ("SeedLink v2.92", False, False),
]


@pytest.mark.parametrize(("line", "speaks_v4", "has_reasons"), GREETINGS)
def test_a_server_says_what_it_can_do(line: str, speaks_v4: bool, has_reasons: bool) -> None:
    hello = Hello.parse(line.encode(), b" Institute ")
    assert (hello.software, hello.organization) == (line, "Institute")
    assert (hello.speaks_v4, hello.has_reasons) == (speaks_v4, has_reasons)


@pytest.mark.parametrize("line", [b"", b"HTTP/1.1 400 Bad Request", b"SeedLink", b"SeedLink vX.Y", b"seedlink v3.1"])
def test_another_server_is_recognised(line: bytes) -> None:
    with pytest.raises(NotSeedLink, match="no SeedLink server"):
        Hello.parse(line, b"")


def test_a_hello_is_two_lines_whatever_its_texts_hold() -> None:
    assert Hello("SeedLink v4.0\r", "A\n B").encode() == b"SeedLink v4.0\r\nA B\r\n"


def test_our_server_says_what_it_can_do() -> None:
    identity = ServerIdentity("rawdaq/1", "Institute", 0)
    assert identity.hello.software == "SeedLink v4.0 (rawdaq/1) :: SLPROTO:4.0 SLPROTO:3.1 CAP"
    assert identity.capabilities_v4 == ("SLPROTO:4.0", "SLPROTO:3.1", "TIME")
    assert "websocket" not in identity.capabilities_v3
    assert {"dialup", "multistation", "window-extraction", "info:all"} <= set(identity.capabilities_v3)
    more = ServerIdentity(
        "rawdaq/1", "Institute", 0, has_websocket=True, has_one_sequence=True, auth_methods=(AuthMethod.JWT,)
    )
    assert more.hello.flags[-1] == "WS:13"
    assert more.capabilities_v4[3:] == ("AUTH:JWT", "WS:13", "SEQWILDCARD")
    assert "websocket" in more.capabilities_v3


@pytest.mark.parametrize(("program", "organization"), [("", "Institute"), ("rawdaq/1", " \n")])
def test_a_server_without_a_name_is_refused(program: str, organization: str) -> None:
    with pytest.raises(LocalProtocolError, match="needs a program name"):
        ServerIdentity(program, organization, 0)


def test_refusals_are_one_line_in_each_version() -> None:
    assert error_reply(SeedLinkVersion.V4, REFUSAL) == b"ERROR ARGUMENTS no such time\r\n"
    assert error_reply(SeedLinkVersion.V3, REFUSAL) == b"ERROR\r\n"
    assert error_reply(SeedLinkVersion.V3, REFUSAL, is_extended=True) == b"ERROR\rARGUMENTS no such time\r\n"
    assert str(REFUSAL) == "ARGUMENTS no\r\nsuch  time"
    assert str(pickle.loads(pickle.dumps(REFUSAL))) == str(REFUSAL)


def test_credentials_are_not_shown() -> None:
    secret = Credentials(AuthMethod.USERPASS, ("user", "secret"))
    assert "secret" not in repr(secret)


@pytest.mark.parametrize("words", [("user",), ("user", ""), ("user", "pass word"), ("user", "password", "more")])
def test_credentials_that_no_command_can_hold_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(LocalProtocolError, match="takes 2 words"):
        Credentials(AuthMethod.USERPASS, words)
