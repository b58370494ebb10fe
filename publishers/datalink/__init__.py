"""DataLinkPublisher: miniSEED records to a DataLink server, such as ringserver.

`publisher` writes them; `sent` knows which of them the server has when the connection was lost.
"""

from rawdaq.publishers.datalink.publisher import DataLinkPublisher

__all__ = ["DataLinkPublisher"]
