import contextlib
import socket
import struct
import threading
from collections.abc import Generator

import pytest

from rawdaq.errors import InvalidValue, LocalProtocolError, RawdaqError
from rawdaq.protocols.seedlink import InfoItem, Selector, StationRequest
from rawdaq.subscriber.link import ServerUnreachable
from rawdaq.subscriber.seedlink import SeedLinkAddress, SeedLinkReader, ask
from tests.helpers import closed_port, wait_for
from tests.makers import START_NS
from tests.receivers.seedlink.running import stored
from tests.seedlink_peer import InThread, SeedLinkPeer, in_thread
from tests.seedlink_store import Stored
from tests.waveform_makers import text_record

BOTH = pytest.mark.parametrize("version", [3, 4])

ADDRESSES = {
    "seedlink://h": SeedLinkAddress("h", 18000),
    "seedlink://[::1]:18001/": SeedLinkAddress("::1", 18001),
    "seedlink://h:1/XX_AAA": SeedLinkAddress("h", 1, (StationRequest("XX_AAA"),)),
    "seedlink://h/xx_aaa:00HHZ+!HHN,*": SeedLinkAddress(
        "h", 18000, (StationRequest("XX_AAA", (Selector.parse("00HHZ"), Selector.parse("!HHN"))), StationRequest("*"))
    ),
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_names_server_stations_and_selectors(text: str) -> None:
    assert SeedLinkAddress.parse(text) == ADDRESSES[text]


@pytest.mark.parametrize(
    "text",
    ["seedlink://", "seedlink://h:0", "seedlink://h:70000", "seedlink://h/AAA", "seedlink://h/XX_A:ABCDEFG", "tcp://h"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not a"):
        SeedLinkAddress.parse(text)


def test_an_address_is_shown_with_its_port() -> None:
    assert [str(SeedLinkAddress(host, 18000)) for host in ("h", "::1")] == ["h:18000", "[::1]:18000"]


def reader(server: InThread, stations: str = "", streams: tuple[str, ...] = ()) -> SeedLinkReader:
    return SeedLinkReader(SeedLinkAddress.parse(f"seedlink://127.0.0.1:{server.port}/{stations}"), streams)


@BOTH
@pytest.mark.parametrize("stations", ["", "XX_AAA:HHZ"])
def test_packets_come_as_from_a_publisher(version: int, stations: str) -> None:
    peer = SeedLinkPeer(version)
    with in_thread(peer) as server, reader(server, stations, ("*.00.*",)) as opened:
        assert opened.receive(0.0) is None
        with feeding(server):
            first, second = opened.receive(30.0), opened.receive(30.0)
        assert first is not None
        assert second is not None
        assert (first.start_ns, first.sequence, second.sequence) == (START_NS, 0, 1)
        assert first.received_ns > 0
        assert opened.is_live
        assert opened.received.total() == 2
        assert opened.size_bytes >= 1024
        if not stations:
            assert opened.passed_over == ["XX.AAA.10.HHZ"]
            assert opened.malformed == 2
    assert peer.violations == []


@contextlib.contextmanager
def feeding(server: InThread) -> Generator[None]:
    """Store some records once a client waits for them."""

    def feed() -> None:
        wait_for(lambda: server.peer.requests)
        text = Stored("XX_AAA", "", "LOG", 1, START_NS, START_NS, text_record())
        good = stored(9).record
        damaged = Stored("XX_AAA", "00", "HHZ", 2, START_NS, START_NS, good[:52] + b"\x63" + good[53:])  # encoding 99
        server.add(text, damaged, stored(0, name="XX.AAA.10.HHZ"), stored(0), stored(1))

    thread = threading.Thread(target=feed)
    thread.start()
    yield
    thread.join()


async def test_packets_come_while_the_loop_runs_on() -> None:
    peer = SeedLinkPeer()
    with in_thread(peer) as server, feeding(server):
        async with reader(server) as opened:
            async for packet in opened:
                assert packet.samples.size == 100
                break


def test_a_pattern_that_can_name_no_stream_is_refused() -> None:
    with pytest.raises(InvalidValue, match="can name no stream"):
        SeedLinkReader(SeedLinkAddress("h", 1), "HHZ")


def test_close_ends_a_reader_that_waits() -> None:
    with in_thread(SeedLinkPeer()) as server, reader(server) as opened:
        assert opened.receive(0.0) is None

        def close() -> None:
            wait_for(lambda: server.peer.requests)
            opened.close()

        closing = threading.Thread(target=close)
        closing.start()
        assert list(opened) == []
        closing.join()
        opened.close()
        assert opened.receive(0.0) is None
        opened.open()


@pytest.mark.parametrize("version", [3, 4])
def test_refused_stations_and_the_end_are_logged(version: int, caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer(version)
    peer.refused = {"XX_BBB"}
    peer.ends = True
    with in_thread(peer) as server, reader(server, "XX_BBB,XX_AAA") as opened:
        assert list(opened) == []
        assert opened.has_ended
    assert "the server refuses XX_BBB" in caplog.text


def test_a_server_that_closes_ends_the_reader(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = SeedLinkAddress("127.0.0.1", listening.getsockname()[1])
        with SeedLinkReader(address) as opened:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"SeedLink v3.1 (x)\r\nThe institute\r\n")
                said = b""
                while b"DATA\r\n" not in said:
                    assert opened.receive(0.0) is None
                    said += connection.recv(100)
            assert opened.receive(30.0) is None
    assert "has closed the connection" in caplog.text


def test_a_server_of_another_kind_ends_the_reader(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = SeedLinkAddress("127.0.0.1", listening.getsockname()[1])
        with SeedLinkReader(address) as opened:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")
                assert opened.receive(30.0) is None
                assert opened.has_ended
    assert "no SeedLink server: it answered HELLO with 'HTTP/1.1" in caplog.text


def test_a_reset_ends_the_reader(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = SeedLinkAddress("127.0.0.1", listening.getsockname()[1])
        with SeedLinkReader(address) as opened:
            connection, _ = listening.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            assert opened.receive(30.0) is None
    assert "is lost: Connection reset by peer" in caplog.text or "Broken pipe" in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "a" * 70])
def test_no_server_is_an_error_with_the_reason(host: str) -> None:
    with closed_port() as port, pytest.raises(ServerUnreachable, match="no SeedLink server at"):
        SeedLinkReader(SeedLinkAddress(host, port)).open()


# ---------------------------------------------------------------- INFO


@BOTH
def test_a_server_says_what_it_has(version: int) -> None:
    peer = SeedLinkPeer(version)
    peer.store = [stored(0)]
    with in_thread(peer) as server:
        document, text = ask(SeedLinkAddress("127.0.0.1", server.port), InfoItem.STATIONS)
    assert [each.station_id for each in document.stations] == ["XX_AAA"]
    assert text.startswith("<?xml" if version == 3 else "{")


def test_what_is_not_answered_is_an_error_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = SeedLinkPeer(3)
    peer.refused_infos = {"GAPS"}
    newer = SeedLinkPeer(4)
    newer.more = {"CONNECTIONS": {"error": {"code": "UNAUTHORIZED", "message": "not for you"}}}
    with in_thread(peer) as server, in_thread(newer) as other:
        with pytest.raises(RawdaqError, match="does not answer INFO GAPS: ERROR"):
            ask(SeedLinkAddress("127.0.0.1", server.port), InfoItem.GAPS)
        with pytest.raises(RawdaqError, match="does not answer INFO CONNECTIONS: UNAUTHORIZED not for you"):
            ask(SeedLinkAddress("127.0.0.1", other.port), InfoItem.CONNECTIONS)
        with pytest.raises(LocalProtocolError, match="not in SeedLink 3"):
            ask(SeedLinkAddress("127.0.0.1", server.port), InfoItem.FORMATS)
        monkeypatch.setattr("rawdaq.subscriber.seedlink._REPLY_S", 0.1)
        peer.is_mute = True
        with pytest.raises(ServerUnreachable, match=r"does not answer INFO ID within 0.1 s"):
            ask(SeedLinkAddress("127.0.0.1", server.port), InfoItem.ID)
