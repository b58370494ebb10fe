"""rawdaq brings the samples of any custom digitizer into the world that seismologists use."""

from rawdaq.packet import Packet, StreamId

__all__ = ["Packet", "StreamId", "__version__"]

__version__ = "0.1.0"
