"""Frames of a detector: ``python -m benchmarks.programs.frames source|consumer|bare ...``.

The source sends each frame with the time of its departure; a consumer reports that it is there, then how long its
frames took, and how late they were; the bare loop repeats with blocking sockets, as little as Python can do.
"""

import json
import sys
import time

import zmq

from benchmarks.processes import report

#: So many frames are few enough that a consumer reads the time of each.
LONE_FRAMES = 500

_HEADER = {
    "htype": ["array-1.0"],
    "type": "uint16",
    "shape": [100, 50],
    "endianess": "little",
    "source": "bench",
    "tags": ["0"],
    "image_attributes": {"scan_index": 0, "image_number": 0, "image_exposure_time": 1000, "image_is_complete": True},
}
_LARGE_BYTES = 100_000


def source(address: str, size: str, count: str, pause_s: str) -> None:
    """Send *count* frames of *size* bytes."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as pusher:
        pusher.sndhwm = 16 if int(size) > _LARGE_BYTES else 1000
        pusher.bind(address)
        data, rest = bytes(int(size)), json.dumps(_HEADER).encode()[1:]
        for number in range(int(count)):
            pusher.send(b'{"frame":%d,"time_ns":%d,' % (number, time.monotonic_ns()) + rest, zmq.SNDMORE)
            pusher.send(data, copy=False)
            if pause_s != "0":
                time.sleep(float(pause_s))


def consumer(address: str, kind: str, count: str) -> None:
    """Take *count* frames."""
    with zmq.Context() as context, context.socket(zmq.PULL if kind == "PUSH" else zmq.SUB) as taker:
        taker.rcvhwm = 100
        if kind == "PUB":
            taker.subscribe(b"")
        taker.connect(address)
        report(ready=True)
        latencies_ns: list[int] = []
        began_ns = 0
        for _ in range(int(count)):
            header = taker.recv_multipart(copy=False)[0].bytes
            now_ns = time.monotonic_ns()
            began_ns = began_ns or now_ns
            if int(count) <= LONE_FRAMES:
                latencies_ns.append(now_ns - json.loads(header)["time_ns"])
        report(seconds=(time.monotonic_ns() - began_ns) / 1e9, latencies_ns=latencies_ns)


def bare(address: str, *outputs: str) -> None:
    """Repeat until the process is ended."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    puller = context.socket(zmq.PULL)
    puller.rcvhwm = 100
    puller.connect(address)
    pushers = [context.socket(zmq.PUSH) for _ in outputs]
    for pusher, output in zip(pushers, outputs, strict=True):
        pusher.sndhwm = 100
        pusher.bind(output)
    while True:
        parts = puller.recv_multipart(copy=False)
        for pusher in pushers:
            pusher.send_multipart(parts, copy=False)


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role == "source":
        source(*arguments)
    elif role == "consumer":
        consumer(*arguments)
    else:
        bare(*arguments)
