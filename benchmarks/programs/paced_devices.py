"""Devices that send in real time: ``python -m benchmarks.programs.paced_devices DEVICES [FILE]``.

DEVICES is a JSON file with [load, offset in s, "burst" or "spread"] of each device: in a burst the packets of all
channels are sent together, otherwise evenly. FILE gets when each packet was sent: channel, time of its first sample,
moment. Each device has a port of its own. They begin at the first line on standard input, each at its offset, and stay
connected until the second.
"""

import functools
import json
import resource
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.loads import Load, packets, stamp
from benchmarks.processes import Child, report
from benchmarks.programs.device import handshake
from rawdaq.times import NS_PER_S

_LEAD_S, _LEAD_EACH_S = 0.2, 0.003  # what is left to prepare, of each device, when they begin
_TICK_NS = 1_000_000  # times are whole milliseconds, which a record of miniSEED 2 holds exactly


_packets = functools.cache(packets)


class Sending(NamedTuple):
    """What is sent at once."""

    at_s: float
    device: int
    data: bytes
    channels: tuple[int, ...]
    start_ns: int


def start_devices(
    devices: Sequence[tuple[Load, float, str]], folder: Path, file: Path | None = None, lives_s: float = 180.0
) -> Child:
    """Return the process of *devices*: load, offset, mode; *folder* gets the file that describes them."""
    described = folder / "devices.json"
    described.write_text(json.dumps([(asdict(load), *rest) for load, *rest in devices]))
    files = [described] if file is None else [described, file]
    return Child("-m", "benchmarks.programs.paced_devices", *files, deadline_s=lives_s)


def sendings(device: int, load: Load, began_s: float, offset_s: float, mode: str) -> Iterator[Sending]:
    """Yield what a device sends; a packet bears the time of its samples and is sent after the last of them."""
    made = _packets(load)
    begin_ns = (time.time_ns() + round((began_s + offset_s - time.monotonic()) * NS_PER_S)) // _TICK_NS * _TICK_NS
    starts_ns = load.starts_ns(begin_ns)
    stamp(made["head"], starts_ns[:, None])
    groups, round_s = load.channels if mode == "spread" else 1, load.samples / load.rate_hz
    for index, (row, start_ns) in enumerate(zip(made, starts_ns.tolist(), strict=True), 1):
        for group, part in enumerate(np.array_split(row, groups)):
            at_s = began_s + offset_s + round_s * (index + group / groups)
            yield Sending(at_s, device, part.tobytes(), tuple(part["head"]["channel"].tolist()), start_ns)


def main() -> None:
    """Serve each device once."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    devices = [(Load(**load), *rest) for load, *rest in json.loads(Path(sys.argv[1]).read_text())]
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in devices]
    report(ports=[each.getsockname()[1] for each in listening])
    connections = []
    for (load, *_), server in zip(devices, listening, strict=True):
        _packets(load)
        connection, _ = server.accept()
        handshake(connection, load)
        connections.append(connection)
        report(started=True)
    sys.stdin.readline()
    began_s = time.monotonic() + _LEAD_S + _LEAD_EACH_S * len(devices)
    queue = [each for index, (load, *rest) in enumerate(devices) for each in sendings(index, load, began_s, *rest)]
    report(began_s=began_s)
    play(sorted(queue), connections, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    sys.stdin.readline()


def play(queue: list[Sending], connections: list[socket.socket], file: Path | None) -> None:
    """Send each of *queue* at its moment, and write *file*."""
    sent_ns: list[int] = []
    wait_s = max(0.0, queue[0].at_s - time.monotonic())
    next_s = [each.at_s for each in queue[1:]] + [0.0]
    for each, then_s in zip(queue, next_s, strict=True):
        time.sleep(wait_s)
        # Nothing but this and the sleep from here on: the receiver that the packet wakes may wait for this processor.
        sent_ns.append(time.monotonic_ns())
        connections[each.device].sendall(each.data)
        wait_s = max(0.0, then_s - time.monotonic())
    if file is not None:
        rows = [
            (channel, each.start_ns, at_ns)
            for each, at_ns in zip(queue, sent_ns, strict=True)
            for channel in each.channels
        ]
        np.save(file, np.array(rows))
    report(sent=len(queue))


if __name__ == "__main__":
    main()
