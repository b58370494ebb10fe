"""What the web server costs: ``python -m benchmarks.web [--seconds S] [--channels N] [--viewers 0,1,20] [--day]``.

A device of N channels of 100 Hz in packets of 0.5 s, one RawReceiver with a live publisher, the web server, and viewers
in a process of their own. It prints, for each number of viewers that look at all streams:

  server %   processor time of the web server, in percent of one core
  MB         its memory
  first ms   from the connection of a viewer to its first samples: the median and the largest
  kB/s       what one viewer gets
  samples    whether it got all that was sent meanwhile, each once

and for a day of 100 Hz in an archive how long the columns of a helicorder take, the first time and again.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import connect

from benchmarks.processes import ROOT, Child, cpu_s_of, report, rss_mb
from rawdaq.archive.archive import Archive
from rawdaq.archive.layout import ArchiveLayout
from rawdaq.control.web.archive.columns import Grid, PastColumns
from rawdaq.control.web.components.shown import ArchivePlace
from rawdaq.miniseed.format import RecordFormat
from rawdaq.miniseed.maker import RecordMaker
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_DAY, NS_PER_S

_SETTLE_S = 6.0  # until the server has been asked for a while, and the viewers have their past
_PACKET_S = 0.5
_RATE_HZ = 100


def main() -> None:
    """Measure, or be the viewers."""
    parser = argparse.ArgumentParser("benchmarks.web", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--channels", type=int, default=300)
    parser.add_argument("--viewers", default="0,1,5,20")
    parser.add_argument("--column-ms", type=int, default=40, help="160: columns instead of samples")
    parser.add_argument("--day", action="store_true", help="only the helicorder")
    parser.add_argument("--be", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.be:
        asyncio.run(_be_viewers(*args.be))
        return
    with tempfile.TemporaryDirectory() as folder:
        if not args.day:
            _measure_live(Path(folder), args)
        asyncio.run(_measure_day(Path(folder)))


# ------------------------------------------------------------------ live


def _measure_live(folder: Path, args: argparse.Namespace) -> None:
    os.environ |= {"RAWDAQ_RUNTIME_DIR": str(folder / "run"), "RAWDAQ_LOG_DIR": str(folder / "log")}
    file = folder / "bench.yaml"
    channels = ",".join(map(str, range(1, args.channels + 1)))
    shape = ("--sine", "1", "--rate", str(_RATE_HZ), "--packet-s", str(_PACKET_S), "--channel", f"{channels}:int32")
    with _program("rawdaq-device", "--port", "0", *shape) as (_, printed):
        port = re.findall(r":(\d+)", printed)[0]
        names = ", ".join(f'{number}: "{number:03d}.HHZ"' for number in range(1, args.channels + 1))
        file.write_text(
            f"station: {{network: XX, code: BENCH}}\nBench:\n"
            f"  Receiver: {{class: RawReceiver, host: 127.0.0.1, port: {port}, channels: {{{names}}}}}\n"
            f"  Publishers: {{live: {{class: ZMQTCPPublisher, ip: 127.0.0.1, port: 0}}}}\n"
        )
        _run("start", "all", "-c", str(file))
        try:
            _measure_viewers(file, args)
        finally:
            _run("stop", "all", "-c", str(file))


def _measure_viewers(file: Path, args: argparse.Namespace) -> None:
    with _program("control-rawdaq", "web", "--port", "0", "--host", "127.0.0.1", "-c", str(file)) as (pid, printed):
        url, _, token = printed.strip().partition("/#token=")
        time.sleep(_SETTLE_S)
        print(f"{'viewers':>8}{'server %':>10}{'MB':>7}{'first ms':>16}{'kB/s':>8}  samples")
        for count in map(int, args.viewers.split(",")):
            given = (count, url.replace("http", "ws"), token, args.column_ms, args.seconds, args.channels)
            with Child("-m", "benchmarks.web", "--be", *given, deadline_s=3600) as viewers:
                began = viewers.read()
                used_s, began_s = cpu_s_of(pid), time.monotonic()
                seen = viewers.read()
                percent = 100 * (cpu_s_of(pid) - used_s) / (time.monotonic() - began_s)
            first = f"{began['median_ms']:.0f} / {began['most_ms']:.0f}" if count else "-"
            shown = f"{count:>8}{percent:>10.1f}{rss_mb(pid):>7.0f}{first:>16}{seen['kb_s']:>8.0f}"
            print(f"{shown}  {seen['samples']}", flush=True)


@contextlib.contextmanager
def _program(*command: str) -> Generator[tuple[int, str]]:
    """Run one of our commands; yield its process and its first line."""
    found = [str(Path(sys.executable).parent / command[0]), *command[1:]]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(found, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as one:
        try:
            yield one.pid, one.stdout.readline() if one.stdout else ""
        finally:
            one.terminate()


def _run(*words: str) -> None:
    command = [str(Path(sys.executable).parent / "control-rawdaq"), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


async def _be_viewers(count: str, url: str, token: str, column_ms: str, seconds: str, channels: str) -> None:
    """Be so many viewers; report when all have samples, and at the end."""
    viewers = [_Viewer(url, token, int(column_ms), int(channels)) for _ in range(int(count))]
    tasks = [asyncio.create_task(viewer.run()) for viewer in viewers]
    for viewer in viewers:
        await viewer.has_data.wait()
    firsts = [viewer.first_ms for viewer in viewers] or [0.0]
    await asyncio.sleep(_SETTLE_S)
    before = sum(viewer.size_bytes for viewer in viewers)
    report(median_ms=statistics.median(firsts), most_ms=max(firsts))
    await asyncio.sleep(float(seconds))
    kb_s = (sum(viewer.size_bytes for viewer in viewers) - before) / max(1, len(viewers)) / float(seconds) / 1000
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    report(kb_s=kb_s, samples=" ".join(sorted({viewer.verdict() for viewer in viewers})) or "-")


class _Viewer:
    """One viewer of all streams."""

    def __init__(self, url: str, token: str, column_ms: int, channels: int) -> None:
        self._url, self._token, self._column_ms, self._channels = url, token, column_ms, channels
        self.has_data = asyncio.Event()
        self.first_ms = 0.0
        self.size_bytes = 0
        self._rates: dict[int, tuple[float, str]] = {}
        self._next_ms: dict[int, float] = {}
        self._breaks: defaultdict[int, int] = defaultdict(int)
        self._skipped_s = 0.0

    async def run(self) -> None:
        """Look, until cancelled."""
        began_s = time.monotonic()
        async with connect(f"{self._url}/api/v1/live", max_size=None, compression=None, proxy=None) as socket:
            await socket.send(json.dumps({"token": self._token}))
            await socket.send(json.dumps({"streams": ["XX.*"], "window_s": 60, "column_ms": self._column_ms}))
            while True:
                message = await socket.recv()
                if isinstance(message, str):
                    self._told(json.loads(message))
                    continue
                self.size_bytes += len(message)
                if not self.has_data.is_set():
                    self.first_ms = (time.monotonic() - began_s) * 1000
                    self.has_data.set()
                self._read(message)

    def _told(self, message: dict[str, Any]) -> None:
        self._skipped_s += message.get("skipped_s", 0.0)
        self._rates |= {each["i"]: (each["rate_hz"], each["kind"]) for each in message.get("streams", ())}

    def _read(self, message: bytes) -> None:
        at = 0
        while at < len(message):
            i, n, first_ms, per_s = struct.unpack_from("<IIdd", message, at)
            kind = self._rates[i][1]
            at += 24 + n * (8 if kind == "columns" else 4)
            if kind == "samples":
                expected_ms = self._next_ms.get(i)
                if expected_ms is not None and abs(first_ms - expected_ms) > 500 / per_s:
                    self._breaks[i] += 1
                self._next_ms[i] = first_ms + 1000 * n / per_s

    def verdict(self) -> str:
        """Return whether all came."""
        if self._skipped_s:
            return f"{self._skipped_s:.1f}s-skipped"
        missing = self._channels - len(self._rates)
        return f"{sum(self._breaks.values())}-breaks" + (f",{missing}-streams-missing" if missing else "")


# ------------------------------------------------------------------ a day


async def _measure_day(folder: Path) -> None:
    stream, begin_ns = StreamId("XX", "BENCH", "00", "HHZ"), 20_000 * NS_PER_DAY
    samples = (np.cumsum(np.random.default_rng(0).normal(size=_RATE_HZ * 86_400)) * 20).astype("<i4")
    for version, length in ((2, 512), (3, 4096)):
        where = folder / f"v{version}"
        _write_day(where, RecordFormat(version, length), stream, begin_ns, samples)
        (file,) = (each for each in where.rglob("*.*") if each.is_file())
        places = [ArchivePlace(str(where), "sds", ())]
        past, grid = PastColumns(), Grid.over(begin_ns, begin_ns + NS_PER_DAY, 24 * 1200)
        times_ms: list[float] = []
        size_kb = 0.0
        for _ in range(2):
            began_s = time.monotonic()
            answer = await past.answer(stream, grid, places, [], 0.0, "")
            times_ms.append((time.monotonic() - began_s) * 1000)
            size_kb = len(answer.data or b"") / 1000
        print(
            f"a day of {_RATE_HZ} Hz, miniSEED {version} of {length} bytes, {file.stat().st_size / 1e6:.1f} MB: "
            f"columns of a helicorder in {times_ms[0]:.0f} ms, again in {times_ms[1]:.1f} ms, {size_kb:.0f} kB"
        )


def _write_day(folder: Path, form: RecordFormat, stream: StreamId, begin_ns: int, samples: Any) -> None:
    """Write a day with what writes every archive."""
    archive = Archive(folder, ArchiveLayout("sds"), form, 16, logging.getLogger("rawdaq.bench"))
    archive.open()
    maker = RecordMaker(form)
    size = _RATE_HZ * 10
    for index in range(0, len(samples), size):
        start_ns = begin_ns + index * NS_PER_S // _RATE_HZ
        archive.write(maker.add([Packet(stream, start_ns, float(_RATE_HZ), samples[index : index + size])], start_ns))
    archive.write(maker.flush())
    archive.close()


if __name__ == "__main__":
    main()
