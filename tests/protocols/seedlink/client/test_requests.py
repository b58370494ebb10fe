"""The client's side: what it asks for, in the words of each kind of server."""

from collections.abc import Sequence

import pytest

from rawdaq.errors import LocalProtocolError
from rawdaq.protocols.seedlink import (
    DataPacket,
    InfoItem,
    Ready,
    RequestRefused,
    SeedLinkClient,
    SeedLinkVersion,
    Selector,
    StationRequest,
    Streaming,
    TransferEnded,
)
from rawdaq.protocols.seedlink.errors import (
    StationsRefused,
)
from tests.protocols.seedlink.client.playing import AAA, BBB, ERROR, OK, RECORD, SC, V3, V4, Play, ready, streaming


@pytest.mark.parametrize("size", [1, 4096])
def test_version_3_asks_word_by_word(size: int) -> None:
    play = ready(V3, size)
    play.client.send_requests([AAA, BBB])
    words = [b"STATION AAA XX", b"SELECT HHZ", b"SELECT HHN", b"DATA 0000D0", b"STATION BBB XX", b"DATA", b"END"]
    sent = play.sent()
    for word in words[:-1]:
        assert sent == [word]
        assert play.events == []
        sent = play.say(OK)
    assert sent == [words[-1]]
    assert play.taken() == [Streaming()]
    assert play.client.is_streaming


def test_version_4_asks_at_once_and_ends_when_all_is_answered() -> None:
    play = ready(V4)
    play.client.send_requests([AAA, BBB])
    words = [b"STATION XX_AAA", b"SELECT *_H_H_Z", b"SELECT *_H_H_N", b"DATA 208", b"STATION XX_BBB", b"DATA"]
    assert play.sent() == words
    assert play.say(OK * 5) == []
    assert play.say(OK) == [b"END"]


def test_a_batch_needs_no_replies() -> None:
    play = Play(SeedLinkClient(is_batch=True))
    assert play.say(SC + OK) == [b"HELLO", b"BATCH"]
    play.client.send_requests([BBB])
    assert play.sent() == [b"STATION BBB XX", b"DATA", b"END"]
    play.say(b"SL000001" + RECORD)
    assert [type(event) for event in play.taken()] == [Ready, Streaming, DataPacket]


def test_a_server_without_batch_is_asked_word_by_word() -> None:
    play = Play(SeedLinkClient(is_batch=True))
    play.say(SC + ERROR)
    play.client.send_requests([BBB])
    assert play.sent()[-1] == b"STATION BBB XX"


def test_dial_up_has_other_words() -> None:
    play = ready(V3)
    play.client.send_requests([StationRequest("XX_BBB", start=1, is_dial_up=True)])
    assert (play.sent(), play.say(OK), play.say(OK)) == ([b"STATION BBB XX"], [b"FETCH 000001"], [b"END"])
    play = ready(V4)
    play.client.send_requests([StationRequest("XX_BBB", start=1, is_dial_up=True)])
    assert (play.sent(), play.say(OK * 2)) == ([b"STATION XX_BBB", b"DATA 1"], [b"ENDFETCH"])
    play.say(b"END")
    assert play.taken() == [Streaming(), TransferEnded()]


def test_without_a_station_version_3_starts_at_its_last_word() -> None:
    play = ready(V3)
    play.client.send_uni_station(StationRequest("*", (Selector.parse("HHZ"),)))
    assert play.sent() == [b"SELECT HHZ"]
    assert play.say(OK) == [b"DATA"]
    assert play.taken() == [Streaming()]
    with pytest.raises(LocalProtocolError, match="no uni-station mode"):
        ready(V4).client.send_uni_station(BBB)


def test_a_refused_station_does_not_stop_the_others() -> None:
    play = ready(V3)
    play.client.send_requests([AAA, BBB])
    assert play.sent() == [b"STATION AAA XX"]
    assert play.say(b"ERROR\rARGUMENTS no such station\r\n") == [b"STATION BBB XX"]
    assert play.say(OK) == [b"DATA"]
    assert play.say(OK) == [b"END"]
    assert play.taken() == [
        RequestRefused("XX_AAA", "STATION AAA XX", r"ERROR\rARGUMENTS no such station"),
        Streaming(("XX_AAA",)),
    ]


def test_a_station_without_any_selector_is_not_asked_for() -> None:
    play = ready(V3)
    play.client.send_requests([AAA, BBB])
    assert play.say(OK + ERROR + OK)[-1] == b"DATA 0000D0"  # one of two is enough
    play = ready(V3)
    play.client.send_requests([AAA, BBB])
    assert play.say(OK + ERROR + ERROR)[-1] == b"STATION BBB XX"
    play.say(OK * 2)
    assert play.taken()[-1] == Streaming(("XX_AAA",))


def test_all_stations_refused_end_the_conversation_after_the_reasons() -> None:
    play = ready(V4)
    play.client.send_requests([AAA, BBB])
    with pytest.raises(StationsRefused, match=r"XX_AAA, XX_BBB.*'ERROR LIMIT no'"):
        play.say(b"ERROR LIMIT no\r\n" * 6)
    assert [type(event) for event in play.events] == [RequestRefused] * 6
    assert b"END\r\n" not in play.client.data_to_send()


WRONG_REQUESTS: list[tuple[SeedLinkVersion, Sequence[StationRequest]]] = [
    (V3, []),
    (V3, [BBB, StationRequest("XX_AAA", is_dial_up=True)]),
    (V3, [StationRequest("XX_AAA", start=1, begin_ns=0)]),
    (V3, [StationRequest("XX_AAA", (Selector.parse("*:3"),))]),
]


@pytest.mark.parametrize(("version", "requests"), WRONG_REQUESTS)
def test_wrong_requests_queue_nothing(version: SeedLinkVersion, requests: Sequence[StationRequest]) -> None:
    play = ready(version)
    with pytest.raises(LocalProtocolError):
        play.client.send_requests(requests)
    assert play.sent() == []
    play.client.send_requests([BBB])
    with pytest.raises(LocalProtocolError, match="asked for once"):
        play.client.send_requests([BBB])


def test_nothing_is_asked_before_both_sides_agree() -> None:
    client = SeedLinkClient()
    with pytest.raises(LocalProtocolError, match="after Ready"):
        client.send_requests([BBB])
    with pytest.raises(LocalProtocolError, match="cannot be asked for now"):
        client.send_info(InfoItem.ID)
    assert client.data_to_send() == b"HELLO\r\n"


def test_bye() -> None:
    play = streaming(V3)
    play.client.send_bye()
    assert play.sent() == [b"BYE"]
