"""What a device pushes arrives as it was fed; what the network does never reaches the acquisition loop."""

import errno
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.packet import SampleType
from rawdaq.protocols.raw import Endianness, RawVersion, SampleBlock
from rawdaq.protocols.raw.datagram import DatagramReader
from rawdaq.streamer import udp as udp_streamer
from rawdaq.streamer.udp import Channel, UDPStreamer
from rawdaq.times import NS_PER_S, from_iso
from tests.helpers import DEADLINE_S, environment, wait_for
from tests.names import NAME, Names

START_NS = from_iso("2026-11-20T23:59:59.5Z")
CHANNEL = Channel(1, 100, "little", "int32")


class Listener:
    """Receives, as a receiver would."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        self.socket.bind((host, port))
        self.socket.settimeout(DEADLINE_S)
        self.port: int = self.socket.getsockname()[1]

    def datagrams(self, count: int) -> list[bytes]:
        return [self.socket.recv(65_536) for _ in range(count)]

    def blocks(self, count: int, channels: list[Channel], version: str = "2.0") -> list[SampleBlock]:
        reader = DatagramReader({channel.id: channel.format for channel in channels}, RawVersion(version))
        events = [event for datagram in self.datagrams(count) for event in reader.decode(datagram)]
        return [event for event in events if isinstance(event, SampleBlock)]


@contextmanager
def listening(host: str = "127.0.0.1", port: int = 0) -> Generator[Listener]:
    listener = Listener(host, port)
    with listener.socket:
        yield listener


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.mark.parametrize("version", ["2.0", "1.1"])
def test_every_type_and_order_arrives_as_it_was_fed(version: str, listener: Listener) -> None:
    channels = [
        Channel(number, 62.5, order, kind)
        for number, (kind, order) in enumerate((kind, order) for kind in SampleType for order in Endianness)
    ]
    with UDPStreamer(channels, port=listener.port, version=version) as streamer:
        assert streamer.address == f"127.0.0.1:{listener.port}"
        for channel in channels:
            streamer.feed_data(channel.id, START_NS, channel.id, np.arange(-3, 4, dtype="int8"))
    blocks = listener.blocks(len(channels), channels, version)
    for channel, block in zip(channels, blocks, strict=True):
        assert (block.channel, block.start_ns) == (channel.id, START_NS)
        assert block.timing_quality == (channel.id if version == "2.0" else 100)
        assert block.samples.tolist() == list(range(-3, 4))
    assert streamer.counters.samples == 7 * len(channels)
    assert streamer.counters.datagrams == len(channels)
    assert streamer.counters.lost_datagrams == streamer.counters.refused == 0


def test_the_call_is_that_of_the_streamer_that_listens(listener: Listener) -> None:
    when = datetime(2026, 11, 21, tzinfo=UTC)
    with UDPStreamer([CHANNEL], port=listener.port) as streamer:
        streamer.feed_data(1, when, 90, [1])
        streamer.feed_data(1, when.replace(tzinfo=None), [2])
        streamer.feed_data(1, np.int64(from_iso("2026-11-21T00:00:00Z")), samples=np.array([3.0]).astype("int16"))
        streamer.feed_data(1, when, 90, [])
    blocks = listener.blocks(3, [CHANNEL])
    assert {block.start_ns for block in blocks} == {from_iso("2026-11-21T00:00:00Z")}
    assert [(block.timing_quality, block.samples.tolist()) for block in blocks] == [(90, [1]), (100, [2]), (100, [3])]


def test_a_long_run_goes_out_in_datagrams_that_fit_each_with_its_own_time(listener: Listener) -> None:
    channel = Channel(1, 300, "big", "int32")
    with UDPStreamer([channel], port=listener.port, datagram_bytes=418) as streamer:
        streamer.feed_data(1, START_NS, 100, np.arange(1050))
    datagrams = listener.datagrams(11)
    assert [len(datagram) for datagram in datagrams] == [418] * 10 + [218]
    reader = DatagramReader({1: channel.format})
    events = [event for datagram in datagrams for event in reader.decode(datagram)]
    blocks = [event for event in events if isinstance(event, SampleBlock)]
    assert [value for block in blocks for value in block.samples.tolist()] == list(range(1050))
    for index, block in enumerate(blocks):
        assert abs(block.start_ns - START_NS - index * NS_PER_S // 3) <= 500
    assert streamer.counters.sent_bytes == sum(map(len, datagrams))


def test_the_largest_datagram_that_there_is_arrives_whole(listener: Listener) -> None:
    with UDPStreamer([CHANNEL], port=listener.port, datagram_bytes=65_507) as streamer:
        streamer.feed_data(1, START_NS, np.arange(16_372))
    (block,) = listener.blocks(1, [CHANNEL])
    assert block.samples.tolist() == list(range(16_372))


WRONG_CALLS: dict[str, tuple[Callable[[UDPStreamer], None], str]] = {
    "unknown channel": (lambda streamer: streamer.feed_data(2, START_NS, [1]), "there is no channel 2, only 1"),
    "quality": (lambda streamer: streamer.feed_data(1, START_NS, 101, [1]), "timing quality 101"),
    "time": (lambda streamer: streamer.feed_data(1, 1 << 64, [1]), "is not in the years"),
    "end": (lambda streamer: streamer.feed_data(1, from_iso("2261-12-31T23:59:59Z"), [1] * 500), "not in the years"),
    "values": (lambda streamer: streamer.feed_data(1, START_NS, [1 << 40]), "do not fit into int32"),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_a_wrong_call_raises_and_sends_nothing(name: str, listener: Listener) -> None:
    call, text = WRONG_CALLS[name]
    with UDPStreamer([CHANNEL], port=listener.port) as streamer:
        with pytest.raises(InvalidValue, match=text):
            call(streamer)
        assert streamer.counters == udp_streamer.UdpCounters()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"channels": []}, "needs channels"),
        ({"channels": [CHANNEL, CHANNEL]}, "an id of its own"),
        ({"port": 0}, "port 0 is not in 1-65535"),
        ({"hops": 256}, "hops 256"),
        ({"version": "3.0"}, r"version '3\.0' is not one of 1\.0, 1\.1, 2\.0"),
        ({"datagram_bytes": 20}, "datagram of 20 bytes is not in 22-65507"),
        ({"channels": [Channel(70_000, 1, samptype="int8")]}, "RAW 2.0 cannot carry channel 70000"),
        ({"channels": [Channel(1, 1, samptype="float32")], "version": "1.0"}, "or its float32 samples"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_built(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        UDPStreamer(options.pop("channels", [CHANNEL]), **options)


def test_it_can_be_started_and_stopped_again_and_again(listener: Listener) -> None:
    streamer = UDPStreamer([CHANNEL], port=listener.port)
    for _ in range(2):
        with pytest.raises(ComponentError, match=r"not started: call start\(\)"):
            streamer.feed_data(1, START_NS, [1])
        streamer.start()
        streamer.start()
        streamer.feed_data(1, START_NS, [1])
        streamer.stop()
        streamer.stop()
    assert len(listener.datagrams(2)) == 2


def test_a_host_or_an_interface_that_is_not_there_is_told_at_the_start() -> None:
    with pytest.raises(ComponentError, match=r"cannot send to no\.such\.host\.invalid:9: .*check the name"):
        UDPStreamer([CHANNEL], "no.such.host.invalid", 9).start()
    with pytest.raises(ComponentError, match="there is no network interface nothere0"):
        UDPStreamer([CHANNEL], "239.255.77.1", 9, interface="nothere0").start()


def test_ipv6(listener: Listener) -> None:
    try:
        six = Listener("::1")
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with six.socket, UDPStreamer([CHANNEL], "::1", six.port) as streamer:
        streamer.feed_data(1, START_NS, [7])
        assert streamer.address == f"[::1]:{six.port}"
        assert six.blocks(1, [CHANNEL])[0].samples.tolist() == [7]


# --- the network goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="Linux answers at once that nobody listens")
def test_nobody_listening_is_counted_and_told_once_and_who_comes_later_gets_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with listening() as gone:
        port = gone.port
    with UDPStreamer([CHANNEL], port=port) as streamer:
        for _ in range(100):
            streamer.feed_data(1, START_NS, [1])
        wait_for(lambda: streamer.feed_data(1, START_NS, [1]) or streamer.counters.refused)
        assert len(caplog.messages) == 1
        assert f"datagrams to 127.0.0.1:{port}: 1 answered that no program listens there" in caplog.text
        with listening(port=port) as late:
            for value in (2, 3):
                streamer.feed_data(1, START_NS, [value])
            assert [block.samples.tolist() for block in late.blocks(2, [CHANNEL])] == [[2], [3]]
    assert len(caplog.messages) == 2  # the rest, when it stopped


@pytest.mark.skipif(sys.platform != "linux", reason="Linux answers at once that nobody listens")
def test_the_address_of_a_name_at_which_somebody_listens_is_found(names: Names, listener: Listener) -> None:
    with UDPStreamer([CHANNEL], NAME, listener.port) as streamer:
        wait_for(lambda: streamer.feed_data(1, START_NS, [1]) or streamer.counters.refused)
        streamer.feed_data(1, START_NS, [2])
        assert [block.samples.tolist() for block in listener.blocks(2, [CHANNEL])] == [[1], [2]]
        assert streamer.counters.refused == 1


def test_an_address_that_the_network_has_no_way_to_is_passed_over(
    names: Names, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = UDPStreamer._connected_to

    def connected_to(streamer: UDPStreamer, family: int, address: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return real(streamer, family, address)

    monkeypatch.setattr(UDPStreamer, "_connected_to", connected_to)
    with UDPStreamer([CHANNEL], NAME, listener.port) as streamer:
        streamer.feed_data(1, START_NS, [1])
        assert [block.samples.tolist() for block in listener.blocks(1, [CHANNEL])] == [[1]]
        assert streamer.counters.lost_datagrams == 0


class Broken:
    """A socket in a network that fails."""

    def __init__(self, error: OSError) -> None:
        self.error, self.is_closed = error, False

    def send(self, datagram: bytes) -> int:
        raise self.error

    def close(self) -> None:
        self.is_closed = True


def test_a_network_that_is_away_is_counted_told_and_tried_again(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken: Any = Broken(OSError(errno.ENETUNREACH, "Network is unreachable"))
    with UDPStreamer([CHANNEL], port=listener.port) as streamer:
        streamer.feed_data(1, START_NS, [1])
        streamer._close()
        monkeypatch.setattr(streamer, "_sock", broken)
        streamer.feed_data(1, START_NS, [2])
        streamer.feed_data(1, START_NS, [3])  # a moment later it is not tried yet
        assert broken.is_closed
        assert streamer.counters.lost_datagrams == 2
        monkeypatch.setattr(streamer, "_retry_s", 0.0)
        streamer.feed_data(1, START_NS, [4])
        assert [block.samples.tolist() for block in listener.blocks(2, [CHANNEL])] == [[1], [4]]
    assert caplog.messages == [
        f"datagrams to 127.0.0.1:{listener.port}: 1 lost: Network is unreachable",
        f"datagrams to 127.0.0.1:{listener.port}: 1 lost: the network was away a moment ago",
    ]


def test_a_full_send_buffer_loses_a_datagram_and_not_the_socket(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full: Any = Broken(BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"))
    with UDPStreamer([CHANNEL], port=listener.port) as streamer:
        monkeypatch.setattr(streamer, "_sock", full)
        streamer.feed_data(1, START_NS, [1])
        assert not full.is_closed
        assert streamer.counters.lost_datagrams == 1
    assert "1 lost, because they are fed faster than the network takes them" in caplog.text


def test_a_socket_that_cannot_be_made_is_a_loss_and_no_error(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with UDPStreamer([CHANNEL], port=listener.port) as streamer:
        monkeypatch.setattr(udp_streamer.UDPStreamer, "_prepare_for_groups", _unreachable)
        streamer.feed_data(1, START_NS, [1])
        assert streamer.counters.lost_datagrams == 1


def _unreachable(streamer: UDPStreamer, sock: socket.socket, host: str) -> None:
    raise OSError(errno.ENETUNREACH, "Network is unreachable")


# --- multicast -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="the loopback interface of Linux carries groups")
@pytest.mark.parametrize("group", ["239.255.77.9", "ff11::7709"])
def test_a_group_gets_what_is_sent_to_it(group: str) -> None:
    for index, name in socket.if_nameindex():
        family = socket.AF_INET6 if ":" in group else socket.AF_INET
        with listening("::" if ":" in group else "0.0.0.0") as member:
            packed = socket.inet_pton(family, group)
            if family == socket.AF_INET6:
                request = packed + index.to_bytes(4, sys.byteorder)
                member.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            else:
                request = packed + bytes(4) + index.to_bytes(4, sys.byteorder)
                member.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            with UDPStreamer([CHANNEL], group, member.port, interface=name, hops=0) as streamer:
                streamer.feed_data(1, START_NS, [7])
                if streamer.counters.datagrams:
                    assert member.blocks(1, [CHANNEL])[0].samples.tolist() == [7]
                    return
    pytest.skip(f"no interface of this machine carries {group}")


def test_the_system_chooses_the_interface_when_none_is_named(listener: Listener) -> None:
    with UDPStreamer([CHANNEL], "239.255.77.9", listener.port, hops=0) as streamer:
        streamer.feed_data(1, START_NS, [7])
    counters = streamer.counters
    assert counters.datagrams + counters.lost_datagrams == 1  # lost on a machine without any network


def test_importing_it_loads_only_numpy_and_the_standard_library() -> None:
    code = "import sys; import rawdaq.streamer.udp; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.split())
    assert loaded.isdisjoint({"zmq", "yaml", "click", "obspy", "pydantic", "pymseed", "rich", "platformdirs"})
