"""The table of routes below ``/api/v1``, and what answers each."""

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import cast

from pydantic import BaseModel

from rawdaq import __version__
from rawdaq.control.machine import log
from rawdaq.control.metrics.exposition import exposition
from rawdaq.control.rest.routes import Api, Asked, Content, Handler, Json, Refused, Route, SocketRoute, validated
from rawdaq.control.rest.wrong_tokens import WrongTokens
from rawdaq.control.web.archive import records
from rawdaq.control.web.archive.columns import MAX_SPAN_NS, Grid, PastColumns
from rawdaq.control.web.components.known import Known
from rawdaq.control.web.components.orders import Orders
from rawdaq.control.web.components.shown import archives, iso
from rawdaq.control.web.components.watch import Watch
from rawdaq.control.web.live.hub import Hub
from rawdaq.control.web.models import (
    Command,
    ComponentDetail,
    Components,
    Done,
    Events,
    Health,
    Log,
    LogLevelBody,
    LogLine,
    NoBody,
    Problem,
    StreamDetail,
    Streams,
)
from rawdaq.control.web.queries import ColumnsQuery, EventsQuery, ListQuery, LogQuery, SpanQuery
from rawdaq.control.web.sockets import PageSockets
from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.stream_id import StreamId, check_patterns
from rawdaq.times import from_iso

PREFIX = "/api/v1"

_LIST_S = 10.0
_NO_SUCH = {404: "there is no such component or stream"}
_NOT_NOW = {409: "it cannot be done now; nothing is changed", 502: "the component refused, or does not answer"}
_NO_JSON: Sequence[type[BaseModel]] = ()
_BINARY = "application/octet-stream"
_MSEED = "application/vnd.fdsn.mseed"
_METRICS = "text/plain; version=1.0.0; charset=utf-8"


class PageApi:
    """What answers requests.

    Args:
        watch: the components.
        hub: the live streams.
        orders: does commands.
        runtime: where logs are.
        wrong_tokens: counts those that clients gave.
        is_health_open: whether ``/health`` needs no token.
    """

    def __init__(
        self,
        watch: Watch,
        hub: Hub,
        orders: Orders,
        runtime: RuntimeFiles,
        wrong_tokens: WrongTokens,
        *,
        is_health_open: bool,
    ) -> None:
        self._watch, self._hub, self._orders, self._runtime = watch, hub, orders, runtime
        self._wrong_tokens = wrong_tokens
        self._is_health_open = is_health_open
        self._past = PastColumns()

    def api(self) -> Api:
        """Return the table."""
        sockets = PageSockets(self._watch, self._hub, self._runtime)
        return Api(
            "rawdaq",
            __version__,
            [*self._of_machine(), *self._of_components(), *self._of_streams()],
            Problem,
            lambda text: {"error": text, "remedy": None},
            PREFIX,
            [
                SocketRoute("/live", sockets.live, "Live samples and columns."),
                SocketRoute("/changes", sockets.changes, "Changes of components and streams."),
                SocketRoute("/log/{key}", sockets.log, "Lines of a log as they come."),
            ],
            lambda: {"time": iso(time.time_ns()), "version": __version__},
        )

    def _of_machine(self) -> list[Route]:
        return [
            Route(
                *("GET", "/health", self._health, "Say how many components are in which condition.", [Health]),
                is_open=self._is_health_open,
                more_answers={503: ("a component has the number 800 or more", Health)},
            ),
            Route("GET", "/events", self._events, "Return what has happened.", [Events], query=EventsQuery),
            Route("GET", "/metrics", self._metrics, "Return metrics for Prometheus.", [], media_type=_METRICS),
        ]

    def _of_components(self) -> list[Route]:
        one = "/components/{key}"
        return [
            Route("GET", "/components", self._components, "List components.", [Components], query=ListQuery),
            Route("GET", one, self._component, "Return one component.", [ComponentDetail], refusals=_NO_SUCH),
            Route(
                *("GET", f"{one}/log", self._log, "Return lines of its log.", [Log]), query=LogQuery, refusals=_NO_SUCH
            ),
            self._order("start", "Start it."),
            self._order("stop", "Stop it in order; what waits is delivered first."),
            self._order("restart", "Stop it, then start it with the settings that its station file has now."),
            self._order("pause", "Stop reading."),
            self._order("resume", "Read again after a pause."),
            self._order("log-level", "Set its log level."),
        ]

    def _of_streams(self) -> list[Route]:
        one = "/streams/{id}"
        return [
            Route("GET", "/streams", self._streams, "List streams.", [Streams], query=ListQuery),
            Route("GET", one, self._stream, "Return one stream.", [StreamDetail], refusals=_NO_SUCH),
            Route(
                *("GET", f"{one}/columns", self._columns, "Return the extremes of columns of time.", _NO_JSON),
                query=ColumnsQuery,
                refusals=_NO_SUCH,
                media_type=_BINARY,
                more_answers={304: ("the client has them", None)},
            ),
            Route(
                *("GET", f"{one}/samples.mseed", self._samples, "Return records as they are archived.", _NO_JSON),
                query=SpanQuery,
                refusals=_NO_SUCH,
                media_type=_MSEED,
            ),
        ]

    # ------------------------------------------------------------------ the machine

    async def _health(self, _: Asked) -> Health | Content:
        shown = [known.shown.value for known in self._watch.known.values()]
        conditions = [each["condition"] for each in shown]
        worst = max((each["number"] for each in shown), default=0)
        made = Health(
            time=iso(time.time_ns()),
            number=worst,
            well=conditions.count("well"),
            late=conditions.count("late"),
            no_data=conditions.count("no data"),
            stopped=conditions.count("stopped"),
        )
        if not made.no_data:
            return made
        return Content(made.model_dump_json().encode(), "application/json", status=503)

    async def _events(self, asked: Asked) -> Events:
        query = cast("EventsQuery", asked.query)
        since = None if query.since is None else iso(from_iso(query.since))
        return self._watch.events.answer(query.after, since)

    async def _metrics(self, asked: Asked) -> Content:
        now_ns = time.time_ns()
        rows = [known.metrics_row() for known in self._watch.known.values()]
        more = {"mistakes": len(self._watch.mistakes), "wrong_tokens": self._wrong_tokens.count}
        try:
            made = await asyncio.to_thread(exposition, rows, now_ns, accept=asked.headers.get("accept", ""), more=more)
        except RawdaqError as error:  # its library is missing
            raise Refused(503, str(error)) from error
        return Content(made.body, made.content_type)

    # ------------------------------------------------------------------ components

    async def _components(self, asked: Asked) -> Json:
        query = cast("ListQuery", asked.query)
        await self._listed()
        shown = [known.shown.value for known in self._watch.sorted_components()]
        if query.match is not None:
            shown = [each for each in shown if fnmatchcase(each["key"], query.match)]
        if query.problems:
            shown = [each for each in shown if each["number"]]
        return {
            "time": iso(time.time_ns()),
            "host": socket.gethostname(),
            "version": __version__,
            "components": shown,
            "mistakes": list(self._watch.mistakes),
        }

    async def _listed(self) -> None:
        """Return when the components have been found for the first time.

        Raises:
            Refused: they are not found in time.
        """
        try:
            async with asyncio.timeout(_LIST_S):
                await self._watch.is_listed.wait()
        except TimeoutError:
            raise Refused(503, "the components are not found yet; the log of this server may say why") from None

    def _known(self, asked: Asked) -> Known:
        known = self._watch.known.get(asked.path["key"])
        if known is None:
            raise Refused(404, f"there is no component {asked.path['key'][:100]!r}; /components lists them")
        return known

    async def _component(self, asked: Asked) -> ComponentDetail:
        known = self._known(asked)
        await self._watch.refresh(known)
        return known.detail()

    async def _log(self, asked: Asked) -> Log:
        query, known = cast("LogQuery", asked.query), self._known(asked)
        file, note = log.place_of(known.target, self._runtime)
        try:
            piece = await asyncio.to_thread(log.read_back, file, query.lines, query.level, query.before)
        except OSError as error:
            raise Refused(404, f"{file} cannot be read: {error.strerror}") from error
        return Log(lines=list(map(LogLine.of, piece.lines)), before=piece.begin or None, file=str(file), note=note)

    def _order(self, command: Command, summary: str) -> Route:
        body = LogLevelBody if command == "log-level" else NoBody

        async def do(asked: Asked) -> Done:
            given = validated(body, asked.body, "the body is wrong")
            args = [given.level] if isinstance(given, LogLevelBody) else []
            return await self._orders.do(self._known(asked), command, args)

        handler: Handler = do
        path = f"/components/{{key}}/{command}"
        return Route("POST", path, handler, summary, [Done], body, {**_NO_SUCH, **_NOT_NOW}, status=202)

    # ------------------------------------------------------------------ streams

    async def _streams(self, asked: Asked) -> Json:
        query = cast("ListQuery", asked.query)
        await self._listed()
        found: Mapping[str, Known] = self._watch.by_stream()
        if query.match is not None:
            patterns = [query.match]
            _check(patterns)
            found = {name: known for name, known in found.items() if StreamId.parse(name).matches(patterns)}
        shown = [known.streams[name].value for name, known in found.items()]
        return {
            "time": iso(time.time_ns()),
            "streams": [each for each in shown if each["number"]] if query.problems else shown,
        }

    def _of_stream(self, asked: Asked) -> tuple[str, Known]:
        """Return a stream and its component.

        Raises:
            Refused: there is no such stream.
        """
        name = asked.path["id"]
        known = self._watch.by_stream().get(name)
        if known is None:
            raise Refused(404, f"there is no stream {name[:100]!r}; /streams lists them")
        return name, known

    async def _stream(self, asked: Asked) -> StreamDetail:
        name, known = self._of_stream(asked)
        return known.stream_detail(name)

    async def _columns(self, asked: Asked) -> Content:
        query = cast("ColumnsQuery", asked.query)
        start_ns, end_ns = _span(query.start, query.end, MAX_SPAN_NS)
        name, known = self._of_stream(asked)
        stream = StreamId.parse(name)
        places = [each for each in archives(known.answered.settings) if stream.matches(each.streams)]
        memory = self._hub.memory_of(stream)
        runs, rate_hz = ([], 0.0) if memory is None else (memory.runs(start_ns), memory.rate_hz)
        grid = Grid.over(start_ns, end_ns, query.columns)
        answer = await self._past.answer(stream, grid, places, runs, rate_hz, asked.headers.get("if-none-match", ""))
        headers = {"ETag": answer.etag, "Cache-Control": "private, no-cache"}
        if answer.data is None:
            return Content(b"", _BINARY, headers, 304)
        return Content(answer.data, _BINARY, headers)

    async def _samples(self, asked: Asked) -> Content:
        query = cast("SpanQuery", asked.query)
        start_ns, end_ns = _span(query.start, query.end, records.MAX_SPAN_NS)
        name, known = self._of_stream(asked)
        stream = StreamId.parse(name)
        places = [each for each in archives(known.answered.settings) if stream.matches(each.streams)]
        found = await records.collect(stream, start_ns, end_ns, places)
        first = await found.first()
        if first is None:
            raise Refused(404, f"no records of {name} from {query.start} to {query.end} are archived here")
        file_name = f"{name}.{query.start[:19].replace(':', '')}.mseed"
        headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
        return Content(found.rest(first), _MSEED, headers)


def _span(start: str, end: str, most_ns: int) -> tuple[int, int]:
    start_ns, end_ns = from_iso(start), from_iso(end)
    if not 0 < end_ns - start_ns <= most_ns:
        raise Refused(400, f"from {start} to {end} is not a time of up to {most_ns // 3_600_000_000_000} h")
    return start_ns, end_ns


def _check(patterns: list[str]) -> None:
    try:
        check_patterns(patterns)
    except InvalidValue as error:
        raise Refused(400, str(error)) from error
