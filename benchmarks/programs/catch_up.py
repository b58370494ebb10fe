"""A component whose archive comes back while it publishes.

``python -m benchmarks.programs.catch_up FOLDER SECONDS SENT``

First it publishes SECONDS of 3 x 100 Hz that wait in its journal, because the archive's folder is a file; lines report
the address of its live stream, and that somebody has subscribed. After a line on its standard input it publishes ten
packets a second of each channel, as they would come from a device, and the folder comes back. When the archive has
caught up, which it reports, it goes on for a moment, stops, and writes to SENT when each live packet was published.
"""

import asyncio
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loads import Load, stream
from benchmarks.processes import report, until
from rawdaq import station
from rawdaq.config.settings import JournalSettings
from rawdaq.packet import Packet
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.publishers.zmq_pub import ZMQTCPPublisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S

LIVE = Load(10, 3, rate_hz=100)

_START_NS = 1_795_219_200 * NS_PER_S
_STREAMS = [StreamId.parse(stream(number)) for number in (1, 2, 3)]
_LIVE_S = LIVE.samples / LIVE.rate_hz
_AFTER_S = 1.0


class Feeder(ReceiverServer):
    """Publishes made-up samples.

    Args:
        publishers: the archive and the live stream.
        folder: of the archive, where a file is.
        backlog_s: how much the archive has to catch up with.
        sent: where it is written when live packets were published.
    """

    def __init__(self, publishers: list[Any], folder: Path, backlog_s: int, sent: Path) -> None:
        super().__init__("", 0, publishers, "Feeder")
        self._setup = True
        self._archive, self._live = publishers
        self._folder, self._backlog_s, self._sent = folder, backlog_s, sent
        self._samples = np.random.default_rng(1).integers(-1000, 1000, 100).cumsum().astype("<i4")

    async def ct_publish(self) -> None:
        """Publish the backlog, then live packets until the archive has all."""
        for second in range(self._backlog_s):
            await self._publish(_START_NS + second * NS_PER_S, self._samples)
        await until(lambda: bool(self._live.port))
        report(address=self._live.address)
        await until(lambda: any(each["topics"] for each in self._live.status()["subscribers"]))
        report(ready=True)
        await asyncio.to_thread(sys.stdin.readline)
        self._folder.unlink()
        await self._publish_live(time.monotonic())
        self.stop()

    async def _publish(self, start_ns: int, samples: Any) -> None:
        await self.publish([Packet(each, start_ns, LIVE.rate_hz, samples) for each in _STREAMS])

    async def _publish_live(self, began_s: float) -> None:
        rows: list[tuple[int, int, int]] = []
        end_s, count = None, 0
        while end_s is None or time.monotonic() < end_s:
            await asyncio.sleep(began_s + count * _LIVE_S - time.monotonic())
            start_ns = _START_NS + self._backlog_s * NS_PER_S + round(count * _LIVE_S * NS_PER_S)
            rows += [(number, start_ns, time.monotonic_ns()) for number in (1, 2, 3)]
            await self._publish(start_ns, self._samples[: LIVE.samples])
            count += 1
            if end_s is None and self._is_caught_up():
                report(caught_up_s=time.monotonic() - began_s)
                end_s = time.monotonic() + _AFTER_S
        np.save(self._sent, np.array(rows, np.int64))

    def _is_caught_up(self) -> bool:
        status: Any = self.cmd_status()
        archive, cursor = status["publishers"]["archive"], status["journal"]["cursors"]["archive"]
        return bool(archive["delivered"] and not archive["waiting"] and not cursor["is_reading_journal"])


def main() -> None:
    """Run."""
    logging.basicConfig(level=logging.CRITICAL)
    folder, seconds, sent = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    (folder / "archive").touch()
    publishers = [MiniSeedPublisher(folder / "archive", name="archive"), ZMQTCPPublisher("127.0.0.1", 0, name="live")]
    server = Feeder(publishers, folder / "archive", seconds, sent)
    server.journal = JournalSettings(path=folder / "journal")
    station.spare_collector()
    asyncio.run(server.serve())


if __name__ == "__main__":
    main()
