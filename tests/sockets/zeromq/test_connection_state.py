"""Whether a ZMQ socket has a peer, by the events of libzmq's monitor in the order in which they come."""

import logging

import pytest
import zmq

from rawdaq.sockets.zeromq import connection_state
from rawdaq.sockets.zeromq.connection_state import ConnectionState

ADDRESS = "tcp://192.0.2.7:9004"
ABSENT = f"{ADDRESS}: nothing answers there: does it run, and are host and port right?; trying again"
ENDED = f"{ADDRESS}: the connection has ended; trying again"

REFUSED = [(zmq.EVENT_CLOSED, 9), (zmq.EVENT_CONNECT_RETRIED, 100)]
STRANGE = [
    (zmq.EVENT_CONNECTED, 9),
    (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, 104),
    (zmq.EVENT_DISCONNECTED, 9),
    (zmq.EVENT_CONNECT_RETRIED, 100),
]
COMES = [(zmq.EVENT_CONNECTED, 9), (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0)]
GOES = [(zmq.EVENT_DISCONNECTED, 9), (zmq.EVENT_CONNECT_RETRIED, 100)]


class Peer:
    """A connection state, what happens to it, and the time at which it does."""

    def __init__(self, is_bound: bool = False, **options: bool) -> None:
        self.now_s = 1000.0
        log = logging.getLogger("rawdaq.test")
        self.state = ConnectionState(ADDRESS, is_bound, log, lambda: self.now_s, **options)

    def does(self, events: list[tuple[zmq.Event, int]], then_s: float = 0.0) -> None:
        for event, value in events:
            self.state.note(event, value)
        self.passes(then_s)

    def passes(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + 1.0)
            self.state.check()


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rawdaq")


def test_an_absent_peer_is_logged_after_seconds_and_again_after_ten_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    peer = Peer()
    for _ in range(5000):
        peer.does(REFUSED, 0.1)
    assert caplog.messages == [ABSENT]
    assert peer.state.status() == {
        "connected": False,
        "last_failure": ABSENT[len(ADDRESS) + 2 : -len("; trying again")],
    }
    peer.passes(600)
    assert caplog.messages == [ABSENT] * 2


def test_a_peer_that_does_not_even_refuse_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    Peer().passes(10)
    assert caplog.messages == [ABSENT]


def test_a_peer_that_starts_a_little_later_is_logged_once_connected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    peer = Peer()
    peer.does(REFUSED, 2.0)
    peer.does(COMES, 100.0)
    assert caplog.messages == [f"connected to {ADDRESS}"]
    assert peer.state.status() == {"connected": True, "last_failure": None}


def test_an_outage_is_logged_with_its_causes_and_its_length(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does(COMES, 100.0)
    peer.does(GOES, 0.4)
    for _ in range(10):
        peer.does(REFUSED, 0.7)
    peer.does(COMES)
    assert caplog.messages == [f"connected to {ADDRESS}", ENDED, ABSENT, f"connected to {ADDRESS} again after 7.4 s"]
    peer.passes(1000)
    assert len(caplog.messages) == 4


def test_every_restart_is_logged_however_short(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    for _ in range(3):
        peer.does(COMES, 90.0)
        peer.does(GOES, 0.2)
    assert caplog.messages == [
        f"connected to {ADDRESS}",
        *([ENDED, f"connected to {ADDRESS} again after 0.2 s"] * 2),
        ENDED,
    ]


@pytest.mark.parametrize("stays_s", [0.0, 1.5, 5.0])
def test_a_peer_that_comes_and_goes_fills_no_log(stays_s: float, caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    end_s = peer.now_s + 600
    while peer.now_s < end_s:
        peer.does(COMES, stays_s)
        peer.does(GOES, 0.1)
    assert ENDED in caplog.messages
    assert len(caplog.messages) < 12
    peer.does(COMES, 100.0)
    assert caplog.messages[-1].startswith(f"connected to {ADDRESS} again after ")


def test_a_peer_that_does_not_speak_zmq_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    for _ in range(1000):
        peer.does(STRANGE, 0.1)
    assert len(caplog.messages) == 1
    assert "does not speak ZMQ with us: is the port right" in caplog.text


def test_a_peer_that_sends_nothing_does_not_speak_zmq(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does([(zmq.EVENT_CONNECTED, 9)], 2.0)
    assert caplog.messages == []
    peer.passes(20.0)
    assert len(caplog.messages) == 1
    assert "does not speak ZMQ with us" in caplog.text


def test_a_peer_that_comes_back_is_only_logged_as_connected(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does(REFUSED, 20.0)
    peer.does(COMES, 20.0)
    assert caplog.messages == [ABSENT, f"connected to {ADDRESS}"]


def test_a_name_that_cannot_be_resolved_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    for _ in range(10):
        peer.state.note_unresolved()
        peer.passes(1.0)
    assert len(caplog.messages) == 1
    assert "the host name cannot be resolved" in caplog.text


def test_a_socket_of_another_kind_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does([(zmq.EVENT_CONNECTED, 9), (zmq.EVENT_DISCONNECTED, 9)], 5.0)
    peer.state.note_given_up()
    peer.passes(10)
    assert peer.state.cuts == 0
    assert len(caplog.messages) == 1
    assert "a ZMQ socket of another kind listens there" in caplog.text


def test_a_connection_that_we_cut_is_logged_and_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does(COMES, 100.0)
    peer.does(GOES[:1], 5.0)
    for _ in range(3):
        peer.state.note_given_up()
        peer.passes(1.0)
    assert peer.state.cuts == 1
    assert caplog.messages[1] == ENDED
    assert "a message that is too large (max_message_mb)" in caplog.messages[2]
    assert len(caplog.messages) == 3


def test_where_peers_connect_the_first_and_the_last_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(is_bound=True)
    peer.passes(10)
    for descriptor in (9, 10):
        peer.does([(zmq.EVENT_ACCEPTED, descriptor), (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0)], 100.0)
    peer.does([(zmq.EVENT_ACCEPTED, 11), (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, 32), (zmq.EVENT_DISCONNECTED, 11)])
    assert peer.state.status() == {"connected": True, "last_failure": None, "peers": 2}
    peer.does([(zmq.EVENT_DISCONNECTED, 9)], 100.0)
    assert peer.state.status() == {"connected": True, "last_failure": None, "peers": 1}
    peer.does([(zmq.EVENT_DISCONNECTED, 10)], 100.0)
    assert peer.state.status() == {"connected": False, "last_failure": "the last peer has disconnected", "peers": 0}
    assert caplog.messages == [
        f"{ADDRESS}: no peer is connected: do the other programs run, and do they connect to this address?",
        f"a peer is connected to {ADDRESS}",
        f"{ADDRESS}: a program that connects does not speak ZMQ with us: which program connects to this address?",
        f"{ADDRESS}: the last peer has disconnected",
    ]


def test_where_peers_connect_every_kind_of_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(is_bound=True)
    peer.does([(zmq.EVENT_ACCEPTED, 9), (zmq.EVENT_DISCONNECTED, 9)], 10.0)
    peer.does([(zmq.EVENT_ACCEPTED, 9), (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, 32), (zmq.EVENT_DISCONNECTED, 9)], 10.0)
    assert len(caplog.messages) == 2
    assert "a ZMQ socket of another kind connects" in caplog.messages[0]
    assert "a program that connects does not speak ZMQ with us" in caplog.messages[1]


AUTH = (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400)
CRYPTO = (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC)
MECHANISM = (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
NO_DETAIL = (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, 32)


@pytest.mark.parametrize(
    ("event", "is_bound", "has_key", "reason"),
    [
        (AUTH, False, True, "it refuses our key"),
        (AUTH, True, True, "has a key that is not in our folder of clients"),
        (NO_DETAIL, False, True, "does not have the key in `server_key`"),
        (CRYPTO, True, True, "has another key in `server_key` than ours"),
        (MECHANISM, False, False, "only one of the two sides encrypts"),
        (MECHANISM, True, True, "only one of the two sides encrypts"),
    ],
)
def test_what_is_wrong_with_the_keys_is_logged(
    event: tuple[zmq.Event, int], is_bound: bool, has_key: bool, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    peer = Peer(is_bound, has_key=has_key)
    begins = zmq.EVENT_ACCEPTED if is_bound else zmq.EVENT_CONNECTED
    for _ in range(10):
        peer.does([(begins, 9), event, (zmq.EVENT_DISCONNECTED, 9)], 1.0)
    assert len(caplog.messages) == 1
    assert reason in caplog.messages[0]


def test_where_no_peer_is_needed_its_absence_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(is_bound=True, needs_peer=False)
    peer.passes(1000)
    peer.does([(zmq.EVENT_ACCEPTED, 9), (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0)], 100.0)
    peer.does([(zmq.EVENT_DISCONNECTED, 9)], 1000.0)
    assert caplog.messages == [f"a peer is connected to {ADDRESS}"]
    peer.does([(zmq.EVENT_ACCEPTED, 9), NO_DETAIL, (zmq.EVENT_DISCONNECTED, 9)])
    assert "does not speak ZMQ with us" in caplog.messages[1]


def test_connections_that_have_the_last_descriptors_are_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection_state, "first_for_commands", lambda: 50)
    peer = Peer(is_bound=True, needs_peer=False)
    peer.does([(zmq.EVENT_ACCEPTED, 49), (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0)])
    assert "open files" not in caplog.text
    peer.does([(zmq.EVENT_ACCEPTED, 50), (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0), (zmq.EVENT_ACCEPTED, 51)])
    assert caplog.text.count("hardly any open files are left, and commands may soon not be answered; raise the") == 1
