"""Many devices in one process: each has a receiver and an archive of its own, 3 x 100 Hz in packets of 1 s.

``python -m benchmarks.many feed DEVICES SECONDS FILE`` plays all devices on one port, their packets spread over the
second as those of real ones are; ``… receive PORT DEVICES FOLDER FILE`` is the process that is measured. Each writes
into FILE when a device's packets were sent, or published.
"""

import asyncio
import logging
import resource
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency import joined_ms, percentiles
from benchmarks.loads import LOCATION, NETWORK, Load, packets
from benchmarks.processes import Child, cpu_s, peak_mb, tell, until
from benchmarks.results import Report, spread
from rawdaq import station
from rawdaq.config.settings import StationSettings
from rawdaq.packet import Packet, PacketRun
from rawdaq.process.signals import serve_until_signal
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.receivers.raw_tcp import RawReceiver
from rawdaq.sockets.endpoint import Endpoint

COLUMNS = ("CPU %", "peak MB", "p50 ms", "p99 ms", "max ms", "threads")
CHANNELS = ("HHE", "HHN", "HHZ")

_LOAD = Load(100, len(CHANNELS))
_STAGGER_S = 4  # devices begin in different seconds, because a record of 4 s is not full everywhere at once
_WARM_S = 9  # until every file is open
_POLL_S = 0.2
_SETTLE_S = 1.0
_QUIET_S = 0.5


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    devices: int
    seconds: int

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.devices} devices, each with an archive"

    @property
    def tags(self) -> dict[str, str]:
        """By what ``--only`` finds it."""
        return {"": "many", "devices": str(self.devices)}


def cases(is_full: bool) -> list[Case]:
    """Return 100, 1000 and 3000 devices."""
    return [Case(devices, 60 if is_full else 8) for devices in (100, 1000, 3000)]


# --- the devices ---------------------------------------------------------------------------------------------------


class Device(asyncio.Protocol):
    """One connection; the channels that it is asked for tell which device it is."""

    def __init__(self, started: "dict[int, asyncio.Transport]") -> None:
        self._started = started
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer the version, then everything at once."""
        self._heard += data
        if self._heard == b"RAW 2.0\n":
            self._transport.write(self._heard)
        elif self._heard.endswith(b"START\n"):
            channels = [int(word) for word in self._heard.split() if word.isdigit()]
            answer = b"SAMPLING RATE\n%d\nSAMPLE ENDIANNESS\nlittle\nSAMPLE TYPE\nint32\n" % _LOAD.rate_hz
            self._transport.write(answer * len(channels) + b"STARTING\n")
            self._started[min(channels) // len(CHANNELS)] = self._transport


async def feed(devices: int, seconds: int, file: Path) -> None:
    """Be all devices."""
    started: dict[int, asyncio.Transport] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Device(started), "127.0.0.1", 0, backlog=4096)
    tell(port=server.sockets[0].getsockname()[1])
    await until(lambda: len(started) == devices)
    tell(started=True)
    await asyncio.to_thread(sys.stdin.readline)
    np.save(file, np.array(await play(started, replace(_LOAD, rounds=seconds))))
    tell(done=True)
    await asyncio.to_thread(sys.stdin.readline)


async def play(started: Mapping[int, asyncio.Transport], load: Load) -> list[tuple[int, int, int]]:
    """Send what each device sends every second; return (device, time of its packets, moment)."""
    made, starts_ns = packets(load), load.starts_ns.tolist()
    phases_s = np.sort(np.random.default_rng(1).random(len(started)))
    sent: list[tuple[int, int, int]] = []
    began_s = time.monotonic()
    for index, row in enumerate(made):
        for phase_s, (device, transport) in zip(phases_s, sorted(started.items()), strict=True):
            if index < device % _STAGGER_S:
                continue
            early_s = began_s + index + float(phase_s) - time.monotonic()
            if early_s > 0:
                await asyncio.sleep(early_s)
            row["head"]["channel"] = np.arange(len(CHANNELS)) + device * len(CHANNELS)
            sent.append((device, starts_ns[index], time.monotonic_ns()))
            transport.write(row.tobytes())
    return sent


# --- the process that is measured ----------------------------------------------------------------------------------


class Watched(RawReceiver):
    """Writes down when it publishes, as plain numbers: objects that stay would be work for the garbage collector."""

    def __init__(self, device: int, port: int, folder: Path, log: "array[int]") -> None:
        first = device * len(CHANNELS)
        super().__init__(
            [MiniSeedPublisher(folder)],
            StationSettings(network=NETWORK, code=f"S{device:04d}", location=LOCATION),
            channels={first + index: name for index, name in enumerate(CHANNELS)},
            port=port,
            name=f"S{device:04d}",
        )
        self._device = device
        self._log = log

    def publish_now(self, data: Iterable[Packet | PacketRun | bytes], endpoint: Endpoint) -> None:
        """Hand packets to every publisher."""
        items = list(data)
        super().publish_now(items, endpoint)
        now_ns = time.monotonic_ns()
        for item in items:  # of the three channels, the last one tells
            if not isinstance(item, bytes) and item.stream.channel == CHANNELS[-1]:
                starts_ns = item.starts_ns if isinstance(item, PacketRun) else (item.start_ns,)
                for start_ns in starts_ns:
                    self._log.extend((self._device, start_ns, now_ns))


async def receive(port: int, devices: int, folder: Path, file: Path) -> None:
    """Run the receivers of all devices until the third order; answer each with what was used."""
    log = array("q")
    servers = [Watched(device, port, folder, log) for device in range(devices)]
    station.spare_collector()  # as a component's process does
    serving = asyncio.create_task(serve_until_signal(servers))
    await until(lambda: serving.done() or all(len(server.formats) == len(CHANNELS) for server in servers), _POLL_S)
    if serving.done():
        serving.result()
    tell(ready=True)
    for _ in range(2):
        await asyncio.to_thread(sys.stdin.readline)
        tell(cpu_s=cpu_s(), at_s=time.monotonic(), peak_mb=peak_mb(), threads=threading.active_count())
    await asyncio.to_thread(sys.stdin.readline)
    await _quiet(log)
    for server in servers:
        server.stop()
    await serving
    np.save(file, np.array(log).reshape(-1, 3))
    tell(done=True)


async def _quiet(log: "array[int]") -> None:
    """Return when nothing has been published for a while: who is behind catches up."""
    while True:
        seen = len(log)
        await asyncio.sleep(_QUIET_S)
        if len(log) == seen:
            return


# --- the measurement -----------------------------------------------------------------------------------------------


def run(case: Case) -> dict[str, Any]:
    """Return the figures of one run."""
    seconds = _WARM_S + case.seconds + 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sent, published = folder / "sent.npy", folder / "published.npy"
        feeding = stack.enter_context(Child("-m", "benchmarks.many", "feed", case.devices, seconds, sent))
        arguments = [feeding.read()["port"], case.devices, folder / "archive", published]
        child = stack.enter_context(Child("-m", "benchmarks.many", "receive", *arguments))
        child.read()
        feeding.read()
        time.sleep(_SETTLE_S)
        feeding.order()
        time.sleep(_WARM_S)
        child.order()
        before = child.read()
        time.sleep(case.seconds)
        child.order()
        after = child.read()
        feeding.read()
        child.order()
        child.read()
        latencies_ms = joined_ms(np.load(sent), np.load(published), _WARM_S / seconds)
    used = 100 * (after["cpu_s"] - before["cpu_s"]) / (after["at_s"] - before["at_s"])
    return {"CPU %": used, "latencies_ms": latencies_ms, "peak MB": after["peak_mb"], "threads": after["threads"]}


def measure(report: Report, case: Case, count: int) -> None:
    """Add the row of *case*."""
    wanted = case.devices * (len(CHANNELS) + 1) + 1000
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < wanted:
        report.row(case.name, case.tags, {})
        report.note(f"not run: it needs {wanted} open files, the system allows fewer")
        return
    runs = [run(case) for _ in range(count)]
    figures = {name: spread(runs, name) for name in ("CPU %", "peak MB", "threads")}
    report.row(case.name, case.tags, percentiles([each["latencies_ms"] for each in runs]) | figures)


def main(arguments: Sequence[str]) -> None:
    """Be the devices, or the process that is measured."""
    logging.basicConfig(level=logging.ERROR)
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
    side, first, second, *files = arguments
    if side == "feed":
        asyncio.run(feed(int(first), int(second), Path(files[0])))
    else:
        asyncio.run(receive(int(first), int(second), Path(files[0]), Path(files[1])))


if __name__ == "__main__":
    main(sys.argv[1:])
