"""Streams of a component's own state."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import obspy
import pytest

from rawdaq import config
from rawdaq.config import StateOfHealthSettings, StationSettings
from rawdaq.packet import Packet, PacketRun
from rawdaq.publisher import Publisher
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.station import build
from rawdaq.streams import state_of_health
from rawdaq.streams.state_of_health import StateOfHealth
from rawdaq.streams.stats import Stats
from rawdaq.times import NS_PER_S
from tests.helpers import until
from tests.makers import packet
from tests.servers import Idle, Keeper, serving

NAMES = StateOfHealthSettings(every_s=1).names(StationSettings(network="XX", code="A"))
NOW_NS = 1_795_219_200 * NS_PER_S
STATION = """\
station: {{network: XX, code: A}}
Raw:
  Receiver: {{class: RawReceiver, channels: {channels}}}
  Publishers: {{slow: {{class: MiniSeedPublisher, path: archive, streams: ["*.?X?"]}}}}
  StateOfHealth: {block}
"""


def health(clock_ns: int = NOW_NS) -> StateOfHealth:
    return StateOfHealth(1, NAMES, lambda: clock_ns)


def test_streams_have_the_band_code_of_their_rate() -> None:
    station = StationSettings(network="XX", code="A")
    assert [str(name) for name in StateOfHealthSettings(location="H0").names(station).values()] == [
        "XX.A.H0.VXL",
        "XX.A.H0.VCQ",
        "XX.A.H0.VXD",
        "XX.A.H0.VXC",
        "XX.A.H0.VXM",
    ]
    bands = {1: "L", 10: "V", 60: "U", 600: "W", 3600: "R", 86_400: "P"}
    for every_s, band in bands.items():
        assert str(StateOfHealthSettings(every_s=every_s).names(station)["clock"]) == f"XX.A..{band}CQ"
    assert str(StateOfHealthSettings(band="L").names(station)["disk"]) == "XX.A..LXD"


async def test_the_worst_of_all_streams_is_measured(tmp_path: Path) -> None:
    stats = Stats()
    assert await health().measure(stats, []) | {"memory": 0} == {
        "latency": None,
        "clock": None,
        "disk": None,
        "cpu": None,
        "memory": 0,
    }
    late = packet(0, timing_quality=70)
    stats.add([late.shifted(0), packet(0, stream=NAMES["clock"], timing_quality=1)])
    first = stats.of(late.stream)
    first.latency_ns = 1_234_000_000
    archive = MiniSeedPublisher(tmp_path)
    measured = await health().measure(stats, [archive, Keeper()])
    free = os.statvfs(tmp_path)
    assert (measured["latency"], measured["clock"]) == (1234, 70)
    assert measured["disk"] == pytest.approx(free.f_frsize * free.f_bavail // 1_000_000, rel=0.2)
    assert (measured["memory"] or 0) > 1000
    first.is_silent, first.arrived_s = True, first.arrived_s - 5.0
    assert (await health().measure(stats, []))["latency"] in range(5000, 35_000)


async def test_processor_time_is_of_the_time_since_the_last_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[float] = [1.0, 1.0, 1.5, 1.5]
    monkeypatch.setattr(state_of_health, "usage", lambda: {"cpu_s": used[0], "memory_bytes": 5_000_000})
    now_s = 100.0
    monkeypatch.setattr(state_of_health.time, "monotonic", lambda: now_s)  # type: ignore[attr-defined]
    made = health()
    assert (await made.measure(Stats(), []))["cpu"] is None
    used[0], now_s = 1.5, 102.0
    measured = await made.measure(Stats(), [])
    assert (measured["cpu"], measured["memory"]) == (250, 5000)


def test_packets_are_int32_of_one_sample_and_follow_each_other() -> None:
    stats = Stats()
    made = health()
    values = {"latency": 5, "clock": None, "disk": 2**40, "cpu": -(2**40), "memory": 7}
    packets: list[Packet | PacketRun | bytes] = []
    for index in range(3):
        packets = made.packets(NOW_NS + index * NS_PER_S, values, stats)
        assert stats.add(packets) == []
        shown = [(str(p.stream), p.start_ns, p.samples.tolist(), p.sequence) for p in packets if isinstance(p, Packet)]
        start_ns = NOW_NS + index * NS_PER_S
        assert shown == [
            ("XX.A..LXL", start_ns, [5], index),
            ("XX.A..LXD", start_ns, [2**31 - 1], index),
            ("XX.A..LXC", start_ns, [-(2**31 - 1)], index),
            ("XX.A..LXM", start_ns, [7], index),
        ]
    assert {str(p.samples.dtype) for p in packets if isinstance(p, Packet)} == {"int32"}


class FastClock:
    """Runs a hundred times as fast as the machine's, so that seconds pass in a moment."""

    def __init__(self) -> None:
        self._begin_s = asyncio.get_running_loop().time()

    def __call__(self) -> int:
        return NOW_NS + round((asyncio.get_running_loop().time() - self._begin_s) * 100 * NS_PER_S)


async def fast_sleep(seconds: float) -> None:
    await asyncio.sleep(seconds / 100)


async def test_a_component_publishes_its_state_at_whole_seconds_and_is_never_silent(tmp_path: Path) -> None:
    keeper, archive = Keeper(), MiniSeedPublisher(tmp_path / "archive", layout="%n.%s.%c")
    server = Idle([keeper, archive])
    server.silent_after_s = 0.01
    server.state_of_health = StateOfHealth(1, NAMES, FastClock(), fast_sleep)

    def of(name: str) -> list[Packet]:
        return [each for each in keeper.kept if isinstance(each, Packet) and each.stream == NAMES[name]]

    async with serving(server):
        server.cmd_pause()  # the state is told meanwhile, too
        await until(lambda: len(of("memory")) >= 2 and len(of("disk")) >= 2)
        assert not any(stats.is_silent for stats in server.stats.streams.values())
        assert not of("clock")
        assert NAMES["clock"] not in server.stats.streams
    memory = of("memory")
    assert {each.start_ns % NS_PER_S for each in memory} == {0}
    assert [each.start_ns for each in memory] == sorted({each.start_ns for each in memory})
    archived = [int(value) for trace in obspy.read(str(tmp_path / "archive" / "XX.A.LXM")) for value in trace.data]
    assert archived == [int(sample) for each in memory for sample in each.samples]


async def test_a_queue_that_is_full_gets_no_more_until_there_is_room() -> None:
    handed: list[Sequence[Packet | PacketRun | bytes]] = []
    has_room = asyncio.Event()

    def hand_on(packets: list[Packet | PacketRun | bytes]) -> bool:
        handed.append(packets)
        return False

    async def room() -> None:
        await has_room.wait()

    made = StateOfHealth(1, NAMES, FastClock(), fast_sleep)
    task = asyncio.create_task(made.run(Stats(), list, hand_on, room))
    try:
        await until(lambda: handed)
        await asyncio.sleep(0)
        assert len(handed) == 1
        has_room.set()
        await until(lambda: len(handed) >= 2)
    finally:
        task.cancel()
        await asyncio.wait([task])


class Hanging(Publisher):
    """Writes to a disk that does not answer."""

    def __init__(self, path: str) -> None:
        super().__init__("hanging")
        self._path = path

    async def deliver(self, batch: Sequence[Any]) -> None:
        """Deliver nothing."""

    def status(self) -> dict[str, object]:
        return {"path": self._path}


async def test_a_disk_that_does_not_answer_has_no_sample_and_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asyncio.Event()
    asked = 0

    async def look(name: str, function: Any, paths: Sequence[str]) -> int | None:
        nonlocal asked
        asked += 1
        await answer.wait()
        return 77

    monkeypatch.setattr(state_of_health, "in_new_thread", look)
    monkeypatch.setattr(state_of_health, "_DISK_S", 0.01)
    made, publishers = health(), [Hanging("/dead")]
    for _ in range(2):
        assert (await made.measure(Stats(), publishers))["disk"] is None
    answer.set()
    await until(lambda: made._look is not None and made._look.done())  # pyright: ignore[reportPrivateUsage]
    assert asked == 1
    assert (await made.measure(Stats(), publishers))["disk"] == 77


async def test_a_folder_that_is_gone_has_no_sample(tmp_path: Path) -> None:
    assert (await health().measure(Stats(), [Hanging(str(tmp_path / "gone"))]))["disk"] is None


def written(folder: Path, block: str, channels: str = "{1: HHZ}") -> Path:
    file = folder / "XX.A.yaml"
    file.write_text(STATION.format(block=block, channels=channels))
    return file


@pytest.mark.parametrize(("block", "every_s"), [("", 10), ("{}", 10), ("{every_s: 60, location: H0}", 60)])
def test_a_station_file_asks_for_it(block: str, every_s: int, tmp_path: Path) -> None:
    (component,) = config.load(written(tmp_path, block)).components
    assert component.state_of_health is not None
    assert component.state_of_health.every_s == every_s
    assert build(component).state_of_health is not None
    file = written(tmp_path, "{}")
    file.write_text(file.read_text().replace("  StateOfHealth: {}\n", "").replace(', streams: ["*.?X?"]', ""))
    (component,) = config.load(file).components
    assert build(component).state_of_health is None


@pytest.mark.parametrize(
    ("block", "channels", "problem"),
    [
        ("{every_s: 0}", "{1: HHZ}", "Raw.StateOfHealth.every_s: 0 is wrong; it should be greater than or equal to 1"),
        ("{every: 5}", "{1: HHZ}", "Raw.StateOfHealth.every: unknown key; did you mean 'every_s'? known: every_s, "),
        ("{band: x}", "{1: HHZ}", "Raw.StateOfHealth.band: 'x' is not a band code; it should be one capital letter"),
        ("5", "{1: HHZ}", "Raw.StateOfHealth: 5 is wrong; it should be a mapping such as {every_s: 10}"),
        ("{}", "{1: VXD}", "Raw.StateOfHealth: would make XX.A..VXD, which the component has; give it a `location` o"),
    ],
)
def test_mistakes_in_the_block_are_told(block: str, channels: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.load(written(tmp_path, block, channels))
    assert problem in str(caught.value)
