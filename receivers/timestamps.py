"""TimestampReceiver: the time as GNSS receivers, timing boards and other clocks tell it."""

import asyncio
import time as clocks
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from rawdaq.config.channels import station_streams
from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.events.clock import ClockState
from rawdaq.events.formats import format_class
from rawdaq.events.inputs import HostName, Inputs, Megabytes, Port, Senders, Transport, ZmqAddresses, ZmqPattern
from rawdaq.events.server import EventServer
from rawdaq.events.settings import TimeSettings, time_options
from rawdaq.packet import Packet
from rawdaq.protocols.events import Event, EventFormat
from rawdaq.protocols.events.texts import JsonFormat, MsgpackFormat, NmeaFormat, PatternFormat
from rawdaq.publisher import Publisher
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S

_OWN = ("nmea", "lines", "json", "msgpack")
#: Options that only formats have which name their values.
_OF_VALUES = ("time", "counter", "quality")


class TimestampReceiver(EventServer):
    """Takes messages that tell the time, and publishes each as ``~event.NET.STA.NAME``.

    Beside what a `TriggerReceiver`'s messages have, the header has ``quality`` (0 to 100, by fix or synchronisation,
    where the format says it) and ``clock_offset_ns``: how much later than its time a timestamp arrives by the clock of
    this machine, the smallest of the last 10 s. `status` shows both.

    Args:
        publishers: where the timestamps go.
        station: completes their topic and the stream's name.
        name: the component's name.
        format: ``nmea`` (RMC, ZDA and GGA of a GNSS receiver), ``lines`` (text, see ``expression``), ``json`` (one
            object a line), ``msgpack`` (maps), or the format of an outside package, by its name in the group
            ``rawdaq.event_formats``.
        expression: with ``lines``, a regular expression with named groups, such as ``(?P<t>[0-9.]+)``.
        time: the value that has the time, its unit and its origin; in JSON and MessagePack it may be a path.
        counter: the value whose jumps are losses; it may begin at 0 again.
        quality: the value that says how good the time is, 0 to 100.
        stream: ``[location.]channel`` under which the quality is published as a waveform of 1 Hz, such as ``LCQ``; it
            falls while no timestamps come, to 0 after a minute.
        device: a serial line, such as ``/dev/ttyUSB0``.
        baud: its speed.
        transport: ``udp``, or ``tcp`` for clocks that connect to us or, with ``host``, the one that we connect to.
        ip: the address to listen on; ``0.0.0.0`` is every one of IPv4, ``::`` every one of both families.
        port: the port to listen on, or that of ``host``; 0 lets the system choose.
        ports: several ports instead.
        host: the TCP peer to connect to, and again whenever the connection ends.
        senders: addresses and networks whose messages are taken; without any all are.
        receive_buffer_mb: what the system shall keep for us of UDP while we do not read; logged when it grants less.
        endpoints: ZMQ addresses instead, like ``tcp://192.0.2.9:6666``; of several parts the last one is the message.
        pattern: ``sub`` reads PUB sockets, ``pull`` reads PUSH sockets.
        bind: the ZMQ peers connect to us; otherwise we connect to them, and again whenever they went away.
        topics: what a ``sub`` subscribes to, by beginnings of the first part; none: all.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        format: str,
        expression: str | None = None,
        time: TimeSettings | None = None,
        counter: str | None = None,
        quality: str | None = None,
        stream: str | None = None,
        device: Path | None = None,
        baud: Annotated[int, Field(ge=50, le=4_000_000)] = 9600,
        transport: Transport = "udp",
        ip: HostName = "127.0.0.1",
        port: Port | None = None,
        ports: list[Port] = [],  # noqa: B006 - it is never changed
        host: HostName | None = None,
        senders: Senders = [],  # noqa: B006 - it is never changed
        receive_buffer_mb: Megabytes = 32.0,
        endpoints: ZmqAddresses = [],  # noqa: B006 - it is never changed
        pattern: ZmqPattern = "sub",
        bind: bool = False,
        topics: list[str] = [],  # noqa: B006 - it is never changed
        name: str = "TimestampReceiver",
    ) -> None:
        options = dict(locals())
        inputs = Inputs.of(options)
        super().__init__(publishers, station, name, inputs, _factory(options, inputs))
        self.clock = ClockState()
        self._stream = _stream(station, stream)

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return the stream of the quality, if there is one.

        Raises:
            InvalidValue: options that do not go together; the text says why.
        """
        _factory(options, Inputs.of(options))
        stream = _stream(station, options["stream"])
        return [] if stream is None else [stream]

    def complete(self, header: dict[str, Any], event: Event) -> None:
        """Add the offset of this machine's clock."""
        now_s = clocks.monotonic()
        self.clock.add(event, header["received_ns"], now_s)
        header["clock_offset_ns"] = self.clock.offset_ns(now_s)

    async def ct_quality(self) -> None:
        """Publish the quality at each full second, where it has a stream."""
        if self._stream is None:
            return
        last_ns = 0
        while True:
            await asyncio.sleep(1 - clocks.time_ns() % NS_PER_S / NS_PER_S)
            now_ns = clocks.time_ns()
            start_ns = now_ns - now_ns % NS_PER_S
            if start_ns != last_ns:  # the timer may be early by a moment
                last_ns = start_ns
                samples = np.array([self.clock.quality(clocks.monotonic())], "<i4")
                await self.publish(Packet(self._stream, start_ns, 1.0, samples, received_ns=now_ns))

    def receiver_status(self) -> dict[str, object]:
        """Return the sockets, what came from each sender, and how the clocks stand."""
        return super().receiver_status() | self.clock.status(clocks.monotonic())


def _stream(station: StationSettings, code: str | None) -> StreamId | None:
    return None if code is None else station_streams(station, {0: code})[0]


def _factory(options: Mapping[str, Any], inputs: Inputs) -> Callable[[], EventFormat]:
    """Return what makes the format of one more sender, which has been made once: so it is known that it can be.

    Raises:
        InvalidValue: the options do not go together.
        ComponentError: the format needs a library that is not installed, or is a plug-in that cannot be loaded.
    """
    make = _format_of(options)
    inputs.check_format(make())
    return make


def _format_of(options: Mapping[str, Any]) -> Callable[[], EventFormat]:
    name = options["format"]
    if (options["expression"] is None) == (name == "lines"):
        raise InvalidValue("expression is for format: lines, which needs one")
    described = {key: options[key] for key in ("counter", "quality")} | time_options(options["time"])
    match name:
        case "lines":
            return partial(PatternFormat, options["expression"], **described)
        case "json":
            return partial(JsonFormat, **described)
        case "msgpack":
            return partial(MsgpackFormat, **described)
        case _:
            given = [key for key in _OF_VALUES if options[key] is not None]
            if given:
                raise InvalidValue(f"{given[0]} is for lines, json and msgpack; format {name!r} knows it: remove it")
            return NmeaFormat if name == "nmea" else format_class(name, _OWN)
