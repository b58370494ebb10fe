"""The client's codec: replies and their bytes, pairing, runs of acknowledgements, what a server may do wrong."""

import pickle

import pytest

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.protocols.datalink import (
    Acknowledged,
    Answer,
    AuthUserPass,
    Bye,
    Command,
    DataLinkClient,
    DataPacket,
    EndStream,
    Identify,
    Identity,
    Info,
    InfoReply,
    InfoType,
    Match,
    Ok,
    PositionSet,
    Read,
    Refused,
    Reject,
    Reply,
    Stream,
    Streamed,
    StreamEnded,
    Write,
)
from rawdaq.protocols.datalink.errors import (
    BadMagic,
    ConnectionCut,
    HeaderTooShort,
    MalformedReply,
    MessageCut,
    PayloadTooLarge,
    UnexpectedReply,
    UnknownReply,
)
from rawdaq.protocols.datalink.replies import decode, encode, read_header
from tests.protocols.datalink_wire import ID_TEXT, Pair, packed, receive

PACKET = DataPacket("XX_A__HHZ/MSEED", 2**64 - 12, 1_750_000_000_000_001_000, -5000, 0, b"\x00data")
STREAMED = Streamed([PACKET], len(PACKET.wire))
CASES: list[tuple[Reply, bytes]] = [
    (Identity.of(ID_TEXT), packed(b"ID " + ID_TEXT.encode())),
    (Ok(4711), packed(b"OK 4711 0")),
    (Ok(7, "Positioned to packet ID 7"), packed(b"OK 7 25", b"Positioned to packet ID 7")),
    (Refused("Packet not found"), packed(b"ERROR 0 16", b"Packet not found")),
    (InfoReply("STATUS", b"<DataLink/>"), packed(b"INFO STATUS 11", b"<DataLink/>")),
    (StreamEnded(), packed(b"ENDSTREAM")),
    (
        PACKET,
        packed(b"PACKET XX_A__HHZ/MSEED 18446744073709551604 1750000000000001 -5 0 5", b"\x00data"),
    ),
]


@pytest.mark.parametrize(("reply", "wire"), CASES)
def test_a_reply_and_its_bytes_are_the_same_thing(reply: Reply, wire: bytes) -> None:
    assert encode(reply) == wire
    header, size = read_header(wire[3 : 3 + wire[2]])
    data = wire[3 + wire[2] :]
    assert size == len(data)
    assert decode(header, data) == reply


def test_an_identity_says_what_a_server_can() -> None:
    identity = Identity.of(ID_TEXT)
    assert (identity.software, identity.protocol, identity.packet_size) == (
        "DataLink v1.1 (RingServer/4.5.3)",
        (1, 1),
        512,
    )
    assert (identity.can_write, identity.can_authenticate) == (True, True)
    assert dict(identity.capabilities) == {"DLPROTO": "1.1", "PACKETSIZE": "512", "WRITE": "", "AUTH": ""}
    old = Identity.of("DataLink 2020.075 :: DLPROTO:x PACKETSIZE:many NEW:1:2")
    assert (old.protocol, old.packet_size, old.can_write, old.can_authenticate) == ((1, 0), None, False, False)
    assert old.capabilities["NEW"] == "1:2"
    assert Identity.of("").protocol == (1, 0)


@pytest.mark.parametrize("size", [0, 1, 3])
def test_each_reply_is_paired_with_its_command(size: int) -> None:
    pair = Pair(text=ID_TEXT, size=size)
    exchanges: list[tuple[Command, Reply]] = [
        (Info(InfoType.STATUS), InfoReply("STATUS", b"<DataLink/>")),
        (Info(InfoType.STREAMS, "x"), Refused("Error generating INFO response")),
        (Match("^XX"), Ok(3, "3 streams selected after match")),
        (Reject("((("), Refused("Error with reject expression")),
        (AuthUserPass("me", "x"), Ok(0, "Authentication successful")),
        (PositionSet(7), Ok(7, "Positioned to packet ID 7")),
        (Read(8), PACKET),
        (Read(9), Refused("Packet 9 not found in ring")),
        (EndStream(), StreamEnded()),
        (Identify("again"), Identity.of(ID_TEXT)),
    ]
    for command, _ in exchanges:
        assert pair.ask(command) == [command]
    assert pair.answer(*(reply for _, reply in exchanges)) == [Answer(*exchange) for exchange in exchanges]
    pair.client.receive_eof()
    assert pair.client.buffered_bytes == 0


@pytest.mark.parametrize("size", [0, 1, 3])
def test_packets_come_between_answers_until_the_end_of_the_stream(size: int) -> None:
    pair = Pair(text=ID_TEXT, size=size)
    pair.ask(Stream())
    pair.ask(Identify("alive"))
    pair.ask(Write("a", 0, 0, b"x"))
    pair.ask(EndStream())
    pair.ask(Read(8))
    assert pair.client.is_streaming
    events = pair.answer(PACKET, Identity.of(ID_TEXT), PACKET, Ok(5), PACKET, StreamEnded(), PACKET)
    assert events == [
        STREAMED,
        Answer(Identify("alive"), Identity.of(ID_TEXT)),
        STREAMED,
        Acknowledged([5]),
        STREAMED,
        Answer(EndStream(), StreamEnded()),
        Answer(Read(8), PACKET),
    ]
    assert not pair.client.is_streaming


def test_a_stream_that_begins_again_before_its_end_is_answered_goes_on() -> None:
    pair = Pair(text=ID_TEXT)
    for command in (Stream(), EndStream(), PositionSet(7), Stream()):
        pair.ask(command)
    pair.answer(PACKET, StreamEnded(), Ok(7, "Positioned"))
    assert pair.client.is_streaming
    assert pair.answer(PACKET) == [STREAMED]


def test_read_then_stream_in_one_go_gives_the_named_packet_first() -> None:
    pair = Pair(text=ID_TEXT)
    pair.ask(Read(7))
    pair.ask(Stream())
    assert pair.answer(PACKET, PACKET) == [Answer(Read(7), PACKET), STREAMED]


def test_what_would_end_streaming_without_a_word_is_refused() -> None:
    pair = Pair(text=ID_TEXT)
    pair.ask(Stream())
    for command in (Read(1), Match(None), PositionSet(1), AuthUserPass("a", "b")):
        with pytest.raises(LocalProtocolError, match=f"{type(command).__name__} ends streaming"):
            pair.client.send(command)
    assert pair.client.data_to_send() == b""


@pytest.mark.parametrize("size", [0, 1, 13, 1000])
def test_acknowledgements_come_in_runs_however_they_are_cut(size: int) -> None:
    pair = Pair(text=ID_TEXT, size=size)
    for number in range(1000):
        pair.client.send(Write("a", number, number, b"x"))
    pair.client.send(Identify("end"))
    pair.client.send(Write("a", 0, 0, b"x"))
    replies: list[Reply] = [*map(Ok, range(8, 1008)), Identity.of(ID_TEXT), Ok(1008)]
    events = pair.answer(*replies)
    ids = [each for event in events if isinstance(event, Acknowledged) for each in event.packet_ids]
    assert ids == list(range(8, 1009))
    assert Answer(Identify("end"), Identity.of(ID_TEXT)) in events


def test_a_run_ends_where_what_was_written_ends() -> None:
    pair = Pair(text=ID_TEXT)
    pair.client.send(Write("a", 0, 0, b"x"))
    with pytest.raises(UnexpectedReply, match="'OK 2 0' while nothing was awaited"):
        pair.answer(Ok(1), Ok(2))


@pytest.mark.parametrize("size", [0, 1])
def test_an_ok_with_a_text_acknowledges_too(size: int) -> None:
    pair = Pair(text=ID_TEXT, size=size)
    pair.client.send(Write("a", 0, 0, b"x"))
    pair.client.send(Write("a", 0, 0, b"x"))
    assert receive(pair.client, packed(b"OK 1 0") + packed(b"OK 2 05", b"taken"), size) == [
        Acknowledged([1]),
        Acknowledged([2]),
    ]


def test_an_error_that_answers_no_command_stands_alone() -> None:
    pair = Pair(text=ID_TEXT)
    pair.client.send(Write("a", 0, 0, b"x", is_acknowledged=False))
    pair.client.send(Identify("proof"))
    assert pair.answer(Refused("Error adding packet to ring")) == [Refused("Error adding packet to ring")]
    pair.client.send(Write("a", 0, 0, b"x"))
    pair.answer(Identity.of(ID_TEXT))
    assert pair.answer(Refused("disk full")) == [Refused("disk full")]


@pytest.mark.parametrize(
    ("sent", "answered", "text"),
    [
        (None, Ok(1, "what?"), "unexpected DataLink reply 'OK 1 5' while nothing was awaited"),
        (None, PACKET, "while nothing was awaited"),
        (Write("a", 0, 0, b"x"), StreamEnded(), "while an acknowledgement was awaited"),
        (Match(None), InfoReply("STATUS", b""), "while the answer to Match was awaited"),
        (Identify(), Ok(1, "x"), "while the answer to Identify was awaited"),
    ],
)
def test_a_reply_to_something_else_is_an_error_for_ever(
    sent: Match | Write | Identify | None, answered: Reply, text: str
) -> None:
    pair = Pair(text=ID_TEXT)
    if sent is not None:
        pair.ask(sent)
    for _ in range(2):
        with pytest.raises(UnexpectedReply, match=text):
            pair.answer(answered)


@pytest.mark.parametrize(
    ("wire", "kind", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", BadMagic, "begins with 'HTT(P/1.1 400 Bad)?' instead of 'DL'"),
        (b"DL\x00", HeaderTooShort, "0 bytes"),
        (b"DL\x01A", HeaderTooShort, "1 bytes"),
        (packed(b"HELLO world"), UnknownReply, "unknown DataLink reply 'HELLO world'"),
        (packed(b"x" * 255), UnknownReply, r"'x+\.\.\.'"),
        (packed(b"OK 1"), MalformedReply, "'OK 1', expected 'OK value size'"),
        (packed(b"OK one 0"), MalformedReply, "'OK one 0', expected"),
        (packed(b"ERROR 0 -1"), MalformedReply, "expected 'ERROR value size'"),
        (packed(b"PACKET a 1 2 3 4"), MalformedReply, "expected 'PACKET streamid pktid pkttime start end size'"),
        (packed(b"INFO STATUS 99999999"), PayloadTooLarge, "announces 99999999 bytes, the limit is 67108864"),
    ],
)
@pytest.mark.parametrize("size", [0, 1])
def test_what_is_no_datalink_is_an_error_for_ever(
    wire: bytes, kind: type[RemoteProtocolError], text: str, size: int
) -> None:
    client = DataLinkClient()
    client.send(Match(None))
    assert client.data_to_send()
    with pytest.raises(kind, match=text) as raised:
        receive(client, wire + b"more", size)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    for again in (
        lambda: list(client.receive_data(b"")),
        client.receive_eof,
        lambda: list(client.receive_message(b"")),
    ):
        with pytest.raises(kind):
            again()


def test_a_connection_that_ends_in_the_middle_of_a_packet_is_an_error() -> None:
    client = DataLinkClient()
    client.receive_eof()
    receive(client, packed(b"INFO STATUS 100", b"<Data"), 1)
    assert client.buffered_bytes == 3 + 15 + 5
    for _ in range(2):
        with pytest.raises(ConnectionCut, match="23 bytes into a packet"):
            client.receive_eof()
    client = DataLinkClient()
    list(client.receive_data(b"D"))
    with pytest.raises(ConnectionCut, match="1 bytes"):
        client.receive_eof()


def test_an_answer_of_megabytes_in_many_chunks_is_one_event() -> None:
    client = DataLinkClient()
    client.send(Info(InfoType.STREAMS))
    xml = b"<DataLink>" + bytes(5_000_000)
    (event,) = receive(client, packed(b"INFO STREAMS %d" % len(xml), xml), 4096)
    assert event == Answer(Info(InfoType.STREAMS), InfoReply("STREAMS", xml))


def test_each_packet_has_a_message_of_its_own() -> None:
    client = DataLinkClient()
    client.send(Identify("a"))
    client.send(Stream())
    assert client.queued_packets == 2
    assert client.messages_to_send() == [packed(b"ID a"), packed(b"STREAM")]
    assert client.messages_to_send() == []
    assert list(client.receive_message(packed(b"ID x"))) == [Answer(Identify("a"), Identity.of("x"))]
    with pytest.raises(MessageCut, match="ended 5 bytes into a DataLink packet"):
        list(client.receive_message(b"DL\x05OK"))


def test_bye_is_not_answered() -> None:
    pair = Pair(text=ID_TEXT)
    assert pair.ask(Bye()) == [Bye()]
    pair.client.send(Identify())
    assert pair.answer(Identity.of("x")) == [Answer(Identify(), Identity.of("x"))]


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (Write("", 0, 0, b"x"), "stream id '' is empty"),
        (Write("a b", 0, 0, b"x"), "stream id 'a b' is empty, or has other characters"),
        (Write("ü", 0, 0, b"x"), "printable ASCII"),
        (Write("a" * 64, 0, 0, b"x"), "has 64 bytes, the server keeps 63"),
        (Write("a", 0, 0, b""), "a packet of a has no data"),
        (Write("a", 0, 0, b"x" * 513), r"a packet of a has 513 bytes, the server takes 512 \(its PACKETSIZE\)"),
    ],
)
def test_a_packet_that_the_server_would_refuse_is_refused_here(write: Write, text: str) -> None:
    pair = Pair(text=ID_TEXT)
    with pytest.raises(LocalProtocolError, match=text) as raised:
        pair.client.send(write)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert pair.client.data_to_send() == b""


def test_without_permission_nothing_is_written() -> None:
    pair = Pair(text="DataLink v1.1 :: DLPROTO:1.1")
    with pytest.raises(LocalProtocolError, match=r"the server \(DataLink v1.1\) gives no permission to write: add"):
        pair.client.send(Write("a", 0, 0, b"x" * 10_000))


def test_an_old_server_would_cut_ids_of_more_than_59_bytes() -> None:
    pair = Pair(text=ID_TEXT)
    write = Write("a" * 63, 0, 0, b"x")
    pair.ask(write)
    pair.ask(Identify())
    pair.answer(Ok(1), Identity.of("DataLink 2020.075 :: DLPROTO:1.0 WRITE"))
    with pytest.raises(LocalProtocolError, match="has 63 bytes, the server keeps 59"):
        pair.client.send(write)
    pair.ask(Write("a" * 59, 0, 0, b"x" * 10_000))  # it did not say its PACKETSIZE


def test_an_unknown_server_gets_what_is_written() -> None:
    client = DataLinkClient()
    client.send(Write("a", 0, 0, b"x" * 10_000))
    assert len(client.data_to_send()) > 10_000


def test_only_so_many_ids_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.protocols.datalink.client._MAX_CHECKED_IDS", 1)
    client = DataLinkClient()
    for name in ("a", "b", "a"):
        client.send(Write(name, 0, 0, b"x"))
    assert client._checked_ids == {"a"}
