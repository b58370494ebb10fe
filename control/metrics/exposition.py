"""The text that Prometheus reads, from what ``status`` shows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from rawdaq.control.health.problem import Row
from rawdaq.control.metrics import catalogue
from rawdaq.control.metrics.catalogue import Metric
from rawdaq.control.metrics.entries import Entry, entries_of, process_entries, stream_entries
from rawdaq.errors import ComponentError
from rawdaq.protocols.command import JsonValue

if TYPE_CHECKING:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

#: Streams that have metrics; a time series database keeps each of their twenty values for each of them.
MAX_STREAMS = 10_000


class Exposition(NamedTuple):
    """What a scrape is answered with."""

    content_type: str
    body: bytes


def exposition(
    rows: Sequence[Row],
    now_ns: int,
    *,
    accept: str = "",
    more: Mapping[str, JsonValue] = MappingProxyType({}),
    max_streams: int = MAX_STREAMS,
) -> Exposition:
    """Return the metrics of *rows*, see `rawdaq.control.status.rows.statuses`.

    Args:
        rows: the status of each component.
        now_ns: when they were made.
        accept: the header ``Accept`` of the request: Prometheus text, or OpenMetrics where that is wanted.
        more: what is known beside them: ``ask_s``, how long it took to get them; ``mistakes``, how many there are in
            station files; ``wrong_tokens``, how many clients gave.
        max_streams: of how many streams there are metrics; ``rawdaq_streams_omitted`` says of how many there are none.

    Raises:
        ComponentError: prometheus-client is not installed.
    """
    try:
        from prometheus_client.exposition import choose_encoder
    except ImportError as error:
        raise ComponentError("metrics need prometheus-client; install it: pip install 'rawdaq[metrics]'") from error
    encode, content_type = choose_encoder(accept)
    return Exposition(content_type, encode(_Collector(list(_entries(rows, now_ns, more, max_streams)))))


def _entries(rows: Sequence[Row], now_ns: int, more: Mapping[str, JsonValue], max_streams: int) -> Iterator[Entry]:
    from rawdaq import __version__

    yield from chain.from_iterable(entries_of(row, now_ns) for row in rows)
    streams = stream_entries(rows)
    yield from islice(streams, max_streams)
    yield from process_entries(rows)
    machine: Row = {**more, "components": len(rows), "omitted": sum(1 for _ in streams)}
    yield Entry(catalogue.MACHINE, (), machine)
    yield Entry([catalogue.INFO], (__version__,), {"info": 1})


class _Collector:
    """Gives the families of metrics of *entries*, in the order of the catalogue."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._samples: dict[str, dict[tuple[str, ...], float]] = {}
        for entry in entries:
            for metric in entry.metrics:
                if (value := metric.value(entry.values)) is not None:
                    # Two endpoints with one address would be one time series twice, which refuses the whole scrape.
                    self._samples.setdefault(metric.name, {})[entry.labels] = value

    def collect(self) -> Iterator["CounterMetricFamily | GaugeMetricFamily"]:
        """Called by prometheus-client."""
        for metric in catalogue.METRICS:
            if samples := self._samples.get(metric.name):
                family = _family(metric)
                for labels, value in samples.items():
                    family.add_metric(labels, value)
                yield family


def _family(metric: Metric) -> "CounterMetricFamily | GaugeMetricFamily":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    make = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
    return make(metric.full_name, metric.text, labels=metric.labels)
