"""Views that keep packets: in a miniSEED file, and as a picture."""

import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from rawdaq.control.dump.run import Arrival, View, report
from rawdaq.errors import RawdaqError
from rawdaq.miniseed.maker import RecordFormat, RecordMaker, RecordRun, why_not
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId

_NEVER_S = 1e9
_MAX_PICTURE_BYTES = 256_000_000  # of samples in a picture: bounds the memory of an endless run


class MiniSeedFile(View):
    """A new miniSEED file with the packets.

    Args:
        path: the file.
        is_live: whether packets come from a publisher, not from files.
    """

    def __init__(self, path: Path, is_live: bool = True) -> None:
        # Packets from files can wait until their record is full.
        self._format = RecordFormat() if is_live else RecordFormat(flush_after_s=_NEVER_S)
        self._maker = RecordMaker(self._format)
        self._can: dict[StreamId, bool] = {}
        self._file = path.open("wb")

    def show(self, arrival: Arrival) -> None:
        """Write the records that the packet completes."""
        stream = arrival.packet.stream
        if stream not in self._can:
            reason = why_not(self._format, stream)
            self._can[stream] = reason is None
            if reason is not None:
                report(f"{stream} is not written: {reason}")
        if self._can[stream]:
            self._write(self._maker.add([arrival.packet], time.time_ns()))

    def tick(self, now_s: float) -> None:
        """Write partial records that have waited long enough."""
        due_ns, now_ns = self._maker.due_ns, time.time_ns()
        if due_ns is not None and due_ns <= now_ns:
            self._write(self._maker.flush_due(now_ns))

    def close(self) -> None:
        """Write what is left and close the file."""
        with self._file:
            self._write(self._maker.flush())

    def _write(self, records: Iterable[RecordRun]) -> None:
        for record in records:
            self._file.write(record.data)
        self._file.flush()


class Picture(View):
    """A picture of the packets, drawn at the end; of the latest ones when there are too many.

    Args:
        path: the file.

    Raises:
        InvalidValue: its name does not have the ending of a picture.
        OSError: it could not be written.
    """

    def __init__(self, path: Path) -> None:
        from rawdaq.replay.waveforms import check_picture

        check_picture(path)  # now: at the end all data would be lost
        self._path = path
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self._is_cut = False

    def show(self, arrival: Arrival) -> None:
        """Keep the packet."""
        self._packets.append(arrival.packet)
        self._bytes += arrival.packet.samples.nbytes
        while self._bytes > _MAX_PICTURE_BYTES:
            self._bytes -= self._packets.popleft().samples.nbytes
            self._is_cut = True

    def close(self) -> None:
        """Draw the picture.

        Raises:
            RawdaqError: nothing arrived, or the file cannot be written.
        """
        from rawdaq.replay.waveforms import plot

        if not self._packets:
            raise RawdaqError(f"{self._path} is not drawn: nothing arrived")
        if self._is_cut:
            report(f"{self._path} shows only the latest {_MAX_PICTURE_BYTES // 1_000_000} MB of samples")
        plot(self._packets, self._path)
