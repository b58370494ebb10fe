"""Frames, names, requests and IDA compression of ISI, from the ISI protocol report alone: nothing of ours in it."""

import enum
import itertools
import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

TAG = b"IACP"
PREAMBLE = struct.Struct(">4sIII")  # tag, sequence number, type, payload length
TRAILER = struct.Struct(">II")  # key id, signature length
MAX_SIGNATURE_BYTES = 40
MAX_HANDSHAKE_BYTES = 64
MAX_DATA_BYTES = 32768

#: Times that are none.
UNDEFINED, OLDEST, NEWEST, KEEPUP = -1.0, -2.0, -3.0, -4.0

#: Values of REQ_FORMAT, REQ_COMPRESS and REQ_POLICY.
GENERIC, NATIVE, MINISEED = 1, 2, 3
NONE, IDA, GZIP = 1, 2, 5
MIN_GAP, MIN_DELAY = 2, 3

#: Items of a handshake.
PID, TIMEOUT, SEND_BUFFER, RECEIVE_BUFFER = 2, 3, 4, 5

#: Sample types of a datum descriptor, with the letters of struct.
INT8, INT16, INT32, INT64, REAL32, REAL64 = 1, 2, 3, 4, 5, 6
LETTERS = {INT8: "b", INT16: "h", INT32: "i", INT64: "q", REAL32: "f", REAL64: "d"}
FIRST_NATIVE = 11
LITTLE, BIG = 0, 1

_WIDTHS = (7, 3, 2)
_NAME = struct.Struct(">7s3s2s")
_WINDOW = struct.Struct(">12sdd")
_WORD = struct.Struct(">I")


class Kind(enum.IntEnum):
    """Types of frames."""

    NULL = 0
    HANDSHAKE = 1
    ALERT = 100
    NOP = 101
    ENOSUCH = 102
    REQ_SOH = 1001
    REQ_CNF = 1002
    REQ_WFDISC = 1003
    REQ_FORMAT = 1004
    REQ_COMPRESS = 1005
    REQ_POLICY = 1006
    REQ_TWIND = 1007
    STREAM_SOH = 1009
    WFDISC = 1010
    STREAM_CNF = 1011
    GENERIC_TS = 1012
    RAW_PKT = 1013
    REQ_SEQNO = 1014
    REQ_OPTIONS = 1015
    REQ_STREAM = 1016
    REQ_REPORT = 1017
    REPORT_ENTRY = 1018
    MSEED = 1019


class Cause(enum.IntEnum):
    """Causes of an ALERT."""

    NONE = 0
    DISCONNECT = 1
    COMPLETE = 2
    IO_ERROR = 3
    SERVER_FAULT = 4
    TOO_MANY = 5
    REQUEST_DENIED = 8
    SHUTDOWN = 9
    PROTOCOL = 10
    UNSUPPORTED = 12


class Frame(NamedTuple):
    """A frame without its trailer."""

    sequence: int
    kind: int
    payload: bytes = b""


class Name(NamedTuple):
    """The name of a stream, or a spec: each part may be ``*``."""

    sta: str
    chn: str
    loc: str

    def __str__(self) -> str:
        return ".".join(self)

    def pack(self, garbage: bytes = b"\0") -> bytes:
        """Return the 12 bytes; after each NUL stand the next bytes of *garbage*, again and again."""
        junk = itertools.cycle(garbage)
        packed = b""
        for text, width in zip(self, _WIDTHS, strict=True):
            field = text.encode("ascii")
            assert len(field) <= width, f"{text!r} has more than {width} characters"
            if len(field) < width:
                field += b"\0"
                field += bytes(itertools.islice(junk, width - len(field)))
            packed += field
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> "Name":
        """Return the name in 12 bytes: each part is cut at its first NUL."""
        sta, chn, loc = (field.partition(b"\0")[0].decode("latin-1") for field in _NAME.unpack(data))
        assert f"{sta}{chn}{loc}".isascii(), f"a name with bytes that are no ASCII: {data.hex(' ')}"
        assert f"{sta}{chn}{loc}".isprintable(), f"a name with bytes that are no text: {data.hex(' ')}"
        return cls(sta, chn, loc)

    def selects(self, other: "Name") -> bool:
        """Whether each part is exactly ``*`` or the same as that of *other*."""
        return all(mine in ("*", its) for mine, its in zip(self, other, strict=True))


def parse_specs(text: str) -> list[Name]:
    """Return the specs of ``sta.chn.loc+sta.chn``, cut as the C client cuts them."""
    names: list[Name] = []
    for spec in text.split("+"):
        parts = re.split(r"[.,:;/\\]", spec)
        assert len(parts) in (2, 3), f"no spec: {spec!r}"
        sta, chn, loc, *_ = *parts, "  "
        names.append(Name(sta[:7], chn[:3], loc[:2]))
    return names


class Rate(NamedTuple):
    """A sample rate: factor and multiplier, whose signs say how they are meant."""

    factor: int
    multiplier: int

    @property
    def interval_s(self) -> float:
        """Seconds from sample to sample."""
        factor, multiplier = self
        assert factor, f"no rate: {self}"
        assert multiplier, f"no rate: {self}"
        if factor > 0:
            return 1 / (factor * multiplier) if multiplier > 0 else -multiplier / factor
        return -factor / multiplier if multiplier > 0 else factor / multiplier

    @classmethod
    def of(cls, rate_hz: float) -> "Rate":
        """Return what real servers send for *rate_hz*, which may not be exactly that."""
        return cls(round(rate_hz), 1) if rate_hz >= 1 else cls(-int(1 / rate_hz), 1)


class Window(NamedTuple):
    """A stream spec with its times: a REQ_TWIND."""

    name: Name
    beg: float
    end: float

    def pack(self, garbage: bytes = b"\0") -> bytes:
        """Return the 28 bytes."""
        return _WINDOW.pack(self.name.pack(garbage), self.beg, self.end)

    @classmethod
    def unpack(cls, data: bytes) -> "Window":
        """Return the window in 28 bytes."""
        assert len(data) == _WINDOW.size, f"a TWIND of {len(data)} bytes"
        name, beg, end = _WINDOW.unpack(data)
        return cls(Name.unpack(name), beg, end)


class Request(NamedTuple):
    """What a connection asks for, or what is acknowledged.

    Attributes:
        kind: REQ_TWIND for data, otherwise the type of the report.
        report: the number of the report of a REQ_REPORT.
    """

    windows: tuple[Window, ...] = ()
    format: int = GENERIC
    compress: int = GZIP
    policy: int = MIN_GAP
    options: int = 0
    kind: int = Kind.REQ_TWIND
    report: int = 0

    def frames(self, garbage: bytes = b"\0") -> list[tuple[int, bytes]]:
        """Return types and payloads of a data request in the order of the C code, which is that of the answer too."""
        frames: list[tuple[int, bytes]] = [
            (Kind.REQ_FORMAT, word(self.format)),
            (Kind.REQ_COMPRESS, word(self.compress)),
        ]
        if self.options:
            frames.append((Kind.REQ_OPTIONS, word(self.options)))
        frames.append((Kind.REQ_POLICY, word(self.policy)))
        frames += [(Kind.REQ_TWIND, window.pack(garbage)) for window in self.windows]
        return [*frames, (Kind.NULL, word(0))]


def word(value: int) -> bytes:
    """Return a u32."""
    return _WORD.pack(value)


def from_word(data: bytes) -> int:
    """Return the u32 that *data* is."""
    assert len(data) == _WORD.size, f"no u32: {data.hex(' ')}"
    return int(_WORD.unpack(data)[0])


def pieces(sequence: int, kind: int, payload: bytes = b"", tag: bytes = TAG) -> tuple[bytes, bytes, bytes]:
    """Return preamble, payload and trailer, each of which the C code sends by itself."""
    return PREAMBLE.pack(tag, sequence, kind, len(payload)), payload, TRAILER.pack(0, 0)


def pack_handshake(items: dict[int, int]) -> bytes:
    """Return the payload of a handshake."""
    return word(len(items)) + b"".join(struct.pack(">III", item, 4, value) for item, value in items.items())


def unpack_handshake(payload: bytes) -> dict[int, int]:
    """Return the items of a handshake; each must have four bytes, and nothing may follow."""
    count = from_word(payload[:4])
    assert len(payload) == 4 + 12 * count, f"a handshake of {count} items has {len(payload)} bytes"
    items: dict[int, int] = {}
    for item, size, value in struct.iter_unpack(">III", payload[4:]):
        assert size == 4, f"item {item} has {size} bytes"
        assert item not in items, f"item {item} comes twice"
        items[item] = value
    return items


def _wrapped(value: int) -> int:
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def ida_encode(samples: Sequence[int]) -> bytes | None:
    """Return the differences of int32 *samples* in 1 to 5 bytes each, None when one is that which has no code."""
    coded = bytearray()
    before = 0
    for sample in samples:
        difference, before = _wrapped(sample - before), sample
        if difference == -(1 << 31):
            return None
        rest = abs(difference)
        byte, rest = (rest & 0x3F) << 1 | (difference < 0), rest >> 6
        while rest:
            coded.append(byte | 0x80)
            byte, rest = rest & 0x7F, rest >> 7
        coded.append(byte)
    return bytes(coded)


def ida_decode(data: bytes, count: int) -> list[int]:
    """Return *count* samples; they must use *data* up."""
    samples: list[int] = []
    value = place = 0
    for index in range(count):
        start = place
        while True:
            assert place < len(data), f"the compressed data end in sample {index} of {count}"
            place += 1
            if not data[place - 1] & 0x80:
                break
        first, *more = data[start:place]
        assert len(more) <= 4, f"the difference of sample {index} has {place - start} bytes"
        size = first >> 1 & 0x3F
        for shift, byte in zip(itertools.count(6, 7), more, strict=False):
            size |= (byte & 0x7F) << shift
        assert size < 1 << 31, f"the difference of sample {index} is {size}"
        value = _wrapped(value - size if first & 1 else value + size)
        samples.append(value)
    assert place == len(data), f"{len(data) - place} compressed bytes are left after {count} samples"
    return samples
