"""The package beside rawdaq: the station file of its README is right, and its formats are found and used."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from chec_tests.conftest import FOLDER
from chec_tests.test_slow_signal import encode
from chec_tests.test_timestamp import EXAMPLE as BUNCH
from chec_tests.test_timestamp import TIME_NS
from chec_tests.test_trigger import EXAMPLE as TRIGGER
from rawdaq import config
from rawdaq.control.setup.ssdaq import convert
from rawdaq.receivers import ReadoutAssembler, TimestampReceiver, TriggerReceiver
from rawdaq_chec.slow_signal import CHANNELS
from tests.event_receivers import problems, receiving, send_datagrams
from tests.helpers import until

pytestmark = pytest.mark.usefixtures("_installed")


def test_the_station_file_of_the_readme_is_right(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    (tmp_path / "station.yaml").write_text(text)
    station = config.load(tmp_path / "station.yaml")
    assert [component.name for component in station.components] == [
        "Triggers",
        "Clock",
        "SlowSignal",
        "Logs",
        "Monitor",
    ]


def test_a_configuration_of_ssdaq_becomes_a_station_file_that_is_right(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "Roa": {
            "Receiver": {"class": "ReadoutAssembler", "listen_port": 17000, "readout_tw": 5.1e7, "buffer_time": 2e9},
            "Publishers": {"live": {"class": "ZMQTCPPublisher", "ip": "127.0.0.101", "port": 9004, "mode": "local"}},
        },
        "Trig": {"Receiver": {"class": "TriggerPacketReceiver", "ip": "0.0.0.0", "port": 8307}},
        "Clock": {"Receiver": {"class": "TimestampReceiver", "ip": "192.0.2.9", "port": 6666}},
        "Log": {"Receiver": {"class": "LogReceiver", "ip": "127.0.0.101", "port": 10001}},
        "Mon": {"Receiver": {"class": "MonitorReceiver", "ip": "127.0.0.101", "port": 10002}},
        "Slow": {"Writer": {"class": "SlowSignalWriter", "ip": "127.0.0.101", "port": 9004, "filesize_lim": 600}},
        "Logs": {"Writer": {"class": "LogWriter", "file_enumerator": "date", "ip": "127.0.0.101", "port": 9001}},
    }
    text, _ = convert(given, config.StationSettings(network="XX", code="CAM"))
    (tmp_path / "station.yaml").write_text(text)
    assert [each.name for each in config.load(tmp_path / "station.yaml").components] == list(given)


def test_a_format_for_datagrams_cannot_be_used_on_a_stream() -> None:
    found = problems(TriggerReceiver, port=1, transport="tcp", format="chec_trigger")
    assert found.startswith("ChecTrigger reads messages; it cannot find them in a byte stream")


async def test_trigger_packets_are_events() -> None:
    async with receiving(TriggerReceiver, port=0, format="chec_trigger") as (receiver, keeper):
        send_datagrams(receiver, TRIGGER, TRIGGER[:-1], b"\0" * 100, TRIGGER)
        await until(lambda: len(keeper.messages) == 2)
        table = receiver.cmd_sources()["127.0.0.1"]
    assert [each["fields"]["union"] for each in keeper.headers] == [[0, 9]] * 2
    assert bytes(keeper.messages[0].payload) == TRIGGER
    assert table == {"events": 2, "missed": 0, "backwards": 1, "malformed": 1, "foreign": 1, "odd_phases": 0}


async def test_timestamps_are_events_with_the_quality_of_the_clock() -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as board:
        board.linger = 1000
        port = board.bind_to_random_port("tcp://127.0.0.1")
        options: dict[str, Any] = {"endpoints": [f"tcp://127.0.0.1:{port}"], "pattern": "pull"}
        async with receiving(TimestampReceiver, format="chec_timestamp", **options) as (receiver, keeper):
            board.send(BUNCH)
            await until(lambda: keeper.messages)
            status = receiver.receiver_status()
    (header,) = keeper.headers
    assert (header["time_ns"], header["quality"], header["counter"]) == (TIME_NS, 100, 41)
    assert header["clock_offset_ns"] == header["received_ns"] - TIME_NS
    assert status["clock_quality"] == 100


async def test_slow_signals_become_readouts() -> None:
    options: dict[str, Any] = {"ip": "127.0.0.1", "port": 0, "format": "slow_signal", "window_s": 0.01}
    slots = {"by": "octet", "first": 1, "count": 2}
    async with receiving(ReadoutAssembler, slots=slots, **options) as (receiver, keeper):
        for number in range(3):
            codes = [0x8000 + number] * CHANNELS
            for source in ("127.0.0.1", "127.0.0.2"):
                send_datagrams(receiver, encode([(10**9 + number * 10**8, codes)]), source=source)
        await until(lambda: len(keeper.messages) == 3)
    first, _, last = keeper.messages
    assert (first.header["time_ns"], list(first.header["slots"]), first.header["unit"]) == (10**9, [0, 1], "mV")
    values = np.frombuffer(last.payload, "<f4")
    assert values.shape == (2 * CHANNELS,)
    assert values == pytest.approx(2 * 0.0763)
