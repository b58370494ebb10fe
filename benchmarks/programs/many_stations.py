"""A component that publishes one stream of each of many stations in real time, as one with many senders does."""

import argparse
import asyncio
import time
from pathlib import Path

import numpy as np

from benchmarks.processes import cpu_s, report
from rawdaq.packet import Packet
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.stream_id import StreamId
from rawdaq.times import sample_time

NAME = "Bench"
STATION = "XX.HUB"
RATE_HZ = 100.0
_PACKET_S = 0.5
_AT_ONCE = 30  # devices do not send at the same time


class Hub(ReceiverServer):
    """Publishes noise of *count* stations from a minute ago on."""

    def __init__(self, count: int) -> None:
        super().__init__("127.0.0.1", 0, [ZMQTCPPublisher("127.0.0.1", 0, "live")], NAME)
        self._setup = True
        self._streams = [StreamId.parse(f"XX.S{k:03}.00.HHZ") for k in range(count)]
        self._noise = np.random.default_rng(1).normal(0, 1000, 1 << 16).astype(np.int32)

    async def ct_publish(self) -> None:
        """Publish in real time, spread over each packet's length as devices are."""
        size = round(_PACKET_S * RATE_HZ)
        begin_ns, turn_s = time.time_ns(), time.monotonic()
        for number in range(1 << 30):
            for first in range(0, len(self._streams), _AT_ONCE):
                for k in range(first, min(first + _AT_ONCE, len(self._streams))):
                    at = (number * size + 977 * k) % (len(self._noise) - size)
                    start_ns = sample_time(begin_ns, number * size, RATE_HZ)
                    await self.publish(Packet(self._streams[k], start_ns, RATE_HZ, self._noise[at : at + size]))
                turn_s += _PACKET_S * _AT_ONCE / len(self._streams)
                await asyncio.sleep(max(0.0, turn_s - time.monotonic()))


def main() -> None:
    """Run it until the process is ended; print a line when it runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    args = parser.parse_args()
    key = f"{STATION}.{NAME}"
    with RuntimeFiles.find() as runtime:
        runtime.prepare()
        hub = Hub(args.streams)
        hub.command_address = runtime.command_address(key)
        with runtime.hold(key, args.file, 10.0, log_file=runtime.log_file(key)):
            report(cpu_s=cpu_s())
            asyncio.run(hub.serve())


if __name__ == "__main__":
    main()
