"""What is a line of which file: JSON packets of a DataLink server, and messages."""

import base64
import json
from pathlib import Path
from typing import Final, NamedTuple

from rawdaq.messages.message import Message
from rawdaq.protocols.datalink import DataPacket, PayloadType, payload_type, read_envelope
from rawdaq.protocols.datalink.errors import EnvelopeUnreadable
from rawdaq.publisher import KnownItem
from rawdaq.publishers.jsonl.layout import JsonLinesLayout
from rawdaq.publishers.jsonl.progress import Place

_TYPES: Final = (PayloadType.JSON, PayloadType.BZJSON)
BAD: Final = ".bad"  # is appended to the name of a file for what cannot be a line of it


class Line(NamedTuple):
    """What is made of an item.

    Attributes:
        counted_as: ``lines``; ``bad`` when its payload is no JSON, ``skipped`` when it belongs in no file, ``refused``
            when it is neither a JSON packet nor a message.
        path: of the file; None when it belongs in none.
        data: the line, with its end.
        place: of a packet.
        reason: why it was refused.
    """

    counted_as: str
    path: Path | None = None
    data: bytes = b""
    place: Place | None = None
    reason: str = ""


class LineMaker:
    """Makes lines.

    Args:
        folder: what relative paths start from.
        layout: which file a line belongs in.
    """

    def __init__(self, folder: Path, layout: JsonLinesLayout) -> None:
        self._folder = folder
        self._layout = layout

    def line(self, item: KnownItem) -> Line:
        """Return what is made of *item*."""
        if isinstance(item, Message):
            name = self._layout.message_path(item)
            return Line("skipped") if name is None else Line("lines", self._folder / name, _message_line(item))
        if not isinstance(item, bytes):
            return Line("refused", reason="it holds samples")
        try:
            return self._packet_line(read_envelope(item))
        except EnvelopeUnreadable as error:
            return Line("refused", reason=str(error))

    def _packet_line(self, packet: DataPacket) -> Line:
        place = Place(packet.packet_id, packet.packet_time_ns)
        name = self._layout.path(packet) if payload_type(packet.stream_id) in _TYPES else None
        if name is None:
            return Line("skipped", place=place)
        path, data = self._folder / name, _one_line(packet.data)
        if data is None:
            return Line("bad", path.with_name(path.name + BAD), _described(packet), place)
        return Line("lines", path, data, place)


def _one_line(data: bytes) -> bytes | None:
    """Return *data*, JSON, as one line; None when they are no JSON."""
    try:
        value = json.loads(data)
        if b"\n" not in data and b"\r" not in data:
            return data + b"\n"
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except (ValueError, RecursionError):
        return None


def _message_line(message: Message) -> bytes:
    """Return header and payload of *message* as one line."""
    if not len(message.payload):
        return message.head + b"\n"
    payload = base64.b64encode(message.payload)
    return message.head[:-1] + b',"payload_base64":"' + payload + b'"}\n'


def _described(packet: DataPacket) -> bytes:
    """Return a line that says what *packet* is and what it holds."""
    fields = dict(
        zip(("stream_id", "packet_id", "packet_time_ns", "start_ns", "end_ns"), packet.fields(), strict=False)
    )
    return json.dumps(fields | {"data": packet.data.decode("utf-8", "backslashreplace")}).encode() + b"\n"
