"""A TriggerReceiver with a live stream: ``python -m benchmarks.programs.events``.

It reports where it reads and where it publishes, counts its processor time from the first line on its standard input to
the second, and reports that and its counters.
"""

import asyncio
import logging
import sys
import time

from benchmarks.processes import report, until
from rawdaq.config import StationSettings
from rawdaq.events.settings import LayoutSettings, TimeSettings
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.receivers.trigger import TriggerReceiver

#: A trigger board's message of 605 bytes: counter, time, 512 bits of which some are set, and a pattern.
FIELDS = (
    "magic u16 = 0xCAFE, version u8 = 2, kind u8, errors u8, source u16, length8 u8, tack u64, phase u8, count u32,"
    " pps u32, clock u32, union b512, pattern rest"
)


async def main() -> None:
    """Run until the second line."""
    publisher = ZMQTCPPublisher("127.0.0.1", 0)
    receiver = TriggerReceiver(
        [publisher],
        StationSettings(network="XX", code="BENCH"),
        layout=LayoutSettings(fields=FIELDS.split(",")),
        counter="count",
        time=TimeSettings(field="tack", origin="device"),
        port=0,
    )
    task = asyncio.create_task(receiver.serve())
    await until(lambda: publisher.port and receiver.endpoints[0].port)
    report(source=receiver.endpoints[0].address, published=publisher.address)
    await asyncio.to_thread(sys.stdin.readline)
    began_s = time.process_time()
    await asyncio.to_thread(sys.stdin.readline)
    cpu_s = time.process_time() - began_s
    (source,) = receiver.cmd_sources().values()
    report(cpu_s=cpu_s, events=source["events"], missed=source["missed"])
    receiver.stop()
    await task


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(main())
