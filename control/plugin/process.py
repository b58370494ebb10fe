"""The process of a plugin: components that SeisComP's SeedLink server started, and that end when it ends them."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from rawdaq.config import ComponentSettings
from rawdaq.control.plugin.component import STOP_TIMEOUT_S
from rawdaq.control.processes.groups import shortage
from rawdaq.control.processes.main import Member, Process
from rawdaq.process import log
from rawdaq.process.runtime_files import RuntimeFiles

_COPY_TIMEOUT_S = 10.0  # the server waits so long for the plugin that it has stopped


def run(
    components: Sequence[ComponentSettings],
    log_level: str | None = None,
    *,
    to_system_log: bool = False,
    may_run_twice: bool = False,
) -> int:
    """Run *components* in this process until a signal stops them or one of them fails; return the exit status.

    Without its runtime files a component runs on, but does not answer `control-rawdaq`: the data come first.

    Args:
        components: what to run.
        log_level: the least severe messages that are shown; None: the lowest level that a component asks for.
        to_system_log: log there, not to standard error.
        may_run_twice: whether a component runs although another process runs it, such as for another server.
    """
    levels = logging.getLevelNamesMapping()
    level = log_level or min((component.daemon.log_level for component in components), key=levels.__getitem__)
    log.configure(level, to_system_log=to_system_log)
    if short := shortage(components):
        logging.getLogger("rawdaq.process").warning("%s", short)
    core_ids = {component.daemon.core_id for component in components if component.daemon.core_id is not None}
    with RuntimeFiles.find() as runtime:
        process = Process(
            runtime,
            core_ids,
            log_level=level,
            log_format="text",
            ends_together=True,
            needs_commands=False,
            may_run_twice=may_run_twice,
            patience_s=0.0 if may_run_twice else _COPY_TIMEOUT_S,
        )
        return process.run([Member.of(_stopping_in_time(component)) for component in components])


def _stopping_in_time(component: ComponentSettings) -> ComponentSettings:
    """Return *component* with a stop that ends before the server kills the plugin."""
    stop_timeout_s = min(component.daemon.stop_timeout_s, STOP_TIMEOUT_S)
    return replace(component, daemon=component.daemon.model_copy(update={"stop_timeout_s": stop_timeout_s}))
