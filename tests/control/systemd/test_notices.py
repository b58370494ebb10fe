"""A component that a service manager runs tells it when it runs, how it is, and that it stops."""

from pathlib import Path

import pytest

from rawdaq.process.runtime_files import RuntimeFiles
from tests import forks
from tests.process.systemd.managers import manager


def test_a_component_in_the_foreground_tells_its_manager(
    runtime: RuntimeFiles, station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with manager() as listening:
        monkeypatch.setenv("NOTIFY_SOCKET", listening.address)
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        with forks.start_cli(["control-rawdaq", "start", "Main", "--foreground", "--log-format", "json"]) as process:
            listening.wait_for("READY=1")
            assert listening.wait_for("STATUS=Main: running") == "STATUS=Main: running, 0 streams"
            assert listening.wait_for("WATCHDOG=1")
            process.terminate()
            listening.wait_for("STOPPING=1")
            _, lines = process.communicate()
    assert process.returncode == 0
    assert all(line.startswith('{"time": ') for line in lines.splitlines())
    assert '"message": "Main is running"' in lines


def test_a_component_that_cannot_start_is_never_ready(
    runtime: RuntimeFiles, station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.write_text(station.read_text().replace("OutsideReceiver", "OutsideReceiver, trouble: refuse"))
    with manager() as listening:
        monkeypatch.setenv("NOTIFY_SOCKET", listening.address)
        done = forks.run_cli(["control-rawdaq", "start", "Main", "--foreground"])
        heard = listening.take()
    assert done.returncode == 1
    assert "READY=1" not in heard
    assert heard[-1] == "STOPPING=1"


def test_in_the_background_the_form_of_lines_is_that_of_the_station_file(runtime: RuntimeFiles, station: Path) -> None:
    done = forks.run_cli(["control-rawdaq", "start", "Main", "--log-format", "json"])
    assert done.returncode == 2
    assert "--log-format needs --foreground; in the background Daemon.log_format says it." in done.stderr
    station.write_text(f"{station.read_text()}  Daemon: {{log_format: json}}\n")
    assert forks.run_cli(["control-rawdaq", "start", "Main"]).returncode == 0
    shown = forks.run_cli(["control-rawdaq", "logs", "Main"]).stdout
    assert '"message": "Main is running"}' in shown
