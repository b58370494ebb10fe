"""Reading packets in Python: `Subscriber` reads live streams, and its `from_files` reads files in the same way.

`reader` has what both can do, `live` and `files` are the two, `messages` is for all that read live messages.
"""

from rawdaq.subscriber.live import Subscriber
from rawdaq.subscriber.messages import Loss
from rawdaq.subscriber.reader import PacketReader

__all__ = ["Loss", "PacketReader", "Subscriber"]
