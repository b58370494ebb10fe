"""What a component says of itself, and that saying it costs nothing when nobody listens."""

import asyncio
import logging
from typing import Any

import pytest
import zmq

from rawdaq.delivery.fanout import Fanout
from rawdaq.messages.frames import decode
from rawdaq.messages.monitor import ComponentReport
from rawdaq.reporting import sender
from rawdaq.reporting.report import ReportMaker
from rawdaq.reporting.sender import MAX_WAITING, MonitorSender
from rawdaq.streams.stats import Stats
from rawdaq.streams.topics import Topics
from tests.fanouts import LOG, Keeper
from tests.helpers import until
from tests.makers import message, packet
from tests.receivers.zmq_senders import is_bound
from tests.servers import UdpRelay, serving


class Clock:
    def __init__(self) -> None:
        self.s = 100.0
        self.cpu_s = 5.0

    def now_s(self) -> float:
        return self.s

    def use(self) -> dict[str, int | float]:
        return {"cpu_s": self.cpu_s, "memory_bytes": 77}


def test_rates_are_since_the_last_report_and_counters_since_the_start() -> None:
    clock, stats, topics = Clock(), Stats(), Topics("T")
    keeper = Keeper("store")
    fanout = Fanout([keeper], LOG)
    maker = ReportMaker(stats, topics, lambda: fanout, clock.now_s, clock.use)
    items: list[Any] = [packet(0, received_ns=packet(0).end_ns + 250_000_000), packet(3), b"plain"]
    stats.add(items)
    fanout.put(items)
    fanout.put_messages(topics.numbered([message(0), message(1)]))
    clock.s, clock.cpu_s = 102.0, 5.5
    report = ComponentReport.from_header(maker.report("XX.DEMO.T", "running"))
    assert (report.name, report.state, report.has_data, report.uptime_s) == ("XX.DEMO.T", "running", True, 2.0)
    assert (report.packets_per_s, report.samples_per_s, report.messages_per_s) == (1.0, 100.0, 1.5)
    assert (report.streams, report.silent, report.gaps, report.overlaps) == (1, 0, 1, 0)
    assert (report.waiting, report.dropped, report.refused, report.problems) == (3, 0, 0, ())
    assert (report.cpu_percent, report.memory_bytes) == (0.0, 77)  # of processor time the first report knows no begin
    clock.s, clock.cpu_s = 103.0, 5.75
    fanout.workers[0].paused_reason = "the disk is full"
    again = ComponentReport.from_header(maker.report("XX.DEMO.T", "paused"))
    assert (again.has_data, again.packets_per_s, again.cpu_percent, again.gaps) == (False, 0.0, 25.0, 1)
    assert again.problems == ("store: the disk is full",)
    assert again.pid > 0
    assert again.host


def test_latency_is_the_largest_of_the_streams_that_send() -> None:
    stats = Stats()
    maker = ReportMaker(stats, Topics("T"), lambda: Fanout([], LOG))
    assert maker.report("T", "running")["latency_s"] is None
    stats.add([packet(0, received_ns=packet(0).end_ns + 250_000_000)])
    assert maker.report("T", "running")["latency_s"] == 0.25


async def test_a_component_reports_what_it_does_and_says_at_last_that_it_stops(
    monkeypatch: pytest.MonkeyPatch, context: Any
) -> None:
    monkeypatch.setattr(sender, "INTERVAL_S", 0.01)
    with context.socket(zmq.PULL) as monitor:
        port = monitor.bind_to_random_port("tcp://127.0.0.1")
        server = UdpRelay("127.0.0.1", 0, [])
        server.key, server.monitor_address = "XX.DEMO.UdpRelay", f"tcp://127.0.0.1:{port}"
        server.mon.register_data_packet()  # before the first report, which may come at once
        async with serving(server):
            await until(lambda: monitor.poll(0))
            first = decode(monitor.recv_multipart())
            server.cmd_pause()
            states: list[str] = ["running"]
            while states[-1] != "paused":
                await until(lambda: monitor.poll(0))
                states.append(decode(monitor.recv_multipart()).header["state"])
        while "stopping" not in states:
            await until(lambda: monitor.poll(0))
            states.append(decode(monitor.recv_multipart()).header["state"])
    assert (first.component, first.header["name"], first.header["data_packets"]) == ("UdpRelay", "XX.DEMO.UdpRelay", 1)


async def test_a_monitor_that_is_away_or_does_not_read_costs_nothing(context: Any) -> None:
    reports = iter(range(10_000))
    with context.socket(zmq.PULL) as monitor:
        monitor.rcvhwm = 1
        port = monitor.bind_to_random_port("tcp://127.0.0.1")
        monitor.unbind(f"tcp://127.0.0.1:{port}")
        pushing = MonitorSender(f"tcp://127.0.0.1:{port}", logging.getLogger("rawdaq.test"))
        await pushing._open(context)
        try:
            for _ in range(100):
                pushing._send({"name": "T", "n": next(reports)}, "T")
            assert pushing.dropped == 100  # nobody is there
            await until(lambda: is_bound(monitor, f"tcp://127.0.0.1:{port}"))

            async def connected() -> None:
                while not pushing._has_peer:
                    pushing._monitor.check()
                    await asyncio.sleep(0.01)

            async with asyncio.timeout(30):
                await connected()
            text = "x" * 100_000  # so that the system's buffers do not hold many
            for _ in range(1000):
                pushing._send({"name": "T", "n": next(reports), "text": text}, "T")
            assert 1000 - pushing.dropped + 100 < 1000
            assert pushing.dropped > 100 + MAX_WAITING
        finally:
            await pushing._monitor.aclose()
