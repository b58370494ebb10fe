"""What the options of an assembler mean together."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self, TypeVar

from rawdaq.config.settings import Settings, StationSettings
from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.receivers.assembler.base import rules_of
from rawdaq.receivers.assembler.options import (
    SlotSettings,
    StreamSettings,
    as_slots,
    check_slots,
    unused_slots,
)
from rawdaq.receivers.assembler.output import check_values
from rawdaq.sockets.networks import group_mistakes, sender_mistakes
from rawdaq.sockets.zeromq.socket import bind_mistakes
from rawdaq.stream_id import StreamId
from rawdaq.streams.assembly.formats import make_format
from rawdaq.streams.assembly.readout_format import ReadoutFormat
from rawdaq.streams.assembly.values import Rules
from rawdaq.times import NS_PER_S

M = TypeVar("M", bound=Settings)


class Plan(NamedTuple):
    """What an assembler is made of.

    Attributes:
        format: of the datagrams.
        slots: which sender is which row.
        rules: of the assembly.
        streams: of each slot the stream of each channel; empty without waveforms.
        described: what the waveforms are; None: there are none.
    """

    format: ReadoutFormat
    slots: SlotSettings
    rules: Rules
    streams: list[list[StreamId]]
    described: StreamSettings | None

    @classmethod
    def of(cls, station: StationSettings, options: Mapping[str, Any]) -> Self:
        """Return the plan of *options*.

        Raises:
            InvalidValue: they do not go together; the text names every mistake.
        """
        slots = _model(SlotSettings, as_slots(options["slots"]))
        try:
            chosen = make_format(options["format"])
        except RawdaqError as error:  # the class that is missing, or its options
            raise InvalidValue("; ".join([str(error), *slots.mistakes(), *_mistakes(options)])) from error
        mistakes = [*check_slots(slots, chosen, has_addresses=not options["endpoints"]), *_mistakes(options)]
        mistakes += _sender_mistakes(options, slots)
        try:
            check_values(options["values"], options["sparse"], chosen)
        except InvalidValue as error:
            mistakes.append(str(error))
        streams: list[list[StreamId]] = []
        described: StreamSettings | None = None
        rows = slots.total * (1 if slots.by == "field" else chosen.numbers)
        if options["streams"] is not None and not mistakes:
            try:
                described = _model(StreamSettings, options["streams"])
                streams = described.streams(station, rows, chosen.row.shape[0])
            except InvalidValue as error:
                mistakes.append(f"streams: {error}")
        if mistakes:
            raise InvalidValue("; ".join(mistakes))
        rules = rules_of(
            options,
            slots=rows,
            unused=unused_slots(slots, chosen.numbers),
            window_ns=round(options["window_s"] * NS_PER_S),
            publishes_late=options["late"] == "publish",
        )
        return cls(chosen, slots, rules, streams, described)


def _model(model: type[M], value: Any) -> M:
    """Return *value* as a model; receivers that are built in Python may have the fields instead."""
    return value if isinstance(value, model) else model.model_validate(value)


def _sender_mistakes(options: Mapping[str, Any], slots: SlotSettings) -> Iterator[str]:
    if not options["endpoints"]:
        for senders in (options["senders"], slots.hosts):
            yield from sender_mistakes(options["ip"], senders)


def _mistakes(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not go together, apart from format and slots."""
    yield from group_mistakes(options)
    is_zmq = bool(options["endpoints"])
    if is_zmq and (options["port"] is not None or options["transport"] != "udp" or options["multicast"]):
        yield "endpoints are ZMQ's: leave out port, transport and multicast"
    if options["multicast"] and options["transport"] == "tcp":
        yield "multicast is for datagrams; TCP has none"
    if options["senders"] and is_zmq:
        yield "senders are addresses, which ZMQ does not have: leave them out"
    yield from bind_mistakes(options["endpoints"], options["bind"])
    if options["absent_s"] < options["max_wait_s"]:
        yield f"absent_s ({options['absent_s']:g}) is less than max_wait_s ({options['max_wait_s']:g})"
    if options["step_s"] <= options["window_s"]:
        yield f"step_s ({options['step_s']:g}) must be above window_s ({options['window_s']:g})"
    if options["streams"] is not None and not options["ordered"]:
        yield "streams are made of readouts in order of time: leave out `ordered: false`"
