"""What the reports of ISI say of a ring: the state of its streams, their rates, and their pieces without a gap."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from rawdaq.miniseed.header import read_header
from rawdaq.protocols.isi import IsiName, Report, Stamp, StreamConfiguration, StreamHealth, wfdisc_line
from rawdaq.ring.packets import RingPacket
from rawdaq.ring.reading import RingReader
from rawdaq.ring.server.isi.names import Streams
from rawdaq.times import NS_PER_S, sample_time

_TOLERANCE: Final = 1.5  # sampling intervals without a sample that are no gap
_LINE_SAMPLES: Final = 99_999_999  # for more a line of the table has no room

Entries = Sequence[StreamHealth | StreamConfiguration | str]


class Reporter:
    """Makes a report.

    Args:
        reader: of the ring.
        clock: the time in nanoseconds.
    """

    def __init__(self, reader: RingReader, clock: Callable[[], int]) -> None:
        self._reader, self._clock = reader, clock
        self._lines = 0

    async def entries(self, report: Report, streams: Streams) -> AsyncIterator[Entries]:
        """Yield the entries of one stream after the other.

        Args:
            report: which report.
            streams: those of the ring behind each name.

        Raises:
            StoreError: the disk cannot be read.
        """
        make = {
            Report.HEALTH: self._health,
            Report.CONFIGURATION: self._configuration,
            Report.WFDISC: self._wfdisc,
        }[report]
        extents, states = await self._reader.extents(), await self._reader.streams.states()
        for called, names in streams.items():
            lasts = [states[name].last.position for name in names if name in states]
            newest = await self._reader.get(max(lasts)) if lasts else None
            count = sum(extents[name].entries for name in names if name in extents)
            yield await make(called, names, newest, count)

    async def _pieces(self, names: Sequence[str], rate_hz: float) -> list[tuple[int, int]]:
        tolerance_ns = round(_TOLERANCE * NS_PER_S / rate_hz)
        return sorted([piece for name in names for piece in await self._reader.ranges(name, tolerance_ns)])

    async def _health(self, called: IsiName, names: Sequence[str], newest: RingPacket | None, count: int) -> Entries:
        pieces = [] if newest is None else await self._pieces(names, _rate_hz(newest) or 1.0)
        if newest is None or not pieces:  # for what there was newer packets have been written meanwhile
            return [StreamHealth(called, Stamp(None), Stamp(None), 0.0, 0, 0)]
        age_s = max(0.0, (self._clock() - newest.time_ns) / NS_PER_S)
        oldest, youngest = min(begin for begin, _ in pieces), max(end for _, end in pieces)
        return [StreamHealth(called, Stamp(oldest), Stamp(youngest), age_s, len(pieces), count)]

    async def _configuration(
        self, called: IsiName, names: Sequence[str], newest: RingPacket | None, count: int
    ) -> Entries:
        return [StreamConfiguration(called, None if newest is None else _rate_hz(newest))]

    async def _wfdisc(self, called: IsiName, names: Sequence[str], newest: RingPacket | None, count: int) -> Entries:
        rate_hz = None if newest is None else _rate_hz(newest)
        if rate_hz is None:
            return []
        lines: list[str] = []
        for begin_ns, end_ns in await self._pieces(names, rate_hz):
            total = round((end_ns - begin_ns) * rate_hz / NS_PER_S) + 1
            for first in range(0, total, _LINE_SAMPLES):
                count = min(_LINE_SAMPLES, total - first)
                start_ns, last_ns = (sample_time(begin_ns, index, rate_hz) for index in (first, first + count - 1))
                self._lines += 1
                lines.append(wfdisc_line(called, self._lines, start_ns, last_ns, rate_hz, count, self._clock()))
        return lines


def _rate_hz(packet: RingPacket) -> float | None:
    """Return the sampling rate of a record; None when it has none."""
    header = read_header(packet.data)
    return header.rate_hz if header is not None and header.rate_hz > 0 else None
