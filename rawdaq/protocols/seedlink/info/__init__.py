"""Answers to INFO as plain values (`values`), as the XML of version 3 (`v3`) and as the JSON of version 4 (`v4`)."""

from rawdaq.protocols.seedlink.info.values import (
    ConnectionDescription,
    InfoDocument,
    InfoItem,
    StationDescription,
    StreamDescription,
)

__all__ = ["ConnectionDescription", "InfoDocument", "InfoItem", "StationDescription", "StreamDescription"]
