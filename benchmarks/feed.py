"""The device of a benchmark: ``python -m benchmarks.feed LOAD [MODE [FILE]]`` serves one connection after another.

The mode is "flood" (after an order, as fast as the bytes are taken), "at-once" (the same without an order), "burst"
(in real time, the packets of all channels together) or "spread" (in real time, evenly). In real time, FILE gets the
moment at which each packet was sent.
"""

import contextlib
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.loads import Load, packets
from benchmarks.processes import tell
from rawdaq.protocols.raw.device import RawDevice, StartRequested

_PIECE_BYTES = 1 << 20


def main() -> None:
    """Serve."""
    load = Load(**json.loads(sys.argv[1]))
    mode = sys.argv[2] if len(sys.argv) > 2 else "flood"
    is_paced = mode in ("burst", "spread")
    made = packets(load)
    data = memoryview(made.tobytes())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        tell(port=listening.getsockname()[1])
        while True:
            connection, _ = listening.accept()
            accepted_ns = time.monotonic_ns()
            with connection, contextlib.suppress(ConnectionError):
                handshake(connection, load)
                if mode != "at-once":
                    tell(accepted_ns=accepted_ns)
                    sys.stdin.readline()
                if is_paced:
                    pace(connection, load, made, Path(sys.argv[3]), mode == "spread")
                else:
                    flood(connection, data)
                if mode == "at-once":
                    tell(accepted_ns=accepted_ns)
                connection.recv(1)  # until the receiver closes


def handshake(connection: socket.socket, load: Load) -> None:
    """Answer until the receiver has sent START."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    device = RawDevice(load.formats)
    has_started = False
    while not has_started:
        chunk = connection.recv(1 << 16)
        if not chunk:
            raise ConnectionError
        has_started = any(isinstance(event, StartRequested) for event in list(device.receive_data(chunk)))
        connection.sendall(device.data_to_send())


def flood(connection: socket.socket, data: memoryview) -> None:
    """Send *data* as fast as it is taken."""
    for begin in range(0, len(data), _PIECE_BYTES):
        connection.sendall(data[begin : begin + _PIECE_BYTES])


def pace(connection: socket.socket, load: Load, made: npt.NDArray[Any], log: Path, is_spread: bool) -> None:
    """Send each packet when a device would, and write down (channel, time of its first sample, moment) of each."""
    groups = load.channels if is_spread else 1
    round_s = load.samples / load.rate_hz
    parts = [part for row in made for part in np.array_split(row, groups)]
    began_s = time.monotonic()
    prepared = [(began_s + round_s * index / groups, part.tobytes()) for index, part in enumerate(parts, 1)]
    sent_ns: list[int] = []
    wait_s = 0.0
    for next_s, data in prepared:
        time.sleep(wait_s)
        wait_s = max(0.0, next_s - time.monotonic())
        # Nothing but this and the sleep from here on: whom the packet wakes may have to wait for this processor.
        sent_ns.append(time.monotonic_ns())
        connection.sendall(data)
    starts_ns = np.repeat(load.starts_ns, groups).tolist()
    sent = [
        (int(channel), start_ns, now_ns)
        for part, start_ns, now_ns in zip(parts, starts_ns, sent_ns, strict=True)
        for channel in part["head"]["channel"]
    ]
    np.save(log, np.array(sent))
    tell(sent=len(sent))


if __name__ == "__main__":
    main()
