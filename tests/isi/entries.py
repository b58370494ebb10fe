"""Entries of the reports of ISI, written from the ISI protocol report alone: SOH, CNF, WFDISC and time series."""

import struct
from typing import NamedTuple

from tests.isi.wire import (
    BIG,
    FIRST_NATIVE,
    IDA,
    INT8,
    INT32,
    LETTERS,
    LITTLE,
    NONE,
    REAL32,
    REAL64,
    UNDEFINED,
    Kind,
    Name,
    Rate,
    ida_decode,
)

_SOH = struct.Struct(">12sdHdHdII")
_CNF = struct.Struct(">12shh4f4f7s")
_SERIES = struct.Struct(">12shhdHdH16sIIBBBB")
SERIES_BYTES = _SERIES.size
NO_STATUS = 0x8000
_TOLERANCE_S = 1e-6

#: The type of the entries of a report, and their size if it is fixed.
ENTRIES = {
    Kind.REQ_SOH: (Kind.STREAM_SOH, _SOH.size),
    Kind.REQ_CNF: (Kind.STREAM_CNF, _CNF.size),
    Kind.REQ_WFDISC: (Kind.WFDISC, 283),
    Kind.REQ_REPORT: (Kind.REPORT_ENTRY, None),
}


class Soh(NamedTuple):
    """State of a stream: times in seconds since 1970, -1.0 when there are none."""

    name: Name
    oldest: float
    youngest: float
    idle_s: float
    segments: int
    records: int
    oldest_status: int = NO_STATUS
    youngest_status: int = NO_STATUS

    def pack(self, garbage: bytes = b"\0") -> bytes:
        """Return the 48 bytes."""
        times = self.oldest, self.oldest_status, self.youngest, self.youngest_status
        return _SOH.pack(self.name.pack(garbage), *times, self.idle_s, self.segments, self.records)

    @classmethod
    def unpack(cls, data: bytes) -> "Soh":
        """Return the state in 48 bytes."""
        name, oldest, status, youngest, status_2, idle_s, segments, records = _SOH.unpack(data)
        soh = cls(Name.unpack(name), oldest, youngest, idle_s, segments, records, status, status_2)
        if records:
            assert 0 <= oldest <= youngest, f"times of {soh}"
        else:
            assert (oldest, youngest) == (UNDEFINED, UNDEFINED), f"times of an empty stream: {soh}"
        return soh


class Cnf(NamedTuple):
    """Configuration of a stream; coords: latitude, longitude, elevation, depth; inst: calib, calper, hang, vang."""

    name: Name
    rate: Rate
    coords: tuple[float, ...] = (-12.3456,) * 4
    inst: tuple[float, ...] = (0.0, -1.0, -999.9, -999.9)
    instype: str = "-"

    def pack(self, garbage: bytes = b"\0") -> bytes:
        """Return the 55 bytes."""
        return _CNF.pack(self.name.pack(garbage), *self.rate, *self.coords, *self.inst, self.instype.encode("ascii"))

    @classmethod
    def unpack(cls, data: bytes) -> "Cnf":
        """Return the configuration in 55 bytes."""
        name, factor, multiplier, *values, instype = _CNF.unpack(data)
        rate = Rate(factor, multiplier)
        assert rate.interval_s > 0
        text = instype.partition(b"\0")[0].decode("ascii")
        return cls(Name.unpack(name), rate, tuple(values[:4]), tuple(values[4:]), text)


#: Fields of a wfdisc line: name, first column, width and decimals, None for text and 0 for integers.
WFDISC = (
    ("sta", 0, 6, None),
    ("chan", 7, 8, None),
    ("time", 16, 17, 5),
    ("wfid", 34, 8, 0),
    ("chanid", 43, 8, 0),
    ("jdate", 52, 8, 0),
    ("endtime", 61, 17, 5),
    ("nsamp", 79, 8, 0),
    ("smprate", 88, 11, 7),
    ("calib", 100, 16, 6),
    ("calper", 117, 16, 6),
    ("instype", 134, 6, None),
    ("segtype", 141, 1, None),
    ("datatype", 143, 2, None),
    ("clip", 146, 1, None),
    ("dir", 148, 64, None),
    ("dfile", 213, 32, None),
    ("foff", 246, 10, 0),
    ("commid", 257, 8, 0),
    ("lddate", 266, 17, None),
)
_NULLS = {None: "-", 0: -1, 5: -1.0, 6: -1.0, 7: -1.0}


def pack_wfdisc(**values: str | float) -> bytes:
    """Return a line of 283 bytes; what is not given has its null value."""
    fields: list[str] = []
    for name, _, width, decimals in WFDISC:
        value = values.pop(name, 0.0 if name == "calib" else _NULLS[decimals])
        field = f"{value:<{width}}" if decimals is None else f"{value:>{width}.{decimals}f}"
        assert len(field) == width, f"{name} {value} does not fit"
        fields.append(field)
    assert not values, f"no fields of a wfdisc line: {values}"
    return " ".join(fields).encode("ascii")


def unpack_wfdisc(data: bytes) -> dict[str, str | float]:
    """Return the fields of a line of 283 bytes; each must stand in its columns in its form."""
    assert len(data) == 283, f"a wfdisc line of {len(data)} bytes, which the C client ignores"
    line = data.decode("ascii")
    assert line.isprintable(), f"a wfdisc line with control characters: {line!r}"
    values: dict[str, str | float] = {}
    for name, first, width, decimals in WFDISC:
        field = line[first : first + width]
        assert line[first + width : first + width + 1] in ("", " "), f"{name} is followed by no blank: {line!r}"
        if decimals is None:
            assert field == field.strip().ljust(width), f"{name} is not to the left: {field!r}"
            values[name] = field.strip()
            continue
        values[name] = number = float(field)
        assert field == f"{number:>{width}.{decimals}f}", f"{name} is written {field!r}"
    return values


class Packet(NamedTuple):
    """A GENERIC_TS frame as the C client understands it.

    Attributes:
        statuses: clock status of the first and of the last sample.
        samples: the values; those of a native packet are not looked at.
        data: the bytes as they were sent.
    """

    name: Name
    rate: Rate
    tofs: float
    tols: float
    statuses: tuple[int, int]
    samples: tuple[float, ...]
    compression: int
    type: int
    order: int
    size: int
    cd_status: bytes
    data: bytes


def unpack_packet(payload: bytes) -> Packet:
    """Return the packet; fail when the C client cannot read it, or would go on from the wrong time."""
    assert len(payload) >= SERIES_BYTES, f"a GENERIC_TS of {len(payload)} bytes"
    fields = _SERIES.unpack_from(payload)
    packed, factor, multiplier, tofs, status, tols, status_2, cd_status, nsamp, nbytes, *descriptor = fields
    compression, kind, order, size = descriptor
    name, rate, data = Name.unpack(packed), Rate(factor, multiplier), payload[SERIES_BYTES:]
    assert len(data) == nbytes, f"{name}: {nbytes} bytes are announced, {len(data)} came"
    assert nsamp > 0, f"{name}: no samples"
    assert factor < 0 or multiplier <= 1, f"{name}: the C client gets {rate} wrong"
    assert abs(tofs + (nsamp - 1) * rate.interval_s - tols) <= _TOLERANCE_S, (
        f"{name}: {nsamp} samples of {rate} from {tofs!r} do not end at {tols!r}"
    )
    samples = _samples(name, data, nsamp, compression, kind, order, size)
    statuses = status, status_2
    return Packet(name, rate, tofs, tols, statuses, samples, compression, kind, order, size, cd_status, data)


def _samples(
    name: Name, data: bytes, nsamp: int, compression: int, kind: int, order: int, size: int
) -> tuple[float, ...]:
    assert compression in (NONE, IDA), f"{name}: the C client cannot read compression {compression}"
    if kind >= FIRST_NATIVE:
        return ()
    letter = LETTERS.get(kind)
    assert letter, f"{name}: there is no type {kind}"
    assert size == struct.calcsize(f"={letter}"), f"{name}: a sample of type {kind} has no {size} bytes"
    if compression == IDA:
        assert kind == INT32, f"{name}: the C client cannot expand type {kind}"
        return tuple(ida_decode(data, nsamp))
    assert len(data) == nsamp * size, f"{name}: {nsamp} samples of {size} bytes in {len(data)}"
    assert order in (LITTLE, BIG) or kind == INT8, f"{name}: there is no order {order}"
    # The C client swaps integers as they need, and takes floats for those of its own host: little-endian.
    is_little = order == LITTLE or kind in (REAL32, REAL64)
    return struct.unpack(f"{'<' if is_little else '>'}{nsamp}{letter}", data)


def pack_packet(
    name: bytes,
    rate: Rate,
    times: tuple[float, int, float, int],
    nsamp: int,
    data: bytes,
    descriptor: tuple[int, int, int, int],
) -> bytes:
    """Return the payload of a GENERIC_TS frame."""
    return _SERIES.pack(name, *rate, *times, bytes(16), nsamp, len(data), *descriptor) + data
