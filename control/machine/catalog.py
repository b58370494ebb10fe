"""Which components there are: those of the station files, and those that run; files are read when they change."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rawdaq import config
from rawdaq.config import ComponentSettings, StationFile
from rawdaq.config.files import station_files
from rawdaq.control.names import Target, targets
from rawdaq.errors import ComponentError
from rawdaq.process.runtime_files import RuntimeFiles

_Marks = dict[Path, tuple[int, int]]


class Listed(NamedTuple):
    """What there is.

    Attributes:
        targets: the components.
        mistakes: of station files, one line each.
    """

    targets: Sequence[Target]
    mistakes: Sequence[str]


class Catalog:
    """The components of this machine; the methods block, and may be called by one thread at a time.

    Args:
        given: the station file, or the folder of them, that the command names; None: as for any command.
        runtime: the files of those that run.
    """

    def __init__(self, given: Path | None, runtime: RuntimeFiles) -> None:
        self._given, self._runtime = given, runtime
        self._lock = threading.Lock()
        self._marks: _Marks | None = None
        self._files: list[StationFile] = []
        self._mistakes: list[str] = []
        self._others: dict[Path, tuple[tuple[int, int], dict[str, ComponentSettings]]] = {}

    def look(self) -> Listed:
        """Return what there is now.

        Raises:
            ComponentError: the runtime folder cannot be read.
        """
        with self._lock:
            self._read_files()
            try:
                found = targets(self._files, self._runtime)
            except OSError as error:
                raise ComponentError(f"{self._runtime.folder} cannot be read: {error.strerror}") from error
            found = [target if target.settings else self._with_settings(target) for target in found]
            return Listed(found, self._mistakes)

    def _read_files(self) -> None:
        """Read the station files again if one has changed."""
        try:
            path = config.find_config(self._given)
            marks = _marks(station_files(path) if path.is_dir() else [path])
            if marks == self._marks:
                return
            self._files, problems = config.load_good(path)
        except config.ConfigError as error:
            marks, self._files, problems = {}, [], error.problems
        self._marks = marks
        self._mistakes = [str(problem) for problem in problems]

    def _with_settings(self, target: Target) -> Target:
        """Return *target* with the settings of the file that it was started from, where that can be read."""
        file = target.started_from
        if file is None or not (marks := _marks([file])):
            return target
        known = self._others.get(file)
        if known is None or known[0] != marks[file]:
            try:
                found = {component.key: component for component in config.load(file).components}
            except config.ConfigError:  # it was right when the component was started
                found = {}
            known = self._others[file] = marks[file], found
        return replace(target, settings=known[1].get(target.key))


def _marks(files: Sequence[Path]) -> _Marks:
    """Return what changes when a file does."""
    found: _Marks = {}
    for file in files:
        try:
            seen = file.stat()
        except OSError:
            continue
        found[file] = seen.st_mtime_ns, seen.st_size
    return found
