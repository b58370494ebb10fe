"""The device side: what a digitizer's program imports to serve its samples, with the standard library and numpy only.

`Streamer` (`tcp`, with its thread in `server`) serves clients over TCP, `udp` pushes datagrams; both are fed by `feed`.
`SampleClock` (`clock`) times the samples of a digitizer that has no clock of its own.
"""

from rawdaq.streamer.clock import SampleClock
from rawdaq.streamer.feed import Channel
from rawdaq.streamer.server import Counters
from rawdaq.streamer.tcp import Streamer

__all__ = ["Channel", "Counters", "SampleClock", "Streamer"]
