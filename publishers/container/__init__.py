"""ContainerPublisher: objects of all kinds in container files that follow each other.

`publisher` is all of it; the files are those of `rawdaq.container`, the rotation that of `rawdaq.disk`.
"""

from rawdaq.publishers.container.publisher import ContainerPublisher

__all__ = ["ContainerPublisher"]
