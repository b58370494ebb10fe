from typing import Any

import numpy as np
import pytest

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.protocols import raw
from rawdaq.protocols.raw import (
    ChannelDescribed,
    ChannelFormat,
    Endianness,
    PacketProblem,
    PluginEvent,
    ProblemKind,
    RawPlugin,
    RawVersion,
    SampleBlock,
    SampleType,
    Started,
    VersionAgreed,
    encode_header,
)
from rawdaq.times import from_calendar
from tests.protocols.raw_wire import block, receive, same

INT16 = ChannelFormat(100, Endianness.BIG, SampleType.INT16)
DESCRIPTION = b"SAMPLING RATE\n100\nSAMPLE ENDIANNESS\nbig\nSAMPLE TYPE\nint16\n"
HANDSHAKE = b"RAW 2.0\n" + DESCRIPTION + b"STARTING\n"
#: 2026-11-21T12:34:56.789012Z, quality 90, channel 7.
HEADER = bytes.fromhex("07ea 0145 0c 22 38 000c0a14 5a 0007")
TIME_NS = from_calendar(2026, 325, 12, 34, 56, 789_012_000)


def packet(**changed: int) -> bytes:
    """Return a header of channel 7 without samples, with *changed* fields."""
    names = ("year", "day", "hour", "minute", "second", "us", "quality", "channel", "count")
    fields = dict(zip(names, (2026, 325, 12, 34, 56, 789_012, 90, 7, 0), strict=True)) | changed
    return RawVersion.V2_0.header.pack(*fields.values())


def started(version: RawVersion = RawVersion.V2_0) -> RawPlugin:
    """Return a plugin that waits for packets of channel 7, int16 big-endian."""
    plugin = RawPlugin([7], version)
    receive(plugin, version.line + DESCRIPTION + b"STARTING\n")
    return plugin


CASES: list[tuple[bytes, list[PluginEvent]]] = [
    (b"RAW 2.0\n", [VersionAgreed(RawVersion.V2_0)]),
    (DESCRIPTION, [ChannelDescribed(7, INT16)]),
    (b"STARTING\n", [Started()]),
    (HEADER + bytes.fromhex("00000003 0001 ffff 8000"), [block(7, TIME_NS, 90, [1, -1, -32768], ">i2")]),
    (HEADER + bytes(4), []),
    (
        packet(count=1, hour=23, minute=59, second=60, us=0) + b"\0\0",
        [block(7, from_calendar(2026, 326, 0, 0, 0), 90, [0], ">i2")],
    ),
    (
        packet(count=1, year=2024, day=366) + b"\0\0",
        [block(7, from_calendar(2024, 366, 12, 34, 56, 789_012_000), 90, [0], ">i2")],
    ),
]


@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_session_is_read_however_it_is_cut(size: int) -> None:
    wire = b"".join(data for data, _ in CASES)
    expected = [event for _, events in CASES for event in events]

    plugin = RawPlugin([7])

    assert same(receive(plugin, wire, size), expected)
    assert plugin.buffered_bytes == 0
    plugin.receive_eof()


@pytest.mark.parametrize(
    ("rate", "rate_hz"), [("62.5", 62.5), ("1e2", 100), (".5", 0.5), ("5.", 5), ("2.5E-1", 0.25), ("1e+3", 1000)]
)
def test_a_rate_is_any_decimal_number(rate: str, rate_hz: float) -> None:
    plugin = RawPlugin([7])

    events = receive(plugin, b"RAW 2.0\n" + DESCRIPTION.replace(b"100", rate.encode()))

    assert events[1:] == [ChannelDescribed(7, ChannelFormat(rate_hz, Endianness.BIG, SampleType.INT16))]


def test_the_version_line_goes_out_alone_and_then_everything_else_at_once() -> None:
    plugin = RawPlugin([7, 1, 7])

    assert plugin.data_to_send() == b"RAW 2.0\n"
    assert plugin.data_to_send() == b""
    receive(plugin, b"RAW 2.0\n")
    assert plugin.data_to_send() == b"CHANNEL\n7\nCHANNEL\n1\nSTART\n"


def test_a_plugin_of_1_1_follows_a_device_of_1_0() -> None:
    plugin = RawPlugin([7], RawVersion.V1_1)

    assert plugin.data_to_send() == b"RAW 1.1\n"
    assert receive(plugin, b"RAW 1.0\n") == [VersionAgreed(RawVersion.V1_0)]
    assert plugin.version is RawVersion.V1_0
    with pytest.raises(raw.UnknownSampleType) as caught:
        receive(plugin, DESCRIPTION.replace(b"int16", b"float32"))
    assert (caught.value.channel, caught.value.value) == (7, "float32")


@pytest.mark.parametrize(
    ("ours", "answer"), [("2.0", "RAW 1.1"), ("1.1", "RAW 2.0"), ("1.0", "RAW 1.1"), ("2.0", "RAW 2.0\\r"), ("2.0", "")]
)
def test_another_version_is_refused_with_what_the_device_said(ours: str, answer: str) -> None:
    plugin = RawPlugin([7], RawVersion(ours))

    with pytest.raises(raw.VersionRefused) as caught:
        receive(plugin, answer.replace("\\r", "\r").encode() + b"\n")

    assert (caught.value.version, caught.value.answer) == (ours, answer)
    assert receive(RawPlugin([7]), b"") == []


@pytest.mark.parametrize(
    ("wire", "error", "values"),
    [
        (b"RAW 2.0\nHELLO\n", raw.UnexpectedLine, {"line": "HELLO", "expected": "'SAMPLING RATE'"}),
        (b"RAW 2.0\nSAMPLING RATE\r\n", raw.UnexpectedLine, {"line": "SAMPLING RATE\\r"}),
        (b"RAW 2.0\nSAMPLING RATE\nfast\n", raw.BadSamplingRate, {"channel": 7, "value": "fast"}),
        (b"RAW 2.0\nSAMPLING RATE\n0\n", raw.BadSamplingRate, {"channel": 7, "value": "0"}),
        (b"RAW 2.0\nSAMPLING RATE\n\xb2\n", raw.UnexpectedLine, {"line": "\\xb2"}),
        (DESCRIPTION.replace(b"big", b"pdp"), raw.UnknownEndianness, {"channel": 7, "value": "pdp"}),
        (DESCRIPTION.replace(b"int16", b"int64"), raw.UnknownSampleType, {"channel": 7, "value": "int64"}),
        (DESCRIPTION + b"STARTED\n", raw.UnexpectedLine, {"line": "STARTED", "expected": "'STARTING'"}),
        (b"RAW 2.0\n" + b"x" * 257, raw.LineTooLong, {"limit_bytes": 256, "beginning": "x" * 72 + "..."}),
        (HANDSHAKE + packet(channel=8), raw.ChannelNotRequested, {"channel": 8, "requested": (7,)}),
        (HANDSHAKE + packet(count=1_000_001), raw.PacketTooLarge, {"channel": 7, "count": 1_000_001}),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 3])
def test_what_a_device_does_wrong_is_told_with_its_numbers(
    wire: bytes, error: type[RemoteProtocolError], values: dict[str, Any], size: int
) -> None:
    plugin = RawPlugin([7])
    wire = wire if wire.startswith(b"RAW") else b"RAW 2.0\n" + wire

    with pytest.raises(error) as caught:
        receive(plugin, wire, size)

    assert {name: getattr(caught.value, name) for name in values} == values
    with pytest.raises(error):
        receive(plugin, HANDSHAKE)
    with pytest.raises(error):
        plugin.receive_eof()


@pytest.mark.parametrize(
    ("changes", "kind", "value"),
    [
        ({"quality": 101}, ProblemKind.QUALITY, "101"),
        ({"quality": 255}, ProblemKind.QUALITY, "255"),
        ({"day": 0}, ProblemKind.DATE, "2026, day 0, 12:34:56.789012"),
        ({"day": 366}, ProblemKind.DATE, "2026, day 366, 12:34:56.789012"),
        ({"year": 1677}, ProblemKind.DATE, "1677, day 325, 12:34:56.789012"),
        ({"hour": 24}, ProblemKind.DATE, "2026, day 325, 24:34:56.789012"),
        ({"minute": 60}, ProblemKind.DATE, "2026, day 325, 12:60:56.789012"),
        ({"second": 61}, ProblemKind.DATE, "2026, day 325, 12:34:61.789012"),
        ({"us": 1_000_000}, ProblemKind.DATE, "2026, day 325, 12:34:56.1000000"),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_value_that_cannot_be_costs_at_most_its_packet(
    changes: dict[str, int], kind: ProblemKind, value: str, size: int
) -> None:
    whole = packet(count=1) + b"\0\1"
    events = receive(RawPlugin([7]), HANDSHAKE + whole + packet(**changes, count=1) + b"\0\2" + whole, size)

    one = block(7, TIME_NS, 90, [1], ">i2")
    kept = [block(7, TIME_NS, None, [2], ">i2")] if kind is ProblemKind.QUALITY else []
    assert same(events[3:], [one, PacketProblem(7, kind, value), *kept, one])


def test_what_is_received_after_an_error_is_nothing() -> None:
    plugin = RawPlugin([7])
    receive(plugin, HANDSHAKE)
    assert plugin.receive_packets(packet(channel=8)) == []
    assert isinstance(plugin.failure, raw.ChannelNotRequested)
    assert plugin.receive_packets(packet(count=1) + b"\0\1") == []


def test_blanks_around_values_of_the_description_mean_nothing() -> None:
    blank = HANDSHAKE.replace(b"100\n", b" 100\t\n").replace(b"big\n", b"big \n").replace(b"int16\n", b"\tint16\n")
    assert receive(RawPlugin([7]), blank, 1) == receive(RawPlugin([7]), HANDSHAKE)


def test_a_line_of_the_longest_length_is_read() -> None:
    plugin = RawPlugin([7])
    receive(plugin, b"RAW 2.0\n")

    with pytest.raises(raw.UnexpectedLine):
        receive(plugin, b"x" * 256 + b"\n", 100)


def test_what_was_whole_before_an_error_is_given() -> None:
    plugin = RawPlugin([7])
    events: list[PluginEvent] = []

    with pytest.raises(raw.ChannelNotRequested):
        events.extend(plugin.receive_data(HANDSHAKE + packet(count=1) + b"\0\1" + packet(channel=8)))

    assert same(events[3:], [block(7, TIME_NS, 90, [1], ">i2")])


@pytest.mark.parametrize(
    ("wire", "where", "missing_bytes"),
    [
        (b"RAW", "in the middle of the line 'RAW'", None),
        (b"RAW 2.0\n", "after CHANNEL 7 was requested: the device does not know it", None),
        (b"RAW 2.0\nSAMPLING RATE\n", "in the description of channel 7", None),
        (b"RAW 2.0\n" + DESCRIPTION, "after START", None),
        (HANDSHAKE + packet()[:5], "in a packet's header", 13),
        (HANDSHAKE + packet(count=100), "in a packet of channel 7", 200),
        (HANDSHAKE + packet(count=100) + bytes(199), "in a packet of channel 7", 1),
    ],
)
def test_a_cut_connection_says_where_and_how_much_is_missing(
    wire: bytes, where: str, missing_bytes: int | None
) -> None:
    plugin = RawPlugin([7])
    receive(plugin, wire, 50)

    with pytest.raises(raw.ConnectionCut) as caught:
        plugin.receive_eof()

    assert (caught.value.where, caught.value.missing_bytes) == (where, missing_bytes)


def test_a_device_that_closes_at_the_version_line_refuses_the_version() -> None:
    with pytest.raises(raw.VersionRefused) as caught:
        RawPlugin([7]).receive_eof()

    assert caught.value.answer is None


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_samples_are_read_only_views_of_the_chunk(kind: type[bytes] | type[bytearray] | type[memoryview]) -> None:
    chunk = kind(packet(count=2) + bytes(4))

    (event,) = started().receive_data(chunk)

    assert isinstance(event, SampleBlock)
    assert np.shares_memory(event.samples, np.frombuffer(chunk, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        event.samples[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        event.samples.flags.writeable = True


def test_samples_that_were_cut_are_read_only_and_stay_as_they_are() -> None:
    plugin = started()

    first, second = receive(plugin, 2 * (packet(count=1) + b"\0\7"), 19)

    assert isinstance(first, SampleBlock)
    assert isinstance(second, SampleBlock)
    assert not first.samples.flags.writeable
    assert first.samples.tolist() == second.samples.tolist() == [7]


def test_an_announced_packet_costs_only_what_has_arrived() -> None:
    plugin = started()

    receive(plugin, packet(count=1_000_000) + bytes(1000))

    assert plugin.buffered_bytes == 1018


def test_a_packet_of_a_million_samples_is_read() -> None:
    plugin = started()

    (event,) = receive(plugin, packet(count=1_000_000) + bytes(2_000_000), 65_536)

    assert isinstance(event, SampleBlock)
    assert event.samples.size == 1_000_000


@pytest.mark.parametrize("version", [RawVersion.V1_0, RawVersion.V1_1])
def test_an_old_device_says_no_quality_and_means_100(version: RawVersion) -> None:
    plugin = started(version)

    events = receive(plugin, encode_header(version, 7, TIME_NS, 30, 1) + b"\0\7")

    assert same(events, [block(7, TIME_NS, 100, [7], ">i2")])


@pytest.mark.parametrize(
    ("channels", "version", "text"),
    [
        ([], RawVersion.V2_0, "no channel"),
        ([-1], RawVersion.V1_1, "channel -1 is not in 0-4294967295"),
        ([65536], RawVersion.V2_0, "channel 65536 is not in 0-65535 of RAW 2.0"),
    ],
)
def test_channels_that_the_version_cannot_say_are_refused(channels: list[int], version: RawVersion, text: str) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        RawPlugin(channels, version)
