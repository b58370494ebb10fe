"""What a person asks for: start, stop, restart, pause, resume, log level; one at a time for each component."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rawdaq.config import ComponentSettings
from rawdaq.control.machine.asking import Asker
from rawdaq.control.names import Target
from rawdaq.control.processes import children
from rawdaq.control.processes.groups import running_groups
from rawdaq.control.processes.jobs import Results
from rawdaq.control.processes.start import start
from rawdaq.control.processes.stop import stop
from rawdaq.control.rest.routes import Refused
from rawdaq.control.web.components.known import Known
from rawdaq.control.web.components.watch import Watch
from rawdaq.control.web.models import Command, Done
from rawdaq.errors import CommandError, NoAnswer, RawdaqError
from rawdaq.process.runtime_files import RuntimeFiles

_ASKED = {"pause": "pause", "resume": "resume", "log-level": "log_level"}
_TIMEOUT_S = 35.0  # a command may take 30 s


class Orders:
    """Commands to components.

    Args:
        watch: the components.
        asker: asks those that run.
        runtime: their files.
        log: where each command is logged.
    """

    def __init__(self, watch: Watch, asker: Asker, runtime: RuntimeFiles, log: logging.Logger) -> None:
        self._watch, self._asker, self._runtime, self._log = watch, asker, runtime, log
        self._busy: dict[str, Command] = {}
        self._children: set[int] = set()

    async def do(self, known: Known, command: Command, args: Sequence[str] = ()) -> Done:
        """Do *command* and return what happened.

        Raises:
            Refused: it cannot be done now, or it failed.
        """
        if (other := self._busy.get(known.key)) is not None:
            raise Refused(409, f"{known.key}: the command {other} is still at work; wait for its end")
        self._busy[known.key] = command
        try:
            self._log.warning("%s: %s by a client of the web server", known.key, " ".join((command, *args)))
            result = await (self._ask(known, command, args) if command in _ASKED else self._run(known.target, command))
        finally:
            del self._busy[known.key]
        await self._watch.list_now()
        if (now := self._watch.known.get(known.key)) is not None:
            now.status_s = float("-inf")
            await self._watch.refresh(now)
        return Done(component=known.key, command=command, result=result)

    async def _ask(self, known: Known, command: Command, args: Sequence[str]) -> str:
        if not known.is_running:
            raise Refused(409, f"{known.key} does not run; start it first")
        try:
            return str(await self._asker.ask(known.key, _ASKED[command], args, _TIMEOUT_S))
        except NoAnswer as error:
            raise Refused(502, f"{error}; its log may say why") from error
        except CommandError as error:
            raise Refused(502, str(error)) from error

    async def _run(self, target: Target, command: Command) -> str:
        """Start, stop or restart *target*; a thread does it, which is not left alone when the client goes."""
        doing = asyncio.get_running_loop().create_task(asyncio.to_thread(self._do, target, command))
        try:
            return await asyncio.shield(doing)
        except RawdaqError as error:
            raise Refused(409, str(error)) from error
        finally:
            if not doing.done():
                await asyncio.wait([doing])

    def _do(self, target: Target, command: Command) -> str:
        children.interrupted.clear()
        parts: list[str] = []
        if command == "restart":  # first: with invalid settings nothing is stopped
            groups = running_groups([_settings(target)], self._runtime)
            if target.state == "running":
                parts.append(f"stopped (pid {_pid(stop([target.key], self._runtime), target.key)})")
            parts.append(self._start(target.key, groups))
        elif command == "start":
            parts.append(self._start(target.key, [(None, [_settings(target)])]))
        else:
            parts.append(f"stopped (pid {_pid(stop([target.key], self._runtime), target.key)})")
        return ", ".join(parts)

    def _start(self, key: str, groups: Sequence[tuple[Path | None, list[ComponentSettings]]]) -> str:
        results: Results = {}
        for configuration, group in groups:
            results |= start([group], self._runtime, configuration)
        pid = _pid(results, key)
        self._children.add(pid)
        return f"started (pid {pid})"

    def reap(self) -> None:
        """Take note of processes that were started here and have ended, so that the system can forget them."""
        for pid in list(self._children):
            ended = True
            with suppress(ChildProcessError):  # who stopped it has seen its end
                ended = children.exit_status(pid) is not None
            if ended:
                self._children.discard(pid)


def _pid(results: Results, key: str) -> int:
    """Return the process of *key*.

    Raises:
        RawdaqError: it could not be started or stopped.
    """
    result = results[key]
    if isinstance(result, RawdaqError):
        raise result
    return result


def _settings(target: Target) -> ComponentSettings:
    """Return what its station file says of *target*.

    Raises:
        Refused: no valid station file describes it.
    """
    if target.settings is None:
        raise Refused(409, f"{target.key} is in no valid station file; `control-rawdaq check` says what is wrong")
    return target.settings
