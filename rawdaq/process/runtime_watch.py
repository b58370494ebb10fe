"""Puts back what somebody removes of a running process: pid files, command sockets and log files."""

import logging
from collections.abc import Mapping
from typing import Protocol

from rawdaq.errors import ComponentError
from rawdaq.outage import Outage
from rawdaq.process import log
from rawdaq.process.commands import CommandSocket
from rawdaq.process.removals import IS_REPORTED, Removals
from rawdaq.process.runs import AlreadyRunning
from rawdaq.process.runtime_files import RuntimeFiles

_LOG = logging.getLogger("rawdaq.runtime_files")

#: How often to look where the system reports removals, for what it does not report, and where it reports none.
INTERVAL_S = 300.0 if IS_REPORTED else 1.0
_SOON_S = 0.1  # until a command socket that was left is there again
_REMIND_S = 600.0


class Server(Protocol):
    """What answers commands: a `rawdaq.receiver_server.ReceiverServer`."""

    command_socket: CommandSocket


class RuntimeWatch:
    """Looks whether the files of this process are in place when some were removed, such as by a clean-up of the disk.

    Without its pid file a component would not be found, and a second copy of it could be started. Without its log
    file the output of C libraries would be lost.

    Args:
        runtime: holds the pid files.
        servers: the components of this process by their keys; may grow.
    """

    def __init__(self, runtime: RuntimeFiles, servers: Mapping[str, Server]) -> None:
        self._runtime = runtime
        self._servers = servers
        self._outage = Outage(_LOG, _REMIND_S)

    async def run(self) -> None:
        """Look and put back, until cancelled."""
        folder = self._runtime.folder
        with Removals([folder, folder.parent, self._runtime.logs]) as removals:
            while True:
                removals.watch()
                is_pending = self.restore()
                await removals.wait(_SOON_S if is_pending else INTERVAL_S)

    def restore(self) -> bool:
        """Put back what is missing; return whether something is still to be done soon."""
        lost = self._runtime.restore()
        if lost.pid_files:
            _LOG.warning("put back files in %s, which were removed: %s", self._runtime.folder, _names(lost.pid_files))
        is_pending, errors = False, list(lost.errors)
        for key in lost.sockets & self._servers.keys():
            try:
                is_pending |= self._servers[key].command_socket.restore()
            except ComponentError as error:
                errors.append(error)
        self._report(errors)
        log.restore_files()
        return is_pending

    def _report(self, errors: list[ComponentError]) -> None:
        if not errors:
            self._outage.clear()
        elif self._outage.is_due or not self._outage.is_on:
            twice = [error for error in errors if isinstance(error, AlreadyRunning)]
            if twice:
                text = "%s runs twice: its pid file was removed, and the process %d was started; stop one of them"
                self._outage.log(text, twice[0].key, twice[0].pid)
            else:
                self._outage.log("control-rawdaq cannot find all components of this process: %s", errors[0])


def _names(keys: list[str]) -> str:
    return ", ".join(keys) if len(keys) <= 3 else f"{', '.join(keys[:3])} and {len(keys) - 3} more"
