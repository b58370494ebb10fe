"""An ISI server read like a live stream."""

import threading

import pytest

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.protocols.isi import IsiName, Report, StreamHealth
from rawdaq.subscriber.isi import IsiAddress, IsiReader, ask
from rawdaq.subscriber.link import ServerUnreachable
from tests.helpers import wait_for
from tests.isi.in_thread import isi_in_thread
from tests.isi.server_peer import IsiServerPeer
from tests.isi.wire import Kind
from tests.receivers.isi.running import NAME, START_S, add, seconds

BOTH = (IsiName("*", "*", "*"), IsiName("aak", "bhz", "00"))
ADDRESSES: list[tuple[str, IsiAddress]] = [
    ("isi://h", IsiAddress("h", 39136)),
    ("isi://h:1/", IsiAddress("h", 1)),
    ("isi://[::1]:2/II/", IsiAddress("::1", 2, "II")),
    ("isi://h/aak.bhz", IsiAddress("h", 39136, "XX", (IsiName("aak", "bhz"),))),
    (
        "isi://h/II/*.*.*,aak.bhz.00",
        IsiAddress("h", 39136, "II", BOTH),
    ),
]


@pytest.mark.parametrize(("text", "address"), ADDRESSES)
def test_an_address_says_server_network_and_streams(text: str, address: IsiAddress) -> None:
    assert IsiAddress.parse(text) == address
    assert str(address).endswith(f":{address.port}")


@pytest.mark.parametrize("text", ["isi:/h", "isi://h:99999", "isi://h/aak", "isi://h/a/b/c", "isi://h/II/AAK.00.BHZZ"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="like isi://HOST:PORT/NET/STA"):
        IsiAddress.parse(text)


def test_packets_are_read_until_the_server_ends(caplog: pytest.LogCaptureFixture) -> None:
    peer = IsiServerPeer()
    add(peer, 0, 1)
    peer.add("a_k", "bhz", "00", START_S, 20, [1])  # no stream is called so
    add(peer, 0, name="pfo.bhz.00")
    with isi_in_thread(peer) as server:
        reader = IsiReader(IsiAddress("127.0.0.1", peer.port, "II"), "II.AAK.*")
        with reader:
            assert seconds([packet for packet in [reader.receive(5.0)] if packet]) == [1]
            server.call(lambda: add(peer, 2))
            server.call(lambda: peer.send_frame(Kind.GENERIC_TS, b"short"))
            server.call(lambda: peer.send_frame(Kind.ALERT, (4).to_bytes(4)))
            assert seconds([*reader]) == [2]
    assert (reader.malformed, reader.passed_over, reader.has_ended) == (2, ["II.PFO.00.BHZ"], True)
    assert [str(stream) for stream in reader.received] == [NAME]
    assert "ended the connection: fault of the server" in caplog.text


def test_another_thread_may_close_a_reader_that_waits(caplog: pytest.LogCaptureFixture) -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    with isi_in_thread(peer):
        reader = IsiReader(IsiAddress("127.0.0.1", peer.port, "II"))
        packets = iter(reader)
        assert seconds([next(packets)]) == [0]
        closing = threading.Thread(target=reader.close)
        closing.start()
        assert [*packets] == []
        closing.join()
    assert not caplog.messages


def test_a_connection_that_ends_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    peer.cut_next(0)
    with isi_in_thread(peer), IsiReader(IsiAddress("127.0.0.1", peer.port)) as reader:
        assert [*reader] == []
    assert "has closed the connection" in caplog.text


def test_a_server_that_says_nothing_is_none(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.subscriber.isi._REPLY_S", 0.1)
    peer = IsiServerPeer()
    peer.silence()
    with isi_in_thread(peer) as server:
        with IsiReader(IsiAddress("127.0.0.1", peer.port)) as reader:
            assert [*reader] == []
        assert "does not answer within 0.1 s: is it an ISI server?" in caplog.text
        server.call(peer.speak)


def test_a_report_that_does_not_come_whole_is_an_error() -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    with isi_in_thread(peer) as server:
        address = IsiAddress("127.0.0.1", peer.port)
        (entry,) = ask(address, Report.HEALTH)
        assert isinstance(entry, StreamHealth)
        peer.cut_next(0, Kind.STREAM_SOH)
        with pytest.raises(ServerUnreachable, match="has closed the connection"):
            ask(address, Report.HEALTH)
        peer.cut_next(30, Kind.STREAM_SOH)
        with pytest.raises(RawdaqError, match="30 bytes into a frame"):
            ask(address, Report.HEALTH)
        server.call(peer.silence)

        def refuse() -> None:
            wait_for(lambda: peer.clients)
            server.call(lambda: peer.send_frame(Kind.HANDSHAKE, bytes(4)))
            server.call(lambda: peer.send_frame(Kind.STREAM_SOH, b"short"))
            server.call(lambda: peer.send_frame(Kind.ALERT, (12).to_bytes(4)))

        refusing = threading.Thread(target=refuse)
        refusing.start()
        with pytest.raises(RawdaqError, match="unsupported request"):
            ask(address, Report.HEALTH)
        refusing.join()
        server.call(peer.speak)
