"""The client's side: both sides agree on a version, or part with a reason."""

from typing import Any

import pytest

from rawdaq.protocols.seedlink import (
    AuthRefused,
    Ready,
    SeedLinkClient,
    SeedLinkVersion,
)
from rawdaq.protocols.seedlink.errors import (
    NotSeedLink,
    ProtocolRefused,
    ReplyWrong,
)
from tests.protocols.seedlink.client.playing import ERROR, OK, RING, SC, USER, V3, V4, Play, ready

NEGOTIATIONS: dict[str, tuple[dict[str, Any], list[tuple[list[bytes], bytes]], SeedLinkVersion]] = {
    "SeisComP": ({}, [([b"HELLO"], SC)], V3),
    "ringserver": (
        {"agent": "my program/1"},
        [([b"HELLO"], RING), ([b"SLPROTO 4.0"], OK), ([b"USERAGENT my-program/1"], OK)],
        V4,
    ),
    "version 3 of ringserver": (
        {"version": V3},
        [([b"HELLO"], RING), ([b"CAPABILITIES EXTREPLY"], ERROR)],
        V3,
    ),
    "a server that does not keep its word": (
        {},
        [([b"HELLO"], RING), ([b"SLPROTO 4.0"], ERROR), ([b"CAPABILITIES EXTREPLY"], OK)],
        V3,
    ),
    "credentials": (
        {"credentials": USER, "agent": ""},
        [([b"HELLO"], RING), ([b"SLPROTO 4.0"], OK), ([b"USERAGENT rawdaq", b"AUTH USERPASS user secret"], ERROR + OK)],
        V4,
    ),
    "batch": ({"is_batch": True}, [([b"HELLO"], SC), ([b"BATCH"], OK)], V3),
}


@pytest.mark.parametrize("name", NEGOTIATIONS)
def test_both_sides_agree_on_a_version(name: str) -> None:
    options, turns, version = NEGOTIATIONS[name]
    client = SeedLinkClient(**options)
    play = Play(client)
    assert client.hello is None
    sent = play.sent()
    for said, answer in turns:
        assert sent == said
        sent = play.say(answer)
    assert sent == []
    hello = client.hello
    assert hello is not None
    assert play.taken() == [Ready(version, hello)]
    assert client.version is version


def test_refused_credentials_are_an_event() -> None:
    play = Play(SeedLinkClient(credentials=USER))
    play.say(RING + OK + OK + b"ERROR AUTH no\r\n")
    first, second = play.taken()
    assert first == AuthRefused("ERROR AUTH no")
    assert isinstance(second, Ready)
    play = Play(SeedLinkClient(credentials=USER))
    play.say(SC)
    first, second = play.taken()
    assert first == AuthRefused("SeedLink 3.1 has no AUTH")
    assert isinstance(second, Ready)


def test_a_version_that_must_be_is_refused() -> None:
    play = Play(SeedLinkClient(V4))
    assert play.say(SC)[-1:] == [b"SLPROTO 4.0"]
    with pytest.raises(ProtocolRefused, match=r"does not speak SeedLink 4.0: 'ERROR'"):
        play.say(ERROR)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n", b"ERROR\r\n", b"\r\n"])
def test_a_server_of_another_kind_is_recognised_at_its_first_line(answer: bytes) -> None:
    with pytest.raises(NotSeedLink):
        Play(SeedLinkClient()).say(answer)


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(ReplyWrong, match="where a line was expected"):
        Play(SeedLinkClient()).say(b"A" * 10_000)


def test_what_a_server_says_unasked_is_refused() -> None:
    with pytest.raises(ReplyWrong, match="'OK' where nothing"):
        ready(V3).say(b"OK")
