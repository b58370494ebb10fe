"""The process of several components: ``python -m rawdaq.control.processes.group NAME``.

Its standard input says which, as JSON: ``{"core_id": null, "members": [[STATION_FILE, KEY], ...]}``. What becomes of
one component concerns no other; see ``docs/decisions/many-stations.md``.
"""

import asyncio
import functools
import json
import logging
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rawdaq import config, station
from rawdaq.config.settings import ComponentSettings
from rawdaq.control.processes import component
from rawdaq.control.processes import file_limits as open_files
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.process import member_log
from rawdaq.process.member_log import MemberLog, MemberLogs
from rawdaq.process.runtime_files import AlreadyRunning, RuntimeFiles
from rawdaq.process.signals import stopping_on_signal
from rawdaq.receiver_server import ReceiverServer
from rawdaq.sockets.zmq_context import large_context

_LOG = logging.getLogger("rawdaq.group")

_START_TIMEOUT_S = 30.0  # one that takes longer is given up; the others have long begun
_LAST_ANSWERS_S = 2.0  # for the answers to `stop` that are still on their way


def main(args: Sequence[str]) -> int:
    """Run the components that standard input names in the process *args* names; return the exit status."""
    order = json.load(sys.stdin)
    members = [(Path(file), key) for file, key in order["members"]]
    try:
        with RuntimeFiles.find() as runtime:
            runtime.prepare()
            open_files.raise_limit()
            logs = member_log.configure(runtime.log_file(args[0]))
            return Group(args[0], order["core_id"], runtime, logs).run(members)
    except RawdaqError as error:
        print(error, file=sys.stderr)
        return 1


class Group:
    """A process that components share.

    Args:
        name: what it is called.
        core_id: the processor core of all its components.
        runtime: where their pid files and command sockets are.
        logs: where they log.
    """

    def __init__(self, name: str, core_id: int | None, runtime: RuntimeFiles, logs: MemberLogs) -> None:
        self.name = name
        self.core_id = core_id
        self.runtime = runtime
        self.logs = logs
        self.load = functools.cache(config.load)  # a station file may have several components

    def run(self, members: Sequence[tuple[Path, str]]) -> int:
        """Run *members*, each a station file and a key, until all have ended; return the exit status.

        Raises:
            ComponentError: another process has the name.
        """
        try:
            with self.runtime.hold(self.name, Path(), 0), _one_zmq_context():
                return asyncio.run(self._serve([Member(self, file, key) for file, key in members]))
        except AlreadyRunning as error:
            raise ComponentError(
                f"another start has just taken the name {self.name}; start these components again"
            ) from error

    async def _serve(self, members: "Sequence[Member]") -> int:
        def stop() -> None:
            for member in members:
                member.stop()

        are_built = asyncio.Event()
        with stopping_on_signal(stop):
            tasks = [asyncio.create_task(member.run(are_built), name=member.key) for member in members]
            await asyncio.sleep(0)  # the first step of each task builds its component
            station.spare_collector()
            are_built.set()
            _LOG.info("%s runs %d components", self.name, len(members))
            results = await asyncio.gather(*tasks, return_exceptions=True)
        failures = len(results) - results.count(True)
        _LOG.info("%s has stopped, %d components ended with an error", self.name, failures)
        return 1 if failures else 0


class Member:
    """One component of a shared process.

    Args:
        group: the process.
        file: its station file.
        key: its ``NET.STA.NAME``.
    """

    def __init__(self, group: Group, file: Path, key: str) -> None:
        self.key = key
        self._group = group
        self._file = file
        self._server: ReceiverServer | None = None

    def stop(self) -> None:
        """Stop it in order, if it has come so far."""
        if self._server is not None:
            self._server.stop()

    async def run(self, are_built: asyncio.Event) -> bool:
        """Run it to its end, and return whether that was in order; nothing that happens to it comes out.

        Args:
            are_built: set when it may open, because all are built.
        """
        log = self._group.logs.add(self._group.runtime.log_file(self.key))
        log.claim()
        try:
            await self._serve(log, are_built)
        except RawdaqError as error:
            _LOG.error("%s", error)
        except Exception:
            _LOG.critical("%s ended with an error that nobody foresaw", self.key, exc_info=True)
        else:
            return True
        finally:
            self._group.logs.remove(log)
        return False

    async def _serve(self, log: MemberLog, are_built: asyncio.Event) -> None:
        group, settings = self._group, self._settings()
        with group.runtime.hold(self.key, settings.file, settings.daemon.stop_timeout_s, group.name):
            log.set_level(settings.daemon.log_level)
            self._take_core(settings.daemon.core_id)
            server = self._server = station.prepare(settings, group.runtime.command_address(self.key))
            server.start_timeout_s = _START_TIMEOUT_S
            await are_built.wait()
            await server.serve()

    def _settings(self) -> ComponentSettings:
        try:
            return component.find(self._group.load(self._file), self.key)
        except Exception as error:
            self._group.runtime.keep_error(self.key, self._file, error)  # as `hold` does with what goes wrong later
            raise

    def _take_core(self, core_id: int | None) -> None:
        if core_id != self._group.core_id:
            raise ComponentError("its Daemon.core_id was changed just now: start it again, with others of that core")
        if core_id is not None:
            component.bind_cores({core_id})


@contextmanager
def _one_zmq_context() -> Generator[None]:
    """Let all receivers use one ZMQ context."""
    context = ReceiverServer.shared_context = large_context()
    try:
        yield
    finally:
        ReceiverServer.shared_context = None
        # It would wait for ever for a socket that somebody's receiver forgot to close.
        ending = threading.Thread(target=context.term, name="zmq ends", daemon=True)
        ending.start()
        ending.join(_LAST_ANSWERS_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
