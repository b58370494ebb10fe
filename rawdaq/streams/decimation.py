"""Decimates streams while they are published: each result is a stream of its own, under another name."""

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.config.decimation import DecimationSettings
from rawdaq.packet import Packet, PacketRun, Samples, SampleType, rate_text
from rawdaq.stream_id import StreamId
from rawdaq.streams.decimator import Decimator, Floats, load, refusal
from rawdaq.times import is_contiguous, sample_time

#: How far a source's rate may be from a whole multiple of the decimated rate: 33.33333 Hz is a third of 100 Hz.
_RATE_TOLERANCE = 1e-6

_LARGER = {SampleType.INT32: SampleType.FLOAT32, SampleType.FLOAT32: SampleType.FLOAT64}


class _Refused(Exception):
    """These samples cannot be decimated; the text says why, and what would be right."""


class _Origin(NamedTuple):
    """The stamps of packets of equal size that some of the samples came from; not the samples, which are large."""

    begin: int  # position of the first sample in the run
    end: int
    starts_ns: Sequence[int]
    timing_quality: int | None

    def time_ns(self, position: int, rate_hz: float) -> int:
        """Return the time of the sample at *position*, from the stamp of the packet in which it lies."""
        packet, index = divmod(position - self.begin, (self.end - self.begin) // len(self.starts_ns))
        return sample_time(self.starts_ns[packet], index, rate_hz)


class _Run:
    """Contiguous samples of one stream on their way through the filters."""

    def __init__(self, decimator: Decimator, first: Packet | PacketRun) -> None:
        self._decimator = decimator
        self._rate_hz = first.rate_hz
        self._type = first.sample_type
        self._next_ns = first.start_ns
        self._count = 0
        self._origins: deque[_Origin] = deque()

    def continues(self, item: Packet | PacketRun) -> bool:
        """Whether *item* is where its first sample belongs, to half a sample interval, and alike."""
        is_alike = item.rate_hz == self._rate_hz and item.sample_type is self._type
        return is_alike and is_contiguous(item.start_ns, self._next_ns, item.rate_hz)

    def add(self, item: Packet | PacketRun) -> tuple[Floats, int]:
        """Return the outputs that *item* completes, and the position of the sample that the first one belongs to."""
        decimator = self._decimator
        centre = decimator.delay + decimator.count * decimator.factor
        self._remember(item)
        self._next_ns = item.next_ns
        return decimator.push(item.samples.reshape(-1)), centre

    def packet(self, stream: StreamId, samples: Samples, centre: int, received_ns: int) -> Packet:
        """Return *samples* as a packet of *stream*.

        Its time is that of the sample at *centre*, in the middle of the first filter, from the stamp of the packet in
        which that lies, so that rounding in the stamps never adds up.
        """
        while self._origins[0].end <= centre:
            self._origins.popleft()
        origin, factor = self._origins[0], self._decimator.factor
        return Packet(
            stream,
            origin.time_ns(centre, self._rate_hz),
            self._rate_hz / factor,
            samples,
            origin.timing_quality,
            received_ns=received_ns,
        )

    @property
    def factor(self) -> int:
        """How many samples of the source become one."""
        return self._decimator.factor

    def _remember(self, item: Packet | PacketRun) -> None:
        """Count the samples of *item*, and keep its stamps if an output belongs to one of them."""
        begin, self._count = self._count, self._count + item.samples.size
        delay, factor = self._decimator.delay, self._decimator.factor
        outputs_before = max(0, -((delay - begin) // factor))
        if delay + outputs_before * factor < self._count:
            starts_ns = item.starts_ns if isinstance(item, PacketRun) else (item.start_ns,)
            self._origins.append(_Origin(begin, self._count, starts_ns, item.timing_quality))


class _DecimatedStream:
    """One stream of a lower rate.

    Attributes:
        stream: its name.
        reason: why no packets are made, None while they are.
        refused: packets of the source that were not decimated for such a reason.
    """

    def __init__(self, source: StreamId, stream: StreamId, settings: DecimationSettings, log: logging.Logger) -> None:
        self.stream = stream
        self.reason: str | None = None
        self.refused = 0
        self._source = source
        self._settings = settings
        self._log = log
        self._logged_reason = ""
        self._is_closed = False
        self._run: _Run | None = None

    def close(self, reason: str) -> None:
        """Make no packets from now on."""
        self._is_closed, self._run = True, None
        self._refuse(reason)

    def _refuse(self, reason: str) -> None:
        if reason != self._logged_reason:
            self._log.error("%s is not decimated to %s, counted as refused: %s", self._source, self.stream, reason)
        self._logged_reason = self.reason = reason

    def add(self, item: Packet | PacketRun) -> list[Packet]:
        """Return the packets that *item* completes: one, or none, or several around samples that do not fit."""
        made: list[Packet] = []
        if not self._is_closed and item.samples.size:
            self.reason = None
            try:
                made = self._decimate(item)
            except _Refused as refused:
                self._refuse(str(refused))
            # The source is published already; a bug of ours must not stop the packets that follow.
            except Exception as error:
                self._log.exception("decimating %s failed", self._source)
                self.close(f"decimating it failed with {error!r}; restart the component")
        self.refused += item.count if self.reason else 0
        return made

    def _decimate(self, item: Packet | PacketRun) -> list[Packet]:
        if self._run is None or not self._run.continues(item):
            self._run = None  # also when the new one is refused
            self._run = _Run(self._decimator(item.rate_hz), item)
        run, kind = self._run, SampleType(self._settings.type)
        outputs, centre = run.add(item)
        is_valid = _fits(outputs, kind)
        if not is_valid.all():
            self._refuse(f"a sample does not fit into {kind}; choose type {_LARGER[kind]}")
        return [
            run.packet(self.stream, _as_type(outputs[begin:end], kind), centre + begin * run.factor, item.received_ns)
            for begin, end in _stretches(is_valid)
        ]

    def _decimator(self, rate_hz: float) -> Decimator:
        decimated_hz = self._settings.rate_hz
        factor = round(rate_hz / decimated_hz)
        if factor < 2 or abs(rate_hz / (factor * decimated_hz) - 1) > _RATE_TOLERANCE:
            raise _Refused(
                f"its rate {rate_text(rate_hz)} Hz is not a whole multiple of {rate_text(decimated_hz)} Hz; "
                "choose another rate_hz, or name the streams that it fits with `streams`"
            )
        if reason := refusal(factor):
            raise _Refused(f"{reason}; choose another rate_hz")
        return Decimator(factor)


def _fits(outputs: Floats, kind: SampleType) -> npt.NDArray[np.bool_]:
    """Return which of *outputs* can be samples of type *kind*."""
    if kind is SampleType.INT32:
        limits = np.iinfo(np.int32)
        fits: npt.NDArray[np.bool_] = (np.rint(outputs) >= limits.min) & (np.rint(outputs) <= limits.max)  # no NaN
        return fits
    if kind is SampleType.FLOAT32:
        with np.errstate(over="ignore"):
            return np.isinf(outputs) | ~np.isinf(outputs.astype(np.float32))
    return np.ones(outputs.size, bool)


def _as_type(outputs: Floats, kind: SampleType) -> Samples:
    """Return *outputs*, all of which fit, in the sample type *kind*."""
    return (np.rint(outputs) if kind is SampleType.INT32 else outputs).astype(kind.value)


def _stretches(is_valid: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return begin and end of the stretches of valid samples."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_valid, [False])))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


class Decimation:
    """Makes the decimated streams of a component.

    Args:
        settings: the entries of the block `Decimation`, by name.
        log: where a stream that cannot be decimated is logged, once.
    """

    def __init__(self, settings: Mapping[str, DecimationSettings], log: logging.Logger) -> None:
        self._settings = dict(settings)
        self._log = log
        self._by_source: dict[StreamId, list[tuple[str, _DecimatedStream]]] = {}
        self._by_name: dict[StreamId, _DecimatedStream] = {}

    def open(self) -> None:
        """Load the filters, which takes about a second on a small computer."""
        load()

    def add(self, items: Iterable[Packet | PacketRun | bytes]) -> list[Packet]:
        """Return the packets that *items* complete; plain bytes are ignored."""
        made: list[Packet] = []
        for item in items:
            if not isinstance(item, bytes):
                for _, decimated in self._of(item.stream):
                    made += decimated.add(item)
        return made

    def _of(self, source: StreamId) -> list[tuple[str, _DecimatedStream]]:
        """Return the decimated streams of *source*, made when its first packet comes."""
        found = self._by_source.get(source)
        if found is None:
            if same_name := self._by_name.get(source):
                same_name.close("a source has this name; give the entry a `location` or `band` of its own")
            found = self._by_source[source] = []
            found += [
                (name, self._begin(source, stream, each))
                for name, each in self._settings.items()
                for stream in each.names([source]).values()
            ]
        return found

    def _begin(self, source: StreamId, stream: StreamId, settings: DecimationSettings) -> _DecimatedStream:
        decimated = _DecimatedStream(source, stream, settings, self._log)
        if stream in self._by_source or stream in self._by_name:
            decimated.close("there is a stream of this name; give the entry a `location` or `band` of its own")
        else:
            self._by_name[stream] = decimated
        return decimated

    def status(self) -> dict[str, object]:
        """Return what `status` shows: for each entry its streams, and which are refused for which reason."""
        return {name: self._entry_status(name, settings) for name, settings in self._settings.items()}

    def _entry_status(self, name: str, settings: DecimationSettings) -> dict[str, object]:
        found = [(source, each) for source, streams in self._by_source.items() for key, each in streams if key == name]
        return {
            "rate_hz": settings.rate_hz,
            "type": settings.type,
            "streams": {str(source): str(each.stream) for source, each in found if each.reason is None},
            "refused": sum(each.refused for _, each in found),
            "reason": next((each.reason for _, each in found if each.reason is not None), None),
            "reasons": {str(source): each.reason for source, each in found if each.reason is not None},
        }
