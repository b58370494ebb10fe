"""ArrayAssembler: waveforms of many stations, cut into blocks at the same instants: one array for all of them."""

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import zmq
from pydantic import AfterValidator, Field

from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.messages.message import Kind, Message, topic_of
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.receivers.assembler.base import AssemblyReceiver, rules_of
from rawdaq.receivers.assembler.intake import Origin
from rawdaq.receivers.assembler.output import readout_header
from rawdaq.receivers.assembler.tables import sender_table
from rawdaq.sockets.refusals import Refusals
from rawdaq.sockets.zeromq.endpoint import BURST_MESSAGES, ZmqEndpoint, ZmqOptions
from rawdaq.sockets.zeromq.socket import bind_mistakes, check_zmq_address, exclusive_addresses
from rawdaq.stream_id import StreamId, check_patterns, prefixes
from rawdaq.streams.assembly.blocks import Block, Grid, StreamRefused, filled_rows
from rawdaq.streams.assembly.values import Readout, Rules
from rawdaq.subscriber.messages import LiveMessages
from rawdaq.times import NS_PER_S

_MAX_ROWS = 2048  # whose names a header can have
_MESSAGES_WAITING = 10_000  # of one peer, in a socket
_MAX_MESSAGE_BYTES = 64_000_000
_WILDCARDS = frozenset("*?[")


class ArrayAssembler(AssemblyReceiver):
    """Cuts waveforms of many stations into blocks at the same instants: each is a readout with a row for each stream.

    It reads live streams of rawdaq. Packets may have any length, and come in any order. A block leaves when all rows
    are full; others are waited for. Samples that are absent are NaN, and each row says how many are there. This is
    what arrays, beamforming and coincidence triggers need.

    Args:
        publishers: where the readouts go.
        station: network and station of the readouts.
        name: the component's name.
        endpoints: ZMQ addresses, like ``tcp://192.0.2.7:9004``.
        pattern: ``sub`` reads PUB sockets, ``pull`` reads PUSH sockets.
        bind: the peers connect to us; otherwise we connect to them.
        streams: the rows: names of streams like ``XX.A1.00.HHZ`` have them in this order; with a shell-style pattern
            like ``XX.A*.00.HHZ`` the rows are the streams in the order in which they come.
        block_s: the length of a block; block b is from b times this on, in UTC.
        rate_hz: the sampling rate of all rows; by default that of the first packet.
        tolerance: how far, in samples, the time of a sample may be from its place in the block; a stream that is
            farther is refused by name.
        values: ``float64`` has every sample as it is, ``float32`` is half as large.
        max_wait_s: how long a block is kept for its last samples, once more than half of the streams have passed it.
        span_s: how far, in their time, more than half of the streams may pass a block before it leaves; none: any.
        absent_s: a stream that is silent for so long is not waited for until it comes again; at least three blocks.
        max_open: how many blocks may be unfinished; beyond it the oldest leaves early.
        max_open_mb: how large they may be.
        ordered: blocks leave in order of time; otherwise as they are finished.
        duplicates: which of two samples of one instant stays: the ``first`` or the ``last``.
        step_s: time that jumps by more is wrong, or begins anew when that of most streams does.
        reset_parts: how many packets of most streams make a jump a new beginning.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        endpoints: Annotated[list[Annotated[str, AfterValidator(check_zmq_address)]], Field(min_length=1)],
        streams: Annotated[list[str], Field(min_length=1, max_length=_MAX_ROWS)],
        pattern: Literal["sub", "pull"] = "sub",
        bind: bool = False,
        block_s: Annotated[float, Field(ge=0.001, le=86_400)] = 1.0,
        rate_hz: Annotated[float, Field(ge=1e-9, le=1e9)] | None = None,
        tolerance: Annotated[float, Field(ge=0, le=0.5)] = 0.1,
        values: Literal["float32", "float64"] = "float64",
        max_wait_s: Annotated[float, Field(ge=0.001, le=86_400)] = 3.0,
        span_s: Annotated[float, Field(ge=0, le=864_000)] | None = None,
        absent_s: Annotated[float, Field(ge=0.01, le=864_000)] = 30.0,
        max_open: Annotated[int, Field(ge=1, le=1_000_000)] = 4096,
        max_open_mb: Annotated[float, Field(ge=0.1, le=100_000)] = 256.0,
        ordered: bool = True,
        duplicates: Literal["first", "last"] = "first",
        step_s: Annotated[float, Field(gt=0, le=864_000)] = 60.0,
        reset_parts: Annotated[int, Field(ge=1, le=1000)] = 3,
        name: str = "ArrayAssembler",
    ) -> None:
        options = dict(locals())
        _check(options)
        self.rows = _Rows(streams)
        self.grid = Grid(round(block_s * NS_PER_S), tolerance, rate_hz)
        super().__init__("", 0, publishers, name, _rules(options, self.rows), functools.partial(Block, self.grid))
        self.messages = LiveMessages(streams, self.log)
        self.add_refusals(self.messages.refusals)
        self.refusals = self.add_refusals(Refusals(self.log, what="packet"))
        self._topic, self._type = topic_of(Kind.READOUT, station, name), "<f4" if values == "float32" else "<f8"
        how = ZmqOptions(
            zmq.PULL if pattern == "pull" else zmq.SUB,
            bind,
            prefixes(streams),
            _MESSAGES_WAITING,
            _MAX_MESSAGE_BYTES,
        )
        for address in endpoints:
            self.add_endpoint(ZmqEndpoint(address, how, self._plain_context, self._take, self.log))

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return no streams: blocks are messages.

        Raises:
            InvalidValue: options that do not go together; the text names all of them.
        """
        _check(options)
        return []

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the addresses that peers connect to."""
        return exclusive_addresses(options["endpoints"]) if options["bind"] else []

    def _take(self, endpoint: ZmqEndpoint, burst: list[list[bytes]]) -> None:
        """Take the samples of messages that were read together."""
        received_ns, now_ns = time.time_ns(), time.monotonic_ns()
        self.is_more_waiting = len(burst) >= BURST_MESSAGES
        readouts: list[Readout] = []
        for frames in burst:
            packet = self.messages.packet(endpoint.address, frames)
            if packet is not None and packet.size:
                readouts += self._assemble(packet.replace(received_ns=received_ns), now_ns)
        self.hand_out(readouts, endpoint)

    def _assemble(self, packet: Packet, now_ns: int) -> list[Readout]:
        """Return the readouts that leave because of *packet*; one that does not fit is counted."""
        row = self.rows.find(packet.stream)
        if row is None:
            self.refusals.count("too many streams", str(packet.stream), f"there are {_MAX_ROWS} rows already")
            return []
        origin = self.rows.origins[row]
        if origin is None:
            origin = self.rows.origins[row] = Origin(str(packet.stream), row)
            self.assembly.use(row)
        origin.packets += 1
        origin.delay_ns = packet.received_ns - packet.end_ns
        readouts: list[Readout] = []
        try:
            for part in self.grid.pieces(row, packet):
                readouts += self.assembly.add(part, now_ns)
        except StreamRefused as error:
            origin.malformed += 1
            self.refusals.count(error.reason, origin.name, error)
        return readouts

    def slot_name(self, slot: int) -> str:
        """Return the stream of a row."""
        return self.rows.name(slot)

    def message(self, readout: Readout) -> Message:
        """Return a block as a message: [rows, 1, samples]."""
        filled, values = filled_rows(list(readout.rows))
        values = values.astype(self._type, copy=False)
        shape = (len(filled), 1, self.grid.size)
        header = readout_header(readout, values.dtype, shape, len(self.assembly.used)) | {
            "time_ns": readout.time_ns - self.grid.block_ns,
            "unit": "",
            "scale": 1,
            "offset": 0,
            "rate_hz": self.grid.rate_hz,
            "streams": [self.rows.name(slot) for slot in readout.slots],
            "filled": filled,
        }
        return Message(self._topic, header, values.tobytes())

    def cmd_slots(self) -> dict[str, dict[str, object]]:
        """Show each row: its stream, and what became of its parts."""
        return sender_table(self.assembly, self.rows.origins)

    def cmd_refused(self) -> dict[str, dict[str, int]]:
        """Show what was refused, by stream and reason."""
        return self.refusals.table() | self.messages.refusals.table()

    def receiver_status(self) -> dict[str, object]:
        """Return the endpoints, the counters of the assembly, what was lost before it arrived, and what was refused."""
        lost = {str(stream): missing for stream, missing in self.messages.lost.items()}
        shown = super().receiver_status() | self.refusals.report() | {"lost": lost}
        return shown | {"malformed": dict(self.messages.refusals.by_reason)}


class _Rows:
    """Which stream is which row."""

    def __init__(self, streams: Sequence[str]) -> None:
        self.has_patterns = any(_WILDCARDS & set(each) for each in streams)
        self._names = [] if self.has_patterns else list(streams)
        self._rows = {name: row for row, name in enumerate(self._names)}
        self.count = _MAX_ROWS if self.has_patterns else len(self._names)
        #: By row, once its stream has come.
        self.origins: list[Origin | None] = [None] * self.count

    def find(self, stream: StreamId) -> int | None:
        """Return the row of a stream; with patterns the next free one is its; None: there is none."""
        name = str(stream)
        row = self._rows.get(name)
        if row is None and self.has_patterns and len(self._names) < self.count:
            row = self._rows[name] = len(self._names)
            self._names.append(name)
        return row

    def name(self, row: int) -> str:
        """Return the name of the stream of a row."""
        return self._names[row]


def _rules(options: Mapping[str, Any], rows: _Rows) -> Rules:
    unused = frozenset(range(rows.count)) if rows.has_patterns else frozenset[int]()
    return rules_of(options, slots=rows.count, unused=unused, window_ns=1)


def _check(options: Mapping[str, Any]) -> None:
    """Refuse options that do not go together.

    Raises:
        InvalidValue: the text names all of them.
    """
    check_patterns(options["streams"])
    mistakes: list[str] = []
    names: list[str] = options["streams"]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        mistakes.append(f"streams: {', '.join(twice)} is there twice")
    has_patterns = [bool(_WILDCARDS & set(name)) for name in names]
    if any(has_patterns) and not all(has_patterns):
        mistakes.append("streams: either names, which are rows in this order, or patterns")
    if not any(has_patterns):
        for name in names:
            try:
                StreamId.parse(name)
            except InvalidValue as error:
                mistakes.append(f"streams: {error}")
    if options["absent_s"] < 3 * options["block_s"]:
        mistakes.append(f"absent_s ({options['absent_s']:g}) must be at least three blocks ({options['block_s']:g} s)")
    if options["absent_s"] < options["max_wait_s"]:
        mistakes.append(f"absent_s ({options['absent_s']:g}) is less than max_wait_s ({options['max_wait_s']:g})")
    if options["step_s"] <= options["block_s"]:
        mistakes.append(f"step_s ({options['step_s']:g}) must be above block_s ({options['block_s']:g})")
    mistakes += bind_mistakes(options["endpoints"], options["bind"])
    if options["rate_hz"] is not None:
        samples = options["rate_hz"] * options["block_s"]
        if samples < 1 or abs(samples - round(samples)) > 1e-6:
            mistakes.append(
                f"a block of {options['block_s']:g} s has {samples:g} samples: choose a length of whole ones"
            )
    if mistakes:
        raise InvalidValue("; ".join(mistakes))
