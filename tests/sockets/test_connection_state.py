"""Who is at the other end of a ZMQ socket, by the events of libzmq's monitor as they were seen to come."""

import logging

import pytest
import zmq

from rawdaq.sockets.connection_state import Presence

ADDRESS = "tcp://192.0.2.7:9004"
NOBODY = f"{ADDRESS}: nothing answers there: does it run, and are host and port right?; trying again"
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
    """A presence, what happens to it, and the time at which it does."""

    def __init__(self, is_bound: bool = False) -> None:
        self.now_s = 1000.0
        self.seen = Presence(ADDRESS, is_bound, logging.getLogger("rawdaq.test"), lambda: self.now_s)

    def does(self, events: list[tuple[zmq.Event, int]], then_s: float = 0.0) -> None:
        for event, value in events:
            self.seen.note(event, value)
        self.passes(then_s)

    def passes(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + 1.0)
            self.seen.tell()


@pytest.fixture(autouse=True)
def _all_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rawdaq")


def test_nobody_is_told_after_some_seconds_once_and_again_after_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    for _ in range(5000):
        peer.does(REFUSED, 0.1)
    assert caplog.messages == [NOBODY]
    assert peer.seen.status() == {"connected": False, "last_failure": NOBODY[len(ADDRESS) + 2 : -len("; trying again")]}
    peer.passes(600)
    assert caplog.messages == [NOBODY] * 2


def test_who_does_not_even_refuse_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    Peer().passes(10)
    assert caplog.messages == [NOBODY]


def test_a_peer_that_starts_a_little_later_is_only_told_when_it_is_there(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does(REFUSED, 2.0)
    peer.does(COMES, 100.0)
    assert caplog.messages == [f"connected to {ADDRESS}"]
    assert peer.seen.status() == {"connected": True, "last_failure": None}


def test_an_outage_is_told_with_its_causes_and_how_long_it_took(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does(COMES, 100.0)
    peer.does(GOES, 0.4)
    for _ in range(10):
        peer.does(REFUSED, 0.7)
    peer.does(COMES)
    assert caplog.messages == [f"connected to {ADDRESS}", ENDED, NOBODY, f"connected to {ADDRESS} again after 7.4 s"]
    peer.passes(1000)
    assert len(caplog.messages) == 4


def test_every_restart_is_told_however_short(caplog: pytest.LogCaptureFixture) -> None:
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


def test_who_is_no_zmq_socket_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    for _ in range(1000):
        peer.does(STRANGE, 0.1)
    assert len(caplog.messages) == 1
    assert "does not speak ZMQ with us: is the port right" in caplog.text


def test_who_says_nothing_is_no_zmq_socket(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does([(zmq.EVENT_CONNECTED, 9)], 2.0)
    assert caplog.messages == []
    peer.passes(20.0)
    assert len(caplog.messages) == 1
    assert "does not speak ZMQ with us" in caplog.text


def test_a_peer_that_comes_back_is_not_taken_for_a_stranger(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does(REFUSED, 20.0)
    peer.does(COMES, 20.0)
    assert caplog.messages == [NOBODY, f"connected to {ADDRESS}"]


def test_a_name_that_cannot_be_resolved_is_told(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    for _ in range(10):
        peer.does([(zmq.EVENT_CONNECT_RETRIED, 100)], 1.0)
    assert len(caplog.messages) == 1
    assert "the host name cannot be resolved" in caplog.text


def test_a_socket_of_another_kind_is_told_and_zmq_has_given_up(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does([(zmq.EVENT_CONNECTED, 9), (zmq.EVENT_DISCONNECTED, 9)])
    assert not peer.seen.is_given_up
    peer.passes(10)
    assert peer.seen.is_given_up
    assert len(caplog.messages) == 1
    assert "a ZMQ socket of another kind listens there" in caplog.text


def test_a_connection_that_we_cut_is_told_and_zmq_has_given_up(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer()
    peer.does(COMES, 100.0)
    peer.does(GOES[:1], 10.0)
    assert peer.seen.is_given_up
    assert caplog.messages[1] == ENDED
    assert "a message larger than max_message_mb" in caplog.messages[2]
    peer.does(COMES)
    assert not peer.seen.is_given_up


def test_where_senders_connect_the_first_and_the_last_are_told(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(is_bound=True)
    peer.passes(10)
    for descriptor in (9, 10):
        peer.does([(zmq.EVENT_ACCEPTED, descriptor), (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0)], 100.0)
    peer.does([(zmq.EVENT_ACCEPTED, 11), (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, 32), (zmq.EVENT_DISCONNECTED, 11)])
    assert peer.seen.status() == {"connected": True, "last_failure": None, "peers": 2}
    peer.does([(zmq.EVENT_DISCONNECTED, 9)], 100.0)
    assert peer.seen.status() == {"connected": True, "last_failure": None, "peers": 1}
    peer.does([(zmq.EVENT_DISCONNECTED, 10)], 100.0)
    assert peer.seen.status() == {"connected": False, "last_failure": "the last sender has gone", "peers": 0}
    assert not peer.seen.is_given_up
    assert caplog.messages == [
        f"{ADDRESS}: nobody is connected: do the senders run, and do they dial this address?",
        f"a sender is connected to {ADDRESS}",
        f"{ADDRESS}: the last sender has gone",
    ]


def test_who_connects_and_is_no_sender_is_told_while_there_is_none(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(is_bound=True)
    peer.does([(zmq.EVENT_ACCEPTED, 9), (zmq.EVENT_DISCONNECTED, 9)], 10.0)
    peer.does([(zmq.EVENT_ACCEPTED, 9), (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, 32), (zmq.EVENT_DISCONNECTED, 9)], 10.0)
    assert len(caplog.messages) == 2
    assert "a ZMQ socket of another kind connects" in caplog.messages[0]
    assert "who connects does not speak ZMQ with us" in caplog.messages[1]
