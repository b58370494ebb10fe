"""What SeisComP gets: the files, the handler as SeisComP calls it, and the command that comes out of them."""

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rawdaq.control import cli
from rawdaq.control.plugin import command as plugin
from rawdaq.control.plugin import process as plugin_process
from rawdaq.control.seiscomp import files as seiscomp
from rawdaq.control.seiscomp import handler as seiscomp_handler
from tests.helpers import ROOT

SETUP = "share/templates/seedlink/rawdaq/setup.py"
TEMPLATE = "share/templates/seedlink/rawdaq/seedlink_plugin.tpl"
PLUGIN = "share/plugins/seedlink/rawdaq_plugin"
XML = "etc/descriptions/seedlink_rawdaq.xml"
SINGLE = {"channelProfiles": "p", "channelProfile.p.channelCodes": "HHZ:1"}


class Seedlink:
    """What SeisComP hands to a handler: the bindings of one station."""

    def __init__(self, bindings: dict[str, str], net: str = "XX", sta: str = "DEMO") -> None:
        self.net, self.sta = net, sta
        self.params = {f"sources.rawdaq.{name}": value for name, value in bindings.items()}

    def param(self, name: str, station_scope: bool = True, print_warning: bool = False) -> str:
        return self.params[name]

    def setParam(self, name: str, value: str, station_scope: bool = True) -> None:  # noqa: N802 - SeisComP's name
        self.params[name] = value


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder like SeisComP's, with files of others where ours go."""
    folder = tmp_path / "sei's comp"
    for path in ("bin/seiscomp", "share/templates/seedlink/chain/setup.py", "etc/descriptions/seedlink.xml"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("SeisComP")
    return folder


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time of change and content of everything below *folder*."""
    found: dict[str, tuple[int, int, bytes]] = {}
    for path in sorted(folder.rglob("*")):
        about = path.stat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_mtime_ns if content else 0, content)
    return found


def run(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.run(["seiscomp", *words])
    out, err = capfd.readouterr()
    return status, out, err


def load(root: Path) -> Any:
    """Return a handler, loaded the way SeisComP does it."""
    spec = importlib.util.spec_from_file_location("__seiscomp_seedlink_plugins_rawdaq", root / SETUP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SeedlinkPluginHandler()


@pytest.fixture(params=["installed", "ours"])
def push(root: Path, request: pytest.FixtureRequest) -> Callable[..., tuple[str, Seedlink]]:
    """Hands bindings to the handler; returns its key and what became of the parameters."""
    seiscomp.install(root)
    handler = load(root) if request.param == "installed" else seiscomp_handler.SeedlinkPluginHandler()

    def call(bindings: dict[str, str], net: str = "XX", sta: str = "DEMO") -> tuple[str, Seedlink]:
        seedlink = Seedlink(bindings, net, sta)
        key = handler.push(seedlink)
        handler.flush(seedlink)
        return key, seedlink

    return call


def command_of(root: Path, seedlink: Seedlink) -> list[str]:
    """Return the words of the plugin's command, as SeisComP and then the shell make them out of the template."""
    values = {
        "seedlink.source.id": "rawdaq0",
        "seedlink.plugin_dir": "PLUGINS",
        "template": "seedlink_plugin.tpl",
        **seedlink.params,
    }
    text = re.sub(r"\$([a-zA-Z][a-zA-Z0-9._]*)", lambda found: values[found[1]], (root / TEMPLATE).read_text())
    line = re.fullmatch(
        r'\* template: .*\nplugin rawdaq0 cmd="([^"]*)"\n {13}timeout = 600\n {13}start_retry = 60\n'
        r" {13}shutdown_wait = 10\n\n",
        text,
    )
    assert line is not None
    return shlex.split(line[1])


# ------------------------------------------------------------------ install and uninstall


def test_install_writes_all_files_and_says_what_to_do_next(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capfd, "install", "--root", str(root))
    assert (status, err) == (0, "")
    for file in (SETUP, TEMPLATE, PLUGIN, XML):
        assert f"wrote {root / file}\n" in out
        assert (root / file).is_file()
    assert os.access(root / PLUGIN, os.X_OK)
    assert "seiscomp update-config seedlink" in out
    assert "sources = rawdaq" in out


def test_a_second_install_changes_nothing(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seiscomp.install(root)
    before = state(root)
    assert seiscomp.install(root) == []
    status, out, _ = run(capfd, "install", "--root", str(root))
    assert status == 0
    assert "nothing was changed" in out
    assert state(root) == before


def test_uninstall_takes_back_exactly_what_install_wrote(
    root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(root)
    seiscomp.install(root)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    load(root)  # as SeisComP's Python does, which leaves a compiled copy
    assert (root / SETUP).parent.joinpath("__pycache__").is_dir()
    monkeypatch.setenv("SEISCOMP_ROOT", str(root))
    status, out, err = run(capfd, "uninstall")
    assert (status, err) == (0, "")
    assert out.count("removed ") == 4
    assert state(root) == before
    status, out, err = run(capfd, "uninstall")
    assert (status, out, err) == (0, f"nothing of rawdaq is in {root}\n", "")


def test_an_empty_folder_is_empty_again_and_doubted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capfd, "install", "--root", str(tmp_path))
    assert status == 0
    assert "is it the folder of SeisComP?" in err
    seiscomp.uninstall(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_changed_is_neither_overwritten_nor_removed(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seiscomp.install(root)
    (root / TEMPLATE).write_text("mine")
    before = state(root)
    status, _, err = run(capfd, "install", "--root", str(root))
    assert status == 1
    assert str(root / TEMPLATE) in err
    assert "nothing was written" in err
    assert state(root) == before
    for _ in range(2):
        status, _, err = run(capfd, "uninstall", "--root", str(root))
        assert (status, len(err.splitlines())) == (1, 1)
        assert f"not removed: {root / TEMPLATE};" in err
        assert (root / TEMPLATE).read_text() == "mine"
        assert not (root / PLUGIN).exists()
    (root / TEMPLATE).unlink()
    assert seiscomp.uninstall(root) == []
    assert not (root / TEMPLATE).parent.exists()


@pytest.mark.parametrize("is_link", [True, False])
def test_a_file_of_another_program_is_left_alone(root: Path, is_link: bool) -> None:
    (root / XML).symlink_to(root / "bin/seiscomp") if is_link else (root / XML).write_text("theirs")
    before = state(root)
    with pytest.raises(seiscomp.SeiscompError, match=re.escape(str(root / XML))):
        seiscomp.install(root)
    assert state(root) == before


def test_a_folder_where_a_file_should_be_is_left_alone(root: Path) -> None:
    (root / XML).mkdir()
    with pytest.raises(seiscomp.SeiscompError, match="move away"):
        seiscomp.install(root)


def test_folders_that_others_use_by_now_stay(root: Path) -> None:
    seiscomp.install(root)
    other = root / "share/plugins/seedlink/other_plugin"
    other.write_text("theirs")
    seiscomp.uninstall(root)
    assert [path.name for path in other.parent.iterdir()] == [other.name]


def test_another_installation_of_rawdaq_takes_over_what_the_first_one_wrote(root: Path) -> None:
    seiscomp.install(root)
    assert seiscomp.install(root, "/opt/new one/python") == [PLUGIN]
    assert "exec '/opt/new one/python' -P -m rawdaq.control.plugin.command" in (root / PLUGIN).read_text()
    seiscomp.uninstall(root)
    assert not (root / PLUGIN).exists()


def test_an_install_that_was_interrupted_before_its_manifest_is_taken_up_again(root: Path) -> None:
    seiscomp.install(root)
    (root / TEMPLATE).with_name("installed.json").unlink()
    (root / PLUGIN).chmod(0o600)
    assert seiscomp.install(root) == [PLUGIN]
    assert os.access(root / PLUGIN, os.X_OK)
    assert len(seiscomp.uninstall(root)) == 4


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"files": {"../x": "0"}, "folders": []}'])
def test_an_invalid_manifest_is_reported(root: Path, text: str) -> None:
    seiscomp.install(root)
    (root / TEMPLATE).with_name("installed.json").write_text(text)
    with pytest.raises(seiscomp.SeiscompError, match="remove it, then run install again"):
        seiscomp.uninstall(root)
    assert (root / PLUGIN).exists()


def test_what_the_disk_refuses_is_reported_in_one_line(
    root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    status, _, err = run(capfd, "install", "--root", str(root / "nowhere"))
    assert (status, len(err.splitlines())) == (1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        assert "cannot be written: Permission denied" in run(capfd, "install", "--root", str(root))[2]
    seiscomp.install(root)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        assert "cannot be removed: Permission denied" in run(capfd, "uninstall", "--root", str(root))[2]
    (root / TEMPLATE).with_name("installed.json").unlink()
    (root / TEMPLATE).with_name("installed.json").mkdir()
    assert "cannot be read: " in run(capfd, "uninstall", "--root", str(root))[2]


def test_a_failed_write_leaves_no_half_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device", "x")

    before = set(state(root))
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(seiscomp.SeiscompError, match="No space left"):
        seiscomp.install(root)
    assert not [path for path in set(state(root)) - before if (root / path).is_file()]


def test_the_wrapper_runs_the_plugin_of_this_interpreter(root: Path) -> None:
    seiscomp.install(root)
    done = subprocess.run(
        [root / PLUGIN, "-s", "h", "rawdaq0"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("rawdaq-plugin: missing -p -c -m;")


# ------------------------------------------------------------------ the handler


def test_the_handler_makes_the_command_of_the_cpp_plugin(root: Path, push: Callable[..., tuple[str, Seedlink]]) -> None:
    _, seedlink = push(
        {
            "host": "192.0.2.7",
            "port": "18000",
            "miniSeedEncoding": "float32",
            "channelProfiles": "first,second",
            "channelProfile.first.locationCode": "00",
            "channelProfile.first.channelCodes": "HHZ:1,HHN:2, HHE:3",
            "channelProfile.second.channelCodes": "HNZ:10",
            "flushAfter": "0.5",
        }
    )
    assert command_of(root, seedlink) == [
        "PLUGINS/rawdaq_plugin",
        *("-s", "192.0.2.7", "-p", "18000", "-c", "XX.DEMO"),
        *("-m", "00.HHZ:1,00.HHN:2,00.HHE:3,.HNZ:10", "-e", "FLOAT32", "--flush-after", "0.5"),
    ]


def test_the_command_is_one_that_the_plugin_accepts(
    root: Path, push: Callable[..., tuple[str, Seedlink]], monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: list[Any] = []

    def accept(components: list[Any], *_: object, **more: object) -> int:
        accepted.extend(components)
        return 0

    monkeypatch.setattr(plugin_process, "run", accept)
    _, seedlink = push({**SINGLE, "host": "::1", "miniSeedEncoding": "INT32"})
    assert plugin.run([*command_of(root, seedlink)[1:], "rawdaq0"]) == 0
    (component,) = accepted
    assert component.key == "XX.DEMO.seedlink-rawdaq0"
    assert component.receiver.options["host"] == "::1"
    assert component.receiver.options["channels"] == {1: ".HHZ"}
    assert component.publishers[0].options["encoding"] == "int32"


def test_what_is_not_bound_is_as_the_description_says(root: Path, push: Callable[..., tuple[str, Seedlink]]) -> None:
    _, seedlink = push({**SINGLE, "host": ""})
    described = {
        parameter.get("name"): parameter.get("default")
        for parameter in ElementTree.parse(root / XML).iter("parameter")
        if parameter.get("default")
    }
    assert described == {name: seedlink.params[f"sources.rawdaq.{name}"] for name in described}
    assert set(described) == {"host", "port", "miniSeedEncoding", "flushAfter"}


def test_each_command_is_a_process_of_its_own(push: Callable[..., tuple[str, Seedlink]]) -> None:
    keys = [
        push(SINGLE)[0],
        push(SINGLE, sta="OTHER")[0],
        push({**SINGLE, "host": "b"})[0],
        push({**SINGLE, "channelProfile.p.channelCodes": "HHZ:2"})[0],
    ]
    assert len(set(keys)) == 4
    assert push(SINGLE)[0] == keys[0]


@pytest.mark.parametrize(
    ("bindings", "text"),
    [
        ({"channelProfiles": ""}, "sources.rawdaq.channelProfiles is ''; it should be a list of names"),
        ({"channelProfiles": "p,q"}, "sources.rawdaq.channelProfile.q.channelCodes is ''; it should be a list such as"),
        ({"channelProfile.p.channelCodes": "HHZ"}, "channelCodes is 'HHZ'; it should be channel code:channel id"),
        ({"channelProfile.p.channelCodes": "HHZ:1,HHZ:2"}, "is '.HHZ'; it should be there once"),
        ({"channelProfile.p.channelCodes": "HHZ:1,HHN:1"}, "is '1'; it should be there once"),
        ({"channelProfile.p.locationCode": "000"}, "locationCode is '000'; it should be a location code"),
        ({"port": "70000"}, "sources.rawdaq.port is '70000'; it should be a number from 1 to 65535"),
        ({"port": "http"}, "sources.rawdaq.port is 'http'"),
        ({"flushAfter": "nan"}, "sources.rawdaq.flushAfter is 'nan'"),
        ({"host": "a; rm x"}, "sources.rawdaq.host is 'a; rm x'; it should be a host name"),
        ({"host": "-x"}, "sources.rawdaq.host is '-x'"),
        ({"miniSeedEncoding": "ASCII"}, "it should be one of STEIM1, STEIM2"),
    ],
)
def test_a_wrong_binding_is_named_with_its_station(
    push: Callable[..., tuple[str, Seedlink]], bindings: dict[str, str], text: str
) -> None:
    with pytest.raises(ValueError, match=r"station XX\.DEMO: ") as caught:
        push({**SINGLE, **bindings})
    assert text in str(caught.value)


def test_a_station_that_no_record_can_name_is_refused(push: Callable[..., tuple[str, Seedlink]]) -> None:
    with pytest.raises(ValueError, match=r"XX\.STATION: records have room for"):
        push(SINGLE, sta="STATION")


def test_the_handler_needs_neither_rawdaq_nor_a_new_python(root: Path) -> None:
    seiscomp.install(root)
    tree = ast.parse((root / SETUP).read_text(), feature_version=(3, 6))
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names


# ------------------------------------------------------------------ the description


def test_every_parameter_of_the_handler_is_described_with_help(root: Path) -> None:
    seiscomp.install(root)
    top = ElementTree.parse(root / XML).getroot()
    assert top.tag == "seiscomp"
    (binding,) = top
    assert binding.attrib == {"module": "seedlink", "name": "rawdaq", "category": "sources"}
    for element in binding.iter():
        if element.tag in ("binding", "parameter", "struct", "group"):
            assert (element.findtext("description") or "").strip(), element.attrib
    assert {parameter.get("name") for parameter in binding.iter("parameter")} == {
        *("host", "port", "miniSeedEncoding", "flushAfter", "channelProfiles", "locationCode", "channelCodes")
    }
    (struct,) = binding.iter("struct")
    assert struct.get("link") == "sources.rawdaq.channelProfiles"


def test_the_manifest_lists_what_was_written(root: Path) -> None:
    seiscomp.install(root)
    manifest = json.loads((root / TEMPLATE).with_name("installed.json").read_text())
    assert set(manifest["files"]) == {SETUP, TEMPLATE, PLUGIN, XML}
    assert "share/plugins" in manifest["folders"]
    assert "etc" not in manifest["folders"]
