"""Clients that are slow, silent, wrong, too many or gone: none of them harms who feeds, or another client."""

import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from rawdaq.errors import ComponentError
from rawdaq.streamer import Channel, Streamer
from rawdaq.streamer import server as streamer_server
from rawdaq.streamer.server import RawServer
from tests.streamer_clients import DEADLINE_S, LogQueue, PluginClient, TinyClient

INT8 = [Channel(1, 100, samptype="int8")]
MEGABYTE = np.zeros(1_000_000, np.int8)


@pytest.fixture
def log() -> Iterator[LogQueue]:
    """The lines of the logger named "streamer"."""
    handler, logger = LogQueue(), logging.getLogger("streamer")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)


def serving(**options: Any) -> Streamer:
    return Streamer(INT8, port=0, logger=logging.getLogger("streamer"), **options)


def still_serves(streamer: Streamer) -> bool:
    """Whether another client is served; a channel's counters tell when it has started."""
    with TinyClient(streamer.port) as client:
        return client.start(1)[-1] == "STARTING"


def name_of(client: TinyClient) -> str:
    host, port = client.connection.getsockname()
    return f"client {host}:{port}"


def test_a_client_that_does_not_read_is_dropped_and_the_others_go_on(log: LogQueue) -> None:
    streamer = serving(max_client_mb=1, flush_s=DEADLINE_S)
    with streamer, TinyClient(streamer.port) as slow:
        slow.start(1)
        for second in range(40):  # far more than what the kernel keeps for the two sockets
            streamer.feed_data(1, second * 10**13, MEGABYTE)

        line = log.wait_for("reads too slowly")
        assert line.startswith(f"WARNING {name_of(slow)} dropped: reads too slowly: ")
        assert line.endswith(" bytes wait, limit is 1000000")
        assert streamer.counters.clients_dropped == 1
        assert streamer.backlog_bytes == 0
        with PluginClient(streamer.port, 1) as fast:
            streamer.feed_data(1, 0, [42])
            assert fast.blocks(1)[0].samples.tolist() == [42]


def test_a_client_that_reads_late_gets_everything() -> None:
    streamer = serving(flush_s=DEADLINE_S)
    with streamer, PluginClient(streamer.port, 1) as late, ThreadPoolExecutor() as threads:
        for number in range(30):
            streamer.feed_data(1, number * 10**13, MEGABYTE)
        assert streamer.backlog_bytes > 0
        rest = threads.submit(late.blocks)
        streamer.stop()

        assert [block.start_ns for block in rest.result(DEADLINE_S)] == [number * 10**13 for number in range(30)]


def test_stopping_waits_only_so_long_for_a_client_that_does_not_read(log: LogQueue) -> None:
    streamer = serving(flush_s=0.05)
    with streamer, TinyClient(streamer.port) as slow:
        slow.start(1)
        for _ in range(40):
            streamer.feed_data(1, 0, MEGABYTE)
        streamer.stop()

        assert log.wait_for("did not get its last").startswith(f"WARNING {name_of(slow)}")


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        ("GET / HTTP/1.1\n", "the peer sent 'GET / HTTP/1.1' where the version line"),
        ("RAW 2.0\nCHANNEL\n7\nSTART\n", "the client asked for channel '7': there are 1"),
        ("RAW 2.0\nSTART\n", "the peer sent 'START' where CHANNEL, then START was expected"),
        ("RAW 2.0\nCHANNEL\n1\nSTART\nCHANNEL\n1\n", "where nothing after START was expected"),
        ("x" * 1000, "the peer sent a line of more than 256 bytes"),
    ],
)
def test_a_client_that_sends_garbage_is_closed_with_one_line(log: LogQueue, sent: str, line: str) -> None:
    with serving() as streamer, TinyClient(streamer.port) as client:
        client.send(sent)
        client.rest()

        told = log.wait_for("dropped")
        assert told.startswith(f"WARNING {name_of(client)} dropped: ")
        assert line in told
        assert still_serves(streamer)


def test_a_client_gets_the_answers_to_what_was_right_before_it_is_closed() -> None:
    with serving() as streamer, TinyClient(streamer.port) as client:
        client.send("RAW 2.0\nCHANNEL\n1\nCHANNEL\n7\n")

        assert client.rest() == b"RAW 2.0\n" + INT8[0].format.description


def test_a_client_that_closes_in_the_handshake_is_told(log: LogQueue) -> None:
    with serving() as streamer:
        with TinyClient(streamer.port) as client:
            client.send("RAW 2.0\n")
            client.lines(1)

        log.wait_for("the peer closed the connection before START")


def test_a_silent_client_is_dropped_after_the_deadline(log: LogQueue) -> None:
    with serving(handshake_s=0.05) as streamer, TinyClient(streamer.port) as client:
        assert client.rest() == b""
        log.wait_for("did not finish the handshake within 0.05 s")


def test_one_client_too_many_is_turned_away_and_later_welcome(log: LogQueue) -> None:
    with serving(max_clients=1) as streamer:
        with TinyClient(streamer.port) as first:
            first.start(1)
            with TinyClient(streamer.port) as second:
                assert second.rest() == b""
            assert log.wait_for("dropped").endswith("is one too many: 1 are served")
        log.wait_for("left")
        assert still_serves(streamer)


def test_a_client_that_leaves_or_resets_is_told(log: LogQueue) -> None:
    with serving() as streamer:
        with TinyClient(streamer.port) as client:
            client.start(1)
            started = log.wait_for("started")
            assert started == f"INFO {name_of(client)} started: RAW 2.0, channels 1"
        assert log.wait_for("left").startswith("INFO ")
        with TinyClient(streamer.port) as client:
            client.start(1)
            log.wait_for("started")
            client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert "left: " in log.wait_for("left")
        assert not streamer.wait_for_client(0)
        streamer.feed_data(1, 0, [1])
        assert streamer.counters.unheard_packets == 1


def test_a_client_that_is_gone_when_it_is_sent_to_does_no_harm(log: LogQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as streamer, TinyClient(streamer.port) as client:
        client.start(1)

        def broken(*_: object) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "sendmsg", broken)
            streamer.feed_data(1, 0, [1])
            log.wait_for("left: [Errno 32] Broken pipe")
        assert still_serves(streamer)


def test_when_no_file_is_left_it_accepts_again_later(log: LogQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    accept, failures = socket.socket.accept, iter([OSError(errno.EMFILE, "Too many open files"), BlockingIOError()])

    def failing_twice(listener: socket.socket) -> tuple[socket.socket, Any]:
        for failure in failures:
            raise failure
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", failing_twice)
    monkeypatch.setattr(streamer_server, "_ACCEPT_PAUSE_S", 0.01)
    with serving() as streamer:
        assert still_serves(streamer)
        log.wait_for("clients have to wait: Too many open files; raise the limit (ulimit -n; LimitNOFILE= in a unit")
        log.wait_for("clients are accepted again")


def test_it_stops_while_it_does_not_accept(log: LogQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: socket.socket) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket.socket, "accept", failing)
    with serving() as streamer, TinyClient(streamer.port):
        log.wait_for("clients have to wait")


def test_a_socket_that_was_not_ready_after_all_is_used_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing_once(function: Callable[..., Any]) -> Callable[..., Any]:
        failures = iter([BlockingIOError()])

        def call(*arguments: Any) -> Any:
            for failure in failures:
                raise failure
            return function(*arguments)

        return call

    monkeypatch.setattr(socket.socket, "recv", failing_once(socket.socket.recv))
    monkeypatch.setattr(socket.socket, "sendmsg", failing_once(socket.socket.sendmsg))
    with serving() as streamer:
        assert still_serves(streamer)


def test_what_the_socket_does_not_take_at_once_is_sent_later() -> None:
    with serving(flush_s=DEADLINE_S) as streamer, TinyClient(streamer.port) as client:
        client.start(1)
        for second in range(20):  # more than what the kernel keeps for the two sockets
            streamer.feed_data(1, second * 10**13, MEGABYTE)
        for _ in range(20):
            assert len(client.packet_2_0(1)[1]) == MEGABYTE.size


def test_a_handshake_may_come_in_pieces() -> None:
    with serving() as streamer, TinyClient(streamer.port) as client:
        client.send("RAW 2.0\nCHAN")
        assert client.lines(1) == ["RAW 2.0"]
        client.send("NEL\n1\nST")
        assert client.lines(6)[-1] == "int8"
        client.send("ART\n")
        assert client.lines(1) == ["STARTING"]
        streamer.feed_data(1, 0, [5])
        assert client.packet_2_0(1)[1] == b"\5"


def test_a_bug_in_the_thread_is_told_and_never_reaches_who_feeds(
    log: LogQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: RawServer) -> None:
        raise ZeroDivisionError

    with serving() as streamer, TinyClient(streamer.port) as client:
        client.start(1)
        monkeypatch.setattr(RawServer, "_serve", broken)
        for _ in range(100):
            streamer.feed_data(1, 0, [1])
        log.wait_for("ERROR the streamer's thread failed: no client is served any more")


def test_a_host_that_is_not_of_this_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ComponentError, match=r"cannot listen on 127.0.0.256:0: .*; give an address"):
        Streamer(INT8, "127.0.0.256", 0).start()
    with pytest.raises(ComponentError, match="Cannot assign requested address; no interface of this machine"):
        Streamer(INT8, "203.0.113.1", 0).start()
