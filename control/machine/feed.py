"""Reads the live streams of some publishers, those that somebody looks at; a change of these loses no packet."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping

from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet
from rawdaq.subscriber.live import Subscriber

MAX_PUBLISHERS = 32  # that one subscriber reads: each subscriber has threads of its own, and all its names at each

_OVERLAP_S = 1.0  # what the old subscriber has received may still wait to be read
_GIVE_UP_S = 30.0  # no packet of any stream came to the new one


class Feed:
    """Subscribers of up to `MAX_PUBLISHERS` publishers: one, and while the streams change an old and a new one.

    Args:
        take: called for each packet; one that both get comes twice.
        log: where an address that cannot be is logged.

    Attributes:
        wanted: the streams that are read, by address.
    """

    def __init__(self, take: Callable[[Packet], object], log: logging.Logger) -> None:
        self.wanted: Mapping[str, frozenset[str]] = {}
        self._take, self._log = take, log
        self._reading: _Reading | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    def set_wanted(self, wanted: Mapping[str, Collection[str]]) -> None:
        """Read the streams in *wanted*, given by address, from now on."""
        sets = {address: frozenset(streams) for address, streams in wanted.items() if streams}
        if sets == self.wanted:
            return
        self.wanted = sets
        before, self._reading = self._reading, None
        if sets:
            self._reading = _Reading(sets, self._take, self._log)
        if before is not None:
            ending = _end(before, self._reading)
            task = asyncio.get_running_loop().create_task(ending, name="end of a subscriber")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def unanswered(self) -> list[str]:
        """Return the addresses of publishers that have not answered so far."""
        return [] if self._reading is None else list(self._reading.subscriber.unanswered())

    async def aclose(self) -> None:
        """Read nothing more."""
        self.wanted = {}
        for task in self._retiring:
            task.cancel()
        if self._retiring:
            await asyncio.wait(set(self._retiring))
        if self._reading is not None:
            await self._reading.aclose()
            self._reading = None


async def _end(before: "_Reading", after: "_Reading | None") -> None:
    """End *before* when *after* has taken over."""
    try:
        if after is not None:
            try:
                async with asyncio.timeout(_GIVE_UP_S):
                    await after.has_begun.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(_OVERLAP_S)
    finally:
        await before.aclose()


class _Reading:
    """One subscriber, and the task that reads it.

    Attributes:
        subscriber: it.
        has_begun: set when a packet has come.
    """

    def __init__(
        self, wanted: Mapping[str, frozenset[str]], take: Callable[[Packet], object], log: logging.Logger
    ) -> None:
        streams = sorted({stream for each in wanted.values() for stream in each})
        self.subscriber = Subscriber(list(wanted), streams, logger=log)
        self.has_begun = asyncio.Event()
        self._take, self._log = take, log
        self._task = asyncio.get_running_loop().create_task(self._read(), name="subscriber of the web server")

    async def _read(self) -> None:
        try:
            while (packet := await self.subscriber.areceive()) is not None:
                self._take(packet)
                self.has_begun.set()
        except InvalidValue as error:  # of a component of another version
            self._log.warning("live streams cannot be shown: %s", error)
        finally:
            self.subscriber.close()

    async def aclose(self) -> None:
        """End."""
        self._task.cancel()
        await asyncio.wait([self._task])
