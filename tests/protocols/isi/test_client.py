"""The client's codec: the session that was captured, each answer in each state, what a server may do wrong."""

import contextlib
import pickle
import struct
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import ProtocolError, RemoteProtocolError
from rawdaq.protocols import isi
from rawdaq.protocols.isi import (
    Accepted,
    Alerted,
    Cause,
    ClientEvent,
    DataRequest,
    Ended,
    IsiClient,
    IsiName,
    IsiPacket,
    IsiServer,
    NameInvalid,
    PacketUnreadable,
    Place,
    Ready,
    Report,
    StreamConfiguration,
    StreamHealth,
    Unreadable,
    Window,
    wfdisc_line,
)
from rawdaq.protocols.isi.errors import (
    BadTag,
    ConnectionCut,
    HandshakeUnreadable,
    NoHandshake,
    PayloadTooLarge,
    SignatureTooLarge,
    TimeUnreadable,
    TooManyWindows,
    UnexpectedFrame,
    WrongSize,
)
from rawdaq.times import from_iso
from tests.protocols import isi_wire as wire
from tests.protocols.isi_wire import cut, framed, receive

BEGIN, END = from_iso("2003-11-18T21:00:00"), from_iso("2003-11-19T00:00:00")
REQUEST = DataRequest((Window(IsiName("coco", "*", "*"), BEGIN, END),), compression=1)
VERTICAL, NORTH = (Window(IsiName("coco", channel, "20"), BEGIN, END) for channel in ("bhz", "bhn"))
SETTINGS = framed(1004, b"\0\0\0\1") + framed(1005, b"\0\0\0\1") + framed(1006, b"\0\0\0\2")
ACCEPTANCE = SETTINGS + framed(1007, VERTICAL.encode()) + framed(1007, NORTH.encode()) + framed(0, bytes(4))
LINE = wfdisc_line(IsiName("coco", "bhz", "20"), 1, BEGIN, END, 40.0, 1000, END)
SIZES = [0, 1, 3, 24]


def greeted(report: Report | None = None) -> IsiClient:
    """Return a client that has asked for a report, or for data, and had the handshake."""
    client = IsiClient(wire.PID)
    if report is None:
        client.send_data_request(REQUEST)
    else:
        client.send_report_request(report)
    client.data_to_send()
    assert receive(client, wire.SERVER_GREETING) == [Ready(30.0)]
    return client


def accepted(byte_order: str | None = None) -> IsiClient:
    client = IsiClient(byte_order=byte_order)
    client.send_data_request(REQUEST)
    receive(client, wire.SERVER_GREETING + ACCEPTANCE)
    return client


def plain(event: ClientEvent) -> object:
    """Return something that == compares as a whole."""
    if isinstance(event, IsiPacket):
        return event._replace(samples=np.array(0)), event.samples.tolist()
    return str(event.error) if isinstance(event, Unreadable) else event


def test_every_name_of_the_protocol_is_there() -> None:
    assert all(hasattr(isi, name) for name in isi.__all__)


def test_what_a_client_asks_is_as_it_was_captured() -> None:
    client = IsiClient(wire.PID)
    assert client.data_to_send() == wire.GREETING
    assert client.data_to_send() == b""
    client.send_report_request(Report.HEALTH)
    assert client.data_to_send() == wire.REQUEST_HEALTH
    client = IsiClient(wire.PID)
    client.send_report_request(Report.CONFIGURATION)
    assert client.data_to_send() == wire.GREETING + wire.REQUEST_CONFIGURATION
    client = IsiClient(wire.PID)
    client.send_data_request(REQUEST)
    assert client.data_to_send() == wire.GREETING + wire.DATA_REQUEST.replace(b"*\0\xe9", b"*\0\0")
    client = IsiClient(timeout_ms=4000)
    client.send_report_request(Report.WFDISC)
    greeting = wire.GREETING.replace(b"\0\0\x4e\x51", bytes(4)).replace(b"\0\0\x75\x30", b"\0\0\x0f\xa0")
    assert client.data_to_send() == greeting + framed(1003, bytes(4), 1)


def test_options_are_asked_for_only_when_there_are_some() -> None:
    client = IsiClient()
    client.data_to_send()
    client.send_data_request(REQUEST._replace(options=5))
    assert framed(1015, b"\0\0\0\5", 3) + framed(1006, b"\0\0\0\2", 4) in client.data_to_send()


@pytest.mark.parametrize("size", SIZES)
def test_a_report_on_states_is_read_as_it_was_captured(size: int) -> None:
    client = IsiClient(wire.PID)
    client.send_report_request(Report.HEALTH)
    entries = wire.HEALTH_FRAME + wire.HEARTBEAT + framed(1009, wire.EMPTY_HEALTH)
    events = receive(client, wire.SERVER_GREETING + entries + wire.NULL + wire.ALERT_COMPLETE, size)
    assert events == [
        Ready(30.0),
        StreamHealth.decode(wire.HEALTH),
        StreamHealth.decode(wire.EMPTY_HEALTH),
        Ended(Cause.COMPLETE),
    ]
    client.receive_eof()


@pytest.mark.parametrize("size", SIZES)
def test_other_reports_are_read_too(size: int) -> None:
    client = greeted(Report.CONFIGURATION)
    events = receive(client, wire.CONFIGURATION_FRAME + framed(0, bytes(4)), size)
    assert events == [StreamConfiguration.decode(wire.CONFIGURATION), Ended(2)]
    client = greeted(Report.WFDISC)
    assert receive(client, framed(1010, LINE.encode()) + framed(0), size) == [LINE, Ended(2)]
    assert receive(greeted(Report.WFDISC), framed(0), size) == [Ended(2)]


@pytest.mark.parametrize("size", SIZES)
def test_data_are_read_as_they_were_captured(size: int) -> None:
    client = IsiClient(wire.PID)
    client.send_data_request(REQUEST)
    data = wire.SERVER_GREETING + ACCEPTANCE + wire.PACKET_FRAME + framed(1012, wire.IDA_PACKET) + wire.HEARTBEAT
    events = receive(client, data + wire.ALERT_COMPLETE, size)
    assert events[:2] == [Ready(30.0), Accepted((VERTICAL, NORTH))]
    assert [event.samples.tolist() for event in events[2:4] if isinstance(event, IsiPacket)] == 2 * [wire.SAMPLES]
    assert events[4:] == [Ended(2)]


@given(st.lists(st.integers(1, 300)))
def test_data_are_the_same_however_they_are_cut(sizes: list[int]) -> None:
    client = IsiClient()
    client.send_data_request(REQUEST)
    data = wire.SERVER_GREETING + wire.HEARTBEAT + ACCEPTANCE + wire.PACKET_FRAME + framed(1012, b"") + framed(100)
    events = [plain(event) for piece in cut(data, sizes) for event in client.receive_data(memoryview(piece))]
    assert events[0] == Ready(30.0)
    assert len(events) == 5


@pytest.mark.parametrize("report", [None, *Report])
def test_a_request_may_come_after_the_handshake(report: Report | None) -> None:
    client = IsiClient()
    assert receive(client, wire.SERVER_GREETING + wire.HEARTBEAT) == [Ready(30.0)]
    if report is None:
        client.send_data_request(REQUEST)
        assert receive(client, ACCEPTANCE) == [Accepted((VERTICAL, NORTH))]
    else:
        client.send_report_request(report)
        assert receive(client, framed(0)) == [Ended(2)]


def test_the_server_says_how_long_it_may_be_silent() -> None:
    client = IsiClient()
    assert receive(client, framed(1, struct.pack(">4I", 1, 3, 4, 4000))) == [Ready(4.0)]
    assert receive(IsiClient(), framed(1, struct.pack(">4I", 1, 3, 4, 0))) == [Ready(0.0)]
    assert receive(IsiClient(), framed(1, bytes(4))) == [Ready(30.0)]


def test_a_request_with_a_name_that_isi_has_not_is_not_sent_in_part() -> None:
    client = IsiClient()
    client.data_to_send()
    with pytest.raises(NameInvalid):
        client.send_data_request(DataRequest((VERTICAL, Window(IsiName("eightlet", "bhz")))))
    assert client.data_to_send() == b""
    client.send_report_request(Report.HEALTH)
    assert client.data_to_send() == wire.REQUEST_HEALTH


def test_an_acknowledgement_may_have_no_windows_and_options() -> None:
    assert receive(greeted(), framed(0)) == [Accepted(())]
    assert receive(greeted(), framed(1015, b"\0\0\0\5") + wire.HEARTBEAT + framed(0)) == [Accepted(())]
    window = Window(IsiName("coco", "bhz", "20"), Place.OLDEST, Place.KEEP_UP)
    assert receive(greeted(), framed(1007, window.encode()) + framed(0)) == [Accepted((window,))]


def test_samples_are_in_the_order_that_the_user_says() -> None:
    little = wire.PLAIN_PACKET[:64] + np.array(wire.SAMPLES, "<i4").tobytes()
    (packet,) = receive(accepted("<"), framed(1012, little))
    assert isinstance(packet, IsiPacket)
    assert packet.samples.tolist() == wire.SAMPLES


def test_what_is_no_packet_is_passed_over() -> None:
    damaged = wire.IDA_PACKET[:-1]
    data = framed(1012, damaged) + framed(0) + framed(102, b"") + framed(1013, b"x") + framed(1, b"") + framed(4711)
    events = receive(accepted(), data + wire.PACKET_FRAME)
    assert [type(event.error) for event in events if isinstance(event, Unreadable)] == [
        PacketUnreadable,
        *(5 * [UnexpectedFrame]),
    ]
    assert [str(event.error) for event in events if isinstance(event, Unreadable)][:2] == [
        "a packet of coco.bhz.20 announces 13 bytes of data and has 12",
        "a frame of type 0 came; awaited: packets",
    ]
    assert isinstance(events[-1], IsiPacket)


def test_what_is_no_entry_is_passed_over() -> None:
    no_time = wire.HEALTH[:12] + b"\x7f\xf8" + wire.HEALTH[14:]
    data = b"".join(
        (
            framed(1009, wire.HEALTH[:-1]),
            framed(1009, no_time),
            framed(1011, b""),
            framed(1010, LINE.encode()[:-1]),
            framed(1010, LINE.encode() + b"\n"),
            framed(1018, b"x"),
        )
    )
    events = receive(greeted(Report.HEALTH), data + wire.HEALTH_FRAME + framed(0))
    assert [type(event.error) for event in events if isinstance(event, Unreadable)] == [
        WrongSize,
        TimeUnreadable,
        *(3 * [WrongSize]),
        UnexpectedFrame,
    ]
    assert [str(event.error) for event in events if isinstance(event, Unreadable)][3:] == [
        "a line of wfdisc has 282 bytes instead of 283",
        "a line of wfdisc has 284 bytes instead of 283",
        "a frame of type 1018 came; awaited: entries of a report",
    ]
    assert events[-2:] == [StreamHealth.decode(wire.HEALTH), Ended(2)]


@pytest.mark.parametrize(
    ("code", "is_complete", "text"),
    [
        (2, True, "request complete"),
        (0, False, "no cause given"),
        (4, False, "fault of the server"),
        (9, False, "shutdown in progress"),
        (77, False, "alert 77"),
    ],
)
def test_an_alert_ends_the_packets(code: int, is_complete: bool, text: str) -> None:
    client = accepted()
    data = wire.PACKET_FRAME + framed(100, struct.pack(">I", code)) + wire.PACKET_FRAME
    _, ended = receive(client, data)
    assert ended == Ended(code)
    assert isinstance(ended, Ended)
    assert ended.is_complete is is_complete
    assert str(ended).startswith(text)


@pytest.mark.parametrize("rest", [wire.ALERT_COMPLETE, b"IACP", b"garbage", wire.HEALTH_FRAME])
@pytest.mark.parametrize("size", SIZES)
def test_what_comes_after_the_end_is_not_looked_at(rest: bytes, size: int) -> None:
    for client, end in ((greeted(Report.HEALTH), framed(0)), (accepted(), wire.ALERT_COMPLETE)):
        assert receive(client, end + rest, size) == [Ended(2)]
        held_bytes = client._frames.held_bytes
        assert receive(client, rest, size) == []
        assert client._frames.held_bytes == held_bytes
        client.receive_eof()


def unasked() -> IsiClient:
    """Return a client that has had the handshake and has not asked for anything."""
    client = IsiClient()
    receive(client, wire.SERVER_GREETING)
    return client


REFUSALS: list[tuple[Callable[[], IsiClient], bytes, type[RemoteProtocolError], str]] = [
    (IsiClient, framed(100, b"\0\0\0\5"), Alerted, "the server ended the connection: too many connections"),
    (IsiClient, framed(1009, wire.HEALTH), UnexpectedFrame, "of type 1009 came; awaited: a handshake"),
    (IsiClient, framed(0), UnexpectedFrame, "of type 0 came; awaited: a handshake"),
    (IsiClient, framed(1, b"\0\0\0\6"), HandshakeUnreadable, "has 6 items"),
    (IsiClient, framed(1, b""), HandshakeUnreadable, "is cut"),
    (unasked, framed(100, b"\0\0\0\x09"), Alerted, "the server ended the connection: shutdown in progress"),
    (unasked, wire.HEALTH_FRAME, UnexpectedFrame, "of type 1009 came; awaited: nothing"),
    (greeted, framed(100, b"\0\0\0\x0c"), Alerted, "the server ended the connection: unsupported request"),
    (greeted, framed(100), Alerted, "no cause given"),
    (greeted, SETTINGS + framed(100, b"\0\0\0\2"), Alerted, "request complete"),
    (greeted, framed(102, b"\0\0\3\xec"), Alerted, "it does not know this request"),
    (greeted, wire.PACKET_FRAME, UnexpectedFrame, "of type 1012 came; awaited: the acknowledgement of a request"),
    (greeted, framed(1007, b"short"), WrongSize, "a window of time has 5 bytes"),
    (greeted, framed(1007, VERTICAL.encode()[:12] + b"\x7f\xf8" + bytes(14)), TimeUnreadable, "nan is no time"),
    (lambda: greeted(Report.HEALTH), framed(100, b"\0\0\0\0"), Alerted, "no cause given"),
    (lambda: greeted(Report.WFDISC), framed(102, b"\0\0\3\xeb"), Alerted, "it does not know this request"),
    (accepted, b"HTTP", BadTag, "a frame begins with 'HTTP"),
    (accepted, framed(1012, bytes(32769)), PayloadTooLarge, "32769"),
    (accepted, framed(1012, b"", 0, bytes(41)), SignatureTooLarge, "41"),
]


@pytest.mark.parametrize(("made", "data", "kind", "text"), REFUSALS)
@pytest.mark.parametrize("size", [0, 5])
def test_what_ends_a_connection_does_so_for_ever(
    made: Callable[[], IsiClient], data: bytes, kind: type[RemoteProtocolError], text: str, size: int
) -> None:
    client = made()
    receive(client, wire.HEARTBEAT)
    with pytest.raises(kind, match=text) as raised:
        receive(client, data + wire.SERVER_GREETING, size)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    for again in (lambda: receive(client, wire.SERVER_GREETING + wire.PACKET_FRAME), client.receive_eof):
        with pytest.raises(kind):
            again()


def test_what_was_whole_before_an_error_has_been_given() -> None:
    client = accepted()
    events = client.receive_data(wire.PACKET_FRAME + wire.PACKET_FRAME + b"garbage" + wire.PACKET_FRAME)
    assert [isinstance(next(events), IsiPacket) for _ in range(2)] == [True, True]
    with pytest.raises(BadTag):
        next(events)
    assert list(events) == []


def test_an_alert_carries_its_code() -> None:
    with pytest.raises(Alerted) as raised:
        receive(greeted(), framed(100, b"\0\0\0\x0a"))
    assert (raised.value.code, raised.value.cause) == (10, "protocol error")


def test_an_acknowledgement_is_not_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.protocols.isi.client._MAX_WINDOWS", 3)
    window = framed(1007, VERTICAL.encode())
    assert receive(greeted(), 3 * window + framed(0)) == [Accepted(3 * (VERTICAL,))]
    with pytest.raises(TooManyWindows, match="the peer sends more than 3 windows of time"):
        receive(greeted(), 4 * window)


def test_a_connection_that_ends_within_a_frame_is_an_error() -> None:
    client = accepted()
    client.receive_eof()
    receive(client, wire.PACKET_FRAME + wire.PACKET_FRAME[:50])
    for _ in range(2):
        with pytest.raises(ConnectionCut, match="ended 50 bytes into a frame"):
            client.receive_eof()


def test_a_peer_that_closes_before_it_says_anything_may_be_another_server() -> None:
    client = IsiClient()
    for _ in range(2):
        with pytest.raises(NoHandshake, match="without answering the handshake: is it an ISI server"):
            client.receive_eof()
    client = IsiClient()
    receive(client, wire.SERVER_GREETING[:50])
    with pytest.raises(ConnectionCut):
        client.receive_eof()


KINDS = st.sampled_from([0, 1, 100, 101, 102, *range(1001, 1020)]) | st.integers(0, 2**32 - 1)
PAYLOADS = st.sampled_from(
    [b"", bytes(4), wire.GREETING[16:-8], wire.WINDOW, wire.HEALTH, wire.CONFIGURATION, wire.IDA_PACKET, LINE.encode()]
)
STATES: list[Callable[[], IsiClient]] = [
    IsiClient,
    unasked,
    greeted,
    accepted,
    *(partial(greeted, each) for each in Report),
]


@pytest.mark.parametrize("made", STATES)
@given(frames=st.lists(st.tuples(KINDS, PAYLOADS | st.binary(max_size=80))), rest=st.binary(max_size=40))
def test_whatever_comes_is_events_or_an_error(
    made: Callable[[], IsiClient], frames: list[tuple[int, bytes]], rest: bytes
) -> None:
    client = made()
    with contextlib.suppress(RemoteProtocolError):
        receive(client, b"".join(framed(kind, payload) for kind, payload in frames) + rest, 37)
        client.receive_eof()


@given(
    st.lists(st.sampled_from([VERTICAL, NORTH, Window(IsiName("*", "*"))]), max_size=5),
    st.tuples(*(3 * [st.integers(0, 2**32 - 1)])),
    st.lists(st.integers(1, 100)),
)
def test_what_a_client_asks_is_what_the_server_hears(
    windows: list[Window], settings: tuple[int, int, int], sizes: list[int]
) -> None:
    client, server = IsiClient(), IsiServer()
    request = DataRequest(tuple(windows), 1, *settings)
    client.send_data_request(request)
    events = [event for piece in cut(client.data_to_send(), sizes) for event in server.receive_data(piece)]
    assert events == [isi.DataRequested(request)]
    server.send_acceptance(request, windows)
    answers: list[ClientEvent] = []
    for piece in cut(server.data_to_send(), sizes):
        with contextlib.suppress(ProtocolError):
            answers += client.receive_data(piece)
    assert answers == [Ready(30.0), Accepted(tuple(windows))]
