"""What README and the pages behind it say is done here as they say it, on free ports and in folders of our own."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tomllib
from dataclasses import replace
from inspect import signature
from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.config import registry
from rawdaq.control import template
from rawdaq.control.dump import command as dump
from rawdaq.protocols.raw import RawPlugin, SampleBlock
from rawdaq.streamer import Streamer
from tests import fake_device, forks, seedlink_server
from tests.helpers import DEADLINE_S, ROOT, command, environment, free_port, wait_for

README = (ROOT / "README.md").read_text(encoding="utf-8")
BEHIND = ("station-file", "commands", "howto/sources", "howto/serve", "howto/seiscomp", "howto/own-package")
PAGES = {name: (ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in BEHIND} | {"README": README}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

# Announces its port, and takes a free one.
ANNOUNCED = """
import rawdaq.streamer

class Streamer(rawdaq.streamer.Streamer):
    def __init__(self, channels):
        super().__init__(channels, port=0)

    def start(self):
        super().start()
        print(self.port, flush=True)

rawdaq.streamer.Streamer = Streamer
"""


def _block(page: str, language: str, holding: str) -> str:
    """Return the one code block of *language* on *page* that has the text *holding*."""
    (found,) = [text for kind, text in _BLOCK.findall(PAGES[page]) if kind == language and holding in text]
    return str(found)


def _wrap(folder: Path, name: str, *options: str) -> None:
    """Write a command *name* that is ours with *options* added: what a test must change stays out of README's text."""
    words = " ".join(f"'{word}'" for word in command(name)).replace(
        f"sys.argv[0] = '{name}'", f'sys.argv[0] = "{name}"'
    )
    script = folder / name
    script.write_text(f'#!/bin/sh\nexec {words} "$@" {" ".join(options)}\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def test_five_minutes_are_as_described(tmp_path: Path, runtime_dir: Path) -> None:
    device_port, live_port = free_port(), free_port()
    text = config.DEMO_FILE.read_text().replace("port: 65535", f"port: {device_port}")
    (tmp_path / "station.yaml").write_text(text.replace("port: 9004", f"port: {live_port}"))
    _wrap(tmp_path, "rawdaq-device", "--port", str(device_port), "--packet-s", "0.2")
    _wrap(tmp_path, "rawdaq-dump", "--connect", f"tcp://127.0.0.1:{live_port}")
    _wrap(tmp_path, "control-rawdaq")
    subscriber = _block("README", "python", "Subscriber").replace("9004", str(live_port))
    before, stop, after = _block("README", "sh", "rawdaq-device &").partition("control-rawdaq stop")
    python = f"{sys.executable} - <<'END'\n{subscriber}END\n"
    script = f"set -eum\ntrap 'kill %1 2>/dev/null || true' EXIT\n{before}{python}{stop}{after}wait %1 || true\n"
    paths = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "RAWDAQ_CONFIG": str(tmp_path / "station.yaml")}
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(paths),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    line = re.sub(r"\d+(\.\d+)?", "N", _block("README", "text", "XX.DEMO").strip())
    shown = [re.sub(r"\d+(\.\d+)?", "N", text) for text in done.stdout.splitlines() if " lat=" in text]
    assert len(shown) == 6
    assert {text.replace("HHN", "HHZ").replace("HHE", "HHZ").replace("lat=-N", "lat=N") for text in shown} == {line}
    assert re.search(r"^XX\.DEMO\.00\.HHZ \d{19} 100\.0 -?\d+$", done.stdout, re.MULTILINE)
    assert len(list((tmp_path / "archive").glob("*/XX/DEMO/HH?.D/XX.DEMO.00.HH?.D.*"))) >= 3


def _first_block(port: str) -> SampleBlock:
    """Return the first samples that a device sends."""
    plugin, blocks = RawPlugin([1]), list[SampleBlock]()
    with socket.create_connection(("127.0.0.1", int(port)), DEADLINE_S) as connection:
        while not blocks:
            connection.sendall(plugin.data_to_send())
            events = plugin.receive_data(connection.recv(65536))
            blocks += [event for event in events if isinstance(event, SampleBlock)]
    return blocks[0]


def test_the_own_device_of_a_dozen_lines_and_the_station_file_that_init_writes_meet_without_an_edit(
    tmp_path: Path, runtime_dir: Path
) -> None:
    init, *others = _block("README", "sh", "control-rawdaq init").splitlines(keepends=True)
    code = _block("README", "python", "feed_data")
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    live_port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", ANNOUNCED + code],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as device:
        try:
            assert device.stdout is not None
            device_port = device.stdout.readline().strip()
            block = _first_block(device_port)
            # Ports are changed for the test only; that they are the same by default is tested below.
            ports = f"sed -i 's/port: 65535/port: {device_port}/; s/port: 9004/port: {live_port}/' XX.MINE.yaml\n"
            _wrap(tmp_path, "rawdaq-dump", "--connect", f"tcp://127.0.0.1:{live_port}")
            _wrap(tmp_path, "control-rawdaq")
            done = subprocess.run(
                ["bash", "-ec", f"{init}{ports}{''.join(others)}"],
                env=environment({"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}),
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
        finally:
            device.kill()
    assert (block.channel, block.samples.dtype.name, block.samples.size) == (1, "int32", 100)
    assert done.returncode == 0, done.stdout + done.stderr
    streams = {line.split()[0] for line in done.stdout.splitlines() if " lat=" in line}
    assert streams == {f"XX.MINE.00.{channel}" for channel in ("HHZ", "HHN", "HHE")}
    assert len(list((tmp_path / "archive").glob("*/XX/MINE/HH?.D/*"))) == 3


def test_all_parts_have_the_same_ports_names_and_channels_by_default(tmp_path: Path) -> None:
    template.write("XX.DEMO", config.DEMO_FILE, tmp_path)
    (tmp_path / "readme.yaml").write_text(_block("station-file", "yaml", "Daemon:"))
    written, of_readme = (config.load(tmp_path / name).components for name in ("XX.DEMO.yaml", "readme.yaml"))
    assert [replace(each, file=Path()) for each in written] == [replace(each, file=Path()) for each in of_readme]
    (component,) = written
    assert component.receiver.options["port"] == signature(Streamer).parameters["port"].default
    live = component.publishers[0].options
    (connect,) = [option for option in dump.main.params if "--connect" in option.opts]
    assert connect.default == [f"tcp://{live['ip']}:{live['port']}"]


def test_the_station_file_is_good(tmp_path: Path) -> None:
    (tmp_path / "station.yaml").write_text(_block("station-file", "yaml", "Daemon:"))
    done = forks.run_cli(["control-rawdaq", "check", str(tmp_path / "station.yaml")])
    assert (done.returncode, done.stderr) == (0, "")


def _install(folder: Path) -> None:
    """Write the package that README describes, as an installer would."""
    (folder / "my_daq.py").write_text(_block("howto/own-package", "python", "# my_daq.py"))
    groups = tomllib.loads(_block("howto/own-package", "toml", "entry-points"))["project"]["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in each.items()) for group, each in groups.items()
    ]
    metadata = folder / "my_daq-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-daq\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join(lines))


def test_a_receiver_and_a_publisher_of_your_own_work(
    tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_installed", registry._installed.__wrapped__)
    (tmp_path / "station.yaml").write_text(
        _block("howto/own-package", "yaml", "class: TextReceiver").replace("port: 7000", "port: 0")
    )
    control = ["control-rawdaq", "-c", str(tmp_path / "station.yaml")]
    started = forks.run_cli([*control, "start", "receiver", "Text"])
    assert started.returncode == 0, started.stderr
    try:
        port = int(forks.run_cli([*control, "send", "Text", "port"]).stdout)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for stray in (b"hello", b"\xff", b"HHZ 1 100 99999999999", b"HHZ 1 0 5", b"HHZ 1795219199000000000 100"):
                sender.sendto(stray, ("127.0.0.1", port))
            sender.sendto(b"HHZ 1795219200000000000 100 5 -3 7", ("127.0.0.1", port))
            sender.sendto(b"HHZ 1795219200030000000 100 5 -3 8", ("127.0.0.1", port))
        peaks = tmp_path / "peaks.txt"
        wait_for(lambda: peaks.exists() and peaks.read_text())
        assert "passed over b'hello'" in forks.run_cli([*control, "logs", "Text"]).stdout
    finally:
        stopped = forks.run_cli([*control, "stop", "Text"])
    assert stopped.returncode == 0, stopped.stderr
    assert peaks.read_text() == "XX.MINE..HHZ 1795219200030000000 8\n"


def test_every_code_block_is_one_that_is_run_here() -> None:
    assert [kind for kind, _ in _BLOCK.findall(README)] == ["sh", "text", "python", "python", "sh"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="it is for bash")
def test_bash_completes_commands(tmp_path: Path) -> None:
    _wrap(tmp_path, "control-rawdaq")
    env = environment({"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})
    ask = 'COMP_WORDS=(control-rawdaq desc) COMP_CWORD=1; _control_rawdaq_completion control-rawdaq; echo "$COMPREPLY"'
    script = f"{_block('commands', 'sh', '_COMPLETE')}{ask}"
    done = subprocess.run(["bash", "-ec", script], env=env, check=False, capture_output=True, text=True, timeout=60)
    assert done.stdout == "describe\n", done.stderr


def test_the_minimal_seedlink_ini_starts_a_plugin_that_takes_a_device(runtime_dir: Path) -> None:
    ini = _block("howto/seiscomp", "ini", "[seedlink]")
    (made,) = re.findall(r"`mkdir -p (\S+) && seedlink -f seedlink.ini`", PAGES["howto/seiscomp"])
    for place in re.findall(r"^(?:lockfile|filebase) = (\S+)$", ini, re.MULTILINE):
        assert Path(place) == Path(made) or Path(place).parent in (Path(made), *Path(made).parents), place
    (plugin,) = re.findall(r'cmd = "rawdaq-plugin ([^"]+)"', ini)
    noise = seedlink_server.noise(500)
    streams = [seedlink_server.packets(channel, noise) for channel in (1, 2, 3)]
    with fake_device.device(seedlink_server.playing(*streams)) as port:
        words = plugin.replace("65535", str(port)).split()
        with seedlink_server.seedlink(*words) as server:
            samples = server.take_samples(3 * noise.size)
            server.process.terminate()
            status, said = server.end()
    assert (status, sorted(samples)) == (0, ["XX.DEMO.00.HHE", "XX.DEMO.00.HHN", "XX.DEMO.00.HHZ"]), said


def test_the_files_for_seiscomp_are_installed_as_described(tmp_path: Path, runtime_dir: Path) -> None:
    """The other commands of the block are SeisComP's own; here they only say that they were called."""
    block = _block("howto/seiscomp", "sh", "seiscomp install")
    tools, root = tmp_path / "bin", tmp_path / "seiscomp"
    tools.mkdir()
    root.mkdir()
    _wrap(tools, "control-rawdaq")
    for name in ("scconfig", "seiscomp"):
        (tools / name).write_text('#!/bin/sh\necho "called $(basename $0) $*"\n')
        (tools / name).chmod(0o755)
    env = environment({"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "SEISCOMP_ROOT": str(root)})
    done = subprocess.run(["sh", "-ec", block], env=env, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (root / "share/plugins/seedlink/rawdaq_plugin").exists()
    assert "called seiscomp update-config seedlink" in done.stdout


def test_every_command_of_the_table_exists() -> None:
    table = PAGES["commands"].partition("\n## ")[0]
    listed = forks.run_cli(["control-rawdaq", "--help"]).stdout
    for name in ("start", "stop", "restart", "status", "list", "logs", "send", "check", "init", "describe"):
        assert f"`{name}" in table or f"control-rawdaq {name}" in table
        assert re.search(rf"^  {name} ", listed, re.MULTILINE)
    for name, options in {
        "rawdaq-dump": ("--json", "--stats", "--write", "--plot"),
        "rawdaq-device": ("--file", "--sine", "--speed"),
    }.items():
        shown = forks.run_cli([name, "--help"]).stdout
        assert all(option in table and option in shown for option in options)


def test_files_that_readme_names_exist() -> None:
    named = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r"`((?:\w+/)+)`", README)
    missing = [name for name in named if not (ROOT / name).exists() and not name.startswith("archive")]
    assert missing == []


def test_the_ci_runs_the_lint_and_the_test_command_of_readme() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-2:] == ["make lint", "make test"]
    assert "`make test` runs the tests" in README
