"""A device that feeds numbered samples, an hour in some seconds: ``python -m faults.device PORT STATE``.

The value of a sample is its number; its time follows from it, so each sample is known wherever it is found. STATE keeps
the number of the next packet, so that none comes twice when the device is started again.
"""

import os
import signal
import struct
import sys
import time

import numpy as np

from faults.check import CHANNELS, PACKET_SAMPLES, RATE_HZ, START_NS
from rawdaq.streamer import Channel, Streamer
from rawdaq.times import sample_time

_STATE = struct.Struct("<QQ")  # the next packet, how many were fed
_SKIPPED = 100  # packets that a killed device may have fed without a note
_BURST = 5
_PAUSE_S = 0.01
_MAX_BACKLOG = 4_000_000  # bytes that a stopped component has not taken; more would cost it its connection


def main() -> None:
    """Feed until SIGTERM."""
    port, path = int(sys.argv[1]), sys.argv[2]
    ends: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: ends.append(1))
    state = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    noted = os.pread(state, _STATE.size, 0)
    number, fed = _STATE.unpack(noted) if noted else (0, 0)
    number += _SKIPPED * bool(noted)
    samples = np.arange(PACKET_SAMPLES, dtype="<i4")
    with Streamer([Channel(each, RATE_HZ, samptype="int32") for each in CHANNELS], port=port) as streamer:
        while not ends:
            if streamer.clients and streamer.backlog_bytes < _MAX_BACKLOG:
                for _ in range(_BURST):
                    start_ns = sample_time(START_NS, number * PACKET_SAMPLES, RATE_HZ)
                    for channel in CHANNELS:
                        streamer.feed_data(channel, start_ns, samples + number * PACKET_SAMPLES)
                    number, fed = number + 1, fed + 1
                os.pwrite(state, _STATE.pack(number, fed), 0)
            time.sleep(_PAUSE_S)
    os.pwrite(state, _STATE.pack(number, fed), 0)


def fed_samples(path: str) -> int:
    """Return how many samples a device with this state has fed."""
    with open(path, "rb") as file:
        fed: int = _STATE.unpack(file.read(_STATE.size))[1]
    return fed * PACKET_SAMPLES * len(CHANNELS)


if __name__ == "__main__":
    main()
