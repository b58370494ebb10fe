"""The process of one component: ``python -m rawdaq.control.processes.component STATION_FILE KEY``."""

import logging
import os
import sys
from collections.abc import Sequence, Set
from pathlib import Path

from rawdaq import config, station
from rawdaq.config import registry
from rawdaq.config.settings import ComponentSettings, StationFile
from rawdaq.control.processes import file_limits as open_files
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.process import log
from rawdaq.process.runtime_files import RuntimeFiles

_LOG = logging.getLogger("rawdaq.component")


def main(args: Sequence[str]) -> int:
    """Run the component that *args* name and return the exit status."""
    try:
        component = find(config.load(Path(args[0])), args[1])
        with RuntimeFiles.find() as runtime:
            runtime.prepare()
            return run(component, runtime, runtime.log_file(component.key))
    except RawdaqError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, config.ConfigError) else 1


def find(file: StationFile, key: str) -> ComponentSettings:
    """Return the component *key* of *file*.

    Raises:
        ComponentError: there is none.
    """
    for component in file.components:
        if component.key == key:
            return component
    raise ComponentError(f"{file.path} has no component {key} (any more)")


def run(component: ComponentSettings, runtime: RuntimeFiles, log_file: Path | None) -> int:
    """Run *component* in this process until it is stopped; return the exit status.

    Args:
        component: what to run.
        runtime: where its pid file and command socket are.
        log_file: where it logs; None is standard error.
    """
    log.configure(component.daemon.log_level, log_file)
    open_files.raise_limit()
    try:
        with runtime.hold(component.key, component.file, component.daemon.stop_timeout_s):
            if component.daemon.core_id is not None:
                bind_cores({component.daemon.core_id})
            station.run_component(component, runtime.command_address(component.key))
    except (ComponentError, registry.UnknownClass) as error:
        _LOG.error("%s", error)
        return 1
    except Exception:
        _LOG.critical("%s ended with an error that nobody foresaw", component.name, exc_info=True)
        return 1
    return 0


def bind_cores(core_ids: Set[int]) -> None:
    """Keep this process to the processor cores *core_ids*; a system that cannot do that lets it run anywhere.

    Raises:
        ComponentError: this machine has none of them.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    try:
        os.sched_setaffinity(0, core_ids)
    except OSError as error:
        wanted = ", ".join(map(str, sorted(core_ids)))
        cores = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
        raise ComponentError(
            f"Daemon.core_id {wanted} cannot be used: {error.strerror}; cores here: {cores}"
        ) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
