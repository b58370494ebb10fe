"""TimestampReceiver: NMEA over a serial line, lines, JSON and MessagePack over UDP, TCP and ZMQ; offset and quality."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgpack
import pytest
import zmq

from rawdaq.protocols.nmea import encode
from rawdaq.receivers.timestamps import TimestampReceiver
from rawdaq.sockets import serial_line
from rawdaq.times import NS_PER_S, from_iso
from tests.event_receivers import STATION, options_of, problems, receiving, send_datagrams
from tests.helpers import until
from tests.receivers.zmq_senders import address_of, is_bound, sending, subscribed
from tests.serial_lines import SerialLine

NOON_NS = from_iso("2026-11-29T12:00:00Z")
RMC = encode("GP", "RMC", "120000.00", "A", "", "", "", "", "", "", "291126")
GGA = encode("GP", "GGA", "120000.00", "", "", "", "", "1", "07")
GSV = encode("GP", "GSV", "1", "1", "00")


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    made = SerialLine(tmp_path / "gnss")
    yield made
    made.unplug()


async def test_nmea_of_a_serial_line_in_pieces(line: SerialLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_line, "_FIRST_PAUSE_S", 0.01)
    line.plug_in()
    wrong = RMC.replace("29", "28")
    text = "\r\n".join(["0,,*33", RMC, GSV, wrong, GGA, ""]).encode()  # it begins in the middle of a sentence
    async with receiving(TimestampReceiver, device=str(line.device), format="nmea") as (receiver, keeper):
        await until(lambda: receiver.endpoints[0].openings)
        for at in range(0, len(text), 7):
            line.send(text[at : at + 7])
            await asyncio.sleep(0)
        await until(lambda: len(keeper.messages) == 2)
        line.unplug()
        await until(lambda: receiver.endpoints[0].last_failure)
        line.plug_in()
        await until(lambda: receiver.endpoints[0].openings == 2)
        line.send(f"{RMC}\n".encode())
        await until(lambda: len(keeper.messages) == 3)
        table = receiver.cmd_sources()[str(line.device)]
    rmc, gga, again = keeper.headers
    assert (rmc["type"], rmc["time_ns"], rmc["quality"], rmc["fields"]) == (
        "RMC",
        NOON_NS,
        100,
        {"talker": "GP", "fix": True},
    )
    assert (gga["type"], gga["time_ns"], gga["fields"]["satellites"]) == ("GGA", NOON_NS, 7)
    assert keeper.messages[1].payload == GGA.encode()
    assert again["source"] == str(line.device)
    assert (table["events"], table["malformed"], table["other_sentences"]) == (3, 2, 1)


async def test_the_offset_of_this_clock_is_shown() -> None:
    async with receiving(TimestampReceiver, port=0, format="json", time={"field": "$.t"}) as (receiver, keeper):
        for late_ns in (5_000_000_000, 2_000_000_000, 9_000_000_000):
            send_datagrams(receiver, json.dumps({"t": time.time_ns() - late_ns}).encode())
        await until(lambda: len(keeper.messages) == 3)
        status = receiver.receiver_status()
    offsets = [each["clock_offset_ns"] / NS_PER_S for each in keeper.headers]
    assert offsets == pytest.approx([5, 2, 2], abs=1.4)  # a busy machine reads them later
    assert offsets[1] == offsets[2] == status["clock_offset_ns"] / NS_PER_S
    assert (status["timestamps"], status["clock_quality"]) == (3, 100)


async def test_the_quality_is_a_stream_of_one_sample_a_second() -> None:
    options: dict[str, Any] = {"port": 0, "format": "json", "time": {"field": "t"}, "quality": "q", "stream": "LCQ"}
    assert [str(each) for each in TimestampReceiver.streams(STATION, options_of(TimestampReceiver, **options))] == [
        "XX.DEMO.00.LCQ"
    ]
    async with receiving(TimestampReceiver, **options) as (receiver, keeper):
        send_datagrams(receiver, json.dumps({"t": time.time_ns(), "q": 70}).encode())
        await until(lambda: keeper.packets and keeper.packets[-1].samples.tolist() == [70])
    newest = keeper.packets[-1]
    assert (str(newest.stream), newest.rate_hz, newest.start_ns % NS_PER_S) == ("XX.DEMO.00.LCQ", 1.0, 0)
    assert abs(newest.start_ns - time.time_ns()) < 30 * NS_PER_S


async def test_lines_of_tcp_peers_are_read_by_an_expression() -> None:
    options: dict[str, Any] = {"port": 0, "transport": "tcp", "format": "lines", "counter": "n"}
    options |= {"expression": r"T=(?P<t>\S+) #(?P<n>\d+)", "time": {"field": "t", "unit": "iso"}}
    async with receiving(TimestampReceiver, **options) as (receiver, keeper):
        _, writer = await asyncio.open_connection("127.0.0.1", receiver.endpoints[0].port)
        writer.write(b"hello\nT=2026-11-29T12:00:00Z #4\nT=2026-11-29T12:00:01.5Z #6\nT=never #7\n")
        await until(lambda: receiver.refusals.by_reason.total() == 2)
        writer.close()
        await writer.wait_closed()
    assert [(each["time_ns"] - NOON_NS, each["missed"]) for each in keeper.headers] == [(0, 0), (1_500_000_000, 1)]
    assert receiver.refusals.by_reason == {"foreign": 1, "malformed": 1}


async def test_a_board_that_was_away_is_read_again(context: Any) -> None:
    def message(number: int) -> bytes:
        values = {"s": NOON_NS // NS_PER_S, "ps": 1500 + number, "n": number}
        return bytes(cast("Any", msgpack).packb(values))

    options: dict[str, Any] = {"format": "msgpack", "counter": "n", "time": {"field": ["s", "ps"], "unit": ["s", "ps"]}}
    with sending(context, zmq.XPUB) as publisher:
        address = address_of(publisher)
        async with receiving(TimestampReceiver, endpoints=[address], **options) as (receiver, keeper):
            await subscribed(publisher)
            publisher.send(message(1)[:-1])
            publisher.send(message(1))
            await until(lambda: keeper.messages)
            publisher.close()
            with context.socket(zmq.XPUB) as again:
                again.linger = 0
                await until(lambda: is_bound(again, address))
                await subscribed(again)
                again.send(message(4))
                await until(lambda: len(keeper.messages) == 2)
    assert [(each["time_ns"], each["ps"], each["missed"]) for each in keeper.headers] == [
        (NOON_NS + 1, 501, 0),
        (NOON_NS + 1, 504, 2),
    ]
    assert receiver.refusals.by_reason == {"malformed": 1}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"port": 1}, "format: is missing"),
        (
            {"port": 1, "format": "nema"},
            "no format of events is called 'nema'; did you mean 'nmea'? known: nmea, lines",
        ),
        ({"port": 1, "format": "lines"}, "expression is for format: lines, which needs one"),
        ({"port": 1, "format": "json", "expression": "x"}, "expression is for format: lines"),
        ({"port": 1, "format": "nmea", "counter": "n"}, "counter is for lines, json and msgpack; format 'nmea'"),
        ({"port": 1, "format": "lines", "expression": "("}, "is no regular expression"),
        ({"port": 1, "format": "json", "time": {"field": "$.a["}}, "is no path of one value"),
        ({"port": 1, "format": "nmea", "device": "/dev/x"}, "port is for UDP and TCP; with device leave it out"),
        ({"port": 1, "format": "nmea", "stream": "L"}, "L"),
        ({"format": "nmea", "device": "/dev/x", "baud": 7}, "baud"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], text: str) -> None:
    found = problems(TimestampReceiver, **options)
    assert re.search(re.escape(text), found), found


def test_a_serial_line_is_for_it_alone() -> None:
    options = options_of(TimestampReceiver, format="nmea", device="/dev/ttyUSB0", baud=4800)
    assert TimestampReceiver.exclusive(options) == ["serial line /dev/ttyUSB0"]
    assert TimestampReceiver.streams(STATION, options) == []
