"""A ZMQ socket finds its peer at any address of a name, at the first connection and at every later one."""

import select
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

import pytest
import zmq

from rawdaq.sockets.zeromq import dialling as zmq_dialling
from rawdaq.sockets.zeromq.dialling import Lookup, ZmqDialler
from rawdaq.sockets.zeromq.socket import set_common_options
from tests.helpers import wait_for
from tests.names import NAME, Names

Context = Any
Bound = Any


class Dialled:
    """A socket that connects, without an event loop, and what its dialler reports."""

    def __init__(self, context: Context, kind: int, address: str, max_message_bytes: int = -1) -> None:
        self.now_s = 1000.0
        self.peers: list[int] = []
        self.used = self.unresolved = self.given_up = 0
        self.dropped: list[str] = []
        self.socket = context.socket(kind)
        set_common_options(self.socket)
        self.socket.maxmsgsize = max_message_bytes
        self.socket.rcvtimeo = 30_000
        if kind == zmq.SUB:
            self.socket.subscribe(b"")
        self.dialler = ZmqDialler(
            self.socket,
            address,
            self._note,
            unresolved=self._note_unresolved,
            given_up=self._note_given_up,
            dropped=self.dropped.append,
            clock=lambda: self.now_s,
        )
        self.dialler.connect()

    def _note(self, event: int, value: int) -> None:
        if event in (zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_DISCONNECTED):
            self.peers.append(event)

    def _note_unresolved(self) -> None:
        self.unresolved += 1

    def _note_given_up(self) -> None:
        self.given_up += 1

    def reads_until(self, predicate: Callable[[], Any], a_turn_s: float = 0.0) -> None:
        """Read what happens until *predicate* is true; each turn lasts *a_turn_s* for the dialler."""

        def turn() -> bool:
            self.now_s += a_turn_s
            self.used += self.dialler.read()
            return bool(predicate())

        wait_for(turn)

    @property
    def is_connected(self) -> bool:
        return self.peers[-1:] == [zmq.EVENT_HANDSHAKE_SUCCEEDED]

    @property
    def is_asking(self) -> bool:
        lookup = self.dialler._lookup
        return lookup is not None and lookup.is_asking

    def close(self) -> None:
        self.dialler.close()
        self.socket.close()


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as context:
        yield context


@contextmanager
def bound(context: Context, kind: int, host: str, port: int = 0) -> Generator[tuple[Bound, int]]:
    """Give a socket that is bound to an address, and its port; whoever was there may still be leaving it."""
    made = context.socket(kind)
    made.linger = 0
    made.ipv6 = ":" in host
    address = f"tcp://{f'[{host}]' if ':' in host else host}:{port or '*'}"

    def is_bound() -> bool:
        try:
            made.bind(address)
        except zmq.ZMQError:
            return False
        return True

    wait_for(is_bound)
    try:
        yield made, int(made.last_endpoint.decode().rpartition(":")[2])
    finally:
        made.close()


@contextmanager
def dialled(context: Context, kind: int, port: int) -> Generator[Dialled]:
    made = Dialled(context, kind, f"tcp://{NAME}:{port}")
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("order", [["::1", "127.0.0.1"], ["127.0.0.1", "::1"]])
def test_the_address_that_answers_is_found_whichever_it_is(context: Context, names: Names, order: list[str]) -> None:
    names.addresses = order
    with bound(context, zmq.XPUB, order[1]) as (_, port), dialled(context, zmq.SUB, port) as peer:
        peer.reads_until(lambda: peer.is_connected)
        assert peer.peers == [zmq.EVENT_HANDSHAKE_SUCCEEDED]
        assert peer.used == 2  # once for each address


def test_what_is_reported_of_an_address_that_was_left_concerns_nobody(
    context: Context, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bound(context, zmq.XPUB, "127.0.0.1") as (_, port), dialled(context, zmq.SUB, port) as peer:
        peer.reads_until(lambda: peer.is_connected)
        left = {"event": zmq.EVENT_DISCONNECTED, "value": 0, "endpoint": b"tcp://[::1]:%d" % port}
        monkeypatch.setattr(peer.dialler, "_messages", lambda: [left])
        assert not peer.dialler.read()
        assert peer.is_connected
        monkeypatch.setattr(peer.dialler, "_messages", lambda: [{**left, "endpoint": b"tcp://127.0.0.1:%d" % port}])
        peer.dialler.read()
        assert not peer.is_connected


def test_an_address_that_the_name_had_before_the_connection_is_not_tried_after_it(
    context: Context, names: Names
) -> None:
    names.addresses = ["127.0.0.1", "::1"]
    with bound(context, zmq.XPUB, "127.0.0.1") as (first, port), dialled(context, zmq.SUB, port) as peer:
        peer.reads_until(lambda: peer.is_connected)
        names.addresses = ["127.0.0.1"]
        with socket.create_server(("::1", port), family=socket.AF_INET6) as old:
            first.close()
            peer.reads_until(lambda: not peer.is_connected)
            asked = names.asked
            peer.reads_until(lambda: names.asked > asked)
            with bound(context, zmq.XPUB, "127.0.0.1", port):
                peer.reads_until(lambda: peer.is_connected)
            assert not select.select([old], [], [], 0)[0]


def test_an_address_that_does_not_even_refuse_is_given_up(
    context: Context, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.sockets.zeromq.socket._CONNECT_MS", 100)
    names.addresses = ["2001:db8::1", "127.0.0.1"]  # for documentation: no machine has it
    with bound(context, zmq.XPUB, "127.0.0.1") as (_, port), dialled(context, zmq.SUB, port) as peer:
        peer.reads_until(lambda: peer.is_connected)


def test_what_listens_at_the_first_address_and_is_no_peer_is_passed_over(context: Context, names: Names) -> None:
    names.addresses = ["127.0.0.1", "::1"]
    with bound(context, zmq.XPUB, "::1") as (_, port), socket.create_server(("127.0.0.1", port)) as other:
        with dialled(context, zmq.SUB, port) as peer:
            other.settimeout(30)
            peer.reads_until(lambda: select.select([other], [], [], 0)[0])
            other.accept()[0].close()
            peer.reads_until(lambda: peer.is_connected)


def test_a_peer_that_comes_back_at_the_other_address_is_found(context: Context, names: Names) -> None:
    with bound(context, zmq.XPUB, "127.0.0.1") as (first, port), dialled(context, zmq.SUB, port) as peer:
        peer.reads_until(lambda: peer.is_connected)
        for host in ("::1", "127.0.0.1"):
            first.close()
            peer.reads_until(lambda: not peer.is_connected)
            with bound(context, zmq.XPUB, host, port) as (first, _):
                peer.reads_until(lambda: peer.is_connected, a_turn_s=1.0)
                first.recv()  # the subscription went along
                first.send(b"x")
                assert peer.socket.poll(30_000)
                assert peer.socket.recv() == b"x"


def test_the_name_is_looked_up_again_after_a_connection(context: Context, names: Names) -> None:
    names.addresses = ["127.0.0.1"]
    with bound(context, zmq.XPUB, "127.0.0.1") as (first, port), dialled(context, zmq.SUB, port) as peer:
        peer.reads_until(lambda: peer.is_connected)
        first.close()
        names.addresses = ["::1"]
        with bound(context, zmq.XPUB, "::1", port):
            peer.reads_until(lambda: not peer.is_connected)
            peer.reads_until(lambda: peer.is_connected, a_turn_s=1.0)


def test_an_absent_peer_is_not_looked_for_more_often_than_every_few_seconds(context: Context, names: Names) -> None:
    with bound(context, zmq.XPUB, "127.0.0.1") as (_, port):
        pass
    with dialled(context, zmq.SUB, port) as peer:
        peer.reads_until(lambda: names.asked >= 5, a_turn_s=0.5)
        began_s, asked = peer.now_s, names.asked
        peer.reads_until(lambda: names.asked >= asked + 2, a_turn_s=0.5)
        assert peer.now_s - began_s >= 5.0


@pytest.mark.parametrize("kind", [zmq.PULL, zmq.SUB])
def test_messages_that_wait_keep_the_address_until_they_are_read(context: Context, names: Names, kind: int) -> None:
    with bound(context, zmq.PUSH if kind == zmq.PULL else zmq.XPUB, "127.0.0.1") as (sender, port):
        with dialled(context, kind, port) as peer:
            peer.reads_until(lambda: peer.is_connected)
            if kind == zmq.SUB:
                sender.recv()
            for number in range(100):
                sender.send(b"%d" % number)
            wait_for(lambda: peer.socket.poll(0))
            assert peer.socket.recv() == b"0"
            sender.linger = 10_000
            sender.close()
            peer.reads_until(lambda: not peer.is_connected)
            with bound(context, zmq.PUSH if kind == zmq.PULL else zmq.XPUB, "::1", port):
                asked = names.asked
                peer.reads_until(lambda: names.asked > asked and not peer.is_asking, a_turn_s=1.0)
                for _ in range(100):
                    peer.dialler.read()
                assert [peer.socket.recv(zmq.NOBLOCK) for _ in range(99)] == [b"%d" % n for n in range(1, 100)]
                peer.reads_until(lambda: peer.is_connected, a_turn_s=1.0)


def test_a_push_socket_keeps_its_address_for_a_minute_and_then_says_what_it_leaves(
    context: Context, names: Names
) -> None:
    with bound(context, zmq.PULL, "127.0.0.1") as (first, port), dialled(context, zmq.PUSH, port) as peer:
        peer.reads_until(lambda: peer.is_connected)
        first.close()
        peer.reads_until(lambda: not peer.is_connected)
        asked = names.asked
        peer.reads_until(lambda: names.asked > asked)
        peer.now_s += 59.0
        for _ in range(100):
            peer.dialler.read()
        assert peer.dropped == []
        peer.now_s += 1.0
        with bound(context, zmq.PULL, "::1", port):
            peer.reads_until(lambda: peer.is_connected)
        assert peer.dropped == [f"tcp://127.0.0.1:{port}"]


@pytest.mark.parametrize("host", ["127.0.0.1", NAME])
def test_libzmq_gives_up_after_a_message_that_is_too_large_and_we_connect_again(
    context: Context, names: Names, host: str
) -> None:
    with bound(context, zmq.PUSH, "127.0.0.1") as (sender, port):
        peer = Dialled(context, zmq.PULL, f"tcp://{host}:{port}", max_message_bytes=1000)
        peer.reads_until(lambda: peer.is_connected)
        sender.send(b"small")
        sender.send(bytes(2000))
        peer.reads_until(lambda: not peer.is_connected)
        for _ in range(100):  # what has come is read before
            peer.dialler.read()
        peer.now_s += 5.0
        assert peer.dialler.read()
        assert (peer.given_up, peer.socket.recv()) == (1, b"small")
        peer.reads_until(lambda: peer.is_connected)
        sender.send(b"more")
        assert peer.socket.recv() == b"more"
        peer.close()


def test_a_name_without_an_address_is_told_and_asked_for_again(context: Context, names: Names) -> None:
    found, names.addresses = names.addresses, []
    with bound(context, zmq.XPUB, "127.0.0.1") as (_, port), dialled(context, zmq.SUB, port) as peer:
        peer.reads_until(lambda: peer.unresolved)
        names.addresses = found
        peer.reads_until(lambda: peer.is_connected)


def test_a_socket_closes_while_the_name_server_does_not_answer(context: Context, names: Names) -> None:
    names.delay.clear()
    with dialled(context, zmq.SUB, 9004) as peer:
        peer.dialler.read()
    names.delay.set()


def test_an_address_is_not_looked_up(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq_dialling, "Lookup", None)
    for address in ("tcp://127.0.0.1:9", "tcp://[::1]:9", "tcp://[fe80::1%lo]:9", "ipc:///nowhere/live"):
        Dialled(context, zmq.SUB, address).close()


def test_addresses_are_written_as_zmq_reports_them(monkeypatch: pytest.MonkeyPatch) -> None:
    index, name = socket.if_nameindex()[0]
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 9, 0, index)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 9)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 9, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 17, "", ("192.0.2.7", 9)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", Mock(return_value=found))
    lookup = Lookup("example.org", 9)
    lookup.ask()
    answers = wait_for(lookup.answers)
    lookup.close()
    assert answers == [[f"tcp://[fe80::1%{name}]:9", "tcp://192.0.2.7:9", "tcp://[2001:db8::1]:9"]]
