"""ISIReceiver and connections that end, stay silent, or bring what cannot be used."""

import asyncio
import contextlib
import json

import pytest

from rawdaq.receivers.isi import ISIReceiver
from rawdaq.receivers.isi.connection import list_streams
from tests.helpers import until
from tests.isi.server_link import Link
from tests.isi.server_peer import IsiServerPeer
from tests.isi.server_store import Store
from tests.isi.wire import BIG, IDA, INT32, KEEPUP, OLDEST, PID, TIMEOUT, Cause, Kind, Name, pack_handshake, word
from tests.receivers.isi.running import START_S, STATION, add, data_requests, receiving, seconds, values


class Stubborn(IsiServerPeer):
    """A server that answers every handshake with a timeout of its own."""

    def __init__(self, timeout_ms: int) -> None:
        super().__init__()
        self.timeout_ms = timeout_ms

    async def send(self, link: Link, kind: int, payload: bytes = b"") -> None:
        mine = pack_handshake({PID: 1, TIMEOUT: self.timeout_ms})
        await super().send(link, kind, mine if kind == Kind.HANDSHAKE else payload)


def send_other(peer: IsiServerPeer, sta: str) -> None:
    """Send a packet of another station to all clients."""
    packet = Store().add(Name(sta, "bhz", "00"), START_S, 20, [1], 1, INT32)
    peer.send_frame(Kind.GENERIC_TS, packet.pack(IDA, BIG, lies=False, garbage=b"x"))


@pytest.mark.parametrize("kind", [Kind.HANDSHAKE, Kind.REQ_TWIND, Kind.GENERIC_TS])
@pytest.mark.parametrize("size", [0, 17, 40])
async def test_a_cut_in_any_part_of_a_dialog_costs_nothing(kind: Kind, size: int) -> None:
    peer = IsiServerPeer()
    add(peer, 0, 1, 2)
    peer.cut_next(size, kind)
    async with peer.listening() as port, receiving(port) as (_, keeper):
        await until(lambda: len(keeper.packets) == 3)
        add(peer, 3)
        await until(lambda: len(keeper.packets) == 4)
    assert values(keeper.packets) == list(range(80))


@pytest.mark.parametrize("names", [["AAK.bhz.00"], ["xyz.*.*"]])
async def test_a_server_without_such_a_stream_is_reported_once_and_asked_again(
    names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port, streams=names) as (receiver, keeper):
        await until(lambda: len(peer.requests) >= 5)
        assert receiver.endpoint.protocol is None or not keeper.packets
        sta, chn, loc = names[0].replace("*", "bhz", 1).replace("*", "00").split(".")
        peer.add(sta, chn, loc, START_S, 20, [1, 2])
        await until(lambda: keeper.packets)
    lines = [line for line in caplog.messages if f"the server has no stream {names[0]}" in line]
    assert len(lines) == 1
    assert "real servers tell capitals from small letters" in lines[0]
    assert peer.violations == []


async def test_a_stream_that_the_server_lacks_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    names = ["aak.bhz.00", "AAK.BHN.00"]
    async with peer.listening() as port, receiving(port, streams=names) as (receiver, keeper):
        await until(lambda: keeper.packets)
        assert receiver.receiver_status()["absent_streams"] == ["AAK.BHN.00"]
        await peer.drop_clients()
        await until(lambda: len(peer.requests) == 2)
    assert len([line for line in caplog.messages if "the server does not have AAK.BHN.00: real servers" in line]) == 1


CAUSES: list[tuple[int, str]] = [
    (Cause.COMPLETE, "request complete"),
    (Cause.SHUTDOWN, "shutdown in progress"),
    (Cause.SERVER_FAULT, "fault of the server"),
    (77, "alert 77"),
]


@pytest.mark.parametrize(("cause", "words"), CAUSES)
async def test_an_alert_is_logged_with_its_cause_and_ends_one_connection(
    cause: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port) as (_, keeper):
        await until(lambda: keeper.packets)
        await peer.alert_clients(cause)
        add(peer, 1)
        await until(lambda: len(keeper.packets) == 2)
    assert f"the server ended the connection: {words}; trying again" in caplog.text
    assert seconds(keeper.packets) == [0, 1]
    assert peer.violations == []


@pytest.mark.parametrize("is_wild", [True, False])
async def test_an_alert_instead_of_an_answer_is_logged_with_its_cause(
    is_wild: bool, caplog: pytest.LogCaptureFixture
) -> None:
    peer = IsiServerPeer()
    peer.silence()
    name = "*.*.*" if is_wild else "aak.bhz.00"
    async with peer.listening() as port, receiving(port, streams=[name]) as (_, keeper):
        await until(lambda: peer.clients)
        await until(lambda: peer.handshakes)
        peer.send_frame(Kind.HANDSHAKE, word(0))
        await peer.alert_clients(Cause.TOO_MANY)
        peer.speak()
        add(peer, 0)
        await until(lambda: keeper.packets)
    assert "the server ended the connection: too many connections" in caplog.text


async def test_an_end_without_a_word_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port, streams=["aak.bhz.00"]) as (receiver, keeper):
        await until(lambda: keeper.packets)
        await peer.drop_clients()
        await until(lambda: "the server ended the connection: it does not say why" in caplog.text)
        await until(lambda: peer.feeds)
        await peer.drop_clients(reset=True)
        await until(lambda: receiver.endpoint.connections >= 3)


async def test_after_a_connection_that_brought_something_the_pause_is_the_first() -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        for second in range(1, 4):
            await until(lambda: len(keeper.packets) == second)  # noqa: B023
            await peer.drop_clients()
            add(peer, second)
        await until(lambda: len(keeper.packets) == 4)
        assert receiver.endpoint.backoff.failures == 1


@pytest.mark.parametrize("is_wild", [True, False])
async def test_a_silent_server_is_given_up_after_the_timeout(is_wild: bool, caplog: pytest.LogCaptureFixture) -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    peer.silence()
    name = "*.*.*" if is_wild else "aak.bhz.00"
    async with peer.listening() as port, receiving(port, streams=[name], timeout_s=0.2) as (_, keeper):
        await until(lambda: "sent nothing for 0.2 s" in caplog.text)
        peer.speak()
        await until(lambda: keeper.packets)
        assert {each[TIMEOUT] for each in peer.handshakes} == {200}


class Evasive(IsiServerPeer):
    """A server that sends heartbeats instead of answers to requests."""

    is_evasive = True

    async def send(self, link: Link, kind: int, payload: bytes = b"") -> None:
        if kind == Kind.HANDSHAKE or not self.is_evasive:
            await super().send(link, kind, payload)
        else:
            await super().send(link, Kind.NOP)


async def test_a_server_that_only_shows_that_it_is_there_is_given_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.receivers.isi.connection._ACCEPT_S", 0.05)
    peer = Evasive()
    add(peer, 0)
    async with peer.listening() as port, receiving(port, streams=["aak.bhz.00"]) as (_, keeper):
        await until(lambda: "does not answer the request within 0.05 s" in caplog.text)
        peer.is_evasive = False
        monkeypatch.setattr("rawdaq.receivers.isi.connection._ACCEPT_S", 30.0)
        await until(lambda: keeper.packets)


async def test_heartbeats_keep_a_connection_in_which_nothing_else_comes() -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port, timeout_s=0.5) as (receiver, keeper):
        await until(lambda: keeper.packets)
        protocol = receiver.endpoint.protocol
        assert protocol is not None
        heard_s = protocol.last_received_s
        await until(lambda: protocol.last_received_s - heard_s > 1.0)
        assert receiver.endpoint.connections == 1
        peer.silence()
        await until(lambda: receiver.endpoint.protocol is not protocol)
        peer.speak()
        await until(lambda: receiver.endpoint.connections > 1)


#: What is offered, what is answered, and what is followed; 0 says nothing.
FOLLOWED: list[tuple[float, int, float]] = [(30.0, 4000, 4.0), (30.0, 100, 2.0), (30.0, 0, 30.0), (1.0, 1 << 31, 600.0)]


@pytest.mark.parametrize(("offered_s", "answered_ms", "followed_s"), FOLLOWED)
async def test_a_server_that_wants_another_timeout_is_followed_within_bounds(
    offered_s: float, answered_ms: int, followed_s: float
) -> None:
    peer = Stubborn(answered_ms)
    add(peer, 0)
    async with peer.listening() as port, receiving(port, timeout_s=offered_s) as (receiver, keeper):
        await until(lambda: keeper.packets)
        assert receiver.receiver_status()["server_timeout_s"] == followed_s


async def test_a_frame_that_cannot_be_read_costs_itself_only() -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        await until(lambda: keeper.packets)
        peer.send_frame(Kind.GENERIC_TS, b"short")
        peer.send_frame(Kind.ENOSUCH, word(3))
        add(peer, 1)
        await until(lambda: len(keeper.packets) == 2)
        assert receiver.endpoint.connections == 1
        shown = json.dumps(receiver.receiver_status())
    assert '"unreadable packet": 1' in shown
    assert '"unknown frame": 1' in shown


async def test_what_is_no_frame_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port) as (_, keeper):
        await until(lambda: keeper.packets)
        peer.send_raw(b"SL000001")
        await until(lambda: "this is not ISI" in caplog.text)
        add(peer, 1)
        await until(lambda: len(keeper.packets) == 2)
    assert seconds(keeper.packets) == [0, 1]


async def test_packets_in_front_of_what_is_no_frame_are_published() -> None:
    peer = IsiServerPeer()
    peer.declare("aak", "bhz", "00", 20)
    async with peer.listening() as port, receiving(port, streams=["aak.bhz.00"]) as (receiver, keeper):
        await until(lambda: peer.feeds)
        packet = Store().add(Name("aak", "bhz", "00"), START_S, 20, [1], 1, INT32)
        peer.send_frame(Kind.GENERIC_TS, packet.pack(IDA, BIG, lies=False, garbage=b"x"))
        peer.send_raw(b"SL000001")
        await until(lambda: receiver.endpoint.connections == 2)
    assert values(keeper.packets) == [1]


async def test_a_list_of_streams_that_is_given_up_closes_its_connection() -> None:
    asker = ISIReceiver([], STATION, host="127.0.0.1", timeout_s=600)
    has_begun, has_ended = asyncio.Event(), asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        has_begun.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        has_ended.set()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        listing = asyncio.ensure_future(list_streams(asker, asker.feed.wanted.names, "127.0.0.1", port))
        await until(has_begun.is_set)
        await asyncio.sleep(0.05)  # the list is waited for
        listing.cancel()
        await until(has_ended.is_set)


async def test_names_that_no_stream_has_are_refused_and_not_asked_for() -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    add(peer, 0, name="a_k.bhz.00")
    async with peer.listening() as port, receiving(port) as (receiver, keeper):
        await until(lambda: keeper.packets)
        peer.send_frame(
            Kind.GENERIC_TS, peer.add("b_b", "bhz", "00", START_S, 20, [1]).pack(1, 1, lies=False, garbage=b"x")
        )
        peer.send_frame(
            Kind.GENERIC_TS, peer.add("aak", "bhz", "00", START_S, 20, [1]).pack(1, 1, lies=False, garbage=b"x")
        )
        await until(lambda: receiver.refusals.by_reason["name of no stream"] == 2)
    assert data_requests(peer) == [[("aak.bhz.00", OLDEST, KEEPUP)]]


async def test_a_server_that_has_bad_names_only_has_no_such_stream(caplog: pytest.LogCaptureFixture) -> None:
    peer = IsiServerPeer()
    add(peer, 0, name="a_k.bhz.00")
    async with peer.listening() as port, receiving(port):
        await until(lambda: "the server has no stream *.*.*" in caplog.text)


async def test_a_stream_that_nobody_asked_for_is_refused() -> None:
    peer = IsiServerPeer()
    add(peer, 0)
    async with peer.listening() as port, receiving(port, streams=["aak.bhz.00"]) as (receiver, keeper):
        await until(lambda: keeper.packets)
        send_other(peer, "pfo")
        await until(lambda: receiver.refusals.by_reason["stream that is not wanted"])
    assert len(keeper.packets) == 1
