"""The device side: what a digitizer's program imports to serve its samples, with the standard library and numpy only.

`Streamer` (`tcp`, with its thread in `server`) serves clients over TCP, `udp` pushes datagrams; both are fed by `feed`.
"""

from rawdaq.streamer.feed import Channel
from rawdaq.streamer.server import Counters
from rawdaq.streamer.tcp import Streamer

__all__ = ["Channel", "Counters", "Streamer"]
