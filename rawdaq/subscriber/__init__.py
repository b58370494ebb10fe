"""Reading packets in Python: `Subscriber` reads live streams (`live`), and files in the same way (`files`).

What both have in common, and what a program may rely on, is `reader.PacketReader`.
"""

from rawdaq.subscriber.live import Loss, Subscriber

__all__ = ["Loss", "Subscriber"]
