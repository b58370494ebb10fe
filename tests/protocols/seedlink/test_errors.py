import pickle

import pytest

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.seedlink.errors import (
    CommandTooLong,
    InfoUnreadable,
    NotSeedLink,
    PacketWrong,
    PayloadTooLarge,
    ProtocolRefused,
    RecordWrong,
    ReplyWrong,
    SeedLinkCut,
    StationsRefused,
    TooMuchAhead,
)

ERRORS: list[tuple[RemoteProtocolError, str]] = [
    (CommandTooLong(16384, "AAA"), "the client sent a line of more than 16384 bytes that begins 'AAA'"),
    (TooMuchAhead(2, 1), "2 bytes of commands wait behind an unanswered request, limit is 1"),
    (NotSeedLink("HTTP"), "no SeedLink server: it answered HELLO with 'HTTP'"),
    (ProtocolRefused("4.0", "ERROR"), "the server does not speak SeedLink 4.0: 'ERROR'"),
    (StationsRefused(("XX_A", "XX_B"), "ERROR"), "the server refused all stations (XX_A, XX_B): 'ERROR'"),
    (StationsRefused(tuple("ABCDEFG"), "E"), "the server refused all stations (A, B, C, D, E and 2 more): 'E'"),
    (ReplyWrong("X", "OK"), "the server sent 'X' where OK was expected"),
    (PacketWrong("the signature", "XX"), "the signature of a SeedLink packet is wrong: 'XX'"),
    (PayloadTooLarge("a record", 2, 1), "a record of 2 bytes, limit is 1"),
    (RecordWrong("abc"), "no miniSEED record in a SeedLink packet, it begins 'abc'"),
    (InfoUnreadable("no element"), "unreadable INFO answer: no element"),
    (SeedLinkCut("in a packet"), "the peer closed the connection in a packet"),
]


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_an_error_says_what_it_carries_also_after_pickling(error: RemoteProtocolError, text: str) -> None:
    assert str(error) == text
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), text)
