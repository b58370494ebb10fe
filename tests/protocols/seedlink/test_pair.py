"""Client and server agree in memory, in both versions and whatever the pieces are in which bytes travel."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq.miniseed.text import text_records
from rawdaq.protocols.seedlink import (
    AgentNamed,
    AuthMethod,
    Credentials,
    DataPacket,
    Goodbye,
    InfoItem,
    InfoReceived,
    Ready,
    SeedLinkClient,
    SeedLinkServer,
    SeedLinkVersion,
    Selector,
    Start,
    StationRequest,
    Streaming,
    TransferEnded,
    TransferRequested,
)
from rawdaq.protocols.seedlink.info.v3 import read_xml
from rawdaq.protocols.seedlink.info.v4 import read_json
from rawdaq.times import from_calendar
from tests.protocols.seedlink.pair import CLIENTS, IDENTITY, STATIONS, ConnectionPair
from tests.protocols.seedlink.records import record_2

V3, V4 = SeedLinkVersion.V3, SeedLinkVersion.V4
NINE_NS = from_calendar(2026, 333, 9, 0, 0)
SIZES = [1, 7, 1 << 20]
PACKETS = [DataPacket("XX_AAA", number, record_2()) for number in range(1, 4)]
HHZ = Selector.parse("00_H_H_Z")

REQUESTS = [
    [StationRequest("XX_AAA", (HHZ,), start=17), StationRequest("YY_*", begin_ns=NINE_NS, start=Start.OLDEST)],
    [StationRequest("*")],
    [StationRequest("XX_AAA", start=0, is_dial_up=True)],
]


@pytest.mark.parametrize("version", [V3, V4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("requests", REQUESTS)
def test_the_server_gets_what_the_client_wants_and_the_client_gets_it(
    version: SeedLinkVersion, size: int, requests: list[StationRequest]
) -> None:
    pair = ConnectionPair(SeedLinkClient(version), size)
    pair.client.send_requests(requests)
    pair.settle()
    is_dial_up = requests[0].is_dial_up
    wanted = [each if version is V4 or each.station != "*" else StationRequest("*_*") for each in requests]
    (asked,) = [event for event in pair.at_server if isinstance(event, TransferRequested)]
    assert [str(each.selectors) for each in asked.requests] == [
        str(tuple(Selector.parse(one.v3 if version is V3 else one.v4) for one in each.selectors)) for each in wanted
    ]
    assert [(each.station, each.start, each.begin_ns) for each in asked.requests] == [
        (each.station, each.start, each.begin_ns) for each in wanted
    ]
    assert asked.is_dial_up is is_dial_up
    for packet in PACKETS:
        pair.server.send_packet(packet)
    pair.server.send_end()
    pair.deliver()
    assert pair.at_client[1:] == [Streaming(), *PACKETS, TransferEnded()]
    pair.client.send_bye()
    pair.settle()
    assert pair.at_server[-1] == Goodbye()
    pair.client.receive_eof()


@pytest.mark.parametrize("size", SIZES)
def test_both_sides_agree_on_the_newest_version_and_who_the_client_is(size: int) -> None:
    user = Credentials(AuthMethod.USERPASS, ("user", "secret"))
    pair = ConnectionPair(SeedLinkClient(credentials=user, agent="rawdaq/1"), size)
    assert pair.at_client == [Ready(V4, IDENTITY.hello)]
    assert pair.at_server[1] == AgentNamed("rawdaq/1")
    assert pair.server.version is pair.client.version is V4


@pytest.mark.parametrize("item", [*InfoItem])
@pytest.mark.parametrize("version", [V3, V4])
@pytest.mark.parametrize("is_streaming", [False, True])
def test_every_answer_is_understood(item: InfoItem, version: SeedLinkVersion, is_streaming: bool) -> None:
    pair = ConnectionPair(SeedLinkClient(version), 100)
    if is_streaming:
        pair.client.send_requests([StationRequest("*")])
        pair.settle()
    if item in ((InfoItem.FORMATS,) if version is V3 else (InfoItem.GAPS, InfoItem.ALL)):
        return
    pair.client.send_info(item)
    pair.settle()
    answer = pair.at_client[-1]
    assert isinstance(answer, InfoReceived)
    assert (answer.item, answer.is_error) == (item, False)
    document = (read_xml if version is V3 else read_json)(answer.text)
    assert (document.software, document.organization) == (IDENTITY.hello.software, "Institute")
    if item is InfoItem.STREAMS:
        assert document.stations == STATIONS
    if item is InfoItem.CONNECTIONS:
        assert document.connections[0].client == CLIENTS[0].client


@pytest.mark.parametrize("version", [V3, V4])
@given(st.lists(st.binary(max_size=30), max_size=20), st.data())
def test_any_bytes_to_a_client_are_events_or_an_error(
    version: SeedLinkVersion, pieces: list[bytes], data: st.DataObject
) -> None:
    pair = ConnectionPair(SeedLinkClient(version), 1000)
    if data.draw(st.booleans()):
        pair.client.send_requests([StationRequest("*")])
        pair.settle()
    try:
        for piece in pieces:
            list(pair.client.receive_data(data.draw(st.sampled_from([b"", b"SL000001", b"SE2D", b"OK\r\n"])) + piece))
        pair.client.receive_eof()
    except RemoteProtocolError as error:
        with pytest.raises(type(error)):
            list(pair.client.receive_data(b""))


_WORDS = st.sampled_from(
    "HELLO SLPROTO 4.0 3.1 STATION SELECT DATA END ENDFETCH FETCH TIME INFO STREAMS ID ALL BATCH CAT AUTH USERPASS "
    "XX_AAA AAA XX HHZ * !00_H_H_Z.2D:3 1970,1,1,0,0,0 2026-11-29T09:00:00Z 0x2B BYE CAPABILITIES "
    "EXTREPLY USERAGENT".split()
)
_LINES = st.lists(st.lists(_WORDS | st.text(max_size=5), max_size=5).map(" ".join), max_size=20)


@given(_LINES, st.sampled_from([1, 10, 10_000]))
def test_any_lines_to_a_server_are_answered(lines: list[str], size: int) -> None:
    data = "\r\n".join([*lines, ""]).encode()
    whole, cut = SeedLinkServer(IDENTITY, text_records), SeedLinkServer(IDENTITY, text_records)
    events = [str(event) for event in whole.receive_data(data)]
    assert events == [str(each) for at in range(0, len(data), size) for each in cut.receive_data(data[at : at + size])]
    assert whole.data_to_send() == cut.data_to_send()
    assert whole.version is cut.version


@given(st.lists(st.tuples(st.integers(0, 2**64 - 3), st.binary(max_size=600)), max_size=5), st.integers(1, 700))
def test_any_packets_arrive_as_they_were_sent(payloads: list[tuple[int, bytes]], size: int) -> None:
    pair = ConnectionPair(SeedLinkClient(), size)
    pair.client.send_requests([StationRequest("*")])
    pair.settle()
    packets = [DataPacket("XX_AAA", sequence, payload) for sequence, payload in payloads]
    for packet in packets:
        pair.server.send_packet(packet)
    pair.deliver()
    assert pair.at_client[2:] == packets
