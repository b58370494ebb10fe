"""The house itself: what is packaged is what is there, importing does nothing, and each thing is where it says."""

import ast
import configparser
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import rawdaq
from tests.helpers import ROOT, environment

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
_WALKED = list(pkgutil.walk_packages(rawdaq.__path__, "rawdaq."))
MODULES = sorted(module.name for module in _WALKED)
ENTRY_POINTS = [
    (group, *re.split(r" = |:", line))
    for group in SETUP["options.entry_points"]
    for line in SETUP["options.entry_points"][group].split("\n")
    if line
]

#: The room of each library that not every room may use, or the two.
HOMES = {
    "click": "rawdaq.control",
    "h5py": "rawdaq.container",
    "matplotlib": "rawdaq.replay",
    "msgpack": "rawdaq.protocols.events",
    "obspy": "rawdaq.replay rawdaq.control.setup",  # waveforms, and metadata
    "prometheus_client": "rawdaq.control.metrics",
    "pymseed": "rawdaq.miniseed",
    "scipy": "rawdaq.streams",
    "serial": "rawdaq.sockets",
    "sqlalchemy": "rawdaq.receivers.telemetry",
    "starlette": "rawdaq.control.rest",
    "textual": "rawdaq.control.dash",
    "uvicorn": "rawdaq.control.rest",
    "websockets": "rawdaq.sockets",
    "yaml": "rawdaq.config",
}
MAX_LINES = 450
MAX_MODULES = 14

# Run in a fresh interpreter, so that what this one has imported and started does not count.
IMPORT_ALL = """
import logging, os, socket, sys, threading
from importlib import import_module

def no_socket(*args, **kwargs):
    raise AssertionError("importing opened a socket")

environment, handlers = dict(os.environ), list(logging.root.handlers)
socket.socket.bind = socket.socket.connect = no_socket
for name in sys.argv[1:]:
    import_module(name)
    assert threading.active_count() == 1, f"{name} starts a thread"
    assert logging.root.handlers == handlers, f"{name} configures logging"
    assert dict(os.environ) == environment, f"{name} changes the environment"
ours = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if name.startswith("rawdaq")]
assert not any(log.handlers or log.level for log in ours), "a logger of ours is configured"
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def _loaded_by(*modules: str) -> set[str]:
    """Return the top-level names that importing *modules* loads; fails if importing does anything else."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *modules],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def _copy(target: Path) -> Path:
    """Return a copy of the checkout without what git ignores: building writes into the folder that it builds."""
    leave_out = shutil.ignore_patterns(".*", "demo", "build", "dist", "__pycache__", "*.egg-info", "*.so", "tests")
    shutil.copytree(ROOT, target, symlinks=True, ignore=leave_out)
    return target


def test_the_packages_of_setup_cfg_are_those_on_disk() -> None:
    listed = SETUP["options"]["packages"].split()
    assert sorted(listed) == sorted(["rawdaq", *(module.name for module in _WALKED if module.ispkg)])


def _file(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def _nodes(module: str, words: Iterable[str]) -> Iterator[ast.AST]:
    """Yield the nodes of *module*, if it has one of these *words* at all: to parse takes long."""
    text = _file(module).read_text(encoding="utf-8")
    if any(word in text for word in words):
        yield from ast.walk(ast.parse(text))


def _imports(module: str, names: Collection[str]) -> Iterator[str]:
    """Yield those of the top-level *names* that *module* imports, wherever it does so."""
    for node in _nodes(module, names):
        if isinstance(node, ast.Import):
            yield from {alias.name.partition(".")[0] for alias in node.names} & {*names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from {node.module.partition(".")[0]} & {*names}


PYTHON_MODULES = [module for module in MODULES if _file(module).suffix == ".py"]


def test_a_library_is_imported_in_its_home_only() -> None:
    strangers = {
        f"{module} imports {name}"
        for module in PYTHON_MODULES
        for name in _imports(module, HOMES)
        if not module.startswith(tuple(f"{home}." for home in HOMES[name].split()))
    }
    assert strangers == set()


#: Modules that import others by a name, which stands in their own source.
IMPORTERS = ["control.dump.servers", "control.handover", "publishers", "receivers"]


def _runs(module: str) -> Iterator[str]:
    """Yield what in *module* runs, or imports, what may be found in data."""
    for node in _nodes(module, ("eval", "exec", "__import__", "import_module")):
        match node:
            case ast.Call(func=ast.Name(id="eval" | "exec" | "__import__" as name)):
                yield name
            case ast.Name(id="import_module" as name) | ast.Attribute(attr="import_module" as name):
                yield name
            case _:
                pass
    yield from _imports(module, ("pickle", "marshal", "shelve", "dill"))


def test_nothing_that_is_found_in_data_is_run_or_imported() -> None:
    chec = [f"rawdaq_chec.{file.stem}" for file in (ROOT / "examples/chec/rawdaq_chec").glob("*.py")]
    found = {(module, name) for module in (*PYTHON_MODULES, *chec) for name in _runs(module)}
    allowed = {(f"rawdaq.{module}", "import_module") for module in IMPORTERS}
    assert found == allowed


def test_no_module_is_too_long_to_be_read_at_once() -> None:
    lines = {module: len(_file(module).read_text(encoding="utf-8").splitlines()) for module in PYTHON_MODULES}
    assert {module: count for module, count in lines.items() if count > MAX_LINES} == {}


def test_no_room_has_too_many_modules() -> None:
    rooms = [_file(module) for module in PYTHON_MODULES if _file(module).name == "__init__.py"]
    counts = {room.parent: len(list(room.parent.glob("*.py"))) for room in [*rooms, ROOT / "rawdaq" / "__init__.py"]}
    assert {room: count for room, count in counts.items() if count > MAX_MODULES} == {}


def test_every_room_says_in_two_sentences_what_lives_there() -> None:
    rooms = ["rawdaq", *(module for module in PYTHON_MODULES if _file(module).name == "__init__.py")]
    sentences = {room: re.split(r"[.](?=\s|$)", import_module(room).__doc__ or "") for room in rooms}
    assert [room for room, parts in sentences.items() if sum(bool(part.strip()) for part in parts) < 2] == []


def test_no_folder_with_code_lacks_its_init() -> None:
    folders = {path.parent for path in (ROOT / "rawdaq").glob("**/*.py")} | {
        ROOT / "receivers",
        ROOT / "publishers",
        ROOT / "control",
    }
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("name", ["receivers", "publishers", "control"])
def test_the_three_top_level_rooms_are_linked_relatively(name: str) -> None:
    link = ROOT / "rawdaq" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"
    assert link.is_dir()


def test_importing_every_module_does_nothing_and_does_not_load_obspy() -> None:
    assert "obspy" not in _loaded_by(*MODULES)


def test_the_device_side_loads_only_numpy_and_the_standard_library() -> None:
    loaded = {name for name in _loaded_by("rawdaq.streamer") if not name.startswith(("_", "sitecustomize"))}
    before = {name for name in _loaded_by() if not name.startswith("_")}
    assert loaded - before - sys.stdlib_module_names == {"numpy", "rawdaq"}


@pytest.mark.parametrize(("group", "name", "module", "attribute"), ENTRY_POINTS)
def test_an_entry_point_names_something_that_exists(group: str, name: str, module: str, attribute: str) -> None:
    found = getattr(import_module(module), attribute)
    assert callable(found)
    # Words of commands and formats are lower-case; receivers and publishers have the names of their classes.
    assert group == "console_scripts" or group.endswith("_formats") or found.__name__ == name


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == rawdaq.__version__


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\(([^)]+\.md)\)", index)) == sorted(
        path.name for path in folder.glob("*.md") if path.name != "README.md"
    )


def test_the_wheel_holds_every_module_and_nothing_else(tmp_path: Path) -> None:
    code = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"
    build = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    done = subprocess.run(build, cwd=_copy(tmp_path / "tree"), check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("rawdaq-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    walked = os.walk(ROOT / "rawdaq", followlinks=True)
    paths = [Path(folder) / name for folder, _, files in walked for name in files if name.endswith(".py")]
    expected = {path.relative_to(ROOT).as_posix() for path in paths}
    paths_of_page = (ROOT / "control" / "web" / "page").glob("**/*")
    page = {path.relative_to(ROOT).as_posix() for path in paths_of_page if path.is_file()}
    assert {name.removeprefix("rawdaq/") for name in names if "/web/page/" in name} == page
    others = {name for name in names if name.endswith(".yaml") or "/data/" in name or "/web/page/" in name}
    assert names - others == expected | {
        "rawdaq/py.typed",
        "rawdaq/native/steim2.pyi",
        "rawdaq/native/steim2.abi3.so",
    }
