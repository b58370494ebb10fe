"""``control-rawdaq reload`` and SIGHUP under a service manager: publishers change, the connection and the data stay."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import numpy as np
import obspy
import pytest

from rawdaq.errors import CommandError
from rawdaq.process.commands import Commanded
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.times import NS_PER_S, from_iso
from tests import forks, outside
from tests.control.cli_words import Said
from tests.fake_device import Described, Session, device, wire
from tests.helpers import wait_for
from tests.process.systemd.managers import manager

RECEIVER = """\
station: {{network: XX, code: RAW}}
Main:
  Receiver: {{class: RawReceiver, port: {port}, channels: {{1: HHZ}}}}
"""
START_NS = from_iso("2026-11-21T00:00:00Z")


class Playing:
    """A device that sends a packet whenever it is told to.

    Attributes:
        connections: how many there were.
        sent: how many packets.
    """

    def __init__(self) -> None:
        self.connections = self.sent = 0
        self.wanted = 0

    async def play(self, session: Session) -> None:
        self.connections += 1
        await session.handshake({1: Described()})
        while True:
            while self.sent < self.wanted:
                data = np.arange(self.sent * 100, (self.sent + 1) * 100, dtype="<i4").tobytes()
                await session.send(wire(1, START_NS + self.sent * NS_PER_S, data, 100))
                self.sent += 1
            await asyncio.sleep(0.001)


def samples(folder: Path) -> list[int]:
    """Return the samples of an archive, in order."""
    found: list[int] = []
    for path in sorted(folder.rglob("*.D.*")):
        for trace in obspy.read(str(path)):
            found += trace.data.tolist()
    return sorted(found)


def test_publishers_change_while_the_device_sends_and_nothing_is_lost(
    runtime: RuntimeFiles, tmp_path: Path, said: Said
) -> None:
    playing, file = Playing(), tmp_path / "raw.yaml"
    stays = "    stays: {class: MiniSeedPublisher, path: stays}\n"
    with device(playing.play) as port:
        head = f"{RECEIVER.format(port=port)}  Publishers:\n{stays}"
        file.write_text(f"{head}    moves: {{class: MiniSeedPublisher, path: one}}\n")
        assert said.run("-c", str(file), "start", "Main")[0] == 0
        playing.wanted = 50
        wait_for(lambda: playing.sent == 50)
        file.write_text(
            f"{head}    moves: {{class: MiniSeedPublisher, path: two}}\n"
            "    new: {class: ZMQTCPPublisher, ip: 127.0.0.1, port: 0}\n"
        )
        playing.wanted = 3000
        status, out, err = said.run("-c", str(file), "reload", "Main")
        assert (status, out, err) == (0, "RAW/Main: added new; changed moves\n", "")
        playing.wanted += 100
        wait_for(lambda: playing.sent == playing.wanted)
        shown = json.loads(said.run("-c", str(file), "status", "--json", "Main")[1])
        assert said.run("-c", str(file), "stop", "Main")[0] == 0
    assert list(shown[0]["publishers"]) == ["stays", "moves", "new"]
    everything = list(range(playing.sent * 100))
    assert playing.connections == 1
    assert samples(tmp_path / "stays") == everything
    assert sorted(samples(tmp_path / "one") + samples(tmp_path / "two")) == everything
    assert samples(tmp_path / "two")


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("Outside", "Outsite", "Main.Publishers.nowhere.class: no publisher is called 'OutsitePublisher'"),
        ("{class: OutsideReceiver}", "{class: OutsideReceiver, port: 9001}", "nothing is changed: receiver cannot be"),
        ("code: OUT", "code: OUR", "has no component XX.OUT.Main any more"),
        ("  Publishers", "  Daemon: {core_id: 0}\n  Publishers", "nothing is changed: daemon.core_id cannot be"),
        ("class: OutsidePublisher", "class: OutsidePublisher, strange: 1", "nowhere.strange: unknown key"),
    ],
)
def test_a_file_that_is_wrong_or_needs_a_restart_changes_nothing(
    station: Path, said: Said, before: str, after: str, reason: str
) -> None:
    assert said.run("start", "Main")[0] == 0
    text = outside.STATION
    where = text.rfind(before) if before.startswith("Outside") else text.find(before)
    station.write_text(text[:where] + after + text[where + len(before) :])
    status, _, err = said.run("reload", "XX.OUT.Main")
    assert status == 1
    assert reason in err
    station.write_text(text)
    assert said.run("reload", "Main") == (0, "OUT/Main: nothing to change\n", "")
    assert "was changed" not in said.run("doctor", "Main")[1], "what it has is what the file says"


def test_a_publisher_that_cannot_deliver_is_told(station: Path, said: Said) -> None:
    assert said.run("start", "Main")[0] == 0
    with socket.create_server(("127.0.0.1", 0)) as other:
        new = f"    new: {{class: ZMQTCPPublisher, ip: 127.0.0.1, port: {other.getsockname()[1]}}}\n"
        station.write_text(outside.STATION.replace("  Publishers:\n", f"  Publishers:\n{new}"))
        status, out, err = said.run("reload", "Main")
    assert (status, out) == (0, "OUT/Main: added new\n")
    assert "warning: XX.OUT.Main: new is paused: cannot listen on tcp://127.0.0.1" in err


def test_what_does_not_run_is_not_reloaded(station: Path, said: Said) -> None:
    status, _, err = said.run("reload", "Main")
    assert (status, err) == (1, "control-rawdaq: OUT/Main is not running; start it: control-rawdaq start OUT/Main\n")


def test_levels_and_forms_of_the_log_and_the_time_of_a_stop_change_too(station: Path, said: Said) -> None:
    assert said.run("start", "Main")[0] == 0
    station.write_text(f"{outside.STATION}  Daemon: {{log_level: DEBUG, log_format: json, stop_timeout_s: 3}}\n")
    assert said.run("reload", "Main")[0] == 0
    assert said.run("send", "Main", "log_level") == (0, "DEBUG\n", "")
    assert said.run("send", "Main", "log", "in JSON")[0] == 0
    _, out, _ = said.run("logs", "Main", "-n", "1")
    assert json.loads(out)["message"] == "in JSON"


def test_a_hangup_from_a_service_manager_is_a_reload(
    runtime: RuntimeFiles, station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with manager() as listening:
        monkeypatch.setenv("NOTIFY_SOCKET", listening.address)
        with forks.start_cli(["control-rawdaq", "start", "Main", "--foreground"]) as process:
            listening.wait_for("READY=1")
            listening.heard.clear()
            station.write_text(outside.STATION.replace("nowhere", "elsewhere"))
            os.kill(process.pid, signal.SIGHUP)
            listening.wait_for("RELOADING=1")
            listening.wait_for("READY=1")
            listening.heard.clear()
            station.write_text("station: {")
            os.kill(process.pid, signal.SIGHUP)
            listening.wait_for("RELOADING=1")
            listening.wait_for("READY=1")
            assert process.poll() is None
            process.terminate()
            _, err = process.communicate()
    assert process.returncode == 0
    assert "Main: reloaded: added: elsewhere; removed: nowhere" in err
    assert "Main is not reloaded: " in err


def test_a_component_without_a_station_file_says_that_it_cannot() -> None:
    with pytest.raises(CommandError, match="it was not started from a station file"):
        asyncio.run(Commanded().cmd_reload())
