"""RawWriter: bytes to one file, as they come."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rawdaq.file_output.appending import AppendingPublisher
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.protocols.message import sample_bytes
from rawdaq.stream_id import StreamId


class RawWriter(AppendingPublisher):
    """Appends what a receiver publishes to a file.

    Plain bytes are written unchanged, one after another, and so are the payloads of messages. Of a packet the samples
    alone are written, little-endian: ``numpy.fromfile(path, "<i4")`` reads a stream of int32 back. Samples of several
    streams could not be distinguished, so a receiver of several streams is refused. A file that was renamed or removed
    meanwhile, as logrotate does, is created again. Behind a journal all is written once, also after a crash.

    Args:
        path: the file; its folder must exist.
        name: how log lines and `status` call it.
        logger: parent of its logger.
        fsync_s: what was written is safe from a power cut after so many seconds; 0: before a batch counts as delivered.
    """

    def __init__(
        self,
        path: Path,
        name: str = "RawWriter",
        logger: logging.Logger | None = None,
        fsync_s: Annotated[float, Field(ge=0, le=3600)] = 5.0,
    ) -> None:
        super().__init__(path, fsync_s, name, logger)

    @classmethod
    def check_streams(cls, streams: Collection[StreamId], options: Mapping[str, Any]) -> str | None:
        """Return why the samples of *streams* cannot share a file, None when they can."""
        if len(streams) < 2:
            return None
        return f"the samples of {len(streams)} streams cannot be distinguished in {options.get('path', 'one file')}"

    def contents(self, item: Packet | Message | bytes) -> bytes | memoryview:
        """Return plain bytes, the payload of a message, or the samples of a packet."""
        if isinstance(item, Message):
            return item.payload
        return item if isinstance(item, bytes) else sample_bytes(item.samples)
