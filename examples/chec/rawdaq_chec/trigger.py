"""Trigger packets of the camera, versions 1 to 3, read and written; and as a format of rawdaq's `TriggerReceiver`.

The camera has 512 superpixels. A packet says which of them were part of the trigger (the union) and, of each, at which
samples it was above its threshold (the pattern: first sample in the most significant bit).
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rawdaq.protocols.events import Event, EventFormat, ForeignMessage, MalformedMessage

SUPERPIXELS = 512
MAGIC = 0xCAFE

_V1_HEAD = struct.Struct("<HBBQB")  # magic, type, 22, TACK, phase
_V1_TAIL = struct.Struct("<64sIIIH")  # union, event, PPS, clock, source
_V1_MARK = 22
_V1_PATTERN_BYTES = 2  # of each superpixel
_V1_BYTES = _V1_HEAD.size + SUPERPIXELS * _V1_PATTERN_BYTES + _V1_TAIL.size
#: Magic, type, message type, errors, source, samples / 8, TACK, phase, readout, PPS and clock counter, union.
_V2_HEAD = struct.Struct("<HBBBHBQBIII64s")
_BUSY = 1


@dataclass(frozen=True)
class TriggerPacket:
    """A trigger packet of any version.

    Attributes:
        version: 1, 2 or 3.
        message_type: of version 1: 0 nominal, 1 busy; of the others eight bits, the first of which is busy.
        tack: the camera's time in nanoseconds.
        phase_bits: one of eight bits, phase i as 2^(7-i).
        counter: of events (version 1) or readouts.
        pps: counter of pulses per second.
        clock: counter of clock ticks since the last of them.
        source: of the trigger.
        union: the superpixels that were part of it, ascending.
        pattern: of each superpixel that has any: its samples as bits. In version 3 those of the union, no others.
        errors: error flags; version 1 has none.
        sample_bytes: bytes of a superpixel's samples; 2 in version 1.
    """

    version: int
    message_type: int
    tack: int
    phase_bits: int
    counter: int
    pps: int
    clock: int
    source: int
    union: tuple[int, ...] = ()
    pattern: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    errors: int = 0
    sample_bytes: int = _V1_PATTERN_BYTES

    @property
    def is_busy(self) -> bool:
        """Whether the camera was busy, so that nothing was read out."""
        return bool(self.message_type & _BUSY)

    @property
    def phase(self) -> int | None:
        """The phase, 0 to 7; None: the bits are those of none."""
        return 8 - self.phase_bits.bit_length() if self.phase_bits.bit_count() == 1 else None


def decode(data: bytes) -> TriggerPacket:
    """Return the packet.

    Raises:
        ForeignMessage: it is no trigger packet of the camera.
        MalformedMessage: it is one that cannot be.
    """
    if len(data) < 3:
        raise MalformedMessage(f"packet of {len(data)} bytes")
    magic, version = struct.unpack_from("<HB", data)
    if magic != MAGIC:
        raise ForeignMessage(f"magic is {magic:#06x}, not {MAGIC:#06x}")
    if version < 2:
        return _decode_1(data)
    if version > 3:
        raise MalformedMessage(f"packet of type {version}, known are 0 to 3")
    return _decode_2(data)


def _decode_1(data: bytes) -> TriggerPacket:
    if len(data) != _V1_BYTES:
        raise MalformedMessage(f"packet of {len(data)} bytes, version 1 has {_V1_BYTES}")
    _, kind, mark, tack, phase = _V1_HEAD.unpack_from(data)
    if mark != _V1_MARK:
        raise MalformedMessage(f"byte 3 is {mark}, version 1 has {_V1_MARK}")
    union, event, pps, clock, source = _V1_TAIL.unpack_from(data, _V1_BYTES - _V1_TAIL.size)
    pattern = _pattern(range(SUPERPIXELS), data[_V1_HEAD.size : -_V1_TAIL.size], _V1_PATTERN_BYTES)
    return TriggerPacket(1, kind, tack, phase, event, pps, clock, source, _bits(union), pattern)


def _decode_2(data: bytes) -> TriggerPacket:
    if len(data) < _V2_HEAD.size:
        raise MalformedMessage(f"packet of {len(data)} bytes, at least {_V2_HEAD.size} are needed")
    _, version, kind, errors, source, size, tack, phase, count, pps, clock, bits = _V2_HEAD.unpack_from(data)
    union = _bits(bits)
    present: Sequence[int] = range(SUPERPIXELS) if version == 2 else union
    wanted = _V2_HEAD.size + len(present) * size
    if len(data) != wanted:
        raise MalformedMessage(f"packet of {len(data)} bytes, {len(present)} superpixels make {wanted}")
    pattern = _pattern(present, data[_V2_HEAD.size :], size, is_sparse=version == 2)
    return TriggerPacket(version, kind, tack, phase, count, pps, clock, source, union, pattern, errors, size)


def _bits(union: bytes) -> tuple[int, ...]:
    return tuple(np.flatnonzero(np.unpackbits(np.frombuffer(union, np.uint8))).tolist())


def _pattern(present: Sequence[int], data: bytes, size: int, *, is_sparse: bool = True) -> dict[int, bytes]:
    """Return the samples of each superpixel; where all are there, of those that have any."""
    each = {number: data[index * size : (index + 1) * size] for index, number in enumerate(present)}
    return {number: bits for number, bits in each.items() if any(bits)} if is_sparse else each


def encode(packet: TriggerPacket) -> bytes:
    """Return the bytes of *packet*."""
    union = np.zeros(SUPERPIXELS, np.uint8)
    union[list(packet.union)] = 1
    bits, none = np.packbits(union).tobytes(), bytes(packet.sample_bytes)
    present = packet.union if packet.version == 3 else range(SUPERPIXELS)
    pattern = b"".join(packet.pattern.get(number, none) for number in present)
    counters = packet.counter, packet.pps, packet.clock
    if packet.version == 1:
        head = _V1_HEAD.pack(MAGIC, packet.message_type, _V1_MARK, packet.tack, packet.phase_bits)
        return head + pattern + _V1_TAIL.pack(bits, *counters, packet.source)
    kind = packet.version, packet.message_type, packet.errors, packet.source, packet.sample_bytes
    return _V2_HEAD.pack(MAGIC, *kind, packet.tack, packet.phase_bits, *counters, bits) + pattern


class ChecTrigger(EventFormat):
    """Trigger packets as events ``nominal`` and ``busy``; the pattern is hexadecimal text for each superpixel."""

    counter_bits = 32

    def __init__(self) -> None:
        self._odd_phases = 0

    def events(self, message: bytes) -> Sequence[Event]:
        """Return the event of a packet.

        Raises:
            ForeignMessage: it is no trigger packet of the camera.
            MalformedMessage: it is one that cannot be.
        """
        packet = decode(message)
        self._odd_phases += packet.phase is None
        fields = {
            "version": packet.version,
            "message_type": packet.message_type,
            "errors": packet.errors,
            "source": packet.source,
            "phase": packet.phase,
            "pps": packet.pps,
            "clock": packet.clock,
            "samples": 8 * packet.sample_bytes,
            "union": list(packet.union),
            "pattern": {str(number): bits.hex() for number, bits in packet.pattern.items() if any(bits)},
        }
        kind = "busy" if packet.is_busy else "nominal"
        return (Event(kind, fields, device_ns=packet.tack, counter=packet.counter),)

    def status(self) -> dict[str, object]:
        """Return how many packets had a phase that is none."""
        return {"odd_phases": self._odd_phases}
