"""Commands and their bytes are the same thing; what a server answers to wrong ones."""

import re

import pytest

from rawdaq.errors import LocalProtocolError
from rawdaq.protocols.datalink import (
    MAX_PACKET_ID,
    AuthToken,
    AuthUserPass,
    BadCommand,
    Bye,
    Command,
    DataLinkServer,
    EndStream,
    Identify,
    Info,
    InfoType,
    Match,
    Place,
    PositionAfter,
    PositionSet,
    Read,
    Reject,
    Stream,
    Write,
)
from rawdaq.protocols.datalink.commands import encode
from tests.protocols.datalink_wire import packed, receive

SID = "FDSN:XX_TOWR_00_H_H_Z/MSEED"
T = 1_750_000_000_000_000
CASES: list[tuple[Command, bytes]] = [
    (Identify(), packed(b"ID")),
    (Identify("prog:me:7:linu"), packed(b"ID prog:me:7:linu")),
    (Identify("prog:m\udcfc:7:x"), packed(b"ID prog:m\xfc:7:x")),
    (AuthUserPass("me", "se cret"), packed(b"AUTH USERPASS 10", b"me\rse cret")),
    (AuthToken("a.b.c"), packed(b"AUTH JWT 5", b"a.b.c")),
    (PositionSet(7), packed(b"POSITION SET 7")),
    (PositionSet(7, T * 1000), packed(b"POSITION SET 7 1750000000000000")),
    (PositionSet(Place.EARLIEST), packed(b"POSITION SET EARLIEST")),
    (PositionSet(Place.LATEST), packed(b"POSITION SET LATEST")),
    (PositionAfter(-5000), packed(b"POSITION AFTER -5")),
    (Match("^FDSN:XX"), packed(b"MATCH 8", b"^FDSN:XX")),
    (Match(""), packed(b"MATCH 0")),
    (Match(None), packed(b"MATCH")),
    (Reject("/JSON$"), packed(b"REJECT 6", b"/JSON$")),
    (Reject(None), packed(b"REJECT")),
    (
        Write(SID, T * 1000, (T + 999_999) * 1000, b"x" * 100),
        packed(b"WRITE FDSN:XX_TOWR_00_H_H_Z/MSEED 1750000000000000 1750000000999999 A 100", b"x" * 100),
    ),
    (Write("a", -1000, 0, b"x", False), packed(b"WRITE a -1 0 N 1", b"x")),
    (Write("a", 0, 0, b"x", True, 9), packed(b"WRITE a 0 0 AI 1 9", b"x")),
    (Write("a", 0, 0, b"x", False, MAX_PACKET_ID), packed(b"WRITE a 0 0 NI 1 18446744073709551604", b"x")),
    (Read(4711), packed(b"READ 4711")),
    (Stream(), packed(b"STREAM")),
    (EndStream(), packed(b"ENDSTREAM")),
    (Info(InfoType.STATUS), packed(b"INFO STATUS")),
    (Info(InfoType.STREAMS, "^XX"), packed(b"INFO STREAMS 3", b"^XX")),
    (Bye(), packed(b"BYE")),
]


@pytest.mark.parametrize(("command", "wire"), CASES)
@pytest.mark.parametrize("size", [1, 3, 4096])
def test_a_command_and_its_bytes_are_the_same_thing(command: Command, wire: bytes, size: int) -> None:
    assert encode(command) == wire
    assert receive(DataLinkServer(512), wire, size) == [command]


@pytest.mark.parametrize("size", [0, 1, 7])
def test_commands_that_come_together_are_all_read_wherever_they_are_cut(size: int) -> None:
    server = DataLinkServer(512)
    assert receive(server, b"".join(wire for _, wire in CASES), size) == [command for command, _ in CASES]
    assert server.buffered_bytes == 0


def test_nothing_is_read_after_bye() -> None:
    server = DataLinkServer(512)
    assert receive(server, packed(b"BYE") + packed(b"ID") + b"garbage") == [Bye()]
    server.receive_eof()


@pytest.mark.parametrize(
    ("header", "command"),
    [
        (b"id x", Identify("x")),
        (b"match", Match(None)),
        (b"Position set earliest", PositionSet(Place.EARLIEST)),
        (b"POSITION SET LATEST 17", PositionSet(Place.LATEST)),
        (b"info streams", Info(InfoType.STREAMS)),
        (b"READ\t7 \r\n", Read(7)),
        (b"STREAM  now", Stream()),
    ],
)
def test_words_may_be_in_any_case_and_apart_by_any_white_space(header: bytes, command: Command) -> None:
    assert receive(DataLinkServer(512), packed(header)) == [command]


@pytest.mark.parametrize(
    ("header", "data", "text"),
    [
        (b"FROBNICATE 1 2", b"", "Unrecognized command"),
        (b"  ", b"", "Unrecognized command"),
        (b"AUTH", b"", "AUTH requires 2 arguments"),
        (b"AUTH USERPASS x", b"", "AUTH size argument is invalid"),
        (b"AUTH USERPASS 2", b"me", "AUTH USERPASS requires a payload of USER\\rPASS"),
        (b"AUTH FOO 3", b"abc", "Unsupported AUTH type"),
        (b"AUTH JWT 5000", b"y" * 5000, "AUTH credentials are too large"),
        (b"POSITION", b"", "Error parsing POSITION command parameters"),
        (b"POSITION SET", b"", "Error parsing POSITION command parameters"),
        (b"POSITION SET abc", b"", "Error parsing POSITION command parameters"),
        (b"POSITION SET -1", b"", "Error parsing POSITION command parameters"),
        (b"POSITION SET 1 x", b"", "Error parsing POSITION command parameters"),
        (b"POSITION SET 1 2 3", b"", "Error parsing POSITION command parameters"),
        (b"POSITION AFTER 1.5", b"", "Error parsing POSITION command parameters"),
        (b"POSITION WRONG 1", b"", "Error parsing POSITION command parameters"),
        (b"MATCH x", b"", "MATCH size argument is invalid"),
        (b"REJECT 1 2", b"", "REJECT size argument is invalid"),
        (b"READ", b"", "Error parsing READ command parameters"),
        (b"READ abc", b"", "Error parsing READ command parameters"),
        (b"READ 1 2", b"", "Error parsing READ command parameters"),
    ],
)
def test_a_wrong_command_is_answered_and_the_next_one_is_in_step(header: bytes, data: bytes, text: str) -> None:
    assert receive(DataLinkServer(512), packed(header, data) + packed(b"ID"), 1) == [BadCommand(text), Identify()]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"WRITE", "Error parsing WRITE"),
        (b"WRITE a 1 2 A", "Error parsing WRITE"),
        (b"WRITE a one 2 A 3", "Error parsing WRITE"),
        (b"WRITE a 1 2 A three", "Error parsing WRITE"),
        (b"WRITE a 1.5 2 A 1", "Error parsing WRITE"),
        (b"WRITE a 9223372036854776 2 A 1", "Error parsing WRITE"),
        (b"WRITE a 1 2 A 513", r"Packet size \(513\) is too large for ring, maximum is 512 bytes"),
        (b"WRITE " + b"a" * 64 + b" 1 2 A 1", "stream ID too long"),
        (b"WRITE a 1 2 I 1", "Flag I needs"),
        (b"WRITE a 1 2 I 1 x", "Flag I needs"),
        (b"WRITE a 1 2 I 1 18446744073709551605", "Flag I needs"),
        (b"MATCH 1048577", "match expression too large"),
        (b"AUTH JWT 1048577", "too large"),
        (b"INFO", "Unrecognized INFO"),
        (b"INFO NONSENSE", "Unrecognized INFO"),
        (b"INFO STREAMS x", "Unrecognized INFO"),
        (b"INFO STREAMS 1 2", "Unrecognized INFO"),
        (b"INFO STREAMS 1048577", "INFO expression is too large"),
    ],
)
def test_nothing_is_read_after_a_command_that_leaves_the_server_out_of_step(header: bytes, text: str) -> None:
    server = DataLinkServer(512)
    (event,) = receive(server, packed(header) + b"x" + packed(b"ID"))
    assert isinstance(event, BadCommand)
    assert event.closes
    assert re.search(text, event.text)
    assert receive(server, packed(b"ID")) == []


def test_a_packet_id_without_flag_i_is_ignored() -> None:
    assert receive(DataLinkServer(512), packed(b"WRITE a 0 0 A 1 99", b"x")) == [Write("a", 0, 0, b"x")]


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (Identify("x" * 253), r"header 'ID xxx.*\.\.\.' has 256 bytes, the limit is 255"),
        (AuthUserPass("a\rb", "c"), "a user name cannot contain a carriage return"),
        (AuthToken("x" * 4096), "the data of AUTH JWT have 4096 bytes, the limit is 4095"),
        (Match("x" * (1 << 20) + "x"), "the data of MATCH have 1048577 bytes, the limit is 1048576"),
    ],
)
def test_what_no_command_can_say_is_refused(command: Command, text: str) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        encode(command)
