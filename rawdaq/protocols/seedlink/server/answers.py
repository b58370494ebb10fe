"""Answers to INFO as packets of either version."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from rawdaq.protocols.seedlink import v3, v4
from rawdaq.protocols.seedlink.info.v3 import write_xml
from rawdaq.protocols.seedlink.info.v4 import MINISEED_FORMATS, write_json
from rawdaq.protocols.seedlink.info.values import InfoDocument, InfoItem
from rawdaq.protocols.seedlink.words import Refusal, SeedLinkVersion, ServerIdentity

#: Makes miniSEED 2 records of 512 bytes that carry a text, on a channel: ``INF``, or ``ERR`` for an error.
TextRecords: TypeAlias = Callable[[bytes, str], Sequence[bytes]]


class Answers:
    """Writes the answers of one server.

    Args:
        identity: what the server says of itself.
        text_records: packs a text for clients of version 3.
    """

    def __init__(self, identity: ServerIdentity, text_records: TextRecords) -> None:
        self._identity = identity
        self._text_records = text_records

    def document(self, version: SeedLinkVersion) -> InfoDocument:
        """Return what the server can say without asking the program."""
        identity = self._identity
        return InfoDocument(
            identity.hello.software,
            identity.hello.organization,
            identity.started_ns,
            identity.capabilities_v4 if version is SeedLinkVersion.V4 else identity.capabilities_v3,
            formats=MINISEED_FORMATS,
            filters=identity.filters,
        )

    def packets(
        self, version: SeedLinkVersion, item: InfoItem, document: InfoDocument, now_ns: int = 0
    ) -> Iterator[bytes]:
        """Yield the packets that answer *item*."""
        if version is SeedLinkVersion.V4:
            kind = v4.JSON_INFO if document.error is None else v4.JSON_ERROR
            payload = write_json(item, document, now_ns).encode()
            yield v4.packet_header(0, "", v4.Format.JSON, kind, len(payload)) + payload
            return
        channel = "INF" if document.error is None else "ERR"
        *first, last = self._text_records(write_xml(item, document).encode(), channel)
        for record in first:
            yield v3.INFO_MORE + record
        yield v3.INFO_LAST + last

    def error(self, version: SeedLinkVersion, refusal: Refusal) -> Iterator[bytes]:
        """Yield the packets that refuse an answer; of the reason version 3 says nothing."""
        document = replace(self.document(version), error=(str(refusal.code), refusal.text))
        return self.packets(version, InfoItem.ID, document)
