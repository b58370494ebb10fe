"""rawdaq-dump shows logs, reports, events, readouts and telemetry, and what is missing of them."""

import asyncio
import json
import os
import pty
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

import numpy as np
import pytest

from rawdaq.control.dump.messages.lines import JsonLines, TextLines
from rawdaq.control.dump.messages.run import MessageRun, MessageView, level_of
from rawdaq.control.dump.messages.table import MessageTable
from rawdaq.control.dump.messages.values import Shown, value_of
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Message
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.subscriber import MessageSubscriber
from tests.forks import Process, run_cli, start_cli
from tests.helpers import DEADLINE_S, command, environment, until
from tests.live import publishing, subscribers
from tests.makers import START_NS, packet

ADDRESS = "tcp://127.0.0.1:9001"


def made(topic: str, frame: int = 0, payload: bytes = b"", **header: Any) -> Message:
    return Message(topic, header, payload).published(frame, "Name", START_NS)


def log(frame: int, level: int = 20, name: str = "daq", text: str = "text", component: str = "") -> Message:
    return LogRecord(START_NS, level, name, text, component).message_of().published(frame, "Logs", START_NS)


def event(frame: int, **header: Any) -> Message:
    return made("~event.XX.DEMO.T", frame, type="trigger", time_ns=START_NS + frame, **header)


def readout(frame: int = 0, slots: Sequence[int] = (0, 1, 5), **header: Any) -> Message:
    data = np.arange(2 * len(slots), dtype="<f4").reshape(len(slots), 2)
    fields = {"htype": "array-1.0", "type": "float32", "shape": list(data.shape), "slots": list(slots), "unit": "mV"}
    more = {"expected": 6, "reason": "timer", "number": 13 + frame, "time_ns": frame * 100_000_000, **header}
    return made("~readout.XX.ARRAY.A", frame, data.tobytes(), **fields, **more)


REPORT: dict[str, Any] = {
    "name": "XX.DEMO.T",
    "time_ns": START_NS,
    "state": "running",
    "data": True,
    "packets_per_s": 12.5,
}
OFFLINE: dict[str, Any] = {
    "name": "XX.DEMO.T",
    "time_ns": START_NS + 2_000_000_000,
    "state": "offline",
    "since_ns": START_NS,
}


def shown(message: Message, lost: int = 0) -> Shown:
    return Shown(message, value_of(message), lost, START_NS)


LINES: list[tuple[Message, str]] = [
    (log(0, 30, component="XX.DEMO.T"), "2026-11-21T00:00:00.000Z WARNING daq [XX.DEMO.T] text"),
    (
        made("~monitor", **REPORT, gaps=2, dropped=3, waiting=4, streams=5, silent=1, latency_s=0.25, cpu_percent=1.5),
        "2026-11-21T00:00:00.000Z XX.DEMO.T running data 12.5 packets/s streams=5 silent=1 gaps=2 dropped=3 waiting=4 "
        "lat=0.250s cpu=1.5%",
    ),
    (
        made("~monitor", **REPORT, messages_per_s=0, memory_bytes=50_000_000, problems=["store: full\x1b"]),
        "2026-11-21T00:00:00.000Z XX.DEMO.T running data 12.5 packets/s 0 messages/s streams=0 silent=0 gaps=0 "
        "dropped=0 waiting=0 mem=50MB [store: full\\x1b]",
    ),
    (made("~monitor", **OFFLINE), "2026-11-21T00:00:02.000Z XX.DEMO.T offline since 2026-11-21T00:00:00.000Z"),
    (
        event(1, source="192.0.2.1", counter=5, missed=2, backwards=True, fields={"union": [0, 9], "word": "x"}),
        "2026-11-21T00:00:00.000000001Z XX.DEMO.T trigger source=192.0.2.1 counter=5 missed=2 backwards "
        "union=[0,9] word=x",
    ),
    (made("~event", device_ns=7), "device 7 ns Name event"),
    (
        readout(),
        "2026-11-21T00:00:00.000000Z XX.ARRAY.A readout 13 at 0 ns 3/6 slots 0-1,5 timer sum=15mV slot 5: 4.0 5.0",
    ),
    (
        readout(1, late=True, slots=[]),
        "2026-11-21T00:00:00.000000Z XX.ARRAY.A readout 14 at 100000000 ns 10 Hz 0/6 slots none timer late sum=0mV "
        "slot 5: absent",
    ),
    (
        made("~telemetry.XX.D.SOH", time_ns=START_NS, values={"t": 21.5, "on": True, "gone": None}, units={"t": "C"}),
        "2026-11-21T00:00:00.000Z XX.D.SOH t=21.5C on=true gone=-",
    ),
]


def test_each_kind_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    view = TextLines(has_colours=False, slot=5)
    for message, _ in LINES:
        view.show(shown(message))
    assert capsys.readouterr().out.splitlines() == [line for _, line in LINES]


@pytest.mark.parametrize(
    ("message", "colour"),
    [
        (log(0, 10), "\x1b[2m"),
        (log(0, 20), ""),
        (log(0, 30), "\x1b[33m"),
        (log(0, 40), "\x1b[31m"),
        (log(0, 55), "\x1b[31m\x1b[1m"),
        (made("~monitor", **OFFLINE), "\x1b[31m"),
        (made("~monitor", **REPORT), ""),
        (made("~monitor", **REPORT, problems=["x"]), "\x1b[33m"),
        (event(0, missed=1), "\x1b[33m"),
        (event(0), ""),
        (readout(), "\x1b[33m"),
        (readout(reason="complete"), ""),
        (made("~telemetry", values={}), ""),
    ],
)
def test_lines_are_coloured_by_severity(message: Message, colour: str, capsys: pytest.CaptureFixture[str]) -> None:
    TextLines(has_colours=True).show(shown(message))
    out = capsys.readouterr().out
    assert out.startswith(colour + "2026") or (out.startswith(colour) and colour)


def test_json_has_the_header_and_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonLines(slot=1)
    data = np.array([[np.nan, 1], [2, np.inf]], "<f4")
    fields = {"htype": "array-1.0", "type": "float32", "shape": [2, 2], "slots": [0, 1]}
    messages = [event(0), made("~readout", 0, data.tobytes(), **fields), readout(slots=[0])]
    view.show(shown(messages[0], lost=3))
    for message in messages[1:]:
        view.show(shown(message))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {**messages[0].header, "topic": "~event.XX.DEMO.T", "lost": 3, "payload_bytes": 0}
    assert (lines[1]["payload_bytes"], lines[1]["values"]) == (16, [2.0, None])
    assert lines[2]["values"] is None


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def now(self) -> float:
        return self.s


def test_the_table_counts_what_is_missing_and_what_goes_back(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    table = MessageTable(is_json=True, is_live=True, monotonic=clock.now)
    for each in (event(5, missed=2), event(3), event(4, backwards=True, missed=1)):
        table.show(shown(each, lost=1))
    table.show(shown(log(0, 40)))
    clock.s += 2
    table.tick(clock.s)
    table.close()
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        {
            "kind": "event",
            "name": "XX.DEMO.T",
            "sort": "trigger",
            "messages": 3,
            "per s": 1.5,
            "lost": 3,
            "missed": 3,
            "backwards": 2,
            "last": "2026-11-21T00:00:00.000Z",
        },
        {
            "kind": "log",
            "name": "daq",
            "sort": "ERROR",
            "messages": 1,
            "per s": 0.5,
            "lost": 0,
            "missed": 0,
            "backwards": 0,
            "last": "2026-11-21T00:00:00.000Z",
        },
    ]


def test_the_table_is_printed_now_and_then_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    table = MessageTable(is_json=False, is_live=False, monotonic=clock.now)
    table.tick(clock.s + 20)
    table.show(shown(log(0)))
    table.tick(clock.s + 25)
    table.tick(clock.s + 31)
    table.close()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["kind", "name", "sort", "messages"],
        ["log", "daq", "INFO", "1"],
    ] * 2


class Scripted(MessageSubscriber):
    """Gives messages by a script, None for silence, and moves the time on at each."""

    def __init__(self, clock: Clock, *script: Message | None) -> None:
        super().__init__(ADDRESS)
        self._clock = clock
        self._script = list(script)

    def receive(self, timeout_s: float | None = None) -> Message | None:
        self._clock.s += 0.3
        message = self._script.pop(0) if self._script else None
        if message is not None:
            self._note(ADDRESS, message)
        return message


class Recorder(MessageView):
    def __init__(self) -> None:
        self.shown: list[Shown] = []

    def show(self, shown: Shown) -> None:
        self.shown.append(shown)


def run(*script: Message | None, **options: Any) -> tuple[MessageRun, Recorder]:
    clock, view = Clock(), Recorder()
    stop = threading.Event()
    limits: dict[str, Any] = {"seconds": 0.3 * len(script), **options}
    made_run = MessageRun(view, stop, monotonic=clock.now, **limits)
    reader = Scripted(clock, *script)
    reader._on_loss = made_run.note_loss
    made_run.run(reader)
    return made_run, view


def test_losses_are_told_by_topic_and_shown_with_the_message_after_them(capsys: pytest.CaptureFixture[str]) -> None:
    made_run, view = run(log(0), event(5), log(3), None, None, event(7), seconds=3.0)
    assert [each.lost for each in view.shown] == [0, 0, 2, 1]
    err = capsys.readouterr().err
    assert "lost 2 messages before 2026-11-21T00:00:00.000000Z, from tcp://127.0.0.1:9001 (~log: 2)" in err
    assert "4 messages in 3.3 s, 3 lost (~log: 2, ~event.XX.DEMO.T: 1)" in err
    assert made_run.shown == 4


def test_level_and_name_select_and_the_end_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    messages = [log(0, 10, "daq.x"), log(1, 40, "daq.x"), log(2, 40, "other"), log(3, 40, "o", component="XX.A.B")]
    made_run, view = run(*messages, event(0), level=30, names=["daq.*", "XX.*"])
    assert [each.message.frame for each in view.shown] == [1, 3, 0]
    assert capsys.readouterr().err.endswith("3 messages in 1.8 s, 0 lost, 5 came: --name and --level select\n")
    assert made_run.shown == 3


def test_count_ends_it_and_what_is_malformed_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    made_run, view = run(made("~event", type=5), event(0), event(1), count=1, seconds=None)
    assert (made_run.shown, len(view.shown)) == (1, 1)
    assert "1 message in 0.6 s, 0 lost, 1 skipped that are malformed" in capsys.readouterr().err


def test_silence_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    run(*[None] * 10)
    err = capsys.readouterr().err
    assert f"at {ADDRESS}; does that component publish such?" in err


@pytest.mark.parametrize(("word", "level"), [("info", 20), ("CRITICAL", 50), ("17", 17)])
def test_levels_are_words_or_numbers(word: str, level: int) -> None:
    assert level_of(word) == level


@asynccontextmanager
async def dumping(publisher: ZMQTCPPublisher, *args: str, topics: int = 1) -> AsyncGenerator[Process]:
    with start_cli(["rawdaq-dump", "--connect", publisher.address, *args]) as process:
        try:
            await until(lambda: [len(each["topics"]) for each in subscribers(publisher)] == [topics])
            yield process
        finally:
            process.kill()


async def ended(process: Process) -> tuple[str, str]:
    return await asyncio.wait_for(asyncio.to_thread(process.communicate), DEADLINE_S)


async def test_kinds_are_mixed_and_waveforms_left_out() -> None:
    options = ["--logs", "--events", "--count", "3", "--level", "warning"]
    async with publishing() as publisher, dumping(publisher, *options, topics=2) as process:
        await publisher.deliver([packet(), log(0, 20), log(1, 30), event(0), made("~monitor", **REPORT), log(4, 40)])
        out, err = await ended(process)
    assert [line.split()[1] for line in out.splitlines()] == ["WARNING", "XX.DEMO.T", "ERROR"]
    assert "3 messages in " in err
    assert "2 lost (~log: 2)" in err
    assert process.returncode == 0


async def test_a_terminal_gets_colours() -> None:
    ours, theirs = pty.openpty()
    async with publishing() as publisher:
        with closing(os.fdopen(ours, "rb", buffering=0)) as terminal:
            process = await asyncio.create_subprocess_exec(
                *command("rawdaq-dump", "--connect", publisher.address, "--logs", "--count", "1"),
                env=environment({"TERM": "xterm"}),
                stdout=theirs,
                stderr=asyncio.subprocess.PIPE,
            )
            os.close(theirs)
            await until(lambda: subscribers(publisher))
            await publisher.deliver([log(0, 40)])
            assert await process.wait() == 0
            text = terminal.read(10_000)
            assert process.stderr is not None
            await process.stderr.read()
    assert text.startswith(b"\x1b[31m2026-11-21")


def test_nothing_that_came_is_exit_status_1() -> None:
    done = run_cli(["rawdaq-dump", "--readouts", "--slot", "3", "--seconds", "0.1", "--connect", "tcp://127.0.0.1:9"])
    assert done.returncode == 1
    assert "nothing publishes at tcp://127.0.0.1:9" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--level", "30"], "--level is about messages: add --logs"),
        (["--slot", "0"], "--slot is about messages"),
        (["--name", "x"], "--name is about messages"),
        (["--logs", "--samples", "--stream", "XX.*"], "--stream, --samples and messages do not go together"),
        (["--logs", "--level", "loud"], "'loud' is no level"),
        (["--logs", "--connect", "nowhere"], "is not like tcp://127.0.0.1:9004"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(options: list[str], told: str) -> None:
    done = run_cli(["rawdaq-dump", *options])
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
