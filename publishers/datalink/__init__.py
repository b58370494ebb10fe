"""DataLinkPublisher: miniSEED records to a DataLink server, such as ringserver."""

from rawdaq.publishers.datalink.publisher import DataLinkPublisher

__all__ = ["DataLinkPublisher"]
