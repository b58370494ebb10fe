"""A tiny package of somebody else with a relay and a publisher of lines, installed for one test."""

from pathlib import Path

MODULE = '''
import asyncio
from pathlib import Path

from rawdaq.packet import Packet
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer


class LineProtocol(asyncio.DatagramProtocol):
    def __init__(self, log):
        self.buffer = asyncio.Queue(1000)
        self.log = log

    def connection_made(self, transport):
        self.log.info("Connected to port")

    def datagram_received(self, data, addr):
        self.buffer.put_nowait(data)


class LineReceiver(ReceiverServer):
    def __init__(self, ip: str, port: int, publishers: list):
        super().__init__(ip, port, publishers, "LineReceiver")
        self.transport, self.protocol = self.setup_udp(lambda: LineProtocol(self.log))

    def cmd_port(self):
        """Tell the port."""
        return self.transport.port

    async def ct_relay(self):
        while True:
            await self.publish(await self.protocol.buffer.get())


class LinePublisher(Publisher):
    def __init__(self, path: Path, ending: str = "\\n", name: str = "lines"):
        super().__init__(name)
        self.path = path
        self.ending = ending

    async def apublish(self, packet):
        with self.path.open("ab") as file:
            file.write(packet + self.ending.encode())


class Unbuildable(Publisher):
    def __init__(self, name: str):
        raise OSError(98, "Address already in use")
'''

ENTRY_POINTS = """
[rawdaq.receivers]
LineReceiver = outside_daq:LineReceiver
Gone = outside_daq:Gone

[rawdaq.publishers]
LinePublisher = outside_daq:LinePublisher
Unbuildable = outside_daq:Unbuildable
"""

STATION = """
station: {network: XX, code: DEMO}
Lines:
  Receiver: {class: LineReceiver, ip: 127.0.0.1, port: 0}
  Publishers:
    file: {class: LinePublisher, path: lines.txt, ending: "!", queue_packets: 7, queue_mb: 1.5, overflow: drop_oldest}
  Daemon: {monitor: "tcp://127.0.0.1:9", stop_timeout_s: 3}
"""


def install(folder: Path) -> None:
    """Write the package as an installer would; *folder* then belongs on the import path."""
    (folder / "outside_daq.py").write_text(MODULE)
    metadata = folder / "outside_daq-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-daq\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
