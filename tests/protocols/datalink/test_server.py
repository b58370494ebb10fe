"""The server's codec beside its commands: messages, ends, replies."""

import pytest

from rawdaq.errors import LocalProtocolError
from rawdaq.protocols.datalink import DataLinkServer, Identify, Ok, Refused
from rawdaq.protocols.datalink.errors import BadMagic, ConnectionCut, MessageCut
from tests.protocols.datalink_wire import packed


def test_messages_may_hold_several_packets_but_no_half_one() -> None:
    server = DataLinkServer(512)
    assert list(server.receive_message(packed(b"ID a") + packed(b"ID b"))) == [Identify("a"), Identify("b")]
    with pytest.raises(MessageCut):
        list(server.receive_message(b"DL"))
    closed = DataLinkServer(512)
    assert len(list(closed.receive_message(packed(b"WRITE a 1 2 A 999", b"x" * 999)))) == 1
    assert list(closed.receive_message(b"DL")) == []


def test_replies_are_taken_once() -> None:
    server = DataLinkServer(512)
    server.send(Ok(1))
    server.send(Refused("no"))
    assert server.messages_to_send() == [packed(b"OK 1 0"), packed(b"ERROR 0 2", b"no")]
    assert server.data_to_send() == b""
    with pytest.raises(LocalProtocolError):
        server.send(Ok(10**255))


def test_what_is_no_datalink_is_an_error_and_so_is_half_a_command() -> None:
    server = DataLinkServer(512)
    with pytest.raises(BadMagic):
        list(server.receive_data(b"GET /id HTTP/1.1\r\n\r\n"))
    server = DataLinkServer(512)
    list(server.receive_data(packed(b"WRITE a 1 2 A 100", b"half")))
    assert server.buffered_bytes == 3 + 17 + 4
    with pytest.raises(ConnectionCut):
        server.receive_eof()
