"""What a packet costs in a flood: RAW over TCP as fast as it is taken, into each target; baselines beside it."""

import atexit
import functools
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.jobs import Job, Options, Section
from benchmarks.loads import Load, signal
from benchmarks.parts import cpp_plugin
from benchmarks.processes import PLUGIN_FD, Child, plugin_pipe
from benchmarks.programs.plain import encode_seconds
from benchmarks.programs.reader import archived_samples
from benchmarks.station_files import TARGETS, write_station_file
from benchmarks.table import Spread, spread

COLUMNS = ("us/packet", "ns/sample", "packets/s", "peak MB", "x pymseed", "x plain", "x pipe", "x without", "x C++")
SIZES = (10, 100, 1000, 10_000, 100_000)
CHANNELS = (1, 3, 100)
KINDS = ("int16", "int32", "float32")
SIGNALS = ("walk", "noise")

Runs = Sequence[Mapping[str, Any]]

#: The plain program that does the same as a target, and how many packets it gets.
_PLAIN = {"pipe": "obspy", "archive": "obspy", "live": "zmq.asyncio"}
_PLAIN_PACKETS = {"obspy": 1000, "zmq.asyncio": 5000}

_RUNS = 5
#: A live stream of more could fill what waits for a subscriber, 64 MB, and drop.
_LIVE_BYTES = 40_000_000
_MESSAGE_BYTES = 450
_YARDSTICK_SAMPLES = 2_000_000


@dataclass(frozen=True)
class Case:
    """One row."""

    target: str
    load: Load
    has_journal: bool = False

    @property
    def name(self) -> str:
        """What the table calls it."""
        load, journal = self.load, " behind a journal" if self.has_journal else ""
        channels = f"{load.channels} channel{'s' if load.channels > 1 else ''}"
        return f"{self.target}{journal} k={load.samples} {channels} {load.kind} {load.signal}"

    @property
    def tags(self) -> dict[str, str]:
        """Tags for ``--only``."""
        load = self.load
        numbers = {"k": str(load.samples), "channels": str(load.channels)}
        numbers |= {"journal": "yes"} if self.has_journal else {}
        return {"": self.target, **numbers, "type": load.kind, "signal": load.signal}


def sections(options: Options) -> list[Section]:
    """Return the table."""
    flood = Flood(options)
    jobs = [Job(case.tags, [case.name], partial(flood.measure, case)) for case in _cases(options.is_full)]
    return [Section("Flood, RAW over TCP into", [each for each in COLUMNS if options.cpp or each != "x C++"], jobs)]


def _cases(is_full: bool) -> Iterator[Case]:
    """Yield the whole matrix, or what shows most of it in a few minutes; plain programs first."""
    for target, sizes in {"obspy": SIZES[:3], "zmq.asyncio": SIZES[:2]}.items():
        for samples in SIZES[:4] if is_full else sizes:
            yield Case(target, _with_packets(Load(samples), _PLAIN_PACKETS[target]))
    if is_full:
        for target, samples, channels, kind, name in itertools.product(TARGETS, SIZES, CHANNELS, KINDS, SIGNALS):
            yield _case(target, Load(samples, channels, kind, name))
        return
    short = {"pipe": SIZES, "flush": SIZES[1:4], "archive": SIZES[:4], "live": SIZES[:2], "all": SIZES[1:2]}
    for target, sizes in short.items():
        yield from (_case(target, Load(samples)) for samples in sizes)
    yield from (_case("pipe", Load(samples, 100)) for samples in SIZES[:3])
    yield _case("pipe", Load(100, 3))
    yield from (_case("archive", Load(samples, 100)) for samples in SIZES[1:3])
    yield from (_case("pipe", Load(1000, kind=kind)) for kind in ("int16", "float32"))
    yield _case("pipe", Load(1000, signal="noise"))
    for target, samples, channels in itertools.product(("pipe", "archive"), SIZES[1:3], (1, 100)):
        yield Case(target, Load(samples, channels), has_journal=True)


def _with_packets(load: Load, packets: int) -> Load:
    return replace(load, rounds=max(4, packets // load.channels))


def _case(target: str, load: Load) -> Case:
    """Return the case with so many packets that no subscriber drops."""
    if "live" not in TARGETS[target]:
        return Case(target, load)
    fitting = _LIVE_BYTES // (_MESSAGE_BYTES + load.samples * 4)
    return Case(target, _with_packets(load, min(load.packets, fitting)))


def run(case: Case, device: Child, port: int, folder: Path) -> dict[str, Any]:
    """Return what one run of *case* cost; *folder* is made for it."""
    folder.mkdir()
    sinks = TARGETS[case.target] if case.target in TARGETS else {"pipe": 0} if case.target == "obspy" else {"live": 0}
    with ExitStack() as stack:
        reader = ("-m", "benchmarks.programs.reader")
        with plugin_pipe() as (reading, writing):
            pipe = stack.enter_context(Child(*reader, "pipe", stdin=reading))
            receiver = stack.enter_context(Child("-m", *_command(case, folder, port), pass_fds=[writing]))
        if "live" in sinks:
            stack.enter_context(Child(*reader, "live", receiver.read()["address"]))
        for process in (receiver, device):
            process.read()  # they are connected
        device.go()
        result = receiver.read()
        receiver.wait()
        for sink, samples in (("pipe", pipe.read()["samples"]), ("archive", _emptied(folder / "archive"))):
            if sink in sinks and samples != case.load.total_samples:
                raise SystemExit(
                    f"bench: {case.name}: {samples} of {case.load.total_samples} samples came to the {sink}"
                )
        return result


def _emptied(archive: Path) -> int:
    """Empty the files of an archive, which stay there, and return how many samples they held."""
    samples = archived_samples(archive)
    for file in archive.rglob("*"):
        if file.is_file():
            os.truncate(file, 0)
    return samples


def _command(case: Case, folder: Path, port: int) -> list[object]:
    if case.target not in TARGETS:
        return ["benchmarks.programs.plain", case.target, json.dumps(asdict(case.load)), port, PLUGIN_FD]
    file = write_station_file(folder, case.load, port, TARGETS[case.target], has_journal=case.has_journal)
    return ["benchmarks.programs.receiver", file, case.load.total_samples]


def runs(cases: Sequence[Case], count: int) -> Iterator[list[dict[str, Any]]]:
    """Yield what *count* runs of each of *cases*, in turn, cost; they have the same load."""
    with Child("-m", "benchmarks.programs.device", json.dumps(asdict(cases[0].load))) as device:
        port = device.read()["port"]
        for _ in range(count):
            yield [run(case, device, port, Path(tempfile.mkdtemp(dir=_scratch())) / "run") for case in cases]


@functools.cache
def _scratch() -> Path:
    """Return the folder of all runs, deleted at the end.

    Not before: for some minutes an ext4 without a journal passes over what was freed, one by one, for each new file. To
    create a hundred of them then takes 60 ms of processor time, and 8 otherwise.
    """
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    return Path(folder)


class Flood:
    """Measures cases, and relates them to what was measured beside them.

    Args:
        options: what the user asks for.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._count = options.runs or _RUNS
        self._encode_ns: dict[tuple[str, str], Spread] = {}
        self._plain_us: dict[tuple[str, int], float] = {}
        self._cpp_us = functools.cache(self._measure_cpp)

    def measure(self, case: Case) -> None:
        """Add the row of *case*."""
        load = case.load
        beside = [Case("pipe", load)] if case.target == "archive" and not case.has_journal else []
        if case.has_journal:
            beside = [Case(case.target, load)]
        results, *others = zip(*runs([case, *beside], self._count), strict=True)
        cpu_us = spread(results, "cpu_s", 1e6 / load.packets)
        if case.target not in TARGETS:
            self._plain_us[case.target, load.samples] = cpu_us.median
        encode_ns = self._yardstick(load)
        figures: dict[str, Spread | float | None] = {
            "us/packet": cpu_us,
            "ns/sample": cpu_us.median * 1000 / load.samples,
            "packets/s": load.packets / spread(results, "wall_s").median,
            "peak MB": spread(results, "peak_mb").median,
            "x pymseed": cpu_us.median * 1000 / load.samples / encode_ns.median,
            "x plain": self._ratio(cpu_us, self._plain_us.get((_PLAIN.get(case.target, ""), load.samples))),
            "x pipe": _paired_ratio(results, *others) if others and not case.has_journal else None,
            "x without": _paired_ratio(results, *others) if case.has_journal else None,
            "x C++": self._ratio(cpu_us, self._cpp_us(load)) if case.target in ("pipe", "flush") else None,
            "wall_s": spread(results, "wall_s"),
            "pymseed ns/sample": encode_ns,
            "packets": load.packets,
        }
        self._options.table.row(case.name, case.tags, figures)
        if lost := sum(result["lost"] for result in results):
            self._options.table.note(f"{lost} packets were dropped: the subscriber did not keep up")

    @staticmethod
    def _ratio(cost: Spread, other: float | None) -> float | None:
        return cost.median / other if other else None

    def _measure_cpp(self, load: Load) -> float | None:
        if self._options.cpp is None:
            return None
        costs = [cpp_plugin.cpu_s(self._options.cpp, load) for _ in range(self._count)]
        return Spread(tuple(costs)).median / load.packets * 1e6

    def _yardstick(self, load: Load) -> Spread:
        """Return what pymseed alone needs for a sample, in ns."""
        key = load.kind, load.signal
        if key not in self._encode_ns:
            values = signal(load.signal, load.kind, _YARDSTICK_SAMPLES)
            count = max(5, self._count)
            seconds = [encode_seconds(values) for _ in range(count)]
            self._encode_ns[key] = Spread(tuple(each / _YARDSTICK_SAMPLES * 1e9 for each in seconds))
        return self._encode_ns[key]


def _paired_ratio(results: Runs, others: Runs) -> Spread:
    """Return the cost of each of *results* in units of the run of *others* that followed it."""
    return Spread(tuple(run["cpu_s"] / other["cpu_s"] for run, other in zip(results, others, strict=True)))
