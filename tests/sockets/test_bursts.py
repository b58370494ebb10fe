"""A burst has every datagram whole, once, in the order of arrival, and knows where it came from."""

import errno
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from rawdaq.sockets.datagrams import BURST_DATAGRAMS, Burst, read_burst

FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
BUFFER = memoryview(bytearray(1 << 20))


class Pair:
    """A socket to read, and its senders."""

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

    def sender(self) -> socket.socket:
        sender = socket.socket(self.receiver.family, socket.SOCK_DGRAM)
        self.senders.append(sender)
        sender.connect(self.address)
        return sender

    def read(self) -> Burst:
        burst = read_burst(self.receiver, BUFFER)
        assert burst is not None
        return burst

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
    for indices, joined in burst.groups():
        size = len(joined) // len(indices)
        found += [joined[at * size : (at + 1) * size] for at in range(len(indices))]
    return found


def test_datagrams_of_every_size_come_whole_and_in_order(pair: Pair) -> None:
    sender = pair.sender()
    assert read_burst(pair.receiver, BUFFER) is None
    largest = 65_507 if pair.receiver.family == socket.AF_INET else 65_487
    sent = [bytes([number]) * size for number, size in enumerate([0, 1, 1, 1, 1018, 1018, largest, 0, 7])]
    for datagram in sent:
        sender.send(datagram)
    burst = pair.read()
    assert datagrams(burst) == sent
    assert [burst.sender(index) for index in range(len(sent))] == [pair.address[0]] * len(sent)
    host = "[::1]" if pair.receiver.family == socket.AF_INET6 else "127.0.0.1"
    assert burst.peer(3) == f"{host}:{sender.getsockname()[1]}"
    assert read_burst(pair.receiver, BUFFER) is None


def test_more_than_a_burst_comes_in_several(pair_4: Pair) -> None:
    sender = pair_4.sender()
    sent = [b"%d" % number for number in range(BURST_DATAGRAMS + 100)]
    for datagram in sent:
        sender.send(datagram)
    assert datagrams(pair_4.read()) == sent[:BURST_DATAGRAMS]
    assert datagrams(pair_4.read()) == sent[BURST_DATAGRAMS:]


def test_a_burst_ends_where_the_largest_datagram_may_not_fit(pair_4: Pair) -> None:
    sender = pair_4.sender()
    for number in range(5):
        sender.send(bytes([number]) * 60_000)
    small = memoryview(bytearray(150_000))
    bursts = [read_burst(pair_4.receiver, small) for _ in range(3)]
    assert [burst and list(burst.sizes) for burst in bursts] == [[60_000] * 2, [60_000] * 2, [60_000]]


BURST = Burst(memoryview(bytes(range(22))), [4, 4, 2, 4, 4, 4], [("192.0.2.7", 9)] * 6)


def test_a_group_is_what_has_one_size() -> None:
    assert list(BURST.groups()) == [
        (range(2), bytes(range(8))),
        (range(2, 3), bytes([8, 9])),
        (range(3, 6), bytes(range(10, 22))),
    ]


def test_what_is_left_out_parts_a_group() -> None:
    assert list(BURST.groups(without=[2, 4])) == [
        (range(2), bytes(range(8))),
        (range(3, 4), bytes(range(10, 14))),
        (range(5, 6), bytes(range(18, 22))),
    ]
    assert list(BURST.groups(without=range(6))) == []


def test_empty_datagrams_can_be_left_out_too() -> None:
    burst = Burst(memoryview(b"ab"), [0, 0, 2], [("192.0.2.7", 9)] * 3)
    assert list(burst.groups(without=[1])) == [(range(1), b""), (range(2, 3), b"ab")]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep IPv4 out of an IPv6 socket")
def test_a_senders_ipv4_address_is_the_same_through_an_ipv6_socket() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        receiver.bind(("::", 0))
        receiver.setblocking(False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("127.0.0.1", receiver.getsockname()[1]))
            burst = read_burst(receiver, BUFFER)
            assert burst is not None
            assert burst.peer(0) == f"127.0.0.1:{sender.getsockname()[1]}"


class Failing:
    """A socket that gives some datagrams, then an error."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)

    def recvfrom_into(self, buffer: memoryview) -> tuple[int, tuple[str, int]]:
        if not self.sizes:
            raise OSError(errno.ENETDOWN, "Network is down")
        return self.sizes.pop(0), ("192.0.2.7", 9)


def test_an_error_of_the_system_is_raised_after_what_came_before_it() -> None:
    sock: Any = Failing(4, 2)
    burst = read_burst(sock, BUFFER)
    assert burst is not None
    assert list(burst.sizes) == [4, 2]
    with pytest.raises(OSError, match="Network is down"):
        read_burst(sock, BUFFER)
