"""MonitorReceiver: reports of components and of others are published on, kept, and missed when they do not come."""

import asyncio
import json
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import zmq

from rawdaq.messages.frames import encode
from rawdaq.messages.message import Message
from rawdaq.messages.monitor import TOPIC, ComponentReport
from rawdaq.publisher import Publisher
from rawdaq.receivers.monitor import MonitorReceiver
from rawdaq.reporting import sender
from tests.forks import Process
from tests.helpers import until
from tests.makers import message
from tests.servers import Idle, serving


class Keeper(Publisher):
    takes_messages = True

    def __init__(self) -> None:
        super().__init__("keeper")
        self.kept: list[Message] = []

    async def deliver(self, batch: Sequence[Any]) -> None:
        self.kept += batch

    @property
    def reports(self) -> list[ComponentReport]:
        return [ComponentReport.from_message(each) for each in self.kept]


def monitor(keeper: Publisher, **options: Any) -> MonitorReceiver:
    return MonitorReceiver([keeper], port=0, **options)


def plain(**keys: Any) -> list[bytes]:
    return [b"~monitor", json.dumps(keys).encode()]


async def test_reports_are_published_on_and_the_newest_is_in_the_table(context: Any) -> None:
    keeper = Keeper()
    async with serving(server := monitor(keeper, offline_s=60)):
        with context.socket(zmq.PUSH) as pusher:
            pusher.connect(server.endpoint.address)
            pusher.send_multipart(plain(name="Trig", time_ns=5, data_packets=3, data_packets_per_s=12.5))
            said = {"name": "XX.DEMO.T", "host": "h", "pid": 7, "time_ns": 5, "state": "paused", "new": [1]}
            for frame in (8, 9):
                pusher.send_multipart(encode(Message(TOPIC, said | {"gaps": frame}).published(frame, "T", 5)))
            await until(lambda: len(keeper.kept) == 3)
            table: Any = server.cmd_table([])
            assert [(row["name"], row["state"], row["gaps"]) for row in table] == [
                ("Trig", "running", 0),
                ("XX.DEMO.T", "paused", 9),
            ]
            assert [row["name"] for row in server.cmd_table(["XX.*"])] == ["XX.DEMO.T"]
    assert [(each.frame, each.component) for each in keeper.kept] == [(0, "Trig"), (1, "T"), (2, "T")]
    assert keeper.kept[0].received_ns > 5
    assert (keeper.reports[0].packets_per_s, keeper.kept[1].header["new"]) == (12.5, [1])


async def test_one_that_falls_silent_is_told_as_offline_in_time(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "INTERVAL_S", 0.01)
    keeper = Keeper()
    async with serving(server := monitor(keeper, offline_s=0.3)):
        component = Idle([])
        component.key, component.monitor_address = "XX.DEMO.Idle", server.endpoint.address
        async with serving(component):
            await until(lambda: keeper.kept)
        await until(lambda: not keeper.reports[-1].is_online)
        offline = keeper.reports[-1]
        table: Any = server.cmd_table([])
        status = server.receiver_status()
    assert (offline.name, offline.state, offline.has_data) == ("XX.DEMO.Idle", "offline", False)
    assert offline.since_ns is not None
    assert offline.time_ns - offline.since_ns >= 300_000_000
    assert keeper.kept[-1].header["silent_s"] >= 0.3
    assert [(row["name"], row["state"]) for row in table] == [("XX.DEMO.Idle", "offline")]
    assert (status["components"], status["online"]) == (1, 0)


def reporting(address: str) -> int:
    """Be a component that reports, until killed."""
    sender.INTERVAL_S = 0.05
    component = Idle([])
    component.key, component.monitor_address = "XX.DEMO.Idle", address
    asyncio.run(component.serve())
    return 0


async def test_a_component_that_is_killed_is_told_as_offline() -> None:
    keeper = Keeper()
    async with serving(server := monitor(keeper)):
        with Process(partial(reporting, server.endpoint.address)) as component:
            await until(lambda: keeper.kept and keeper.reports[-1].is_online)
            assert keeper.reports[-1].pid == component.pid
            component.kill()
            await until(lambda: not keeper.reports[-1].is_online)
    offline = keeper.reports[-1]
    assert (offline.name, offline.pid) == ("XX.DEMO.Idle", component.pid)
    assert server._table._offline_s + server._check_s < 2.5  # the longest that it takes, but for a busy machine


async def test_a_monitor_to_which_nobody_speaks_has_no_problem() -> None:
    async with serving(server := monitor(Keeper())):
        assert server.receiver_status()["endpoints"] == [
            {"address": server.endpoint.address, "held": [], "messages": 0, "peers": 0}
        ]


async def test_what_is_no_report_is_counted_and_skipped(context: Any) -> None:
    keeper = Keeper()
    async with serving(server := monitor(keeper, offline_s=60, max_names=1)):
        with context.socket(zmq.PUSH) as pusher:
            pusher.connect(server.endpoint.address)
            pusher.send_multipart(plain(name="A"))
            for parts in (
                [b"~monitor"],
                [b"~monitor", b"{"],
                plain(),
                plain(name="B"),
                plain(name="A", rawdaq=2),
                encode(message().published(0, "T", 1)),
            ):
                pusher.send_multipart(parts)
            pusher.send_multipart(plain(name="A", gaps=1))
            await until(lambda: len(keeper.kept) == 2)
        refused: Any = server.receiver_status()["refused_by_reason"]
    assert refused == {
        "wrong number of frames": 1,
        "unreadable header": 1,
        "wrong header": 2,
        "too many components": 1,
        "later layout": 1,
    }


async def test_300_components_cost_little() -> None:
    keeper = Keeper()
    said = {"time_ns": 5, "state": "running", "packets_per_s": 100.0, "gaps": 1, "streams": 3, "latency_s": 0.1}
    burst = [plain(name=f"XX.S{number:03d}.Main", host="h", pid=number, **said) for number in range(300)]
    async with serving(server := monitor(keeper, offline_s=60)):
        began_s = time.process_time()
        for _ in range(10):
            server._take(server.endpoint, burst)
        await until(lambda: len(keeper.kept) == 3000)
        used_s = time.process_time() - began_s
        assert len(server.cmd_table([])) == 300
    print(f"{used_s / 10:.4f} s of processor time for 300 reports")
    assert used_s / 10 < 0.03 * 3  # below 3 % of a core; a machine that does other things counts more


def test_its_address_is_its_own() -> None:
    assert MonitorReceiver.exclusive({"ip": "*", "port": 10002}) == ["tcp://0.0.0.0:10002"]
    assert MonitorReceiver.exclusive({"ip": "127.0.0.1", "port": 0}) == []
