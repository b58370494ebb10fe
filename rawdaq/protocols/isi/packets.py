"""Packets of samples: GENERIC_TS, the only frame with data that every server sends."""

import struct
from enum import IntEnum
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.protocols.elided import elided
from rawdaq.protocols.isi.errors import PacketTooLarge, PacketUnreadable, TimeUnreadable
from rawdaq.protocols.isi.frames import MAX_PAYLOAD_BYTES
from rawdaq.protocols.isi.ida import compress, decompress
from rawdaq.protocols.isi.values import (
    NAME_BYTES,
    RATE_BYTES,
    STAMP_BYTES,
    IsiName,
    Stamp,
    TimeStatus,
    decode_rate,
    encode_rate,
)
from rawdaq.times import NS_PER_S, span_ns

Samples = npt.NDArray[Any]

_STATUS_BYTES: Final = 16  # of CD1.1; all programs send zeros
_TAIL = struct.Struct(">2I4B")
_HEAD = struct.Struct(f"{NAME_BYTES}s{RATE_BYTES}s{STAMP_BYTES}s{STAMP_BYTES}s{_STATUS_BYTES}s")
HEADER_BYTES: Final = _HEAD.size + _TAIL.size
#: Samples of a packet that are not compressed have at most so many bytes.
MAX_DATA_BYTES: Final = MAX_PAYLOAD_BYTES - HEADER_BYTES

_LITTLE, _BIG = 0, 1
_ORDERS: Final = {_LITTLE: "<", _BIG: ">"}
#: Times of real packets have steps of 0.24 us, and clocks are a little off.
_RATE_TOLERANCE: Final = 1e-4
_TIME_TOLERANCE_NS: Final = 2000
_MAX_DIVISOR: Final = 1000


class Compression(IntEnum):
    """How samples are sent."""

    UNDEFINED = 0
    NONE = 1
    IDA = 2
    STEIM1 = 3
    STEIM2 = 4
    GZIP = 5


class DatumType(IntEnum):
    """What samples are; larger numbers are packets of digitizers."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    FLOAT32 = 5
    FLOAT64 = 6


_NAMES: Final = {each: each.name.lower() for each in DatumType}
_TYPES: Final = {np.dtype(name): each for each, name in _NAMES.items()}


class IsiPacket(NamedTuple):
    """A run of samples of one stream.

    Attributes:
        name: of the stream.
        rate_hz: sampling rate.
        start_ns: time of the first sample.
        end_ns: time of the last one.
        samples: one dimension of int8, int16, int32, float32 or float64.
        status: of the clock at the first sample, of `TimeStatus`.
    """

    name: IsiName
    rate_hz: float
    start_ns: int
    end_ns: int
    samples: Samples
    status: int = TimeStatus.UNKNOWN

    @property
    def next_ns(self) -> int:
        """Time at which a packet that follows without a gap starts."""
        return self.end_ns + span_ns(1, self.rate_hz)


def encode_packet(packet: IsiPacket, compression: int) -> bytes:
    """Return the payload of a frame: compressed when the client wants that, and it is smaller.

    Args:
        packet: with samples of any type that `IsiPacket` names.
        compression: what the client wants; as with the original server, all but `Compression.NONE` means IDA.

    Raises:
        PacketTooLarge: it has more samples than a frame can hold.
        NameInvalid: the name is too long.
    """
    samples = packet.samples
    datum = _TYPES[samples.dtype.newbyteorder("=")]
    # The original client never exchanges the bytes of floating point numbers, and runs on machines of this order.
    order = _LITTLE
    used = Compression.IDA
    data = compress(samples) if compression != Compression.NONE and datum is DatumType.INT32 else None
    if data is None or len(data) >= samples.nbytes:
        used = Compression.NONE
        data = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    if len(data) > MAX_DATA_BYTES:
        raise PacketTooLarge(str(packet.name), len(data), MAX_DATA_BYTES)
    start, end = (Stamp(time_ns, packet.status).encode() for time_ns in (packet.start_ns, packet.end_ns))
    head = _HEAD.pack(packet.name.encode(), encode_rate(packet.rate_hz), start, end, b"")
    return head + _TAIL.pack(len(samples), len(data), used, datum, order, samples.dtype.itemsize) + data


def decode_packet(payload: bytes, byte_order: str | None = None) -> IsiPacket:
    """Return the packet that is the payload of a frame.

    The rate is that of the header when the times agree with it. Real servers send whole numbers only: 62.5 Hz is then
    what the times say.

    Args:
        payload: the payload.
        byte_order: ``<`` or ``>`` of samples that are not compressed, where the server does not tell the truth.

    Raises:
        PacketUnreadable: it is damaged, or has samples of another kind.
    """
    if len(payload) < HEADER_BYTES:
        raise PacketUnreadable("?", f"has {len(payload)} bytes; the header alone has {HEADER_BYTES}")
    name_bytes, rate_bytes, start_bytes, end_bytes, _ = _HEAD.unpack_from(payload)
    name = IsiName.decode(name_bytes)
    called = elided(str(name).encode("latin-1"))
    count, size, compression, datum, order, _ = _TAIL.unpack_from(payload, _HEAD.size)
    data = payload[HEADER_BYTES:]
    if size != len(data):
        raise PacketUnreadable(called, f"announces {size} bytes of data and has {len(data)}")
    try:
        (start_ns, status), (end_ns, _) = Stamp.decode(start_bytes), Stamp.decode(end_bytes)
    except TimeUnreadable as error:
        raise PacketUnreadable(called, f"has a wrong time: {error}") from None
    if start_ns is None or end_ns is None or not count:
        raise PacketUnreadable(called, "has no time" if count else "has no samples")
    rate_hz = _rate_hz(called, decode_rate(rate_bytes), end_ns - start_ns, count)
    samples = _samples(called, data, count, compression, datum, byte_order or _ORDERS.get(order))
    return IsiPacket(name, rate_hz, start_ns, end_ns, samples, status)


def _samples(name: str, data: bytes, count: int, compression: int, datum: int, order: str | None) -> Samples:
    if datum not in _NAMES:
        raise PacketUnreadable(name, f"has samples of type {datum}; ask for format 1, generic")
    if compression == Compression.IDA and datum == DatumType.INT32:
        try:
            samples: Samples = decompress(data, count)
        except ValueError as error:
            raise PacketUnreadable(name, f"is damaged: {error}") from None
    elif compression == Compression.NONE:
        samples = _plain(name, data, count, np.dtype(_NAMES[DatumType(datum)]), order)
    else:
        raise PacketUnreadable(name, f"has samples of type {datum} in compression {compression}, which is unknown")
    samples.flags.writeable = False
    return samples


def _plain(name: str, data: bytes, count: int, dtype: np.dtype[Any], order: str | None) -> Samples:
    if len(data) != count * dtype.itemsize:
        raise PacketUnreadable(name, f"has {len(data)} bytes for {count} samples of {dtype.itemsize}")
    if order is None:
        if dtype.itemsize > 1:
            raise PacketUnreadable(name, "does not say its byte order")
        order = "="
    samples: Samples = np.frombuffer(data, dtype.newbyteorder(order))  # type: ignore[arg-type]  # < or >
    if dtype != np.int64:
        return samples
    narrow = samples.astype(np.int32)
    if not np.array_equal(narrow, samples):
        raise PacketUnreadable(name, "has samples of more than 32 bits")
    return narrow


def _rate_hz(name: str, header_hz: float | None, took_ns: int, count: int) -> float:
    """Return the sampling rate on which header and times agree, or else that of the times."""
    if count == 1 and header_hz is not None:
        return header_hz
    if count == 1 or took_ns <= 0:
        raise PacketUnreadable(name, f"has no rate: {count} samples in {took_ns} ns")
    measured = Fraction((count - 1) * NS_PER_S, took_ns)
    blur = _TIME_TOLERANCE_NS / took_ns
    if header_hz is not None and abs(float(measured) / header_hz - 1) <= _RATE_TOLERANCE + blur:
        return header_hz
    return _simplest(float(measured), blur) if measured >= 1 else 1 / _simplest(float(1 / measured), blur)


def _simplest(value: float, blur: float) -> float:
    """Return the shortest fraction that is *value* as far as that is known, else *value*."""
    for divisor in range(1, _MAX_DIVISOR):
        simple = round(value * divisor) / divisor
        if abs(simple / value - 1) <= blur:
            return simple
    return value
