"""The process of a plugin: components that SeisComP's SeedLink server started, and that end when it says so."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from rawdaq import station
from rawdaq.config import registry
from rawdaq.config.settings import ComponentSettings
from rawdaq.control.plugin.component import STOP_TIMEOUT_S
from rawdaq.control.processes import file_limits as open_files
from rawdaq.control.processes.component import bind_cores
from rawdaq.errors import ComponentError
from rawdaq.process import log
from rawdaq.process.runtime_files import RuntimeFiles

_LOG = logging.getLogger("rawdaq.plugin")


def run(components: Sequence[ComponentSettings], log_level: str | None = None, *, to_system_log: bool = False) -> int:
    """Run *components* in this process until it is told to end; return the exit status.

    Args:
        components: what to run.
        log_level: the least severe messages that are shown; None is what the components say, the most talkative wins.
        to_system_log: log there, not to standard error.
    """
    levels = logging.getLevelNamesMapping()
    chosen = log_level or min((component.daemon.log_level for component in components), key=levels.__getitem__)
    log.configure(chosen, to_system_log=to_system_log)
    open_files.raise_limit()
    try:
        with ExitStack() as stack:
            cores = {component.daemon.core_id for component in components} - {None}
            if cores:
                bind_cores({core for core in cores if core is not None})
            addresses = _command_addresses(components, stack)
            station.run_components(list(zip(map(_in_time, components), addresses, strict=True)))
    except (ComponentError, registry.UnknownClass) as error:
        _LOG.error("%s", error)
        return 1
    except Exception:
        _LOG.critical("the plugin ended with an error that nobody foresaw", exc_info=True)
        return 1
    return 0


def _in_time(component: ComponentSettings) -> ComponentSettings:
    """Return *component* with a stop that ends before the server kills it."""
    stop_timeout_s = min(component.daemon.stop_timeout_s, STOP_TIMEOUT_S)
    return replace(component, daemon=component.daemon.model_copy(update={"stop_timeout_s": stop_timeout_s}))


def _command_addresses(components: Sequence[ComponentSettings], stack: ExitStack) -> list[str | None]:
    """Return where each component answers `control-rawdaq`; None where that is impossible: the data come first."""
    runtime = stack.enter_context(RuntimeFiles.find())
    return [_command_address(component, runtime, stack) for component in components]


def _command_address(component: ComponentSettings, runtime: RuntimeFiles, stack: ExitStack) -> str | None:
    try:
        runtime.prepare()
        stack.enter_context(runtime.hold(component.key, component.file, component.daemon.stop_timeout_s))
        return runtime.command_address(component.key)
    except (ComponentError, OSError) as error:
        _LOG.warning("control-rawdaq cannot talk to %s: %s", component.key, error)
        return None
