"""Both sides against each other, and against whatever comes."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols import datalink
from rawdaq.protocols.datalink import (
    Acknowledged,
    Answer,
    Command,
    DataLinkClient,
    DataLinkServer,
    DataPacket,
    Identify,
    Identity,
    Match,
    Ok,
    Read,
    Stream,
    Streamed,
    Write,
)
from rawdaq.protocols.datalink.replies import encode
from tests.protocols.datalink_wire import ID_TEXT, packed

US = st.integers(-(10**15), 9 * 10**15).map(lambda time_us: time_us * 1000)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=63)
WRITES = st.builds(
    Write, NAMES, US, US, st.binary(min_size=1, max_size=512), st.booleans(), st.none() | st.integers(0, 2**64 - 12)
)
PACKETS = st.builds(DataPacket, NAMES, st.integers(0, 2**64 - 1), US, US, US, st.binary(max_size=600))
CUTS = st.lists(st.integers(1, 300), max_size=50)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Return *data* in pieces of *sizes*, and the rest."""
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def test_every_name_of_the_protocol_is_there() -> None:
    assert all(hasattr(datalink, name) for name in datalink.__all__)


@given(st.lists(WRITES | st.builds(Match, st.none() | NAMES) | st.builds(Read, st.integers(0, 2**64 - 1))), CUTS)
def test_what_a_client_says_is_what_the_server_hears(commands: list[Command], sizes: list[int]) -> None:
    client, server = DataLinkClient(), DataLinkServer(512)
    for command in commands:
        client.send(command)
    data = client.data_to_send()
    assert [event for piece in cut(data, sizes) for event in server.receive_data(piece)] == commands


@given(st.lists(PACKETS | st.just(None)), CUTS)
def test_what_a_server_says_is_what_the_client_hears(replies: list[DataPacket | None], sizes: list[int]) -> None:
    client = DataLinkClient()
    client.send(Stream())
    data, ids = b"", 0
    for reply in replies:
        if reply is None:
            client.send(Write("a", 0, 0, b"x"))
            ids += 1
        data += encode(Ok(ids) if reply is None else reply)
    events = [event for piece in cut(data, sizes) for event in client.receive_data(piece)]
    packets = [packet for event in events if isinstance(event, Streamed) for packet in event.packets]
    assert packets == [each for each in replies if each]
    assert [each for event in events if isinstance(event, Acknowledged) for each in event.packet_ids] == list(
        range(1, ids + 1)
    )


WORDS = st.sampled_from([b"PACKET", b"OK", b"ERROR", b"INFO", b"ID", b"WRITE", b"AUTH", b"MATCH", b"POSITION", b"READ"])
NUMBERS = st.integers(-5, 600).map(lambda number: b"%d" % number)
LIKE_HEADERS = st.lists(WORDS | NUMBERS | st.binary(max_size=5), max_size=9).map(lambda words: b" ".join(words)[:255])
JUNK = st.lists(st.binary(max_size=40) | st.builds(packed, LIKE_HEADERS, st.binary(max_size=20)), max_size=10)


@given(JUNK, CUTS)
def test_whatever_comes_is_an_event_or_an_error_and_little_is_held(junk: list[bytes], sizes: list[int]) -> None:
    client, server = DataLinkClient(), DataLinkServer(512)
    for command in (Identify(), Write("a", 0, 0, b"x"), Match(None), Stream()):
        client.send(command)
    for peer in (client, server):
        with contextlib.suppress(RemoteProtocolError):
            for piece in cut(b"".join(junk), sizes):
                list(peer.receive_data(piece))
            peer.receive_eof()
        assert peer.buffered_bytes <= sum(map(len, junk))


@given(PACKETS.filter(lambda packet: len(packet.data) > 0), st.data())
def test_a_flipped_byte_never_makes_an_error_of_another_kind(packet: DataPacket, data: st.DataObject) -> None:
    client = DataLinkClient()
    client.send(Identify())
    client.send(Stream())
    wire = bytearray(encode(Identity.of(ID_TEXT)) + encode(packet))
    wire[data.draw(st.integers(0, len(wire) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(RemoteProtocolError):
        for event in client.receive_data(bytes(wire)):
            assert isinstance(event, Streamed | Answer)
