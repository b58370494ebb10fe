"""TelemetryReceiver: asks a source again and again, and publishes what it says; in a thread, never in the loop."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from rawdaq.config.channels import check_distinct, station_stream
from rawdaq.config.settings import StationSettings
from rawdaq.disk.threads import DiskThread, in_new_thread
from rawdaq.errors import InvalidValue
from rawdaq.messages import Kind, Message, topic_of
from rawdaq.outage import Outage
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.telemetry.database import SqlSource, sqlite_file
from rawdaq.receivers.telemetry.secret import secret_of
from rawdaq.receivers.telemetry.settings import SourceSettings, ValueSettings
from rawdaq.receivers.telemetry.sources import AnswerLate, CommandSource, FileSource, HttpSource, NoAnswer, Source
from rawdaq.receivers.telemetry.values import Answer, Values, sample
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S

_REMIND_S = 600.0
_GRACE_S = 1.0  # that a source gets to keep its own deadline


class TelemetryReceiver(ReceiverServer):
    """Asks a database, a web page, a command or a file every few seconds, and publishes ``~telemetry.NET.STA.NAME``.

    Polls are made at full multiples of ``every_s`` in UTC. The message's header has ``time_ns`` (of the poll),
    ``values`` and ``units``; a value that is not there is null. Values with a ``stream`` are also waveforms at
    1/``every_s`` Hz, with a gap where there is none. Why a source does not answer is logged once per outage.

    Args:
        publishers: where the values go.
        station: completes the topic and the names of the streams.
        name: the component's name.
        source: where they come from: one of ``sql`` (and ``query``), ``http``, ``command``, ``file``; ``timeout_s``.
        values: which ones, by the names that they get: ``path`` or ``expression``, ``unit``, ``stream``, ``scale``;
            without any an answer is published whole.
        every_s: seconds between two polls.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        source: SourceSettings,
        values: dict[str, ValueSettings] = {},  # noqa: B006 - it is never changed
        every_s: Annotated[float, Field(ge=0.01, le=86_400)] = 15.0,
        name: str = "TelemetryReceiver",
    ) -> None:
        super().__init__("", 0, publishers, name)
        self._setup = True
        self._settings = source
        self._streams = _streams(station, values)
        self._scales = {key: each.scale for key, each in values.items()}
        self._units = {key: each.unit for key, each in values.items() if each.unit is not None}
        self._values = Values(values)
        self._every_ns = round(every_s * NS_PER_S)
        self._topic = topic_of(Kind.TELEMETRY, station, name)
        self._outage = Outage(self.log, _REMIND_S)
        self._why = ""
        self._missing: Counter[str] = Counter()
        self._missing_now: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._newest: Message | None = None
        self._asked = -1
        self._source: Source | None = None

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return the streams of the values that have one.

        Raises:
            InvalidValue: two values are one stream, or a SQLite file has no absolute path.
        """
        source: SourceSettings = options["source"]
        if source.sql is not None:
            sqlite_file(source.sql)
        if source.timeout_s > options["every_s"]:
            raise InvalidValue(
                f"timeout_s {source.timeout_s:g} is longer than every_s {options['every_s']:g}; polls would wait for "
                "each other: lower it"
            )
        return list(_streams(station, options["values"]).values())

    async def serve(self) -> None:
        """Serve as every receiver does, once everything that asking needs is there.

        Raises:
            ComponentError: it could not start: a library or a secret is missing; or one of its coroutines failed.
        """
        self._source = _source(self._settings)
        await in_new_thread(f"opening of {self.name}", self._source.open)  # loading a library takes a moment
        await super().serve()

    async def ct_poll(self) -> None:
        """Wait for the time of the next poll, ask, and publish."""
        source = self._source
        assert source is not None  # noqa: S101 - `serve` has made it
        thread = DiskThread(f"telemetry {self.name}", self.loop)
        try:
            while True:
                time_ns = await self._next_time()
                await self._poll(source, thread, time_ns)
        finally:
            source.is_closing.set()
            thread.submit(source.close)
            thread.give_back()

    async def _next_time(self) -> int:
        """Return the time of the next poll, when it has come."""
        now_ns = time.time_ns()
        due_ns = now_ns - now_ns % self._every_ns + self._every_ns
        while (left_ns := due_ns - time.time_ns()) > 0:
            await asyncio.sleep(min(left_ns / NS_PER_S, 1.0))  # this machine's clock may be set meanwhile
            if left_ns > self._every_ns:
                return await self._next_time()
        return due_ns

    async def _poll(self, source: Source, thread: DiskThread, time_ns: int) -> None:
        self._counts["polls"] += 1
        if thread.calls_done <= self._asked:  # the last one hangs
            self._counts["skipped"] += 1
            return
        self._asked = thread.calls_done
        try:
            async with asyncio.timeout(source.timeout_s + _GRACE_S):
                answer = self._values.read(await thread.submit(source.ask))
        except (TimeoutError, AnswerLate):
            self._counts["late"] += 1
            self._fail(str(AnswerLate(source.timeout_s)))
        except NoAnswer as error:
            self._counts["failed"] += 1
            self._fail(str(error))
        else:
            self._answered()
            await self._publish(answer, time_ns)

    def _fail(self, why: str) -> None:
        if not self._outage.is_on or self._outage.is_due:
            self._outage.log("no telemetry: %s", why)
        self._outage.counts["polls"] += 1
        self._why = why

    def _answered(self) -> None:
        self._counts["answered"] += 1
        if self._outage.is_on:
            lasted_s = self._outage.elapsed_s
            self.log.warning("telemetry is there again after %.1f s, in which %s", lasted_s, self._why)
            self._outage.clear()
        self._why = ""

    async def _publish(self, answer: Answer, time_ns: int) -> None:
        missing = dict(answer.missing)
        packets: list[Packet] = []
        for name, stream in self._streams.items():
            if name in missing:
                continue
            made = sample(stream, answer.values[name], self._scales[name], time_ns, self._every_ns)
            if isinstance(made, str):
                missing[name] = made
            else:
                packets.append(made)
        self._note_missing(missing)
        header = {"time_ns": time_ns, "values": answer.values, "units": self._units}
        self._newest = Message(self._topic, header)
        try:
            await self.publish(self._newest)
        except InvalidValue as error:
            self._counts["failed"] += 1
            self._fail(str(error))
        if packets:
            await self.publish(packets)

    def _note_missing(self, missing: dict[str, str]) -> None:
        """Count what an answer lacks; log what is new of that, and what is over."""
        self._missing.update(missing.keys())
        for name, why in missing.items():
            if name not in self._missing_now:
                self.log.warning("no value of %s: %s", name, why)
        for name in self._missing_now:
            if name not in missing:
                self.log.warning("the value of %s is there again", name)
        self._missing_now = missing

    def receiver_status(self) -> dict[str, object]:
        """Return how often was asked, what came of it, and the newest values."""
        names = ("polls", "answered", "failed", "late", "skipped")
        newest: Mapping[str, Any] = {} if self._newest is None else self._newest.header
        return super().receiver_status() | {
            **{name: self._counts[name] for name in names},
            "last_failure": self._why or None,
            "missing": dict(self._missing),
            "newest": {"time_ns": newest.get("time_ns"), "values": newest.get("values")},
        }


def _streams(station: StationSettings, values: Mapping[str, ValueSettings]) -> dict[str, StreamId]:
    """Return the streams by the names of their values.

    Raises:
        InvalidValue: two values are one stream.
    """
    codes = {name: each.stream for name, each in values.items() if each.stream is not None}
    streams = {name: station_stream(station, code) for name, code in codes.items()}
    check_distinct(streams.values(), "values")
    return streams


def _source(settings: SourceSettings) -> Source:
    """Return what *settings* name.

    Raises:
        ComponentError: a secret is missing, or others may read it.
    """
    timeout_s = settings.timeout_s
    secret = secret_of(settings.secret_env, settings.secret_file)
    if settings.sql is not None and settings.query is not None:
        return SqlSource(settings.sql, settings.query, secret, timeout_s)
    if settings.http is not None:
        return HttpSource(settings.http, settings.user, secret, timeout_s)
    if settings.command is not None:
        return CommandSource(settings.command, timeout_s)
    assert settings.file is not None  # noqa: S101 - the settings have one of the four
    return FileSource(settings.file, timeout_s)
