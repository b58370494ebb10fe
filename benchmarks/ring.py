"""What a ring costs and how late it is: ``python -m benchmarks.ring [--seconds S] [--folder PATH] [--only WORDS]``.

It prints, for clients on the same machine in a process of their own:

  latency   from a device (3 x 100 Hz in packets of 0.1 s, each flushed) to SeedLink clients
  fan-out   SeedLink packets a second to 200 clients, from memory
  catch-up  SeedLink packets a second to one client and to 50, from the disk
  write     DataLink packets a second that one writer has acknowledged
  useless   memory of the server with 1000 clients that say nothing, nonsense or half a command, or never read

Latency is from the time that a packet bears, which is when the device had it, to the arrival of the record.
"""

import argparse
import asyncio
import contextlib
import json
import selectors
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.processes import Child, report, rss_mb
from rawdaq.config.settings import StationSettings
from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.publishers.ring import RingPublisher
from rawdaq.receivers.raw_tcp import RawReceiver
from rawdaq.ring.packets import NewPacket
from rawdaq.ring.server.settings import ListenSettings
from rawdaq.streamer import Channel, Streamer

_NS_PER_S = 1_000_000_000
_RECORD = b"000001D AAA  00HHZXX"
_HEADER_V4_BYTES = 17 + 6  # with a station like XX_AAA
_STATION = StationSettings(network="XX", code="AAA")
_YEAR_TO_FRACTION = struct.Struct(">HHBBBxH")
_CLIENTS = 200
_SETTLE_S = 2.0


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser("benchmarks.ring", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", default="latency fan-out catch-up write useless")
    parser.add_argument("--be", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.be:
        _ROLES[args.be](json.loads(sys.stdin.readline()))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for name in args.only.split():
            _MEASURES[name](Path(folder), args.seconds)


# ------------------------------------------------------------------ processes


def process(role: str, **options: object) -> Child:
    """Run a part of this program; it gets its options, and prints JSON."""
    one = Child("-m", "benchmarks.ring", "--be", role, deadline_s=3600)
    tell(one, options)
    return one


def tell(one: Child, what: object) -> None:
    """Send a line to a process."""
    one.go(json.dumps(what))


def be_device(options: dict[str, object]) -> None:
    """Send three channels for ever."""
    channels = [Channel(number, samprate=100, samptype="int32") for number in (1, 2, 3)]
    samples = np.arange(10, dtype="<i4")
    with Streamer(channels, port=0) as streamer:
        report(port=streamer.port)
        turn = time.monotonic()
        while True:
            turn += 0.1
            time.sleep(max(0.0, turn - time.monotonic()))
            for number in (1, 2, 3):
                streamer.feed_data(number, time.time_ns(), 100, samples)


def be_server(options: dict[str, object]) -> None:
    """Serve a ring: behind a device, or filled as the lines of our input say."""
    asyncio.run(_serve(Path(str(options["path"])), options.get("device")))


class _Arrivals(Publisher):
    """Notes how late the receiver read each packet."""

    def __init__(self) -> None:
        super().__init__("arrivals")
        self.late_ms: list[float] = []

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        """Note it for *batch*."""
        packets = [each for each in batch if isinstance(each, Packet)]
        self.late_ms += [(packet.received_ns - packet.start_ns) / 1e6 for packet in packets]


async def _serve(path: Path, device: object) -> None:
    ring = RingPublisher(
        path,
        max_gb=1.0,
        seedlink=ListenSettings(port=0),
        datalink=ListenSettings(port=0),
        flush_after_s=0,
        max_clients=5000,
        max_per_address=5000,
    )
    arrivals = _Arrivals()
    if device is not None:
        channels = {1: "HHZ", 2: "HHN", 3: "HHE"}
        receiver = RawReceiver([arrivals, ring], _STATION, host="127.0.0.1", port=int(str(device)), channels=channels)
        serving = asyncio.create_task(receiver.serve())
    else:
        await ring.open()
        serving = asyncio.create_task(ring.watch())
    while not ring.service.ports:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)
    report(port=ring.service.ports["seedlink"])
    number = 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        arrivals.late_ms.clear()
        number = await _obey(ring, json.loads(line), number, arrivals.late_ms)
    serving.cancel()


async def _obey(ring: RingPublisher, order: dict[str, float], number: int, late_ms: list[float]) -> int:
    """Put records into the ring, at a rate or as fast as it goes, and say what that took."""
    began_s, cpu_s = time.monotonic(), time.process_time()
    count, at_once = int(order.get("count", 0)), int(order.get("at_once", 100))
    for first in range(number, number + count, at_once):
        await ring.service.ring.append([_packet(each) for each in range(first, first + at_once)])
        if pause_s := order.get("pause_s", 0.0):
            await asyncio.sleep(pause_s)
    await asyncio.sleep(float(order.get("wait_s", 0.0)))
    status = ring.status()
    report(
        took_s=time.monotonic() - began_s,
        cpu_s=time.process_time() - cpu_s,
        rss_mb=rss_mb(),
        late_ms=[round(float(np.percentile(late_ms, each)), 2) for each in (50, 99, 100)] if late_ms else [],
        clients=status["client_count"],
        cut=status["cut"],
        turned_away=sum(status["turned_away"].values()),  # type: ignore[attr-defined]
    )
    return number + count


def _packet(number: int) -> NewPacket:
    start_ns = 1_795_219_200 * _NS_PER_S + number * _NS_PER_S
    head = _RECORD + _YEAR_TO_FRACTION.pack(2026, 325, 0, 0, 0, 0)
    head += struct.pack(">HhhBBBBiHH", 100, 100, 1, 0, 0, 0, 1, 0, 64, 48) + struct.pack(">HHBBBB", 1000, 0, 3, 1, 9, 0)
    data = head.ljust(64, b"\0") + number.to_bytes(8, "big") * 56
    return NewPacket("FDSN:XX_AAA_00_H_H_Z/MSEED", start_ns, start_ns + 990_000_000, data)


def be_readers(options: dict[str, object]) -> None:
    """Be so many SeedLink clients; say how many packets came when as many as expected have, or when told to stop."""
    count, port, expected = int(str(options["count"])), int(str(options["port"])), int(str(options.get("expected", 0)))
    start = str(options.get("start", "DATA"))
    selector = selectors.DefaultSelector()
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(f"SLPROTO 4.0\r\nSTATION XX_AAA\r\n{start}\r\nEND\r\n".encode())
        one.setblocking(False)
        selector.register(one, selectors.EVENT_READ, [0, b""])
    report(connected=count)
    expected_bytes = count * (expected * (_HEADER_V4_BYTES + 512) + 12) if expected else sys.maxsize
    _read(selector, expected_bytes, float(str(options.get("seconds", 1e9))))


def _read(selector: selectors.BaseSelector, expected_bytes: int, seconds: float) -> None:
    """Read until all has come, or the time is over; say how late records were, when they bear the time."""
    late_ms: list[float] = []
    total, end_s = 0, time.monotonic() + seconds
    from_s = time.monotonic() + _SETTLE_S  # what came while others were still connecting has waited for us
    began_s = 0.0
    while total < expected_bytes and time.monotonic() < end_s:
        for key, _ in selector.select(0.2):
            data = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]  # it is a socket
            now_ns = time.time_ns()
            total += len(data)
            began_s = began_s or time.monotonic()
            if seconds < 1e6 and time.monotonic() > from_s:
                late_ms += _lateness(data, now_ns)
    late_ms.sort()
    report(
        bytes=total,
        took_s=time.monotonic() - began_s,
        count=len(late_ms),
        p50=late_ms[len(late_ms) // 2] if late_ms else 0.0,
        p99=late_ms[len(late_ms) * 99 // 100] if late_ms else 0.0,
        max=late_ms[-1] if late_ms else 0.0,
    )


def _lateness(data: bytes, now_ns: int) -> Iterator[float]:
    """Yield how late each whole packet of *data* is, in milliseconds."""
    at = data.find(b"SE2D")
    while 0 <= at <= len(data) - 100:
        record = at + _HEADER_V4_BYTES
        _, _, hour, minute, second, fraction = _YEAR_TO_FRACTION.unpack_from(data, record + 20)
        of_day_ns = ((hour * 60 + minute) * 60 + second) * _NS_PER_S + fraction * 100_000
        yield ((now_ns - of_day_ns) % (86_400 * _NS_PER_S)) / 1e6
        at = data.find(b"SE2D", record)


# ------------------------------------------------------------------ what is measured


def latency(folder: Path, seconds: float) -> None:
    """Print how late records are, with 1 client and with 500."""
    print("\nlatency, ms, device to SeedLink client  p50     p99     max   server's processor")
    with process("device") as device:
        port = device.read()["port"]
        for count in (1, 200, 500):
            with process("server", path=str(folder / f"latency{count}"), device=port) as server:
                options = {"count": count, "port": int(server.read()["port"])}
                with process("readers", seconds=seconds, **options) as readers:
                    readers.read()
                    tell(server, {"wait_s": seconds})
                    found, cost = readers.read(), server.read()
                share = 100 * cost["cpu_s"] / cost["took_s"]
                print(
                    f"{count:5d} clients, {found['count']:8.0f} records  {found['p50']:10.2f} {found['p99']:7.2f} ",
                    end="",
                )
                print(f"{found['max']:7.2f} {share:8.1f} %; receiver p50, p99, max: {cost['late_ms']} ms")


def fan_out(folder: Path, seconds: float) -> None:
    """Print how many packets a second reach 200 clients."""
    count = int(500 * seconds)
    with process("server", path=str(folder / "fan-out")) as server:
        options = {"count": _CLIENTS, "port": int(server.read()["port"]), "expected": count}
        with process("readers", **options) as readers:
            readers.read()
            time.sleep(1)
            tell(server, {"count": count, "at_once": 50})
            cost, found = server.read(), readers.read()
    rate = _CLIENTS * count / found["took_s"]
    print(
        f"\nfan-out to {_CLIENTS} clients: {rate:,.0f} packets/s, server {cost['cpu_s']:.1f} s of the processor", end=""
    )
    print(f" in {found['took_s']:.1f} s")


def catch_up(folder: Path, seconds: float) -> None:
    """Print how many packets a second clients get that begin at the oldest."""
    count = 100_000
    path = str(folder / "catch-up")
    with process("server", path=path) as server:
        server.read()
        tell(server, {"count": count, "at_once": 1000})
        server.read()
    for clients in (1, 50):
        with process("server", path=path) as server:
            options = {"count": clients, "port": int(server.read()["port"]), "expected": count, "start": "DATA ALL"}
            with process("readers", **options) as readers:
                readers.read()
                found = readers.read()
        print(f"\ncatch-up of {clients} clients from the disk: {clients * count / found['took_s']:,.0f} packets/s")


def write(folder: Path, seconds: float) -> None:
    """Print how many packets a second one DataLink writer has acknowledged."""
    with process("server", path=str(folder / "write")) as server:
        one = socket.create_connection(("127.0.0.1", int(server.read()["port"])))
        header = b"WRITE FDSN:XX_AAA_00_H_H_Z/MSEED 1795219200000000 1795219200990000 A 512"
        packets = (b"DL" + bytes([len(header)]) + header + bytes(512)) * 256
        began_s, count, waiting = time.monotonic(), 0, 0
        while time.monotonic() < began_s + seconds / 2:
            one.sendall(packets)
            waiting += 256
            while waiting > 256:
                got = one.recv(1 << 16).count(b"DL")
                waiting -= got
                count += got
        one.close()
    print(f"\nDataLink writer, 512 acknowledged at most on the way: {2 * count / seconds:,.0f} packets/s")


def useless(folder: Path, seconds: float) -> None:
    """Print what 1000 useless clients cost, and whether others are served."""
    with process("server", path=str(folder / "useless")) as server:
        port = int(server.read()["port"])
        tell(server, {"count": 5000, "at_once": 500})
        before = server.read()
        said = (b"", bytes(range(1, 256)) * 8, b"STAT", b"DL\x20ID", b"SLPROTO 4.0\r\nSTATION *\r\nDATA ALL\r\nEND\r\n")
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(1000)]
        for at, one in enumerate(clients):
            with contextlib.suppress(OSError):
                one.sendall(said[at % len(said)])
        with process("readers", count=1, port=port, expected=20_000) as reader:
            reader.read()
            time.sleep(0.5)
            tell(server, {"count": 20_000, "at_once": 20, "pause_s": 0.01})
            after, found = server.read(), reader.read()
        tell(server, {"wait_s": 15.0})
        end = server.read()
        for one in clients:
            one.close()
    print(
        f"\n1000 useless clients: memory {before['rss_mb']:.0f} -> {after['rss_mb']:.0f} MB, one that reads got ",
        end="",
    )
    print(
        f"{found['bytes'] / (512 + _HEADER_V4_BYTES):,.0f} of 20 000 packets; 15 s later {end['clients']:.0f} are ",
        end="",
    )
    print(f"connected, {end['cut']:.0f} were cut, {end['turned_away']:.0f} turned away, {end['rss_mb']:.0f} MB")


_ROLES: dict[str, Callable[[dict[str, object]], None]] = {
    "device": be_device,
    "server": be_server,
    "readers": be_readers,
}
_MEASURES: dict[str, Callable[[Path, float], None]] = {
    "latency": latency,
    "fan-out": fan_out,
    "catch-up": catch_up,
    "write": write,
    "useless": useless,
}

if __name__ == "__main__":
    main()
