"""TriggerReceiver: messages that are events, of any layout that a station file declares or a plug-in knows."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.events.formats import format_class
from rawdaq.events.inputs import (
    HostName,
    Inputs,
    Megabytes,
    Port,
    Senders,
    Transport,
    ZmqAddresses,
    ZmqPattern,
)
from rawdaq.events.server import EventServer
from rawdaq.events.settings import LayoutSettings, LengthSettings, TimeSettings, length_field, time_options
from rawdaq.protocols.events import EventFormat
from rawdaq.protocols.events.layouts import LayoutFormat
from rawdaq.publisher import Publisher
from rawdaq.stream_id import StreamId

#: Options that only a declared layout has.
_OF_LAYOUT = ("type", "counter", "time", "publish", "source", "length")


class TriggerReceiver(EventServer):
    """Takes messages that are events, and publishes each as ``~event.NET.STA.NAME`` with its bytes.

    The message's header has ``type``, ``source`` (the sender), ``time_ns`` and ``ps`` (null where the time is the
    device's own, then there is ``device_ns``), ``counter``, ``missed`` (how many are missing before it),
    ``backwards``, and ``fields``. What is no event is counted by sender, and harms nothing.

    Args:
        publishers: where the events go.
        station: completes their topic.
        name: the component's name.
        layout: the fields of a message.
        format: the format of an outside package instead, by its name in the group ``rawdaq.event_formats``.
        type: what events of the layout are called.
        counter: the field whose jumps are losses; it may begin at 0 again.
        time: the field that has the time, its unit and its origin.
        publish: the fields that events have; by default all but the rest.
        source: the field that tells devices apart which send from one address; each has a counter of its own.
        length: with TCP, the field that says how many bytes a message has, or a block of ``field``, ``times`` and
            ``plus_bytes``; without it all have the size of the layout.
        transport: ``udp``, or ``tcp`` for devices that connect to us or, with ``host``, the one that we connect to.
        ip: the address to listen on; ``0.0.0.0`` is every one of IPv4, ``::`` every one of both families.
        port: the port to listen on, or that of ``host``; 0 lets the system choose.
        ports: several ports instead.
        host: the TCP peer to connect to, and again whenever the connection ends.
        senders: addresses and networks whose messages are taken; without any all are.
        receive_buffer_mb: what the system shall keep for us of UDP while we do not read; logged when it grants less.
        endpoints: ZMQ addresses instead, like ``tcp://192.0.2.7:8307``; of several parts the last one is the message.
        pattern: ``sub`` reads PUB sockets, ``pull`` reads PUSH sockets.
        bind: the ZMQ peers connect to us; otherwise we connect to them, and again whenever they went away.
        topics: what a ``sub`` subscribes to, by beginnings of the first part; none: all.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        layout: LayoutSettings | None = None,
        format: str | None = None,
        type: Annotated[str, Field(min_length=1, max_length=100)] = "trigger",
        counter: str | None = None,
        time: TimeSettings | None = None,
        publish: list[str] | None = None,
        source: str | None = None,
        length: str | LengthSettings | None = None,
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
        name: str = "TriggerReceiver",
    ) -> None:
        options = dict(locals())
        inputs = Inputs.of(options)
        super().__init__(publishers, station, name, inputs, _factory(options, inputs))

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return no stream: events belong to none.

        Raises:
            InvalidValue: options that do not go together; the text says why.
        """
        _factory(options, Inputs.of(options))
        return []


def _factory(options: Mapping[str, Any], inputs: Inputs) -> Callable[[], EventFormat]:
    """Return what makes a format, which has been made once: so it is known that it can be.

    Raises:
        InvalidValue: the options do not go together.
        ComponentError: the plug-in cannot be loaded.
    """
    make = _format_of(options)
    if not inputs.is_stream and options["length"] is not None:
        raise InvalidValue("length is for transport: tcp; datagrams and ZMQ messages have one of their own: remove it")
    inputs.check_format(make())
    return make


def _format_of(options: Mapping[str, Any]) -> Callable[[], EventFormat]:
    layout: LayoutSettings | None = options["layout"]
    if (layout is None) == (options["format"] is None):
        raise InvalidValue("say what the messages are: give a layout, or the format of an outside package")
    if layout is None:
        given = [name for name in _OF_LAYOUT if options[name] not in (None, "trigger")]
        if given:
            raise InvalidValue(f"{given[0]} is for a layout; format {options['format']!r} knows it: remove it")
        return format_class(options["format"])
    chosen = {name: options[name] for name in ("type", "counter", "publish", "source")}
    length = length_field(options["length"])
    compiled = layout.layout()
    make: Callable[[], EventFormat] = partial(
        LayoutFormat, compiled, **chosen, **time_options(options["time"]), length=length
    )
    made = make()
    return lambda: made  # it has no state, so all senders share it
