"""Looks after all components: finds them, asks them, and reports what has changed to those that wait for it.

Those at which somebody looks are asked every 2 s, others every 10 s; large ones for all that they say only every 30 s.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from rawdaq.control.health.disks import with_disks
from rawdaq.control.machine.asking import Asker
from rawdaq.control.machine.catalog import Catalog, Listed
from rawdaq.control.machine.sources import Source, stream_id
from rawdaq.control.web.components.events import EventMemory
from rawdaq.control.web.components.known import Known
from rawdaq.control.web.components.places import Places
from rawdaq.control.web.components.shown import iso
from rawdaq.control.web.messages import ChangesRequest
from rawdaq.control.web.models import Coordinates
from rawdaq.errors import ComponentError
from rawdaq.outage import Outage
from rawdaq.stream_id import StreamId

_TICK_S = 0.5
_LIST_S = 2.0
_LIST_PART = 0.1  # of the time at most: a look at a thousand pid files takes some
_LOOKED_AT_S = 2.0
_OTHERS_S = 10.0
_NEW_S = 60.0
_STATUS_S = 30.0
_DISKS_S = 30.0
_SMALL_STREAMS = 20  # of a component whose ``status`` costs hardly more than ``stats``
_REMIND_S = 600.0


class Watch:
    """The components of this machine.

    Args:
        catalog: finds them.
        asker: asks them.
        log: where it is logged that they cannot be found.

    Attributes:
        known: the components, by key.
        events: what has happened.
        version: grows with each change.
        mistakes: of station files.
        is_listed: set when the components were found for the first time.
    """

    def __init__(self, catalog: Catalog, asker: Asker, log: logging.Logger) -> None:
        self.known: dict[str, Known] = {}
        self.events = EventMemory()
        self.version = 1
        self.mistakes: Sequence[str] = ()
        self.is_listed = asyncio.Event()
        self._catalog, self._asker = catalog, asker
        self._places = Places()
        self._log = log
        self._outage, self._bugs = Outage(log, _REMIND_S), Outage(log, _REMIND_S)
        self._interests: dict[object, ChangesRequest] = {}
        self._looked_at: set[str] | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._sources: Mapping[StreamId, Source] = {}
        self._listed_s = self._disks_s = float("-inf")
        self._list_again_s = _LIST_S
        self._asking: dict[str, asyncio.Task[None]] = {}

    # ------------------------------------------------------------------ the loop

    async def run(self) -> None:
        """Look after the components until cancelled."""
        try:
            while True:
                now_s = time.monotonic()
                if now_s - self._listed_s >= self._list_again_s:
                    await self.list_now()
                if now_s - self._disks_s >= _DISKS_S and self.known:
                    self._disks_s = now_s
                    await self._look_at_disks()
                for known in self.known.values():
                    if known.is_running and now_s - known.asked_s >= self._interval_s(known):
                        self._ask(known, now_s)
                await asyncio.sleep(_TICK_S)
        finally:
            for task in list(self._asking.values()):
                task.cancel()
            if self._asking:
                await asyncio.wait(list(self._asking.values()))

    async def list_now(self) -> None:
        """Find the components."""
        began_s = time.monotonic()
        try:
            listed, places = await asyncio.to_thread(self._look)
        except ComponentError as error:
            if self._outage.is_due:
                self._outage.log("%s", error)
            return
        finally:
            took_s = time.monotonic() - began_s
            self._listed_s, self._list_again_s = time.monotonic(), max(_LIST_S, took_s / _LIST_PART)
        self._outage.clear()
        self._take_list(listed, places)
        self.is_listed.set()

    def _look(self) -> tuple[Listed, Mapping[str, Coordinates]]:
        """Return what there is, and where the stations are; this blocks."""
        listed = self._catalog.look()
        return listed, self._places.of([each.settings for each in listed.targets if each.settings])

    def _take_list(self, listed: Listed, places: Mapping[str, Coordinates]) -> None:
        now_ns = time.time_ns()
        self.mistakes = listed.mistakes
        keys = {target.key for target in listed.targets}
        for key in [key for key in self.known if key not in keys]:
            del self.known[key]
            self._asker.forget(key)
            self._bump()
        for target in listed.targets:
            place = places.get(target.station)
            known = self.known.get(target.key)
            if known is None:
                known = self.known[target.key] = Known(target, place, now_ns)
                known.relist(target, place, now_ns)
            elif (known.target, known.answered.coordinates) == (target, place):
                continue
            else:
                known.relist(target, place, now_ns)
                if not known.is_running:
                    self._asker.forget(target.key)
            self._show(known, now_ns)
        self.known = {target.key: self.known[target.key] for target in listed.targets}  # in their order

    async def _look_at_disks(self) -> None:
        running = [known for known in self.known.values() if known.answered.asked_ns is not None and known.is_running]
        rows = [known.answered.row for known in running]
        found = await asyncio.to_thread(with_disks, rows)
        now_ns = time.time_ns()
        for known, row in zip(running, found, strict=True):
            known.take_disks(row.get("disks"), now_ns)
            self._show(known, now_ns)

    def _interval_s(self, known: Known) -> float:
        if self._looked_at is None:
            self._looked_at = {key for key, each in self.known.items() if self._is_looked_at(each)}
        is_new = (known.shown.value["uptime_s"] or 0.0) < _NEW_S  # its streams are about to come
        return _LOOKED_AT_S if is_new or known.key in self._looked_at else _OTHERS_S

    def _is_looked_at(self, known: Known) -> bool:
        for request in self._interests.values():
            if known.key in request.details:
                return True
            streams = filter(None, map(stream_id, known.streams))
            if request.streams and any(stream.matches(request.streams) for stream in streams):
                return True
        return False

    def _ask(self, known: Known, now_s: float) -> asyncio.Task[None]:
        """Begin to ask *known*, unless it is being asked."""
        if (task := self._asking.get(known.key)) is not None:
            return task
        is_small = len(known.streams) <= _SMALL_STREAMS
        is_opened = any(known.key in request.details for request in self._interests.values())
        is_status = is_small or is_opened or now_s - known.status_s >= _STATUS_S or "error" in known.answered.row
        known.asked_s = now_s
        if is_status:
            known.status_s = now_s
        task = asyncio.get_running_loop().create_task(
            self._ask_for(known, is_status=is_status), name=f"asking {known.key}"
        )
        self._asking[known.key] = task
        task.add_done_callback(lambda done: self._end_asking(known.key, done))
        return task

    def _end_asking(self, key: str, task: asyncio.Task[None]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled() and (error := task.exception()) is not None and self._bugs.is_due:
            self._log.error("what %s says cannot be shown", key, exc_info=error)
            self._bugs.log("the page shows what it said before; this is a bug")

    async def _ask_for(self, known: Known, *, is_status: bool) -> None:
        run = known.target.running
        answer, took_s = await self._asker.timed(known.key, "status" if is_status else "stats")
        if self.known.get(known.key) is not known or known.target.running != run:  # it has ended meanwhile
            return
        now_ns = time.time_ns()
        known.take(answer, took_s, now_ns, is_status=is_status)
        self._show(known, now_ns)

    async def refresh(self, known: Known) -> None:
        """Ask *known* now, unless that was just done."""
        now_s = time.monotonic()
        if known.is_running and now_s - known.status_s >= _LOOKED_AT_S:
            known.status_s = float("-inf")
            await asyncio.shield(self._ask(known, now_s))

    # ------------------------------------------------------------------ changes

    def _show(self, known: Known, now_ns: int) -> None:
        before = known.shown.value
        had_streams = set(known.streams)
        if known.show(self.version + 1):
            self._bump()
        if known.streams.keys() != had_streams:
            self._looked_at = None
        after = known.shown.value
        if not before or (before["condition"], before["number"]) != (after["condition"], after["number"]):
            self._note_event(before, after, now_ns)

    def _note_event(self, before: Mapping[str, object], after: Mapping[str, object], now_ns: int) -> None:
        if not before and after["condition"] == "well":
            return
        self.events.add(
            time=iso(now_ns),
            component=after["key"],
            title=after["title"],
            condition=after["condition"],
            before=before.get("condition"),
            number=after["number"],
            sentence=after["sentence"],
        )

    def _bump(self) -> None:
        self.version += 1
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_newer(self, version: int) -> None:
        """Return when something has changed since *version*."""
        while self.version <= version:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def set_interest(self, who: object, request: ChangesRequest | None) -> None:
        """Take note of what *who* looks at; None: nothing any more."""
        if request is None:
            self._interests.pop(who, None)
        else:
            self._interests[who] = request
        self._looked_at = None

    # ------------------------------------------------------------------ what there is

    def sorted_components(self) -> list[Known]:
        """Return the components, the worst first; of those that are as bad in the order of their names."""
        return sorted(self.known.values(), key=lambda known: (-known.shown.value["number"], known.key))

    def by_stream(self) -> dict[str, Known]:
        """Return for each stream the component that publishes it; of two, one that runs."""
        found: dict[str, Known] = {}
        for known in self.known.values():
            for name in known.streams:
                other = found.get(name)
                if other is None or (known.is_running and not other.is_running):
                    found[name] = known
        return dict(sorted(found.items()))

    def sources(self) -> Mapping[StreamId, Source]:
        """Return where each stream comes from; another mapping when something has changed."""
        of = {known.key: known.sources() for known in self.known.values()}
        found = {
            stream: of[known.key][stream]
            for name, known in self.by_stream().items()
            if (stream := stream_id(name)) is not None
        }
        if found != self._sources:
            self._sources = found
        return self._sources
