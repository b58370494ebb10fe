"""The client's side: what servers of each kind say, cut anywhere."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.miniseed.text import text_records
from rawdaq.protocols.seedlink import (
    AuthMethod,
    AuthRefused,
    ClientEvent,
    Credentials,
    DataPacket,
    InfoItem,
    InfoReceived,
    InfoRefused,
    Ready,
    RequestRefused,
    SeedLinkClient,
    SeedLinkVersion,
    Selector,
    StationRequest,
    Streaming,
    TransferEnded,
)
from rawdaq.protocols.seedlink.client.connection import MAX_UNANSWERED
from rawdaq.protocols.seedlink.errors import (
    NotSeedLink,
    PacketWrong,
    PayloadTooLarge,
    ProtocolRefused,
    RecordWrong,
    ReplyWrong,
    SeedLinkCut,
    StationsRefused,
)
from rawdaq.protocols.seedlink.v4 import MAX_INFO_BYTES, packet_header
from tests.protocols.seedlink.records import record_2, record_3

SC = b"SeedLink v3.3 (2024.020)\r\nHill\r\n"
RING = b"SeedLink v4.0 (RingServer/4.5.3) :: SLPROTO:4.0 SLPROTO:3.1 CAP WS:13\r\nInstitute\r\n"
OK, ERROR = b"OK\r\n", b"ERROR\r\n"
V3, V4 = SeedLinkVersion.V3, SeedLinkVersion.V4
AAA = StationRequest("XX_AAA", (Selector.parse("HHZ"), Selector.parse("HHN")), start=0xD0)
BBB = StationRequest("XX_BBB")
USER = Credentials(AuthMethod.USERPASS, ("user", "secret"))
RECORD = record_2()
EVENT = record_2(blockettes=(1000, 201))


class Play:
    """A client, and a server that is played by hand."""

    def __init__(self, client: SeedLinkClient, size: int = 4096) -> None:
        self.client, self.size = client, size
        self.events: list[ClientEvent] = []

    def say(self, data: bytes) -> list[bytes]:
        """Let the server say *data*; return the lines that the client sends then."""
        for at in range(0, len(data), self.size):
            self.events.extend(self.client.receive_data(data[at : at + self.size]))
        return self.sent()

    def sent(self) -> list[bytes]:
        return self.client.data_to_send().split(b"\r\n")[:-1]

    def taken(self) -> list[ClientEvent]:
        events, self.events = self.events, []
        return events


def ready(version: SeedLinkVersion, size: int = 4096) -> Play:
    play = Play(SeedLinkClient(version), size)
    play.say(SC if version is V3 else RING)
    play.say(b"" if version is V3 else OK)
    play.say(b"" if version is V3 else OK)
    assert [type(event) for event in play.taken()] == [Ready]
    return play


def streaming(version: SeedLinkVersion, size: int = 4096) -> Play:
    play = ready(version, size)
    play.client.send_requests([BBB])
    play.say(OK * 2)
    assert play.taken() == [Streaming()]
    return play


# ---------------------------------------------------------------- versions

# What we want, what we say, and what the server says to each of our lines; the version at the end.
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


# ---------------------------------------------------------------- requests


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


# ---------------------------------------------------------------- packets


def v4_packet(sequence: int, station: str, payload: bytes, kind: str = "2D") -> bytes:
    return packet_header(sequence, station, kind[0], kind[1], len(payload)) + payload


V3_PACKETS: list[tuple[bytes, ClientEvent]] = [
    (b"SL00BEEF" + RECORD, DataPacket("XX_AAA", 0xBEEF, RECORD)),
    (b"SLffffff" + record_2(length_bytes=4096), DataPacket("XX_AAA", 0xFFFFFF, record_2(length_bytes=4096))),
    (b"SL000001" + record_3(), DataPacket("XX_AAA", 1, record_3(), "3")),
    (b"SL000002" + record_2(blockettes=()), DataPacket("XX_AAA", 2, record_2(blockettes=()))),
    (b"SL000003" + EVENT, DataPacket("XX_AAA", 3, EVENT, "2", "E")),
    (b"ERROR\r\n", InfoRefused(None, "ERROR")),
    (b"END", TransferEnded()),
]

V4_PACKETS: list[tuple[bytes, ClientEvent]] = [
    (v4_packet(1000, "XX_ABC", RECORD), DataPacket("XX_ABC", 1000, RECORD)),
    (v4_packet(2**63, "XX_ABC", record_3(), "3D"), DataPacket("XX_ABC", 2**63, record_3(), "3")),
    (v4_packet(7, "XX_ABC", b"", "ZZ"), DataPacket("XX_ABC", 7, b"", "Z", "Z")),
    (v4_packet(7, "XX_ABC", b"{}", "JX"), DataPacket("XX_ABC", 7, b"{}", "J", "X")),
    (v4_packet(0, "", b"{}", "JI"), InfoReceived(None, b"{}")),
    (v4_packet(0, "", b"{}", "JE"), InfoReceived(None, b"{}", is_error=True)),
    (v4_packet(1, "XX_ABC", bytes(65536)), DataPacket("XX_ABC", 1, bytes(65536))),
    (b"END", TransferEnded()),
    (b"ERROR UNEXPECTED no\r\n", InfoRefused(None, "ERROR UNEXPECTED no")),
]


@pytest.mark.parametrize("size", [1, 3, 511, 1 << 20])
@pytest.mark.parametrize(("version", "cases"), [(V3, V3_PACKETS), (V4, V4_PACKETS)])
def test_packets_are_the_same_however_they_are_cut(
    version: SeedLinkVersion, cases: Sequence[tuple[bytes, ClientEvent]], size: int
) -> None:
    play = streaming(version, size)
    play.say(b"\r\n".join(wire for wire, _ in cases))
    assert play.taken() == [event for _, event in cases]
    assert play.client.buffered_bytes == 0
    play.client.receive_eof()


WRONG: list[tuple[SeedLinkVersion, bytes, type[RemoteProtocolError]]] = [
    (V3, b"XX", PacketWrong),
    (V3, b"SE", PacketWrong),
    (V4, b"SL", PacketWrong),
    (V3, b"ENX", PacketWrong),
    (V3, b"SLXYZ123" + RECORD, PacketWrong),
    (V3, b"SL000001" + b"x" * 100, RecordWrong),
    (V3, b"SL000001" + record_2(says_bytes=1 << 25), PayloadTooLarge),
    (V4, b"SE2D\xff\xff\xff\xff" + bytes(9), PayloadTooLarge),
    (V4, b"SE2D\0\0\0\0" + b"\xff" * 9, PacketWrong),
    (V3, b"ERROR" + b"x" * 5000, ReplyWrong),
]


@pytest.mark.parametrize(("version", "wire", "error"), WRONG)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_is_wrong_ends_the_conversation_after_what_was_whole(
    version: SeedLinkVersion, wire: bytes, error: type[RemoteProtocolError], size: int
) -> None:
    play = streaming(version, size)
    whole, event = (V3_PACKETS if version is V3 else V4_PACKETS)[0]
    with pytest.raises(error):
        play.say(whole + wire)
    assert play.taken() == [event]
    with pytest.raises(error):
        list(play.client.receive_data(whole))
    with pytest.raises(error):
        play.client.receive_eof()


def test_events_that_were_not_taken_come_at_the_next_call() -> None:
    play = streaming(V3)
    for event in play.client.receive_data(b"SL000001" + RECORD + b"SL000002" + RECORD + b"SL0000"):
        assert event == DataPacket("XX_AAA", 1, RECORD)
        break
    assert list(play.client.receive_data(b"03" + RECORD)) == [
        DataPacket("XX_AAA", 2, RECORD),
        DataPacket("XX_AAA", 3, RECORD),
    ]


def test_a_close_is_a_cut_only_in_the_middle_of_something() -> None:
    with pytest.raises(SeedLinkCut, match="without answering HELLO"):
        SeedLinkClient().receive_eof()
    with pytest.raises(SeedLinkCut, match="before it sent packets"):
        ready(V3).client.receive_eof()
    play = streaming(V3)
    play.say(b"SL000001" + RECORD[:100])
    with pytest.raises(SeedLinkCut, match="in the middle of something, 108 bytes"):
        play.client.receive_eof()
    play = Play(SeedLinkClient())
    play.say(b"SeedLink v3")
    with pytest.raises(SeedLinkCut, match="11 bytes"):
        play.client.receive_eof()


# ---------------------------------------------------------------- INFO


def info_v3(text: bytes, channel: str = "INF") -> bytes:
    *first, last = text_records(text, channel)
    return b"".join(b"SLINFO *" + record for record in first) + b"SLINFO  " + last


@pytest.mark.parametrize("size", [1, 4096])
def test_an_answer_in_records_is_put_together(size: int) -> None:
    play = ready(V3, size)
    play.client.send_info(InfoItem.STREAMS)
    assert play.sent() == [b"INFO STREAMS"]
    text = b"<seedlink>" + b"x" * 2000 + b"</seedlink>"
    play.say(info_v3(text))
    assert play.taken() == [InfoReceived(InfoItem.STREAMS, text)]
    play.client.send_info(InfoItem.ALL)
    play.say(info_v3(b"", "ERR"))
    assert play.taken() == [InfoReceived(InfoItem.ALL, b"", is_error=True)]


def test_an_answer_comes_between_packets() -> None:
    play = streaming(V3)
    play.client.send_info(InfoItem.ID)
    play.client.send_info(InfoItem.CAPABILITIES)
    assert play.sent() == [b"INFO ID", b"INFO CAPABILITIES"]
    first, last = info_v3(b"x" * 500)[:520], info_v3(b"x" * 500)[520:]
    play.say(first + b"SL000001" + RECORD)
    assert play.client.buffered_bytes == 448
    play.say(last + ERROR)
    assert play.taken() == [
        DataPacket("XX_AAA", 1, RECORD),
        InfoReceived(InfoItem.ID, b"x" * 500),
        InfoRefused(InfoItem.CAPABILITIES, "ERROR"),
    ]


def test_version_4_takes_patterns() -> None:
    play = ready(V4)
    play.client.send_info(InfoItem.STREAMS, "XX_*", "00_*")
    play.client.send_info(InfoItem.FORMATS)
    assert play.sent() == [b"INFO STREAMS XX_* 00_*", b"INFO FORMATS"]
    play.say(v4_packet(0, "", json.dumps({}).encode(), "JI") + v4_packet(0, "", b"{}", "JE"))
    assert play.taken() == [InfoReceived(InfoItem.STREAMS, b"{}"), InfoReceived(InfoItem.FORMATS, b"{}", True)]


def test_answers_and_replies_keep_their_order() -> None:
    play = ready(V4)
    play.client.send_info(InfoItem.ID)
    play.client.send_requests([BBB])
    assert play.sent() == [b"INFO ID", b"STATION XX_BBB", b"DATA"]
    assert play.say(v4_packet(0, "", b"{}", "JI") + OK * 2) == [b"END"]
    assert play.taken() == [InfoReceived(InfoItem.ID, b"{}"), Streaming()]


@pytest.mark.parametrize(
    ("version", "item", "patterns"),
    [
        (V3, InfoItem.FORMATS, ()),
        (V4, InfoItem.GAPS, ()),
        (V3, InfoItem.STREAMS, ("XX_*",)),
        (V4, InfoItem.STREAMS, ("", "00_*")),
    ],
)
def test_what_the_version_cannot_ask_is_refused(
    version: SeedLinkVersion, item: InfoItem, patterns: Sequence[str]
) -> None:
    play = ready(version)
    with pytest.raises(LocalProtocolError):
        play.client.send_info(item, *patterns)
    assert play.sent() == []


def test_a_server_that_never_answers_is_asked_again_and_again() -> None:
    play = streaming(V3)
    for _ in range(MAX_UNANSWERED + 5):
        play.client.send_info(InfoItem.STREAMS)
    play.client.send_info(InfoItem.ID)
    assert len(play.sent()) == MAX_UNANSWERED + 6
    for _ in range(MAX_UNANSWERED + 1):
        play.say(info_v3(b"x"))
    items = [event.item for event in play.taken() if isinstance(event, InfoReceived)]
    assert items == [InfoItem.STREAMS] * (MAX_UNANSWERED - 1) + [InfoItem.ID, None]


def test_an_answer_without_an_end_is_refused() -> None:
    play = streaming(V3)
    part = info_v3(b"x" * 500)[:520] * 1000
    for _ in range(MAX_INFO_BYTES // (448 * 1000)):
        play.say(part)
    with pytest.raises(PayloadTooLarge, match=r"an answer to INFO of .* limit is 33554432"):
        play.say(part)
