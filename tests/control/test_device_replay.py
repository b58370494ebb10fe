"""A capture that is replayed does to a receiver what the device did: the same packets, the same log lines."""

import asyncio
import contextlib
import logging
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq.capture_file import MAGIC, End, Kind, encode_head, files_of
from rawdaq.control import device_replay
from rawdaq.control.device_replay import Pace, replay
from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.receivers.raw_tcp import RawReceiver
from rawdaq.receivers.raw_udp import RawUDPReceiver
from rawdaq.settings import StationSettings
from rawdaq.udp_channels import UdpChannel
from tests.fake_device import Described, Session, fake_device, wire_1
from tests.helpers import DEADLINE_S, run_cli, start_cli, until
from tests.makers import START_NS

STATION = StationSettings(network="XX", code="DEMO", location="00")
SAMPLES = np.arange(100, dtype="<i4")
Row = tuple[Kind, int, float, str, bytes]


def packet(number: int, value: int = 7) -> bytes:
    return wire_1(1, START_NS + number * 10**9, np.full(100, value, "<i4").tobytes(), 100)


class Keeper(Publisher):
    def __init__(self) -> None:
        super().__init__("keeper")
        self.packets: list[Packet] = []

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        self.packets += [item for item in batch if isinstance(item, Packet)]

    def content(self) -> list[tuple[object, ...]]:
        return [
            (each.stream, each.start_ns, each.rate_hz, each.timing_quality, each.sequence, each.samples.tolist())
            for each in self.packets
        ]


@contextlib.asynccontextmanager
async def receiving(port: int, **options: Any) -> AsyncGenerator[Keeper]:
    """Run a receiver with quick reconnection; yield what keeps its packets."""
    keeper = Keeper()
    receiver = RawReceiver(
        [keeper],
        STATION,
        port=port,
        channels={1: "HHZ"},
        reconnect_first_s=0.01,
        reconnect_max_s=0.02,
        **options,
    )
    task = asyncio.ensure_future(receiver.serve())
    try:
        yield keeper
    finally:
        receiver.stop()
        await task


class Replaying:
    """A replay that runs in a thread."""

    def __init__(self, capture: Path, speed: float | None = None, target: tuple[str, int] | None = None) -> None:
        self.stop = threading.Event()
        self.words: list[str] = []
        self._args = (capture, ("127.0.0.1", 0), target, speed, self.stop, self.words.append)
        self._result = ""
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._result = replay(*self._args)

    def __enter__(self) -> "Replaying":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join()

    @property
    def port(self) -> int:
        end_s = time.monotonic() + DEADLINE_S
        while not self.words and time.monotonic() < end_s:
            time.sleep(0.005)
        return int(self.words[0].rpartition(":")[2])

    def result(self) -> str:
        """Return what was played, when it has ended by itself."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        return self._result


def lines(caplog: pytest.LogCaptureFixture, port: int) -> list[str]:
    """Return what the receiver said, whatever port it was."""
    said = [
        re.sub(r"again in \d\.\d s", "again", record.getMessage()).replace(f":{port}", ":PORT")
        for record in caplog.records
        if record.name.startswith("rawdaq.receivers")
    ]
    caplog.clear()
    return said


def write(path: Path, rows: Sequence[Row], begun_s: float = 1_795_219_200.0) -> Path:
    """Write a capture whose entries have these kinds, connections, seconds, peers and data."""
    with path.open("wb") as file:
        file.write(MAGIC)
        for kind, connection, at_s, peer, data in rows:
            file.write(encode_head(kind, connection, round((begun_s + at_s) * 1e9), peer.encode(), len(data)) + data)
    return path


# --- what went wrong goes wrong again ------------------------------------------------------------------------------


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
        case 4:
            await session.send(packet(base)[:2] + bytes(2) + packet(base)[4:])
            await session.until_closed()
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
        with Replaying(_alone(path)) as playing:
            async with receiving(playing.port) as keeper:
                await asyncio.to_thread(playing.result)
                await until(lambda: keeper.packets)
        first = int(keeper.packets[0].samples[0])
        played = [int(each.samples[0]) for each in keeper.packets]
        assert len(played) >= least
        assert played == values[first : first + len(played)]
    with Replaying(capture) as playing:
        async with receiving(playing.port) as keeper:
            await until(lambda: int(keeper.packets[-1].samples[0]) == 999 if keeper.packets else False)
    played = [int(each.samples[0]) for each in keeper.packets]
    assert played == values[played[0] :]  # both files: nothing twice where one begins


def _alone(path: Path) -> Path:
    """Return a copy that has no other files beside it."""
    return Path(shutil.copy(path, path.with_name("alone")))


# --- how a connection is played ------------------------------------------------------------------------------------

HANDSHAKE: list[Row] = [
    (Kind.OPENED, 1, 0.0, "192.0.2.1:9", b""),
    (Kind.SENT, 1, 0.0, "", b"hello\n"),
    (Kind.RECEIVED, 1, 0.0, "", b"welcome\n"),
]


def talk(port: int, says: bytes = b"hello\n") -> tuple[bytes, str, float]:
    """Return what a client hears, how the connection ended, and how long it lasted."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        began_s = time.monotonic()
        connection.sendall(says)
        heard, end = b"", "closed"
        try:
            while chunk := connection.recv(65536):
                heard += chunk
        except ConnectionResetError:
            end = "reset"
        return heard, end, time.monotonic() - began_s


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


def test_a_receiver_that_says_something_else_is_told_and_played_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device_replay, "_ANSWER_S", 0.1)
    with Replaying(write(tmp_path / "a", HANDSHAKE)) as playing:
        assert talk(playing.port, b"hey\n")[0] == b"welcome\n"
    assert "the receiver says b'hey\\n', the captured one said b'hello\\n'" in caplog.text


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
    assert "the receiver says b'hey--\\n'" in caplog.text


def test_a_receiver_that_closes_earlier_is_told_and_the_next_connection_played(
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


# --- datagrams -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening() -> Generator[tuple[socket.socket, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(DEADLINE_S)
        yield listener, listener.getsockname()[1]


def test_datagrams_come_as_they_were_with_their_pauses_and_one_port_for_each_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device_replay, "_MAX_SENDERS", 2)
    sent = [("a", b"one"), ("b", b"\xff\x00"), ("a", b""), ("c", bytes(1400))]
    rows: list[Row] = [(Kind.DATAGRAM, 9000, number / 20, peer, data) for number, (peer, data) in enumerate(sent)]
    rows.insert(2, (Kind.LOST, 0, 0.1, "", b"1 entries"))
    with listening() as (listener, port):
        began_s = time.monotonic()
        with Replaying(write(tmp_path / "a", rows), 1.0, ("127.0.0.1", port)) as playing:
            heard = [listener.recvfrom(2000) for _ in sent]
            assert playing.result() == "replayed 4 datagrams, 1405 bytes"
        assert time.monotonic() - began_s >= 0.14
    assert [data for data, _ in heard] == [data for _, data in sent]
    ports = [address[1] for _, address in heard]
    assert ports[0] == ports[2] == ports[3] != ports[1]
    assert "1 entries are missing here" in caplog.text


def test_datagrams_go_out_although_nobody_listens(tmp_path: Path) -> None:
    with listening() as (_, port):
        pass
    rows: list[Row] = [(Kind.DATAGRAM, 1, 0.0, "a", b"x")] * 20
    with Replaying(write(tmp_path / "a", rows), None, ("127.0.0.1", port)) as playing:
        assert playing.result() == "replayed 20 datagrams, 20 bytes"


def test_a_stop_ends_the_pause_between_datagrams(tmp_path: Path) -> None:
    rows: list[Row] = [(Kind.DATAGRAM, 1, number * 3600.0, "a", b"x") for number in range(3)]
    with listening() as (listener, port), Replaying(write(tmp_path / "a", rows), 1.0, ("127.0.0.1", port)) as playing:
        assert listener.recv(10) == b"x"
        playing.stop.set()
        assert playing.result() == "replayed 1 datagrams, 1 bytes"


@contextlib.asynccontextmanager
async def receiving_datagrams(**options: Any) -> AsyncGenerator[tuple[RawUDPReceiver, int, Keeper]]:
    """Run a receiver of datagrams; yield it, its port, and what keeps its packets."""
    keeper = Keeper()
    channels = {1: UdpChannel(code="HHZ", rate_hz=100.0)}
    receiver = RawUDPReceiver(
        [keeper], STATION, channels=channels, ip="127.0.0.1", ports=[0], version="1.1", reorder_s=0.0, **options
    )
    task = asyncio.ensure_future(receiver.serve())
    try:
        await until(lambda: receiver.endpoints[0].port or task.done())
        yield receiver, receiver.endpoints[0].port, keeper
    finally:
        receiver.stop()
        await task


async def test_datagrams_that_went_wrong_give_the_same_packets_and_the_same_refusals(tmp_path: Path) -> None:
    datagrams = [packet(0), packet(1)[:-7], b"garbage", packet(2), b"", packet(5), packet(2), b"\xff" * 419]
    capture = tmp_path / "udp.capture"
    async with receiving_datagrams(capture=capture) as (receiver, port, keeper):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            for datagram in datagrams:
                device.sendto(datagram, ("127.0.0.1", port))
        await until(lambda: keeper.packets and receiver.refusals.by_reason.total() >= 4)
    packets, refused = keeper.content(), receiver.refusals.by_reason
    assert len(packets) in (3, 4)
    async with receiving_datagrams() as (again, port, keeper):
        with Replaying(capture, None, ("127.0.0.1", port)) as playing:
            size_bytes = sum(map(len, datagrams))
            assert await asyncio.to_thread(playing.result) == f"replayed 8 datagrams, {size_bytes} bytes"
        await until(lambda: again.refusals.by_reason == refused and len(keeper.packets) == len(packets))
    assert keeper.content() == packets


def _nothing(text: str) -> None:
    """Announce nothing."""


def test_what_cannot_be_played_is_told_with_what_would_help(tmp_path: Path) -> None:
    def why(rows: Sequence[Row], target: tuple[str, int] | None) -> str:
        with pytest.raises(InvalidValue) as caught:
            replay(write(tmp_path / "a", rows), ("127.0.0.1", 0), target, None, threading.Event(), _nothing)
        return str(caught.value)

    datagram: Row = (Kind.DATAGRAM, 1, 0.0, "a", b"x")
    lost: Row = (Kind.LOST, 0, 0.0, "", b"1 entries")
    assert "is empty" in why([], None)
    assert "say where to with --udp HOST:PORT" in why([datagram], None)
    assert "play it without --udp" in why(HANDSHAKE, ("127.0.0.1", 9))
    assert "connections and datagrams" in why([lost, datagram], None)
    assert "nowhere.invalid cannot be resolved" in why([datagram], ("nowhere.invalid", 9))


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_command_plays_it_to_whoever_connects_and_ends(tmp_path: Path) -> None:
    capture = write(tmp_path / "a", [*HANDSHAKE, (Kind.ENDED, 1, 0.0, "", b"closed")])
    process = start_cli(["rawdaq-device", "--replay", str(capture), "--port", "0", "--speed", "max"])
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(f"replaying {capture}, on 127.0.0.1:")
        assert talk(int(line.rpartition(":")[2]))[0] == b"welcome\n"
        out, err = process.communicate(timeout=DEADLINE_S)
    finally:
        _end(process)
    assert (process.returncode, out) == (0, "replayed 1 connections, 8 bytes\n")
    assert "connection 1 of the capture" in err


def test_the_command_sends_datagrams_where_it_is_told(tmp_path: Path) -> None:
    capture = write(tmp_path / "a", [(Kind.DATAGRAM, 9000, 0.0, "a", b"one"), (Kind.DATAGRAM, 9000, 0.0, "a", b"two")])
    with listening() as (listener, port):
        done = run_cli(["rawdaq-device", "--replay", str(capture), "--udp", f"127.0.0.1:{port}"])
        assert [listener.recv(10), listener.recv(10)] == [b"one", b"two"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "replayed 2 datagrams, 6 bytes"


def test_a_signal_ends_the_command_quietly(tmp_path: Path) -> None:
    capture = write(tmp_path / "a", HANDSHAKE)
    process = start_cli(["rawdaq-device", "--replay", str(capture), "--port", "0"])
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=DEADLINE_S)
    finally:
        _end(process)
    assert (process.returncode, out, err) == (0, "replayed 0 connections, 0 bytes\n", "")


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--replay", "none"], "there is no capture none"),
        (["--replay", "none", "--sine", "1"], "--replay plays what was captured, without --sine"),
        (["--replay", "none", "--packet-s", "1"], "without --packet-s"),
    ],
)
def test_a_wrong_call_is_told(tmp_path: Path, args: list[str], reason: str) -> None:
    done = run_cli(["rawdaq-device", *args], cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
