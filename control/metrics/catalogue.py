"""All metrics: names and units as Prometheus has them, and where in a status each value stands."""

from collections.abc import Callable
from typing import NamedTuple

from rawdaq.control.health.parts import number, readers
from rawdaq.control.health.problem import Row

_PREFIX = "rawdaq_"
_TOTAL = "_total"
COMPONENT = ("component",)
STREAM = ("component", "stream")
PUBLISHER = ("component", "publisher")

Value = Callable[[Row], float | None]


class Metric(NamedTuple):
    """One metric.

    Attributes:
        name: without the prefix ``rawdaq_``; a counter ends with ``_total``.
        text: what it says.
        value: its value of one entry of a status; None: there is none.
        labels: their names.
    """

    name: str
    text: str
    value: Value
    labels: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """The name as Prometheus stores it."""
        return _PREFIX + self.name

    @property
    def is_counter(self) -> bool:
        """Whether it only grows, until the component starts anew."""
        return self.name.endswith(_TOTAL)


def _key(key: str, factor: float = 1.0) -> Value:
    def value(entry: Row) -> float | None:
        found = number(entry.get(key))
        return None if found is None else found * factor

    return value


def _flag(key: str) -> Value:
    """Return the value of something that is so, 1, or not, 0; None where nothing is said."""

    def value(entry: Row) -> float | None:
        return float(bool(entry[key])) if key in entry else None

    return value


def _is(key: str, word: str) -> Value:
    def value(entry: Row) -> float | None:
        return float(entry[key] == word) if key in entry else None

    return value


def _is_there(key: str) -> Value:
    """Return 1 where *key* has a value, 0 where that is None."""

    def value(entry: Row) -> float | None:
        return float(entry[key] is not None) if key in entry else None

    return value


def _open_files(shown: Row) -> float | None:
    found = number(shown.get("open_files"))
    return found if found is not None and found >= 0 else None


COMPONENTS = (
    Metric("component_up", "Whether the component runs and answers.", _is("state", "running"), COMPONENT),
    Metric("component_uptime_seconds", "Time since the component started.", _key("uptime_s"), COMPONENT),
    Metric("component_problem_number", "How bad it is, 0 (well) to 1000 (dead).", _key("number"), COMPONENT),
    Metric("component_problem_age_seconds", "For how long the worst problem is there.", _key("age_s"), COMPONENT),
)
PROBLEMS = Metric("component_problems", "How many problems of a kind there are.", _key("count"), (*COMPONENT, "kind"))
STATES = Metric("component_state", "1 for the state that the component has.", _key("count"), (*COMPONENT, "state"))
STREAMS = (
    Metric("stream_packets_total", "Packets received.", _key("packets"), STREAM),
    Metric("stream_samples_total", "Samples received.", _key("samples"), STREAM),
    Metric("stream_bytes_total", "Size of the samples received.", _key("bytes"), STREAM),
    Metric("stream_sample_rate_hertz", "Samples a second, as the device says.", _key("rate_hz"), STREAM),
    Metric(
        "stream_latency_seconds", "From the last sample of the newest packet to its arrival.", _key("latency_s"), STREAM
    ),
    Metric("stream_latency_max_seconds", "The largest latency since the start.", _key("latency_max_s"), STREAM),
    Metric("stream_newest_sample_age_seconds", "Age of the newest sample now.", _key("age_s"), STREAM),
    Metric("stream_silent", "Whether packets have been missing for too long.", _is_there("silent_s"), STREAM),
    Metric("stream_gaps_total", "How often samples were missing.", _key("gaps"), STREAM),
    Metric("stream_gap_seconds_total", "For how long samples were missing.", _key("gap_s"), STREAM),
    Metric("stream_overlaps_total", "How often a packet began before the last one ended.", _key("overlaps"), STREAM),
    Metric("stream_overlap_seconds_total", "By how much in total.", _key("overlap_s"), STREAM),
    Metric("stream_backwards_total", "How often time ran backwards.", _key("backwards"), STREAM),
    Metric("stream_rate_mismatches_total", "How often time stamps left the rate.", _key("rate_mismatches"), STREAM),
    Metric(
        "stream_clock_quality_ratio", "Quality of the device's clock, 0 to 1.", _key("timing_quality", 0.01), STREAM
    ),
    Metric("stream_clock_wrong", "Whether the times of packets cannot be right.", _is_there("clock"), STREAM),
)
PUBLISHERS = (
    Metric("publisher_up", "Whether the publisher can deliver.", _is("state", "running"), PUBLISHER),
    Metric("publisher_delivered_total", "Packets or records delivered.", _key("delivered"), PUBLISHER),
    Metric("publisher_dropped_total", "Packets or records dropped.", _key("dropped"), PUBLISHER),
    Metric("publisher_refused_total", "Packets that the publisher cannot carry.", _key("refused"), PUBLISHER),
    Metric("publisher_queue_items", "Packets or records that wait.", _key("waiting"), PUBLISHER),
    Metric("publisher_queue_bytes", "Size of what waits.", _key("waiting_bytes"), PUBLISHER),
    Metric("publisher_dropping", "Whether the full queue drops data now.", _flag("dropping"), PUBLISHER),
    Metric("publisher_written_bytes_total", "Bytes written to files.", _key("written_bytes"), PUBLISHER),
    Metric("publisher_sent_bytes_total", "Bytes sent to subscribers.", _key("sent_bytes"), PUBLISHER),
    Metric("publisher_clients", "Clients or subscribers that are connected.", readers, PUBLISHER),
    Metric("publisher_client_lag_seconds", "How far the slowest client is behind.", _key("lag_s"), PUBLISHER),
    Metric("publisher_behind_packets", "Packets that the journal holds for it.", _key("behind_packets"), PUBLISHER),
    Metric("publisher_behind_seconds", "Time from the next of these to the newest.", _key("behind_s"), PUBLISHER),
)
JOURNAL = (
    Metric("journal_size_bytes", "Size of the journal's files.", _key("size_bytes"), COMPONENT),
    Metric("journal_limit_bytes", "How large they may become.", _key("max_bytes"), COMPONENT),
    Metric("journal_waiting_packets", "Packets that wait to be journalled.", _key("waiting"), COMPONENT),
    Metric("journal_refused_total", "Packets that the journal has not taken.", _key("refused"), COMPONENT),
    Metric("journal_lost_total", "Entries lost by damage.", _key("lost"), COMPONENT),
    Metric("journal_stuck", "Whether the journal takes nothing.", _flag("is_taking_nothing"), COMPONENT),
)
_RING = ("component", "part")
RINGS = (
    Metric("ring_limit_bytes", "How large the ring may become.", _key("max_bytes"), _RING),
    Metric("ring_streams", "Streams in the ring.", _key("streams"), _RING),
    Metric("ring_packets", "Packets in the ring.", _key("packets"), _RING),
    Metric("ring_lost_total", "Packets of the ring lost by damage.", _key("lost"), _RING),
    Metric("ring_clients", "Clients that are connected.", _key("client_count"), _RING),
    Metric("ring_client_lag_seconds", "How far the slowest client is behind.", _key("lag_s"), _RING),
    Metric("ring_sent_total", "Packets sent to clients.", _key("sent"), _RING),
    Metric("ring_missed_total", "Packets that were gone before a client got them.", _key("missed"), _RING),
    Metric("ring_received_total", "Packets received from writers.", _key("received"), _RING),
)
_ENDPOINT = ("component", "address")
ENDPOINTS = (
    Metric("endpoint_connected", "Whether the receiver is connected there.", _flag("connected"), _ENDPOINT),
    Metric("endpoint_connections_total", "Connections made.", _key("connections"), _ENDPOINT),
    Metric("endpoint_datagrams_total", "Datagrams received.", _key("datagrams"), _ENDPOINT),
    Metric("endpoint_kernel_drops_total", "Datagrams that the system dropped.", _key("kernel_drops"), _ENDPOINT),
)
_DISK = ("component", "part")
DISKS = (
    Metric("disk_free_bytes", "Free where the part of the component writes.", _key("free_bytes"), _DISK),
    Metric("disk_size_bytes", "Size of that disk.", _key("size_bytes"), _DISK),
    Metric("disk_left_seconds", "When it is full, as it is filled now.", _key("left_s"), _DISK),
    Metric("disk_answers", "Whether the disk answers.", _flag("answers"), _DISK),
)
_PROCESS = ("process",)
PROCESSES = (
    Metric("process_cpu_seconds_total", "Processor time used.", _key("cpu_s"), _PROCESS),
    Metric("process_resident_memory_bytes", "Memory held.", _key("memory_bytes"), _PROCESS),
    Metric("process_threads", "Threads.", _key("threads"), _PROCESS),
    Metric("process_open_files", "Open files.", _open_files, _PROCESS),
)
_MACHINE = (
    Metric("components", "Components that are configured or run.", _key("components"), ()),
    Metric("streams_omitted", "Streams without metrics, because there are too many.", _key("omitted"), ()),
    Metric("configuration_mistakes", "Mistakes in station files.", _key("mistakes"), ()),
    Metric("wrong_tokens_total", "Wrong tokens that clients gave to control-rawdaq web.", _key("wrong_tokens"), ()),
    Metric("ask_seconds", "How long it took to ask all components.", _key("ask_s"), ()),
    Metric("info", "The version of rawdaq, as a label.", _key("info"), ("version",)),
)
MACHINE, INFO = _MACHINE[:-1], _MACHINE[-1]
METRICS = (
    *(*COMPONENTS, PROBLEMS, STATES, *STREAMS, *PUBLISHERS, *JOURNAL),
    *(*RINGS, *ENDPOINTS, *DISKS, *PROCESSES, *_MACHINE),
)
