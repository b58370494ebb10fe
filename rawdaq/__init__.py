"""rawdaq brings the samples of any custom digitizer into the world that seismologists use.

What a program needs is imported from here; each name is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId

if TYPE_CHECKING:
    from rawdaq.seedlink_plugin import SeedLinkPlugin
    from rawdaq.subscriber.live import Subscriber

__all__ = ["Packet", "SeedLinkPlugin", "StreamId", "Subscriber", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Subscriber":
        from rawdaq.subscriber.live import Subscriber

        return Subscriber
    if name == "SeedLinkPlugin":
        from rawdaq.seedlink_plugin import SeedLinkPlugin

        return SeedLinkPlugin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
