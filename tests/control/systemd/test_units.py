"""Units of systemd: what they say, what systemd itself says of them, and what ``install`` and ``uninstall`` do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.control.systemd import manager, units
from rawdaq.control.systemd.folders import writable
from rawdaq.control.systemd.units import Setup
from rawdaq.process.runtime_files import RuntimeFiles
from tests.control.cli_words import Said

STATION = """\
station: {network: XX, code: A}
Main:
  Receiver: {class: RawReceiver, channels: {1: HHZ}, capture: device.capture}
  Journal: {path: /srv/none/journal}
  Publishers:
    archive: {class: MiniSeedPublisher, path: archive}
    live: {class: ZMQPublisher, bind: "ipc:///srv/live.sock"}
  Daemon: {stop_timeout_s: 30}
Other:
  Receiver: {class: RawReceiver, channels: {1: HHZ}, port: 1000}
"""

FAKE = """\
#!/bin/sh
echo "$@" >> {folder}/calls
case "$*" in
  *--version*) echo "systemd 255 (255.4)" ;;
  *is-active*) exit 3 ;;
  *{refused}*) echo "Failed: no" >&2; exit 1 ;;
esac
"""

UNIT = "rawdaq@XX.A.Main.service"


@pytest.fixture
def file(tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "station.yaml"
    made.write_text(STATION)
    monkeypatch.setenv("RAWDAQ_CONFIG", str(made))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return made


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return what puts a systemctl in place that notes its calls, and refuses those with a word."""

    def put(refused: str = "nothing", is_booted: bool = True) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "systemctl").write_text(FAKE.format(folder=folder, refused=refused))
        (folder / "systemctl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(manager, "_BOOTED", folder if is_booted else folder / "none")
        return folder / "calls"

    return put


def setup(*, is_user: bool = False, run_as: str | None = None, version: int = 252) -> Setup:
    python, state = Path(sys.executable), (Path("/run/rawdaq"), Path("/var/log/rawdaq"))
    return Setup(python, Path("/etc/my stations"), is_user, run_as, state, {}, version)


def verify(folder: Path, texts: dict[Path, str]) -> str:
    """Return what systemd says of units, which is nothing when they are good."""
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is missing, which checks the units: install the package systemd (.ci/run does)"
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"}
    command = [program, "verify", "--man=no", str(folder / UNIT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in done.stderr.splitlines() if "rawdaq@" in line]
    return "\n".join(lines) or (f"status {done.returncode}: {done.stderr}" if done.returncode else "")


@pytest.mark.parametrize(
    "made", [setup(), setup(run_as="daemon"), setup(is_user=True)], ids=["root", "a user of the system", "own manager"]
)
def test_systemd_finds_nothing_wrong_with_the_units(made: Setup, file: Path, tmp_path: Path) -> None:
    components = config.load(file).components
    assert verify(tmp_path / "units", units.files(components, made)) == ""


def test_systemd_would_find_what_is_wrong(file: Path, tmp_path: Path) -> None:
    texts = units.files(config.load(file).components, setup())
    texts[Path(units.TEMPLATE)] = texts[Path(units.TEMPLATE)].replace("WatchdogSec=60", "WatchdogSec=often")
    assert "Failed to parse sec value" in verify(tmp_path / "units", texts)


def test_a_unit_may_write_where_its_station_file_says_and_nowhere_else(file: Path, tmp_path: Path) -> None:
    main, other = config.load(file).components
    assert writable(main) == [tmp_path, Path("/srv")]
    assert writable(other) == []
    text = units.drop_in(main, setup())
    assert 'Environment="RAWDAQ_CONFIG=/etc/my stations"\n' in text
    assert "TimeoutStopSec=75\n" in text
    assert "ReadWritePaths=-/srv\n" in text
    assert "ReadWritePaths=-/run/rawdaq\n" in text
    assert "ProtectSystem=strict\n" in units.template(setup())


def test_a_failed_component_is_started_again_after_longer_and_longer_pauses() -> None:
    newer, older = units.template(setup(version=254)), units.template(setup(version=252))
    assert "RestartSec=1\nRestartSteps=6\nRestartMaxDelaySec=60\n" in newer
    assert "RestartSec=10\n" in older
    assert "RestartSteps" not in older
    for text in (newer, older):
        assert "Restart=on-failure\n" in text
        assert "StartLimitIntervalSec=0\n" in text
        assert "Type=notify\n" in text


def test_install_writes_enables_and_starts_and_uninstall_takes_back(
    file: Path, said: Said, systemctl: Callable[..., Path], tmp_path: Path
) -> None:
    calls, folder = systemctl("nothing"), tmp_path / "config/systemd/user"
    status, out, err = said.run("systemd", "install", "--user")
    assert (status, err) == (0, "")
    assert f"{UNIT} runs, now and after every boot" in out
    assert "loginctl enable-linger" in out
    both = f"{UNIT} rawdaq@XX.A.Other.service"
    assert calls.read_text().splitlines() == [
        "--user --version",
        "--user daemon-reload",
        f"--user enable {both}",
        f"--user restart {both}",
    ]
    assert "RestartSteps" in (folder / units.TEMPLATE).read_text()
    (folder / f"{UNIT}.d" / "own.conf").write_text("[Service]\n")
    _, printed, _ = said.run("systemd", "print", "--user", "Main")
    assert (folder / f"{UNIT}.d" / "rawdaq.conf").read_text() in printed
    calls.unlink()
    assert said.run("systemd", "uninstall", "--user", "A/Main")[0] == 0
    assert calls.read_text().splitlines() == [f"--user disable --now {UNIT}", "--user daemon-reload"]
    assert sorted(path.name for path in folder.rglob("*.*")) == [
        "own.conf",
        "rawdaq.conf",
        "rawdaq@.service",
        "rawdaq@XX.A.Main.service.d",
        "rawdaq@XX.A.Other.service.d",
    ]
    assert said.run("systemd", "uninstall", "--user") == (0, "rawdaq@XX.A.Other.service is removed\n", "")
    assert not (folder / units.TEMPLATE).exists()
    status, _, err = said.run("systemd", "uninstall", "--user")
    assert (status, "has no units of rawdaq" in err) == (1, True)


def test_no_start_leaves_it_to_the_next_boot(file: Path, said: Said, systemctl: Callable[..., Path]) -> None:
    calls = systemctl("nothing")
    status, out, _ = said.run("systemd", "install", "--user", "--no-start", "Main")
    assert (status, f"{UNIT} starts at the next boot" in out) == (0, True)
    assert "restart" not in calls.read_text()


def test_where_systemd_does_not_run_components_are_enabled_for_the_next_boot(
    file: Path, said: Said, systemctl: Callable[..., Path]
) -> None:
    calls = systemctl(is_booted=False)
    status, _, err = said.run("systemd", "install", "--user", "Main")
    assert (status, "systemd does not run here; --no-start lets components start" in err) == (1, True)
    assert said.run("systemd", "install", "--user", "--no-start", "Main")[0] == 0
    assert said.run("systemd", "uninstall", "--user", "Main")[0] == 0
    assert [line for line in calls.read_text().splitlines() if "version" not in line] == [
        f"--user enable {UNIT}",
        f"--user disable {UNIT}",
    ]


def test_what_systemd_refuses_is_told_with_its_reason(file: Path, said: Said, systemctl: Callable[..., Path]) -> None:
    systemctl("enable")
    status, _, err = said.run("systemd", "install", "--user", "Main")
    assert status == 1
    assert "not all that follows was done" in err
    assert f"systemctl --user enable {UNIT}: Failed: no" in err


def test_a_component_that_runs_already_is_not_started_a_second_time(
    station: Path, runtime: RuntimeFiles, said: Said, systemctl: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl("nothing")
    assert said.run("start", "Main")[0] == 0
    status, _, err = said.run("systemd", "install", "--user", "Main")
    assert (status, "XX.OUT.Main runs already (pid " in err) == (1, True)
    assert "stop it first: control-rawdaq stop XX.OUT.Main" in err


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["install", "--user", "--run-as", "nobody"], 2, "--run-as is for the system's"),
        (["install", "--run-as", "no such user"], 2, "there is no user 'no such user'; make one: useradd"),
        (["install", "--user", "Nobody"], 2, "no component is called 'Nobody'"),
        (["print", "-c", "/does/not/exist.yaml"], 2, "does not exist"),
    ],
)
def test_wrong_words_change_nothing(
    file: Path, said: Said, systemctl: Callable[..., Path], words: list[str], status: int, reason: str, tmp_path: Path
) -> None:
    systemctl("nothing")
    found, _, err = said.run("systemd", *words)
    assert (found, reason in err) == (status, True), err
    assert not (tmp_path / "config/systemd").exists()


def test_the_packaged_demo_is_no_station_to_start_at_boot(
    file: Path, said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAWDAQ_CONFIG")
    status, _, err = said.run("systemd", "print")
    assert (status, "There is no station file to start at boot" in err) == (2, True)


def test_without_systemd_that_is_said(file: Path, said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, out, _ = said.run("systemd", "print", "Main")
    assert (status, "RestartSec=10" in out) == (0, True)
    status, _, err = said.run("systemd", "install", "--user", "--no-start", "Main")
    assert (status, "systemctl is not there: this machine is not run by systemd" in err) == (1, True)
