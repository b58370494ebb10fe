"""The server's side of the SeedLink plugin pipe: frames in, events out."""

from collections.abc import Iterator

import numpy as np

from rawdaq.errors import InvalidValue, RemoteProtocolError
from rawdaq.protocols.plugin_pipe.errors import (
    BadFrameQuality,
    BadFrameSize,
    ImpossibleFrameTime,
    PipeCut,
    UnknownFrameType,
)
from rawdaq.protocols.plugin_pipe.format import (
    HEADER,
    LINE_END,
    MAX_GAP,
    MAX_LOG_BYTES,
    MAX_SAMPLES,
    MSEED_BYTES,
    UNKNOWN_QUALITY,
    FlushFrame,
    FrameType,
    GapFrame,
    LogFrame,
    MseedFrame,
    PipeEvent,
    SamplesFrame,
)
from rawdaq.times import from_calendar


class PipeReader:
    """Turns what a plugin writes into events, as the server would take it; keeps at most one frame."""

    def __init__(self) -> None:
        self._held = b""
        self._error: RemoteProtocolError | None = None

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of the frame that is not whole yet."""
        return len(self._held)

    def receive_data(self, data: bytes) -> Iterator[PipeEvent]:
        """Yield what *data* completes.

        Raises:
            RemoteProtocolError: the plugin sent what is no frame, now or in an earlier call.
        """
        if self._error is not None:
            raise self._error
        data = self._held + data
        position = 0
        try:
            while (end := _frame_end(data, position)) is not None:
                event = _event(data, position, end)
                position = end
                yield event
        except RemoteProtocolError as error:
            self._error = error
            raise
        finally:
            self._held = data[position:]

    def receive_eof(self) -> None:
        """Take note that the plugin closed the pipe.

        Raises:
            PipeCut: it did so in the middle of a frame.
        """
        if self._error is None and self._held:
            self._error = PipeCut(len(self._held))
        if self._error is not None:
            raise self._error


def _frame_end(data: bytes, position: int) -> int | None:
    """Return where the frame at *position* ends, or None when it is not all here yet."""
    if len(data) - position < HEADER.size:
        return None
    kind, *_, size = HEADER.unpack_from(data, position)
    end = position + HEADER.size + _payload_bytes(kind, size)
    return end if len(data) >= end else None


def _payload_bytes(kind: int, size: int) -> int:
    match kind:
        case FrameType.SAMPLES | FrameType.CONTINUED:
            return 4 * _within(kind, size, 0, MAX_SAMPLES)
        case FrameType.LOG:
            return _within(kind, size, 0, MAX_LOG_BYTES)
        case FrameType.MSEED:
            return _within(kind, size, MSEED_BYTES, MSEED_BYTES)
        case FrameType.GAP | FrameType.FLUSH:
            return 0
        case _:
            raise UnknownFrameType(kind)


def _within(kind: int, size: int, least: int, most: int) -> int:
    if not least <= size <= most:
        raise BadFrameSize(kind, size, least, most)
    return size


def _event(data: bytes, position: int, end: int) -> PipeEvent:
    kind, station_id, channel_id, *calendar, correction_us, quality, size = HEADER.unpack_from(data, position)
    station, channel = _text(station_id), _text(channel_id)
    payload = data[position + HEADER.size : end]
    if kind == FrameType.GAP:
        return GapFrame(station, channel, _within(kind, size, 1, MAX_GAP))
    if kind == FrameType.FLUSH:
        return FlushFrame(station, channel)
    if kind == FrameType.LOG:
        return LogFrame(station, _time_ns(*calendar), _text(payload).removesuffix(LINE_END.decode()))
    if kind == FrameType.MSEED:
        return MseedFrame(station, payload)
    samples = np.frombuffer(payload, np.int32)
    if kind == FrameType.CONTINUED:
        return SamplesFrame(station, channel, None, None, correction_us, samples)
    if not UNKNOWN_QUALITY <= quality <= 100:
        raise BadFrameQuality(station, channel, quality)
    known = None if quality == UNKNOWN_QUALITY else quality
    return SamplesFrame(station, channel, _time_ns(*calendar), known, correction_us, samples)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("ascii", "backslashreplace")


def _time_ns(year: int, day_of_year: int, hour: int, minute: int, second: int, microsecond: int) -> int:
    try:
        return from_calendar(year, day_of_year, hour, minute, second, microsecond * 1000)
    except InvalidValue:
        raise ImpossibleFrameTime(year, day_of_year, hour, minute, second, microsecond) from None
