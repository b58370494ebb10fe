"""A running component reads its station file again: all of what it says holds afterwards, or nothing is changed."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from rawdaq import config, station
from rawdaq.config import ComponentSettings, registry
from rawdaq.errors import CommandError, ComponentError, RawdaqError
from rawdaq.process import member_log
from rawdaq.process.log import LogForm
from rawdaq.process.systemd.notify import Notifier
from rawdaq.receiver_server import ReceiverServer

_LOG = logging.getLogger("rawdaq.process")


class Logged(Protocol):
    """How a process logs: a `rawdaq.control.processes.main.Process`."""

    log_level: str | None
    log_format: LogForm | None
    notifier: Notifier


class Reloading:
    """Lets a server reload while the context is open.

    Args:
        server: the component.
        settings: what it was built of.
        process: how it logs, and where it reports.
    """

    def __init__(self, server: ReceiverServer, settings: ComponentSettings, process: Logged) -> None:
        self._server, self._settings, self._process = server, settings, process
        self._task: asyncio.Task[dict[str, object]] | None = None

    async def __aenter__(self) -> Self:
        self._server.reload = self.reload
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.reload = None
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def reload(self) -> dict[str, object]:
        """Read the station file and become what it says; return what has changed.

        Raises:
            ConfigError: the file is wrong; nothing is changed.
            ComponentError: what it says needs a restart, and nothing is changed; or a publisher cannot be had.
            CommandError: a reload is going on.
        """
        if self._task is not None and not self._task.done():
            raise CommandError("it is being reloaded")
        self._task = asyncio.create_task(self._reload(), name=f"reload {self._server.name}")
        # A command that is given up must not leave it half done.
        return await asyncio.shield(self._task)

    async def _reload(self) -> dict[str, object]:
        self._process.notifier.reloading()
        began_s = time.monotonic()  # what is written to the file from now on may not be read
        try:
            wanted = await asyncio.to_thread(self._load)
            changes = await station.reload(self._server, self._settings, wanted)
        finally:
            self._process.notifier.ready()
        _LOG.info("%s: reloaded: %s", self._server.name, _words(changes))
        self._settings = wanted
        self._set_logs(wanted)
        if changes.failures:
            self._forget_missing()
            raise ComponentError(f"reloaded ({_words(changes)}), but: {'; '.join(changes.failures)}")
        self._server.reloaded_s = began_s
        return {"added": changes.added, "changed": changes.changed, "removed": changes.removed}

    def _forget_missing(self) -> None:
        """Take publishers that were left out as not there, so that the next reload tries them again."""
        there = {publisher.name for publisher in self._server.publishers}
        kept = tuple(each for each in self._settings.publishers if each.name in there)
        self._settings = replace(self._settings, publishers=kept)

    def _load(self) -> ComponentSettings:
        settings = self._settings
        for component in config.load(settings.file).components:
            if component.key == settings.key:
                for publisher in component.publishers:  # one that is installed and broken must not be found out later
                    registry.installed_class("publisher", publisher.class_name)
                return component
        raise ComponentError(f"{settings.file} has no component {settings.key} any more; stop it, if that is meant")

    def _set_logs(self, wanted: ComponentSettings) -> None:
        if self._process.log_level is None:
            member_log.set_level(wanted.daemon.log_level)
        if self._process.log_format is None:
            member_log.set_format(wanted.daemon.log_format)


def _words(changes: station.Changes) -> str:
    parts = (("added", changes.added), ("changed", changes.changed), ("removed", changes.removed))
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names) or "nothing to change"


async def reload_logged(server: ReceiverServer, log: Callable[..., None] = _LOG.error) -> None:
    """Reload *server* at a signal: why it is impossible is logged."""
    try:
        if server.reload is not None:
            await server.reload()
    except RawdaqError as error:
        log("%s is not reloaded: %s", server.name, error)
