"""Tasks of a component that run side by side; the first that fails ends the component and says why."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from rawdaq.errors import ComponentError


async def first_of(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Return when the first of *coroutines* has ended; the others are cancelled. An error of any of them is raised."""
    tasks = [asyncio.get_running_loop().create_task(each) for each in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


class Tasks:
    """The tasks of a component.

    Args:
        log: where a failure is logged.
        stop: called when one has failed.

    Attributes:
        failure: why the first one failed, in words; None when none has.
    """

    def __init__(self, log: logging.Logger, stop: Callable[[], None]) -> None:
        self.failure: str | None = None
        self._log, self._stop = log, stop
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run *coroutine* beside the others."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        expected = isinstance(error, ComponentError)
        failure = str(error) if expected else f"{task.get_name()} ended with {error!r}"
        if failure != self.failure:  # the writer and the watcher of a closed pipe report the same
            self._log.critical("%s", failure, exc_info=None if expected else error)
        self.add_failure(failure)
        self._stop()

    def add_failure(self, failure: str) -> None:
        """Keep *failure* as the reason when it is the first."""
        self.failure = self.failure or failure

    async def cancel(self, selects: Callable[[str], bool], message: str) -> None:
        """Cancel the tasks whose names *selects* accepts; return when they have ended."""
        tasks = [task for task in self._tasks if selects(task.get_name())]
        for task in tasks:
            task.cancel(message)
        if tasks:
            await asyncio.wait(tasks)
