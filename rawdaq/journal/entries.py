"""Packets, runs of packets, messages and plain bytes as entries of a store, and back: all as it came, nothing lost.

An entry carries the stream, the first and the last sample's time. What stays the same is said once per segment, in the
facts of the stream: f64 rate, the type of the samples as numpy writes it, and where they have marks a zero and these as
JSON. The body, little-endian::

    u64 number | u64 sequence | i64 received_ns | u8 timing quality, 255: none      = 25 B
    packet   the samples
    run      u32 packets | i64 start of each packet | the samples of all
    message  u32 bytes of the header | the header as JSON | the payload; its stream is the topic
    bytes    the bytes

``number`` counts all packets that a journal has got, so that two entries show how many lie between them.
"""

import json
import struct
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

import numpy as np

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.messages.message import Message
from rawdaq.packet import SAMPLE_TYPES, Marks, Packet, PacketRun
from rawdaq.store.values import MAX_BODY_BYTES, MAX_FACTS_BYTES, MAX_STREAM_BYTES, Entry, Stored
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S

#: What a journal keeps.
Item = Packet | PacketRun | Message | bytes

_HEAD: Final = struct.Struct("<QQqB")
_RATE: Final = struct.Struct("<d")
_COUNT: Final = struct.Struct("<I")
_START_BYTES: Final = 8
_NO_QUALITY: Final = 255
_BYTES_STREAM: Final = "bytes"  # no stream has such a name
_FIRST_NS, _LAST_NS = -(1 << 63), (1 << 63) - 1
_MAX_CACHED: Final = 1 << 16  # streams


class Form(IntEnum):
    """How a body is to be read; the store keeps it as the format of the entry."""

    PACKET = 1
    RUN = 2
    BYTES = 3
    MESSAGE = 4


_FORMS = frozenset(Form)


class EntryUnreadable(RawdaqError):
    """This version of rawdaq has not written the entry.

    Args:
        position: of the entry.
        reason: what is wrong with it.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(position, reason)
        self.position, self.reason = position, reason

    def __str__(self) -> str:
        return f"the journal's entry at position {self.position} cannot be read: {self.reason}"


class Numbered(NamedTuple):
    """What an entry holds.

    Attributes:
        number: how many packets the journal had got before it.
        item: a packet, a run of packets, or plain bytes.
    """

    number: int
    item: Item


class _Facts(NamedTuple):
    """What stays the same over the packets of a stream."""

    stream: str
    facts: bytes


class EntryEncoder:
    """Makes entries of what a receiver publishes."""

    def __init__(self) -> None:
        self._facts: dict[tuple[StreamId, float, np.dtype[Any], Marks | None], _Facts] = {}

    def encode(self, item: Item, number: int, now_ns: int) -> Entry:
        """Return the entry of *item*.

        Args:
            item: what was published.
            number: how many packets were journalled before it.
            now_ns: the time of messages, and of plain bytes, which have none.

        Raises:
            InvalidValue: a store cannot hold it; the text says why.
        """
        try:
            if isinstance(item, Packet):
                entry = self._packet(item, number)
            elif isinstance(item, PacketRun):
                entry = self._run(item, number)
            elif isinstance(item, Message):
                entry = _message(item, number, now_ns)
            else:
                head = _HEAD.pack(number, 0, now_ns, _NO_QUALITY)
                entry = Entry(_BYTES_STREAM, now_ns, now_ns, item, Form.BYTES, head=head)
        except struct.error as error:
            raise InvalidValue(f"a time or a number does not fit in 64 bits: {error}") from error
        if entry.size_bytes > MAX_BODY_BYTES:
            raise InvalidValue(f"{entry.size_bytes} bytes of {entry.stream} are more than {MAX_BODY_BYTES}")
        return entry

    def _packet(self, packet: Packet, number: int) -> Entry:
        name, facts = self._facts_of(packet)
        quality = packet.timing_quality
        head = _HEAD.pack(number, packet.sequence, packet.received_ns, _NO_QUALITY if quality is None else int(quality))
        end_ns = _end_ns(packet.start_ns, packet.size, packet.rate_hz)
        return Entry(name, packet.start_ns, end_ns, packet.data, Form.PACKET, facts, head)

    def _run(self, run: PacketRun, number: int) -> Entry:
        name, facts = self._facts_of(run)
        quality = _NO_QUALITY if run.timing_quality is None else int(run.timing_quality)
        starts = np.array(run.starts_ns, "<i8").tobytes()
        head = _HEAD.pack(number, run.sequence, run.received_ns, quality)
        head += _COUNT.pack(len(run)) + starts
        samples = run.samples
        if samples.strides[-1] != samples.itemsize:  # rows that can be seen as bytes
            samples = np.ascontiguousarray(samples)
        rows = samples.view(np.uint8)
        end_ns = _end_ns(run.starts_ns[-1], run.samples.shape[1], run.rate_hz)
        return Entry(name, run.start_ns, max(run.start_ns, end_ns), rows, Form.RUN, facts, head)

    def _facts_of(self, item: Packet | PacketRun) -> _Facts:
        key = item.stream, item.rate_hz, item.dtype, item.marks
        facts = self._facts.get(key)
        if facts is None:
            name = str(item.stream)
            if len(name) > MAX_STREAM_BYTES:
                raise InvalidValue(f"the name of {name[:80]}... has more than {MAX_STREAM_BYTES} characters")
            if len(self._facts) >= _MAX_CACHED:
                self._facts.clear()
            said = _RATE.pack(item.rate_hz) + item.dtype.str.encode() + _pack_marks(item.marks)
            if len(said) > MAX_FACTS_BYTES:
                raise InvalidValue(f"the extra headers of {name} have more than {MAX_FACTS_BYTES} bytes")
            facts = self._facts[key] = _Facts(name, said)
        return facts


def _message(message: Message, number: int, now_ns: int) -> Entry:
    head = _HEAD.pack(number, message.frame, message.received_ns, _NO_QUALITY)
    body = b"".join((head, _COUNT.pack(len(message.head)), message.head, message.payload))
    return Entry(message.topic, now_ns, now_ns, body, Form.MESSAGE)


def _pack_marks(marks: Marks | None) -> bytes:
    return b"" if marks is None else b"\0" + json.dumps(marks).encode()


def _end_ns(start_ns: int, size: int, rate_hz: float) -> int:
    """Return the time of the last sample, within what a store can hold; of no samples, the start."""
    if not _FIRST_NS <= start_ns <= _LAST_NS:
        raise InvalidValue(f"time {start_ns} does not fit in 64 bits")
    return min(start_ns + round((size - 1) * NS_PER_S / rate_hz), _LAST_NS) if size else start_ns


def number_of(stored: Stored) -> int:
    """Return how many packets the journal had got before *stored*.

    Raises:
        EntryUnreadable: it is no entry of a journal.
    """
    try:
        number: int = _HEAD.unpack_from(stored.body)[0]
    except struct.error as error:
        raise EntryUnreadable(stored.position, str(error)) from error
    return number


def decode(stored: Stored) -> Numbered:
    """Return what *stored* holds.

    Raises:
        EntryUnreadable: this version of rawdaq does not know such entries.
    """
    if stored.format not in _FORMS:
        raise EntryUnreadable(stored.position, f"its format {stored.format} is not known")
    try:
        return Numbered(number_of(stored), _item(stored))
    except (struct.error, ValueError, TypeError, KeyError, RawdaqError) as error:
        if isinstance(error, EntryUnreadable):
            raise
        raise EntryUnreadable(stored.position, str(error)) from error


def _item(stored: Stored) -> Item:
    body = memoryview(stored.body)
    if stored.format == Form.BYTES:
        return bytes(body[_HEAD.size :])
    if stored.format == Form.MESSAGE:
        return _unpack_message(stored.stream, body)
    _, sequence, received_ns, quality = _HEAD.unpack_from(body)
    timing_quality = None if quality == _NO_QUALITY else quality
    stream, (rate_hz, dtype, marks) = _stream(stored.stream), _unpack_facts(stored.facts)
    if stored.format == Form.PACKET:
        data = body[_HEAD.size :]
        if len(data) % dtype.itemsize:
            raise ValueError(f"{len(data)} bytes are no whole number of {dtype} samples")
        return Packet.trusted(
            stream, stored.start_ns, rate_hz, dtype, data, timing_quality, sequence, received_ns, marks
        )
    (count,) = _COUNT.unpack_from(body, _HEAD.size)
    begin = _HEAD.size + _COUNT.size
    starts_ns: list[int] = np.frombuffer(body, "<i8", count, begin).tolist()
    if not starts_ns or starts_ns[0] != stored.start_ns:
        raise ValueError("its times are not those of a run")
    rest = body[begin + count * _START_BYTES :]
    samples = np.frombuffer(rest, dtype) if rest else np.empty(0, dtype)
    samples.flags.writeable = False
    samples = samples.reshape(count, -1 if rest else 0)
    return PacketRun(stream, starts_ns, rate_hz, samples, timing_quality, sequence, received_ns)


def _unpack_message(topic: str, body: memoryview) -> Message:
    (size,) = _COUNT.unpack_from(body, _HEAD.size)
    begin = _HEAD.size + _COUNT.size
    header: object = json.loads(bytes(body[begin : begin + size]))
    if not isinstance(header, dict):
        raise ValueError("the header of a message is no JSON object")
    return Message(topic, cast("dict[str, Any]", header), bytes(body[begin + size :]))


@lru_cache(_MAX_CACHED)
def _stream(name: str) -> StreamId:
    return StreamId.parse(name)


@lru_cache(1024)
def _unpack_facts(facts: bytes) -> tuple[float, np.dtype[Any], Marks | None]:
    (rate_hz,) = _RATE.unpack_from(facts)
    sample_type, _, marks = facts[_RATE.size :].partition(b"\0")
    dtype = np.dtype(sample_type.decode())
    if dtype not in SAMPLE_TYPES or not 0 < rate_hz < float("inf"):
        raise ValueError(f"{dtype} samples at {rate_hz} Hz cannot be")
    return rate_hz, dtype, Marks(*json.loads(marks)) if marks else None
