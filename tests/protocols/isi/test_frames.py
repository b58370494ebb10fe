"""IACP: frames cut anywhere, what ends a connection, handshakes and alerts."""

import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import ProtocolError
from rawdaq.protocols.isi.errors import (
    BadTag,
    ConnectionCut,
    HandshakeUnreadable,
    PayloadTooLarge,
    SignatureTooLarge,
)
from rawdaq.protocols.isi.frames import (
    MAX_PAYLOAD_BYTES,
    Cause,
    Frame,
    FrameReader,
    FrameType,
    FrameWriter,
    Handshake,
    cause_text,
    decode_alert,
    encode_alert,
)
from tests.protocols import isi_wire as wire
from tests.protocols.isi_wire import cut, framed, hexed

CAPTURED = [
    (wire.GREETING, 0, 1, wire.GREETING[16:-8]),
    (wire.SERVER_GREETING, 0, 1, wire.SERVER_GREETING[16:-8]),
    (wire.REQUEST_HEALTH, 1, 1001, b""),
    (wire.HEALTH_FRAME, 1, 1009, wire.HEALTH),
    (wire.HEARTBEAT, 2, 101, b""),
    (wire.NULL, 6, 0, b""),
    (wire.ALERT_COMPLETE, 7, 100, hexed("00 00 00 02")),
    (wire.REQUEST_CONFIGURATION, 1, 1002, b""),
    (wire.CONFIGURATION_FRAME, 1, 1011, wire.CONFIGURATION),
    (wire.PACKET_FRAME, 7, 1012, wire.PLAIN_PACKET),
]


def taken(reader: FrameReader) -> list[Frame]:
    frames: list[Frame] = []
    while (frame := reader.take()) is not None:
        frames.append(frame)
    return frames


def feed(reader: FrameReader, pieces: list[bytes]) -> list[Frame]:
    """Return the frames of *pieces*, one after the other."""
    frames: list[Frame] = []
    for piece in pieces:
        reader.feed(piece)
        frames += taken(reader)
    return frames


@pytest.mark.parametrize(("data", "number", "kind", "payload"), CAPTURED)
def test_a_frame_that_was_captured_is_read_and_written_as_it_was(
    data: bytes, number: int, kind: int, payload: bytes
) -> None:
    writer = FrameWriter()
    for _ in range(number):
        writer.frame(101)
    assert writer.frame(kind, payload) == data
    reader = FrameReader()
    reader.feed(data)
    assert taken(reader) == [Frame(kind, payload)]


@pytest.mark.parametrize("size", [1, 3, 23, 24, 25, 4096])
def test_frames_are_the_same_however_they_are_cut(size: int) -> None:
    reader = FrameReader()
    data = b"".join(captured for captured, *_ in CAPTURED)
    frames: list[Frame] = []
    for at in range(0, len(data), size):
        reader.feed(memoryview(data)[at : at + size])
        frames += taken(reader)
    assert frames == [Frame(kind, payload) for _, _, kind, payload in CAPTURED]
    assert reader.held_bytes == 0
    reader.receive_eof()


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=100), st.binary(max_size=40))),
    st.lists(st.integers(1, 200)),
)
def test_frames_of_any_type_signed_or_not_come_out(parts: list[tuple[int, bytes, bytes]], sizes: list[int]) -> None:
    reader = FrameReader()
    data = b"".join(framed(kind, payload, 4711, signature) for kind, payload, signature in parts)
    assert feed(reader, cut(data, sizes)) == [Frame(kind, payload) for kind, payload, _ in parts]


@pytest.mark.parametrize("place", range(len(framed(5, b"payload", signature=b"signed"))))
def test_a_frame_is_not_there_before_its_last_byte(place: int) -> None:
    data = framed(5, b"payload", signature=b"signed")
    reader = FrameReader()
    reader.feed(framed(4) + data[:place])
    assert taken(reader) == [Frame(4, b"")]
    assert reader.held_bytes == place
    reader.feed(data[place:])
    assert taken(reader) == [Frame(5, b"payload")]


def test_a_number_has_32_bits() -> None:
    writer = FrameWriter()
    writer._number = 2**32 - 1
    assert writer.frame(0)[4:8] == b"\xff\xff\xff\xff"
    assert writer.frame(0)[4:8] == bytes(4)


WRONG = [
    (b"H", BadTag, "a frame begins with 'H' instead of 'IACP'"),
    (b"IAX", BadTag, "'IAX'"),
    (b"IACQ", BadTag, "'IACQ'"),
    (b"GET / HTTP/1.1\r\nHost: aak", BadTag, r"'GET / HTTP/1\.1\\r\\n' instead"),
    (b"\xff" * 1000, BadTag, r"'(\\xff){16}' instead"),
    (framed(1012, bytes(32769))[:16], PayloadTooLarge, "of type 1012 announces 32769 bytes, the limit is 32768"),
    (struct.pack(">4s3I", b"IACP", 0, 5, 2**32 - 1), PayloadTooLarge, "4294967295 bytes"),
    (framed(1001, b"", 0, bytes(41))[:24], SignatureTooLarge, "of type 1001 announces a signature of 41 bytes, .* 40"),
]


@pytest.mark.parametrize(("data", "error", "text"), WRONG)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_frame_ends_it_for_ever(data: bytes, error: type[ProtocolError], text: str, size: int) -> None:
    reader = FrameReader()
    reader.feed(framed(7, b"whole"))
    assert taken(reader) == [Frame(7, b"whole")]
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    with pytest.raises(error, match=text if size > 1 else None) as raised:
        feed(reader, pieces)
    assert raised.value is reader.error
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    for again in (lambda: reader.feed(framed(7)), reader.take, reader.receive_eof):
        with pytest.raises(error):
            again()


def test_the_largest_payload_and_the_longest_signature_are_taken() -> None:
    reader = FrameReader()
    reader.feed(framed(1012, bytes(32768), 0, bytes(40)) + framed(0))
    assert taken(reader) == [Frame(1012, bytes(32768)), Frame(0, b"")]
    assert MAX_PAYLOAD_BYTES == 32768


def test_a_connection_that_ends_within_a_frame_is_an_error() -> None:
    reader = FrameReader()
    reader.feed(framed(7) + b"IACP\0")
    assert taken(reader) == [Frame(7, b"")]
    for _ in range(2):
        with pytest.raises(ConnectionCut, match="ended 5 bytes into a frame"):
            reader.receive_eof()
    with pytest.raises(ConnectionCut):
        reader.take()


@given(st.binary(max_size=300), st.lists(st.integers(1, 20)))
def test_whatever_comes_is_a_frame_or_an_error(data: bytes, sizes: list[int]) -> None:
    reader = FrameReader()
    try:
        for piece in cut(b"IACP" + data, sizes):
            reader.feed(piece)
            taken(reader)
            assert reader.held_bytes < 16 + 32768 + 8 + 40
    except ProtocolError as error:
        assert error is reader.error  # noqa: PT017 - either outcome is right


def items(*pairs: tuple[int, bytes], count: int | None = None) -> bytes:
    listed = b"".join(struct.pack(">2I", item, len(value)) + value for item, value in pairs)
    return struct.pack(">I", len(pairs) if count is None else count) + listed


def test_a_handshake_is_as_it_was_captured() -> None:
    handshake = Handshake(wire.PID, 30_000, 0, 0)
    assert handshake.encode() == wire.GREETING[16:-8]
    assert len(handshake.encode()) == 52
    assert Handshake.decode(handshake.encode()) == handshake
    assert Handshake() == (0, 30_000, 0, 0)
    assert Handshake(2**32 + 5).encode() == Handshake(5).encode()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (items(), Handshake()),
        (items((3, struct.pack(">I", 4000))), Handshake(timeout_ms=4000)),
        (items((5, b"\0\0\0\5"), (4, b"\0\0\0\4"), (2, b"\0\0\0\2")), Handshake(2, 30_000, 4, 5)),
        (items((99, b"unknown"), (2, b"\0\0\0\2")), Handshake(2)),
        (items((1, b"\0\0\0\1"), (0, b"\0\0\0\1"), (6, b"\0\0\0\1"), (2**32 - 1, b"\0\0\0\1")), Handshake()),
        (items((2, b"\0\2"), (3, b""), (4, b"\0\0\0\0\0\0\0\4")), Handshake()),
        (items((2, b"\0\0\0\1"), *((7 + place, b"") for place in range(4))), Handshake(1)),
        (items((2, b"\0\0\0\2")) + b"more", Handshake(2)),
    ],
)
def test_a_handshake_may_have_less_and_unknown_items(payload: bytes, expected: Handshake) -> None:
    assert Handshake.decode(payload) == expected


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "a handshake is cut"),
        (b"\0\0\0", "is cut"),
        (items(count=1), "is cut"),
        (items((2, b"\0\0\0\2"))[:-1], "is cut"),
        (items((2, b"\0\0\0\2"))[:11], "is cut"),
        (struct.pack(">3I", 1, 2, 2**32 - 1), "is cut"),
        (items(*(6 * [(9, b"")])), "has 6 items, the limit is 5"),
        (b"\xff\xff\xff\xff", "has 4294967295 items"),
    ],
)
def test_a_handshake_that_is_cut_or_too_long_is_an_error(payload: bytes, text: str) -> None:
    with pytest.raises(HandshakeUnreadable, match=text):
        Handshake.decode(payload)


def test_the_types_of_frames_have_their_numbers() -> None:
    assert {each.value: each.name for each in FrameType} == {
        0: "NULL",
        1: "HANDSHAKE",
        100: "ALERT",
        101: "HEARTBEAT",
        102: "NO_SUCH_TYPE",
        1001: "REQUEST_HEALTH",
        1002: "REQUEST_CONFIGURATION",
        1003: "REQUEST_WFDISC",
        1004: "FORMAT",
        1005: "COMPRESSION",
        1006: "POLICY",
        1007: "WINDOW",
        1009: "HEALTH",
        1010: "WFDISC",
        1011: "CONFIGURATION",
        1012: "PACKET",
        1013: "RAW_PACKET",
        1014: "SEQUENCE",
        1015: "OPTIONS",
        1016: "STREAM",
        1017: "REQUEST_REPORT",
        1018: "REPORT",
        1019: "RECORD",
    }


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "no cause given"),
        (1, "disconnect"),
        (2, "request complete"),
        (3, "input or output error"),
        (4, "fault of the server"),
        (5, "too many connections"),
        (6, "bad signature"),
        (7, "access denied"),
        (8, "request denied"),
        (9, "shutdown in progress"),
        (10, "protocol error"),
        (11, "unexpected frame"),
        (12, "unsupported request"),
        (99, "other cause"),
    ],
)
def test_an_alert_says_its_cause(code: int, text: str) -> None:
    assert cause_text(code).startswith(text)
    assert encode_alert(Cause(code)) == struct.pack(">I", code)
    assert decode_alert(encode_alert(code)) == code


def test_an_alert_may_say_anything() -> None:
    assert len(Cause) == 14
    assert cause_text(13) == "alert 13"
    assert decode_alert(b"") == decode_alert(b"\0\0\2") == Cause.NONE
    assert decode_alert(b"\0\0\0\2more") == Cause.COMPLETE
    assert decode_alert(b"\xff\xff\xff\xff") == 2**32 - 1
