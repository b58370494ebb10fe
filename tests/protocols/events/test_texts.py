"""Events as NMEA, lines, JSON and MessagePack: whole, in pieces, and in every way malformed."""

import json
import sys
from typing import Any, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import ComponentError, InvalidValue, LocalProtocolError, RemoteProtocolError
from rawdaq.protocols import nmea
from rawdaq.protocols.events import Event, EventFormat, ForeignMessage, MalformedMessage
from rawdaq.protocols.events.texts import (
    MAX_MESSAGE_BYTES,
    JsonFormat,
    LineFrames,
    MsgpackFormat,
    NmeaFormat,
    PatternFormat,
)
from rawdaq.protocols.events.times import Unit
from rawdaq.times import from_iso

TIME_NS = from_iso("2026-11-29T12:00:00.5Z")
DESCRIBED: dict[str, Any] = {"time": [("$.time.s", Unit.SECONDS)], "counter": "n", "quality": "$.q"}


class Plain(EventFormat):
    def events(self, message: bytes) -> list[Event]:
        return [Event("plain", {})]


def packed(value: object) -> bytes:
    return bytes(cast("Any", msgpack).packb(value))


def test_a_format_needs_no_more_than_events() -> None:
    assert Plain().status() == {}
    with pytest.raises(LocalProtocolError, match="Plain reads messages; it cannot find them in a byte stream"):
        Plain().frames()


# ------------------------------------------------------------------------------------------------------ lines


@pytest.mark.parametrize("size", [1, 3, 100_000])
def test_lines_are_found_wherever_the_stream_is_cut(size: int) -> None:
    long = b"x" * (MAX_MESSAGE_BYTES + 50)
    data = b"one\r\n\n\r\ntwo\n" + long + b"\nthree\n" + b"y" * MAX_MESSAGE_BYTES + b"\nz"
    frames = LineFrames()
    found = [line for at in range(0, len(data), size) for line in frames.receive_data(data[at : at + size])]
    assert found == [b"one", b"two", long[: MAX_MESSAGE_BYTES + 1], b"three", b"y" * MAX_MESSAGE_BYTES]
    with pytest.raises(MalformedMessage, match="the peer closed after 1 bytes of a line"):
        frames.receive_eof()


def test_a_stream_may_end_between_lines_and_in_a_long_one() -> None:
    frames = LineFrames()
    assert list(frames.receive_data(b"one\n")) == [b"one"]
    frames.receive_eof()
    assert len(list(frames.receive_data(b"x" * (2 * MAX_MESSAGE_BYTES)))) == 1
    assert list(frames.receive_data(b"x" * (2 * MAX_MESSAGE_BYTES))) == []
    frames.receive_eof()
    assert list(frames.receive_data(b"\nnext\n")) == [b"next"]


def test_nmea_sentences_are_events() -> None:
    made = NmeaFormat()
    assert isinstance(made.frames(), LineFrames)
    rmc = nmea.encode("GN", "RMC", "120000.50", "A", "", "", "", "", "", "", "291126")
    gsv, gga = nmea.encode("GP", "GSV", "1"), nmea.encode("GP", "GGA", "120000.50", "", "", "", "", "0", "03")
    first, second = made.events(f"{rmc}\r\n{gsv}\r\n{gga}\r\n".encode())
    assert first == Event("RMC", {"talker": "GN", "fix": True}, TIME_NS, quality=100, payload=rmc.encode())
    assert second.fields == {"talker": "GP", "fix": False, "satellites": 3}
    assert (second.type, second.time_ns, second.quality) == ("GGA", TIME_NS, 0)
    assert made.status() == {"other_sentences": 1}


def test_a_regular_expression_finds_values_in_lines() -> None:
    expression = r"PPS (?P<time>[0-9.]+) #(?P<number>\d+) lock=(?P<lock>\d+)?"
    made = PatternFormat(expression, type="pps", time=[("time", Unit.SECONDS)], counter="number", quality="lock")
    line = b"gps1: PPS 1795953600.500000000001 #41 lock="
    (event,) = made.events(line + b"\n")
    fields = {"time": "1795953600.500000000001", "number": "41", "lock": None}
    assert event == Event("pps", fields, TIME_NS, 1, None, 41, payload=line)
    assert made.events(b"PPS 1 #2 lock=7")[0].quality == 7
    with pytest.raises(ForeignMessage, match="'started' does not match the expression"):
        made.events(b"started")


@pytest.mark.parametrize(
    ("expression", "options", "text"),
    [
        ("(", {}, r"expression '\(' is no regular expression"),
        ("[0-9]+", {}, "has no named groups"),
        ("(?P<t>x)", {"time": [("time", Unit.ISO)]}, "the expression has no group 'time', only t"),
        ("(?P<t>x)", {"counter": "n"}, "no group 'n'"),
        ("(?P<t>x)", {"quality": "q"}, "no group 'q'"),
    ],
)
def test_an_expression_that_finds_no_such_values_is_refused(
    expression: str, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidValue, match=text):
        PatternFormat(expression, **options)


# ------------------------------------------------------------------------------------------- JSON and MessagePack


def test_json_objects_are_events_with_their_time_to_the_last_digit() -> None:
    made = JsonFormat(type="clock", **DESCRIBED)
    line = b'{"time": {"s": 1795953600.500000000123}, "n": 7, "q": 90, "list": [1, "a"]}'
    (event,) = made.events(line)
    assert (event.type, event.time_ns, event.ps, event.counter, event.quality) == ("clock", TIME_NS, 123, 7, 90)
    assert event.payload == line
    assert json.loads(json.dumps(event.fields)) == json.loads(line)
    assert [each.counter for each in made.events(line + b"\n" + line.replace(b"7", b"8"))] == [7, 8]


def test_messagepack_maps_are_events() -> None:
    made = MsgpackFormat(time=[("t", Unit.NANOSECONDS)])
    values = {"t": msgpack.Timestamp(1795953600, 500_000_000), "raw": b"\xff", 5: [msgpack.ExtType(1, b"a"), None]}
    first, second = made.events(packed(values) + packed({"t": TIME_NS}))
    assert (first.time_ns, second.time_ns) == (TIME_NS, TIME_NS)
    assert first.fields == {"t": TIME_NS, "raw": "ff", "5": ["61", None]}
    assert first.type == "time"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_messagepack_is_found_wherever_the_stream_is_cut(size: int) -> None:
    parts = [packed({"t": number, "text": "x" * number}) for number in range(40)]
    data, frames = b"".join(parts), MsgpackFormat().frames()
    assert [each for at in range(0, len(data), size) for each in frames.receive_data(data[at : at + size])] == parts
    frames.receive_eof()
    assert list(frames.receive_data(memoryview(parts[9][:-1]))) == []
    with pytest.raises(MalformedMessage, match="bytes of a MessagePack object, the rest is missing"):
        frames.receive_eof()


def test_messagepack_without_end_is_refused() -> None:
    frames = MsgpackFormat().frames()
    with pytest.raises(MalformedMessage, match="MessagePack object of more than 16384 bytes"):
        list(frames.receive_data(packed("x" * 20_000)[:-1]))


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


NESTED = nested(40)
GOOD = {"time": {"s": 1}, "n": 1, "q": 1}


@pytest.mark.parametrize(
    ("made", "message", "text"),
    [
        (JsonFormat(), b"\xff", "the text is not UTF-8"),
        (JsonFormat(), b"{", "not JSON"),
        (JsonFormat(), b"[" * 5000, "not JSON"),
        (JsonFormat(), b"[1]", "JSON of list, not an object"),
        (JsonFormat(), b'{"a":' + json.dumps(NESTED).encode() + b"}", "nested deeper than 32"),
        (JsonFormat(), b" " * 17_000, "line of more than 16384 bytes"),
        (JsonFormat(**DESCRIBED), b'{"n": 1}', r"\$.time.s is missing"),
        (JsonFormat(**DESCRIBED), json.dumps(GOOD | {"n": -1}).encode(), "n is -1, not a whole number"),
        (JsonFormat(**DESCRIBED), json.dumps(GOOD | {"n": 1.5}).encode(), "n is 1.5, not a whole number"),
        (JsonFormat(**DESCRIBED), json.dumps(GOOD | {"q": 101}).encode(), r"q is 101, not a whole number in 0-100"),
        (JsonFormat(**DESCRIBED), json.dumps(GOOD | {"q": True}).encode(), "q is True, not a whole number"),
        (JsonFormat(**DESCRIBED), json.dumps(GOOD | {"q": "good"}).encode(), "q is 'good', not a whole number"),
        (MsgpackFormat(), b"\xc1", "not MessagePack"),
        (MsgpackFormat(), packed([1]), "MessagePack of list, not an object"),
        (MsgpackFormat(), packed({"a": NESTED}), "nested deeper than 32"),
        (MsgpackFormat(), packed({"a": 1})[:-1], "bytes of a MessagePack object, the rest is missing"),
        (MsgpackFormat(), bytes(17_000), "message of 17000 bytes, limit is 16384"),
    ],
)
def test_what_is_malformed_says_why(made: EventFormat, message: bytes, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        made.events(message)


def test_a_message_without_a_quality_has_none() -> None:
    (event,) = JsonFormat(**DESCRIBED).events(b'{"time": {"s": "1"}}')
    assert (event.time_ns, event.counter, event.quality) == (10**9, None, None)


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(ComponentError, match=r"pip install 'rawdaq\[msgpack\]'"):
        MsgpackFormat()


@given(st.binary(max_size=200))
def test_any_bytes_are_events_or_an_error_of_the_protocol(data: bytes) -> None:
    for made in (NmeaFormat(), JsonFormat(), MsgpackFormat(), PatternFormat("(?P<a>.)")):
        try:
            made.events(data)
            list(made.frames().receive_data(data))
        except RemoteProtocolError:
            pass
