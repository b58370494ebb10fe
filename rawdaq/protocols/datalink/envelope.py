r"""A packet that holds no samples as one JSON object, in which it is passed on to publishers as plain bytes.

::

    {"stream_id": "XX_A_00_LOG/JSON", "packet_id": 7, "packet_time_ns": ..., "start_ns": ..., "end_ns": ...,
     "text": "{\"level\": 1}"}

A payload that is no text is in ``base64`` instead of ``text``; one of the type BZJSON is the text that it packs.
"""

import base64
import binascii
import bz2
import json
from typing import Any, Final

from rawdaq.errors import ProtocolError
from rawdaq.protocols.datalink.errors import EnvelopeUnreadable
from rawdaq.protocols.datalink.ids import PayloadType, payload_type
from rawdaq.protocols.datalink.packets import DataPacket

_MAX_TEXT_BYTES: Final = 64 << 20  # that a packed payload may have: a few bytes of bzip2 can stand for gigabytes
_FIELDS: Final = ("stream_id", "packet_id", "packet_time_ns", "start_ns", "end_ns")


def unpacked(data: bytes) -> bytes:
    """Return what bzip2 *data* hold.

    Raises:
        ValueError: they are not bzip2, not all of it, or hold more than 64 MB.
    """
    unpacker = bz2.BZ2Decompressor()
    try:
        text = unpacker.decompress(data, _MAX_TEXT_BYTES)
    except OSError as error:
        raise ValueError(str(error)) from None
    if not unpacker.eof:
        raise ValueError(f"it is cut, or holds more than {_MAX_TEXT_BYTES} bytes")
    return text


def write_envelope(packet: DataPacket) -> bytes:
    """Return *packet* as JSON."""
    payload: dict[str, str]
    try:
        is_packed = payload_type(packet.stream_id) == PayloadType.BZJSON
        payload = {"text": (unpacked(packet.data) if is_packed else packet.data).decode()}
    except ValueError:
        payload = {"base64": base64.b64encode(packet.data).decode()}
    return json.dumps(dict(zip(_FIELDS, packet.fields(), strict=False)) | payload).encode()


def read_envelope(data: bytes) -> DataPacket:
    """Return the packet that `write_envelope` wrote; of one with a text its UTF-8.

    Raises:
        EnvelopeUnreadable: it is something else.
    """
    try:
        found: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise EnvelopeUnreadable("it is not JSON") from None
    if not isinstance(found, dict):
        raise EnvelopeUnreadable("it is no JSON object")
    values: dict[str, Any] = found  # pyright: ignore[reportUnknownVariableType] - what JSON holds is looked at below
    for name in _FIELDS:
        wanted = str if name == "stream_id" else int
        if type(values.get(name)) is not wanted:
            raise EnvelopeUnreadable(f"{name} is missing, or is not {'text' if wanted is str else 'an integer'}")
    try:
        return DataPacket(**{name: values[name] for name in _FIELDS}, data=_payload(values))
    except (ValueError, ProtocolError) as error:
        raise EnvelopeUnreadable(str(error)) from None


def _payload(values: dict[str, Any]) -> bytes:
    text, packed = values.get("text"), values.get("base64")
    try:
        if isinstance(text, str):
            return text.encode()
        if isinstance(packed, str):
            return base64.b64decode(packed, validate=True)
    except (UnicodeEncodeError, binascii.Error):
        pass
    raise EnvelopeUnreadable("it has no payload, neither text nor base64")
