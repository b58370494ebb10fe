"""The report of a component: state, rates, gaps, drops, queues, latency, processor time, memory."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from rawdaq.delivery.fanout import Fanout
from rawdaq.log.lines import host_name
from rawdaq.process.usage import cpu_and_memory
from rawdaq.streams.stats import Stats
from rawdaq.streams.topics import Topics
from rawdaq.times import NS_PER_S

_SHOWN_PROBLEMS = 5
_PROBLEM_TEXT = 200  # characters


class _Counts(NamedTuple):
    """What is compared from one report to the next."""

    at_s: float
    cpu_s: float
    packets: int
    samples: int
    bytes: int
    messages: int


class ReportMaker:
    """Makes the reports of one component.

    Args:
        stats: the counters of its streams.
        topics: the counters of its messages.
        fanout: returns its publishers.
        clock_s: seconds that only run forward.
        use: what the process uses, see `rawdaq.process.usage`.
    """

    def __init__(
        self,
        stats: Stats,
        topics: Topics,
        fanout: Callable[[], Fanout],
        clock_s: Callable[[], float] = time.monotonic,
        use: Callable[[], Mapping[str, int | float]] = cpu_and_memory,
    ) -> None:
        self._stats, self._topics, self._fanout = stats, topics, fanout
        self._clock_s = clock_s
        self._use = use
        self._started_s = clock_s()
        self._before: _Counts | None = None

    def report(self, name: str, state: str) -> dict[str, object]:
        """Return what to say now; JSON-able. Rates are those since the last call, or the start.

        Args:
            name: of the component.
            state: that it is in.
        """
        used = self._use()
        now = self._counts(float(used["cpu_s"]))
        before = self._before or _Counts(self._started_s, now.cpu_s, 0, 0, 0, 0)
        self._before = now
        passed_s = max(now.at_s - before.at_s, 1e-3)
        return {
            "name": name,
            "host": host_name(),
            "pid": os.getpid(),
            "time_ns": time.time_ns(),
            "state": state,
            "uptime_s": round(now.at_s - self._started_s, 3),
            "data": now[2:] != before[2:],
            "packets": now.packets,
            "messages": now.messages,
            "packets_per_s": round((now.packets - before.packets) / passed_s, 3),
            "samples_per_s": round((now.samples - before.samples) / passed_s, 3),
            "bytes_per_s": round((now.bytes - before.bytes) / passed_s, 3),
            "messages_per_s": round((now.messages - before.messages) / passed_s, 3),
            **self._streams(passed_s),
            **self._delivery(),
            "cpu_percent": round(100 * (now.cpu_s - before.cpu_s) / passed_s, 2),
            "memory_bytes": used["memory_bytes"],
        }

    def _counts(self, cpu_s: float) -> _Counts:
        packets = samples = size = 0
        for stream in self._stats.streams.values():
            packets += stream.packets
            samples += stream.samples
            size += stream.bytes
        messages, message_bytes = self._topics.totals()
        messages += self._stats.plain_messages
        size += self._stats.plain_bytes + message_bytes
        return _Counts(self._clock_s(), cpu_s, packets, samples, size, messages)

    def _streams(self, passed_s: float) -> dict[str, object]:
        """Return gaps and the like of all streams, and the largest latency of those that sent lately."""
        streams = self._stats.streams.values()
        lately_s = time.monotonic() - passed_s
        latencies = [each.latency_ns for each in streams if each.arrived_s >= lately_s and each.latency_ns]
        return {
            "streams": len(streams),
            "silent": sum(each.is_silent for each in streams),
            "gaps": sum(each.gaps for each in streams),
            "overlaps": sum(each.overlaps for each in streams),
            "latency_s": round(max(latencies) / NS_PER_S, 6) if latencies else None,
        }

    def _delivery(self) -> dict[str, object]:
        """Return what publishers and the journal have to say together."""
        fanout = self._fanout()
        shown = cast("dict[str, dict[str, Any]]", fanout.status())
        problems = [
            f"{name}: {text}"[:_PROBLEM_TEXT]
            for name, each in shown.items()
            if (text := each["paused_reason"] or each["problem"])
        ]
        waiting, waiting_bytes = (sum(each[key] for each in shown.values()) for key in ("waiting", "waiting_bytes"))
        if fanout.journal is not None:
            waiting += len(fanout.journal.queue)
            waiting_bytes += fanout.journal.queue.waiting_bytes
        return {
            "dropped": sum(each["dropped"] for each in shown.values()),
            "refused": sum(each["refused"] for each in shown.values()),
            "waiting": waiting,
            "waiting_bytes": waiting_bytes,
            "problems": problems[:_SHOWN_PROBLEMS],
        }
