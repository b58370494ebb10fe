"""Previews at work: each stream that has one is followed, decimated and published once more under another name."""

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.config.settings import PreviewSettings
from rawdaq.packet import Packet, PacketRun, Samples, SampleType, rate_text
from rawdaq.stream_id import StreamId
from rawdaq.streams.decimator import Decimator, Floats, load, refusal
from rawdaq.streams.stats import CONTIGUOUS_SAMPLES
from rawdaq.times import NS_PER_S, sample_time

#: How far from a whole multiple of the preview's rate a source may be: 33.33333 Hz is a third of 100 Hz.
_RATE_TOLERANCE = 1e-6

_LARGER = {SampleType.INT32: SampleType.FLOAT32, SampleType.FLOAT32: SampleType.FLOAT64}


class _Refused(Exception):
    """There is no preview of these samples; the text says why, and what would be right."""


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
        late_ns = item.start_ns - self._next_ns
        is_alike = item.rate_hz == self._rate_hz and item.sample_type is self._type
        return is_alike and abs(late_ns) * item.rate_hz <= CONTIGUOUS_SAMPLES * NS_PER_S

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


class _Preview:
    """The preview of one stream.

    Attributes:
        stream: its name.
        reason: why there is none, None while there is.
        refused: packets of the source that gave none for such a reason.
    """

    def __init__(self, source: StreamId, stream: StreamId, settings: PreviewSettings, log: logging.Logger) -> None:
        self.stream = stream
        self.reason: str | None = None
        self.refused = 0
        self._source = source
        self._settings = settings
        self._log = log
        self._told = ""
        self._is_closed = False
        self._run: _Run | None = None

    def close(self, reason: str) -> None:
        """Give none from now on."""
        self._is_closed, self._run = True, None
        self._refuse(reason)

    def _refuse(self, reason: str) -> None:
        if reason != self._told:
            self._log.error("no preview %s of %s, counted as refused: %s", self.stream, self._source, reason)
        self._told = self.reason = reason

    def add(self, item: Packet | PacketRun) -> list[Packet]:
        """Return the packets that *item* completes: one, or none, or several around samples that cannot be."""
        made: list[Packet] = []
        if not self._is_closed and item.samples.size:
            self.reason = None
            try:
                made = self._made(item)
            except _Refused as refused:
                self._refuse(str(refused))
            # The samples themselves are published already; a mistake of ours must not stop those that follow.
            except Exception as error:
                self._log.exception("the preview of %s failed", self._source)
                self.close(f"it failed with {error!r}; restart the component")
        self.refused += item.count if self.reason else 0
        return made

    def _made(self, item: Packet | PacketRun) -> list[Packet]:
        if self._run is None or not self._run.continues(item):
            self._run = None  # also when the new one is refused
            self._run = _Run(self._decimator(item.rate_hz), item)
        run, kind = self._run, SampleType(self._settings.type)
        outputs, centre = run.add(item)
        is_good = _fits(outputs, kind)
        if not is_good.all():
            self._refuse(f"a sample does not fit into {kind}; choose type {_LARGER[kind]}")
        return [
            run.packet(self.stream, _as_type(outputs[begin:end], kind), centre + begin * run.factor, item.received_ns)
            for begin, end in _stretches(is_good)
        ]

    def _decimator(self, rate_hz: float) -> Decimator:
        wanted_hz = self._settings.rate_hz
        factor = round(rate_hz / wanted_hz)
        if factor < 2 or abs(rate_hz / (factor * wanted_hz) - 1) > _RATE_TOLERANCE:
            raise _Refused(
                f"its rate {rate_text(rate_hz)} Hz is not a whole multiple of {rate_text(wanted_hz)} Hz; "
                "choose another rate_hz, or name the streams that it suits with `streams`"
            )
        if reason := refusal(factor):
            raise _Refused(f"{reason}; choose another rate_hz")
        return Decimator(factor)


def _fits(outputs: Floats, kind: SampleType) -> npt.NDArray[np.bool_]:
    """Return which of *outputs* can be samples of type *kind*."""
    if kind is SampleType.INT32:
        limits = np.iinfo(np.int32)
        good: npt.NDArray[np.bool_] = (np.rint(outputs) >= limits.min) & (np.rint(outputs) <= limits.max)  # no NaN
        return good
    if kind is SampleType.FLOAT32:
        with np.errstate(over="ignore"):
            return np.isinf(outputs) | ~np.isinf(outputs.astype(np.float32))
    return np.ones(outputs.size, bool)


def _as_type(outputs: Floats, kind: SampleType) -> Samples:
    """Return *outputs*, all of which fit, in the sample type *kind*."""
    return (np.rint(outputs) if kind is SampleType.INT32 else outputs).astype(kind.value)


def _stretches(is_good: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return begin and end of the stretches that are good."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_good, [False])))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


class Previews:
    """Makes the previews of all streams of a component.

    Args:
        settings: what each wants, by name.
        log: where a stream of which there can be no preview is told, once.
    """

    def __init__(self, settings: Mapping[str, PreviewSettings], log: logging.Logger) -> None:
        self._settings = dict(settings)
        self._log = log
        self._by_source: dict[StreamId, list[tuple[str, _Preview]]] = {}
        self._by_name: dict[StreamId, _Preview] = {}

    def open(self) -> None:
        """Load the filters, which takes about a second on a small computer."""
        load()

    def add(self, items: Iterable[Packet | PacketRun | bytes]) -> list[Packet]:
        """Return the packets that *items* complete; plain bytes pass by."""
        made: list[Packet] = []
        for item in items:
            if not isinstance(item, bytes):
                for _, preview in self._previews(item.stream):
                    made += preview.add(item)
        return made

    def _previews(self, source: StreamId) -> list[tuple[str, _Preview]]:
        previews = self._by_source.get(source)
        if previews is None:
            if twin := self._by_name.get(source):
                twin.close("a source has this name; give the preview a `location` or `band` of its own")
            previews = self._by_source[source] = []
            previews += [
                (name, self._begun(source, stream, each))
                for name, each in self._settings.items()
                for stream in each.names([source]).values()
            ]
        return previews

    def _begun(self, source: StreamId, stream: StreamId, settings: PreviewSettings) -> _Preview:
        preview = _Preview(source, stream, settings, self._log)
        if preview.stream in self._by_source or preview.stream in self._by_name:
            preview.close("there is a stream of this name; give the preview a `location` or `band` of its own")
        else:
            self._by_name[preview.stream] = preview
        return preview

    def status(self) -> dict[str, object]:
        """Return what `status` shows: for each preview its streams, and what has none for which reason."""
        return {name: self._shown(name, settings) for name, settings in self._settings.items()}

    def _shown(self, name: str, settings: PreviewSettings) -> dict[str, object]:
        found = [
            (source, each) for source, previews in self._by_source.items() for key, each in previews if key == name
        ]
        return {
            "rate_hz": settings.rate_hz,
            "type": settings.type,
            "streams": {str(source): str(each.stream) for source, each in found if each.reason is None},
            "refused": sum(each.refused for _, each in found),
            "reason": next((each.reason for _, each in found if each.reason is not None), None),
            "reasons": {str(source): each.reason for source, each in found if each.reason is not None},
        }
