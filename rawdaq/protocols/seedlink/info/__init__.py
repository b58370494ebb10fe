"""Answers to INFO: plain values (`values`) are what a server knows.

`v3` writes them as the XML of version 3, `v4` as the JSON of version 4.
"""

from rawdaq.protocols.seedlink.info.values import (
    ConnectionDescription,
    InfoDocument,
    InfoItem,
    StationDescription,
    StreamDescription,
)

__all__ = ["ConnectionDescription", "InfoDocument", "InfoItem", "StationDescription", "StreamDescription"]
