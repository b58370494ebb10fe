"""Reading packets in Python: `Subscriber` reads live streams, and its `from_files` reads files in the same way.

`reader` has what both can do, `live` and `files` are the two, `messages` is for all that read live messages. `typed`
has the readers of what is no waveform, such as `EventSubscriber`; `connections` is what all live readers share.
"""

from rawdaq.subscriber.live import Subscriber
from rawdaq.subscriber.messages import Loss
from rawdaq.subscriber.reader import PacketReader
from rawdaq.subscriber.typed import (
    EventSubscriber,
    LogSubscriber,
    MessageLoss,
    MessageSubscriber,
    MonitorSubscriber,
    ReadoutSubscriber,
    TelemetrySubscriber,
)

__all__ = [
    "EventSubscriber",
    "LogSubscriber",
    "Loss",
    "MessageLoss",
    "MessageSubscriber",
    "MonitorSubscriber",
    "PacketReader",
    "ReadoutSubscriber",
    "Subscriber",
    "TelemetrySubscriber",
]
