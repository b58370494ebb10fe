"""Components of station files that do not run, and a command socket that answers as a test says."""

import asyncio

import zmq
import zmq.asyncio

from rawdaq.process.runtime_files import RuntimeFiles

STATIONS = """
station: {{network: XX, code: {code}, location: "00"{more}}}
Demo:
  Receiver: {{class: RawReceiver, host: 127.0.0.1, port: 1, channels: {{1: HHZ}}}}
  Publishers: {{archive: {{class: MiniSeedPublisher, path: archive}}}}
  Decimation: {{slow: {{rate_hz: 1}}}}
"""


class Answering:
    """A command socket that answers as the test says."""

    def __init__(self, runtime: RuntimeFiles) -> None:
        self.runtime = runtime

    async def answer(self, *replies: list[bytes] | None) -> None:
        """Answer one request after the other; None: not at all."""
        context = zmq.asyncio.Context()
        socket = context.socket(zmq.ROUTER)
        socket.bind(self.runtime.command_address("XX.A.Demo"))
        try:
            for reply in replies:
                async with asyncio.timeout(30):
                    peer, empty, *_ = await socket.recv_multipart()
                if reply is not None:
                    await socket.send_multipart([peer, empty, *reply])
        finally:
            context.destroy(linger=1000)
