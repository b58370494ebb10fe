"""The device side: what a digitizer's program imports to serve its samples, with the standard library and numpy only.

`Streamer` (`tcp`, on the network half in `server`) serves clients over TCP; `udp` pushes datagrams.
"""

from rawdaq.streamer.tcp import Channel, Counters, Streamer

__all__ = ["Channel", "Counters", "Streamer"]
