"""Where values come from: components of this machine, and what a monitor publishes."""

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rawdaq.control.dash import local, monitor
from rawdaq.control.dash.local import LocalSource
from rawdaq.control.dash.monitor import MonitorSource
from rawdaq.control.dash.source import Source
from rawdaq.control.dash.values.board import Board, Component
from rawdaq.control.machine import feed as live_feed
from rawdaq.errors import InvalidValue
from rawdaq.messages.frames import encode
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Message
from rawdaq.messages.monitor import TOPIC
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from tests.control.dash.made import NOW_NS, packet
from tests.helpers import until
from tests.makers import packet as made_packet
from tests.servers import Idle, serving
from tests.subscriber.feeds import Feed

LOG = logging.getLogger("rawdaq.dash")
STATION = """
station: {network: XX, code: DEMO, location: "00"}
Demo:
  Receiver: {class: RawReceiver, host: 127.0.0.1, port: 1, channels: {1: HHZ}}
  Publishers: {live: {class: ZMQTCPPublisher, ip: 127.0.0.1, port: 9004}}
Other:
  Receiver: {class: RawReceiver, host: 127.0.0.1, port: 1, channels: {1: BHZ}}
  Publishers: {live: {class: ZMQTCPPublisher, ip: 127.0.0.1, port: 9005}}
"""
KEY = "XX.DEMO.Demo"


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (local, monitor):
        monkeypatch.setattr(module, "INTERVAL_S", 0.05)
    monkeypatch.setattr(local, "_LIST_S", 0.02)
    monkeypatch.setattr(local, "_PATIENCE_S", 0.04)
    monkeypatch.setattr(local, "_MOST_OF_A_CORE", 10.0)
    monkeypatch.setattr(live_feed, "_OVERLAP_S", 0.05)


@pytest.fixture(name="runtime")
def _runtime(tmp_path: Path) -> Iterator[RuntimeFiles]:
    with RuntimeFiles(tmp_path / "run", tmp_path / "log") as files:
        files.prepare()
        yield files


class Boards:
    """What a source has shown so far."""

    def __init__(self) -> None:
        self.last = Board()

    def show(self, board: Board) -> None:
        self.last = board

    def named(self, name: str) -> Component | None:
        return next((each for each in self.last.components if each.name == name), None)

    async def until(self, is_enough: Callable[[], object]) -> None:
        await until(is_enough)


@asynccontextmanager
async def running(source: Source) -> AsyncGenerator[Boards]:
    boards = Boards()
    task = asyncio.ensure_future(source.run(boards.show))
    try:
        yield boards
    finally:
        task.cancel()
        await asyncio.wait([task])
        await source.aclose()


def state_of(boards: Boards, name: str) -> str | None:
    found = boards.named(name)
    return None if found is None else found.state


async def test_components_of_this_machine(tmp_path: Path, runtime: RuntimeFiles) -> None:
    file = tmp_path / "demo.yaml"
    file.write_text(STATION)
    component = Idle([ZMQTCPPublisher("127.0.0.1", 0, "live")])
    component.name = "Demo"
    component.command_address = runtime.command_address(KEY)
    log_file = runtime.log_file(KEY)
    source = LocalSource(file, runtime, LOG)
    async with running(source) as boards:
        await boards.until(lambda: len(boards.last.components) == 2)
        assert {each.state for each in boards.last.components} == {"stopped"}
        async with serving(component):
            with runtime.hold(KEY, file, 10.0, log_file=log_file):
                await boards.until(lambda: state_of(boards, "DEMO/Demo") == "running")
                for index in itertools.count():
                    await component.publish([made_packet(index)])
                    if source.traces.get("XX.DEMO.00.HHZ") is not None:
                        break
                    await asyncio.sleep(0)
                await boards.until(lambda: (found := boards.named("DEMO/Demo")) and found.has_data is not None)
                demo = boards.named("DEMO/Demo")
                assert demo is not None
                assert [each.name for each in demo.streams] == ["XX.DEMO.00.HHZ"]
                assert (demo.pid, demo.dropped) == (component.cmd_status()["pid"], 0)
                log_file.write_text("2026-11-21T12:00:00.000Z WARNING rawdaq.x a line\nof two\n")
                log = await source.log(demo, 5)
                assert log.title == "DEMO/Demo"
                assert [tuple(each) for each in log.lines] == [(30, "12:00:00 WARNING a line"), (None, "of two")]
                assert (await source.log(None, 5)).lines == []
        await boards.until(lambda: state_of(boards, "DEMO/Demo") == "stopped")
        file.write_text(STATION.replace("Demo:", "New:"))
        await boards.until(lambda: state_of(boards, "DEMO/New") == "stopped")  # it was renamed
        assert boards.named("DEMO/Demo") is None
        file.write_text("station: {network: XX, code: DEMO}\nOther: {}\n")
        await boards.until(lambda: "Other: has no `Receiver`" in "".join(boards.last.notes))


async def test_one_that_does_not_answer_is_unknown_at_first_and_delays_nobody(
    tmp_path: Path, runtime: RuntimeFiles
) -> None:
    file = tmp_path / "demo.yaml"
    file.write_text(STATION)
    other = Idle([])
    other.name = "Other"
    other.command_address = runtime.command_address("XX.DEMO.Other")
    with runtime.hold(KEY, file, 10.0), runtime.hold("XX.DEMO.Other", file, 10.0):
        async with serving(other), running(LocalSource(file, runtime, LOG)) as boards:
            await boards.until(lambda: state_of(boards, "DEMO/Other") == "running")
            demo = boards.named("DEMO/Demo")
            assert demo is not None
            assert (demo.state, demo.reason, demo.needs_a_person) == ("unknown", "it is unknown", True)


async def test_a_look_has_rates(tmp_path: Path, runtime: RuntimeFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_PATIENCE_S", 20.0)
    file = tmp_path / "demo.yaml"
    file.write_text(STATION)
    component = Idle([])
    component.command_address = runtime.command_address(KEY)
    with runtime.hold(KEY, file, 10.0):
        async with serving(component):
            source = LocalSource(file, runtime, LOG)
            board = await source.look()
            await source.aclose()
    demo = next(each for each in board.components if each.key == KEY)
    assert (demo.state, demo.items_per_s) == ("running", 0.0)


@pytest.fixture(name="feed")
def _feed() -> Iterator[Feed]:
    feed = Feed()
    yield feed
    feed.close()


def send(feed: Feed, **header: Any) -> None:
    feed.send_frames(*map(bytes, encode(Message(TOPIC, header).published(0, "Monitor", NOW_NS))))


async def subscribed(feed: Feed) -> None:
    await until(feed.has_subscriber)


async def test_reports_logs_and_packets_of_a_monitor(feed: Feed) -> None:
    live = Feed()
    source = MonitorSource([feed.address], [live.address], LOG)
    async with running(source) as boards:
        await boards.until(lambda: boards.last.notes)
        await subscribed(feed)
        await subscribed(live)
        await boards.until(
            lambda: (
                boards.last.notes[:1]
                == ("no report yet: components send them with Daemon: {monitor: tcp://HOST:10002}",)
            )
        )
        send(feed, name="XX.DEMO.A", host="h", pid=1, state="running", uptime_s=1.0)
        record = LogRecord(NOW_NS, 40, "daq", "a cable is broken", "XX.DEMO.A").message_of()
        feed.send_frames(*map(bytes, encode(record.published(0, "Logs", NOW_NS))))
        other = LogRecord(NOW_NS, 20, "daq", "hello").message_of()
        feed.send_frames(*map(bytes, encode(other.published(1, "Logs", NOW_NS))))
        send(feed, name="XX.DEMO.A", pid=-1)
        live.send(packet("XX.DEMO.00.HHZ", 0, 1, 2, 3))
        await boards.until(lambda: boards.last.components and boards.last.streams)
        await boards.until(lambda: boards.last.notes == ("1 messages could not be read",))
        (found,) = boards.last.components
        assert (found.name, found.host, found.state) == ("XX.DEMO.A", "h", "running")
        (stream,) = boards.last.streams
        assert (stream.name, stream.rate_hz, stream.latency_s) == ("XX.DEMO.00.HHZ", 4.0, 1.5)
        own, every = await source.log(found, 9), await source.log(None, 9)
        assert [tuple(each) for each in own.lines] == [(40, "12:00:00 ERROR XX.DEMO.A a cable is broken")]
        assert every.lines[-1].text == "12:00:00 INFO daq hello"
        assert every.title == "log of all"
        send(feed, name="XX.DEMO.A", host="h", pid=1, state="offline", since_ns=NOW_NS)
        await boards.until(lambda: state_of(boards, "XX.DEMO.A") == "offline")
    live.close()


async def test_a_monitor_that_does_not_answer_is_a_note(feed: Feed) -> None:
    feed.close()
    source = MonitorSource([feed.address], [], LOG)
    assert (source.traces, source.no_traces) == (None, "traces need --live ADDRESS")
    async with running(source) as boards:
        await boards.until(lambda: boards.last.notes == (f"{feed.address} does not answer",))


async def test_a_look_at_a_monitor_ends_when_all_have_had_the_time_to_report(feed: Feed) -> None:
    source = MonitorSource([feed.address], [], LOG)
    source.open()
    looking = asyncio.ensure_future(source.look(more_s=0.0))
    await subscribed(feed)
    send(feed, name="XX.DEMO.A")
    board = await looking
    assert [each.name for each in board.components] == ["XX.DEMO.A"]
    assert (await source.look(first_s=0.0, more_s=0.0)).components == board.components
    await source.aclose()


async def test_a_look_at_a_monitor_that_is_not_there_ends(feed: Feed) -> None:
    feed.close()
    source = MonitorSource([feed.address], [], LOG)
    board = await source.look(first_s=0.0)
    assert board.components == ()
    assert board.notes == (f"{feed.address} does not answer",)
    await source.aclose()


def test_an_address_that_cannot_be_is_an_error() -> None:
    source = MonitorSource(["nonsense"], [], LOG)
    with pytest.raises(InvalidValue, match="nonsense"):
        source.open()
