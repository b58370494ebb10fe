"""The frames that a plugin of SeisComP's SeedLink server writes to its pipe.

A frame is a header of 60 bytes in the machine's own byte order and a payload of at most 4000 bytes. Nothing comes
back.
"""

import functools
import struct
from collections import deque
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.packet import Samples
from rawdaq.times import Calendar, sample_time, to_calendar

#: The C structure: type, station, channel, year, day of year, hour, minute, second, microsecond, correction in
#: microseconds, timing quality, data size. No padding: all that is not text has 4 bytes.
HEADER = struct.Struct("=i10s10s6i3i")

MAX_ID_BYTES = 10  # the server compares no more, so a longer identifier could name another station
MAX_SAMPLES = 1000  # of 4 bytes; the server ends a plugin that sends a longer frame
MAX_LOG_BYTES = 448  # CR LF included
MSEED_BYTES = 512

#: What Linux writes to a pipe at once or not at all (its PIPE_BUF); every frame is shorter.
ATOMIC_BYTES = 4096

MAX_GAP = 2**31 - 1
UNKNOWN_QUALITY = -1
LINE_END = b"\r\n"
_NO_TIME = Calendar(0, 0, 0, 0, 0, 0)


class FrameType(IntEnum):
    """What a frame is; the values are the wire's."""

    SAMPLES = 8
    CONTINUED = 9
    GAP = 10
    FLUSH = 11
    LOG = 12
    MSEED = 13


class Write(NamedTuple):
    """What goes to the pipe in one call: whole frames."""

    data: bytes | memoryview
    frames: int


class PipeWriter:
    """Queues the frames that a plugin writes.

    Every ``send_`` method queues all of its frames or, when it raises `LocalProtocolError`, none.
    """

    def __init__(self) -> None:
        self._queued: deque[Write] = deque()  # each of frames of one length
        self._queued_bytes = 0
        self._queued_frames = 0

    @property
    def queued_bytes(self) -> int:
        """How much waits to be taken."""
        return self._queued_bytes

    @property
    def queued_frames(self) -> int:
        """How many frames wait to be taken."""
        return self._queued_frames

    def data_to_send(self) -> bytes:
        """Return all that is queued, once."""
        write = self.take(self._queued_bytes)
        return bytes(write.data) if write else b""

    def writes_to_send(self) -> list[Write]:
        """Return all that is queued, once, in pieces of whole frames that a pipe takes at once or not at all.

        A plugin that writes them one by one never leaves half a frame behind, even when it is killed.
        """
        return list(iter(lambda: self.take(ATOMIC_BYTES), None))

    def take(self, limit_bytes: int) -> Write | None:
        """Return the next frames that together have at most *limit_bytes*, at least one, or None when none wait."""
        parts: list[bytes | memoryview] = []
        frames, room_bytes = 0, limit_bytes
        while self._queued:
            data, count = self._queued[0]
            frame_bytes = len(data) // count
            fitting = min(count, max(room_bytes // frame_bytes, 0 if frames else 1))
            if not fitting:
                break
            size_bytes = fitting * frame_bytes
            if fitting < count:
                data, rest = memoryview(data)[:size_bytes], memoryview(data)[size_bytes:]
                self._queued[0] = Write(rest, count - fitting)
            else:
                self._queued.popleft()
            parts.append(data)
            frames += fitting
            room_bytes -= size_bytes
        self._queued_bytes -= limit_bytes - room_bytes
        self._queued_frames -= frames
        return Write(parts[0] if len(parts) == 1 else b"".join(parts), frames) if frames else None

    def send_samples(
        self,
        station: str,
        channel: str,
        start_ns: int,
        samples: Samples,
        timing_quality: int | None = None,
        rate_hz: float | None = None,
    ) -> None:
        """Queue any number of integer samples, in frames of at most 1000.

        Args:
            station: the server's key of the station.
            channel: the name of the server's input.
            start_ns: time of the first sample, which goes out in microseconds.
            samples: one dimension of integers that int32 can hold.
            timing_quality: 0 to 100 percent, None when unknown.
            rate_hz: when given, every further frame bears its own time, computed from *start_ns*. Without it they
                continue the first one and the server computes their times from its own sampling rate.

        Raises:
            LocalProtocolError: an identifier, a time, a quality or samples that no frame can carry.
        """
        ids = _identifiers(station, channel)
        quality = _quality(timing_quality)
        frames: list[bytes] = []
        for first, payload in _payloads(samples):
            if first and rate_hz is None:
                frames.append(_continued(ids, payload))
                continue
            when = _calendar(sample_time(start_ns, first, rate_hz) if rate_hz else start_ns)
            frames.append(_frame(FrameType.SAMPLES, ids, when, quality, len(payload) // 4, payload))
        self._queue(frames)

    def send_gap(self, station: str, channel: str, missing_samples: int) -> None:
        """Queue that *missing_samples* are missing.

        Raises:
            LocalProtocolError: an identifier that does not fit, or no such number.
        """
        if not 1 <= missing_samples <= MAX_GAP:
            raise LocalProtocolError(f"a gap of {missing_samples} samples is not in 1-{MAX_GAP}")
        self._queue([_frame(FrameType.GAP, _identifiers(station, channel), _NO_TIME, 0, missing_samples)])

    def send_flush(self, station: str, channel: str) -> None:
        """Queue that the server shall give out what it has of this channel.

        Raises:
            LocalProtocolError: an identifier that does not fit.
        """
        self._queue([_frame(FrameType.FLUSH, _identifiers(station, channel), _NO_TIME, 0, 0)])

    def send_log(self, station: str, time_ns: int, text: str) -> None:
        """Queue *text* for the station's log, in as many frames as it needs; what is not ASCII is escaped.

        Raises:
            LocalProtocolError: an identifier that does not fit, or a time that does not exist.
        """
        ids, when = _identifiers(station, ""), _calendar(time_ns)
        lines = [line + LINE_END for line in _log_lines(text)]
        self._queue([_frame(FrameType.LOG, ids, when, 0, len(line), line) for line in lines])

    def send_mseed(self, station: str, record: bytes) -> None:
        """Queue a miniSEED record; the server looks at the codes in it, except for the station.

        Raises:
            LocalProtocolError: an identifier that does not fit, or a record that has not 512 bytes.
        """
        if len(record) != MSEED_BYTES:
            raise LocalProtocolError(f"record of {len(record)} bytes: the pipe takes miniSEED of {MSEED_BYTES} bytes")
        self._queue([_mseed_header(station) + record])

    def send_mseed_records(self, station: str, records: bytes) -> None:
        """Queue any number of miniSEED records that follow each other in *records*.

        Raises:
            LocalProtocolError: an identifier that does not fit, or records that have not 512 bytes each.
        """
        self._add(Write(frame_records(station, records), len(records) // MSEED_BYTES))

    def _queue(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._add(Write(frame, 1))

    def _add(self, frames: Write) -> None:
        self._queued.append(frames)
        self._queued_bytes += len(frames.data)
        self._queued_frames += frames.frames


def frame_records(station: str, records: bytes) -> bytes:
    """Return the frames of miniSEED records that follow each other in *records*.

    Raises:
        LocalProtocolError: an identifier that does not fit, or records that have not 512 bytes each.
    """
    count, rest = divmod(len(records), MSEED_BYTES)
    if rest or not count:
        raise LocalProtocolError(f"{len(records)} bytes are no records of {MSEED_BYTES} bytes each")
    if count == 1:
        return _mseed_header(station) + records
    table = np.empty((count, HEADER.size + MSEED_BYTES), np.uint8)
    table[:, : HEADER.size] = np.frombuffer(_mseed_header(station), np.uint8)
    table[:, HEADER.size :] = np.frombuffer(records, np.uint8).reshape(count, MSEED_BYTES)
    return table.tobytes()


def _frame(
    kind: FrameType, ids: tuple[bytes, bytes], when: Calendar, quality: int, size: int, payload: bytes = b""
) -> bytes:
    # The correction in microseconds stays 0: the times of this program need none.
    return HEADER.pack(kind, *ids, *when[:5], when.nanosecond // 1000, 0, quality, size) + payload


def _continued(ids: tuple[bytes, bytes], payload: bytes) -> bytes:
    return _frame(FrameType.CONTINUED, ids, _NO_TIME, 0, len(payload) // 4, payload)


@functools.lru_cache(1024)
def _mseed_header(station: str) -> bytes:
    return _frame(FrameType.MSEED, _identifiers(station, ""), _NO_TIME, 0, MSEED_BYTES)


@functools.lru_cache(1024)
def _identifiers(station: str, channel: str) -> tuple[bytes, bytes]:
    return _identifier("station", station), _identifier("channel", channel)


def _identifier(what: str, text: str) -> bytes:
    if not text.isascii() or "\0" in text:
        raise LocalProtocolError(f"{what} {text!r} is not ASCII text")
    if len(text) > MAX_ID_BYTES:
        raise LocalProtocolError(f"{what} {text!r} has {len(text)} characters, the pipe has room for {MAX_ID_BYTES}")
    return text.encode()


def _quality(timing_quality: int | None) -> int:
    if timing_quality is None:
        return UNKNOWN_QUALITY
    if not 0 <= timing_quality <= 100:
        raise LocalProtocolError(f"timing quality {timing_quality} is not 0-100 or None")
    return timing_quality


def _calendar(time_ns: int) -> Calendar:
    """Return *time_ns* rounded to the microseconds that a frame can say."""
    try:
        return to_calendar((time_ns + 500) // 1000 * 1000)
    except InvalidValue as error:
        raise LocalProtocolError(str(error)) from error


def _payloads(samples: Samples) -> list[tuple[int, bytes]]:
    """Return *samples* as frames carry them, each piece with the index of its first sample."""
    data = _int32(samples).tobytes()
    return [(first, data[4 * first : 4 * (first + MAX_SAMPLES)]) for first in range(0, samples.size, MAX_SAMPLES)]


def _int32(samples: Samples) -> npt.NDArray[np.int32]:
    """Return *samples* as int32 of this machine's byte order."""
    if not samples.size:
        return np.empty(0, np.int32)
    if samples.ndim != 1 or samples.dtype.kind not in "iu":
        raise LocalProtocolError(
            f"samples are {samples.ndim}-dimensional {samples.dtype}: frames of samples carry one dimension of integers"
        )
    if not np.can_cast(samples.dtype, np.int32):
        low, high = int(samples.min()), int(samples.max())
        if low < -(2**31) or high >= 2**31:
            raise LocalProtocolError(f"samples from {low} to {high} are not in 32 bits")
    return samples.astype(np.int32)


def _log_lines(text: str) -> list[bytes]:
    room = MAX_LOG_BYTES - len(LINE_END)
    lines = [line.encode("ascii", "backslashreplace") for line in text.splitlines()] or [b""]
    return [line[first : first + room] for line in lines for first in range(0, max(1, len(line)), room)]
