"""rawdaq-plugin: what its command line means, and what its process does around the components."""

import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rawdaq.control.plugin import command as plugin
from rawdaq.control.plugin import component as plugin_component
from rawdaq.control.plugin import process as plugin_process
from rawdaq.control.processes.main import Member, Process
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.process import log
from rawdaq.process.runtime_files import RuntimeFiles
from tests import forks
from tests.helpers import DEADLINE_S, environment
from tests.seedlink_server import short, write_station

# ------------------------------------------------------------------ the command line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "missing -s -p -c -m"),
        (["-s", "h", "-p", "1", "-c", "XX.DEMO"], "missing -m"),
        (["-x"], "No such option"),
        (["-s"], "requires an argument"),
        (["a", "b"], "unexpected extra argument"),
        (short(0), "0 is not in the range"),
        (short(70_000), "70000 is not in the range"),
        (["-s", "h", "-p", "five", "-c", "XX.DEMO", "-m", ".HHZ:1"], "'five' is not a valid integer"),
        (short(1, "-r", "-1"), "-1.0 is not in the range"),
        (short(1, "-e", "ASCII"), "-e ASCII is not one of STEIM1, STEIM2, INT16"),
        (short(1, channels="HHZ:1"), "'HHZ:1' is not LOC.CHA:id"),
        (short(1, channels="1:HHZ"), "'1:HHZ' is not LOC.CHA:id"),
        (short(1, channels=".HHZ:1,,.HHN:2"), "'' is not LOC.CHA:id"),
        (short(1, channels=".HHZ:1,.HHN:1"), "channel 1 is there twice: .HHZ and .HHN:1"),
        (short(1, channels=".HHZ:1,.HHZ:2"), "two channels cannot be one stream"),
        (short(1, channels=".HH:1"), "channel 'HH' is not 3 characters"),
        (short(1, channels="000.HHZ:1"), "no room for location 000"),
        (short(1, channels=".HHZ:99999999999"), "less than or equal to 4294967295"),
        (["-s", "h", "-p", "1", "-c", "DEMO", "-m", ".HHZ:1"], "station 'DEMO' is not NET.STA"),
        (["-s", "h", "-p", "1", "-c", "XX.de mo", "-m", ".HHZ:1"], "station 'de mo' is not"),
        (["-s", "h", "-p", "1", "-c", "XX.A.B", "-m", ".HHZ:1"], "station 'A.B' is not"),
        (["-s", "h", "-p", "1", "-c", "XX.STATION", "-m", ".HHZ:1"], "no room for station STATION"),
        (["--component", "One"], "add --config"),
        (["--config", "x.yaml", "-s", "h", "-e", "INT32"], "leave out -s -e"),
        (["--config", "/nowhere/x.yaml"], "/nowhere/x.yaml: cannot be read"),
        (short(1, "--log-level", "LOUD"), "'LOUD' is not one of"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(
    words: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert plugin.run(words) == 2
    out, err = capfd.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("rawdaq-plugin: ")
    assert said in err


def test_a_component_that_a_station_file_does_not_have_is_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write_station(tmp_path, 5, second="Quiet:\n  Receiver: {class: RawReceiver, channels: {1: HHZ}}\n")
    assert plugin.run(["--config", str(file), "--component", "one"]) == 2
    assert "no component 'one'; did you mean 'One'? known: One, Quiet" in capfd.readouterr().err
    assert plugin.run(["--config", str(file), "--component", "Quiet"]) == 2
    assert "no publisher of Quiet writes to the server; add" in capfd.readouterr().err
    names = [component.name for component in plugin_component.from_file(file, [])]
    assert names == ["One", "Quiet"]
    file.write_text("station: 5\nprot: 7")
    assert plugin.run(["--config", str(file)]) == 2
    err = capfd.readouterr().err
    assert all(line.startswith(f"rawdaq-plugin: {file}:") for line in err.splitlines())


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The calls of `plugin_process.run`, which does nothing."""
    calls: list[tuple[Any, ...]] = []

    def run(*args: Any, **more: Any) -> int:
        calls.append((*args, more))
        return 0

    monkeypatch.setattr(plugin_process, "run", run)
    return calls


@pytest.mark.parametrize("encoding", ["STEIM1", "STEIM2", "INT16", "INT32", "FLOAT32", "FLOAT64", "steim1"])
def test_each_encoding_of_the_cpp_plugin_is_one_of_ours(encoding: str, ran: list[tuple[Any, ...]]) -> None:
    assert plugin.run([*short(1, "-e", encoding), "raw.1"]) == 0
    [([component], level, more)] = ran
    assert (level, more) == (None, {"to_system_log": False, "may_run_twice": True})
    assert component.key == "XX.DEMO.seedlink-raw-1"
    assert component.publishers[0].options["encoding"] == encoding.lower()


def test_the_options_become_those_of_a_station_file(ran: list[tuple[Any, ...]]) -> None:
    assert plugin.run([*short(7, "-r", "60", "-D", "--log-level", "DEBUG", channels=".HHZ:1,10.HHN:2")]) == 0
    assert plugin.run(["-sh", "-p9", "-cXX.DEMO", "-m.HHZ:1", "--flush-after", "0"]) == 0
    ([first], level, more), ([second], _, _) = ran
    assert (level, more) == ("DEBUG", {"to_system_log": True, "may_run_twice": True})
    assert first.key == "XX.DEMO.seedlink"
    said = first.receiver.options
    assert (said["host"], said["port"], said["channels"]) == ("127.0.0.1", 7, {1: ".HHZ", 2: "10.HHN"})
    assert (said["reconnect_first_s"], said["reconnect_max_s"]) == (60.0, 60.0)
    assert first.daemon.stop_timeout_s == plugin_component.STOP_TIMEOUT_S < 10 / 2  # to deliver, then to close
    assert first.publishers[0].options["encoding"] == "steim2"
    assert first.publishers[0].options["flush_after_s"] == 1.0
    assert second.receiver.options["reconnect_max_s"] > second.receiver.options["reconnect_first_s"]
    assert second.publishers[0].options["flush_each_packet"] is True


def test_help_loads_nothing_that_is_slow() -> None:
    code = (
        "import sys; from rawdaq.control.plugin.command import run; status = run(['--help']); "
        "print(*{'zmq', 'pydantic', 'yaml', 'pymseed', 'asyncio'} & set(sys.modules)); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: rawdaq-plugin")
    assert done.stdout.splitlines()[-1] == ""


def test_a_broken_installation_is_status_1(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise ComponentError("reinstall it")

    monkeypatch.setattr(plugin_component, "from_file", fail)
    assert plugin.run(["--config", "x"]) == 1
    assert capfd.readouterr().err == "rawdaq-plugin: reinstall it\n"


def test_the_program_ends_with_the_status(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["rawdaq-plugin", "-x"])
    with pytest.raises(SystemExit) as caught:
        plugin.main()
    assert caught.value.code == 2
    assert capfd.readouterr().err


def test_an_entry_that_is_no_number_of_a_channel_is_refused() -> None:
    with pytest.raises(InvalidValue, match="is not LOC"):
        plugin_component.parse_map(".HHZ:٣")


# ------------------------------------------------------------------ the process


@pytest.fixture
def components(tmp_path: Path, runtime_dir: Path) -> list[Any]:
    second = "  Daemon: {log_level: WARNING, stop_timeout_s: 3}\nTwo:\n"
    second += "  Receiver: {class: RawReceiver, channels: {1: HHN}}\n  Daemon: {log_level: DEBUG, stop_timeout_s: 20}\n"
    return plugin_component.from_file(write_station(tmp_path, 5, second=second), [])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Process, Sequence[Member]]]:
    """The processes that were run, with their members; nothing happens in them, and logging stays as it is."""
    calls: list[tuple[Process, Sequence[Member]]] = []

    def run(process: Process, members: Sequence[Member]) -> int:
        calls.append((process, members))
        return 0

    def configure(*_: object, **__: object) -> None:
        """Leave logging as it is."""

    monkeypatch.setattr(Process, "run", run)
    monkeypatch.setattr(log, "configure", configure)
    return calls


def test_no_component_takes_longer_to_stop_than_the_server_waits(
    components: list[Any], started: list[tuple[Process, Sequence[Member]]]
) -> None:
    assert plugin_process.run(components) == 0
    [(process, members)] = started
    assert [member.load().daemon.stop_timeout_s for member in members] == [3, 4]
    assert [member.key for member in members] == ["XX.DEMO.One", "XX.DEMO.Two"]
    assert process.log_level == "DEBUG", "the lowest that a component asks for"


def test_the_cores_of_all_components_are_those_of_the_process(
    components: list[Any], started: list[tuple[Process, Sequence[Member]]]
) -> None:
    daemon = components[0].daemon
    bound = [
        replace(component, daemon=daemon.model_copy(update={"core_id": core}))
        for component, core in zip([*components, components[0]], [1, 3, None], strict=True)
    ]
    assert plugin_process.run(bound) == 0
    assert started[0][0].core_ids == {1, 3}


def test_what_ends_it_is_in_the_log_and_the_status_is_1(components: list[Any]) -> None:
    done = forks.run(lambda: plugin_process.run(components))
    assert done.returncode == 1
    assert " ERROR rawdaq.process publisher seedlink: descriptor 63 is not open; let seedlink" in done.stderr
    assert "Two has stopped" in done.stderr, "with the other one"


def test_a_component_that_runs_already_runs_here_without_commands(
    components: list[Any], runtime_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RuntimeFiles.find() as runtime:
        process = Process(runtime, needs_commands=False, may_run_twice=True)
        with process.hold(components[0]) as address, process.hold(components[0]) as none:
            assert address == runtime.command_address("XX.DEMO.One")
            assert none is None
    assert "control-rawdaq cannot talk to XX.DEMO.One: XX.DEMO.One is already running" in caplog.text


def test_it_logs_to_the_systems_log_when_asked(
    components: list[Any], monkeypatch: pytest.MonkeyPatch, runtime_dir: Path
) -> None:
    address = str(runtime_dir.parent / "log")
    monkeypatch.setattr(log, "SYSTEM_LOGS", ("/nowhere/log", address))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system:
        system.bind(address)
        system.settimeout(DEADLINE_S)
        done = forks.run(lambda: plugin_process.run(components[:1], to_system_log=True))
        assert (done.returncode, done.stderr) == (1, "")
        line = system.recv(1000)
    assert re.match(rb"<13[0-7]>rawdaq\[\d+\]: ", line)
    assert b" rawdaq." in line


def test_without_a_system_log_it_logs_to_standard_error(components: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SYSTEM_LOGS", ("/nowhere/log",))
    done = forks.run(lambda: plugin_process.run(components[:1], to_system_log=True))
    assert "this system has no log at /nowhere/log" in done.stderr
