"""Serves records as a SeedLink and DataLink server does, from a ring on disk. `publisher` has all of it.

The servers themselves are in `rawdaq.ring.server`; a hub without a device uses them, too.
"""

from rawdaq.publishers.ring.publisher import RingPublisher

__all__ = ["RingPublisher"]
