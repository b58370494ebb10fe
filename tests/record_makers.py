"""Records one by one, for tests that look at each."""

from collections.abc import Iterable, Sequence

from rawdaq import records
from rawdaq.packet import Packet, PacketRun
from rawdaq.record_format import Record, RecordRun


class RecordMaker(records.RecordMaker):
    """A maker whose runs are taken apart."""

    def add(  # type: ignore[override]
        self, packets: Iterable[Packet | PacketRun], now_ns: int, at_once: int = 1
    ) -> list[Record]:
        return [record for run in super().add(packets, now_ns, at_once) for record in run]

    def take(self) -> list[Record]:  # type: ignore[override]
        return [record for run in super().take() for record in run]

    def flush_due(self, now_ns: int) -> list[Record]:  # type: ignore[override]
        return [record for run in super().flush_due(now_ns) for record in run]

    def flush(self) -> list[Record]:  # type: ignore[override]
        return [record for run in super().flush() for record in run]


def as_runs(some: Sequence[Record], rate_hz: float = 100.0) -> list[RecordRun]:
    """Return a run for each of *some* records."""
    return [RecordRun(one.stream, [one.start_ns], [one.sample_count], rate_hz, one.data) for one in some]
