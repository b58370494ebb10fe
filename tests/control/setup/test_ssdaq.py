"""A configuration of ssdaq becomes a station file, and what it cannot become is told."""

from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.yaml_values import read
from tests.control.cli_words import Said

SSDAQ = """
ReadoutAssembler:
  Daemon: {stdout: /var/log/roa, set_taskset: true, core_id: 1, log_level: logging.DEBUG}
  Receiver:
    class: ReadoutAssembler
    listen_ip: 0.0.0.0
    listen_port: 17000
    readout_tw: 5.1e+7
    buffer_time: 2000000000
    buffer_length: 1000
    relaxed_ip_range: true
    packet_debug_stream_file: null
    speed: 5
  Publishers:
    Local: {class: ZMQTCPPublisher, ip: 127.0.0.101, port: 9004, mode: local}
    Dump: {class: RawWriter, file_name: dump.raw}
    Other: {class: OtherPublisher}
Triggers:
  Receiver: {class: TriggerPacketReceiver, ip: 0.0.0.0, port: 8307}
  Publishers: {Local: {class: ZMQTCPPublisher, ip: 127.0.0.101, port: 9002}}
Clock:
  Receiver: {class: TimestampReceiver, ip: 192.0.2.9, port: 6666}
Log:
  Receiver: {class: LogReceiver, ip: 127.0.0.101, port: 10001}
Mon:
  Receiver: {class: MonitorReceiver, ip: 127.0.0.101, port: 10002}
Telescope:
  Receiver: {class: TelDataReceiver}
Strange:
  Receiver: {class: StrangeReceiver}
Slow:
  Writer: {class: SlowSignalWriter, file_prefix: SS, file_enumerator: order, folder: /data, ip: 127.0.0.101, port: 9004,
    filesize_lim: 600}
TriggerWriter:
  Writer: {class: TriggerWriter, file_prefix: T, file_enumerator: None, folder: /data, ip: 127.0.0.101, port: 9002}
"""


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.chdir(tmp_path)
    return Said(capsys)


def test_what_has_a_counterpart_is_taken_over_and_the_rest_is_told(said: Said) -> None:
    Path("ssdaq.yaml").write_text(SSDAQ)
    status, out, err = said.run("import-ssdaq", "ssdaq.yaml", "XX.CAM")
    assert (status, out.startswith("XX.CAM.yaml is written. ")) == (0, True)
    document = read(Path("XX.CAM.yaml"))
    assert document.problems == []
    made: dict[str, Any] = document.root
    assert list(made) == ["station", "ReadoutAssembler", "Triggers", "Clock", "Log", "Mon", "Slow", "TriggerWriter"]
    assert made["ReadoutAssembler"] == {
        "Receiver": {
            "class": "ReadoutAssembler",
            "ip": "0.0.0.0",
            "port": 17000,
            "format": "slow_signal",
            "values": "float64",
            "slots": {"by": "octet", "first": 100, "count": 32},
            "window_s": 0.051,
            "span_s": 2.0,
            "max_open": 1000,
        },
        "Publishers": {
            "Local": {"class": "ZMQTCPPublisher", "ip": "127.0.0.101", "port": 9004, "mode": "local"},
            "Dump": {"class": "RawWriter", "path": "dump.raw"},
        },
        "Daemon": {"log_level": "DEBUG", "core_id": 1},
    }
    assert made["Triggers"]["Receiver"] == {
        "class": "TriggerReceiver",
        "ip": "0.0.0.0",
        "port": 8307,
        "format": "chec_trigger",
    }
    assert made["Clock"]["Receiver"]["endpoints"] == ["tcp://192.0.2.9:6666"]
    assert [made[name]["Receiver"]["class"] for name in ("Log", "Mon")] == ["ChecLogReceiver", "ChecMonitorReceiver"]
    assert made["Slow"] == {
        "Receiver": {"class": "ZMQReceiver", "endpoints": ["tcp://127.0.0.101:9004"], "messages": ["~readout"]},
        "Publishers": {
            "files": {
                "class": "Hdf5Publisher",
                "path": "/data",
                "prefix": "SS",
                "suffix": "order",
                "rotate_mb": 629.1456,
            }
        },
        "Daemon": {"log_level": "INFO"},
    }
    assert made["TriggerWriter"]["Publishers"]["files"]["suffix"] == "date"
    told = [line.removeprefix("not taken over: ").partition(": ")[0] for line in err.splitlines()]
    assert told == [
        "ReadoutAssembler.Daemon.stdout",
        "ReadoutAssembler.Receiver.slots",
        "ReadoutAssembler.Receiver.relaxed_ip_range",
        "ReadoutAssembler.Publishers.Other.class",
        "ReadoutAssembler.Receiver.speed",
        "Telescope.Receiver.class",
        "Strange.Receiver.class",
        "TriggerWriter.Writer.file_enumerator",
    ]


def test_a_file_that_is_there_is_not_written_over(said: Said) -> None:
    Path("ssdaq.yaml").write_text(SSDAQ)
    Path("XX.CAM.yaml").write_text("mine")
    status, _, err = said.run("import-ssdaq", "ssdaq.yaml", "XX.CAM")
    assert (status, Path("XX.CAM.yaml").read_text()) == (1, "mine")
    assert "is there already" in err


@pytest.mark.parametrize(
    ("text", "station", "status", "reason"),
    [
        ("A: [", "XX.CAM", 1, "s.yaml"),
        ("just words", "XX.CAM", 1, "should be a configuration of components"),
        ("{}", "CAM", 2, "not NET.STA"),
    ],
)
def test_what_is_no_configuration_is_an_error(said: Said, text: str, station: str, status: int, reason: str) -> None:
    Path("s.yaml").write_text(text)
    done, _, err = said.run("import-ssdaq", "s.yaml", station)
    assert (done, reason in err) == (status, True), err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A: 5", "A: is not a block of keys"),
        ("A: {Receiver: 5}", "A.Receiver: is not a block of keys"),
        ("A b: {Receiver: {class: LogReceiver}}", "A b: is no name of a component"),
        ("A: {Writer: {class: X}}", "A.Writer.class: X has no counterpart"),
        ("A: {Receiver: {class: LogReceiver, port: x}}", "A.Receiver.port: 'x' is no number"),
        ("A: {Writer: {class: LogWriter, file_enumerator: hour}}", "A.Writer.file_enumerator: 'hour' is none of"),
        ("A: {Daemon: {log_level: LOUD}, Receiver: {class: LogReceiver}}", "A.Daemon.log_level: 'LOUD' is none of"),
    ],
)
def test_mistakes_are_told_and_never_a_traceback(said: Said, text: str, reason: str) -> None:
    Path("s.yaml").write_text(text)
    status, _, err = said.run("import-ssdaq", "s.yaml", "XX.CAM")
    assert (status, reason in err) == (0, True), err
