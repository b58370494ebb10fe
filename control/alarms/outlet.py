"""One target, what waits for it, and the task that sends it: again after a failure, and not for ever."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rawdaq.control.alarms.engine import Alarm
from rawdaq.control.alarms.notice import Notice
from rawdaq.control.alarms.settings import LogTarget, Target
from rawdaq.control.alarms.targets import PartlyTold, Tell, teller
from rawdaq.errors import RawdaqError
from rawdaq.sockets.dialling import Backoff

_MAX_WAITING = 1000  # alarms; of a network that is down each stream may have one
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0


class Outlet:
    """Sends to one target.

    Args:
        name: of the target.
        target: its settings.
        machine: where messages come from.
        log: where failures are logged.
        on_failure: called with a sentence when sending begins to fail, and when alarms are given up.
        tell: sends a notice once; by default as the kind of the target takes it.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        machine: str,
        log: logging.Logger,
        on_failure: Callable[["Outlet", str], None],
        tell: Tell | None = None,
    ) -> None:
        self.name = name
        self._target, self._machine, self._log = target, machine, log
        self._on_failure = on_failure
        self._executor = ThreadPoolExecutor(1, f"alarm target {name}")
        self._tell = tell or teller(target, self._executor, log.getChild(name))
        self._waiting: deque[tuple[float, Alarm]] = deque()
        self._being_told: list[tuple[float, Alarm]] = []
        self._notes: deque[str] = deque(maxlen=10)
        self._news = asyncio.Event()
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._missing = 0
        self.is_failing = False
        self.is_log = isinstance(target, LogTarget)

    def put(self, alarms: list[Alarm]) -> None:
        """Have *alarms* sent; the oldest that wait are given up when there are too many."""
        now_s = time.monotonic()
        self._waiting += [(now_s, alarm) for alarm in alarms]
        self._give_up(lambda at_s: len(self._waiting) > _MAX_WAITING, "there are too many")
        if alarms:
            self._news.set()

    @property
    def untold(self) -> list[Alarm]:
        """What waits to be sent, the oldest first."""
        return [alarm for _, alarm in (*self._being_told, *self._waiting)]

    @property
    def has_lost(self) -> bool:
        """Whether alarms were given up, and no message that says so has arrived yet."""
        return self._missing > 0

    def put_note(self, note: str) -> None:
        """Have a sentence about the alarms themselves sent."""
        self._notes.append(note)
        self._news.set()

    def _give_up(self, is_over: Callable[[float], bool], why: str) -> None:
        lost = 0
        while self._waiting and is_over(self._waiting[0][0]):
            self._waiting.popleft()
            lost += 1
        if lost:
            self._missing += lost
            self._on_failure(self, f"{lost} alarms for the target {self.name} are given up: {why}")

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        most_s = self._target.give_up_after_s
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting or self._notes:
                if not await self._attempt():
                    await asyncio.sleep(self._backoff.next_s())
                    self._give_up(lambda at_s: time.monotonic() - at_s >= most_s, f"it has failed for {most_s:g} s")

    async def _attempt(self) -> bool:
        """Send all that waits by now, as one message; return whether that was possible."""
        sent, notes, missing = list(self._waiting), list(self._notes), self._missing
        self._being_told = sent
        self._waiting.clear()
        self._notes.clear()
        self._missing = 0
        note = "; ".join(notes) or None
        is_told = False
        try:
            alarms = [alarm for _, alarm in sent]
            await self._tell(Notice(self._machine, time.time_ns(), alarms, missing, note))
            is_told = True
        except PartlyTold as error:
            is_told = True  # those that have got it must not get it again
            self._on_failure(self, str(error))
        except RawdaqError as error:
            self._fail(str(error))
        finally:
            self._being_told = []
            if not is_told:
                self._waiting.extendleft(reversed(sent))
                self._notes.extendleft(reversed(notes))
                self._missing += missing
        if is_told:
            self._succeed()
        return is_told

    def _succeed(self) -> None:
        if self.is_failing:
            self._log.warning("the target %s takes messages again", self.name)
        self.is_failing = False
        self._backoff.reset()

    def _fail(self, reason: str) -> None:
        if not self.is_failing:
            self._on_failure(self, f"the target {self.name} takes no message: {reason}; it is tried again")
        self.is_failing = True

    async def tell_once(self, notice: Notice) -> str | None:
        """Send *notice* now; return why that failed, None when it did not."""
        try:
            await self._tell(notice)
        except RawdaqError as error:
            return str(error)
        return None

    async def aclose(self, timeout_s: float) -> None:
        """Send what still waits, once and in time; log what cannot be sent."""
        if (self._waiting or self._notes) and not self.is_failing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._attempt()
        if self._waiting:
            self._log.error("%d alarms for the target %s were not sent", len(self._waiting), self.name)
        self._executor.shutdown(wait=False, cancel_futures=True)
