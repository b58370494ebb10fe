"""What both sides of the RAW protocol share: its words, versions and packet header."""

import re
import struct
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

import numpy as np

from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.packet import SampleType
from rawdaq.protocols.elided import elided
from rawdaq.protocols.raw.errors import LineTooLong, UnexpectedLine
from rawdaq.times import MAX_YEAR, MIN_YEAR, NS_PER_DAY, from_calendar, to_calendar

MAX_SAMPLES = 1_000_000  # of one packet, as the protocol says: bounds what one device can make us hold to 8 MB
MAX_LINE_BYTES = 256  # the longest legal line has 17; a peer that sends more is no RAW peer
MIN_RATE_HZ, MAX_RATE_HZ = 1e-9, 1e9  # what a miniSEED 2 header can say; time arithmetic is safe within

#: The first and the last time that a packet can start at.
EARLIEST_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0)
LATEST_NS = from_calendar(MAX_YEAR, 365, 23, 59, 59, 999_999_000)

_INTEGERS = (SampleType.INT8, SampleType.INT16, SampleType.INT32)
_RATE = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_US_PER_DAY = NS_PER_DAY // 1000

# Year, day of year, hour, minute, second, microsecond, channel, number of samples; 2.0: timing quality before channel.
_HEADER_1 = struct.Struct(">HHBBBIII")
_HEADER_2 = struct.Struct(">HHBBBIBHI")


class Word(StrEnum):
    """The fixed lines of the handshake."""

    CHANNEL = "CHANNEL"
    START = "START"
    SAMPLING_RATE = "SAMPLING RATE"
    SAMPLE_ENDIANNESS = "SAMPLE ENDIANNESS"
    SAMPLE_TYPE = "SAMPLE TYPE"
    STARTING = "STARTING"

    @property
    def line(self) -> bytes:
        """The word as it is sent."""
        return f"{self}\n".encode()


class RawVersion(StrEnum):
    """The versions of the protocol."""

    V1_0 = "1.0"
    V1_1 = "1.1"
    V2_0 = "2.0"

    @property
    def line(self) -> bytes:
        """The line with which each side names the version."""
        return f"RAW {self}\n".encode()

    @property
    def has_quality(self) -> bool:
        """Whether packets say their timing quality."""
        return self is RawVersion.V2_0

    @property
    def max_channel(self) -> int:
        """The largest channel id that a packet can carry."""
        return 0xFFFF if self.has_quality else 0xFFFF_FFFF

    @property
    def sample_types(self) -> tuple[SampleType, ...]:
        """The sample types that a channel can have."""
        return _INTEGERS if self is RawVersion.V1_0 else tuple(SampleType)

    @property
    def header(self) -> struct.Struct:
        """The layout of a packet's header."""
        return _HEADER_2 if self.has_quality else _HEADER_1


# Python 3.11 finds the members and properties of an enum slowly; packets need these.
_NEWEST = RawVersion.V2_0
_NEWEST_MAX_CHANNEL = RawVersion.V2_0.max_channel


class Endianness(StrEnum):
    """The byte orders of samples; headers are always big-endian."""

    BIG = "big"
    LITTLE = "little"


@cache
def _dtype(sample_type: SampleType, endianness: Endianness) -> np.dtype[Any]:
    return np.dtype(sample_type.value).newbyteorder(endianness.value)


@dataclass(frozen=True, slots=True)
class ChannelFormat:
    """How a channel's samples come.

    Attributes:
        rate_hz: nominal sampling rate, 1e-9 to 1e9.
        endianness: byte order of the samples.
        sample_type: type of the samples.

    Raises:
        InvalidValue: the rate is out of its range.
    """

    rate_hz: float
    endianness: Endianness
    sample_type: SampleType

    def __post_init__(self) -> None:
        if not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
            raise InvalidValue(f"sampling rate {self.rate_hz} Hz is not in {MIN_RATE_HZ:g} to {MAX_RATE_HZ:g}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The samples' numpy type, with their byte order."""
        return _dtype(self.sample_type, self.endianness)

    @property
    def description(self) -> bytes:
        """The six lines with which a device describes the channel."""
        # A whole rate without a decimal point: there are plugins that read nothing else.
        rate = int(self.rate_hz) if float(self.rate_hz).is_integer() else float(self.rate_hz)
        return b"".join(
            word.line + f"{value}\n".encode()
            for word, value in (
                (Word.SAMPLING_RATE, rate),
                (Word.SAMPLE_ENDIANNESS, self.endianness),
                (Word.SAMPLE_TYPE, self.sample_type),
            )
        )


def parse_rate(text: str) -> float | None:
    """Return the sampling rate that decimal *text* names, None when it names none that can be.

    >>> parse_rate("62.5"), parse_rate("1e2"), parse_rate("nan")
    (62.5, 100.0, None)
    """
    rate_hz = float(text) if _RATE.fullmatch(text) else 0.0
    return rate_hz if MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ else None


#: Blanks around a value of the handshake mean nothing, as with the original programs.
BLANKS = b" \t"


class LineReader:
    """Cuts a handshake into lines; holds one incomplete line, at most 256 bytes."""

    def __init__(self) -> None:
        self.held = bytearray()

    def take(self, chunk: bytes, start: int) -> tuple[bytes | None, int]:
        """Return the next line of *chunk* without its LF, or None when it is not all here, and where the rest begins.

        Raises:
            LineTooLong: there is no LF within the limit.
        """
        found = chunk.find(b"\n", start, start + MAX_LINE_BYTES + 1 - len(self.held))
        end = found if found >= 0 else len(chunk)
        if len(self.held) + end - start > MAX_LINE_BYTES:
            raise LineTooLong(MAX_LINE_BYTES, elided(bytes(self.held) + chunk[start : start + MAX_LINE_BYTES]))
        self.held += chunk[start:end]
        if found < 0:
            return None, end
        line = bytes(self.held)
        self.held.clear()
        return line, end + 1


def as_text(line: bytes, expected: str) -> str:
    """Return *line* as text.

    Raises:
        UnexpectedLine: it is not ASCII.
    """
    try:
        return line.decode("ascii")
    except UnicodeDecodeError:
        raise UnexpectedLine(elided(line), expected) from None


def expect(line: bytes, word: Word) -> None:
    """Check that *line* is *word*.

    Raises:
        UnexpectedLine: it is something else.
    """
    if line != word.encode():
        raise UnexpectedLine(elided(line), f"'{word}'")


@lru_cache(maxsize=64)
def day_start_ns(year: int, day_of_year: int) -> int:
    """Return when a day begins; packets of one day follow each other, so the answer is kept.

    Raises:
        InvalidValue: there is no such day.
    """
    return from_calendar(year, day_of_year, 0, 0, 0)


@lru_cache(maxsize=64)
def _calendar_day(days: int) -> tuple[int, int]:
    calendar = to_calendar(days * NS_PER_DAY)
    return calendar.year, calendar.day_of_year


def check_packet(version: RawVersion, channel: int, start_ns: int, timing_quality: int, sample_count: int) -> None:
    """Check that *version* can say a packet with these values.

    Raises:
        LocalProtocolError: it cannot; the text names the value.
    """
    max_channel = _NEWEST_MAX_CHANNEL if version is _NEWEST else version.max_channel
    if not 0 <= channel <= max_channel:
        raise LocalProtocolError(f"channel {channel} is not in 0-{max_channel} of RAW {version}")
    if not EARLIEST_NS <= start_ns <= LATEST_NS:
        raise LocalProtocolError(f"time {start_ns} ns is not in the years {MIN_YEAR}-{MAX_YEAR}")
    if not 0 <= timing_quality <= 100:
        raise LocalProtocolError(f"timing quality {timing_quality} is not in 0-100")
    if not 0 <= sample_count <= MAX_SAMPLES:
        raise LocalProtocolError(f"packet of {sample_count} samples, limit is {MAX_SAMPLES}")


def encode_header(version: RawVersion, channel: int, start_ns: int, timing_quality: int, sample_count: int) -> bytes:
    """Return the header of a packet; the time is rounded to the microsecond, which is all that the protocol has.

    Raises:
        LocalProtocolError: *version* cannot say one of the values; the text names it.
    """
    check_packet(version, channel, start_ns, timing_quality, sample_count)
    days, in_day_us = divmod((start_ns + 500) // 1000, _US_PER_DAY)
    year, day_of_year = _calendar_day(days)
    seconds, microsecond = divmod(in_day_us, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    if version is _NEWEST:
        return _HEADER_2.pack(
            year, day_of_year, hour, minute, second, microsecond, timing_quality, channel, sample_count
        )
    return _HEADER_1.pack(year, day_of_year, hour, minute, second, microsecond, channel, sample_count)


def encode_packet(
    version: RawVersion,
    channel: int,
    start_ns: int,
    timing_quality: int,
    payload: bytes | memoryview,
    sample_count: int,
) -> bytes:
    """Return a whole packet: header and *payload*, the contiguous samples in their channel's type and byte order.

    It has no state, so that a server encodes once for many clients.

    Raises:
        LocalProtocolError: *version* cannot say one of the values; the text names it.
    """
    return b"".join((encode_header(version, channel, start_ns, timing_quality, sample_count), payload))
