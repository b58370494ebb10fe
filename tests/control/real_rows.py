"""The status of a component as it really is: one that runs in the test, with all that has something to show."""

import json
import time
from pathlib import Path

from rawdaq.control.health.disks import with_disks
from rawdaq.control.health.problem import Row
from rawdaq.control.health.rule import health
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.publishers.ring import RingPublisher
from rawdaq.publishers.zmq_pub import ZMQTCPPublisher
from rawdaq.ring.server.settings import ListenSettings
from rawdaq.sockets.datagrams import DatagramEndpoint, DatagramOptions
from rawdaq.sockets.dial_endpoint import DialEndpoint, DialledProtocol
from rawdaq.sockets.dialling import Backoff
from tests.helpers import until
from tests.journals import settings
from tests.makers import packet
from tests.servers import Idle, serving

KEY = "XX.DEMO.Idle"


def judged(row: Row) -> Row:
    """Return *row* as `rawdaq.control.status.rows.statuses` completes it."""
    (known,) = with_disks([row])
    found = health(known, time.time_ns())
    known |= {"problems": list(found.texts), "health": found.as_json()}
    return known


async def real_row(folder: Path) -> Row:
    """Return the status of a component with every kind of publisher, a journal, a disconnected device and two streams.

    Its first stream has a gap and an overlap.
    """
    archive, live = MiniSeedPublisher(folder / "archive", name="archive"), ZMQTCPPublisher("127.0.0.1", 0, name="live")
    ring = RingPublisher(folder / "ring", max_gb=0.1, seedlink=ListenSettings(port=0), name="ring")
    server = Idle([archive, live, ring])
    server.journal = settings(folder / "journal")
    server.add_endpoint(DatagramEndpoint("127.0.0.1", 0, DatagramOptions(), lambda endpoint, burst: None, server.log))
    device = DialEndpoint(DialledProtocol, "127.0.0.1", 1, Backoff(), server.log)
    server.add_endpoint(device)
    async with serving(server):
        packets = [packet(index, timing_quality=40, received_ns=time.time_ns()) for index in (0, 1, 3, 2)]
        await server.publish(packets)
        await server.delivered()
        await until(lambda: device.last_failure)
        answer: Row = json.loads(json.dumps(server.cmd_status()))
        own: Row = {"component": KEY, "title": "DEMO/Idle", "group": None}
        return judged(own | answer)
