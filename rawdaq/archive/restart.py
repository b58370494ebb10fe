"""What is missing in an archive from a restart: its last sample of each stream is compared with the first new one.

This blocks, so it runs in a thread of its disk, once for each stream.
"""

import glob
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rawdaq.archive.layout import ArchiveLayout
from rawdaq.miniseed.file import RecordFile
from rawdaq.miniseed.format import RecordRun
from rawdaq.publisher import LastEnd
from rawdaq.times import NS_PER_DAY, NS_PER_S, duration_text, sample_time, span_ns, to_iso

_DAYS = 31  # that are searched for a last sample
_TAILS_BYTES = (1 << 13, 1 << 18, 1 << 26)  # of a file, tried in turn until a record of the stream is there
_AWAY_NS = 10 * NS_PER_S  # a device that is there sends by then
_NAMED = 3  # streams of a log line

#: The cause when a device sent nothing for longer after the start than nothing ran before it.
AWAY = "device away"


class RestartGap(NamedTuple):
    """Samples that are in no file, because nothing was received between two runs.

    Attributes:
        stream: the stream, as text.
        start_ns: where the next sample was expected.
        end_ns: the first one after it.
        cause: ``stopped``, ``killed``, ``failed`` or ``device away``.
    """

    stream: str
    start_ns: int
    end_ns: int
    cause: str

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end_ns - self.start_ns) / NS_PER_S


class RestartGaps:
    """Finds the gaps of a restart; each is logged and counted.

    Args:
        root: the archive's folder.
        layout: which record belongs in which file.
        log: where gaps are logged, those of one batch in one line.
        clock_ns: the time.

    Attributes:
        counts: how many there were, by cause.
        seconds: how long they are together.
    """

    def __init__(self, root: Path, layout: ArchiveLayout, log: logging.Logger, clock_ns: Callable[[], int]) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0
        self._root, self._layout, self._log, self._clock_ns = root, layout, log, clock_ns
        self._checked: set[object] = set()
        self._lasts_ns: dict[object, int | None] = {}  # of streams of which only old samples came so far
        self._last_end: LastEnd | None = None
        self._started_ns = 0

    def begin(self, last_end: LastEnd | None) -> None:
        """Begin a run after one that ended by *last_end*; None: what comes does not go on where that ended."""
        self._last_end = last_end
        self._started_ns = self._started_ns or self._clock_ns()

    def check(self, runs: Iterable[RecordRun], *, is_repeated: bool = False) -> None:
        """Look at the streams of *runs* that were not looked at before; their records are about to be written.

        Args:
            runs: the records.
            is_repeated: whether a journal gives first what came before the restart: the gap is behind that.
        """
        if self._last_end is None:
            return
        gaps: list[RestartGap] = []
        for run in runs:
            if run.rate_hz and run.stream not in self._checked and (gap := self._gap(run, self._last_end, is_repeated)):
                gaps.append(gap)
        if gaps:
            self._tell(gaps)

    def _gap(self, run: RecordRun, last_end: LastEnd, is_repeated: bool) -> RestartGap | None:
        stream, last_ns = run.stream, self._last_before(run)
        for start_ns, count in zip(run.starts_ns, run.sample_counts, strict=True):
            is_gap = last_ns is not None and start_ns - last_ns > 1.5 * span_ns(1, run.rate_hz)
            if last_ns is None or is_gap or not is_repeated or start_ns >= self._started_ns:
                self._checked.add(stream)
                self._lasts_ns.pop(stream, None)
                return self._gap_after(run, last_ns, start_ns, last_end) if is_gap and last_ns is not None else None
            last_ns = max(last_ns, sample_time(start_ns, count - 1, run.rate_hz))
        self._lasts_ns[stream] = last_ns
        return None

    def _last_before(self, run: RecordRun) -> int | None:
        """Return the time of the last sample before *run*; None: there is none of late, or it is not known."""
        if run.stream in self._lasts_ns:
            return self._lasts_ns[run.stream]
        try:
            return self._last_ns(run)
        except OSError as error:
            self._log.warning("%s is not compared with what is in the archive: %s", run.stream, error)
            return None

    def _gap_after(self, run: RecordRun, last_ns: int, first_ns: int, last_end: LastEnd) -> RestartGap:
        interval_ns = span_ns(1, run.rate_hz)
        down_ns, away_ns = self._started_ns - last_ns, first_ns - self._started_ns
        cause = AWAY if away_ns > max(_AWAY_NS, down_ns) else str(last_end)
        return RestartGap(str(run.stream), last_ns + interval_ns, first_ns, cause)

    def _last_ns(self, run: RecordRun) -> int | None:
        """Return the time of the last sample of the stream of *run* in the archive; None: there is none of late."""
        record, now_ns = next(iter(run)), self._clock_ns()
        for days in range(_DAYS):
            earlier = record._replace(start_ns=record.start_ns - days * NS_PER_DAY)
            pattern = self._layout.day_pattern(earlier, now_ns - days * NS_PER_DAY)
            for name in sorted(glob.glob(pattern, root_dir=self._root), reverse=True):
                if (last_ns := _last_in(self._root / name, str(run.stream))) is not None:
                    return last_ns
        return None

    def _tell(self, gaps: Sequence[RestartGap]) -> None:
        self.counts.update(gap.cause for gap in gaps)
        self.seconds += sum(gap.seconds for gap in gaps)
        for cause in dict.fromkeys(gap.cause for gap in gaps):
            alike = [gap for gap in gaps if gap.cause == cause]
            named = ", ".join(_described(gap) for gap in alike[:_NAMED])
            more = f" and {len(alike) - _NAMED} more streams" if len(alike) > _NAMED else ""
            self._log.warning("gap from the restart in %s%s: %s", named, more, self._why(cause))

    def _why(self, cause: str) -> str:
        started = to_iso(self._started_ns, 0)
        if cause == AWAY:
            return f"the device was away, the component runs since {started}"
        how = {LastEnd.STOPPED: "was stopped", LastEnd.KILLED: "was killed"}.get(LastEnd(cause), "ended with an error")
        return f"the component {how}, and started again at {started}"

    def status(self) -> dict[str, object]:
        """Return what `status` shows."""
        return {"restart_gaps": dict(self.counts), "restart_gap_s": round(self.seconds, 3)}


def _described(gap: RestartGap) -> str:
    return f"{gap.stream} of {duration_text(gap.seconds)} from {to_iso(gap.start_ns, 3)} to {to_iso(gap.end_ns, 3)}"


def _last_in(path: Path, stream: str) -> int | None:
    """Return the time of the last sample of *stream* near the end of a file; None when there is none."""
    file = RecordFile(path)
    for tail_bytes in _TAILS_BYTES:
        begin = max(0, file.size_bytes - tail_bytes)
        infos = (record.info for record in file.records(begin, file.size_bytes))
        last_ns = max((info.end_ns for info in infos if info.name == stream and info.sample_count), default=None)
        if last_ns is not None or not begin:
            return last_ns
    return None
