"""RawUDPReceiver: RAW packets that devices push to a port of ours as datagrams.

`receiver` takes and publishes them; `channels` describes the samples of each channel.
"""

from rawdaq.receivers.raw_udp.receiver import RawUDPReceiver

__all__ = ["RawUDPReceiver"]
