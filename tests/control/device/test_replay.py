"""A capture that is replayed does to a receiver what the device did: the same packets, the same log lines."""

import asyncio
import logging
import shutil
import socket
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from rawdaq.capture.file import End, Kind, files_of
from rawdaq.control.device import replay as device_replay
from rawdaq.control.device.replay import Pace, replay
from rawdaq.errors import InvalidValue
from tests.control.captures import HANDSHAKE, Replaying, Row, lines, packet, receiving, talk, write
from tests.fake_device import Described, Session, fake_device
from tests.helpers import DEADLINE_S, until


async def _go_wrong(session: Session) -> None:
    """Be a device that speaks RAW 1.1, with a different trouble at each connection."""
    if not await session.handshake({1: Described()}, "1.1"):
        return
    base = 10 * session.number
    match session.number:
        case 1:  # garbage in the middle
            await session.send(packet(base) + packet(base + 1) + b"\xff" * 4096 + packet(base + 2))
            await session.until_closed()
        case 2:  # a cut in a packet
            await session.send(packet(base) + packet(base + 3) + packet(base + 4)[:-7])
        case 3:  # a reset
            await session.send(packet(base)[:200])
            await asyncio.sleep(0.05)
            await session.send(packet(base)[200:])
            option = struct.pack("ii", 1, 0)
            await asyncio.sleep(0.05)
            session.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        case 4:  # an impossible date, which costs its packet only
            await session.send(packet(base)[:2] + bytes(2) + packet(base)[4:])
        case _:
            await session.send(b"".join(packet(base + number, number) for number in range(5)))
            await session.until_closed()


@pytest.mark.parametrize("speed", [None, 1.0])
async def test_a_session_that_went_wrong_gives_the_same_log_lines_and_the_same_packets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, speed: float | None
) -> None:
    caplog.set_level(logging.INFO, "rawdaq")
    capture = tmp_path / "wrong.capture"
    async with fake_device(_go_wrong) as port:
        async with receiving(port, capture=capture) as keeper:
            await until(lambda: len(keeper.packets) == 10)
        packets, said = keeper.content(), lines(caplog, port)
    for word in (
        "packet of channel 4294967295",
        "7 bytes missing",
        "reset the connection",
        "impossible date",
        "gap of",
    ):
        assert any(word in line for line in said), word
    with Replaying(capture, speed) as playing:
        async with receiving(playing.port) as keeper:
            await until(lambda: len(keeper.packets) >= 10)
        assert playing.result().startswith("replayed 6 connections, ")
        assert lines(caplog, playing.port) == said
    assert keeper.content() == packets


async def test_the_newest_file_alone_gives_whole_packets_from_where_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_replay, "_GIVE_UP_S", 0.1)

    async def play(session: Session) -> None:
        if not await session.handshake({1: Described()}, "1.1"):
            return
        data = b"".join(packet(number, number) for number in range(1000))
        for begin in range(0, len(data), 1000):
            await session.send(data[begin : begin + 1000])
            await asyncio.sleep(0)
        await session.until_closed()

    capture = tmp_path / "long.capture"
    async with fake_device(play) as port:
        async with receiving(port, capture=capture, capture_mb=0.1, capture_files=2) as keeper:
            await until(lambda: len(keeper.packets) == 1000)
    assert files_of(capture) == [capture.with_name("long.capture.1"), capture]
    values = [int(each.samples[0]) for each in keeper.packets]
    for path, least in ((capture, 1), (capture.with_name("long.capture.1"), 200)):
        played = await _played_alone(path, least)
        assert len(played) >= least
        assert played == values[played[0] : played[0] + len(played)]
    with Replaying(capture) as playing:
        async with receiving(playing.port) as keeper:
            await until(lambda: int(keeper.packets[-1].samples[0]) == 999 if keeper.packets else False)
    played = [int(each.samples[0]) for each in keeper.packets]
    assert played == values[played[0] :]  # both files: nothing twice where one begins


async def _played_alone(path: Path, least: int) -> list[int]:
    """Play *path* without the files beside it; return the first sample of each packet, *least* or more of them."""
    copy = Path(shutil.copy(path, path.with_name("alone")))
    with Replaying(copy) as playing:
        async with receiving(playing.port) as keeper:
            await asyncio.to_thread(playing.result)
            await until(lambda: len(keeper.packets) >= least)
    return [int(each.samples[0]) for each in keeper.packets]


@pytest.mark.parametrize("how", [End.CLOSED, End.RESET])
def test_a_connection_ends_as_it_did(tmp_path: Path, how: End) -> None:
    capture = write(tmp_path / "a", [*HANDSHAKE, (Kind.ENDED, 1, 0.2, "", how.encode())])
    with Replaying(capture, 1.0) as playing:
        heard, end, lasted_s = talk(playing.port)
        assert (heard, end) == (b"welcome\n", how)
        assert lasted_s > 0.15
        assert playing.result() == "replayed 1 connections, 8 bytes"


@pytest.mark.parametrize(("speed", "least_s", "most_s"), [(1.0, 0.35, 30.0), (4.0, 0.08, 30.0), (None, 0.0, 30.0)])
def test_pauses_are_those_of_the_device(tmp_path: Path, speed: float | None, least_s: float, most_s: float) -> None:
    rows: list[Row] = [(Kind.RECEIVED, 1, number / 10, "", b"x") for number in range(1, 5)]
    capture = write(tmp_path / "a", [*HANDSHAKE, *rows, (Kind.ENDED, 1, 0.4, "", b"closed")])
    with Replaying(capture, speed) as playing:
        heard, _, lasted_s = talk(playing.port)
    assert heard == b"welcome\nxxxx"
    assert least_s <= lasted_s < most_s


def test_due_times_are_computed_from_the_beginning() -> None:
    pace = Pace(2.0, threading.Event())
    pace.begin(10**18)
    assert pace.due_s(10**18 + 6 * 10**9) - pace.due_s(10**18) == pytest.approx(3.0, abs=1e-3)


def test_where_the_receiver_gave_up_it_is_given_time_to_do_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device_replay, "_GIVE_UP_S", 0.1)
    caplog.set_level(logging.INFO, "rawdaq")
    capture = write(tmp_path / "a", [*HANDSHAKE, (Kind.ENDED, 1, 0.0, "", b"ours")])
    with Replaying(capture) as playing:
        assert talk(playing.port)[0] == b"welcome\n"
    assert "keeps the connection that the captured one gave up" in caplog.text


def test_a_receiver_that_sends_something_else_is_logged_and_played_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device_replay, "_ANSWER_S", 1.0)
    with Replaying(write(tmp_path / "a", HANDSHAKE)) as playing:
        assert talk(playing.port, b"hey\n")[0] == b"welcome\n"
    assert "the receiver sent b'hey\\n', the captured one sent b'hello\\n'" in caplog.text


def test_a_capture_that_begins_in_a_connection_refuses_other_versions_as_the_device_did(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    capture = write(
        tmp_path / "a", [(Kind.RESUMED, 7, 0.0, "", b"2"), *[(k, 7, t, p, d) for k, _, t, p, d in HANDSHAKE[1:]]]
    )
    with Replaying(capture) as playing:
        for _ in range(3):
            assert talk(playing.port, b"hey--\n")[:2] == (b"", "closed")
        assert talk(playing.port, b"hey--\n")[0] == b"welcome\n"  # it never says what is right
        assert playing.result() == "replayed 1 connections, 8 bytes"
    assert "the receiver sent b'hey--\\n'" in caplog.text


def test_a_receiver_that_closes_earlier_is_reported_and_the_next_connection_played(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    capture = write(
        tmp_path / "a",
        [
            *HANDSHAKE,
            (Kind.RECEIVED, 1, 3600.0, "", b"much later"),
            (Kind.OPENED, 1, 7200.0, "192.0.2.1:9", b""),
            (Kind.RECEIVED, 1, 7200.0, "", b"second"),
        ],
    )
    with Replaying(capture, 1.0) as playing:
        with socket.create_connection(("127.0.0.1", playing.port), timeout=DEADLINE_S) as connection:
            connection.sendall(b"hello\n")
            assert connection.recv(100)
        assert talk(playing.port, b"")[0] == b"second"
        assert playing.result() == "replayed 2 connections, 14 bytes"
    assert "closed earlier than the captured one: 10 bytes not played" in caplog.text


def test_a_receiver_that_breaks_the_connection_harms_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    big: Row = (Kind.RECEIVED, 1, 0.0, "", bytes(50_000_000))
    with Replaying(write(tmp_path / "a", [*HANDSHAKE, big])) as playing:
        with socket.create_connection(("127.0.0.1", playing.port), timeout=DEADLINE_S) as connection:
            connection.sendall(b"hello\n")
            assert connection.recv(100)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        playing.result()
    assert "bytes not played" in caplog.text


def test_what_has_no_beginning_is_left_out_and_what_is_lost_ends_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    capture = write(
        tmp_path / "a",
        [
            (Kind.RECEIVED, 5, 0.0, "", b"nobody knows"),
            *HANDSHAKE,
            (Kind.RESUMED, 1, 0.0, "", b"2"),
            (Kind.SENT, 1, 0.0, "", b"hello\n"),
            (Kind.RECEIVED, 1, 0.0, "", b"what is known"),
            (Kind.ENDED, 4, 0.0, "", b"ours"),
            (Kind.LOST, 0, 1.0, "", b"3 entries of 100 bytes"),
            (Kind.RESUMED, 1, 1.0, "", b"2"),
            (Kind.SENT, 1, 1.0, "", b"hello\n"),
            (Kind.RECEIVED, 1, 1.0, "", b"welcome\nhalf"),
            (Kind.RECEIVED, 1, 1.0, "", b"whole"),
        ],
    )
    with Replaying(capture) as playing:
        assert talk(playing.port)[0] == b"welcome\n"
        assert talk(playing.port)[0] == b"welcome\nhalfwhole"
    assert "3 entries of 100 bytes are missing here" in caplog.text


STOPS: dict[str, list[Row]] = {
    "while nobody connects": [(Kind.OPENED, 1, 0.0, "", b""), *HANDSHAKE],
    "while nobody connects again": [(Kind.RESUMED, 1, 0.0, "", b"1"), (Kind.SENT, 1, 0.0, "", b"x")],
    "after a refusal": [(Kind.RESUMED, 1, 0.0, "", b"1"), (Kind.SENT, 1, 0.0, "", b"x"), *HANDSHAKE],
    "in a pause": [*HANDSHAKE, (Kind.RECEIVED, 1, 3600.0, "", b"x"), (Kind.SENT, 1, 3600.0, "", b"x")],
    "before more": [*HANDSHAKE, *[(Kind.RECEIVED, 1, 0.0, "", b"x")] * 100_000],
}


@pytest.mark.parametrize("name", STOPS)
def test_a_stop_ends_it_at_once(tmp_path: Path, name: str) -> None:
    began_s = time.monotonic()
    with Replaying(write(tmp_path / "a", STOPS[name]), 1.0) as playing:
        port = playing.port
        if "nobody" not in name:
            with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
                connection.sendall(b"hello\n")
                connection.recv(100)
                playing.stop.set()
                playing.result()
    assert time.monotonic() - began_s < 20


def _nothing(text: str) -> None:
    """Announce nothing."""


def test_what_cannot_be_played_is_reported_with_what_would_help(tmp_path: Path) -> None:
    def why(rows: Sequence[Row], target: tuple[str, int] | None) -> str:
        with pytest.raises(InvalidValue) as caught:
            replay(write(tmp_path / "a", rows), ("127.0.0.1", 0), target, None, threading.Event(), _nothing)
        return str(caught.value)

    datagram: Row = (Kind.DATAGRAM, 1, 0.0, "a", b"x")
    lost: Row = (Kind.LOST, 0, 0.0, "", b"1 entries")
    assert "is empty" in why([], None)
    assert "give their target with --udp HOST:PORT" in why([datagram], None)
    assert "play it without --udp" in why(HANDSHAKE, ("127.0.0.1", 9))
    assert "connections and datagrams" in why([lost, datagram], None)
    assert "nowhere.invalid cannot be resolved" in why([datagram], ("nowhere.invalid", 9))
