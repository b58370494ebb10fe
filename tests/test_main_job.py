"""The main job as a user runs it: a device, the daemon, the live stream and the archive; processes and sockets only."""

import asyncio
import importlib
import json
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rawdaq.times import from_iso
from tests.fake_device import Described, Session, device, wire
from tests.forks import run_cli, start_cli
from tests.helpers import free_port, wait_for

START_NS = from_iso("2026-11-20T23:59:30Z")  # the run crosses midnight
RATE_HZ = 62.5
PACKETS, SIZE = 60, 100
obspy: Any = importlib.import_module("obspy")  # it has no types
KINDS = [("int8", "little")] + [
    (kind, order) for kind in ("int16", "int32", "float32", "float64") for order in ("big", "little")
]
ORDERS = {"big": ">", "little": "<"}


def samples_of(channel: int) -> npt.NDArray[Any]:
    """Return the samples of *channel* in its own type and byte order: noise over the whole range of the type."""
    kind, order = KINDS[channel]
    dtype = np.dtype(ORDERS[order] + np.dtype(kind).str[1:])
    chance = np.random.default_rng(channel)
    if dtype.kind == "f":
        return chance.normal(0, 1e6, PACKETS * SIZE).astype(dtype)
    limits = np.iinfo(dtype)
    return chance.integers(limits.min, limits.max, PACKETS * SIZE, endpoint=True).astype(dtype)


def packet_ns(index: int) -> int:
    return START_NS + round(index * SIZE * 1e9 / RATE_HZ)


def control(folder: Path, *words: str) -> str:
    """Run control-rawdaq and return what it prints; its exit status must be 0."""
    result = run_cli(["control-rawdaq", "-c", str(folder / "station.yaml"), *words])
    assert result.returncode == 0, result.stderr
    return result.stdout


def write_station(folder: Path, device_port: int, live_port: int, channels: dict[int, str], more: str = "") -> None:
    named = ", ".join(f"{number}: {code}" for number, code in channels.items())
    (folder / "station.yaml").write_text(
        f"""
station: {{network: XX, code: DEMO}}
RawReceiver:
  Receiver: {{class: RawReceiver, port: {device_port}, channels: {{{named}}}{more}}}
  Publishers:
    live: {{class: ZMQTCPPublisher, ip: 127.0.0.1, port: {live_port}}}
    archive: {{class: MiniSeedPublisher, path: archive}}
"""
    )


def packets_arrived(folder: Path) -> int:
    streams: dict[str, dict[str, int]] = json.loads(control(folder, "send", "RawReceiver", "stats", "--json"))
    return sum(stream["packets"] for stream in streams.values())


def read_archive(folder: Path) -> Any:
    stream = obspy.Stream()
    for file in sorted(path for path in (folder / "archive").rglob("*") if path.is_file()):
        stream += obspy.read(str(file))
    return stream.merge(method=-1)


@pytest.mark.usefixtures("runtime_dir")
def test_nine_channels_arrive_in_the_stream_and_in_the_archive_sample_for_sample(tmp_path: Path) -> None:
    channels = {number: Described(str(RATE_HZ), order, kind) for number, (kind, order) in enumerate(KINDS)}
    names = {number: f"{number:02d}.HHZ" for number in channels}
    data = {number: samples_of(number) for number in channels}
    subscribed = threading.Event()

    async def play(session: Session) -> None:
        await session.handshake(channels)
        await asyncio.to_thread(subscribed.wait)
        for index in range(PACKETS):
            for number, samples in data.items():
                part = samples[index * SIZE : (index + 1) * SIZE].tobytes()
                await session.send(wire(number, packet_ns(index), part, SIZE, quality=number))
        await session.until_closed()

    total = PACKETS * len(channels)
    live_port = free_port()
    with device(play) as port:
        write_station(tmp_path, port, live_port, names)
        control(tmp_path, "start", "receiver", "RawReceiver")
        connect = ("rawdaq-dump", "--connect", f"tcp://127.0.0.1:{live_port}")
        with start_cli([*connect, "--json", "--samples", "--count", str(total)]) as dump:
            wait_for(lambda: "subscriber" in control(tmp_path, "logs", "RawReceiver"))
            subscribed.set()
            out, _ = dump.communicate()
        wait_for(lambda: packets_arrived(tmp_path) == total)
        control(tmp_path, "stop", "RawReceiver")

    shown: dict[str, list[dict[str, Any]]] = {}
    for line in out.splitlines():
        header = json.loads(line)
        shown.setdefault(header["stream"], []).append(header)
    archived = {trace.id: trace for trace in read_archive(tmp_path)}
    assert len(archived) == len(shown) == len(KINDS)
    for number, samples in data.items():
        name = f"XX.DEMO.{names[number]}"
        headers = shown[name]
        assert [header["start_ns"] for header in headers] == [packet_ns(index) for index in range(PACKETS)]
        assert [header["frame"] for header in headers] == list(range(PACKETS))
        assert {header["timing_quality"] for header in headers} == {number}
        assert [value for header in headers for value in header["samples"]] == samples.tolist()
        trace = archived[name]
        assert trace.stats.starttime.ns == START_NS
        assert trace.stats.sampling_rate == RATE_HZ
        assert trace.data.tolist() == samples.tolist()


@pytest.mark.usefixtures("runtime_dir")
def test_fifty_cuts_at_random_bytes_in_an_hour_of_data(tmp_path: Path) -> None:
    chance = random.Random(2)
    rate_hz, size, count = 100, 100, 3600
    values = np.cumsum(np.random.default_rng(2).integers(-100, 100, size * count)).astype("<i4")
    packets = [
        wire(1, START_NS + index * 10**9, values[index * size : (index + 1) * size].tobytes(), size)
        for index in range(count)
    ]
    cuts, sent = 0, 0
    whole: list[int] = []

    async def play(session: Session) -> None:
        nonlocal cuts, sent
        await session.handshake({1: Described(str(rate_hz))})
        if cuts == 50:
            await session.send(b"".join(packets[sent:]))
            whole.extend(range(sent, count))
            sent = count
            await session.until_closed()
        cuts += 1
        stop = min(count, sent + chance.randrange(1, 2 * count // 50))
        keep = chance.randrange(len(packets[0]))
        await session.send(b"".join(packets[sent:stop])[: keep - len(packets[0])])
        whole.extend(range(sent, stop - 1))
        sent = stop  # as the original device does, it does not send again what was cut

    with device(play) as port:
        write_station(tmp_path, port, free_port(), {1: "HHZ"}, ", reconnect_first_s: 0.01, reconnect_max_s: 0.02")
        control(tmp_path, "start", "receiver", "RawReceiver")
        wait_for(lambda: sent == count and packets_arrived(tmp_path) == len(whole), 60.0)
        control(tmp_path, "stop", "RawReceiver")

    expected = {START_NS + index * 10**9: values[index * size : (index + 1) * size] for index in whole}
    found = 0
    for trace in read_archive(tmp_path):
        for offset in range(0, trace.stats.npts, size):
            start_ns = trace.stats.starttime.ns + offset * 10**7
            assert trace.data[offset : offset + size].tolist() == expected[start_ns].tolist()
            found += 1
    assert found == len(whole)
