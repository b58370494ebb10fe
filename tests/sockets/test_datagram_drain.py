"""Every drain takes every datagram whole, once, in the order of arrival, and knows where it came from."""

import ctypes
import errno
import socket
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rawdaq.sockets import datagram_drain
from rawdaq.sockets.datagram_drain import BURST_DATAGRAMS, BatchDrain, Burst, Drain, LoopDrain, drain_of

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="recvmmsg is a call of Linux")
DRAINS = [LoopDrain, pytest.param(BatchDrain, marks=linux_only)]
FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


class Pair:
    """A socket to drain, and a sender."""

    def __init__(self, family: int, host: str) -> None:
        self.receiver = socket.socket(family, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        try:
            self.receiver.bind((host, 0))
        except OSError as error:
            self.receiver.close()
            pytest.skip(f"this machine has no {host}: {error}")
        self.receiver.setblocking(False)
        self.address: Any = self.receiver.getsockname()
        self.senders: list[socket.socket] = []

    def sender(self, host: str | None = None) -> socket.socket:
        sender = socket.socket(self.receiver.family, socket.SOCK_DGRAM)
        self.senders.append(sender)
        if host is not None:
            sender.bind((host, 0))
        sender.connect(self.address)
        return sender

    def close(self) -> None:
        for each in (self.receiver, *self.senders):
            each.close()


@pytest.fixture(params=FAMILIES, ids=["IPv4", "IPv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(*request.param)
    yield pair
    pair.close()


@pytest.fixture
def pair_4() -> Iterator[Pair]:
    pair = Pair(*FAMILIES[0])
    yield pair
    pair.close()


def datagrams(burst: Burst) -> list[bytes]:
    found: list[bytes] = []
    for begin, end, size in burst.stretches():
        joined = burst.joined(begin, end)
        assert len(joined) == (end - begin) * size
        found += [joined[at * size : (at + 1) * size] for at in range(end - begin)]
    assert len(found) == len(burst)
    return found


@pytest.mark.parametrize("kind", DRAINS)
def test_datagrams_of_every_size_come_whole_and_in_order(kind: type[Drain], pair: Pair) -> None:
    sender, drain = pair.sender(), kind(pair.receiver)
    assert drain.read() is None
    largest = 65_507 if pair.receiver.family == socket.AF_INET else 65_487
    sent = [bytes([number]) * size for number, size in enumerate([0, 1, 1, 1, 1018, 1018, largest, 0, 7])]
    for datagram in sent:
        sender.send(datagram)
    burst = drain.read()
    assert burst is not None
    assert datagrams(burst) == sent
    assert [burst.sender(index) for index in range(len(burst))] == [pair.address[0]] * len(sent)
    host = "[::1]" if pair.receiver.family == socket.AF_INET6 else "127.0.0.1"
    assert burst.peer(3) == f"{host}:{sender.getsockname()[1]}"
    assert drain.read() is None


@pytest.mark.parametrize("kind", DRAINS)
def test_more_than_a_burst_comes_in_several(kind: type[Drain], pair_4: Pair) -> None:
    sender, drain = pair_4.sender(), kind(pair_4.receiver)
    sent = [b"%d" % number for number in range(BURST_DATAGRAMS + 100)]
    for datagram in sent:
        sender.send(datagram)
    first, second = drain.read(), drain.read()
    assert first is not None
    assert len(first) == BURST_DATAGRAMS
    assert second is not None
    assert len(second) == 100
    assert datagrams(second) == sent[BURST_DATAGRAMS:]


@linux_only
@pytest.mark.parametrize("kind", DRAINS)
def test_senders_are_told_apart(kind: type[Drain], pair_4: Pair) -> None:
    one, other = pair_4.sender("127.0.0.1"), pair_4.sender("127.0.0.2")
    drain = kind(pair_4.receiver)
    for sender, datagram in ((one, b"a"), (one, b"b"), (other, b"c"), (one, b"d")):
        sender.send(datagram)
    burst = drain.read()
    assert burst is not None
    asked: list[str] = []

    def is_ours(sender: str) -> bool:
        asked.append(sender)
        return sender == "127.0.0.1"

    foreign = burst.foreign(is_ours)
    assert foreign == [2]
    assert [(begin, end) for begin, end, _ in burst.stretches(foreign)] == [(0, 2), (3, 4)]
    assert asked == ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.1"]
    for _ in range(3):
        other.send(b"e")
    burst = drain.read()
    assert burst is not None
    assert burst.foreign(is_ours) == [0, 1, 2]
    assert len(asked) == 5
    assert list(burst.stretches([0, 1, 2])) == []
    one.send(b"f")
    burst = drain.read()
    assert burst is not None
    assert burst.foreign(is_ours) == []


def test_a_stretch_is_what_has_one_size() -> None:
    slots = np.arange(60, dtype=np.uint8).reshape(6, 10)
    burst = Burst(slots, np.array([4, 4, 2, 4, 4, 4]), lambda index: ("192.0.2.7", 9), has_one_sender=True)
    assert list(burst.stretches()) == [(0, 2, 4), (2, 3, 2), (3, 6, 4)]
    assert list(burst.stretches([4])) == [(0, 2, 4), (2, 3, 2), (3, 4, 4), (5, 6, 4)]
    assert burst.joined(0, 2) == bytes([0, 1, 2, 3, 10, 11, 12, 13])


@linux_only
def test_a_senders_ipv4_address_is_the_same_through_an_ipv6_socket() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        receiver.bind(("::", 0))
        receiver.setblocking(False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for kind in (LoopDrain, BatchDrain):
                sender.sendto(b"x", ("127.0.0.1", receiver.getsockname()[1]))
                burst = kind(receiver).read()
                assert burst is not None
                assert burst.peer(0) == f"127.0.0.1:{sender.getsockname()[1]}"


@linux_only
def test_an_error_of_the_system_is_told_as_one(pair_4: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*args: object) -> int:
        ctypes.set_errno(errno.ENETDOWN)
        return -1

    monkeypatch.setattr(datagram_drain, "_recvmmsg", lambda: failing)
    with pytest.raises(OSError, match="cannot receive") as raised:
        BatchDrain(pair_4.receiver).read()
    assert raised.value.errno == errno.ENETDOWN


def test_the_quickest_drain_of_the_system_is_taken(pair_4: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(drain_of(pair_4.receiver), BatchDrain if sys.platform == "linux" else LoopDrain)

    def missing() -> None:
        raise AttributeError("recvmmsg")

    monkeypatch.setattr(datagram_drain, "_recvmmsg", missing)
    assert isinstance(drain_of(pair_4.receiver), LoopDrain)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(drain_of(pair_4.receiver), LoopDrain)
