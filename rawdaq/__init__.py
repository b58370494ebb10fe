"""rawdaq brings the samples of any custom digitizer into the world that seismologists use.

What a program needs is imported from here; each name is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId

if TYPE_CHECKING:
    from rawdaq.seedlink_plugin import SeedLinkPlugin
    from rawdaq.subscriber.live import Subscriber
    from rawdaq.subscriber.typed import (
        EventSubscriber,
        LogSubscriber,
        MonitorSubscriber,
        ReadoutSubscriber,
        TelemetrySubscriber,
    )

__all__ = [
    "EventSubscriber",
    "LogSubscriber",
    "MonitorSubscriber",
    "Packet",
    "ReadoutSubscriber",
    "SeedLinkPlugin",
    "StreamId",
    "Subscriber",
    "TelemetrySubscriber",
    "__version__",
]

__version__ = "0.1.0"

_HOMES = {
    "EventSubscriber": "rawdaq.subscriber.typed",
    "LogSubscriber": "rawdaq.subscriber.typed",
    "MonitorSubscriber": "rawdaq.subscriber.typed",
    "ReadoutSubscriber": "rawdaq.subscriber.typed",
    "SeedLinkPlugin": "rawdaq.seedlink_plugin",
    "Subscriber": "rawdaq.subscriber.live",
    "TelemetrySubscriber": "rawdaq.subscriber.typed",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
