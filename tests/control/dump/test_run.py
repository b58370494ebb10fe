"""What rawdaq-dump does over time, with a clock of the test's own, and on a terminal."""

import asyncio
import os
import pty
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest
import zmq
from rich.console import Console

from rawdaq.control.dump import files as dump_files
from rawdaq.control.dump.files import MiniSeedFile, Picture
from rawdaq.control.dump.run import Arrival, DumpRun, View, _why_unreached
from rawdaq.control.dump.stats import JsonTable, LiveTable
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.subscriber import Loss, Subscriber
from tests.helpers import command, environment, until, wait_for
from tests.live import publishing, subscribed, subscribers
from tests.makers import START_NS, STREAM, packet

ADDRESS = "tcp://127.0.0.1:9004"


def arrival(each: Packet, now_ns: int = START_NS) -> Arrival:
    return Arrival(each, now_ns, None, 0)


class Scripted(Subscriber):
    """A subscriber that gives packets (or None for silence) by a script, and moves the time on at each."""

    def __init__(self, *script: Packet | None, step_s: float = 0.1) -> None:
        super().__init__(ADDRESS)
        self.now_s = 1000.0
        self.note: Callable[[Loss], None] = lambda loss: None
        self._script = list(script)
        self._step_s = step_s

    def receive(self, timeout_s: float | None = None) -> Packet | None:
        self.now_s += self._step_s
        got = self._script.pop(0) if self._script else None
        if got is not None and got.sequence:
            self.lost[got.stream] += got.sequence
            self.note(Loss(got.stream, got.sequence, got, ADDRESS))
        if got is not None:
            self.received[got.stream] += 1
        return got


class Recorder(View):
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.is_closed = False

    def show(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)

    def close(self) -> None:
        self.is_closed = True


def run(subscriber: Scripted, seconds: float, view: View | None = None) -> None:
    dump_run = DumpRun(
        [view or Recorder()],
        threading.Event(),
        seconds=seconds,
        clock=lambda: START_NS,
        monotonic=lambda: subscriber.now_s,
    )
    subscriber.note = dump_run.note_loss
    dump_run.run(subscriber)


def test_waiting_is_reported_once_and_only_until_something_came(capsys: pytest.CaptureFixture[str]) -> None:
    run(Scripted(*[None] * 100), 9)
    assert capsys.readouterr().err.count("waiting for data at") == 1
    run(Scripted(packet(), *[None] * 100), 9)
    assert "waiting" not in capsys.readouterr().err


def test_streams_that_came_instead_of_those_that_are_wanted_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    subscriber = Scripted(*[None] * 100)
    subscriber.streams = ("*.BH?", "*.HHN")
    subscriber._messages._selected.update({b"XX.S%d..HHZ" % number: False for number in range(7)})
    run(subscriber, 9)
    waiting, total = capsys.readouterr().err.splitlines()
    named = "*.BH? or *.HHN selects none of XX.S0..HHZ, XX.S1..HHZ, XX.S2..HHZ, XX.S3..HHZ, XX.S4..HHZ, 2 more; "
    assert waiting.startswith(f"rawdaq-dump: waiting for data at {ADDRESS}: {named}a pattern is like")
    assert f" 0 lost: {named}" in total


def test_losses_of_many_streams_at_once_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    streams = [StreamId("XX", f"S{number}", "", "HHZ") for number in range(7)]
    run(Scripted(*(packet(stream=stream, sequence=2) for stream in streams), *[None] * 20), 3)
    told = [line for line in capsys.readouterr().err.splitlines() if "lost 14 messages" in line]
    assert len(told) == 1
    assert told[0].endswith("XX.S4..HHZ: 2 and 2 more streams)")


def test_losses_that_go_on_are_reported_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    run(Scripted(*(packet(sequence=1) for _ in range(120)), step_s=0.1), 12)
    told = [line for line in capsys.readouterr().err.splitlines() if "messages before" in line]
    assert 2 <= len(told) <= 4


def test_arrival_carries_what_was_lost_before_it() -> None:
    view = Recorder()
    run(Scripted(packet(0), packet(1, sequence=4), packet(2)), 1, view)
    assert [each.lost for each in view.arrivals] == [0, 4, 0]
    assert [each.gap_ns for each in view.arrivals] == [None, 0, 0]
    assert view.arrivals[0].latency_ns == -990_000_000
    assert view.is_closed


def test_messages_that_were_skipped_are_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    subscriber = Scripted()
    subscriber._messages.refusals.by_reason["wrong header"] = 3
    run(subscriber, 1)
    assert "0 lost, 3 skipped that are not waveforms of ours" in capsys.readouterr().err


def test_view_is_closed_although_another_one_fails() -> None:
    class Failing(View):
        def show(self, arrival: Arrival) -> None:
            raise OSError("disk full")

    view, subscriber = Recorder(), Scripted(packet())
    dump_run = DumpRun([view, Failing()], threading.Event(), monotonic=lambda: subscriber.now_s)
    with pytest.raises(OSError, match="disk full"):
        dump_run.run(subscriber)
    assert view.is_closed


def test_partial_records_are_written_when_they_have_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = START_NS
    monkeypatch.setattr("time.time_ns", lambda: now_ns)
    path = tmp_path / "live.mseed"
    view = MiniSeedFile(path)
    view.tick(0)
    view.show(arrival(packet()))
    view.tick(1)
    assert path.stat().st_size == 0
    now_ns += 10_000_000_000
    view.tick(11)
    assert path.stat().st_size == 512
    view.close()
    assert path.stat().st_size == 512


def test_picture_of_too_much_shows_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: list[Packet] = []

    def plot(packets: Iterable[Packet], path: Path) -> None:
        drawn.extend(packets)

    monkeypatch.setattr("rawdaq.replay.waveforms.plot", plot)
    monkeypatch.setattr(dump_files, "_MAX_PICTURE_BYTES", 1000)
    view = Picture(tmp_path / "live.png")
    for index in range(5):
        view.show(arrival(packet(index)))
    view.close()
    assert drawn == [packet(3), packet(4)]
    assert "shows only the latest" in capsys.readouterr().err


def test_table_is_shown_at_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonTable()
    view.show(arrival(packet()))
    began_s = view._began_s
    for later_s in (1, 9.9, 10.1, 12, 20.2):
        view.tick(began_s + later_s)
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.parametrize(("width", "has_mean"), [(120, True), (80, False), (40, False)])
def test_table_fits_the_terminal_and_breaks_no_name_and_no_number(width: int, has_mean: bool) -> None:
    view = LiveTable()
    for index in range(2):
        view.show(arrival(packet(index)))
    view.streams[STREAM].packets = 1_000_000_000
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(view._table(width))
    head, line = capture.get().splitlines()
    assert max(len(head), len(line)) <= width
    assert line.startswith("XX.DEMO.00.HHZ ")
    assert "…" not in head + line
    assert ("mean" in head) == has_mean
    assert ("1000000000" in line) == ("packets" in head) == (width > 40)


async def test_table_is_redrawn_in_place_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    shown = bytearray()
    asyncio.get_running_loop().add_reader(ours, lambda: shown.extend(os.read(ours, 1 << 16)))
    try:
        async with publishing() as publisher:
            process = await asyncio.create_subprocess_exec(
                *command("rawdaq-dump", "--connect", publisher.address, "--stats"),
                stdout=theirs,
                stderr=theirs,
                env=environment({"TERM": "xterm", "COLUMNS": "150", "LINES": "40"}),
            )
            await subscribed(publisher)
            await publisher.deliver([packet(), packet(1, sequence=1)])
            await until(lambda: shown.count(b"XX.DEMO.00.HHZ") > 2)
            process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(process.wait(), 60) == 0
            await until(lambda: b"2 packets of 1 stream" in shown)
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        os.close(theirs)
    assert b"\x1b[" in shown


def test_a_host_that_the_system_does_not_find_is_reported_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(host: str, port: None) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for host in ("absent", "[fe80::1%eth0]", "eth1:0;absent"):
        address = f"tcp://{host}:9004"
        assert _why_unreached(address) == f"host {asked[-1]} of {address} is not found: Name or service not known"
    assert asked == ["absent", "fe80::1%eth0", "absent"]
    assert _why_unreached("ipc:///a/b") == "nothing publishes at ipc:///a/b (is the receiver running?)"


def test_what_listens_but_does_not_speak_zmq_is_reported_as_that(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as device:
        address = f"tcp://127.0.0.1:{device.getsockname()[1]}"
        with closing(Subscriber(address)) as listener:
            listener.open()
            wait_for(lambda: any(listener.unanswered().values()))
            DumpRun([], threading.Event(), seconds=0.01).run(listener)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == (
        f"rawdaq-dump: {address} takes connections, but does not publish to us: it refuses us (the receiver's log "
        "says why), or is not a ZMQTCPPublisher"
    )


async def test_a_publisher_that_answers_at_once_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting returns here when the publisher has the subscription, as on a machine that is busy with others."""
    connect = zmq.Socket[bytes].connect

    def slow(socket: "zmq.Socket[bytes]", address: str) -> None:
        connect(socket, address)
        if address == publisher.address:
            wait_for(lambda: subscribers(publisher))

    monkeypatch.setattr(zmq.Socket, "connect", slow)
    async with publishing() as publisher:
        with closing(Subscriber(publisher.address)) as listener:
            await asyncio.wait_for(asyncio.to_thread(listener.open), 60)
            await until(lambda: not listener.unanswered())
