"""Looks at all components again and again, and sends targets what has changed; one dead target holds up none."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Sequence

from rawdaq.control.alarms.engine import Alarm, Engine
from rawdaq.control.alarms.memory import Memory
from rawdaq.control.alarms.outlet import Outlet
from rawdaq.control.alarms.settings import AlarmFile
from rawdaq.control.status.asking import Asked
from rawdaq.errors import RawdaqError

_CLOSE_S = 5.0  # for what waits when it is stopped
_LOG = logging.getLogger("rawdaq.alarms")


def machine_name(file: AlarmFile) -> str:
    """Return how messages call this machine."""
    return file.general.machine or socket.gethostname()


class Watch:
    """Alarms of one file.

    Args:
        file: rules and targets.
        ask: asks all components; it blocks.
        make_outlet: makes the outlet of a target; only tests have another one.
        memory: which alarms an earlier watch has sent, and this one; None: that ends with it.
    """

    def __init__(
        self,
        file: AlarmFile,
        ask: Callable[[], Asked],
        make_outlet: Callable[..., Outlet] = Outlet,
        memory: Memory | None = None,
    ) -> None:
        self._file, self._ask, self._memory = file, ask, memory
        self._mistakes: Sequence[str] = ()
        self._failure: str | None = None
        self.engine = Engine(file.rules)
        name = machine_name(file)
        self.outlets = {
            each: make_outlet(each, target, name, _LOG, self._tell_others) for each, target in file.targets.items()
        }

    async def run(self, stopped: asyncio.Event) -> None:
        """Look and send until *stopped* is set; then send what still waits, in time."""
        rules, targets = len(self._file.rules), len(self._file.targets)
        if self._memory is not None:
            told = await asyncio.to_thread(self._memory.load)
            self.engine.restore(told, time.monotonic(), time.time_ns())
        _LOG.info("watching %d rules of %s, with %d targets", rules, self._file.path, targets)
        tasks = [asyncio.create_task(outlet.run(), name=f"target {name}") for name, outlet in self.outlets.items()]
        waiting = asyncio.create_task(self._rounds(stopped), name="rounds")
        try:
            await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (waiting, *tasks):
                task.cancel()
            ended = await asyncio.gather(waiting, *tasks, return_exceptions=True)
            await asyncio.gather(*(outlet.aclose(_CLOSE_S) for outlet in self.outlets.values()))
            await self._remember()
        for each in ended:
            if isinstance(each, Exception):  # a bug: what watches others must not go on half
                raise each

    async def _rounds(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            began_s = time.monotonic()
            await self.look()
            await self._remember()
            left_s = began_s + self._file.general.check_every_s - time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left_s)):
                    await stopped.wait()

    async def _remember(self) -> None:
        """Keep which alarms have been sent, so that a watch that is started after this one does not repeat them."""
        if self._memory is None:
            return
        outlets = self.outlets.values()
        untold = [alarm for outlet in outlets for alarm in outlet.untold]
        # Which ones a target has lost is not known: it gets all that is bad anew.
        told = [] if any(outlet.has_lost for outlet in outlets) else self.engine.told(untold)
        await asyncio.to_thread(self._memory.save, told)

    async def look(self) -> list[Alarm]:
        """Ask all components once; have sent, and return, what has changed."""
        try:
            asked = await asyncio.to_thread(self._ask)
        except RawdaqError as error:
            self._note_failure(str(error))
            return []
        self._note_failure(None)
        if asked.mistakes != self._mistakes:
            self._mistakes = asked.mistakes
            for mistake in asked.mistakes:
                _LOG.error("components of this file are not watched: %s", mistake)
        alarms = self.engine.step(asked.rows, time.monotonic(), time.time_ns())
        for name, outlet in self.outlets.items():
            outlet.put([alarm for alarm in alarms if name in (self._file.rules[alarm.rule].to or self.outlets)])
        return alarms

    def _note_failure(self, reason: str | None) -> None:
        """Report to all targets, once, that no component can be asked; a watch that sees nothing must say so."""
        if reason is not None and self._failure is None:
            self._tell_others(None, f"components cannot be asked: {reason}")
        elif reason is None and self._failure is not None:
            _LOG.warning("components can be asked again")
        self._failure = reason

    def _tell_others(self, failing: Outlet | None, note: str) -> None:
        """Log a failure, and send it to the targets that do not fail."""
        _LOG.error("%s", note)
        for outlet in self.outlets.values():
            if outlet is not failing and not outlet.is_failing and not outlet.is_log:
                outlet.put_note(note)
