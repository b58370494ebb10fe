"""From the arrays of a detector to packets: the station file names their streams and where their time stands."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field

from rawdaq.config.channels import check_distinct, station_stream
from rawdaq.config.settings import Settings, StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet
from rawdaq.protocols.array import ArrayMessage, TimeUnit, decode, time_in
from rawdaq.protocols.json_header import Frame, wrong_value
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, span_ns

_EXAMPLE = StationSettings(network="X", code="X")


def _check_names(names: str | list[str]) -> str | list[str]:
    if not names:
        raise ValueError("at least one stream is needed, such as XX.DEMO.00.HHZ")
    for name in [names] if isinstance(names, str) else names:
        try:
            named_stream(name, _EXAMPLE)
        except InvalidValue as error:
            raise ValueError(f"{name!r} is not NET.STA.LOC.CHA or [location.]channel: {error}") from error
    return names


def named_stream(name: str, station: StationSettings) -> StreamId:
    """Return the stream of a whole name, or of ``[location.]channel`` at *station*.

    Raises:
        InvalidValue: it is neither.
    """
    return StreamId.parse(name) if name.count(".") == 3 else station_stream(station, name)


class ArraySettings(Settings):
    """How the arrays of a detector are to be understood.

    Attributes:
        stream: the stream that they are, ``NET.STA.LOC.CHA`` or ``[location.]channel``; a list of them where an array
            has a column for each.
        rate_hz: the sampling rate.
        time_key: the header key with the time of the first sample: a number since 1970, ISO 8601 text, or
            ``{"sec": ..., "ns": ...}``. Without one the times come from when the messages arrive.
        time_unit: what a number there counts.
        resync_s: without a time key, how far counted samples and arrival may part before the count begins anew.
    """

    stream: Annotated[str | list[str], AfterValidator(_check_names)]
    rate_hz: Annotated[float, Field(ge=1e-9, le=1e9)]
    time_key: Annotated[str, Field(min_length=1)] | None = None
    time_unit: Literal["s", "ms", "us", "ns"] = "ns"
    resync_s: Annotated[float, Field(gt=0, le=86_400)] = 1.0

    def streams(self, station: StationSettings) -> list[StreamId]:
        """Return the streams, in the order of the columns.

        Raises:
            InvalidValue: one of them twice.
        """
        names = [self.stream] if isinstance(self.stream, str) else self.stream
        streams = [named_stream(name, station) for name in names]
        check_distinct(streams, "columns of `array`")
        return streams


class ArrayStreams:
    """Makes packets of the messages of one sender.

    Args:
        settings: how they are to be understood.
        station: completes the names of the streams.

    Attributes:
        lost: messages that jumps of ``frame`` show to be missing.
    """

    def __init__(self, settings: ArraySettings, station: StationSettings) -> None:
        self.lost = 0
        self._settings = settings
        self._streams = settings.streams(station)
        self._unit = TimeUnit[settings.time_unit.upper()]
        self._clock = _ArrivalClock(settings.rate_hz, round(settings.resync_s * NS_PER_S))
        self._next_frame: int | None = None

    def packets(self, frames: Sequence[Frame], received_ns: int) -> list[Packet]:
        """Return one packet for each stream; none when the array is empty.

        Raises:
            MessageMalformed: it is no array message, or not of these streams.
        """
        message = decode(frames)
        table = self._table(message)
        key, rate_hz = self._settings.time_key, self._settings.rate_hz
        start_ns = None if key is None else time_in(message.header, key, self._unit)
        missing = self._missing(message.frame)
        if not len(table):
            return []
        if start_ns is None:
            start_ns = self._clock.start_ns(len(table), missing, received_ns)
        return [
            Packet(stream, start_ns, rate_hz, np.ascontiguousarray(column), received_ns=received_ns)
            for stream, column in zip(self._streams, table.T, strict=True)
        ]

    def _table(self, message: ArrayMessage) -> npt.NDArray[Any]:
        """Return the array with a row for each time and a column for each stream."""
        array, columns = message.array, len(self._streams)
        if columns == 1 and array.ndim <= 1:
            return array.reshape(-1, 1)
        if array.shape == (columns,):  # one sample of each
            return array.reshape(1, columns)
        if array.ndim != 2 or array.shape[1] != columns:
            rule = "[samples], or [samples, 1]" if columns == 1 else f"[samples, {columns}], a column for each stream"
            raise wrong_value(message.header, "shape", rule)
        return array

    def _missing(self, frame: int | None) -> int:
        """Return how many messages are missing before *frame*; a number that goes back is a sender that restarted."""
        expected, self._next_frame = self._next_frame, None if frame is None else frame + 1
        missing = 0 if expected is None or frame is None else max(0, frame - expected)
        self.lost += missing
        return missing


class _ArrivalClock:
    """Gives times to samples that come without: counted at their rate from when the first ones arrived.

    Arrival itself would be a gap or an overlap at every message, because networks and detectors deliver unevenly.
    """

    def __init__(self, rate_hz: float, resync_ns: int) -> None:
        self._rate_hz, self._resync_ns = rate_hz, resync_ns
        self._anchor_ns: int | None = None
        self._count = 0

    def start_ns(self, count: int, missing: int, received_ns: int) -> int:
        """Return when the first of *count* samples was taken; *missing* messages of that size are lost before them."""
        self._count += missing * count
        latest_ns = received_ns - span_ns(count, self._rate_hz)
        if self._anchor_ns is not None:
            start_ns = self._anchor_ns + span_ns(self._count, self._rate_hz)
            if abs(latest_ns - start_ns) <= self._resync_ns:
                self._count += count
                return start_ns
        self._anchor_ns, self._count = latest_ns, count
        return latest_ns
