"""The ZMQ message: three frames (topic, JSON header, samples) that carry one `Packet`.

The header is also a valid ``array-1.0`` header, so that detector tools can read frames 1 and 2 as they are.
A message is whole or it is nothing, so this codec has no state: `encode` makes the frames, `decode` reads them.

>>> import numpy as np
>>> packet = Packet(StreamId.parse("XX.DEMO..HHZ"), 1795219200000000000, 100.0, np.arange(3, dtype="int32"))
>>> topic, head, data = encode(packet)
>>> topic, len(data), decode([topic, head, data]) == packet
(b'XX.DEMO..HHZ', 12, True)
"""

import json
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet, PacketRun, Samples, SampleType
from rawdaq.protocols.json_header import Frame, read_header, wrong_value
from rawdaq.protocols.message_errors import (
    FrameCountWrong,
    NotWaveform,
    SampleBytesWrong,
    UnsupportedLayout,
)
from rawdaq.stream_id import StreamId
from rawdaq.times import MAX_YEAR, MIN_YEAR, NS_PER_S, from_calendar

#: The layout that this module writes, and the highest that it reads.
LAYOUT_VERSION = 1

_HTYPE = "array-1.0"
_INT64 = 1 << 63
_FIRST_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0)
_END_NS = from_calendar(MAX_YEAR, 365, 23, 59, 59, NS_PER_S - 1)
_WHOLE = 1 << 53  # below this a float holds every whole number
_DTYPES = {kind.value: np.dtype(kind.value).newbyteorder("<") for kind in SampleType}
_FLAT = frozenset(dtype for dtype in _DTYPES.values() if dtype.isnative)  # little-endian and this machine's own
_SHOWN = 75  # characters of a foreign value in an error

#: What a JSON header holds.
HeaderValue = str | int | float | list[int] | None


class _Constant(NamedTuple):
    """What all messages of a stream have in common."""

    topic: bytes
    head: bytes


def header(packet: Packet) -> dict[str, HeaderValue]:
    """Return the header of *packet* as a dict, all keys of the layout in their order."""
    rate_hz = float(packet.rate_hz)
    return {
        "htype": _HTYPE,
        "type": packet.sample_type.value,
        "encoding": "little",
        "rawdaq": LAYOUT_VERSION,
        "stream": str(packet.stream),
        "rate_hz": int(rate_hz) if rate_hz.is_integer() and rate_hz < _WHOLE else rate_hz,
        "shape": [packet.size],
        "frame": int(packet.sequence),
        "start_ns": int(packet.start_ns),
        "timing_quality": None if packet.timing_quality is None else int(packet.timing_quality),
        "received_ns": int(packet.received_ns),
    }


def encode(packet: Packet) -> list[Frame]:
    """Return the three frames of *packet*; its samples are not copied when they are little-endian already."""
    constant = _constant(packet.stream, packet.rate_hz, packet.dtype)
    quality = b"null" if packet.timing_quality is None else b"%d" % packet.timing_quality
    varying = b'"shape":[%d],"frame":%d,"start_ns":%d,"timing_quality":%b,"received_ns":%d}' % (
        packet.size,
        packet.sequence,
        packet.start_ns,
        quality,
        packet.received_ns,
    )
    data = packet.data if packet.dtype in _FLAT else sample_bytes(packet.samples)
    return [constant.topic, constant.head + varying, data]


def encode_run(run: PacketRun) -> Iterator[list[Frame]]:
    """Yield the three frames of each packet of *run*; what they have in common is made once."""
    constant = _constant(run.stream, run.rate_hz, run.samples.dtype)
    count, rows = run.samples.shape[1], sample_bytes(run.samples.reshape(-1))
    quality = b"null" if run.timing_quality is None else b"%d" % run.timing_quality
    shape = constant.head + b'"shape":[%d],' % count
    end = b',"timing_quality":%b,"received_ns":%d}' % (quality, run.received_ns)
    row_bytes = len(rows) // len(run)
    for index, start_ns in enumerate(run.starts_ns):
        varying = b'"frame":%d,"start_ns":%d' % (run.sequence + index, start_ns)
        yield [constant.topic, shape + varying + end, rows[index * row_bytes : (index + 1) * row_bytes]]


def sample_bytes(samples: Samples) -> memoryview:
    """Return *samples* as flat little-endian bytes, without a copy when they lie so in memory."""
    data = samples.data
    if data.c_contiguous and samples.dtype in _FLAT:
        return data.cast("B")
    little = np.ascontiguousarray(samples, dtype=samples.dtype.newbyteorder("<"))
    return little.view(np.uint8).data


@lru_cache(maxsize=4096)  # streams of one component, each with the one or two rates that it has
def _constant(stream: StreamId, rate_hz: float, dtype: np.dtype[Any]) -> _Constant:
    text = json.dumps(header(Packet(stream, 0, rate_hz, np.empty(0, dtype))), separators=(",", ":"))
    topic = str(stream).encode()
    return _Constant(topic, text[: text.index('"shape"')].encode())


def is_waveform(topic: Frame) -> bool:
    """Whether messages of *topic* carry samples; ``~log`` and the like do not."""
    return bytes(topic[:1]) != b"~"


def decode(frames: Sequence[Frame]) -> Packet:
    """Return the packet that *frames* carry; its samples are a view of the third frame.

    Raises:
        MessageMalformed: the message is not one of ours; the subclass carries the numbers.
    """
    if frames and not is_waveform(frames[0]):
        raise NotWaveform(bytes(frames[0][:_SHOWN]).decode("ascii", "replace"))
    if len(frames) != 3:
        raise FrameCountWrong(len(frames))
    fields = _fields(frames[1])
    stream = _stream(fields, bytes(frames[0]))
    kind = _word(fields, "type", _DTYPES)
    _word(fields, "htype", (_HTYPE,))
    _word(fields, "encoding", ("little",))
    count = _shape(fields)
    start_ns = _whole(fields, "start_ns", _FIRST_NS, _END_NS)
    return Packet(
        stream,
        start_ns,
        _rate(fields, count, start_ns),
        _samples(frames[2], kind, count),
        _quality(fields),
        _whole(fields, "frame", 0, _INT64),
        _whole(fields, "received_ns", -_INT64, _INT64),
    )


def _fields(frame: Frame) -> dict[str, Any]:
    """Return the header's keys once its layout is known to be ours."""
    keys = read_header(frame)
    version = _whole(keys, "rawdaq", 1, _INT64)
    if version > LAYOUT_VERSION:
        raise UnsupportedLayout(version, LAYOUT_VERSION)
    return keys


def _whole(fields: dict[str, Any], key: str, low: int, end: int) -> int:
    value = fields.get(key)
    if type(value) is not int or not low <= value < end:  # True is an int of Python's, not of ours
        raise wrong_value(fields, key, f"a whole number in {low}..{end - 1}")
    return value


def _word(fields: dict[str, Any], key: str, allowed: Sequence[str] | dict[str, Any]) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or value not in allowed:
        raise wrong_value(fields, key, " or ".join(allowed))
    return value


def _shape(fields: dict[str, Any]) -> int:
    match fields.get("shape"):
        case [count] if type(count) is int and 0 <= count < _INT64:
            return count
        case _:
            raise wrong_value(fields, "shape", "[number of samples]")


def _quality(fields: dict[str, Any]) -> int | None:
    if "timing_quality" in fields and fields["timing_quality"] is None:
        return None
    return _whole(fields, "timing_quality", 0, 101)


def _rate(fields: dict[str, Any], count: int, start_ns: int) -> float:
    """Return the rate when all *count* samples that it spaces have times that can be."""
    value = fields.get("rate_hz")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max:
        raise wrong_value(fields, "rate_hz", "a sampling rate above zero")
    if start_ns + count * NS_PER_S / value > _END_NS:
        raise wrong_value(fields, "rate_hz", f"a rate at which {count} samples end before the year {MAX_YEAR + 1}")
    return float(value)


def _stream(fields: dict[str, Any], topic: bytes) -> StreamId:
    text = fields.get("stream")
    if not isinstance(text, str) or text.encode("utf-8", "replace") != topic:
        raise wrong_value(fields, "stream", f"the topic {topic[:_SHOWN].decode('ascii', 'replace')!r}")
    try:
        return _parsed(text)
    except InvalidValue as error:
        raise wrong_value(fields, "stream", f"a stream ({error})") from None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> StreamId:
    return StreamId.parse(text)


def _samples(data: Frame, kind: str, count: int) -> Samples:
    size_bytes, dtype = memoryview(data).nbytes, _DTYPES[kind]
    if size_bytes != count * dtype.itemsize:
        raise SampleBytesWrong(size_bytes, count * dtype.itemsize)
    return np.frombuffer(data, dtype) if count else np.empty(0, dtype)
