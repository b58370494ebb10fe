"""What a packet costs: RAW over TCP as fast as it is taken, into each target; baselines and yardstick beside it."""

import atexit
import functools
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import baselines
from benchmarks.drain import sample_count
from benchmarks.loads import LOCATION, NETWORK, STATION, Load, signal
from benchmarks.processes import PLUGIN_FD, Child, plugin_pipe
from benchmarks.results import Report, Spread, spread

SIZES = (10, 100, 1000, 10_000, 100_000)
CHANNELS = (1, 3, 100)
KINDS = ("int16", "int32", "float32")
SIGNALS = ("walk", "noise")

Publishers = Mapping[str, Mapping[str, object]]
Runs = Sequence[Mapping[str, Any]]

_PUBLISHERS: dict[str, dict[str, Mapping[str, object]]] = {
    "pipe": {"pipe": {"class": "SeedLinkPluginPublisher"}},
    "archive": {"archive": {"class": "MiniSeedPublisher", "path": "archive"}},
    "live": {"live": {"class": "ZMQTCPPublisher", "ip": "127.0.0.1", "port": 0}},
}
TARGETS: dict[str, Publishers] = {
    **_PUBLISHERS,
    "flush": {"pipe": {"class": "SeedLinkPluginPublisher", "flush_each_packet": True}},
    "all": _PUBLISHERS["pipe"] | _PUBLISHERS["archive"] | _PUBLISHERS["live"],
}
BASELINES = {"obspy": "pipe", "zmq.asyncio": "live"}
_PLAIN_PACKETS = {"obspy": 1000, "zmq.asyncio": 5000}
_LIKE_CPP = ("pipe", "flush")
_PLAIN_OF = {"pipe": "obspy", "archive": "obspy", "live": "zmq.asyncio"}

#: A live stream of more could fill what waits for a subscriber, and drop: 64 MB.
_LIVE_BYTES = 40_000_000
_MESSAGE_BYTES = 450
_YARDSTICK_SAMPLES = 2_000_000

COLUMNS = ("CPU us/packet", "ns/sample", "packets/s", "peak MB", "x pymseed", "plain costs x", "x pipe")


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    target: str
    load: Load

    @property
    def name(self) -> str:
        """What the table calls it."""
        load = self.load
        channels = f"{load.channels} channel{'s' if load.channels > 1 else ''}"
        return f"{self.target} k={load.samples} {channels} {load.kind} {load.signal}"

    @property
    def tags(self) -> dict[str, str]:
        """By what ``--only`` finds it."""
        load = self.load
        return {
            "": self.target,
            "k": str(load.samples),
            "channels": str(load.channels),
            "type": load.kind,
            "signal": load.signal,
        }


def cases(is_full: bool) -> Iterator[Case]:
    """Yield the whole matrix, or what shows most of it in a few minutes; baselines first."""
    for target, sizes in {"obspy": SIZES[:3], "zmq.asyncio": SIZES[:2]}.items():
        for samples in SIZES[:4] if is_full else sizes:
            yield Case(target, _fewer(Load(samples), _PLAIN_PACKETS[target]))
    if is_full:
        for target, samples, channels, kind, name in itertools.product(TARGETS, SIZES, CHANNELS, KINDS, SIGNALS):
            yield sized(target, Load(samples, channels, kind, name))
        return
    short = {"pipe": SIZES, "flush": SIZES[1:4], "archive": SIZES[:4], "live": SIZES[:2], "all": SIZES[1:2]}
    for target, sizes in short.items():
        yield from (sized(target, Load(samples)) for samples in sizes)
    yield from (sized("pipe", Load(samples, 100)) for samples in SIZES[:3])
    yield sized("pipe", Load(100, 3))
    yield from (sized("archive", Load(samples, 100)) for samples in SIZES[1:3])
    yield from (sized("pipe", Load(1000, kind=kind)) for kind in ("int16", "float32"))
    yield sized("pipe", Load(1000, signal="noise"))


def _fewer(load: Load, packets: int) -> Load:
    return replace(load, rounds=max(4, packets // load.channels))


def sized(target: str, load: Load) -> Case:
    """Return the case with so many packets that one run takes some tenths of a second and no subscriber drops."""
    if "live" not in TARGETS[target]:
        return Case(target, load)
    fitting = _LIVE_BYTES // (_MESSAGE_BYTES + load.samples * 4)
    return Case(target, _fewer(load, min(load.packets, fitting)))


def station_file(folder: Path, load: Load, port: int, publishers: Publishers) -> Path:
    """Write and return the station file of a receiver that connects to *port*."""
    receiver = {"class": "RawReceiver", "host": "127.0.0.1", "port": port, "channels": load.codes}
    station = {"network": NETWORK, "code": STATION, "location": LOCATION}
    file = folder / "station.yaml"
    # JSON is YAML, apart from keys that are numbers.
    text = json.dumps({"station": station, "Bench": {"Receiver": receiver, "Publishers": publishers}})
    for number in load.codes:
        text = text.replace(f'"{number}": "', f'{number}: "')
    file.write_text(text)
    return file


def run(case: Case, feed: Child, port: int, folder: Path) -> dict[str, Any]:
    """Return what one run of *case* cost; *feed* is the device, and *folder* is new."""
    folder.mkdir()
    with ExitStack() as stack:
        target = BASELINES.get(case.target, case.target)
        with plugin_pipe() as (reading, writing):
            pipe = stack.enter_context(Child("-m", "benchmarks.drain", "pipe", stdin=reading))
            child = stack.enter_context(Child("-m", *_command(case, folder, port), pass_fds=[writing]))
        if target in ("live", "all"):
            stack.enter_context(Child("-m", "benchmarks.drain", "live", child.read()["address"]))
        child.read()
        feed.read()
        feed.order()
        result = child.read()
        child.wait()
        for sink, got in (("pipe", pipe.read()["samples"]), ("archive", _empty_archive(folder))):
            if sink in TARGETS.get(target, ()) and got != case.load.total_samples:
                raise SystemExit(f"bench: {case.name}: {got} of {case.load.total_samples} samples came to the {sink}")
        return result


def _empty_archive(folder: Path) -> int:
    """Empty the files of the archive below *folder*, which stay there, and return how many samples they held."""
    files = [file for file in (folder / "archive").rglob("*") if file.is_file()]
    samples = sum(sample_count(np.fromfile(file, np.uint8).reshape(-1, 512)) for file in files)
    for file in files:
        os.truncate(file, 0)
    return samples


def _command(case: Case, folder: Path, port: int) -> list[object]:
    if case.target in BASELINES:
        name = case.target.partition(".")[0]
        return ["benchmarks.baselines", name, json.dumps(asdict(case.load)), port, PLUGIN_FD]
    file = station_file(folder, case.load, port, TARGETS[case.target])
    return ["benchmarks.receiver", file, case.load.total_samples]


def runs(cases: Sequence[Case], count: int) -> Iterator[list[dict[str, Any]]]:
    """Yield what *count* runs of each of *cases*, in turn, cost; they have the same load."""
    with Child("-m", "benchmarks.feed", json.dumps(asdict(cases[0].load))) as feed:
        port = feed.read()["port"]
        for _ in range(count):
            yield [run(case, feed, port, Path(tempfile.mkdtemp(dir=_scratch())) / "run") for case in cases]


@functools.cache
def _scratch() -> Path:
    """Return the folder of all runs, deleted at the end.

    Not before: for some minutes an ext4 without a journal passes over what was freed, one by one, for each new file. To
    create a hundred of them then takes 60 ms of processor time, and 8 otherwise.
    """
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    return Path(folder)


def _ratio(results: Runs, others: Runs) -> Spread:
    """Return the cost of each of *results* in units of the run of *others* that followed it."""
    return Spread(tuple(run["cpu_s"] / other["cpu_s"] for run, other in zip(results, others, strict=True)))


def encode_ns(kind: str, name: str) -> float:
    """Return what pymseed alone needs for a sample, in ns, this time."""
    return baselines.encode_seconds(_yardstick(kind, name)) / _YARDSTICK_SAMPLES * 1e9


@functools.cache
def _yardstick(kind: str, name: str) -> Any:
    return signal(name, kind, _YARDSTICK_SAMPLES)


class Throughput:
    """Measures cases, and relates them to baselines and yardstick of the same run.

    Args:
        report: gets the rows.
        count: runs of each case.
        cpp_us: tells what the C++ plugin needs for a packet of a load, where there is one.
    """

    def __init__(self, report: Report, count: int, cpp_us: Callable[[Load], float] | None = None) -> None:
        self._report = report
        self._count = count
        self._cpp_us = cpp_us
        self._encode_ns: dict[tuple[str, str], Spread] = {}
        self._plain_us: dict[tuple[str, int], float] = {}

    def measure(self, case: Case) -> None:
        """Add the row of *case*."""
        load = case.load
        beside = [Case("pipe", load)] if case.target == "archive" else []
        results, *others = zip(*runs([case, *beside], self._count), strict=True)
        cpu_us = spread(results, "cpu_s", 1e6 / load.packets)
        if case.target in BASELINES:
            self._plain_us[case.target, load.samples] = cpu_us.median
        encode_ns = self._yardstick(load)
        plain_us = self._plain_us.get((_PLAIN_OF.get(case.target, ""), load.samples))
        figures: dict[str, Spread | float | None] = {
            "CPU us/packet": cpu_us,
            "ns/sample": cpu_us.median * 1000 / load.samples,
            "packets/s": load.packets / spread(results, "wall_s").median,
            "peak MB": spread(results, "peak_mb").median,
            "x pymseed": cpu_us.median * 1000 / load.samples / encode_ns.median,
            "plain costs x": plain_us / cpu_us.median if plain_us else None,
            "x pipe": _ratio(results, *others) if others else None,
            "C++ costs x": self._cpp_us(load) / cpu_us.median if self._cpp_us and case.target in _LIKE_CPP else None,
            "wall_s": spread(results, "wall_s"),
            "pymseed ns/sample": encode_ns,
            "packets": load.packets,
        }
        self._report.row(case.name, case.tags | {"packets": load.packets}, figures)
        if lost := sum(result["lost"] for result in results):
            self._report.note(f"{lost} packets were dropped: the subscriber did not keep up")

    def _yardstick(self, load: Load) -> Spread:
        key = load.kind, load.signal
        if key not in self._encode_ns:
            self._encode_ns[key] = Spread(tuple(encode_ns(*key) for _ in range(max(5, self._count))))
        return self._encode_ns[key]
