"""ZMTP: both ends agree, cut anywhere; what is not ZMTP is refused and nothing is held beyond the limits."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import LocalProtocolError, RemoteProtocolError
from rawdaq.protocols.zmtp import (
    MAX_FRAMES,
    MAX_SUBSCRIPTION_BYTES,
    Cancelled,
    Event,
    FrameWrong,
    NotZmtp,
    PeerRefused,
    Ready,
    Received,
    SocketType,
    Subscribed,
    WrongSocketType,
    ZmtpPeer,
    frame_message,
)

GREETING = bytes.fromhex("ff000000000000000 07f0300".replace(" ", "")) + b"NULL".ljust(20, b"\0") + bytes(32)
READY_SUB = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"
READY_PUB = READY_SUB.replace(b"SUB", b"PUB")

# What a subscriber sends after READY, and what that means to a publisher.
CASES: list[tuple[bytes, list[Event]]] = [
    (b"\x00\x04\x01XX.", [Subscribed(b"XX.")]),
    (b"\x00\x01\x01", [Subscribed(b"")]),
    (b"\x00\x04\x00XX.", [Cancelled(b"XX.")]),
    (b"\x04\x0d\x09SUBSCRIBEXX.", [Subscribed(b"XX.")]),
    (b"\x04\x0a\x06CANCELXX.", [Cancelled(b"XX.")]),
    (b"\x04\x04\x03NEW", []),
    (b"\x00\x02ab", [Received((b"ab",))]),
    (b"\x00\x00", [Received((b"",))]),
    (b"\x01\x02\x01a\x00\x01b", [Received((b"\x01a", b"b"))]),
    (b"\x01\x01a\x04\x04\x03NEW\x00\x01b", [Received((b"a", b"b"))]),  # a command may come between the frames
    (b"\x02" + (300).to_bytes(8, "big") + b"\x01" + b"x" * 299, [Subscribed(b"x" * 299)]),
]


def feed(peer: ZmtpPeer, data: bytes, size: int) -> list[Event]:
    return [event for at in range(0, len(data), size) for event in peer.receive_data(data[at : at + size])]


def ready(socket_type: SocketType = SocketType.PUB) -> ZmtpPeer:
    peer = ZmtpPeer(socket_type)
    theirs = READY_SUB if socket_type in (SocketType.PUB, SocketType.XPUB) else READY_PUB
    assert [type(event) for event in peer.receive_data(GREETING + theirs)] == [Ready]
    peer.data_to_send()
    return peer


@pytest.mark.parametrize(("wire", "events"), CASES)
@pytest.mark.parametrize("size", [1, 3, 4096])
def test_bytes_mean_the_same_however_they_are_cut(wire: bytes, events: list[Event], size: int) -> None:
    peer = ZmtpPeer(SocketType.PUB)
    assert feed(peer, GREETING + READY_SUB + wire, size) == [Ready(SocketType.SUB), *events]
    assert peer.buffered_bytes == 0


def test_we_greet_as_the_specification_says() -> None:
    peer = ZmtpPeer(SocketType.PUB)
    assert peer.data_to_send() == GREETING + READY_PUB
    assert peer.data_to_send() == b""


@pytest.mark.parametrize("size", [1, 3, 4096])
def test_two_peers_agree_on_everything(size: int) -> None:
    publisher, subscriber = ZmtpPeer(SocketType.XPUB), ZmtpPeer(SocketType.SUB, 1 << 20)
    assert feed(subscriber, publisher.data_to_send(), size) == [Ready(SocketType.XPUB)]
    subscriber.send_subscribe(b"XX.")
    subscriber.send_message([b"\0YY."])
    assert feed(publisher, subscriber.data_to_send(), size) == [
        Ready(SocketType.SUB),
        Subscribed(b"XX."),
        Cancelled(b"YY."),
    ]
    message = (b"XX.DEMO", b"", b"x" * 300, b"\x01y")
    publisher.send_message(message)
    publisher.send_message([b"\x01one frame"])
    assert feed(subscriber, publisher.data_to_send(), size) == [Received(message), Received((b"\x01one frame",))]


def test_bodies_of_a_message_are_not_copied() -> None:
    body = memoryview(bytes(300))
    assert frame_message([b"a", body]) == [b"\x01\x01", b"a", b"\x02" + (300).to_bytes(8, "big"), body]
    assert frame_message([b"a", body])[-1] is body


def test_ping_is_answered_with_its_context() -> None:
    peer = ready()
    assert list(peer.receive_data(b"\x04\x0b\x04PING\x00\x01ctxt")) == []
    assert peer.data_to_send() == b"\x04\x09\x04PONGctxt"


def test_property_names_ignore_case_and_order() -> None:
    body = b"\x05READY\x08Identity\0\0\0\x02ab\x0bSOCKET-type\0\0\0\x04XSUB"
    peer = ZmtpPeer(SocketType.PUB)
    assert list(peer.receive_data(GREETING + b"\x04" + bytes([len(body)]) + body)) == [Ready(SocketType.XSUB)]


def test_wrong_calls_queue_nothing() -> None:
    peer = ZmtpPeer(SocketType.PUB)
    peer.data_to_send()
    with pytest.raises(LocalProtocolError, match="after the handshake"):
        peer.send_message([b"a"])
    with pytest.raises(LocalProtocolError, match="at least one frame"):
        ready().send_message([])
    assert peer.data_to_send() == b""


@pytest.mark.parametrize(
    "greeting",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x01\x00",  # ZMTP 1
        GREETING[:10] + b"\x01",  # ZMTP 2, which waits for ours after these
        GREETING[:9] + b"\x00",
        GREETING.replace(b"NULL\0", b"CURVE"),
    ],
)
@pytest.mark.parametrize("size", [1, 4096])
def test_a_greeting_that_is_not_of_a_zmq_socket_is_refused(greeting: bytes, size: int) -> None:
    with pytest.raises(NotZmtp, match="is not that of ZMTP 3"):
        feed(ZmtpPeer(SocketType.PUB), greeting, size)


@pytest.mark.parametrize(
    ("wire", "error", "text"),
    [
        (READY_PUB, WrongSocketType, "'PUB' socket, which cannot talk with PUB"),
        (b"\x04\x06\x05READY", WrongSocketType, "''"),
        (b"\x04\x0a\x05ERROR\x03no!", PeerRefused, "'no!'"),
        (b"\x00\x01\x01", FrameWrong, "before the handshake ended, bytes of it: 1"),
        (b"\x04\x05\x04PING", FrameWrong, "not READY"),
        (b"\x04\x0a\x05READY\x0bSoc", FrameWrong, "ends within a property, bytes of it: 4"),
        (b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x04SUB", FrameWrong, "ends within a value"),
        (READY_SUB + b"\x08\x00", FrameWrong, "flags: 8"),
        (READY_SUB + b"\x05\x00", FrameWrong, "flags: 5"),
        (
            READY_SUB + b"\x02" + b"\xff" * 8,
            FrameWrong,
            f"more than {MAX_SUBSCRIPTION_BYTES} bytes: 18446744073709551615",
        ),
        (READY_SUB + b"\x01\x00" * (MAX_FRAMES + 1), FrameWrong, f"more than {MAX_FRAMES} frames: {MAX_FRAMES + 1}"),
    ],
)
@pytest.mark.parametrize("size", [1, 4096])
def test_what_zmtp_does_not_allow_is_refused_with_its_numbers(
    wire: bytes, error: type[RemoteProtocolError], text: str, size: int
) -> None:
    peer = ZmtpPeer(SocketType.PUB)
    with pytest.raises(error) as caught:
        feed(peer, GREETING + wire, size)
    assert text in str(caught.value)
    with pytest.raises(error):  # the connection is dead and says so again
        list(peer.receive_data(b"more"))


def test_many_small_frames_of_one_message_are_held_up_to_the_limit() -> None:
    peer = ZmtpPeer(SocketType.SUB, max_message_bytes=1000)
    list(peer.receive_data(GREETING + READY_PUB + (b"\x01\xc8" + b"x" * 200) * 5))
    assert peer.buffered_bytes == 1000
    with pytest.raises(FrameWrong, match="more than 1000 bytes: 1001"):
        list(peer.receive_data(b"\x00\x01x"))


@pytest.mark.parametrize(
    "error",
    [NotZmtp(b"GET"), WrongSocketType("PUB", "PUB"), FrameWrong("flags", 8), PeerRefused("no")],
)
def test_errors_survive_pickling(error: RemoteProtocolError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.args) == (type(error), str(error), error.args)


@given(
    st.sampled_from([b"", GREETING, GREETING + READY_SUB]),
    st.lists(st.binary(max_size=40) | st.sampled_from([GREETING, READY_SUB, *(wire for wire, _ in CASES)]), max_size=8),
)
def test_arbitrary_bytes_raise_nothing_but_a_protocol_error_and_are_bounded(begin: bytes, chunks: list[bytes]) -> None:
    peer = ZmtpPeer(SocketType.PUB, max_message_bytes=100)
    try:
        for chunk in [begin, *chunks]:
            list(peer.receive_data(chunk))
            assert peer.buffered_bytes <= 100 + 64 + 400
    except RemoteProtocolError:
        pass


def test_a_pushing_socket_talks_with_a_pulling_one_alone() -> None:
    pusher, puller = ZmtpPeer(SocketType.PUSH), ZmtpPeer(SocketType.PULL)
    assert list(puller.receive_data(pusher.data_to_send())) == [Ready(SocketType.PUSH)]
    assert list(pusher.receive_data(puller.data_to_send())) == [Ready(SocketType.PULL)]
    pusher.send_message([b"\x01 is no subscription here"])
    assert list(puller.receive_data(pusher.data_to_send())) == [Received((b"\x01 is no subscription here",))]
    with pytest.raises(WrongSocketType, match="'SUB' socket, which cannot talk with PUSH"):
        list(ZmtpPeer(SocketType.PUSH).receive_data(GREETING + READY_SUB))
