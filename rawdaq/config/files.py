"""Finds and loads station files: one, or all of a folder, or the one that a command line or the environment names."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import platformdirs

from rawdaq.config.document import ConfigError, Problem, dotted
from rawdaq.config.options import plain
from rawdaq.config.settings import StationFile
from rawdaq.config.station_file import Claimed, StationReader
from rawdaq.config.yaml_values import read
from rawdaq.stream_id import StreamId

#: The packaged station, which connects to a device on this machine.
DEMO_FILE = Path(__file__).parents[1] / "control" / "demo.yaml"

#: Stands beside station files and is no station file; see `rawdaq.control.alarms`.
ALARMS_FILE = "alarms.yaml"


def load(path: Path) -> StationFile:
    """Return the validated station file at *path*.

    Raises:
        ConfigError: it has mistakes; carries all of them.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[StationFile, list[Claimed]]:
    """Return the validated station file at *path*, and what it claims for its components.

    Raises:
        ConfigError: it has mistakes; carries all of them.
    """
    path = plain(path.absolute())
    document = read(path)
    folder = Path.cwd() if path == DEMO_FILE else path.parent  # an archive must not land inside the installation
    reader = StationReader(document, folder)
    station, components = reader.read()
    if document.problems or station is None:
        raise ConfigError(tuple(sorted(document.problems, key=lambda problem: problem.line or 0)))
    return StationFile(path, station, tuple(components)), reader.claims


def load_all(path: Path) -> list[StationFile]:
    """Return the station file at *path*, or all station files (``*.yaml``, ``*.yml``) of that folder, by name.

    Raises:
        ConfigError: one of them has mistakes, two describe the same component or need the same thing, such as a port,
            or there is no station file.
    """
    files, problems = load_good(path)
    if problems:
        raise ConfigError(problems)
    return files


def load_good(path: Path) -> tuple[list[StationFile], tuple[Problem, ...]]:
    """Return the valid files among those that `load_all` returns, and all problems.

    Files that describe the same component are all invalid: nothing says which of them is meant. Those that need the
    same thing, such as a port, are a problem and stay valid: each of them can run while the other does not.
    """
    files: list[StationFile] = []
    claims: dict[Path, list[Claimed]] = {}
    problems: list[Problem] = []
    for file in station_files(path) if path.is_dir() else [path]:
        try:
            made, claimed = _read(file)
            files.append(made)
            claims[made.path] = claimed
        except ConfigError as error:
            problems.extend(error.problems)
    problems.extend(_duplicates(files))
    if not (files or problems):
        problems.append(
            Problem(path, None, "", "has no station file (*.yaml); `control-rawdaq init NET.STA` writes one")
        )
    uses = Counter(component.key for file in files for component in file.components)
    good = [file for file in files if all(uses[component.key] == 1 for component in file.components)]
    problems.extend(_clashes([claim for file in good for claim in claims[file.path]]))
    return good, tuple(problems)


def station_files(folder: Path) -> list[Path]:
    """Return the files of *folder* that are named like station files, by name; an empty list when it is no folder."""
    found = (file for file in folder.glob("*.y*ml") if file.suffix in (".yaml", ".yml"))
    return sorted(file for file in found if file.name != ALARMS_FILE)


def tcp_ports(folder: Path) -> set[int]:
    """Return the TCP ports that the valid station files of *folder* listen on."""
    ports: set[int] = set()
    for file in station_files(folder):
        with contextlib.suppress(ConfigError):
            ports |= {port for claimed in _read(file)[1] if (port := claimed.claim.tcp_port) is not None}
    return ports


def _duplicates(files: list[StationFile]) -> Iterator[Problem]:
    """Yield a problem for each component that an earlier file describes too."""
    first: dict[str, Path] = {}
    for component in (component for file in files for component in file.components):
        other = first.setdefault(component.key, component.file)
        if other != component.file:
            text = f"station {component.station} has this component in {other} too; rename or remove one"
            yield Problem(component.file, None, component.name, text)


def _clashes(claims: Iterable[Claimed]) -> Iterator[Problem]:
    """Yield a problem for each thing that something in an earlier file has too."""
    known: dict[tuple[str, StreamId | None], list[Claimed]] = {}
    for made in claims:
        # By stream, because thousands of files may share an archive.
        keys = [(made.claim.thing, stream) for stream in ([None] if made.streams is None else made.streams)]
        before = (each for key in keys for each in known.get(key, ()))
        if other := next((each for each in before if each.file != made.file and each.excludes(made)), None):
            yield Problem(made.file, made.line, dotted(made.where), made.problem(other))
        for key in keys:
            known.setdefault(key, []).append(made)


def named_config(option: Path | None) -> Path | None:
    """Return *option*, else the path in ``$RAWDAQ_CONFIG``; None when neither is given."""
    variable = os.environ.get("RAWDAQ_CONFIG")
    return option or (Path(variable).expanduser() if variable else None)


def find_config(option: Path | None) -> Path:
    """Return the station file, or the folder of them, that a command works on.

    That is *option*, else ``$RAWDAQ_CONFIG``, else the user's configuration folder when it has station files, else
    the packaged demo station.

    Raises:
        ConfigError: the path in *option* or in the variable does not exist.
    """
    chosen = named_config(option)
    if chosen is not None:
        if not chosen.exists():
            by = "" if option else " (named by $RAWDAQ_CONFIG)"
            raise ConfigError((Problem(chosen, None, "", f"does not exist{by}"),))
        return chosen
    folder = platformdirs.user_config_path("rawdaq")
    return folder if station_files(folder) else DEMO_FILE
