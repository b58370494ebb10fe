"""The server's side: each word and its reply, cut anywhere."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from rawdaq.errors import LocalProtocolError
from rawdaq.miniseed.text import text_records
from rawdaq.protocols.seedlink import (
    AgentNamed,
    AuthMethod,
    AuthRequested,
    CatalogRequested,
    CommandRefused,
    ConnectionDescription,
    Credentials,
    DataPacket,
    ErrorCode,
    Goodbye,
    InfoItem,
    InfoRequested,
    Refusal,
    SeedLinkServer,
    SeedLinkVersion,
    Selector,
    ServerEvent,
    ServerIdentity,
    Start,
    StationDescription,
    StationRequest,
    StreamDescription,
    TransferRequested,
    VersionChosen,
)
from rawdaq.protocols.seedlink.errors import CommandTooLong, SeedLinkCut, TooMuchAhead
from rawdaq.protocols.seedlink.info.v3 import read_xml
from rawdaq.protocols.seedlink.server.connection import MAX_AHEAD_BYTES
from tests.protocols.seedlink.records import record_2, record_3

IDENTITY = ServerIdentity(
    "rawdaq/1",
    "Institute",
    0,
    auth_methods=(AuthMethod.USERPASS, AuthMethod.JWT),
    filters=(("native", "as stored"), ("3", "miniSEED 3")),
)
HELLO = b"SeedLink v4.0 (rawdaq/1) :: SLPROTO:4.0 SLPROTO:3.1 CAP\r\nInstitute\r\n"
PACKET = DataPacket("XX_AAA", 1, record_2())
V4 = b"SLPROTO 4.0\r\n"
CHOSEN = VersionChosen(SeedLinkVersion.V4)
HHZ = Selector.parse("HHZ")
AAA, BBB = StationRequest("XX_AAA"), StationRequest("XX_BBB")
STATIONS = (
    StationDescription("XX", "AAA", "Hill", 1, 2, (StreamDescription("00", "HHZ"), StreamDescription("10", "HNZ"))),
    StationDescription("YY", "BBB"),
)


def new_server() -> SeedLinkServer:
    return SeedLinkServer(IDENTITY, text_records)


def feed(peer: SeedLinkServer, data: bytes, size: int = 4096) -> list[ServerEvent]:
    return [event for at in range(0, len(data), size) for event in peer.receive_data(data[at : at + size])]


def without_refusals(events: Sequence[ServerEvent]) -> list[ServerEvent]:
    return [event for event in events if not isinstance(event, CommandRefused)]


# What a client sends, what is answered, and the events besides refusals.
CASES: list[tuple[bytes, bytes, list[ServerEvent]]] = [
    (b"HELLO\r\n", HELLO, []),
    (b"hello\rBYE\r\nHELLO\r\n", HELLO, [Goodbye()]),
    (b"   \r\n\r\nHELLO\n", HELLO, []),
    (b"\xffELLO\r\n", b"ERROR\r\n", []),
    # version 3
    (b"STATION  AAA   XX\r", b"OK\r\n", []),
    (b"STATION\r\n", b"ERROR\r\n", []),
    (b"FROBNICATE 1\r\nENDFETCH\r\nAUTH JWT x\r\n", b"ERROR\r\n" * 3, []),
    (b"CAPABILITIES EXTREPLY\r\nSTATION\r\n", b"OK\r\nERROR\rARGUMENTS STATION needs a station and a network\r\n", []),
    (b"CAPABILITIES OTHER\r\n", b"ERROR\r\n", []),
    (b"USERAGENT a/1  b/2\r\n", b"OK\r\n", [AgentNamed("a/1 b/2")]),
    (b"SLPROTO 3.0\r\n", b"OK\r\n", [VersionChosen(SeedLinkVersion.V3)]),
    (b"SLPROTO 9.9\r\nSLPROTO\r\n", b"ERROR UNSUPPORTED versions are 3.1 and 4.0\r\n" * 2, []),
    (b"STATION AAA XX\r\n" + V4, b"OK\r\nERROR UNEXPECTED SLPROTO comes before the first station\r\n", []),
    (
        b"STATION AAA XX\r\nSELECT HHZ\r\nDATA\r\nSTATION BBB XX\r\nFETCH D0\r\nEND\r\n",
        b"OK\r\n" * 5,
        [
            TransferRequested(
                (
                    StationRequest("XX_AAA", (HHZ,), is_dial_up=True),
                    StationRequest("XX_BBB", start=0xD0, is_dial_up=True),
                ),
                True,
            )
        ],
    ),
    (
        b"SELECT HHZ\r\nDATA\r\n",
        b"OK\r\n",
        [TransferRequested((StationRequest("*", (HHZ,)),), False, is_multi_station=False)],
    ),
    (
        b"TIME 1970,1,1,0,0,0\r\n",
        b"",
        [TransferRequested((StationRequest("*", start=Start.OLDEST, begin_ns=0),), False, is_multi_station=False)],
    ),
    (b"FETCH\r\n", b"", [TransferRequested((StationRequest("*", is_dial_up=True),), True, is_multi_station=False)]),
    (b"END\r\n", b"", [TransferRequested((), False)]),
    (
        b"BATCH\r\nHELLO\r\nSTATION AAA XX\r\nSELECT WRONGSELECTOR\r\nFROBNICATE\r\nDATA\r\nEND\r\n",
        b"OK\r\n" + HELLO,
        [TransferRequested((AAA,), False)],
    ),
    # version 4
    (V4 + b"FROBNICATE\r\n", b"OK\r\nERROR UNSUPPORTED SeedLink 4.0 has no such command\r\n", [CHOSEN]),
    (
        V4 + b"FETCH 1\r\nTIME 2020,1,1,0,0,0\r\nBATCH\r\nCAT\r\nCAPABILITIES EXTREPLY\r\n",
        b"OK\r\n" + b"ERROR UNSUPPORTED SeedLink 4.0 has no such command\r\n" * 5,
        [CHOSEN],
    ),
    (
        V4 + b"STATION XX_AAA\rDATA\rSTATION XX_BBB\rSELECT\rDATA\rEND\r\n",
        b"OK\r\n" * 4 + b"ERROR ARGUMENTS SELECT needs a selector\r\nOK\r\n",
        [CHOSEN, TransferRequested((AAA, BBB), False)],
    ),
    (
        V4 + b"STATION XX_AAA\r\nDATA 5\r\nENDFETCH\r\n",
        b"OK\r\n" * 3,
        [CHOSEN, TransferRequested((StationRequest("XX_AAA", start=5, is_dial_up=True),), True)],
    ),
    (
        V4 + b"AUTH SMOKE a\r\nAUTH\r\nAUTH USERPASS user\r\n",
        b"OK\r\n"
        + b"ERROR UNSUPPORTED no such way to say who you are\r\n" * 2
        + b"ERROR ARGUMENTS AUTH USERPASS needs a user and a password, AUTH JWT a token\r\n",
        [CHOSEN],
    ),
    (b"A" * 3000 + b"\r\nHELLO\r\n", b"ERROR\r\n" + HELLO, []),
    (V4 + b"USERAGENT " + b"x" * 245 + b"\r\n", b"OK\r\n" * 2, [CHOSEN, AgentNamed("x" * 245)]),
    # while packets are sent, what is not INFO or BYE is ignored
    (
        b"DATA\r\nHELLO\r\nSTATION AAA XX\r\nBYE\r\n",
        b"",
        [TransferRequested((StationRequest("*"),), False, is_multi_station=False), Goodbye()],
    ),
]


@pytest.mark.parametrize(("wire", "reply", "events"), CASES)
@pytest.mark.parametrize("size", [1, 3, 4096])
def test_each_word_has_its_reply_however_it_is_cut(
    wire: bytes, reply: bytes, events: list[ServerEvent], size: int
) -> None:
    peer = new_server()
    assert without_refusals(feed(peer, wire, size)) == events
    assert peer.data_to_send() == reply
    assert peer.data_to_send() == b""
    assert peer.buffered_bytes == 0
    peer.receive_eof()


def test_what_is_refused_or_ignored_is_an_event_without_secrets() -> None:
    peer = new_server()
    events = feed(peer, V4 + b"AUTH SMOKE secret\r\nSTATION A/B\r\nEND\r\nSTATION *\r\n")
    shown = [(event.line, event.refusal.code) for event in events if isinstance(event, CommandRefused)]
    assert shown == [
        ("AUTH", ErrorCode.UNSUPPORTED),
        ("STATION A/B", ErrorCode.ARGUMENTS),
        ("STATION *", ErrorCode.UNEXPECTED),
    ]


def test_packets_are_sent_after_the_handshake_and_before_the_end() -> None:
    peer = new_server()
    with pytest.raises(LocalProtocolError, match="between TransferRequested and END"):
        peer.send_packet(PACKET)
    with pytest.raises(LocalProtocolError, match="no transfer to end"):
        peer.send_end()
    feed(peer, b"FETCH 1\r\n")
    assert peer.is_transferring
    peer.send_packet(PACKET)
    with pytest.raises(LocalProtocolError, match="read miniSEED 2"):
        peer.send_packet(DataPacket("XX_AAA", 1, record_3(), "3"))
    peer.send_end()
    assert peer.messages_to_send() == [b"SL000001" + PACKET.payload, b"END"]
    assert not peer.is_transferring
    with pytest.raises(LocalProtocolError):
        peer.send_packet(PACKET)
    feed(peer, b"INFO ID\r\n")  # also behind the end
    assert peer.data_to_send().startswith(b"SLINFO  ")


def test_nothing_is_sent_after_the_client_said_bye() -> None:
    peer = new_server()
    assert feed(peer, b"DATA\r\nBYE\r\nINFO ID\r\nhalf a comm")[-1] == Goodbye()
    assert not peer.is_transferring
    assert feed(peer, b"more\r\n") == []
    peer.receive_eof()


def test_hello_is_one_message_and_each_reply_its_own() -> None:
    peer = new_server()
    feed(peer, b"HELLO\r\nSTATION AAA XX\r\nDATA\r\n")
    assert peer.messages_to_send() == [HELLO, b"OK\r\n", b"OK\r\n"]


@pytest.mark.parametrize("size", [1, 4096])
def test_commands_wait_behind_a_question_until_it_is_answered(size: int) -> None:
    peer = new_server()
    events = feed(peer, V4 + b"AUTH USERPASS user secret\r\nHELLO\r\nSTATION *\r\nhalf", size)
    assert events == [CHOSEN, AuthRequested(Credentials(AuthMethod.USERPASS, ("user", "secret")))]
    assert "secret" not in repr(events)
    assert peer.is_waiting
    assert peer.data_to_send() == b"OK\r\n"
    assert peer.buffered_bytes == len(b"\nHELLO\r\nSTATION *\r\nhalf")
    with pytest.raises(LocalProtocolError, match="no InfoRequested to answer"):
        peer.send_info()
    peer.send_auth()
    assert list(peer.receive_data(b"")) == []
    assert peer.data_to_send() == b"OK\r\n" + HELLO + b"OK\r\n"
    assert peer.buffered_bytes == 4


def test_a_question_may_be_answered_while_events_are_taken() -> None:
    peer = new_server()
    for event in peer.receive_data(V4 + b"AUTH JWT token\r\nHELLO\r\nINFO STATIONS\r\nHELLO\r\n"):
        match event:
            case AuthRequested(Credentials(AuthMethod.JWT, ("token",))):
                peer.send_auth(Refusal(ErrorCode.AUTH, "no such\nuser"))
            case InfoRequested(item=InfoItem.STATIONS):
                peer.send_info(STATIONS)
            case _:
                assert event == CHOSEN
    first, refusal, hello, info, again = peer.messages_to_send()
    assert (first, refusal, hello, again) == (b"OK\r\n", b"ERROR AUTH no such user\r\n", HELLO, HELLO)
    assert [each["id"] for each in json.loads(info[17:])["station"]] == ["XX_AAA", "YY_BBB"]


@pytest.mark.parametrize("word", ["auth", "info", "info_error", "catalog"])
def test_nothing_is_answered_that_was_not_asked(word: str) -> None:
    peer = new_server()
    arguments: dict[str, list[Any]] = {"info_error": [Refusal(ErrorCode.INTERNAL, "")], "catalog": [STATIONS]}
    with pytest.raises(LocalProtocolError, match="to answer"):
        getattr(peer, f"send_{word}")(*arguments.get(word, []))
    assert peer.data_to_send() == b""


def test_too_many_commands_behind_a_question_are_refused() -> None:
    peer = new_server()
    feed(peer, V4 + b"AUTH JWT token\r\n")
    with pytest.raises(TooMuchAhead, match="limit is 1048576"):
        list(peer.receive_data(b"\r\n" * (MAX_AHEAD_BYTES // 2 + 1)))
    with pytest.raises(TooMuchAhead):
        list(peer.receive_data(b""))
    with pytest.raises(TooMuchAhead):
        peer.receive_eof()


def test_a_flood_is_refused_after_what_was_whole() -> None:
    peer, events = new_server(), list[ServerEvent]()
    with pytest.raises(CommandTooLong):
        events.extend(peer.receive_data(b"USERAGENT x\r\n" + b"A" * 20_000))
    for event in new_server().receive_data(b"USERAGENT x\r\n" + b"A" * 20_000):
        assert event == AgentNamed("x")
        break


def test_a_client_that_closes_in_the_middle_of_a_command_is_reported() -> None:
    peer = new_server()
    assert feed(peer, b"HELLO\r\nSTAT") == []
    with pytest.raises(SeedLinkCut, match="in the middle of the command 'STAT'"):
        peer.receive_eof()
    with pytest.raises(SeedLinkCut):
        list(peer.receive_data(b"ION\r\n"))


# ---------------------------------------------------------------- INFO


def info_v3(peer: SeedLinkServer) -> tuple[list[bytes], list[bytes], bytes]:
    """Return headers, records and text of an answer."""
    data = peer.data_to_send()
    assert len(data) % 520 == 0
    packets = [data[at : at + 520] for at in range(0, len(data), 520)]
    texts = [packet[72 : 72 + int.from_bytes(packet[38:40], "big")] for packet in packets]
    return [packet[:8] for packet in packets], [packet[8:] for packet in packets], b"".join(texts)


@pytest.mark.parametrize("level", [b"ID", b"capabilities"])
def test_version_3_answers_by_itself_what_it_knows(level: bytes) -> None:
    peer = new_server()
    assert feed(peer, b"INFO " + level + b"\r\n") == []
    headers, records, text = info_v3(peer)
    assert headers == [b"SLINFO *"] * (len(headers) - 1) + [b"SLINFO  "]
    assert all(record[15:18] == b"INF" for record in records)
    document = read_xml(text)
    assert (document.software, document.organization) == (IDENTITY.hello.software, "Institute")
    assert document.capabilities == (() if level == b"ID" else IDENTITY.capabilities_v3)


@pytest.mark.parametrize("level", [b"STATIONS", b"STREAMS", b"GAPS", b"CONNECTIONS", b"ALL"])
def test_version_3_asks_the_program_for_the_rest(level: bytes) -> None:
    peer = new_server()
    assert feed(peer, b"INFO " + level + b"\r\n") == [InfoRequested(InfoItem(level.decode()))]
    peer.send_info(STATIONS, [ConnectionDescription("::1", 1, 0)])
    document = read_xml(info_v3(peer)[2])
    has_stations, has_connections = level != b"CONNECTIONS", level in (b"CONNECTIONS", b"ALL")
    assert [each.station_id for each in document.stations] == ["XX_AAA", "YY_BBB"] * has_stations
    assert [each.host for each in document.connections] == ["::1"] * has_connections


@pytest.mark.parametrize("command", [b"INFO NONSENSE", b"INFO", b"INFO FORMATS", b"INFO ID *"])
@pytest.mark.parametrize("before", [b"", b"DATA\r\n"])
def test_version_3_answers_what_it_does_not_know_with_an_error_record(command: bytes, before: bytes) -> None:
    peer = new_server()
    assert isinstance(feed(peer, before + command + b"\r\n")[-1], CommandRefused)
    headers, (record,), text = info_v3(peer)
    assert headers == [b"SLINFO  "]
    assert record[15:18] == b"ERR"
    assert read_xml(text).software == IDENTITY.hello.software


def info_v4(peer: SeedLinkServer) -> tuple[bytes, dict[str, Any]]:
    """Return format and subformat, and the text of an answer."""
    data = peer.data_to_send()
    assert data[:2] == b"SE"
    assert data[8:17] == bytes(9)  # no sequence, no station
    assert int.from_bytes(data[4:8], "little") == len(data) - 17
    return data[2:4], json.loads(data[17:])


def test_version_4_answers_with_json() -> None:
    peer = new_server()
    feed(peer, V4)
    peer.data_to_send()
    for item, key in ((b"ID", "server_start"), (b"FORMATS", "filter"), (b"CAPABILITIES", "capability")):
        assert feed(peer, b"INFO " + item + b"\r\n") == []
        kind, answer = info_v4(peer)
        assert kind == b"JI"
        assert key in answer
        assert (answer["software"], answer["organization"]) == (IDENTITY.hello.software, "Institute")
    assert answer["capability"] == list(IDENTITY.capabilities_v4)


def test_version_4_takes_patterns() -> None:
    peer = new_server()
    feed(peer, V4 + b"STATION *\r\nEND\r\n")
    peer.data_to_send()
    assert feed(peer, b"INFO STREAMS xx_* 00_*\r\n") == [InfoRequested(InfoItem.STREAMS, "XX_*", "00_*")]
    peer.send_info(STATIONS)
    (station,) = info_v4(peer)[1]["station"]
    assert [stream["id"] for stream in station["stream"]] == ["00_H_H_Z"]


@pytest.mark.parametrize("command", [b"INFO NONSENSE", b"INFO GAPS", b"INFO ALL", b"INFO STREAMS * * *", b"INFO"])
def test_version_4_answers_what_it_does_not_know_with_an_error_packet(command: bytes) -> None:
    peer = new_server()
    feed(peer, V4)
    peer.data_to_send()
    (event,) = feed(peer, command + b"\r\n")
    assert isinstance(event, CommandRefused)
    kind, answer = info_v4(peer)
    assert kind == b"JE"
    assert answer["error"]["code"] == "ARGUMENTS"


def test_a_stranger_is_not_shown_the_connections() -> None:
    peer = new_server()
    feed(peer, V4 + b"INFO CONNECTIONS\r\n")
    peer.data_to_send()
    peer.send_info_error(Refusal(ErrorCode.UNAUTHORIZED, "not for you"))
    assert info_v4(peer)[1]["error"] == {"code": "UNAUTHORIZED", "message": "not for you"}


def test_an_answer_that_is_too_long_leaves_the_question_open() -> None:
    peer = new_server()
    feed(peer, V4 + b"INFO STATIONS\r\n")
    peer.data_to_send()
    with pytest.raises(LocalProtocolError, match="limit is 33554432"):
        peer.send_info([StationDescription("XX", "AAA", "x" * (1 << 25))])
    assert peer.is_waiting
    peer.send_info_error(Refusal(ErrorCode.INTERNAL, "too many stations"))
    assert info_v4(peer)[0] == b"JE"


def test_the_obsolete_catalog_is_lines() -> None:
    peer = new_server()
    assert feed(peer, b"CAT\r\n") == [CatalogRequested()]
    peer.send_catalog(STATIONS)
    assert peer.data_to_send() == b"XX AAA   Hill\r\nYY BBB   \r\nEND\r\n"
