"""Serves records as a SeedLink and DataLink server does, from a ring on disk."""

from rawdaq.publishers.ring.publisher import RingPublisher

__all__ = ["RingPublisher"]
