"""StaLtaTrigger: finds events in the waveforms that others publish."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import zmq
from pydantic import Field, ValidationError

from rawdaq.config.curve import CurveSettings, curve_files
from rawdaq.config.settings import StationSettings
from rawdaq.config.trigger import CoincidenceSettings, Hertz, Ratio, Seconds, TriggerSettings
from rawdaq.errors import InvalidValue
from rawdaq.events.inputs import ZmqAddresses
from rawdaq.messages import Kind, Message, topic_of
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.sockets.endpoint import Endpoint
from rawdaq.sockets.zeromq.endpoint import ZmqEndpoint, ZmqOptions
from rawdaq.stream_id import StreamId, prefixes
from rawdaq.streams.trigger.messages import EventTrigger
from rawdaq.subscriber.messages import LiveMessages

_MAX_MESSAGE_BYTES = 64 << 20


class StaLtaTrigger(ReceiverServer):
    """Finds events in the live waveforms of other components, and publishes each as ``~event.NET.STA.NAME``.

    Where the ratio of a short to a long average of a stream's power rises above ``on``, an event begins, where it is no
    longer above ``off``, it ends. The averages are those of ObsPy's ``recursive_sta_lta``, and do not depend on how the
    samples are cut into packets; a gap begins anew. Messages have the ``type`` ``on``, ``off`` or ``coincidence``,
    ``time_ns``, and ``fields`` with stream, ratio and, at the end, the highest ratio.

    Args:
        publishers: where the events go.
        station: completes their topic.
        name: the component's name.
        endpoints: ZMQ addresses of rawdaq's publishers, like ``tcp://192.0.2.7:9004``.
        streams: shell-style patterns of the streams to listen to, like ``XX.*.*.HHZ``; none means all.
        sta_s: length of the short average.
        lta_s: length of the long average; nothing is found before so much of a stream has come.
        on: an event begins where the ratio rises above this.
        off: it ends where the ratio is no longer above this.
        min_s: an event that lasts less is not reported, and none before it has lasted so long.
        band: lower and upper corner in Hz of a band-pass before the trigger.
        coincidence: makes one event more where the events of ``count`` streams begin ``within_s`` of each other.
        curve: key files that encrypt the connections.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        endpoints: Annotated[ZmqAddresses, Field(min_length=1)],
        streams: list[str] = [],  # noqa: B006 - it is never changed
        sta_s: Seconds = 0.5,
        lta_s: Seconds = 30.0,
        on: Ratio = 4.0,
        off: Ratio = 1.5,
        min_s: Annotated[float, Field(ge=0, le=3600)] = 0.0,
        band: Annotated[list[Hertz], Field(min_length=2, max_length=2)] | None = None,
        coincidence: CoincidenceSettings | None = None,
        curve: CurveSettings | None = None,
        name: str = "StaLtaTrigger",
    ) -> None:
        super().__init__("", 0, publishers, name)
        given = {"streams": streams, "sta_s": sta_s, "lta_s": lta_s, "on": on, "off": off, "min_s": min_s}
        settings = _settings(given | {"band": band, "coincidence": coincidence})
        self.events = EventTrigger(settings, topic_of(Kind.EVENT, station, name), self.log)
        self.messages = LiveMessages(streams, self.log)
        self.add_refusals(self.messages.refusals)
        options = ZmqOptions(
            zmq.SUB,
            is_bound=False,
            topics=prefixes(streams),
            max_message_bytes=_MAX_MESSAGE_BYTES,
            curve=curve_files(curve, is_bound=False),
        )
        for address in endpoints:
            self.add_endpoint(ZmqEndpoint(address, options, self._plain_context, self._take, self.log))

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return no stream: events belong to none.

        Raises:
            InvalidValue: options that do not go together; the text says why.
        """
        for address in options["endpoints"]:
            if "*" in address:
                raise InvalidValue(f"{address} is where others can connect to; name the machine to connect to")
        _settings({name: options[name] for name in TriggerSettings.model_fields})
        curve_files(options["curve"], is_bound=False)
        return []

    async def serve(self) -> None:
        """Serve as every receiver does, with the filters loaded.

        Raises:
            ComponentError: it could not start, or one of its coroutines failed.
        """
        await asyncio.to_thread(self.events.open)
        await super().serve()

    async def ct_log_refusals(self) -> None:
        """Log what was refused, at a bounded rate; at the stop publish the ends of events that are on."""
        try:
            await super().ct_log_refusals()
        finally:
            self._publish(self.events.end(), self.endpoints[0])

    def receiver_status(self) -> dict[str, object]:
        """Return the endpoints, the trigger, what was lost before it arrived, and what was refused."""
        shown = super().receiver_status() | {"trigger": self.events.status()}
        shown["lost"] = {str(stream): missing for stream, missing in self.messages.lost.items()}
        return shown | self.messages.refusals.report()

    def _take(self, endpoint: ZmqEndpoint, burst: list[list[bytes]]) -> None:
        """Publish the events that the packets of a burst begin and end."""
        packets: list[Packet] = []
        for frames in burst:
            packet = self.messages.packet(endpoint.address, frames)
            if packet is not None:
                packets.append(packet)
        self._publish(self.events.messages(packets), endpoint)

    def _publish(self, found: list[Message], endpoint: Endpoint) -> None:
        if found:
            self.publish_now(found, endpoint)


def _settings(given: Mapping[str, Any]) -> TriggerSettings:
    """Return *given*, each of which is right by itself, as settings.

    Raises:
        InvalidValue: they do not go together.
    """
    try:
        return TriggerSettings(**given)
    except ValidationError as error:
        raise InvalidValue("; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())) from None
