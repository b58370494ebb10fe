"""The public name of `rawdaq.streamer.udp`: what a digitizer's program imports to push its samples as datagrams."""

from rawdaq.streamer.clock import SampleClock
from rawdaq.streamer.udp import Channel, UdpCounters, UDPStreamer

__all__ = ["Channel", "SampleClock", "UDPStreamer", "UdpCounters"]
