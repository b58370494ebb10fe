"""The server's codec: the session that was captured, requests of all sorts, and what clients are told."""

import contextlib
import pickle
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.isi import (
    Cause,
    Coordinates,
    DataRequest,
    DataRequested,
    Ended,
    IsiClient,
    IsiName,
    IsiPacket,
    IsiServer,
    NameInvalid,
    Place,
    Ready,
    Report,
    ReportRequested,
    StreamConfiguration,
    StreamHealth,
    Unsupported,
    Window,
    encode_packet,
    wfdisc_line,
)
from rawdaq.protocols.isi.errors import (
    BadRequest,
    BadTag,
    HandshakeUnreadable,
    PayloadTooLarge,
    SignatureTooLarge,
    TimeUnreadable,
    TooManyWindows,
    Withdrawn,
    WrongSize,
)
from rawdaq.times import from_iso
from tests.protocols import isi_wire as wire
from tests.protocols.isi_wire import cut, framed, receive

BEGIN, END = from_iso("2003-11-18T21:00:00"), from_iso("2003-11-19T00:00:00")
WINDOW = Window(IsiName("coco", "*", "*"), BEGIN, END)
VERTICAL, NORTH = (WINDOW._replace(name=IsiName("coco", channel, "20")) for channel in ("bhz", "bhn"))
REQUEST = DataRequest((WINDOW,), compression=1)
SIZES = [0, 1, 3, 24]


def greeted() -> IsiServer:
    """Return a server that has answered the handshake."""
    server = IsiServer(wire.SERVER_PID)
    assert receive(server, wire.GREETING) == []
    assert server.data_to_send() == wire.SERVER_GREETING
    return server


def alert(code: int, number: int = 1) -> bytes:
    return framed(100, struct.pack(">I", code), number)


@pytest.mark.parametrize("size", SIZES)
def test_a_request_for_data_is_heard_as_it_was_captured(size: int) -> None:
    server = greeted()
    assert receive(server, wire.DATA_REQUEST, size) == [DataRequested(REQUEST)]
    server.send_acceptance(REQUEST, [VERTICAL, NORTH])
    acceptance = b"".join(
        (
            framed(1004, b"\0\0\0\1", 1),
            framed(1005, b"\0\0\0\1", 2),
            framed(1006, b"\0\0\0\2", 3),
            framed(1007, b"coco\0\0\0bhz20" + wire.WINDOW[12:], 4),
            framed(1007, b"coco\0\0\0bhn20" + wire.WINDOW[12:], 5),
            framed(0, bytes(4), 6),
        )
    )
    assert server.data_to_send() == acceptance
    assert server.data_to_send() == b""
    assert server.frame(wire.PLAIN_PACKET) == wire.PACKET_FRAME
    server.send_heartbeat()
    server.send_alert(Cause.COMPLETE)
    assert server.data_to_send() == framed(101, b"", 8) + alert(2, 9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("data", "report"),
    [
        (wire.REQUEST_HEALTH, Report.HEALTH),
        (wire.REQUEST_CONFIGURATION, Report.CONFIGURATION),
        (framed(1003, bytes(4), 1), Report.WFDISC),
        (framed(1003, b"", 1), Report.WFDISC),
    ],
)
def test_a_request_for_a_report_is_heard(data: bytes, report: Report, size: int) -> None:
    server = greeted()
    assert receive(server, data, size) == [ReportRequested(report)]
    assert server.has_request
    server.send_entries([])
    server.end_report()
    assert server.data_to_send() == framed(0, b"", 1) + alert(2, 2)


def test_a_report_is_sent_as_it_was_captured() -> None:
    server = greeted()
    receive(server, wire.REQUEST_HEALTH)
    name = IsiName("coco", "bhz", "20")
    line = wfdisc_line(name, 1, BEGIN, END, 40.0, 1000, END)
    server.send_entries(
        [
            StreamHealth.decode(wire.HEALTH),
            StreamConfiguration(name, 40.0, Coordinates(-12.1901, 96.8349, 3.0, 70.0)),
            line,
            "ü" + line[1:],
        ]
    )
    server.end_report()
    assert server.data_to_send() == b"".join(
        (
            wire.HEALTH_FRAME,
            framed(1011, wire.CONFIGURATION, 2),
            framed(1010, line.encode(), 3),
            framed(1010, b"?" + line[1:].encode(), 4),
            framed(0, b"", 5),
            alert(2, 6),
        )
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_pair_understands_each_other(size: int) -> None:
    client, server = IsiClient(), IsiServer()
    client.send_data_request(REQUEST)
    assert receive(server, client.data_to_send(), size) == [DataRequested(REQUEST)]
    server.send_acceptance(REQUEST, [VERTICAL])
    samples = np.array(wire.SAMPLES, np.int32)
    packet = IsiPacket(VERTICAL.name, 40.0, wire.START_NS, wire.END_NS, samples)
    data = server.data_to_send() + server.frame(encode_packet(packet, REQUEST.compression))
    server.send_heartbeat()
    server.send_alert(Cause.SHUTDOWN)
    events = receive(client, data + server.data_to_send(), size)
    assert isinstance(events[2], IsiPacket)
    assert events[2]._replace(samples=samples) == packet
    assert events[3] == Ended(Cause.SHUTDOWN)


def test_settings_that_a_request_leaves_out_are_those_of_the_original_server() -> None:
    server = greeted()
    window = framed(1007, wire.WINDOW)
    assert receive(server, window + framed(0)) == [DataRequested(DataRequest((WINDOW,), 1, 5, 2, 0))]
    server = greeted()
    data = framed(1015, b"\0\0\0\7") + framed(1006, b"\0\0\0\3") + window + framed(1005, b"\0\0\0\x63") + window
    request = DataRequest((WINDOW, WINDOW), 1, 99, 3, 7)
    assert receive(server, data + framed(0, b"rubbish")) == [DataRequested(request)]
    server.send_acceptance(request, [])
    numbers = [struct.pack(">I", number) for number in (1, 99, 7, 3)]
    kinds = [1004, 1005, 1015, 1006]
    settings = [framed(*pair, at) for at, pair in enumerate(zip(kinds, numbers, strict=True), 1)]
    assert server.data_to_send() == b"".join(settings) + framed(0, bytes(4), 5)


def test_a_request_of_nothing_is_a_request() -> None:
    for data in (framed(0), framed(0, bytes(4))):
        assert receive(greeted(), data) == [DataRequested(DataRequest((), 1, 5, 2))]


def test_heartbeats_of_clients_and_numbers_of_frames_do_not_matter() -> None:
    server = greeted()
    beat = framed(101, b"", 4711)
    data = beat + framed(1004, b"\0\0\0\1", 0) + beat + framed(1007, wire.WINDOW, 2**32 - 1) + beat + framed(0)
    assert receive(server, data, 1) == [DataRequested(DataRequest((WINDOW,), 1, 5, 2))]


def test_a_signature_is_passed_over() -> None:
    assert receive(greeted(), framed(1001, b"", 1, bytes(40))) == [ReportRequested(Report.HEALTH)]


@pytest.mark.parametrize("rest", [wire.REQUEST_HEALTH, b"garbage", b"IACP", wire.DATA_REQUEST, alert(1)])
@pytest.mark.parametrize("size", SIZES)
def test_what_comes_after_a_request_is_not_looked_at(rest: bytes, size: int) -> None:
    for request in (wire.REQUEST_HEALTH, wire.DATA_REQUEST):
        server = greeted()
        assert len(receive(server, request + rest, size)) == 1
        assert receive(server, rest, size) == []
        assert server.data_to_send() == b""
        assert server.buffered_bytes == 0


def greeting(*items: tuple[int, int]) -> bytes:
    return struct.pack(">I", len(items)) + b"".join(struct.pack(">3I", item, 4, value) for item, value in items)


@pytest.mark.parametrize(
    ("theirs", "ours", "timeout_ms"),
    [
        ([], (9, 30_000, 0, 0), 30_000),
        ([(2, 5), (3, 5000), (4, 1024), (5, 2048)], (9, 5000, 1024, 2048), 5000),
        ([(3, 4000)], (9, 4000, 0, 0), 4000),
        ([(3, 3999)], (9, 4000, 0, 0), 4000),
        ([(3, 0)], (9, 4000, 0, 0), 4000),
        ([(3, 600_000)], (9, 600_000, 0, 0), 600_000),
        ([(3, 2**32 - 1)], (9, 600_000, 0, 0), 600_000),
        ([(3, 4000), (99, 1), (98, 1), (97, 1), (96, 1)], (9, 4000, 0, 0), 4000),
    ],
)
def test_a_handshake_is_answered_with_what_the_client_wants_within_limits(
    theirs: list[tuple[int, int]], ours: tuple[int, int, int, int], timeout_ms: int
) -> None:
    server = IsiServer(9)
    assert server.timeout_ms == 30_000
    assert receive(server, framed(1, greeting(*theirs)), 1) == []
    assert server.data_to_send() == framed(1, greeting(*zip((2, 3, 4, 5), ours, strict=True)))
    assert server.timeout_ms == timeout_ms


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (wire.REQUEST_HEALTH, BadRequest, "the request begins with a frame of type 1001 instead of a handshake"),
        (wire.HEARTBEAT, BadRequest, "begins with a frame of type 101"),
        (framed(1, greeting(*(6 * [(9, 9)]))), HandshakeUnreadable, "has 6 items"),
        (framed(1, b""), HandshakeUnreadable, "is cut"),
        (b"GET / HTTP/1.1\r\n\r\n", BadTag, "'GET / HTTP"),
        (framed(1, bytes(32769)), PayloadTooLarge, "32769"),
    ],
)
def test_who_does_not_greet_is_told_nothing(data: bytes, kind: type[RemoteProtocolError], text: str) -> None:
    server = IsiServer()
    with pytest.raises(kind, match=text):
        receive(server, data + wire.GREETING)
    assert server.data_to_send() == b""
    with pytest.raises(kind):
        receive(server, wire.GREETING)
    assert server.data_to_send() == b""


BREACHES: list[tuple[bytes, type[RemoteProtocolError], str, int | None]] = [
    (b"HTTP", BadTag, "'H", 3),
    (framed(1007, bytes(32769)), PayloadTooLarge, "of type 1007 announces 32769 bytes", 3),
    (framed(1007, b"", 0, bytes(41)), SignatureTooLarge, "41 bytes", 3),
    (framed(1007, b"short"), WrongSize, "a window of time has 5 bytes instead of 28", 10),
    (framed(1007, wire.WINDOW + b"long"), WrongSize, "has 32 bytes instead of 28", 10),
    (framed(1007, wire.WINDOW[:12] + b"\x7f\xf8" + bytes(14)), TimeUnreadable, "nan is no time", 10),
    (framed(1004, b""), WrongSize, "the format of a request has 0 bytes instead of 4", 10),
    (framed(1005, bytes(8)), WrongSize, "the compression of a request has 8 bytes", 10),
    (framed(1006, bytes(3)), WrongSize, "the policy of a request has 3 bytes", 10),
    (framed(1015, bytes(3)), WrongSize, "the options of a request has 3 bytes", 10),
    *(
        (framed(1004, struct.pack(">I", code)) + framed(1007, wire.WINDOW) + framed(0), Unsupported, text, 12)
        for code, text in (
            (0, "the request asks for what is not served: format 0 instead of 1, generic"),
            (2, "format 2"),
            (3, "format 3"),
            (99, "format 99"),
        )
    ),
    (framed(1014, bytes(31)), Unsupported, "packets by sequence number", 12),
    (framed(1016, bytes(12)), Unsupported, "packets by sequence number", 12),
    (framed(1017, b"\0\4"), Unsupported, "frames of type 1017", 12),
    (framed(1), Unsupported, "frames of type 1$", 12),
    (framed(102), Unsupported, "frames of type 102", 12),
    (framed(1012), Unsupported, "frames of type 1012", 12),
    (framed(2**32 - 1), Unsupported, "frames of type 4294967295", 12),
    (framed(1004, b"\0\0\0\1") + wire.REQUEST_HEALTH, Unsupported, "frames of type 1001", 12),
    (framed(1007, wire.WINDOW) + wire.REQUEST_CONFIGURATION, Unsupported, "frames of type 1002", 12),
    (alert(1), Withdrawn, "the client ended the connection: disconnect", None),
    (framed(1007, wire.WINDOW) + framed(100), Withdrawn, "the client ended the connection: no cause", None),
]


@pytest.mark.parametrize(("data", "kind", "text", "code"), BREACHES)
@pytest.mark.parametrize("size", [0, 1])
def test_a_client_is_told_once_what_it_did_wrong(
    data: bytes, kind: type[RemoteProtocolError], text: str, code: int | None, size: int
) -> None:
    server = greeted()
    with pytest.raises(kind, match=text) as raised:
        receive(server, data + wire.REQUEST_HEALTH, size)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert server.data_to_send() == (b"" if code is None else alert(code))
    for _ in range(2):
        with pytest.raises(kind):
            receive(server, wire.REQUEST_HEALTH)
    assert server.data_to_send() == b""
    assert not server.has_request


def test_a_request_is_not_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.protocols.isi.server._MAX_WINDOWS", 3)
    window = framed(1007, wire.WINDOW)
    assert receive(greeted(), 3 * window + framed(0)) == [DataRequested(DataRequest(3 * (WINDOW,), 1, 5, 2))]
    server = greeted()
    with pytest.raises(TooManyWindows, match="the peer sends more than 3 windows of time"):
        receive(server, 4 * window)
    assert server.data_to_send() == alert(10)


def test_a_part_of_a_request_is_awaited() -> None:
    server = IsiServer()
    assert server.buffered_bytes == 0
    receive(server, wire.GREETING[:10])
    assert server.buffered_bytes == 10
    receive(server, wire.GREETING[10:])
    assert server.buffered_bytes == 0
    receive(server, framed(1004, b"\0\0\0\1"))
    assert server.buffered_bytes == 0
    server = greeted()
    receive(server, framed(1007, wire.WINDOW))
    assert not server.has_request
    receive(server, framed(0) + b"I")
    assert (server.has_request, server.buffered_bytes) == (True, 0)


def test_a_name_that_isi_has_not_is_refused() -> None:
    server = greeted()
    name = IsiName("eightlet", "bhz")
    with pytest.raises(NameInvalid):
        server.send_acceptance(REQUEST, [Window(name, Place.OLDEST)])
    with pytest.raises(NameInvalid):
        server.send_entries([StreamConfiguration(name, None)])


def within_request() -> IsiServer:
    server = greeted()
    receive(server, framed(1005, b"\0\0\0\1") + framed(1007, wire.WINDOW))
    return server


def after_request() -> IsiServer:
    server = greeted()
    receive(server, wire.REQUEST_HEALTH)
    return server


KINDS = st.sampled_from([0, 1, 100, 101, 102, *range(1001, 1020)]) | st.integers(0, 2**32 - 1)
PAYLOADS = st.sampled_from([b"", bytes(4), b"\0\0\0\1", wire.GREETING[16:-8], wire.WINDOW]) | st.binary(max_size=80)


@pytest.mark.parametrize("made", [IsiServer, greeted, within_request, after_request])
@given(frames=st.lists(st.tuples(KINDS, PAYLOADS)), rest=st.binary(max_size=40), sizes=st.lists(st.integers(1, 50)))
def test_whatever_comes_is_a_request_or_an_error(
    made: Callable[[], IsiServer], frames: list[tuple[int, bytes]], rest: bytes, sizes: list[int]
) -> None:
    server = made()
    data = b"".join(framed(kind, payload) for kind, payload in frames) + rest
    events: list[object] = []
    with contextlib.suppress(RemoteProtocolError):
        for piece in cut(data, sizes):
            events += server.receive_data(memoryview(piece))
    assert len(events) <= 1
    assert server.data_to_send().count(b"\0\0\0\x64\0\0\0\4") <= 1


def test_a_client_that_greets_and_waits_is_answered() -> None:
    client, server = IsiClient(5, 4000), IsiServer()
    receive(server, client.data_to_send())
    assert receive(client, server.data_to_send()) == [Ready(4.0)]
