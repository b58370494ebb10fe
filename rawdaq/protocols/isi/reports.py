"""Reports on what a server has: the state of its streams, their configuration, and their pieces as lines of CSS 3.0."""

import struct
from typing import Final, NamedTuple

from rawdaq.protocols.isi.errors import WrongSize
from rawdaq.protocols.isi.values import (
    NAME_BYTES,
    NOWHERE,
    RATE_BYTES,
    STAMP_BYTES,
    Coordinates,
    IsiName,
    Stamp,
    decode_rate,
    encode_rate,
)
from rawdaq.times import NS_PER_S, to_calendar, to_datetime

_HEALTH = struct.Struct(f">{NAME_BYTES}s{STAMP_BYTES}s{STAMP_BYTES}sdII")
_CONFIGURATION = struct.Struct(f">{NAME_BYTES}s{RATE_BYTES}s4f4f7s")
_MAX_U32: Final = 0xFFFF_FFFF
_INSTRUMENT: Final = (0.0, -1.0, -999.9, -999.9)  # calibration, its period, azimuth and dip as far as unknown
WFDISC_BYTES: Final = 283
_MAX_COLUMN: Final = 99_999_999  # eight digits


class StreamHealth(NamedTuple):
    """What a server holds of a stream.

    Attributes:
        name: of the stream.
        oldest: time of its oldest sample; without a time when there is none.
        newest: time of its newest sample.
        age_s: since when nothing came, in seconds.
        segments: in how many pieces without a gap it is held.
        records: how many records came.
    """

    name: IsiName
    oldest: Stamp
    newest: Stamp
    age_s: float
    segments: int
    records: int

    def encode(self) -> bytes:
        """Return the payload of a frame."""
        oldest, newest = self.oldest.encode(), self.newest.encode()
        counts = min(self.segments, _MAX_U32), min(self.records, _MAX_U32)
        return _HEALTH.pack(self.name.encode(), oldest, newest, self.age_s, *counts)

    @classmethod
    def decode(cls, payload: bytes) -> "StreamHealth":
        """Return what a payload says; newer servers may add to its end.

        Raises:
            WrongSize: it is too short.
            TimeUnreadable: a time is none.
        """
        if len(payload) < _HEALTH.size:
            raise WrongSize("a state of a stream", len(payload), _HEALTH.size)
        name, oldest, newest, age_s, segments, records = _HEALTH.unpack_from(payload)
        return cls(IsiName.decode(name), Stamp.decode(oldest), Stamp.decode(newest), age_s, segments, records)


class StreamConfiguration(NamedTuple):
    """What a server knows of the sensor of a stream.

    Attributes:
        name: of the stream.
        rate_hz: sampling rate; None: unknown.
        coordinates: where the sensor is; None: unknown.
        instrument: its type, up to 7 characters; ``-``: unknown.
    """

    name: IsiName
    rate_hz: float | None
    coordinates: Coordinates | None = None
    instrument: str = "-"

    def encode(self) -> bytes:
        """Return the payload of a frame."""
        where = NOWHERE if self.coordinates is None else self.coordinates
        instrument = self.instrument.encode("ascii", "replace")[:7]
        return _CONFIGURATION.pack(self.name.encode(), encode_rate(self.rate_hz), *where, *_INSTRUMENT, instrument)

    @classmethod
    def decode(cls, payload: bytes) -> "StreamConfiguration":
        """Return what a payload says; newer servers may add to its end.

        Raises:
            WrongSize: it is too short.
        """
        if len(payload) < _CONFIGURATION.size:
            raise WrongSize("a configuration of a stream", len(payload), _CONFIGURATION.size)
        name, rate, *numbers, instrument = _CONFIGURATION.unpack_from(payload)
        where = Coordinates(*numbers[:4])
        is_known = not all(abs(one - none) < 1e-4 for one, none in zip(where, NOWHERE, strict=True))
        text = instrument.partition(b"\0")[0].decode("latin-1")
        return cls(IsiName.decode(name), decode_rate(rate), where if is_known else None, text)


def wfdisc_line(
    name: IsiName, wfid: int, start_ns: int, end_ns: int, rate_hz: float, samples: int, made_ns: int
) -> str:
    """Return a piece without a gap as a line of the table ``wfdisc`` of CSS 3.0, 283 characters.

    The original client passes over a line of any other length, so what is too long for its column is cut, and numbers
    end at 99999999.

    Args:
        name: of the stream; a station of 7 characters loses the last, for which the table has no room.
        wfid: number of the line, from 1.
        start_ns: time of its first sample.
        end_ns: time of its last one.
        rate_hz: sampling rate.
        samples: how many there are.
        made_ns: when the line was made.

    Raises:
        InvalidValue: a time is outside the years 1678 to 2261.
    """
    channel = f"{name.channel}{name.location}"
    calendar = to_calendar(start_ns)
    return " ".join(
        (
            f"{name.station[:6]:<6}",
            f"{channel[:8]:<8}",
            f"{_seconds(start_ns):>17}",
            f"{min(wfid, _MAX_COLUMN):>8}",
            f"{-1:>8}",  # chanid
            f"{calendar.year * 1000 + calendar.day_of_year:>8}",
            f"{_seconds(end_ns):>17}",
            f"{min(samples, _MAX_COLUMN):>8}",
            f"{rate_hz:>11.7f}"[:11],
            f"{0:>16.6f}",  # calib
            f"{-1:>16.6f}",  # calper
            f"{'-':<6}",  # instype
            "-",  # segtype
            "s4",  # datatype
            "-",  # clip
            f"{'-':<64}",  # dir
            f"{'-':<32}",  # dfile
            f"{-1:>10}",  # foff
            f"{-1:>8}",  # commid
            to_datetime(made_ns).strftime("%m/%d/%y %H:%M:%S"),
        )
    )


def _seconds(time_ns: int) -> str:
    seconds, rest_ns = divmod(abs(time_ns) + 5000, NS_PER_S)  # rounded to five decimals
    return f"{'-' if time_ns < 0 else ''}{seconds}.{rest_ns // 10_000:05}"
