"""ZMQReceiver: reads ZMQ streams: of another rawdaq, of detectors, or any bytes to pass on."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import zmq
from pydantic import AfterValidator, Field

from rawdaq.config.curve import CurveSettings, curve_files
from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet
from rawdaq.protocols.array import HeaderForm
from rawdaq.protocols.message import is_waveform
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.zmq_in.arrays import ArraySettings, ArrayStreams
from rawdaq.receivers.zmq_in.frames import FrameInput
from rawdaq.receivers.zmq_in.messages import MessageInput, check_wanted
from rawdaq.sockets.zeromq.endpoint import WholeMessage, ZmqEndpoint, ZmqOptions
from rawdaq.sockets.zeromq.socket import bind_mistakes, check_zmq_addresses, exclusive_addresses
from rawdaq.stream_id import StreamId, check_patterns, prefixes
from rawdaq.subscriber.messages import LiveMessages

#: Gives the packets of a message that arrived at an endpoint at a time.
_Reader = Callable[[ZmqEndpoint, list[bytes], int], Sequence[Packet]]
#: Publishes a burst of an endpoint.
_Taker = Callable[[ZmqEndpoint, list[Any]], None]

_FRAMES_WAITING, _MESSAGES_WAITING = 16, 10_000  # in a socket; frames may have megabytes


class ZMQReceiver(ReceiverServer):
    """Reads PUSH or PUB sockets, as many as there are.

    By default the messages are those that rawdaq publishes: what another machine received is published here with its
    names, times, timing qualities and sequence numbers. With `messages` that is what is no waveform, too. With `array`
    the messages are those of a detector, of which packets are made, with `frames` those of a detector that are passed
    on whole, and with `raw` any.

    Args:
        publishers: where the packets go.
        station: completes the names of detector streams.
        name: the component's name.
        endpoints: ZMQ addresses, like ``tcp://192.0.2.7:9004``.
        pattern: ``sub`` reads PUB sockets, ``pull`` reads PUSH sockets.
        bind: the peers connect to us; otherwise we connect to them, and again whenever they went away.
        streams: shell-style patterns of ``NET.STA.LOC.CHA``, like ``XX.*.*.HH?``: what is published of rawdaq's
            waveforms; none means all, or with `messages` none of them.
        messages: what is passed on besides waveforms, by beginnings of topics: ``["~event", "~log"]``, ``["~"]`` for
            all: events, readouts, telemetry, logs and monitoring of other components, with who made them and when.
        topics: what to subscribe to, by beginnings of the first frame, where the messages are not rawdaq's; none: all.
        array: messages are ``array-1.0``, of these streams.
        raw: every frame is passed on unchanged, as a message of its own.
        frames: messages are frames of a detector, which are passed on whole: what a `RepeaterPublisher` sends.
        header_part: which part of such a frame is its header, from 0.
        mode_metadata: how that header is written: ``file`` and ``gf`` mean JSON, ``TestMetadata`` seven numbers.
        high_water_mark: messages of one peer that may wait here; then it waits (PUSH) or drops (PUB). By default 16
            frames, fewer when they are large, or 10 000 messages of other kinds.
        max_message_mb: a peer that sends a larger frame is disconnected; where we connect, we do so again after 5 s.
        io_threads: threads that read the sockets; components that share a process have one.
        curve: key files that encrypt the connection: ``key`` is ours, ``server_key`` that of the peers we connect to;
            with `bind` ``clients`` may be a folder of the keys of those that may connect.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        endpoints: Annotated[list[str], Field(min_length=1), AfterValidator(check_zmq_addresses)],
        pattern: Literal["sub", "pull"] = "sub",
        bind: bool = False,
        streams: list[str] = [],  # noqa: B006 - it is never changed
        messages: Annotated[list[str], AfterValidator(check_wanted)] = [],  # noqa: B006 - it is never changed
        topics: list[str] = [],  # noqa: B006 - it is never changed
        array: ArraySettings | None = None,
        raw: bool = False,
        frames: bool = False,
        header_part: Annotated[int, Field(ge=0, le=1000)] = 0,
        mode_metadata: HeaderForm = HeaderForm.FILE,
        high_water_mark: Annotated[int, Field(ge=1, le=10_000_000)] | None = None,
        max_message_mb: Annotated[float, Field(ge=0.001, le=2000)] = 64.0,
        io_threads: Annotated[int, Field(ge=1, le=16)] = 1,
        curve: CurveSettings | None = None,
        name: str = "ZMQReceiver",
    ) -> None:
        super().__init__("", 0, publishers, name)
        _check(pattern, streams, topics, messages, _kinds(array, raw, frames))
        if mistakes := bind_mistakes(endpoints, bind):
            raise InvalidValue(mistakes[0])
        self.numbers_packets = self.stats.has_stamps = array is not None
        self.messages = LiveMessages(streams, self.log)
        self._message_input = MessageInput(messages, self.topics, self.messages.refusals) if messages else None
        self._takes_waveforms = bool(streams) or not messages
        self.frames = FrameInput(HeaderForm(mode_metadata), header_part, self.log) if frames else None
        self._refusals = self.add_refusals(self.messages.refusals if self.frames is None else self.frames.refusals)
        self._io_threads = io_threads
        self._arrays: dict[ZmqEndpoint, ArrayStreams] = {}
        self._read: _Reader = self._read_packet if array is None else self._read_array
        options = ZmqOptions(
            zmq.PULL if pattern == "pull" else zmq.SUB,
            bind,
            _topics(topics, streams, messages),
            high_water_mark or (_FRAMES_WAITING if frames else _MESSAGES_WAITING),
            int(max_message_mb * 1e6),
            is_by_frame=raw,
            is_whole=frames,
            curve=curve_files(curve, is_bound=bind),
        )
        take: _Taker = self._pass if raw else self._take if self._message_input is None else self._take_all
        if self.frames is not None:
            take = functools.partial(self._pass_frames, self.frames)
        for address in endpoints:
            endpoint = ZmqEndpoint(address, options, self._plain_context, take, self.log)
            self.add_endpoint(endpoint)
            if array is not None:
                self._arrays[endpoint] = ArrayStreams(array, station)

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return the streams of a detector; what rawdaq's messages bring is known when it comes.

        Raises:
            InvalidValue: options that do not go together, or a pattern that can name no stream.
        """
        described: ArraySettings | None = options["array"]
        kinds = _kinds(described, options["raw"], options["frames"])
        _check(options["pattern"], options["streams"], options["topics"], options["messages"], kinds)
        if mistakes := bind_mistakes(options["endpoints"], options["bind"]):
            raise InvalidValue(mistakes[0])
        curve_files(options["curve"], is_bound=options["bind"])
        return described.streams(station) if described else []

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the addresses that peers connect to, in the words of publishers."""
        return exclusive_addresses(options["endpoints"]) if options["bind"] else []

    @classmethod
    def only_subscribes(cls, options: Mapping[str, Any]) -> bool:
        """Return whether it reads what others publish; PUSH sockets send to it alone."""
        return bool(options["pattern"] == "sub")

    def _plain_context(self) -> "zmq.Context[zmq.Socket[bytes]]":
        self._context.set(zmq.IO_THREADS, self._io_threads)  # a context that runs already keeps those that it has
        return super()._plain_context()

    def receiver_status(self) -> dict[str, object]:
        """Return the endpoints, what was lost before it arrived, and what was refused."""
        lost = {endpoint.address: streams.lost for endpoint, streams in self._arrays.items() if streams.lost}
        lost |= {str(stream): missing for stream, missing in self.messages.lost.items()}
        if self._message_input is not None:
            lost |= self._message_input.order.lost
        shown = super().receiver_status() | {"lost": lost}
        if self.frames is not None:
            for endpoint in self.endpoints:
                if isinstance(endpoint, ZmqEndpoint):
                    self.frames.note_cuts(endpoint.cuts, endpoint.address)
            shown |= self.frames.status()
        return shown | self._refusals.report()

    def _pass_frames(self, frames: FrameInput, endpoint: ZmqEndpoint, burst: list[WholeMessage]) -> None:
        """Publish frames whole; what is wrong is counted."""
        frames.note_cuts(endpoint.cuts, endpoint.address)
        if messages := frames.messages(burst, endpoint.address):
            self.publish_multiparts(messages, endpoint)

    def _pass(self, endpoint: ZmqEndpoint, burst: list[bytes]) -> None:
        """Publish frames as they are."""
        self.publish_now(burst, endpoint)

    def _take_all(self, endpoint: ZmqEndpoint, burst: list[list[bytes]]) -> None:
        """Publish what a burst holds of waveforms and of messages; each keep their order."""
        assert self._message_input is not None  # noqa: S101 - it is chosen with this
        waveforms: list[list[bytes]] = []
        others: list[list[bytes]] = []
        for frames in burst:
            (waveforms if is_waveform(frames[0]) else others).append(frames)
        if waveforms and self._takes_waveforms:
            self._take(endpoint, waveforms)
        for messages in self._message_input.runs(endpoint.address, others):
            self.publish_now(messages, endpoint)

    def _take(self, endpoint: ZmqEndpoint, burst: list[list[bytes]]) -> None:
        """Publish what the messages of a burst hold."""
        received_ns = time.time_ns()
        packets: list[Packet] = []
        for frames in burst:
            packets += self._read(endpoint, frames, received_ns)
        if packets:
            self.publish_now(packets, endpoint)

    def _read_array(self, endpoint: ZmqEndpoint, frames: list[bytes], received_ns: int) -> Sequence[Packet]:
        try:
            return self._arrays[endpoint].packets(frames, received_ns)
        except MessageMalformed as error:
            self.messages.refuse(endpoint.address, error)
            return ()

    def _read_packet(self, endpoint: ZmqEndpoint, frames: list[bytes], received_ns: int) -> Sequence[Packet]:
        """Return the packet of one of rawdaq's messages, with our own time of arrival."""
        sent = self.messages.packet(endpoint.address, frames)
        if sent is None or not sent.samples.size:  # without samples its time means nothing
            return ()
        return (
            Packet(
                sent.stream,
                sent.start_ns,
                sent.rate_hz,
                sent.samples,
                sent.timing_quality,
                sent.sequence,
                received_ns,
            ),
        )


def _kinds(array: ArraySettings | None, raw: bool, frames: bool) -> list[str]:
    """Return the options that say what messages are, where they are not rawdaq's."""
    return [name for name, is_given in (("array", array is not None), ("raw", raw), ("frames", frames)) if is_given]


def _topics(topics: Sequence[str], streams: Sequence[str], messages: Sequence[str]) -> list[bytes]:
    """Return what to subscribe to."""
    if topics:
        return [topic.encode() for topic in topics]
    waveforms = prefixes(streams) if streams or not messages else []
    return [*waveforms, *(topic.encode() for topic in messages)]


def _check(
    pattern: str, streams: Sequence[str], topics: Sequence[str], messages: Sequence[str], kinds: Sequence[str]
) -> None:
    """Refuse options that do not go together, and patterns that can name no stream.

    Raises:
        InvalidValue: the text names them, and what would be right.
    """
    if len(kinds) > 1:
        raise InvalidValue(
            "`raw` passes bytes on, `frames` messages, and `array` makes samples of them: remove one of "
            f"{' and '.join(kinds)}"
        )
    if streams and kinds:
        raise InvalidValue(f"`streams` selects rawdaq's messages; with `{kinds[0]}` there are `topics`")
    if messages and kinds:
        raise InvalidValue(f"`messages` are rawdaq's, and with `{kinds[0]}` nothing is: use a receiver of their own")
    if topics and pattern == "pull":
        raise InvalidValue("`topics` are what a `sub` subscribes to; a `pull` gets everything: remove them")
    if topics and not kinds:
        raise InvalidValue("`topics` are for `raw`, `frames` and `array`; rawdaq's messages are selected by `streams`")
    check_patterns(streams)
