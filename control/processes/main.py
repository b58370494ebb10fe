"""The process of components, one or many in one event loop: ``python -m rawdaq.control.processes.main NAME``.

Its standard input says what to run, as JSON: ``{"core_id": null, "configuration": "/etc/stations", "is_strict": false,
"members": [[STATION_FILE, KEY], ...]}``. NAME is the key of a component that has the process to itself, or what a
shared process of that configuration is called, such as ``group.1``. What becomes of one component concerns no other;
see ``docs/decisions/many-stations.md``.
"""

import asyncio
import functools
import json
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence, Set
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rawdaq import config, open_files, station
from rawdaq.config import ComponentSettings
from rawdaq.config.settings import split_address
from rawdaq.control.processes.groups import least_files, shortage
from rawdaq.control.processes.notices import announce
from rawdaq.control.processes.reload import Reloading, reload_logged
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.log import SocketLogHandler
from rawdaq.process import limits, log, member_log
from rawdaq.process.log import LogForm
from rawdaq.process.member_log import MemberLogs
from rawdaq.process.runs import AlreadyRunning, process_key
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.process.runtime_watch import RuntimeWatch
from rawdaq.process.signals import stopping_on_signal
from rawdaq.process.systemd.notify import Notifier
from rawdaq.publisher import LastEnd
from rawdaq.receiver_server import ReceiverServer
from rawdaq.sockets.zeromq.context import large_context

_LOG = logging.getLogger("rawdaq.process")

_GROUP_START_TIMEOUT_S = 30.0  # a component of a shared process that does not open by then fails
_ASK_AGAIN_S = 0.1
_LAST_ANSWERS_S = 2.0  # for the answers to `stop` that are still on their way


@dataclass(frozen=True, slots=True)
class Member:
    """A component that a process is to run.

    Attributes:
        key: its ``NET.STA.NAME``.
        file: its station file.
        load: returns its settings; raises a `RawdaqError` when they are wrong.
    """

    key: str
    file: Path
    load: Callable[[], ComponentSettings]

    @classmethod
    def of(cls, component: ComponentSettings) -> "Member":
        """Return the member with the settings *component*."""
        return cls(component.key, component.file, lambda: component)


@dataclass(slots=True)
class Process:
    """Runs components in one event loop until all have ended.

    Attributes:
        runtime: where their pid files and command sockets are.
        core_ids: the processor cores of the process; empty leaves that to the system.
        group: what users call the process when components share it; None when a component has it to itself.
        configuration: the station file, or the folder of them, that a shared process was started for.
        has_log_files: whether components log into files of their own; else to standard error or the system's log.
        logs: the logs of the components of a shared process.
        log_level: the least severe messages that are shown; None: what the settings of each component say.
        log_format: how log lines are written; None: as the settings of each component say.
        notifier: reports to the service manager that started the process; by default there is none.
        ends_together: whether one that fails stops the others.
        needs_commands: whether a component that cannot be asked by `control-rawdaq` fails; else it runs on.
        may_run_twice: whether a component runs although another process runs it too; else it fails.
        patience_s: how long that other process may take to end, before the component fails.
        is_strict: whether a component fails of which a publisher cannot open; else it runs on without that.
    """

    runtime: RuntimeFiles
    core_ids: Set[int] = frozenset[int]()
    group: str | None = None
    configuration: Path | None = None
    has_log_files: bool = False
    logs: MemberLogs | None = None
    log_level: str | None = None
    log_format: LogForm | None = None
    notifier: Notifier = field(default_factory=lambda: Notifier(None))
    ends_together: bool = False
    needs_commands: bool = True
    may_run_twice: bool = False
    patience_s: float = 0.0
    is_strict: bool = False

    def run(self, members: Sequence[Member]) -> int:
        """Run *members* until all have ended; return the exit status: 0 when all ended in order, else 1.

        Raises:
            ComponentError: another process has the name of the group, or the system allows it too few open files.
        """
        open_files.raise_open_files(least_files(len(members)))
        with ExitStack() as stack:
            if self.group is not None:
                stack.enter_context(self._hold_name(process_key(self.group, self.configuration)))
            if len(members) > 1:
                stack.enter_context(_one_zmq_context())
            return asyncio.run(_Run(self, members).serve())

    @contextmanager
    def _hold_name(self, name: str) -> Generator[None]:
        try:
            with self.runtime.hold(name, self.configuration or Path(), 0, log_file=self.log_file(name)):
                yield
        except AlreadyRunning as error:
            raise ComponentError(
                f"another start has just taken the name {name}; start these components again"
            ) from error

    def log_file(self, key: str) -> Path | None:
        """Return the log file of *key*; None when it has none."""
        return self.runtime.log_file(key) if self.has_log_files else None

    @contextmanager
    def hold(self, settings: ComponentSettings) -> Generator[str | None]:
        """Hold the pid file of a component and yield the address of its command socket; None when it has none.

        Raises:
            ComponentError: it cannot have them, and needs them.
        """
        with ExitStack() as stack:
            try:
                if not self.needs_commands:
                    self.runtime.prepare()
                held = self.runtime.hold(
                    settings.key,
                    settings.file,
                    settings.daemon.stop_timeout_s,
                    self.group,
                    configuration=self.configuration,
                    log_file=self.log_file(settings.key),
                )
                stack.enter_context(held)
                address = self.runtime.command_address(settings.key)
            except (ComponentError, OSError) as error:
                is_second_copy = isinstance(error, AlreadyRunning) and not self.may_run_twice
                if self.needs_commands or is_second_copy:
                    raise
                _LOG.warning("control-rawdaq cannot talk to %s: %s", settings.key, error)
                address = None
            yield address


class _Run:
    """One run of a process: its members, each in a task of its own."""

    def __init__(self, process: Process, members: Sequence[Member]) -> None:
        self._process = process
        self._members = members
        self._servers: dict[str, ReceiverServer] = {}
        self._are_built = asyncio.Event()
        self._is_stopping = False
        self._reloads: list[asyncio.Future[None]] = []

    async def serve(self) -> int:
        """Serve all members; return the exit status."""
        # A hang-up is what a service manager says for a reload; else it comes from a terminal that was closed.
        reload = self._reload if self._process.notifier.address is not None else None
        with stopping_on_signal(self._stop, self._retry, is_last=True, reload=reload):
            tasks = [asyncio.create_task(self._run(member), name=member.key) for member in self._members]
            await asyncio.sleep(0)  # the first step of each task builds its component
            watch = asyncio.create_task(RuntimeWatch(self._process.runtime, self._servers).run(), name="runtime files")
            telling = announce(self._process.notifier, self._servers.values(), len(tasks))
            notices = asyncio.create_task(telling, name="notices")
            station.spare_collector()
            self._are_built.set()
            if self._process.group:
                _LOG.info("%s runs %d components", self._process.group, len(tasks))
            ends = await asyncio.gather(*tasks)
            watch.cancel()
            notices.cancel()
            self._process.notifier.stopping()
        failures = ends.count(False)
        if self._process.group:
            _LOG.info("%s has stopped, %d components ended with an error", self._process.group, failures)
        return 1 if failures else 0

    def _stop(self) -> None:
        self._is_stopping = True
        self._process.notifier.stopping()
        for server in self._servers.values():
            server.stop()

    def _retry(self) -> None:
        for server in self._servers.values():
            server.cmd_retry()

    def _reload(self) -> None:
        if not self._is_stopping:
            self._reloads = [asyncio.ensure_future(reload_logged(server)) for server in self._servers.values()]

    async def _run(self, member: Member) -> bool:
        """Run *member* to its end; return whether it ended in order. Its errors are logged."""
        async with AsyncExitStack() as at_end:
            return await self._run_logged(member, at_end)

    async def _run_logged(self, member: Member, at_end: AsyncExitStack) -> bool:
        logs, runtime = self._process.logs, self._process.runtime
        own_log = logs.add(runtime.log_file(member.key)) if logs else None
        if own_log:
            own_log.attach()
        try:
            await self._serve(member, at_end)
        except RawdaqError as error:
            _LOG.error("%s", error)
        except Exception:
            _LOG.critical("%s ended with an unexpected error", member.key, exc_info=True)
        else:
            return True
        finally:
            if logs and own_log:
                logs.remove(own_log)
        if self._process.ends_together:
            self._stop()
        return False

    async def _serve(self, member: Member, at_end: AsyncExitStack) -> None:
        process = self._process
        try:
            settings = member.load()
        except Exception as error:  # later ones are kept by `hold`
            process.runtime.keep_error(member.key, member.file, error, process.log_file(member.key))
            raise
        if process.log_level is None:
            member_log.set_level(settings.daemon.log_level)
        if process.log_format is None:
            member_log.set_format(settings.daemon.log_format)
        await at_end.enter_async_context(_log_sent(settings))  # until the last error of the component is logged
        await self._wait_for_copy(settings.key)
        last_end = _last_end(process.runtime, settings.key)
        with process.hold(settings) as address:
            limits.bind_cores(process.core_ids)
            server = station.prepare(settings, address)
            server.last_end = last_end
            server.needs_all_publishers = process.is_strict
            if process.group is not None:
                server.start_timeout_s = _GROUP_START_TIMEOUT_S
            self._servers[settings.key] = server
            await self._are_built.wait()
            if not self._is_stopping:
                async with Reloading(server, settings, process):
                    await server.serve()

    async def _wait_for_copy(self, key: str) -> None:
        """Return when no other process runs *key*, or its time is over."""
        end_s, is_logged = time.monotonic() + self._process.patience_s, False
        while time.monotonic() < end_s and not self._is_stopping:
            with suppress(ComponentError):  # `hold` decides what that means
                if not ((running := self._process.runtime.running(key)) and running.is_alive):
                    return
                if not is_logged:
                    _LOG.info("%s: waiting for the process %d, which still runs it, to end", key, running.pid)
                    is_logged = True
            await asyncio.sleep(_ASK_AGAIN_S)


@asynccontextmanager
async def _log_sent(settings: ComponentSettings) -> AsyncGenerator[None]:
    """Send the log of a component where its settings say."""
    if settings.daemon.log_to is None:
        yield
        return
    handler = SocketLogHandler(*split_address(settings.daemon.log_to), settings.key)
    try:
        with member_log.copied_to(handler):
            yield
    finally:
        await asyncio.to_thread(handler.close)


def _last_end(runtime: RuntimeFiles, key: str) -> LastEnd:
    """Return how the last run of *key* ended; without runtime files it counts as stopped."""
    try:
        ended = runtime.ended(key)
    except ComponentError:
        ended = None
    if ended is None:
        return LastEnd.STOPPED
    return LastEnd.KILLED if ended.error is None else LastEnd.FAILED


@contextmanager
def _one_zmq_context() -> Generator[None]:
    """Let all receivers use one ZMQ context."""
    context = ReceiverServer.shared_context = large_context()
    try:
        yield
    finally:
        ReceiverServer.shared_context = None
        # It would wait for ever for a socket that a receiver forgot to close.
        ending = threading.Thread(target=context.term, name="zmq ends", daemon=True)
        ending.start()
        ending.join(_LAST_ANSWERS_S)


def run_here(
    component: ComponentSettings, runtime: RuntimeFiles, *, is_strict: bool = False, log_format: LogForm | None = None
) -> int:
    """Run *component* in this process, which logs to standard error; return the exit status.

    It reports its state to a service manager that runs it; see `rawdaq.process.systemd.notify`.

    Raises:
        ComponentError: the runtime folder cannot be used.
    """
    runtime.prepare()
    log.configure(component.daemon.log_level, form=log_format or component.daemon.log_format)
    if short := shortage([component]):
        _LOG.warning("%s", short)
    core_id = component.daemon.core_id
    core_ids = frozenset[int]() if core_id is None else {core_id}
    process = Process(runtime, core_ids, is_strict=is_strict, log_format=log_format or component.daemon.log_format)
    process.notifier = Notifier.of_environment(os.environ)
    return process.run([Member.of(component)])


def main(args: Sequence[str]) -> int:
    """Run the components that standard input names in a process that is called *args*; return the exit status."""
    order = json.load(sys.stdin)
    name, core_id = args[0], order["core_id"]
    configuration = Path(order["configuration"]) if order["configuration"] else None
    load_file = functools.cache(config.load)  # a station file may have several components
    members = [
        Member(key, Path(file), functools.partial(_load, load_file, Path(file), key, core_id))
        for file, key in order["members"]
    ]
    is_alone = [member.key for member in members] == [name]
    try:
        with RuntimeFiles.find() as runtime:
            runtime.prepare()
            core_ids = frozenset[int]() if core_id is None else {core_id}
            process = Process(runtime, core_ids, None if is_alone else name, configuration, has_log_files=True)
            process.is_strict = order["is_strict"]
            if is_alone:
                log.configure("INFO", runtime.log_file(name))
            else:
                process.logs = member_log.configure_shared(runtime.log_file(process_key(name, configuration)))
            return process.run(members)
    except RawdaqError as error:
        print(error, file=sys.stderr)
        return 1


def _load(
    load_file: Callable[[Path], config.StationFile], file: Path, key: str, core_id: int | None
) -> ComponentSettings:
    """Return the settings of the component *key* of *file*, which must run on the core *core_id*."""
    for component in load_file(file).components:
        if component.key == key:
            if component.daemon.core_id != core_id:
                raise ComponentError("its Daemon.core_id was changed just now; start it again")
            return component
    raise ComponentError(f"{file} has no component {key} (any more)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
