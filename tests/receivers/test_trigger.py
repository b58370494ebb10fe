"""TriggerReceiver: events of declared layouts and of plug-ins over UDP, TCP and ZMQ; losses and nonsense counted."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Sequence
from typing import Any

import pytest
import yaml
import zmq

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.events import formats
from rawdaq.protocols.events import Event, EventFormat, MalformedMessage
from rawdaq.receivers.trigger import TriggerReceiver
from tests.event_receivers import STATION, EventKeeper, options_of, problems, receiving, send_datagrams, serving
from tests.helpers import until
from tests.receivers.zmq_senders import address_of, sending, subscribed

LAYOUT = """
byte_order: little
fields: [magic u16 = 0xCAFE, version u8 = 2, kind u8, errors u8, source u16, length8 u8, tack u64, phase u8,
  count u32, pps u32, clock u32, union b512, pattern rest]
"""
BOARD: dict[str, Any] = {
    "layout": yaml.safe_load(LAYOUT),
    "counter": "count",
    "time": {"field": "tack", "unit": "ns", "origin": "device"},
    "publish": ["source", "kind", "errors", "union"],
}
SMALL: dict[str, Any] = {"layout": {"fields": ["magic u8 = 7", "n u8", "t u64"]}, "counter": "n"}
TACK = 0x0102030405060708


def board(count: int, version: int = 2) -> bytes:
    layout = options_of(TriggerReceiver, port=0, **BOARD)["layout"].layout()
    values: dict[str, Any] = {
        "kind": 1,
        "errors": 2,
        "source": 0x0304,
        "length8": 1,
        "tack": TACK,
        "phase": 0x20,
        "count": count,
    }
    values |= {"pps": 5, "clock": 6, "union": [0, 9], "pattern": "00" * 512}
    data = bytes(layout.encode(values))
    return data[:2] + bytes([version]) + data[3:]


def small(n: int, t: int = 0) -> bytes:
    return bytes([7, n]) + t.to_bytes(8, "little")


async def test_a_datagram_is_an_event_with_its_bytes() -> None:
    async with receiving(TriggerReceiver, port=0, name="Triggers", **BOARD) as (receiver, keeper):
        send_datagrams(receiver, board(41))
        await until(lambda: keeper.messages)
    (header,), (message,) = keeper.headers, keeper.messages
    assert message.topic == "~event.XX.DEMO.Triggers"
    assert bytes(message.payload) == board(41)
    assert header.pop("received_ns") > 1_700_000_000_000_000_000
    assert header == {
        "rawdaq": 1,
        "kind": "event",
        "frame": 0,
        "component": "Triggers",
        "type": "trigger",
        "source": "127.0.0.1",
        "time_ns": None,
        "ps": 0,
        "device_ns": TACK,
        "counter": 41,
        "missed": 0,
        "backwards": False,
        "fields": {"kind": 1, "errors": 2, "source": 0x0304, "union": [0, 9]},
    }


async def test_jumps_and_nonsense_are_told_by_sender(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving(TriggerReceiver, port=0, **SMALL) as (receiver, keeper):
        for each in (small(5), small(9), small(7), b"", small(1)[:-1], small(1) + b"x", b"\6" + small(1)[1:], small(0)):
            send_datagrams(receiver, each)
        send_datagrams(receiver, small(200), small(203), source="127.0.0.2")
        await until(lambda: len(keeper.messages) == 6)
        status = receiver.receiver_status()
    assert [(each["counter"], each["missed"], each["backwards"]) for each in keeper.headers] == [
        (5, 0, False),
        (9, 3, False),
        (7, 0, True),
        (0, 0, False),
        (200, 0, False),
        (203, 2, False),
    ]
    assert status["sources"] == {
        "127.0.0.1": {"events": 4, "missed": 3, "backwards": 1, "malformed": 3, "foreign": 1},
        "127.0.0.2": {"events": 2, "missed": 2, "backwards": 0, "malformed": 0, "foreign": 0},
    }
    assert status["missed"] == 5
    assert status["refused_by_reason"] == {"malformed": 3, "foreign": 1}
    assert "jump: missing events: 3 of 127.0.0.1, 2 of 127.0.0.2; went back: 1 of 127.0.0.1" in caplog.text
    assert "refused a message from 127.0.0.1: foreign: magic is 6, not 7" in caplog.text


async def test_devices_behind_one_address_have_counters_of_their_own() -> None:
    layout = {"fields": ["id x1", "n u8"]}
    async with receiving(TriggerReceiver, port=0, layout=layout, counter="n", source="id") as (receiver, keeper):
        send_datagrams(receiver, b"\xaa\1", b"\xbb\7", b"\xaa\2", b"\xbb\x09")
        await until(lambda: len(keeper.messages) == 4)
    assert [(each["source"], each["missed"]) for each in keeper.headers] == [
        ("127.0.0.1/aa", 0),
        ("127.0.0.1/bb", 0),
        ("127.0.0.1/aa", 0),
        ("127.0.0.1/bb", 1),
    ]


async def test_only_the_senders_that_are_named_are_taken() -> None:
    async with receiving(TriggerReceiver, port=0, senders=["127.0.0.2"], **SMALL) as (receiver, keeper):
        send_datagrams(receiver, small(1))
        send_datagrams(receiver, small(2), source="127.0.0.2")
        await until(lambda: keeper.messages)
        await until(lambda: receiver.refusals.table())
        assert receiver.refusals.table() == {"127.0.0.1": {"foreign sender": 1}}
    assert [each["counter"] for each in keeper.headers] == [2]


async def test_a_float_that_is_no_number_is_null() -> None:
    async with receiving(TriggerReceiver, port=0, layout={"fields": ["a f32"]}) as (receiver, keeper):
        send_datagrams(receiver, bytes.fromhex("0000c07f"))
        await until(lambda: keeper.messages)
    assert keeper.headers[0]["fields"] == {"a": None}


async def test_what_is_too_long_to_publish_is_counted() -> None:
    layout = {"fields": ["n u8", "all rest"]}
    async with receiving(TriggerReceiver, layout=layout, publish=["all"], port=0, transport="tcp", length={"field": "n",
                         "times": 60_000, "plus_bytes": 1}) as (receiver, keeper):  # fmt: skip
        _, writer = await asyncio.open_connection("127.0.0.1", receiver.endpoints[0].port)
        writer.write(b"\0" + b"\1" + bytes(60_000) + b"\0")
        await until(lambda: len(keeper.messages) == 3)
        writer.close()
        await writer.wait_closed()
    assert [len(each["fields"]["all"]) for each in keeper.headers] == [0, 120_000, 0]


# ------------------------------------------------------------------------------------------------------ TCP and ZMQ

SIZED: dict[str, Any] = {"layout": {"fields": ["size u8", "n u8", "data rest"]}, "counter": "n", "length": "size"}


async def test_devices_connect_by_tcp_and_their_messages_are_found_in_pieces(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving(TriggerReceiver, port=0, transport="tcp", **SIZED) as (receiver, keeper):
        port = receiver.endpoints[0].port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        for chunk in (b"\4\1a", b"b\2", b"\2\3\3", b"x\5\4"):
            writer.write(chunk)
            await writer.drain()
        await until(lambda: len(keeper.messages) == 3)
        writer.close()
        await writer.wait_closed()
        await until(lambda: receiver.refusals.by_reason["malformed"])
        assert receiver.connections == 0
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        second.write(b"\2\7\1nonsense")
        assert await reader.read() == b""  # we closed: where the next message begins is unknown
        second.close()
        await until(lambda: receiver.refusals.by_reason["malformed"] == 2)
    assert [bytes(each.payload) for each in keeper.messages] == [b"\4\1ab", b"\2\2", b"\3\3x", b"\2\7"]
    assert "the peer closed after 2 bytes of a message of 5" in caplog.text


async def test_a_tcp_peer_is_dialled_again_and_again() -> None:
    connected: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await connected.put(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options: dict[str, Any] = {"transport": "tcp", "host": "127.0.0.1", "port": port}
    async with receiving(TriggerReceiver, **options, **SMALL) as (receiver, keeper):
        for number in (1, 2):
            writer = await connected.get()
            writer.write(small(number) + small(100)[: 5 * (number - 1)])
            await until(lambda number=number: len(keeper.messages) == number)  # type: ignore[misc]
            writer.close()
            await writer.wait_closed()
        await until(lambda: receiver.refusals.by_reason["malformed"] == 1)
        (await connected.get()).close()
    server.close()
    await server.wait_closed()
    assert [each["source"] for each in keeper.headers] == ["127.0.0.1"] * 2


async def test_foreign_devices_cannot_connect() -> None:
    options: dict[str, Any] = {"transport": "tcp", "port": 0, "senders": ["127.0.0.2"]}
    async with receiving(TriggerReceiver, **options, **SMALL) as (receiver, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.endpoints[0].port)
        with contextlib.suppress(ConnectionResetError):  # or it is closed, as it happens
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()
        assert receiver.refusals.table() == {"127.0.0.1": {"foreign sender": 1}}


async def test_messages_of_zmq_are_events(context: Any) -> None:
    with sending(context, zmq.XPUB) as publisher:
        address = address_of(publisher)
        async with receiving(TriggerReceiver, endpoints=[address], topics=["t"], **SMALL) as (_, keeper):
            await subscribed(publisher)
            publisher.send_multipart([b"trigger", small(1)])
            publisher.send_multipart([b"other", small(2)])
            publisher.send_multipart([b"t", small(3)])
            await until(lambda: len(keeper.messages) == 2)
    assert [(each["counter"], each["source"]) for each in keeper.headers] == [(1, address), (3, address)]


# -------------------------------------------------------------------------------------------------------- plug-ins


class Bunch(EventFormat):
    """Every byte is an event; some messages are wrong, and some break the format itself."""

    counter_bits = 8

    def events(self, message: bytes) -> Sequence[Event]:
        if message == b"bad":
            raise MalformedMessage("it is bad")
        if message == b"bug":
            raise ZeroDivisionError
        value: object = {1} if message == b"set" else 1
        return [Event("byte", {"value": value}, counter=each, payload=bytes([each])) for each in message]

    def status(self) -> dict[str, object]:
        return {"own": 1}


class NoFormat:
    """It is something else."""


class _Entry:
    def __init__(self, found: object) -> None:
        self.found, self.value, self.module, self.dist = found, "package:thing", "package", None

    def load(self) -> object:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"bunch": _Entry(Bunch), "none": _Entry(NoFormat), "broken": _Entry(ImportError("no such library"))}
    monkeypatch.setattr(formats, "installed", lambda: found)


@pytest.mark.usefixtures("plugins")
async def test_a_plug_in_makes_events_and_harms_nothing() -> None:
    async with receiving(TriggerReceiver, port=0, format="bunch") as (receiver, keeper):
        send_datagrams(receiver, b"\1\2\5", b"bad", b"bug", b"set", b"\6")
        await until(lambda: len(keeper.messages) == 4)
        table = receiver.cmd_sources()["127.0.0.1"]
    assert [(each["counter"], bytes(message.payload)) for each, message in zip(keeper.headers, keeper.messages,
            strict=True)] == [(1, b"\1"), (2, b"\2"), (5, b"\5"), (6, b"\6")]  # fmt: skip
    assert (table["malformed"], table["own"]) == (2, 1)
    assert receiver.refusals.by_reason == {"malformed": 1, "the format failed": 1, "cannot be published": 3}


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("bunsh", InvalidValue, "no format of events is called 'bunsh'; did you mean 'bunch'"),
        ("none", ComponentError, "format none: package:thing is no class of EventFormat; repair or reinstall"),
        ("broken", ComponentError, r"cannot be imported: ImportError\('no such library'\)"),
    ],
)
def test_a_plug_in_that_is_none_says_why(name: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        TriggerReceiver.streams(STATION, options_of(TriggerReceiver, port=1, format=name))


def test_what_is_installed_is_found() -> None:
    formats.installed.cache_clear()
    assert isinstance(formats.installed(), dict)


# --------------------------------------------------------------------------------------------------------- options


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"port": 1}, "give a layout, or the format of an outside package"),
        ({"port": 1, "format": "bunch", **SMALL}, "give a layout, or the format"),
        ({"port": 1, "format": "bunch", "counter": "n"}, "counter is for a layout; format 'bunch' knows it"),
        ({"port": 1, "format": "bunch", "transport": "tcp"}, "cannot find them in a byte stream: use datagrams or ZMQ"),
        ({"port": 1, "ports": [2], **SMALL}, "give either port or ports"),
        (SMALL, "where do messages come from? give a port, or endpoints"),
        ({"port": 1, "host": "a", **SMALL}, "host is a peer to connect to, with transport: tcp"),
        ({"port": 0, "host": "a", "transport": "tcp", **SMALL}, "a peer to connect to has one port, not 0"),
        ({"endpoints": ["tcp://a:1"], "host": "b", **SMALL}, "give one of endpoints and host"),
        ({"endpoints": ["tcp://a:1"], "port": 1, **SMALL}, "port is for UDP and TCP; with endpoints leave it out"),
        ({"endpoints": ["tcp://a:1", "tcp://a:1"], **SMALL}, "one address is there twice"),
        ({"endpoints": ["tcp://*:1"], **SMALL}, "an address with .* is where others can connect to"),
        ({"endpoints": ["tcp://a:1"], "pattern": "pull", "topics": ["a"], **SMALL}, "a pull gets everything"),
        ({"endpoints": ["tcp://a:1"], "senders": ["::1"], **SMALL}, "senders are for ports that we listen on"),
        ({"port": 1, "bind": True, **SMALL}, "bind and topics are for ZMQ"),
        (
            {"port": 1, "senders": ["192.0.2.7"], **SMALL},
            "nothing arrives from 192.0.2.7: ip 127.0.0.1 hears only this",
        ),
        ({"port": 1, "senders": ["x"], **SMALL}, "'x' is not an address or network"),
        ({"port": 1, "length": "n", **SMALL}, "length is for transport: tcp"),
        ({"port": 1, "transport": "tcp", "layout": SIZED["layout"]}, "a layout with a rest needs length"),
        ({"port": 1, **SMALL, "counter": "x"}, "the layout has no field 'x', only magic, n, t"),
        ({"port": 1, **SMALL, "time": {"field": "t", "unit": ["s", "ns"]}}, "time has 1 fields and 2 units"),
        ({"port": 1, **SMALL, "time": {"field": "t", "unit": "h"}}, "time.unit"),
        ({"port": 1, "layout": {"fields": ["a u7"]}}, "field 'a' has type 'u7'; there are"),
        ({"port": 1, "layout": {"fields": []}}, "layout.fields: is empty"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], text: str) -> None:
    assert re.search(text if ".*" in text else re.escape(text), problems(TriggerReceiver, **options))


@pytest.mark.parametrize(
    ("options", "things"),
    [
        ({"port": 8307}, ["UDP port 8307 of 127.0.0.1"]),
        ({"ports": [0, 1, 2], "transport": "tcp", "ip": "::1"}, ["TCP port 1 of ::1", "TCP port 2 of ::1"]),
        ({"host": "a", "port": 5, "transport": "tcp"}, []),
        ({"endpoints": ["tcp://a:1"]}, []),
    ],
)
def test_its_ports_are_for_it_alone(options: dict[str, Any], things: list[str]) -> None:
    assert TriggerReceiver.exclusive(options_of(TriggerReceiver, **options, **SMALL)) == things


async def test_building_one_opens_nothing_and_names_without_end_are_one_source(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keeper = EventKeeper()
    receiver = TriggerReceiver([keeper], STATION, **options_of(TriggerReceiver, port=0, **SMALL))
    assert receiver.endpoints[0].port == 0
    monkeypatch.setattr("rawdaq.events.sources.MAX_SOURCES", 1)
    async with serving(receiver):
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            send_datagrams(receiver, small(1), source=source)
        await until(lambda: len(keeper.messages) == 3)
    assert list(receiver.sources.status()) == ["127.0.0.1", "others"]
