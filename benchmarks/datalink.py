"""DataLink: what writing and reading cost, beside simpledali: ``python -m benchmarks.datalink [URL]``.

Without URL, which may be that of a real ringserver with an empty ring of 200 000 packets or more, both talk to a small
server in a process of its own that answers at once. "acknowledged" writes wait for every acknowledgement, ours with a
window, simpledali's one by one, as its API has it. CPU is that of the client's process alone.
"""

import asyncio
import contextlib
import json
import multiprocessing
import socket
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import simpledali  # type: ignore[import-untyped]

from rawdaq.datalink import DataLink, Write

SID = "FDSN:XX_BENCH_00_H_H_Z/MSEED"
RECORD = bytes(512)
ROUNDS = 3
_PIECE_BYTES = 1 << 18


def serve(ready: "multiprocessing.connection.Connection", packets: int) -> None:
    """Serve until killed: acknowledge what is written, stream *packets* to who asks."""
    times = b"1750000000000000 1750000000000000 1750000000999999"
    header = b"PACKET %s %%d %s 512" % (SID.encode(), times)
    ring = b"".join(_packet(header % number, RECORD) for number in range(1, packets + 1))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ready.send(listening.getsockname()[1])
        while True:
            threading.Thread(target=_answer, args=(listening.accept()[0], ring), daemon=True).start()


def _packet(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("2sB", b"DL", len(header)) + header + data


def _answer(sock: socket.socket, ring: bytes) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    held, number = b"", 0
    with contextlib.suppress(OSError), sock:
        while data := sock.recv(_PIECE_BYTES):
            held += data
            at, out = 0, []
            while len(held) >= at + 3 and len(held) >= (end := at + 3 + held[at + 2]):
                words = held[at + 3 : end].split()
                if words[0] == b"WRITE":
                    if len(held) < end + (size := int(words[5])):
                        break
                    end += size
                    number += 1
                    if words[4] == b"A":
                        out.append(b"DL%cOK %d 0" % (len(b"%d" % number) + 5, number))
                elif words[0] == b"ID":
                    out.append(_packet(b"ID DataLink v1.1 :: DLPROTO:1.1 PACKETSIZE:512 WRITE"))
                elif words[0] == b"ENDSTREAM":
                    out.append(_packet(b"ENDSTREAM"))
                elif words[0] == b"STREAM":
                    threading.Thread(target=sock.sendall, args=(ring,), daemon=True).start()
                at = end
            held = held[at:]
            if out:
                sock.sendall(b"".join(out))


Run = Callable[[str, int], Awaitable[None]]


async def write_acknowledged(url: str, count: int) -> None:
    """Ours, with a window."""
    async with DataLink(url) as link:
        await link.write_many(Write(SID, number, number, RECORD) for number in range(count))


async def write_unacknowledged(url: str, count: int) -> None:
    """Ours, proved by one question at the end."""
    async with DataLink(url) as link:
        for number in range(count):
            await link.write(SID, number, number, RECORD, acknowledge=False)
        await link.flush()


async def read(url: str, count: int) -> None:
    """Ours."""
    async with DataLink(url) as link:
        async for _ in link.stream():
            count -= 1
            if not count:
                break


@contextlib.asynccontextmanager
async def _simpledali(url: str) -> AsyncIterator[simpledali.SocketDataLink]:
    address = urlsplit(url)
    async with simpledali.SocketDataLink(address.hostname, address.port) as dali:
        await dali.id("bench", "user", 0, "python")
        yield dali


async def their_acknowledged(url: str, count: int) -> None:
    """The simpledali library, its writeAck."""
    async with _simpledali(url) as dali:
        for number in range(count):
            await dali.writeAck(SID, number, number, RECORD)


async def their_unacknowledged(url: str, count: int) -> None:
    """The simpledali library, its write, proved by one question at the end."""
    async with _simpledali(url) as dali:
        for number in range(count):
            await dali.write(SID, number, number, "N", RECORD)
        await dali.id("bench", "user", 0, "python")


async def their_read(url: str, count: int) -> None:
    """The simpledali library, its stream."""
    async with _simpledali(url) as dali:
        async for _ in dali.stream():
            count -= 1
            if not count:
                break


CASES: dict[str, tuple[Run, Run, int, int]] = {
    "write, acknowledged": (write_acknowledged, their_acknowledged, 200_000, 20_000),
    "write, unacknowledged": (write_unacknowledged, their_unacknowledged, 400_000, 60_000),
    "read": (read, their_read, 100_000, 100_000),
}


def measure(run: Run, url: str, count: int) -> tuple[float, float]:
    """Return records a second and microseconds of processor time a record, of the best of some rounds."""
    best = (0.0, 0.0)
    for _ in range(ROUNDS):
        began_s, cpu_s = time.perf_counter(), time.process_time()
        asyncio.run(run(url, count))  # type: ignore[arg-type]  # a coroutine function
        rate = count / (time.perf_counter() - began_s)
        best = max(best, (rate, 1e6 * (time.process_time() - cpu_s) / count))
    return best


@contextlib.contextmanager
def server(url: str | None) -> Iterator[str]:
    """Yield the address of the server."""
    if url is not None:
        yield url
        return
    ready, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, 100_000), daemon=True)
    process.start()
    try:
        yield f"tcp://127.0.0.1:{ready.recv()}"
    finally:
        process.kill()
        process.join()


def main() -> None:
    """Measure; print a table and, at the end, all of it as JSON."""
    found: dict[str, dict[str, float]] = {}
    with server(sys.argv[1] if len(sys.argv) > 1 else None) as url:
        print(f"{'':24}{'ours/s':>12}{'simpledali/s':>14}{'times':>8}{'ours us CPU':>14}{'simpledali':>12}{'part':>8}")
        for name, (ours, theirs, our_count, their_count) in CASES.items():
            rate, cpu_us = measure(ours, url, our_count)
            their_rate, their_cpu_us = measure(theirs, url, their_count)
            found[name] = {"rate": rate, "their_rate": their_rate, "cpu_us": cpu_us, "their_cpu_us": their_cpu_us}
            times, part = rate / their_rate, cpu_us / their_cpu_us
            print(f"{name:24}{rate:12.0f}{their_rate:14.0f}{times:8.1f}{cpu_us:14.2f}{their_cpu_us:12.2f}{part:8.2f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
