"""The WebSockets: live samples, changes of components, and lines of logs as they come."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from rawdaq.control.logs import size_bytes
from rawdaq.control.machine import log
from rawdaq.control.machine.sources import stream_id
from rawdaq.control.rest.client import Client
from rawdaq.control.rest.routes import Refused, mistakes_of
from rawdaq.control.web.components.known import Known
from rawdaq.control.web.components.shown import iso
from rawdaq.control.web.components.watch import Watch
from rawdaq.control.web.live.hub import Hub
from rawdaq.control.web.live.viewer import Viewer
from rawdaq.control.web.messages import Changes, ChangesRequest, LiveRequest, LogMessage, LogRequest, ProblemMessage
from rawdaq.control.web.models import LogLine, Problem
from rawdaq.errors import InvalidValue
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.process.tasks import first_of
from rawdaq.stream_id import check_patterns

M = TypeVar("M", bound=BaseModel)

_LEAST_INTERVAL_S = 1.0  # between two messages of ``/changes``
_MAX_LINES = 500  # of a message of ``/log``


class PageSockets:
    """What serves the WebSockets.

    Args:
        watch: the components.
        hub: the live streams.
        runtime: where logs are.
    """

    def __init__(self, watch: Watch, hub: Hub, runtime: RuntimeFiles) -> None:
        self._watch, self._hub, self._runtime = watch, hub, runtime

    async def live(self, socket: Client, _: Mapping[str, str]) -> None:
        """Serve ``/live``."""
        viewer = Viewer()

        def take(request: LiveRequest) -> None:
            check_patterns(request.streams)
            self._hub.show(viewer, request)

        try:
            await first_of(_receive(socket, LiveRequest, take), viewer.send_all(socket))
        finally:
            self._hub.forget(viewer)

    async def changes(self, socket: Client, _: Mapping[str, str]) -> None:
        """Serve ``/changes``."""
        teller = _Changes(self._watch)
        try:
            await first_of(_receive(socket, ChangesRequest, teller.take), teller.send_all(socket))
        finally:
            self._watch.set_interest(teller, None)

    async def log(self, socket: Client, path: Mapping[str, str]) -> None:
        """Serve ``/log/{key}``."""
        known = self._watch.known.get(path["key"])
        if known is None:
            raise Refused(404, f"there is no component {path['key'][:100]!r}")
        teller = _Log(self._watch, known.key, self._runtime)
        await first_of(_receive(socket, LogRequest, teller.take), teller.send_all(socket))


async def _receive(socket: Client, model: type[M], take: Callable[[M], None]) -> None:
    """Give what the client says to *take*, for ever.

    Raises:
        SocketClosed: the client has gone.
    """
    while True:
        text = await socket.receive()
        try:
            take(model.model_validate_json(text))
        except ValidationError as error:
            await _tell_problem(socket, f"the message is wrong: {mistakes_of(error)}")
        except InvalidValue as error:
            await _tell_problem(socket, str(error))


async def _tell_problem(socket: Client, text: str) -> None:
    await socket.send(ProblemMessage(problem=Problem(error=text)).model_dump_json())


class _Changes:
    """What one client of ``/changes`` wants, and what it knows."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._request: ChangesRequest | None = None
        self._is_new = asyncio.Event()
        self._version = 0
        self._event = 0
        self._keys: set[str] = set()
        self._names: set[str] = set()

    def take(self, request: ChangesRequest) -> None:
        """Take another request; all is sent again."""
        check_patterns(request.streams)
        self._request = request
        self._watch.set_interest(self, request)
        self._is_new.set()

    async def send_all(self, socket: Client) -> None:
        """Send all, then what changes, for ever."""
        await self._is_new.wait()
        await self._watch.is_listed.wait()
        while True:
            is_all = self._is_new.is_set()
            self._is_new.clear()
            assert self._request is not None  # noqa: S101 - there was one
            message = self._message(self._request, is_all=is_all)
            if message is not None:
                await socket.send(message.model_dump_json())
            began_s = time.monotonic()
            await first_of(self._watch.wait_newer(self._version), self._is_new.wait())
            left_s = began_s + _LEAST_INTERVAL_S - time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left_s)):
                    await self._is_new.wait()

    def _message(self, request: ChangesRequest, *, is_all: bool) -> Changes | None:
        """Return what the client does not know yet; None: it knows all."""
        watch = self._watch
        after = 0 if is_all else self._version
        version = watch.version
        shown = [known for known in watch.sorted_components() if _matches(known.key, request.components)]
        streams = {name: known for name, known in watch.by_stream().items() if _is_wanted(name, request)}
        keys, names = {known.key for known in shown}, set(streams)
        more_details = [watch.known[key] for key in request.details if key in watch.known]
        events = [] if is_all else watch.events.after(self._event)
        message = Changes(
            time=iso(time.time_ns()),
            is_all=is_all,
            components=[
                changed
                for known in shown
                if (changed := known.shown.changes(after if known.key in self._keys else 0, "key")) is not None
            ],
            streams=[
                changed
                for name, known in streams.items()
                if (changed := known.streams[name].changes(after if name in self._names else 0, "id")) is not None
            ],
            details=[known.detail() for known in more_details if is_all or _has_changed(known, after)],
            gone=[] if is_all else sorted(self._keys - keys),
            gone_streams=[] if is_all else sorted(self._names - names),
            events=events,
        )
        self._version, self._event = version, watch.events.last
        self._keys, self._names = keys, names
        has_news = message.components or message.streams or message.details or message.gone or message.gone_streams
        return message if is_all or has_news or events else None


def _has_changed(known: Known, after: int) -> bool:
    return known.shown.version > after or any(each.version > after for each in known.streams.values())


def _matches(key: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _is_wanted(name: str, request: ChangesRequest) -> bool:
    stream = stream_id(name)
    return bool(request.streams) and stream is not None and stream.matches(request.streams)


class _Log:
    """What one client of ``/log`` wants."""

    def __init__(self, watch: Watch, key: str, runtime: RuntimeFiles) -> None:
        self._watch, self._key, self._runtime = watch, key, runtime
        self._request: LogRequest | None = None
        self._is_new = asyncio.Event()

    def take(self, request: LogRequest) -> None:
        """Take another request, with which all begins anew."""
        self._request = request
        self._is_new.set()

    async def send_all(self, socket: Client) -> None:
        """Send lines, for ever."""
        while True:
            await self._is_new.wait()
            self._is_new.clear()
            assert self._request is not None  # noqa: S101 - there was one
            await first_of(self._follow(socket, self._request), self._is_new.wait())

    async def _follow(self, socket: Client, request: LogRequest) -> None:
        """Send the last lines, then new ones."""
        known = self._watch.known.get(self._key)
        if known is None:
            raise Refused(404, f"the component {self._key} is there no more")
        file, note = log.place_of(known.target, self._runtime)
        end = await asyncio.to_thread(size_bytes, file)
        piece = await asyncio.to_thread(log.read_back, file, request.lines, request.level, end)
        await socket.send(LogMessage(lines=list(map(LogLine.of, piece.lines)), note=note, skipped=0).model_dump_json())
        follower, is_in = log.Follower(file, end), True
        while True:
            raw, skipped_bytes = await follower.next_lines()
            lines, is_in = log.selected(raw, request.level, is_in)
            too_many = max(0, len(lines) - _MAX_LINES)
            note = f"{skipped_bytes} bytes came too fast to be shown" if skipped_bytes else None
            if lines or note:
                message = LogMessage(lines=list(map(LogLine.of, lines[too_many:])), note=note, skipped=too_many)
                await socket.send(message.model_dump_json())
