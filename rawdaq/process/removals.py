"""Waits until something is removed from folders; Linux reports that, so nobody has to look again and again."""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

#: Whether this system reports removals (``fcntl(2)``, F_NOTIFY).
IS_REPORTED = sys.platform == "linux"

_TOGETHER_S = 0.1  # what is removed within this time is looked at once


class Removals:
    """Notices that a file is removed from one of some folders, or moved out of it.

    Entered as a context in the main thread of a process: the system's reports come as SIGIO. A folder that is missing
    is passed over until the next `watch`.

    Args:
        folders: what is watched, without the folders in them.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._seen = asyncio.Event()
        self._descriptors: list[int] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        if IS_REPORTED:
            self._loop = asyncio.get_running_loop()
            self._loop.add_signal_handler(signal.SIGIO, self._seen.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGIO)

    def watch(self) -> None:
        """Notice what is removed from now on, once; the folders may be others of the same names than before."""
        self._close()
        self._seen.clear()
        if not IS_REPORTED:
            return
        for folder in self._folders:
            with suppress(OSError):  # missing, or on a file system that reports nothing
                self._descriptors.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                fcntl.fcntl(self._descriptors[-1], fcntl.F_NOTIFY, fcntl.DN_DELETE | fcntl.DN_RENAME)

    async def wait(self, timeout_s: float) -> None:
        """Return soon after something was removed, at the latest after *timeout_s*."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._seen.wait()
                await asyncio.sleep(_TOGETHER_S)

    def _close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())
